"""A node's home: its files and keys, its lock, its log, this build's version."""

__all__ = ["errors", "files", "home", "home_lock", "identity", "logs", "text", "version"]
