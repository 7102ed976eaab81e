"""Signing without ever contradicting oneself, and the looks that come before the first signature."""

__all__ = ["channel", "errors", "guards", "held", "own_key", "record", "remote", "serving", "signer", "succession"]
