"""Why this validator missed a vote or a proposal, from its own records of each height (docs/why.md)."""

__all__ = ["desk", "files", "form", "judge", "recorder"]
