"""Snapshots of the application: those that it serves, and those that it restores itself from, or begins with."""

from dchat.app.snapshots.founding import FoundingBranch
from dchat.app.snapshots.genesis_state import answer, begin_with, is_begun
from dchat.app.snapshots.restorer import Restorer
from dchat.app.snapshots.shelf import Shelf, ShelfMetrics

__all__ = ["FoundingBranch", "Restorer", "Shelf", "ShelfMetrics", "answer", "begin_with", "is_begun"]
