"""What `benchmarks.network` is made of: signed transactions, an open loop, what is watched, the picture."""
