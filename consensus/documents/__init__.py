"""CometBFT's documents as text: genesis, key and sign-state files, the JSON of its RPC. Pure."""

__all__ = ["files", "genesis", "json"]
