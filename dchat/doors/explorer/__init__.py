"""The explorer: pages about the chain for a browser; what they show they read from the HTTP door as others do."""

__all__ = ["pages"]
