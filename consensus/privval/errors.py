"""What can go wrong between a validator and its remote signer."""

from __future__ import annotations

from consensus.system.errors import EngineError


class BadSignerAddress(EngineError, ValueError):
    """A text is no address of a remote signer."""


class SignerLinkLost(EngineError):
    """The connection between validator and signer is gone, or the other side broke the protocol: dial again."""


class KeyLost(SignerLinkLost):
    """The token or service that holds the key does not sign now: where, and why. It is asked again."""


class SignerStateInUse(EngineError):
    """Another process signs by this record: two would sign with one key."""
