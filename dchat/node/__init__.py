"""The process: wiring, start and stop, upgrades."""

__all__ = ["errors", "preflight", "process", "rehearsal", "runtime", "upgrade"]
