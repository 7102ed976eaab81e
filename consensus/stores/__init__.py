"""Blocks, states and the write-ahead log on disk."""
