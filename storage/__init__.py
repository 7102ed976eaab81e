"""Ordered key-value stores behind one small interface: LevelDB and memory."""

__all__ = ["errors", "kv", "leveldb", "memory", "open", "options"]
