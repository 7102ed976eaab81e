"""What may be wrong in bytes or text from outside. One root; whoever reads a thing of its own knows a ValueError."""

from __future__ import annotations


class CryptoError(ValueError):
    """Bytes or text that are no key, no address or no proof: whoever gave them is at fault."""


class InvalidKey(CryptoError):
    """Bytes that are no key of the type they claim, or of a type that this machine's libraries do not have."""
