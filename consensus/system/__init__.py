"""What the engine is given by the machine, real or simulated: clock, threads, disk, tasks, bounded logs, failures."""

__all__ = [
    "aside",
    "clock",
    "disk",
    "errors",
    "failpoints",
    "files",
    "handed",
    "log_limit",
    "machine",
    "meter",
    "tasks",
]
