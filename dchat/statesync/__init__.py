"""Snapshots of a running node, and how a new node joins by one: where trust begins, what is done first."""

__all__ = ["doors", "headers", "joining", "maker"]
