"""What a running node takes over of options that were changed (SIGHUP)."""

__all__ = ["changes"]
