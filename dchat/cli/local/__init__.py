"""Commands that make and run things on this machine: homes, a validator, networks (real, simulated), a benchmark."""
