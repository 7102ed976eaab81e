"""What a node tells of itself for whoever looks into a fault: tasks, stacks, files, options, and none of its secrets"""

__all__ = ["asking", "forms", "gathered", "hiding", "own", "packed"]
