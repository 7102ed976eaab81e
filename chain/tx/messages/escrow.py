"""Money that waits, and what a bundle goes by: escrows, conditions, attestations; references to earlier legs.

Stateless, and known to both sides: what a condition says is asked of both machines, by the bridge.
Source: proto/dchat/v1/tx.proto; docs/escrows.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.codec import UINT64_MAX
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import BRIDGE, Kind
from chain.tx.messages.kinds.fields import check_address, check_amount, check_channel
from chain.tx.messages.payments import Denom, read_denom
from crypto.hash import ADDRESS_BYTES, HASH_BYTES, sha256
from proto.dchat.v1 import tx_pb2 as pb

PARTIES_MAX: Final = 8  # as many as sign a transaction
SHARES_MAX: Final = 7  # as many as sign a transaction, with who opens it
CONDITIONS_MAX: Final = 4  # all of them are asked in one leg
LEGS_MAX: Final = 32  # of a bundle

GAS_CONDITION: Final = 6_000  # a record that nobody had read lately; of a message, its content hashed
GAS_OPEN: Final = 2 * gas.GAS_MESSAGE + 2 * gas.GAS_STAYS + gas.GAS_LATER  # it stays a year at most, under every party
GAS_SHARE: Final = gas.GAS_STAYS + 2 * gas.GAS_MESSAGE  # it is found by its payer, and perhaps paid back in the end
GAS_ATTEST: Final = gas.GAS_MESSAGE + gas.GAS_NEW_LEAF + gas.GAS_LATER


class BalanceAtLeast(NamedTuple):
    """denom: None, udchat."""

    address: bytes
    amount: int
    denom: Denom | None = None


class MemberOf(NamedTuple):
    channel_id: bytes
    member: bytes


class Posted(NamedTuple):
    channel_id: bytes
    author: bytes  # empty: anybody
    content_hash: bytes


class Attested(NamedTuple):
    attester: bytes
    statement: bytes


class TimeFrom(NamedTuple):
    time_ns: int


class TimeBefore(NamedTuple):
    time_ns: int


Condition: TypeAlias = BalanceAtLeast | MemberOf | Posted | Attested | TimeFrom | TimeBefore


class MessagePlace(NamedTuple):
    """leg: index + 1 of the earlier leg that posted it; 0: it stands at `index`."""

    index: int = 0  # type: ignore[assignment]  # the field's name; tuple.index is not used
    leg: int = 0


class EscrowReference(NamedTuple):
    """leg: index + 1 of the earlier leg that opened it; 0: the id counts."""

    id: bytes = b""
    leg: int = 0


class OpenEscrow(NamedTuple):
    """denom: None, udchat."""

    sender: bytes
    recipient: bytes  # empty: whom the release names
    amount: int
    deadline_time_ns: int
    parties: tuple[bytes, ...] = ()
    threshold: int = 0
    arbiter: bytes = b""
    conditions: tuple[Condition, ...] = ()
    denom: Denom | None = None


class EscrowShare(NamedTuple):
    payer: bytes
    amount: int


class OpenSharedEscrow(NamedTuple):
    """terms: what the same sender pays now, and what holds for all of it."""

    sender: bytes
    terms: OpenEscrow
    shares: tuple[EscrowShare, ...]
    pay_until_time_ns: int


class PayShare(NamedTuple):
    """denom: None, udchat."""

    payer: bytes
    escrow: EscrowReference
    denom: Denom | None
    amount: int


class ReleaseEscrow(NamedTuple):
    """amount: 0, all that is left. denom: what it is of; None: udchat."""

    sender: bytes
    escrow: EscrowReference
    amount: int = 0
    recipient: bytes = b""  # empty: the escrow's
    messages: tuple[MessagePlace, ...] = ()
    denom: Denom | None = None


class Require(NamedTuple):
    sender: bytes
    condition: Condition
    message: MessagePlace | None = None


class Attest(NamedTuple):
    attester: bytes
    statement: bytes
    until_time_ns: int  # 0: it is withdrawn


_HasDenom: TypeAlias = pb.BalanceCondition | pb.OpenEscrow | pb.PayShare | pb.ReleaseEscrow
EscrowMessage: TypeAlias = OpenEscrow | OpenSharedEscrow | PayShare | ReleaseEscrow | Require | Attest


def escrow_id(replay_id: bytes, leg: int) -> bytes:
    """32 bytes, known as soon as its transaction is signed. leg: index of the leg that opens it."""
    return sha256(b"dchat/escrow" + replay_id + leg.to_bytes(4, "big"))


# ------------------------------------------------------------------------------ conditions


def read_condition(where: str, m: pb.Condition) -> Condition:
    """Raises: InvalidField."""
    match m.WhichOneof("kind"):
        case "balance":
            check_address(f"{where}.balance.address", m.balance.address)
            check_amount(f"{where}.balance", m.balance.amount)
            return BalanceAtLeast(m.balance.address, m.balance.amount, _denom(f"{where}.balance", m.balance))
        case "membership":
            check_channel(f"{where}.membership", m.membership.channel_id)
            check_address(f"{where}.membership.member", m.membership.member)
            return MemberOf(m.membership.channel_id, m.membership.member)
        case "posted":
            check_channel(f"{where}.posted", m.posted.channel_id)
            if m.posted.author:
                check_address(f"{where}.posted.author", m.posted.author)
            _check_hash(f"{where}.posted.content_hash", m.posted.content_hash)
            return Posted(m.posted.channel_id, m.posted.author, m.posted.content_hash)
        case "attested":
            check_address(f"{where}.attested.attester", m.attested.attester)
            _check_hash(f"{where}.attested.statement", m.attested.statement)
            return Attested(m.attested.attester, m.attested.statement)
        case "time_from_ns" if m.time_from_ns:
            return TimeFrom(m.time_from_ns)
        case "time_before_ns" if m.time_before_ns:
            return TimeBefore(m.time_before_ns)
        case _:
            raise InvalidField(f"{where}: a balance, membership, posted, attested, or a time above 0")


def fill_condition(out: pb.Condition, condition: Condition) -> None:
    match condition:
        case BalanceAtLeast(address, amount, denom):
            out.balance.address, out.balance.amount = address, amount
            _fill_denom(out.balance, denom)
        case MemberOf(channel, member):
            out.membership.channel_id, out.membership.member = channel, member
        case Posted(channel, author, content_hash):
            out.posted.channel_id, out.posted.author, out.posted.content_hash = channel, author, content_hash
        case Attested(attester, statement):
            out.attested.attester, out.attested.statement = attester, statement
        case TimeFrom(time_ns):
            out.time_from_ns = time_ns
        case TimeBefore(time_ns):
            out.time_before_ns = time_ns


def _denom(where: str, m: _HasDenom) -> Denom | None:
    return read_denom(where, m.denom) if m.HasField("denom") else None


def _fill_denom(out: _HasDenom, denom: Denom | None) -> None:
    if denom is not None:
        out.denom.creator, out.denom.sub = denom


def _check_hash(where: str, value: bytes) -> None:
    if len(value) != HASH_BYTES:
        raise InvalidField(f"{where}: {len(value)} bytes, expected {HASH_BYTES}")


def _place(where: str, m: pb.MessagePlace) -> MessagePlace:
    if m.leg > LEGS_MAX or (m.leg and m.index):
        raise InvalidField(f"{where}: an index, or a leg of 1 to {LEGS_MAX}")
    return MessagePlace(m.index, m.leg)


def _fill_place(out: pb.MessagePlace, place: MessagePlace) -> None:
    out.index, out.leg = place


# ------------------------------------------------------------------------------ messages


def open_escrow(m: pb.OpenEscrow) -> OpenEscrow:
    return _read_open("open_escrow", m)


def _read_open(where: str, m: pb.OpenEscrow) -> OpenEscrow:
    check_address(f"{where}.sender", m.sender)
    check_amount(where, m.amount)
    for name, value in (("recipient", m.recipient), ("arbiter", m.arbiter)):
        if value:
            check_address(f"{where}.{name}", value)
    for name, value in (("recipient", m.recipient), ("arbiter", m.arbiter)):
        if value == m.sender:
            raise InvalidField(f"{where}.{name}: the sender itself")
    if len(m.parties) > PARTIES_MAX or len(m.conditions) > CONDITIONS_MAX:
        raise InvalidField(f"{where}: at most {PARTIES_MAX} parties and {CONDITIONS_MAX} conditions")
    parties = tuple(m.parties)
    _check_parties(f"{where}.parties", parties, m.threshold)
    conditions = tuple([read_condition(f"{where}.conditions", one) for one in m.conditions])
    if conditions and not m.recipient:
        raise InvalidField(f"{where}.recipient: what conditions release has one")
    if not (parties or m.arbiter or conditions):
        raise InvalidField(f"{where}: nobody's word and no condition would release it")
    return OpenEscrow(
        m.sender, m.recipient, m.amount, m.deadline_time_ns, parties, m.threshold, m.arbiter, conditions,
        _denom(where, m),
    )  # fmt: skip


def open_shared_escrow(m: pb.OpenSharedEscrow) -> OpenSharedEscrow:
    where = "open_shared_escrow"
    if not 1 <= len(m.shares) <= SHARES_MAX:
        raise InvalidField(f"{where}.shares: {len(m.shares)}, allowed: 1 to {SHARES_MAX}")
    terms = _read_open(f"{where}.terms", m.terms)
    if terms.sender != m.sender:
        raise InvalidField(f"{where}.terms.sender: another than the sender")
    shares = tuple([EscrowShare(share.payer, share.amount) for share in m.shares])
    payers = [payer for payer, _ in shares]
    if any(len(payer) != ADDRESS_BYTES for payer in payers) or payers != sorted(set(payers)):
        raise InvalidField(f"{where}.shares: payers of {ADDRESS_BYTES} bytes each, ascending, no repeats")
    if not {terms.sender, terms.recipient, terms.arbiter}.isdisjoint(payers):
        raise InvalidField(f"{where}.shares: the sender, the recipient and the arbiter have none")
    for _, amount in shares:
        check_amount(f"{where}.shares", amount)
    if terms.amount + sum(amount for _, amount in shares) > UINT64_MAX:
        raise InvalidField(f"{where}.shares: above {UINT64_MAX} together with the sender's")
    if m.pay_until_time_ns >= terms.deadline_time_ns:
        raise InvalidField(f"{where}.pay_until_time_ns: not before the deadline")
    return OpenSharedEscrow(terms.sender, terms, shares, m.pay_until_time_ns)


def pay_share(m: pb.PayShare) -> PayShare:
    where = "pay_share"
    check_address(f"{where}.payer", m.payer)
    check_amount(where, m.amount)
    return PayShare(m.payer, _reference(where, m.escrow), _denom(where, m), m.amount)


def _reference(where: str, m: pb.EscrowReference) -> EscrowReference:
    if bool(m.id) == bool(m.leg) or m.leg > LEGS_MAX:
        raise InvalidField(f"{where}.escrow: an id, or a leg of 1 to {LEGS_MAX}")
    if m.id:
        _check_hash(f"{where}.escrow.id", m.id)
    return EscrowReference(m.id, m.leg)


def _check_parties(where: str, parties: tuple[bytes, ...], threshold: int) -> None:
    if any(len(party) != ADDRESS_BYTES for party in parties) or list(parties) != sorted(set(parties)):
        raise InvalidField(f"{where}: of {ADDRESS_BYTES} bytes each, ascending, no repeats")
    if not bool(parties) <= threshold <= len(parties):
        raise InvalidField(f"{where}: a threshold of 1 to as many as there are; 0 without parties")


def release_escrow(m: pb.ReleaseEscrow) -> ReleaseEscrow:
    where = "release_escrow"
    check_address(f"{where}.sender", m.sender)
    reference = _reference(where, m.escrow)
    if m.recipient:
        check_address(f"{where}.recipient", m.recipient)
    if len(m.messages) > CONDITIONS_MAX:
        raise InvalidField(f"{where}.messages: at most {CONDITIONS_MAX}")
    places = tuple([_place(f"{where}.messages", one) for one in m.messages])
    denom = _denom(where, m)
    if denom is not None and not m.amount:
        raise InvalidField(f"{where}.denom: of an amount, and there is none")
    return ReleaseEscrow(m.sender, reference, m.amount, m.recipient, places, denom)


def require(m: pb.Require) -> Require:
    check_address("require.sender", m.sender)
    condition = read_condition("require.condition", m.condition)
    place = _place("require.message", m.message) if m.HasField("message") else None
    if (place is not None) != isinstance(condition, Posted):
        raise InvalidField("require.message: where the posted message stands, and of no other condition")
    return Require(m.sender, condition, place)


def attest(m: pb.Attest) -> Attest:
    check_address("attest.attester", m.attester)
    _check_hash("attest.statement", m.statement)
    return Attest(m.attester, m.statement, m.until_time_ns)


def fill_conditions(out: Any, conditions: Iterable[Condition]) -> None:
    """out: a repeated field."""
    for condition in conditions:
        fill_condition(out.add(), condition)


def _fill_open(out: pb.OpenEscrow, message: OpenEscrow) -> None:
    out.sender, out.recipient, out.amount = message.sender, message.recipient, message.amount
    out.deadline_time_ns, out.threshold, out.arbiter = message.deadline_time_ns, message.threshold, message.arbiter
    out.parties.extend(message.parties)
    fill_conditions(out.conditions, message.conditions)
    _fill_denom(out, message.denom)


def _fill_shared(out: pb.OpenSharedEscrow, message: OpenSharedEscrow) -> None:
    out.sender = message.sender
    _fill_open(out.terms, message.terms)
    out.pay_until_time_ns = message.pay_until_time_ns
    for payer, amount in message.shares:
        out.shares.add(payer=payer, amount=amount)


def _fill_share(out: pb.PayShare, message: PayShare) -> None:
    out.payer, out.amount = message.payer, message.amount
    out.escrow.id, out.escrow.leg = message.escrow
    _fill_denom(out, message.denom)


def _fill_release(out: pb.ReleaseEscrow, message: ReleaseEscrow) -> None:
    out.sender, out.amount, out.recipient = message.sender, message.amount, message.recipient
    out.escrow.id, out.escrow.leg = message.escrow
    for place in message.messages:
        _fill_place(out.messages.add(), place)
    _fill_denom(out, message.denom)


def _fill_require(out: pb.Require, message: Require) -> None:
    out.sender = message.sender
    fill_condition(out.condition, message.condition)
    if message.message is not None:
        out.message.SetInParent()
        _fill_place(out.message, message.message)


KINDS: Final = (
    Kind(
        "open_escrow", open_escrow, OpenEscrow, BRIDGE, GAS_OPEN, _fill_open,
        lambda message: len(message.parties) + len(message.conditions), new_gas=gas.GAS_STAYS,
    ),
    Kind(
        "open_shared_escrow", open_shared_escrow, OpenSharedEscrow, BRIDGE, GAS_OPEN, _fill_shared,
        lambda message: len(message.shares), gas_each=GAS_SHARE, new_gas=gas.GAS_STAYS,
    ),
    Kind("pay_share", pay_share, PayShare, BRIDGE, 3 * gas.GAS_MESSAGE, _fill_share, new_gas=0),
    Kind(
        "release_escrow", release_escrow, ReleaseEscrow, BRIDGE,
        2 * gas.GAS_MESSAGE + CONDITIONS_MAX * GAS_CONDITION, _fill_release, lambda message: len(message.messages),
        new_gas=gas.GAS_STAYS,
    ),
    Kind("require", require, Require, BRIDGE, GAS_CONDITION, _fill_require),
    Kind("attest", attest, Attest, BRIDGE, GAS_ATTEST),
)  # fmt: skip
