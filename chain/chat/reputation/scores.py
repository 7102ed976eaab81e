"""Scores: where they come from, how they go, and the one way in which one identity changes another's.

A score is counted in udchat that were given up for good. It comes from what an identity's registration cost at least,
from udchat that were burnt in its favour, and from others' budgets: a 128th of the score with which the giver began the
period, in eight shares, each for another account. Half of it is gone after 30 periods. A period's budget is what half
as much decay would leave, so that a set of accounts that act on each other alone loses half in 60 periods at most, and
never gains: docs/reputation.md has the rule and its proof.

Nothing waits for its time: a record is brought to the period when it is touched, always rounded down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.chat.ledger.records import IDENTITY, PARAMS
from chain.chat.reputation.records import REPUTATION, Reputation
from chain.kernel.branch import Readable, Scan
from chain.kernel.context import Context
from chain.kernel.event_text import account, some
from chain.tx import gas
from chain.tx.chat_errors import ActedAlready, BudgetSpent, NothingToGive
from consensus.formats.units import NS_PER_S

PERIOD_NS: Final = 86_400 * NS_PER_S
HALF_LIFE: Final = 30  # periods
BUDGET: Final = 128  # of the score, in a period: 2^(1/60) - 1, a 86th, is the most that the proof allows
ACTS_MAX: Final = 8  # a period; each worth an eighth of the budget
TAKEN_AT_ONCE: Final = 16  # of what one has, an act takes such a part at most
SCORE_MAX: Final = 1 << 56  # sixteen of them are a weight that fits

_UNIT_BITS: Final = 32


def _factor(periods: int) -> int:
    """The greatest f with f <= 2^32 * 2^(-periods / HALF_LIFE), found by integers alone."""
    found, power = 0, (1 << (_UNIT_BITS * HALF_LIFE)) >> periods
    for bit in reversed(range(_UNIT_BITS + 1)):
        if (found | 1 << bit) ** HALF_LIFE <= power:
            found |= 1 << bit
    return found


FACTORS: Final = tuple(_factor(periods) for periods in range(HALF_LIFE))


def decayed(score: int, periods: int) -> int:
    """What is left of a score: never more than score * 2^(-periods / HALF_LIFE), so in whatever steps it is done."""
    halves, rest = divmod(periods, HALF_LIFE)
    if halves > SCORE_MAX.bit_length():
        return 0
    return score * FACTORS[rest] >> _UNIT_BITS + halves


def period_of(time_ns: int) -> int:
    """The first is 1: no stored record is empty."""
    return time_ns // PERIOD_NS + 1


def _lasts(state: Readable, address: bytes) -> bool:
    """Whether there is an identity that does not end by itself: others have no record here."""
    identity = state.get(IDENTITY + address)
    return identity is not None and not identity.expiry_ns


def _share(score: int) -> int:
    return score // (BUDGET * ACTS_MAX)


def _unwritten(state: Readable, address: bytes, period: int) -> Reputation:
    """Of an identity without a record. One from before the chain kept the day begins to decay when it is touched."""
    identity = state.get(IDENTITY + address)
    if identity is None or identity.expiry_ns:
        return Reputation(0, period)
    base = state.get(PARAMS).score_base
    return Reputation(base, identity.created_day or period, _share(base))


def score_at(state: Readable, address: bytes, period: int) -> Reputation:
    """As it is in a period, whenever it was touched last. Of an identity that never was: what is left of what its name
    cost, since it was registered; of a burner nothing: it would go with it."""
    found = state.get(REPUTATION + address)
    if found is None:
        found = _unwritten(state, address, period)
    if found.period >= period:
        return found
    score = decayed(found.score, period - found.period)
    return Reputation(score, period, _share(score))


def opened(ctx: Context, address: bytes) -> Reputation:
    """Of an identity, to be set after it was changed; pays for the leaf, if there was none. Raises: OutOfGas."""
    if ctx.branch.get(REPUTATION + address) is None:
        ctx.use_gas(gas.GAS_STAYS)
    return score_at(ctx.branch, address, period_of(ctx.time_ns))


def touch(ctx: Context, address: bytes) -> Reputation:
    """As it is now, kept so. Raises: OutOfGas."""
    if not _lasts(ctx.branch, address):
        return score_at(ctx.branch, address, period_of(ctx.time_ns))
    has = opened(ctx, address)
    ctx.branch.set(REPUTATION + address, has)
    return has


def raise_score(ctx: Context, address: bytes, points: int) -> int:
    """The score that it has then. Raises: OutOfGas."""
    has = opened(ctx, address)
    score = min(SCORE_MAX, has.score + points)
    ctx.branch.set(REPUTATION + address, has._replace(score=score))
    return score


def lower_score(ctx: Context, address: bytes, points: int) -> int:
    """What it loses: at most a sixteenth of what it has. Raises: OutOfGas."""
    if not _lasts(ctx.branch, address):
        return 0
    has = opened(ctx, address)
    lost = min(points, has.score // TAKEN_AT_ONCE)
    ctx.branch.set(REPUTATION + address, has._replace(score=has.score - lost))
    return lost


def take_share(ctx: Context, giver: bytes, other: bytes) -> int:
    """A share of the giver's budget, for an act on another's score.

    Raises: OutOfGas, ActedAlready, BudgetSpent, NothingToGive.
    """
    has = opened(ctx, giver)
    if other in has.acted:
        raise ActedAlready(account(other))
    if len(has.acted) == ACTS_MAX:
        raise BudgetSpent(f"{ACTS_MAX} acts")
    if not has.share:
        raise NothingToGive(f"score {has.score}, needed: {BUDGET * ACTS_MAX}")
    ctx.branch.set(REPUTATION + giver, has._replace(acted=(*has.acted, other)))
    return has.share


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    count, wrong = 0, []
    for key, found in scan(REPUTATION):
        count += 1
        who = key[len(REPUTATION) :]
        acts = len(found.acted) <= ACTS_MAX and len(set(found.acted)) == len(found.acted) and who not in found.acted
        if not acts or found.score > SCORE_MAX or found.share > _share(SCORE_MAX) or found.period < 1:
            wrong.append(who.hex())
    yield "reputation: scores and budgets are bounded", not wrong, f"{count} records, wrong: {some(wrong)}"
