"""What all of the chat machine's rooms know: identities with their allowance, and the params."""

__all__ = ["records"]
