"""The process: wiring, start and stop, upgrades."""

__all__ = ["doors", "errors", "preflight", "process", "rehearsal", "runtime", "upgrade"]
