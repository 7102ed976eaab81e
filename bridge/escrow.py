"""Escrows: udchat of one account that the bridge holds until others say so, conditions hold, or a deadline has come.

Held by the bridge's own account, each counted by itself. Until the deadline whoever the escrow names releases all or
part of it; in a block whose time has reached it nobody does any more, and what is left goes back at the end of that
block or, where more is due than a block's budget, of the next ones, oldest first. So no word and no refund ever meet.
Source: docs/escrows.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from bridge import conditions
from bridge.escrow_records import (
    ATTESTATION,
    BY_PARTY,
    DEADLINES,
    ENDS,
    ESCROW,
    FAILED,
    TOTALS,
    Attestation,
    Escrow,
    EscrowTotals,
    Word,
)
from bridge.records import ESCROW_ADDRESS
from chain.chat.ledger.records import require_identity
from chain.currency import machine as currency
from chain.currency.ledger import bank
from chain.currency.ledger.stake_records import Now
from chain.kernel.branch import Branch, Readable, Scan
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, some, time_text
from chain.kernel.modules import BlockContext
from chain.tx import gas
from chain.tx.errors import (
    AttestationEndRefused,
    ConditionFails,
    EscrowDeadlineRefused,
    EscrowHoldsLess,
    EscrowOver,
    EscrowRecipientRefused,
    EscrowTooSmall,
    NotAttested,
    NotEscrowParty,
    RecipientRefused,
    UnknownEscrow,
)
from chain.tx.messages.escrow import (
    GAS_ATTEST,
    GAS_OPEN,
    Attest,
    EscrowReference,
    OpenEscrow,
    ReleaseEscrow,
    Require,
    escrow_id,
)
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES

UDCHAT_MIN: Final = 10_000  # 0.01 DCHAT: what is kept, paid and paid back is worth the work
AHEAD_NS_MAX: Final = 366 * 86_400 * NS_PER_S  # state that somebody paid for once goes after a year
TIME_BYTES: Final = 8
MARK: Final = b"\x01"


def totals_of(state: Readable) -> EscrowTotals:
    return state.get(TOTALS) or EscrowTotals()


def handlers(refused: frozenset[bytes]) -> dict[type[Any], Handler]:
    """refused: accounts of the chain itself, which nobody pays."""

    def open_(ctx: Context, message: OpenEscrow) -> Leg:
        if message.recipient in refused:
            raise RecipientRefused("an escrow's")
        return open_escrow(ctx, message)

    def release(ctx: Context, message: ReleaseEscrow) -> Leg:
        if message.recipient in refused:
            raise RecipientRefused("an escrow's")
        return release_escrow(ctx, message)

    return {OpenEscrow: open_, ReleaseEscrow: release, Require: conditions.require, Attest: attest}


# ------------------------------------------------------------------------------ messages


def open_escrow(ctx: Context, message: OpenEscrow) -> Leg:
    """Raises: EscrowTooSmall, EscrowDeadlineRefused, Overspend."""
    branch, sender, amount = ctx.branch, message.sender, message.amount
    if amount < UDCHAT_MIN:
        raise EscrowTooSmall(f"{amount} udchat, the minimum is {UDCHAT_MIN} udchat")
    if not ctx.time_ns < message.deadline_time_ns <= ctx.time_ns + AHEAD_NS_MAX:
        raise EscrowDeadlineRefused(f"at most {AHEAD_NS_MAX // NS_PER_S} s after the block's time")
    key = escrow_id(ctx.replay_id, len(ctx.legs))
    assert branch.get(ESCROW + key) is None, "a leg opens one, and no message carries legs of this kind (`exec`)"
    escrow = Escrow(
        sender, message.recipient, amount, amount, message.deadline_time_ns, message.parties, message.threshold,
        message.arbiter, message.conditions, (), ctx.height,
    )  # fmt: skip
    branch.set(ESCROW + key, escrow)
    for party in sorted(escrow.everybody):
        branch.set(BY_PARTY + party + key, MARK)
    DEADLINES.push(branch, escrow.deadline_ns, key)
    currency.transfer(ctx, sender=sender, recipient=ESCROW_ADDRESS, amount=amount)
    totals = totals_of(branch)
    branch.set(
        TOTALS, totals._replace(opened=totals.opened + 1, open=totals.open + 1, held=totals.held + amount)
    )  # fmt: skip
    told = {"sender": account(sender), "recipient": _who(message.recipient), "amount": coins(amount)}
    branch.emit(Event.of("open_escrow", escrow_id=key.hex(), **told, deadline=time_text(escrow.deadline_ns)))
    return Leg("open_escrow", amount, key)


def release_escrow(ctx: Context, message: ReleaseEscrow) -> Leg:
    """Raises: UnknownEscrow, EscrowOver, EscrowHoldsLess, EscrowTooSmall, EscrowRecipientRefused, NotEscrowParty,
    ConditionFails, NoSuchLeg.
    """
    key = _named(ctx, message.escrow)
    escrow = require_escrow(ctx.branch, key)
    if ctx.time_ns >= escrow.deadline_ns:
        raise EscrowOver(f"it was {time_text(escrow.deadline_ns)}")
    amount = message.amount or escrow.left
    if amount > escrow.left:
        raise EscrowHoldsLess(f"{escrow.left} udchat, not {amount} udchat")
    if amount < UDCHAT_MIN or 0 < escrow.left - amount < UDCHAT_MIN:
        raise EscrowTooSmall(f"{amount} udchat of {escrow.left} udchat, the minimum is {UDCHAT_MIN} udchat")
    recipient = message.recipient or escrow.recipient
    if recipient not in (escrow.recipient or recipient, escrow.sender) or not recipient:
        raise EscrowRecipientRefused(_who(recipient))
    if not _decides(ctx, escrow, message, recipient=recipient, amount=amount):
        words, alike = _with_word(escrow, Word(message.sender, recipient, amount))
        if alike < escrow.threshold:
            ctx.branch.set(ESCROW + key, escrow._replace(words=words))
            told = {"party": account(message.sender), "recipient": account(recipient), "amount": coins(amount)}
            ctx.branch.emit(
                Event.of("escrow_word", escrow_id=key.hex(), **told, words=f"{alike}/{escrow.threshold}")
            )  # fmt: skip
            return Leg("release_escrow", 0, key)
    currency.transfer(ctx, sender=ESCROW_ADDRESS, recipient=recipient, amount=amount)
    _paid(ctx.branch, key, escrow, amount, "given_back" if recipient == escrow.sender else "released")
    told = {"sender": account(message.sender), "recipient": account(recipient), "amount": coins(amount)}
    left = coins(escrow.left - amount)
    ctx.branch.emit(Event.of("release_escrow", escrow_id=key.hex(), **told, left=left))
    return Leg("release_escrow", amount, key)


def require_escrow(state: Readable, key: bytes) -> Escrow:
    """Raises: UnknownEscrow."""
    found = state.get(ESCROW + key)
    if found is None:
        raise UnknownEscrow(key.hex())
    return found


def _named(ctx: Context, reference: EscrowReference) -> bytes:
    return conditions.earlier_leg(ctx, reference.leg, "open_escrow").subject if reference.leg else reference.id


def _decides(ctx: Context, escrow: Escrow, message: ReleaseEscrow, *, recipient: bytes, amount: int) -> bool:
    """Whether it is paid now, whatever others say; False: the sender is one of the parties, whose words count."""
    who, is_back = message.sender, recipient == escrow.sender
    if who == escrow.arbiter or (is_back and who == escrow.recipient):
        return True
    if is_back:
        raise EscrowRecipientRefused(account(recipient))
    if who in escrow.parties:
        return False
    if not escrow.conditions:
        raise NotEscrowParty(account(who))
    if amount < escrow.left:
        raise ConditionFails("conditions release all that is left")
    conditions.check_all(ctx, escrow.conditions, message.messages)
    return True


def _with_word(escrow: Escrow, word: Word) -> tuple[tuple[Word, ...], int]:
    """The words with the latest of each party, and how many of them say the same."""
    words = (*[said for said in escrow.words if said.party != word.party], word)
    return words, sum(said[1:] == word[1:] for said in words)


def _paid(branch: Branch, key: bytes, escrow: Escrow, amount: int, how: str) -> None:
    """Count what left it, and forget one that is empty. Words were of what it held before: they count no more."""
    left = escrow.left - amount
    if left:
        branch.set(ESCROW + key, escrow._replace(left=left, words=()))
    else:
        branch.set(ESCROW + key, None)
        for party in sorted(escrow.everybody):
            branch.set(BY_PARTY + party + key, None)
        DEADLINES.remove(branch, escrow.deadline_ns, key)
    totals = totals_of(branch)
    changed = totals._replace(open=totals.open - (not left), held=totals.held - amount)
    branch.set(TOTALS, changed._replace(**{how: getattr(totals, how) + amount}))


def attest(ctx: Context, message: Attest) -> Leg:
    """Raises: UnknownIdentity, AttestationEndRefused, NotAttested."""
    branch, until = ctx.branch, message.until_time_ns
    require_identity(branch, message.attester)
    item = message.attester + message.statement
    before = branch.get(ATTESTATION + item)
    if until and not ctx.time_ns < until <= ctx.time_ns + AHEAD_NS_MAX:
        raise AttestationEndRefused(f"at most {AHEAD_NS_MAX // NS_PER_S} s after the block's time")
    if before is not None:
        ENDS.remove(branch, before.until_ns, item)
    elif not until:
        raise NotAttested(message.statement.hex())
    if until:
        ENDS.push(branch, until, item)
    branch.set(ATTESTATION + item, Attestation(until, ctx.height) if until else None)
    told = {"attester": account(message.attester), "statement": message.statement.hex()}
    branch.emit(Event.of("attest", **told, until=time_text(until) if until else ""))
    return Leg("attest", subject=message.statement)


def _who(address: bytes) -> str:
    return account(address) if address else ""


# ------------------------------------------------------------------------------ blocks


def end_block(ctx: BlockContext) -> Iterator[None]:
    """Refund what is past its deadline, forget attestations past their end: oldest first, what a block can add."""
    if ctx.upgraded:  # other code may cure what broke
        for queue, item, _ in FAILED.take_back(ctx.branch, ctx.scan):
            (DEADLINES if queue == DEADLINES.prefix else ENDS).put_back(ctx.branch, item)
    now, limit = Now(ctx.height, ctx.time_ns), ctx.block_gas_max
    yield from DEADLINES.work_off(
        ctx.branch, ctx.scan, now, FAILED, _refund, items_max=gas.most_of(GAS_OPEN, limit)
    )  # fmt: skip
    yield from ENDS.work_off(ctx.branch, ctx.scan, now, FAILED, _forget, items_max=gas.most_of(GAS_ATTEST, limit))


def _refund(key: bytes, branch: Branch) -> None:
    escrow = require_escrow(branch, key)
    bank.pay_out(branch, pool=ESCROW_ADDRESS, recipient=escrow.sender, amount=escrow.left)
    _paid(branch, key, escrow, escrow.left, "refunded")
    told = {"recipient": account(escrow.sender), "amount": coins(escrow.left)}
    branch.emit(Event.of("refund_escrow", escrow_id=key.hex(), **told))


def _forget(item: bytes, branch: Branch) -> None:
    branch.set(ATTESTATION + item, None)
    attester, statement = item[:ADDRESS_BYTES], item[ADDRESS_BYTES:]
    branch.emit(Event.of("attestation_over", attester=account(attester), statement=statement.hex()))


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures). That the account holds what escrows do is `bridge.machine`'s."""
    escrows: dict[bytes, Escrow] = {key[len(ESCROW) :]: escrow for key, escrow in scan(ESCROW)}
    totals, held = totals_of(state), sum(escrow.left for escrow in escrows.values())
    detail = f"{len(escrows)} hold {held} udchat, counted {totals.open} and {totals.held} udchat"
    yield "escrows: what they hold is counted", (totals.open, totals.held) == (len(escrows), held), detail
    small = [key.hex() for key, escrow in escrows.items() if not UDCHAT_MIN <= escrow.left <= escrow.amount]
    yield "escrows: none holds dust, or more than was paid in", not small, some(small)
    broken = {(key[len(FAILED.prefix) :][:2], key[len(FAILED.prefix) + 2 :]) for key, _ in scan(FAILED.prefix)}
    waiting = {key[len(DEADLINES.prefix) :] for key, _ in scan(DEADLINES.prefix)}
    waiting |= {item for queue, item in broken if queue == DEADLINES.prefix}
    due = {escrow.deadline_ns.to_bytes(TIME_BYTES, "big") + key for key, escrow in escrows.items()}
    yield "escrows: each waits for its deadline", waiting == due, f"{len(escrows)} escrows, {len(waiting)} wait"
    found = {key[len(BY_PARTY) :] for key, _ in scan(BY_PARTY)}
    named = {party + key for key, escrow in escrows.items() for party in escrow.everybody}
    yield "escrows: each is found by its parties", found == named, f"{len(found)} names, expected {len(named)}"
    ends = {key[len(ENDS.prefix) :] for key, _ in scan(ENDS.prefix)}
    ends |= {item for queue, item in broken if queue == ENDS.prefix}
    known = {a.until_ns.to_bytes(TIME_BYTES, "big") + key[len(ATTESTATION) :] for key, a in scan(ATTESTATION)}
    yield "attestations: each waits for its end", ends == known, f"{len(known)} attestations, {len(ends)} wait"
    yield FAILED.invariant("escrows", scan)
