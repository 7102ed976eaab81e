"""Keys, signatures, hashes, Merkle trees, addresses. Pure: no I/O, no clock."""
