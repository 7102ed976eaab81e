"""Commands that make, run and check things on this machine: homes, a validator, networks, a benchmark, proof packs."""
