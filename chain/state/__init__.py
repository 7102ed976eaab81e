"""The authenticated key-value stores: sparse Merkle trees, versions, proofs."""
