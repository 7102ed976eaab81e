"""What a node keeps of old history, by its options; what that takes on its disk, and when the disk will be full."""

__all__ = ["disk_use", "offline", "retention"]
