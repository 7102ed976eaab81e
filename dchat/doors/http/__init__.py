"""The HTTP door: status, peers, blocks, health, as JSON."""

__all__ = ["door", "lateness", "listener", "views"]
