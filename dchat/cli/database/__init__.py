"""`dchat database`: what a node has on disk, looked at, copied, brought back."""

__all__ = ["group", "key_commands"]
