"""What every module stands on: branches of the state, contexts, authority, replay marks, queues, execution in
slices."""

__all__ = [
    "auth",
    "branch",
    "check",
    "context",
    "event_text",
    "execution",
    "items",
    "marks",
    "modules",
    "proposals",
    "signatures",
]
