"""The light client: what makes a later header as good as an earlier one. Needs consensus types and crypto alone."""

from light.rules import CannotSkip, verify_back, verify_root, verify_step

__all__ = ["CannotSkip", "verify_back", "verify_root", "verify_step"]
