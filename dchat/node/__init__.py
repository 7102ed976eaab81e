"""The process: wiring, start and stop, upgrades."""

__all__ = ["errors", "gossip", "preflight", "process", "rehearsal", "runtime", "upgrade"]
