"""The audit log of a home: what was done to the node and by its keys, each line bound to those before."""

__all__ = ["notes", "trail"]
