"""The authenticated key-value stores: sparse Merkle trees, versions, proofs."""

__all__ = ["audit", "errors", "layout", "mmr", "proofs", "roots", "smt", "snapshot", "store", "view"]
