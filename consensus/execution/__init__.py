"""Blocks through the application, in the durable order; the handshake after any stop; going back a height."""

__all__ = ["executor", "handshake", "metrics", "rollback", "verifiers"]
