"""What the chat machine keeps of an identity beside its record: names that are told apart by eye."""

__all__ = ["machine", "names"]
