"""Prometheus' text from plain counters, and the loop's lag."""

__all__ = ["exposition", "loop_lag"]
