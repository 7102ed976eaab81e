"""Whole nodes of the product in one process, on simulated machines, among faults and liars; judged by laws."""

__all__ = ["plan", "regions", "runs"]
