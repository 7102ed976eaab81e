"""Algorithm 1 of arXiv:1807.04938 without I/O: one input in, effects out, as data."""

__all__ = ["core", "events", "votes"]
