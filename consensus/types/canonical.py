"""The bytes that a validator signs.

uvarint(length) ‖ canonical protobuf. Everything but the timestamp is equal for all votes of one height, round and
block, so it is kept; a vote then costs its timestamp and one join.
Source: CometBFT v0.38, spec/core/encoding.md (Canonical), spec/consensus/signing.md, types/canonical.go.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from consensus.formats.timestamps import encode_timestamp
from consensus.formats.wire import bytes_field, int_field, message_field
from consensus.types.ids import BlockID
from crypto.hash import uvarint

PREVOTE: Final = 1
PRECOMMIT: Final = 2
PROPOSAL: Final = 32

_FRAMES_MAX: Final = 1_024  # 2 kinds x a block and nil x several rounds of several heights


def _fixed_field(tag: bytes, value: int) -> bytes:
    """sfixed64, eight bytes little-endian; nothing for 0."""
    return tag + value.to_bytes(8, "little", signed=True) if value else b""


@lru_cache(maxsize=_FRAMES_MAX)
def _vote_frame(chain_id: str, kind: int, height: int, round: int, block_id: BlockID) -> tuple[bytes, bytes]:
    """What stands before and after the timestamp's length."""
    head = int_field(b"\x08", kind) + _fixed_field(b"\x11", height) + _fixed_field(b"\x19", round)
    if not block_id.is_zero:
        head += message_field(b"\x22", block_id.encode())
    return head + b"\x2a", bytes_field(b"\x32", chain_id.encode())


def vote_sign_bytes(chain_id: str, kind: int, height: int, round: int, block_id: BlockID, timestamp_ns: int) -> bytes:
    """kind: PREVOTE or PRECOMMIT. block_id zero: a vote for nil."""
    head, tail = _vote_frame(chain_id, kind, height, round, block_id)
    timestamp = encode_timestamp(timestamp_ns)
    length = len(timestamp)
    return b"".join((uvarint(len(head) + 1 + length + len(tail)), head, uvarint(length), timestamp, tail))


def proposal_sign_bytes(
    chain_id: str, height: int, round: int, pol_round: int, block_id: BlockID, timestamp_ns: int
) -> bytes:
    body = b"".join(
        (
            int_field(b"\x08", PROPOSAL),
            _fixed_field(b"\x11", height),
            _fixed_field(b"\x19", round),
            int_field(b"\x20", pol_round),
            b"" if block_id.is_zero else message_field(b"\x2a", block_id.encode()),
            message_field(b"\x32", encode_timestamp(timestamp_ns)),
            bytes_field(b"\x3a", chain_id.encode()),
        )
    )
    return uvarint(len(body)) + body


def extension_sign_bytes(chain_id: str, height: int, round: int, extension: bytes) -> bytes:
    """What signs a precommit's extension."""
    body = b"".join(
        (
            bytes_field(b"\x0a", extension),
            _fixed_field(b"\x11", height),
            _fixed_field(b"\x19", round),
            bytes_field(b"\x22", chain_id.encode()),
        )
    )
    return uvarint(len(body)) + body
