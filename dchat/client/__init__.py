"""A client of the gRPC door that believes nothing: proofs, settled transactions, a wallet."""

__all__ = ["client", "proved", "refusals", "verify", "wallet"]
