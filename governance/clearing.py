"""What governance leaves behind is cleared away: deposits paid back or burned, old votes, deductions, kept stake.

Each is a job that is pushed when it is known and worked at from the next block on, people's money first, so many
records a block; what is left goes on in the next. A job that breaks is set aside (`chain.kernel.items`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import Final

from chain.chat.ballots import VOTE
from chain.currency.ledger import bank
from chain.currency.ledger.bank import DISTRIBUTION
from chain.currency.ledger.dec import ONE
from chain.currency.rewards import distribution
from chain.kernel.branch import Branch, Readable, State
from chain.kernel.modules import BlockContext
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.codec import height_bytes
from chain.tx.gas import most_of
from chain.tx.messages.governance import GAS_VOTE
from crypto.hash import ADDRESS_BYTES
from governance.pinned_stake import forget_kept
from governance.records import DEDUCTED, DEPOSITS, FAILED_ITEMS, HELD, JOB_COUNT, JOBS, TALLIES

MARK: Final = b"\x01"
SWEPT_PER_SLICE: Final = 20  # about a millisecond of deposits
UNITS_DEPOSIT: Final = 2  # of clearing away: paying a deposit back costs twice what a vote's removal does
# What is cleared away, in this order: people's money first.
JOB_DEPOSITS, JOB_VOTES, JOB_DEDUCTED, JOB_KEPT = 1, 2, 3, 4
REFUND, BURN, TO_TREASURY = 0, 1, 2  # what becomes of the share of deposits that is not paid back


def swept_per_block(block_gas_max: int) -> int:
    """Units of clearing away: as many votes, and half as many deposits, as a block can add."""
    return most_of(GAS_VOTE, block_gas_max)


def push_job(state: State, what: int, number: int, ballot: int = 0, *, how: bytes = MARK) -> None:
    """For the next block on. Again, it is the same."""
    key = JOBS + bytes((what,)) + height_bytes(number) + bytes((ballot,))
    if state.get(key) is None:
        state.set(JOB_COUNT, height_bytes(job_count(state) + 1))
    state.set(key, how)


def job_count(state: Readable) -> int:
    stored = state.get(JOB_COUNT)
    return int.from_bytes(stored, "big") if stored else 0


def settlement(what: int, share: int) -> bytes:
    """share: of each deposit, a Dec, that is not paid back."""
    return bytes((what,)) + height_bytes(share)


def is_how(job: int, how: bytes) -> bool:
    """Whether a job of this kind can say so."""
    if job != JOB_DEPOSITS:
        return how == MARK
    what, share = how[0], int.from_bytes(how[1:], "big")
    if len(how) != len(settlement(BURN, 0)) or share > ONE:
        return False
    return what in (BURN, TO_TREASURY) or (what == REFUND and not share)


def job_of(key: bytes) -> tuple[int, bytes, int]:
    """(what, 8 bytes of a proposal's number, ballot)."""
    at = len(JOBS)
    return key[at], key[at + 1 : at + 9], key[at + 9]


def sweep(ctx: BlockContext) -> Iterator[None]:
    """Work at the jobs that earlier blocks left, in order, as far as the block's budget goes. Each in a branch of its
    own: one that breaks is set aside.
    """
    branch, waiting = ctx.branch, job_count(ctx.branch)
    if not waiting:
        return
    budget, done = swept_per_block(ctx.block_gas_max), 0
    for key, how in ctx.scan(JOBS):
        if budget <= 0:
            break
        if key[len(JOBS)] == JOB_KEPT and branch.get(TALLIES) is not None:
            continue  # until no count goes on
        left = 0

        def work(over: Branch, key: bytes = key, how: bytes = how, budget: int = budget) -> Generator[None, None, None]:
            nonlocal left
            left = yield from _work_at(replace(ctx, branch=over), key, how, budget)

        item = key[len(JOBS) :]
        good = yield from FAILED_ITEMS.run(branch, work, queue=JOBS, item=item, height=ctx.height, value=how)
        budget = left if good else budget
        if budget > 0:
            branch.set(key, None)
            done += 1
            budget -= 1
    branch.set(JOB_COUNT, height_bytes(waiting - done) if waiting > done else None)


def _work_at(ctx: BlockContext, key: bytes, how: bytes, budget: int) -> Generator[None, None, int]:
    """Do a job as far as the budget goes; returns what is left of it; 0: there may be more to do."""
    what, number, ballot = job_of(key)
    if what == JOB_KEPT:
        return (yield from forget_kept(ctx.branch, ctx.scan, budget=budget))
    if what == JOB_DEPOSITS:
        return (yield from _settle_deposits(ctx, number, how, budget))
    prefix = DEDUCTED if what == JOB_DEDUCTED else VOTE
    return (yield from _delete_all(ctx, prefix + number + bytes((ballot,)), budget))


def _delete_all(ctx: BlockContext, prefix: bytes, budget: int) -> Generator[None, None, int]:
    """Returns what is left of the budget; 0: there may be more."""
    for key, _ in ctx.scan(prefix):
        if budget <= 0:
            return 0
        ctx.branch.set(key, None)
        budget -= 1
        if budget % SWEPT_PER_SLICE == 0:
            yield
    return budget


def _settle_deposits(ctx: BlockContext, number: bytes, how: bytes, budget: int) -> Generator[None, None, int]:
    """Pay deposits back but for the share that is burned or goes to the treasury. As `_delete_all`."""
    branch, what, share = ctx.branch, how[0], int.from_bytes(how[1:], "big")
    settled = kept = 0
    for key, deposit in ctx.scan(DEPOSITS + number):
        if budget <= 0:
            break
        budget -= UNITS_DEPOSIT
        cost = deposit.amount * share // ONE
        bank.pay_out(branch, pool=GOVERNANCE_ADDRESS, recipient=key[-ADDRESS_BYTES:], amount=deposit.amount - cost)
        branch.set(key, None)
        settled += deposit.amount
        kept += cost
        if budget % SWEPT_PER_SLICE < UNITS_DEPOSIT:
            yield
    if kept and what == TO_TREASURY:
        bank.pay_out(branch, pool=GOVERNANCE_ADDRESS, recipient=DISTRIBUTION, amount=kept)
        distribution.add_to_pool(branch, kept * ONE)
    elif kept:
        bank.burn(branch, GOVERNANCE_ADDRESS, kept)
    left = int.from_bytes(branch.get(HELD + number) or b"", "big") - settled
    assert left >= 0, (number, left)
    branch.set(HELD + number, height_bytes(left) if left else None)
    return max(0, budget) if not left else 0
