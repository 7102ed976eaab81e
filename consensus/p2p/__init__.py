"""The validators' network, wire-compatible with CometBFT v0.38."""

__all__ = ["addrbook", "config", "memory", "pex", "switch"]
