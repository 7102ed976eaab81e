"""The atomic module: the only machine that knows both."""

__all__ = ["escrow_records", "guardian_records", "lending", "machine", "records"]
