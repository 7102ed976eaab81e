"""The HTTP door: status, peers, blocks, health, as JSON."""

__all__ = ["connections", "described", "door", "lateness", "listener", "views"]
