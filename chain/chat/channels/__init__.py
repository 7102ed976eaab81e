"""Channels of the chat machine: what they are, and who is a member."""

__all__ = ["burners", "due", "keys", "machine", "members", "pots", "records", "rights"]
