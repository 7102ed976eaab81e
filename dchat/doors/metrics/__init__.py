"""Prometheus' text from plain counters, and the loop's lag."""
