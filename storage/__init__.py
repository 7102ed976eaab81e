"""Ordered key-value stores behind one small interface: LevelDB and memory."""
