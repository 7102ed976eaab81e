"""The simulated face of what the machine gives a node: clock, threads, disk and network, from a seed."""
