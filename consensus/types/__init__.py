"""CometBFT v0.38's data: blocks, votes, validator sets, evidence, params; their bytes and hashes. Pure."""
