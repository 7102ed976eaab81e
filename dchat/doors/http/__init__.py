"""The HTTP door: status, peers, blocks, health, as JSON."""

__all__ = ["connections", "door", "lateness", "listener", "views"]
