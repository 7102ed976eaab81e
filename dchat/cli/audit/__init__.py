"""`dchat audit`: the record of what was done to a node, read and held against itself."""

__all__ = ["audit_commands"]
