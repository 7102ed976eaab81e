"""`dchat signer`: the process that signs for a validator on another machine."""

__all__ = ["choice", "discarded", "files", "held", "kms", "process", "token"]
