"""A client of the gRPC door that believes nothing: proofs, settled transactions, a wallet."""

__all__ = [
    "client",
    "light_provider",
    "pack",
    "pack_make",
    "pack_verify",
    "proved",
    "refusals",
    "stall",
    "trails",
    "verify",
    "wallet",
]
