"""The rooms of the chat machine."""
