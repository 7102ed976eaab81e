"""The bridge store's records: receipts with a bounded life, totals, params. Immutable."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.currency.ledger import dec
from chain.kernel.branch import Key
from chain.tx.codec import bytes_field, uint_field
from crypto.hash import ADDRESS_BYTES, sha256
from proto.dchat.v1 import state_pb2 as pb


class Totals(NamedTuple):
    """Since genesis. Amounts in udchat.

    What was tipped and paid for joins are flows: the same money counts each time that it passes, so that no supply
    bounds them, and who pays himself in circles can drive them past 64 bits. They are kept as long as they are.
    """

    bundles_executed: int = 0
    bundles_failed: int = 0
    udchat_to_chat: int = 0
    udchat_tipped: int = 0
    udchat_joins: int = 0

    def encode(self) -> bytes:
        tags = (b"\x08", b"\x10", b"\x18")
        counts = [uint_field(tag, value) for tag, value in zip(tags, self, strict=False)]
        flows = [
            bytes_field(b"\x22", dec.to_bytes(self.udchat_tipped)),
            bytes_field(b"\x2a", dec.to_bytes(self.udchat_joins)),
        ]
        return b"".join((*counts, *flows))

    @staticmethod
    def decode(stored: bytes) -> Totals:
        r = pb.BridgeTotals.FromString(stored)
        return Totals(
            r.bundles_executed, r.bundles_failed, r.udchat_to_chat, dec.from_bytes(r.udchat_tipped),
            dec.from_bytes(r.udchat_joins),
        )  # fmt: skip


class BridgeParams(NamedTuple):
    starter_messages: int
    starter_bytes: int
    messages_per_dchat: int
    bytes_per_dchat: int
    receipt_blocks: int
    unordered_expiry_blocks_max: int
    registration_price: int

    def encode(self) -> bytes:
        tags = (b"\x08", b"\x10", b"\x18", b"\x20", b"\x28", b"\x30", b"\x38")
        return b"".join([uint_field(tag, value) for tag, value in zip(tags, self, strict=True)])

    @staticmethod
    def decode(stored: bytes) -> BridgeParams:
        r = pb.BridgeParams.FromString(stored)
        return BridgeParams(
            r.starter_messages, r.starter_bytes, r.messages_per_dchat, r.bytes_per_dchat, r.receipt_blocks,
            r.unordered_expiry_blocks_max, r.registration_price,
        )  # fmt: skip


ESCROW_ADDRESS: Final = sha256(b"dchat/module/bridge")[:ADDRESS_BYTES]  # no key policy hashes to it

HEIGHT_BYTES: Final = 8
RECEIPT: Final = Key.of(b"be", bytes)  # ‖ replay id -> Receipt
TOTALS: Final = Key.of(b"bt", Totals)
PARAMS: Final = Key.sure(b"bp", BridgeParams)
QUEUE: Final = Key.of(b"Bq", bytes)  # side: ‖ height ‖ replay id of one of its receipts -> who signed, 20 bytes each
BY_SIGNER: Final = Key.of(b"BR", bytes)  # side: ‖ address ‖ height ‖ replay id of a receipt
BACKLOG: Final = Key.of(b"bQ", bytes)  # -> height ‖ replay id of the last receipt that was removed; absent: none was
