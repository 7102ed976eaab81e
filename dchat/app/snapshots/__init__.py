"""Snapshots of the application: those that it serves, and the one that it restores itself from."""

from dchat.app.snapshots.restorer import Restorer
from dchat.app.snapshots.shelf import Shelf, ShelfMetrics

__all__ = ["Restorer", "Shelf", "ShelfMetrics"]
