"""Blocks, states and the write-ahead log on disk."""

__all__ = ["block_store", "interfaces", "reading", "state_store", "wal"]
