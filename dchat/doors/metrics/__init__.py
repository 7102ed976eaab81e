"""Prometheus' text from plain counters, the loop's lag, the machine, and what blocks say of other validators."""

__all__ = ["exposition", "loop_lag", "machine", "votes"]
