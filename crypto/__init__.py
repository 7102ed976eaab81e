"""Keys, signatures, hashes, Merkle trees, addresses. Pure: no I/O, no clock."""

__all__ = ["batch", "bech32", "errors", "hash", "keys", "merkle", "merlin", "mldsa", "native"]
