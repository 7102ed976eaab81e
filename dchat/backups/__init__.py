"""Backups on a schedule and by command: where they are kept (a folder, S3), which of them go, who makes them when."""

__all__ = ["errors", "keeper", "kept", "making", "places", "record", "target"]
