"""The optional native part (native/, docs/native.md). Only `crypto.native` imports it."""

from collections.abc import Sequence

FORM: int  # grows when a function is added, or does something else

def verify_batch(checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """For each (public key, message, signature) whether the Ed25519 signature holds by ZIP-215, in order."""
