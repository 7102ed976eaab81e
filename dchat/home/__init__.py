"""A node's home: its files and keys, its lock, its log, this build's version."""
