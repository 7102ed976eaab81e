"""The validators' network, wire-compatible with CometBFT v0.38."""
