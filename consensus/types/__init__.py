"""CometBFT v0.38's data: blocks, votes, validator sets, evidence, params; their bytes and hashes. Pure."""

__all__ = ["block", "commit", "commits", "evidence", "header", "ids", "light", "params", "parts", "validators", "vote"]
