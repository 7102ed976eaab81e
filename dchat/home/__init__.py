"""A node's home: its files and keys, its lock, its log, this build's version."""

__all__ = [
    "accounts", "documents", "errors", "files", "home", "home_lock", "identity",
    "key_file", "key_proofs", "logs", "sockets",
    "version",
]  # fmt: skip
