"""The client as a programmer meets it: `connect`, and what it gives; amounts and messages as people say them."""

__all__ = ["accounts", "amounts", "chat", "kept", "messages"]
