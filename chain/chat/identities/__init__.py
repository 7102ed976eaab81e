"""What the chat machine keeps of an identity beside its record: what its name looks like, profile, blocks, prekeys,
device keys."""

__all__ = ["devices", "machine", "names", "prekeys", "profiles"]
