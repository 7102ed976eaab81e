"""Merlin transcripts: a running hash of labelled messages from which challenges are drawn.

Source: merlin.cool (transcript and challenge operations); CometBFT v0.38, p2p/conn/secret_connection.go.
"""

from __future__ import annotations

from functools import cache

from crypto.strobe import Strobe128


@cache
def _fresh(label: bytes) -> Strobe128:
    """The state after a label is a constant: two permutations saved per handshake."""
    strobe = Strobe128(b"Merlin v1.0")
    _append(strobe, b"dom-sep", label)
    return strobe


def _append(strobe: Strobe128, label: bytes, message: bytes) -> None:
    strobe.meta_ad(label)
    strobe.meta_ad(len(message).to_bytes(4, "little"), more=True)
    strobe.ad(message)


class Transcript:
    """Append what both sides know, in one order; then both draw the same challenge."""

    __slots__ = ("_strobe",)

    def __init__(self, label: bytes) -> None:
        self._strobe = _fresh(label).copy()

    def append(self, label: bytes, message: bytes) -> None:
        _append(self._strobe, label, message)

    def challenge(self, label: bytes, size: int) -> bytes:
        self._strobe.meta_ad(label)
        self._strobe.meta_ad(size.to_bytes(4, "little"), more=True)
        return self._strobe.prf(size)
