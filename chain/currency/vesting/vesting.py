"""Vesting: what a funder gives an account becomes its own with block time; the rest waits in the chain's own keeping.

A vesting is a record of its own, and its udchat lie in one account of the chain until they are paid: so what has not
vested cannot be paid away, staked or slashed, no account of anybody is changed by a stranger who funds one, an account
can have any number of them, and taking back what is unvested takes exactly that (docs/decisions/0014). A block does
nothing for them: whoever wants what has vested to be paid sends a claim, and pays its fee.
Source: Cosmos SDK v0.50, x/auth/vesting; what went wrong there: its issues 2168, 10712, 9959 and SDK 2024-003.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from chain.currency.ledger import bank
from chain.currency.ledger.bank import VESTING
from chain.currency.ledger.records import ACCOUNT
from chain.currency.ledger.stake_records import MARK
from chain.kernel.branch import Decoders, Key, Readable, RecordKind, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, some, time_text
from chain.tx.codec import height_bytes
from chain.tx.errors import RecipientRefused
from chain.tx.messages.payments import ClaimVested, ClawBack, CreateVesting
from chain.tx.vesting_errors import NoClawback, NothingVested, NoVesting, VestingExists, VestingTooFar
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb
from proto.dchat.v1 import tx_pb2

AHEAD_NS_MAX: Final = 10 * 366 * 86_400 * NS_PER_S  # that a vesting may begin: a date mistaken locks for ever

Periods = tuple[tuple[int, int], ...]  # (length in s, udchat), one after another


class Vesting(NamedTuple):
    """amount: udchat in all, of which `paid` went to the recipient. linear: its one period vests evenly; else each
    period's part vests at its end. clawback: the funder may take back what has not vested."""

    amount: int
    paid: int
    start_ns: int
    linear: bool
    clawback: bool
    periods: Periods

    def vested_at(self, time_ns: int) -> int:
        """udchat, of which `paid` are not there any more."""
        if self.linear:
            length_ns = self.periods[0][0] * NS_PER_S
            gone_ns = min(max(time_ns - self.start_ns, 0), length_ns)
            return self.amount * gone_ns // length_ns
        vested, end_ns = 0, self.start_ns
        for length_s, part in self.periods:
            end_ns += length_s * NS_PER_S
            if time_ns < end_ns:
                break
            vested += part
        return vested

    @property
    def end_ns(self) -> int:
        return self.start_ns + sum(length_s for length_s, _ in self.periods) * NS_PER_S

    def encode(self) -> bytes:
        periods = [tx_pb2.VestingPeriod(length_s=length_s, amount=part) for length_s, part in self.periods]
        return pb.Vesting(
            amount=self.amount, paid=self.paid, start_ns=self.start_ns, linear=self.linear, clawback=self.clawback,
            periods=periods,
        ).SerializeToString(deterministic=True)  # fmt: skip

    @staticmethod
    def decode(stored: bytes) -> Vesting:
        r = pb.Vesting.FromString(stored)
        periods = tuple([(period.length_s, period.amount) for period in r.periods])
        return Vesting(r.amount, r.paid, r.start_ns, r.linear, r.clawback, periods)


VESTINGS: Final = Key.of(b"ux", Vesting)  # ‖ recipient ‖ funder ‖ number, 8 bytes
BY_FUNDER: Final = Key.of(b"Uk", bytes)  # side: ‖ funder ‖ recipient ‖ number
DECODERS: Final[Decoders] = decoders_of(VESTINGS)
VESTING_KIND: Final = RecordKind(VESTINGS, pb.Vesting, "the vesting")


def name_of(recipient: bytes, funder: bytes, number: int) -> bytes:
    """Under which a vesting lies."""
    return recipient + funder + height_bytes(number)


def by_funder(name: bytes) -> bytes:
    """Under which it is found; of that, the name."""
    return name[ADDRESS_BYTES : 2 * ADDRESS_BYTES] + name[:ADDRESS_BYTES] + name[2 * ADDRESS_BYTES :]


def _begin(state: State, name: bytes, vesting: Vesting) -> None:
    state.set(VESTINGS + name, vesting)
    state.set(BY_FUNDER + by_funder(name), MARK)


def _end(state: State, name: bytes) -> None:
    state.set(VESTINGS + name, None)
    state.set(BY_FUNDER + by_funder(name), None)


def _told(name: bytes) -> dict[str, str]:
    number = int.from_bytes(name[2 * ADDRESS_BYTES :], "big")
    return {
        "recipient": account(name[:ADDRESS_BYTES]),
        "funder": account(name[ADDRESS_BYTES : 2 * ADDRESS_BYTES]),
        "number": str(number),
    }


def _require(state: Readable, name: bytes) -> Vesting:
    found = state.get(VESTINGS + name)
    if found is None:
        told = _told(name)
        raise NoVesting(f"number {told['number']} of {told['funder']} for {told['recipient']}")
    return found


def create_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def create_vesting(ctx: Context, message: CreateVesting) -> Leg:
        branch = ctx.branch
        if message.recipient in refused:
            raise RecipientRefused(account(message.recipient))
        start_ns = message.start_ns or ctx.time_ns
        if start_ns > ctx.time_ns + AHEAD_NS_MAX:
            raise VestingTooFar(time_text(start_ns))
        name = name_of(message.recipient, message.funder, message.number)
        if branch.get(VESTINGS + name) is not None:
            raise VestingExists(f"number {message.number}")
        vesting = Vesting(message.amount, 0, start_ns, message.linear, message.clawback, message.periods)
        bank.move(branch, sender=message.funder, recipient=VESTING, amount=message.amount)
        _begin(branch, name, vesting)
        told = {"amount": coins(message.amount), "end_time": time_text(vesting.end_ns)}
        branch.emit(Event.of("create_vesting", **_told(name), **told))
        return Leg("create_vesting", message.amount, message.recipient, message.number)

    return create_vesting


def claim(ctx: Context, message: ClaimVested) -> Leg:
    """Anybody may send it: it goes to the recipient."""
    name = name_of(message.recipient, message.funder, message.number)
    vesting = _require(ctx.branch, name)
    paid = vesting.vested_at(ctx.time_ns) - vesting.paid
    if not paid:
        raise NothingVested(f"next by {time_text(vesting.end_ns)}")
    _pay(ctx, name, vesting, paid)
    return Leg("claim_vested", paid, message.recipient, message.number)


def claw_back(ctx: Context, message: ClawBack) -> Leg:
    """What has vested is the recipient's, and is paid."""
    name = name_of(message.recipient, message.funder, message.number)
    vesting = _require(ctx.branch, name)
    if not vesting.clawback:
        raise NoClawback(f"number {message.number}")
    vested = vesting.vested_at(ctx.time_ns)
    if vested > vesting.paid:
        _pay(ctx, name, vesting, vested - vesting.paid)
    back = vesting.amount - vested
    bank.pay_out(ctx.branch, pool=VESTING, recipient=message.funder, amount=back)
    _end(ctx.branch, name)
    ctx.branch.emit(Event.of("claw_back", **_told(name), amount=coins(back)))
    return Leg("claw_back", back, message.recipient, message.number)


def _pay(ctx: Context, name: bytes, vesting: Vesting, amount: int) -> None:
    branch, recipient = ctx.branch, name[:ADDRESS_BYTES]
    if branch.get(ACCOUNT + recipient) is None:
        ctx.new_leaf()
    bank.pay_out(branch, pool=VESTING, recipient=recipient, amount=amount)
    paid = vesting.paid + amount
    if paid < vesting.amount:
        branch.set(VESTINGS + name, vesting._replace(paid=paid))
    else:
        _end(branch, name)
    branch.emit(Event.of("claim_vested", **_told(name), amount=coins(amount)))


def genesis(state: State, vestings: Mapping[bytes, Vesting]) -> None:
    """vestings: by name. The supply is the caller's to state."""
    for name in sorted(vestings):
        _begin(state, name, vestings[name])
    bank.credit(state, VESTING, sum(vesting.amount for vesting in vestings.values()))


def handlers(refused: frozenset[bytes]) -> dict[type[Any], Handler]:
    return {CreateVesting: create_handler(refused), ClaimVested: claim, ClawBack: claw_back}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    promised, count, wrong = 0, 0, []
    named = {key[len(BY_FUNDER) :] for key, _ in scan(BY_FUNDER)}
    for key, vesting in scan(VESTINGS):
        promised += vesting.amount - vesting.paid
        count += 1
        parts = sum(part for _, part in vesting.periods)
        found_by = by_funder(key[len(VESTINGS) :])
        if not 0 <= vesting.paid < vesting.amount or parts != vesting.amount or found_by not in named:
            wrong.append(key.hex())
        named.discard(found_by)
    held = bank.held(state, VESTING)
    yield "currency: what vests is held", held == promised, f"held {held} udchat, promised {promised} udchat"
    yield "currency: each vesting has something left, in its parts", not wrong, f"{count}, wrong: {some(wrong)}"
    yield "currency: no funder without a vesting", not named, some([at.hex() for at in sorted(named)])
