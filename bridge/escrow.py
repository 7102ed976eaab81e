"""Escrows: money that the bridge holds until others say so, conditions hold, or a deadline has come.

Of one account, or of several that each pay a share, in udchat or a denomination. Held by the bridge's own account, each
counted by itself. Until the deadline whoever the escrow names releases all or part of it; in a block whose time has
reached it nobody does any more, and what is left goes back at the end of that block or, where more is due than a
block's budget, of the next ones, oldest first. So no word and no refund ever meet. While shares are missing nothing is
released; when the time for them is over, everybody has back what he paid.
Source: docs/escrows.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from bridge import conditions
from bridge.escrow_records import (
    AHEAD_NS_MAX,
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
    Share,
    Word,
)
from bridge.records import ESCROW_ADDRESS
from chain.chat.ledger.records import require_identity
from chain.currency import machine as currency
from chain.currency.denominations import machine as denominations
from chain.currency.denominations.records import HOLDING
from chain.currency.ledger import bank
from chain.currency.ledger.records import EPOCHS
from chain.currency.ledger.stake_records import Now
from chain.kernel.branch import Branch, Readable, Scan, State
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some, time_text
from chain.kernel.modules import BlockContext
from chain.tx import gas
from chain.tx.errors import (
    AttestationEndRefused,
    ConditionFails,
    EscrowBackInParts,
    EscrowDeadlineRefused,
    EscrowHoldsLess,
    EscrowHoldsOther,
    EscrowNotFull,
    EscrowOver,
    EscrowRecipientRefused,
    EscrowTooSmall,
    NotAttested,
    NotEscrowParty,
    NotEscrowShare,
    RecipientRefused,
    UnknownEscrow,
)
from chain.tx.messages.escrow import (
    GAS_ATTEST,
    GAS_OPEN,
    Attest,
    EscrowReference,
    OpenEscrow,
    OpenSharedEscrow,
    PayShare,
    ReleaseEscrow,
    Require,
    escrow_id,
)
from chain.tx.messages.payments import Denom
from consensus.formats.units import NS_PER_S
from crypto.hash import ADDRESS_BYTES

UDCHAT_MIN: Final = 10_000  # 0.01 DCHAT: what is kept, paid and paid back is worth the work
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

    def open_shared(ctx: Context, message: OpenSharedEscrow) -> Leg:
        if message.terms.recipient in refused:
            raise RecipientRefused("an escrow's")
        return open_shared_escrow(ctx, message)

    def release(ctx: Context, message: ReleaseEscrow) -> Leg:
        if message.recipient in refused:
            raise RecipientRefused("an escrow's")
        return release_escrow(ctx, message)

    return {
        OpenEscrow: open_, OpenSharedEscrow: open_shared, PayShare: pay_share, ReleaseEscrow: release,
        Require: conditions.require, Attest: attest,
    }  # fmt: skip


# ------------------------------------------------------------------------------ messages


def open_escrow(ctx: Context, message: OpenEscrow) -> Leg:
    """Raises: EscrowTooSmall, EscrowDeadlineRefused, Overspend, those of denominations."""
    return Leg("open_escrow", message.amount, _open(ctx, message))


def open_shared_escrow(ctx: Context, message: OpenSharedEscrow) -> Leg:
    """Raises: as `open_escrow`."""
    terms, until = message.terms, message.pay_until_time_ns
    for _, amount in message.shares:
        _check_large(amount, terms.denom)
    if until <= ctx.time_ns:
        raise EscrowDeadlineRefused("shares are paid after this block")
    shares = tuple([Share(payer, amount, False) for payer, amount in message.shares])
    return Leg("open_shared_escrow", terms.amount, _open(ctx, terms, shares, until))


def _open(ctx: Context, terms: OpenEscrow, shares: tuple[Share, ...] = (), pay_until_ns: int = 0) -> bytes:
    branch, sender, paid = ctx.branch, terms.sender, terms.amount
    _check_large(paid, terms.denom)
    if not ctx.time_ns < terms.deadline_time_ns <= ctx.time_ns + AHEAD_NS_MAX:
        raise EscrowDeadlineRefused(f"at most {AHEAD_NS_MAX // NS_PER_S} s after the block's time")
    key = escrow_id(ctx.replay_id, len(ctx.legs))
    assert branch.get(ESCROW + key) is None, "a leg opens one, and no message carries legs of this kind (`exec`)"
    amount = paid + sum(share.amount for share in shares)
    escrow = Escrow(
        sender, terms.recipient, amount, paid, terms.deadline_time_ns, terms.parties, terms.threshold, terms.arbiter,
        terms.conditions, (), ctx.height, terms.denom, shares, pay_until_ns,
    )  # fmt: skip
    branch.set(ESCROW + key, escrow)
    for party in sorted(escrow.everybody):
        branch.set(BY_PARTY + party + key, MARK)
    DEADLINES.push(branch, escrow.due_ns, key)
    _move(ctx, escrow.denom, sender=sender, recipient=ESCROW_ADDRESS, amount=paid)
    totals = totals_of(branch)
    branch.set(TOTALS, totals._replace(opened=totals.opened + 1, open=totals.open + 1))
    _count_held(branch, escrow, paid)
    told = {"sender": account(sender), "recipient": _who(terms.recipient), "amount": escrow.said(amount)}
    ends = {"deadline": time_text(escrow.deadline_ns), "shares": str(len(shares))}
    branch.emit(Event.of("open_escrow", escrow_id=key.hex(), **told, **ends))
    return key


def pay_share(ctx: Context, message: PayShare) -> Leg:
    """Raises: UnknownEscrow, EscrowHoldsOther, NotEscrowShare, EscrowOver, Overspend, those of denominations."""
    payer, reference, denom, amount = message
    key = _named(ctx, reference)
    escrow = require_escrow(ctx.branch, key)
    _check_denom(escrow, amount, denom)
    if Share(payer, amount, False) not in escrow.shares:
        raise NotEscrowShare(f"{account(payer)} paying {escrow.said(amount)}")
    if ctx.time_ns >= escrow.due_ns:
        raise EscrowOver(f"shares were paid until {time_text(escrow.due_ns)}")
    shares = tuple([share._replace(paid=share.paid or share.payer == payer) for share in escrow.shares])
    full = all(share.paid for share in shares)
    after = escrow._replace(
        left=escrow.left + amount, shares=shares, pay_until_ns=0 if full else escrow.pay_until_ns
    )  # fmt: skip
    if full:
        DEADLINES.remove(ctx.branch, escrow.due_ns, key)
        DEADLINES.push(ctx.branch, after.due_ns, key)
    ctx.branch.set(ESCROW + key, after)
    _move(ctx, denom, sender=payer, recipient=ESCROW_ADDRESS, amount=amount)
    _count_held(ctx.branch, escrow, amount)
    told = {"payer": account(payer), "amount": escrow.said(amount), "full": "true" if full else "false"}
    ctx.branch.emit(Event.of("pay_share", escrow_id=key.hex(), **told))
    return Leg("pay_share", amount, key)


def _check_denom(escrow: Escrow, amount: int, denom: Denom | None) -> None:
    """Raises: EscrowHoldsOther."""
    if denom != escrow.denom:
        raise EscrowHoldsOther(
            f"it has {escrow.said(escrow.left)}, you say {escrow._replace(denom=denom).said(amount)}"
        )


def _check_large(amount: int, denom: Denom | None) -> None:
    """Raises: EscrowTooSmall."""
    if amount < _least(denom):
        raise EscrowTooSmall(f"{amount} udchat, the minimum is {UDCHAT_MIN} udchat")


def _least(denom: Denom | None) -> int:
    return UDCHAT_MIN if denom is None else 1


def _move(ctx: Context, denom: Denom | None, *, sender: bytes, recipient: bytes, amount: int) -> None:
    """Raises: UnknownAccount, Overspend, AmountOverflow, OutOfGas, those of denominations."""
    if denom is None:
        currency.transfer(ctx, sender=sender, recipient=recipient, amount=amount)
    else:
        denominations.transfer(ctx, denom, sender=sender, recipient=recipient, amount=amount)


def _count_held(state: State, escrow: Escrow, amount: int, how: str = "") -> None:
    """amount: paid in, or less than 0: out, as `how` says. Units are counted by who holds them."""
    if escrow.denom is None:
        totals = totals_of(state)
        flow = {how: getattr(totals, how) - amount} if how else {}
        state.set(TOTALS, totals._replace(held=totals.held + amount, **flow))


def release_escrow(ctx: Context, message: ReleaseEscrow) -> Leg:
    """Raises: UnknownEscrow, EscrowOver, EscrowNotFull, EscrowHoldsOther, EscrowHoldsLess, EscrowTooSmall,
    EscrowRecipientRefused, EscrowBackInParts, NotEscrowParty, ConditionFails, NoSuchLeg.
    """
    key = _named(ctx, message.escrow)
    escrow = require_escrow(ctx.branch, key)
    if ctx.time_ns >= escrow.due_ns:
        raise EscrowOver(f"it was {time_text(escrow.due_ns)}")
    if escrow.pay_until_ns:
        raise EscrowNotFull(f"it has {escrow.said(escrow.left)} of {escrow.said(escrow.amount)}")
    if message.amount:
        _check_denom(escrow, message.amount, message.denom)
    amount = message.amount or escrow.left
    if amount > escrow.left:
        raise EscrowHoldsLess(f"{escrow.said(escrow.left)}, not {escrow.said(amount)}")
    least = _least(escrow.denom)
    if amount < least or 0 < escrow.left - amount < least:
        raise EscrowTooSmall(f"{amount} udchat of {escrow.left} udchat, the minimum is {UDCHAT_MIN} udchat")
    recipient = message.recipient or escrow.recipient
    if recipient not in (escrow.recipient or recipient, escrow.sender) or not recipient:
        raise EscrowRecipientRefused(_who(recipient))
    if not _decides(ctx, escrow, message, recipient=recipient, amount=amount):
        words, alike = _with_word(ctx.branch, escrow, message.sender, recipient, amount)
        if alike < escrow.threshold:
            ctx.branch.set(ESCROW + key, escrow._replace(words=words))
            told = {"party": account(message.sender), "recipient": account(recipient), "amount": escrow.said(amount)}
            ctx.branch.emit(
                Event.of("escrow_word", escrow_id=key.hex(), **told, words=f"{alike}/{escrow.threshold}")
            )  # fmt: skip
            return Leg("release_escrow", 0, key)
    is_back = recipient == escrow.sender
    if is_back and escrow.shares:
        if amount < escrow.left:
            raise EscrowBackInParts(escrow.said(amount))
        _give_back(ctx.branch, escrow)
    else:
        _move(ctx, escrow.denom, sender=ESCROW_ADDRESS, recipient=recipient, amount=amount)
    _paid(ctx.branch, key, escrow, amount, "given_back" if is_back else "released")
    told = {"sender": account(message.sender), "recipient": account(recipient), "amount": escrow.said(amount)}
    left = escrow.said(escrow.left - amount)
    ctx.branch.emit(Event.of("release_escrow", escrow_id=key.hex(), **told, left=left))
    return Leg("release_escrow", amount, key)


def _give_back(state: State, escrow: Escrow) -> None:
    """All that is left, to who paid it. What they held or had they need not pay for: nothing is opened anew."""
    for payer, part in escrow.back():
        if escrow.denom is None:
            bank.pay_out(state, pool=ESCROW_ADDRESS, recipient=payer, amount=part)
        elif part:
            denominations.move(state, escrow.denom, sender=ESCROW_ADDRESS, recipient=payer, amount=part)


def require_escrow(state: Readable, key: bytes) -> Escrow:
    """Raises: UnknownEscrow."""
    found = state.get(ESCROW + key)
    if found is None:
        raise UnknownEscrow(key.hex())
    return found


def _named(ctx: Context, reference: EscrowReference) -> bytes:
    if not reference.leg:
        return reference.id
    return conditions.earlier_leg(ctx, reference.leg, "open_escrow", "open_shared_escrow").subject


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


def _with_word(
    state: Readable, escrow: Escrow, party: bytes, recipient: bytes, amount: int
) -> tuple[tuple[Word, ...], int]:
    """The words with the latest of each party, and how many of them say the same. What a party said in an earlier
    epoch of its account is not its word any more."""
    stand = [said for said in escrow.words if said.party != party and said.epoch == EPOCHS.of(state, said.party)]
    words = (*stand, Word(party, recipient, amount, EPOCHS.of(state, party)))
    return words, sum((said.recipient, said.amount) == (recipient, amount) for said in words)


def _paid(branch: Branch, key: bytes, escrow: Escrow, amount: int, how: str) -> None:
    """Count what left it, and forget one that is empty. Words were of what it held before: they count no more."""
    left = escrow.left - amount
    if left:
        branch.set(ESCROW + key, escrow._replace(left=left, words=()))
    else:
        branch.set(ESCROW + key, None)
        for party in sorted(escrow.everybody):
            branch.set(BY_PARTY + party + key, None)
        DEADLINES.remove(branch, escrow.due_ns, key)
        totals = totals_of(branch)
        branch.set(TOTALS, totals._replace(open=totals.open - 1))
    _count_held(branch, escrow, -amount, how)


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
    said = Attestation(until, ctx.height, EPOCHS.of(branch, message.attester))
    branch.set(ATTESTATION + item, said if until else None)
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
    _give_back(branch, escrow)
    _paid(branch, key, escrow, escrow.left, "refunded")
    for payer, part in escrow.back():
        told = {"recipient": account(payer), "amount": escrow.said(part)}
        branch.emit(Event.of("refund_escrow", escrow_id=key.hex(), **told))


def _forget(item: bytes, branch: Branch) -> None:
    branch.set(ATTESTATION + item, None)
    attester, statement = item[:ADDRESS_BYTES], item[ADDRESS_BYTES:]
    branch.emit(Event.of("attestation_over", attester=account(attester), statement=statement.hex()))


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures). That the account holds what escrows do is `bridge.machine`'s."""
    escrows: dict[bytes, Escrow] = {key[len(ESCROW) :]: escrow for key, escrow in scan(ESCROW)}
    totals, held = totals_of(state), sum(escrow.left for escrow in escrows.values() if escrow.denom is None)
    detail = f"{len(escrows)} hold {held} udchat, counted {totals.open} and {totals.held} udchat"
    yield "escrows: what they hold is counted", (totals.open, totals.held) == (len(escrows), held), detail
    small = [key.hex() for key, escrow in escrows.items() if not _least(escrow.denom) <= escrow.left <= escrow.paid_in]
    yield "escrows: none holds dust, or more than was paid in", not small, some(small)
    waits: Counter[bytes] = Counter()
    for escrow in escrows.values():
        if escrow.denom is not None:
            waits[escrow.denom.key] += escrow.left
    prefix = HOLDING + ESCROW_ADDRESS
    units = {key[len(prefix) :]: (holding.amount, holding.frozen) for key, holding in scan(prefix)}
    agree = units == {key: (amount, False) for key, amount in waits.items()}
    yield (
        "escrows: units are held as they are counted, and free",
        agree,
        f"{len(waits)} denominations, {len(units)} held",
    )
    broken = {(key[len(FAILED.prefix) :][:2], key[len(FAILED.prefix) + 2 :]) for key, _ in scan(FAILED.prefix)}
    waiting = {key[len(DEADLINES.prefix) :] for key, _ in scan(DEADLINES.prefix)}
    waiting |= {item for queue, item in broken if queue == DEADLINES.prefix}
    due = {escrow.due_ns.to_bytes(TIME_BYTES, "big") + key for key, escrow in escrows.items()}
    yield "escrows: each waits for its deadline", waiting == due, f"{len(escrows)} escrows, {len(waiting)} wait"
    found = {key[len(BY_PARTY) :] for key, _ in scan(BY_PARTY)}
    named = {party + key for key, escrow in escrows.items() for party in escrow.everybody}
    yield "escrows: each is found by its parties", found == named, f"{len(found)} names, expected {len(named)}"
    ends = {key[len(ENDS.prefix) :] for key, _ in scan(ENDS.prefix)}
    ends |= {item for queue, item in broken if queue == ENDS.prefix}
    known = {a.until_ns.to_bytes(TIME_BYTES, "big") + key[len(ATTESTATION) :] for key, a in scan(ATTESTATION)}
    yield "attestations: each waits for its end", ends == known, f"{len(known)} attestations, {len(ends)} wait"
    yield FAILED.invariant("escrows", scan)
    yield DEADLINES.invariant("escrows", state, scan)
    yield ENDS.invariant("attestations", state, scan)
