"""The bridge store's records of escrows and attestations. Immutable; proto/dchat/v1/state.proto."""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.currency.denominations.records import units
from chain.currency.ledger import dec
from chain.currency.staking.queues import TimeQueue
from chain.kernel.branch import Decoders, Key, RecordKind, decoders_of
from chain.kernel.event_text import coins
from chain.kernel.items import FailedItems
from chain.tx.codec import bytes_field, uint_field
from chain.tx.messages.escrow import Condition, fill_conditions, read_condition
from chain.tx.messages.payments import Denom
from consensus.formats.units import NS_PER_S
from proto.dchat.v1 import state_pb2 as pb

AHEAD_NS_MAX: Final = 366 * 86_400 * NS_PER_S  # state that somebody paid for once goes after a year


class Word(NamedTuple):
    """What a party would have paid. epoch: the party's."""

    party: bytes
    recipient: bytes
    amount: int
    epoch: int = 0


class Share(NamedTuple):
    """What another than the sender pays, or has paid."""

    payer: bytes
    amount: int
    paid: bool


class Escrow(NamedTuple):
    """left: what it holds of the `amount` of all payers. words: of parties, since something was last paid. denom: None,
    udchat. pay_until_ns: while shares are missing; 0: all have paid."""

    sender: bytes
    recipient: bytes  # empty: whom the release names
    amount: int
    left: int
    deadline_ns: int
    parties: tuple[bytes, ...]
    threshold: int
    arbiter: bytes
    conditions: tuple[Condition, ...]
    words: tuple[Word, ...]
    opened_height: int
    denom: Denom | None = None
    shares: tuple[Share, ...] = ()
    pay_until_ns: int = 0

    @property
    def everybody(self) -> frozenset[bytes]:
        """Whom it concerns: under each of them it is found."""
        payers = [share.payer for share in self.shares]
        return frozenset({self.sender, self.recipient, self.arbiter, *self.parties, *payers}) - {b""}

    @property
    def due_ns(self) -> int:
        """When what is left goes back."""
        return self.pay_until_ns or self.deadline_ns

    @property
    def paid_in(self) -> int:
        return self.amount - sum(share.amount for share in self.shares if not share.paid)

    def back(self) -> list[tuple[bytes, int]]:
        """(payer, what it gets) of all that is left: what it paid, or as much of it as its part of what all paid. What
        cannot be divided is the sender's."""
        paid = [(share.payer, share.amount) for share in self.shares if share.paid]
        parts = [(payer, self.left * amount // self.paid_in) for payer, amount in paid]
        return [(self.sender, self.left - sum(part for _, part in parts)), *parts]

    def said(self, amount: int) -> str:
        """An amount of it, for people."""
        return coins(amount) if self.denom is None else units(amount, self.denom)

    def encode(self) -> bytes:
        record = pb.Escrow(
            sender=self.sender, recipient=self.recipient, amount=self.amount, left=self.left,
            deadline_time_ns=self.deadline_ns, parties=self.parties, threshold=self.threshold, arbiter=self.arbiter,
            opened_height=self.opened_height, denom_creator=self.denom.creator if self.denom else b"",
            denom_sub=self.denom.sub if self.denom else "", pay_until_time_ns=self.pay_until_ns or None,
        )  # fmt: skip
        for payer, amount, paid in self.shares:
            record.shares.add(payer=payer, amount=amount, paid=paid)
        fill_conditions(record.conditions, self.conditions)
        for party, recipient, amount, epoch in self.words:
            record.words.add(party=party, recipient=recipient, amount=amount, epoch=epoch)
        return record.SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Escrow:
        r = pb.Escrow.FromString(stored)
        return Escrow(
            r.sender, r.recipient, r.amount, r.left, r.deadline_time_ns, tuple(r.parties), r.threshold, r.arbiter,
            tuple([read_condition("stored", one) for one in r.conditions]),
            tuple([Word(word.party, word.recipient, word.amount, word.epoch) for word in r.words]), r.opened_height,
            Denom(r.denom_creator, r.denom_sub) if r.denom_creator else None,
            tuple([Share(share.payer, share.amount, share.paid) for share in r.shares]), r.pay_until_time_ns,
        )  # fmt: skip


class EscrowTotals(NamedTuple):
    """opened: since genesis; open: of these, now; held: udchat in them. What was paid out are flows of udchat: the same
    money may pass again and again, so that nothing bounds them."""

    opened: int = 0
    open: int = 0
    held: int = 0
    released: int = 0
    given_back: int = 0
    refunded: int = 0

    def encode(self) -> bytes:
        counts = [uint_field(tag, value) for tag, value in zip((b"\x08", b"\x10", b"\x18"), self, strict=False)]
        flows = [
            bytes_field(tag, dec.to_bytes(value))
            for tag, value in zip((b"\x22", b"\x2a", b"\x32"), self[3:], strict=True)
        ]
        return b"".join((*counts, *flows))

    @staticmethod
    def decode(stored: bytes) -> EscrowTotals:
        r = pb.EscrowTotals.FromString(stored)
        flows = (r.udchat_released, r.udchat_given_back, r.udchat_refunded)
        return EscrowTotals(r.opened, r.open, r.udchat_held, *map(dec.from_bytes, flows))


class Attestation(NamedTuple):
    """epoch: the attester's."""

    until_ns: int
    height: int
    epoch: int = 0

    def encode(self) -> bytes:
        numbers = (self.until_ns, self.height, self.epoch)
        return b"".join(
            [uint_field(tag, value) for tag, value in zip((b"\x08", b"\x10", b"\x18"), numbers, strict=True)]
        )

    @staticmethod
    def decode(stored: bytes) -> Attestation:
        r = pb.Attestation.FromString(stored)
        return Attestation(r.until_time_ns, r.height, r.epoch)


ESCROW: Final = Key.of(b"bE", Escrow)  # ‖ id
TOTALS: Final = Key.of(b"bT", EscrowTotals)  # absent until the first is opened
BY_PARTY: Final = Key.of(b"BP", bytes)  # side: ‖ address ‖ id
ATTESTATION: Final = Key.of(b"bA", Attestation)  # ‖ attester ‖ statement
FAILED: Final = FailedItems(b"bF")  # ‖ queue ‖ item
DEADLINES: Final = TimeQueue(Key.of(b"BE", bytes), Key.of(b"Be", bytes))  # side: ‖ time ‖ id
ENDS: Final = TimeQueue(Key.of(b"BA", bytes), Key.of(b"Ba", bytes))  # side: ‖ time ‖ attester ‖ statement
DECODERS: Final[Decoders] = decoders_of(ESCROW, TOTALS, ATTESTATION, FAILED.prefix)

ESCROWS: Final = RecordKind(ESCROW, pb.Escrow, "the escrow")
ESCROWED: Final = RecordKind(TOTALS, pb.EscrowTotals, "the record of what escrows hold")
ATTESTATIONS: Final = RecordKind(ATTESTATION, pb.Attestation, "the attestation")
