"""Catching up with a chain that is ahead."""

__all__ = ["blocks", "claims", "fetched", "lag", "progress"]
