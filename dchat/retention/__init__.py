"""What a node keeps of old history, by its options; what that takes on its disk, what is free, and when it is full."""

__all__ = ["disk_use", "offline", "retention", "room"]
