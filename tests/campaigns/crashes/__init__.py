"""Losses of power at every write of a node: on whatever the disk holds then, it comes back; docs/database.md."""
