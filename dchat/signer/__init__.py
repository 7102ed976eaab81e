"""`dchat signer`: the process that signs for a validator on another machine."""

__all__ = ["choice", "files", "held", "kms", "process", "token"]
