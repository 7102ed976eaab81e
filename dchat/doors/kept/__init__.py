"""Answers over HTTP that are kept as they go over the wire, and given again as soon as they are asked for."""

__all__ = ["answers", "at_once"]
