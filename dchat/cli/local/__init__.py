"""Commands that make and run things on this machine: homes, a validator, a test network, a demo, a benchmark."""
