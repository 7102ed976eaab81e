"""Channels of the chat machine: what they are, and who is a member."""

__all__ = ["due", "machine", "members", "records", "rights"]
