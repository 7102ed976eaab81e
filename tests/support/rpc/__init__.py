"""The JSON-RPC door in tests: calling it, and comparing what it says with what a CometBFT node says."""
