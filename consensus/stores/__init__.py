"""Blocks, states and the write-ahead log on disk."""

__all__ = ["block_store", "event_index", "interfaces", "reading", "state_store", "wal"]
