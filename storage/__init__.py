"""Ordered key-value stores behind one small interface: LevelDB and memory."""

__all__ = ["errors", "kv", "level_files", "leveldb", "memory", "open", "options"]
