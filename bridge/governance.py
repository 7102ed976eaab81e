"""Governance across both machines: deposits, the clock of proposals, counts of votes, and what passed carried out.

Proposals and votes lie on the chat chain, stake and the treasury on the currency chain; the bridge holds the deposits
in udchat and is the only one to read both. Its part of a block, in this order:

1. `count_votes`, before the economy's end of block: counts that go on, oldest first, so many units a block; a count
   that is complete is judged, and what passed is carried out in a branch of its own, all of it or nothing. Params that
   it sets hold from the economy's end of this block on.
2. `close`, after everything that can change stake: what this block changes of it is kept for the counts that go on;
   then proposals whose time has come (their votes of this block count) are closed and the stake as this block leaves it
   is pinned; then what is done with is cleared away: deposits paid back or burned, old votes, kept stake.

Each of these has a budget a block, and carries over. A count never depends on how many votes there are in a block's
cost, and nothing here is kept in memory from block to block.
Source: staking sheet, section 5; issue 4, section 3; design section 7.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final, NamedTuple

from bridge import governance_params
from bridge.actions import GOVERNANCE_PARAMS, attempt, carry_out, governance_params_of
from bridge.governance_params import GovernanceParams
from bridge.stake import HAS_KEPT, KEPT, Kept, Stake, forget_kept, keep_changed
from bridge.tally import Count, Tally, judge
from chain.branch import Branch, Decoders, Readable, Scan, State
from chain.chat import governance as chat
from chain.chat.governance import DECIDED, DEPOSIT, FAILED, PASSED, REJECTED, TALLYING, VOTE, VOTING, Proposal, Result
from chain.codec import height_bytes, uint_field
from chain.context import Context, Handler, Leg
from chain.currency import bank, dec, distribution
from chain.currency import machine as currency
from chain.currency.bank import DISTRIBUTION
from chain.currency.dec import ONE
from chain.currency.params import NS_PER_S
from chain.currency.staking.queues import TimeQueue
from chain.currency.staking.records import Now
from chain.errors import (
    ActionPanicked,
    DepositsClosed,
    DepositTooSmall,
    NotCancellable,
    NotProposer,
    TxError,
)
from chain.governance import AddDeposit, CancelProposal, SubmitProposal
from chain.items import PANICS, Failed, FailedItems
from chain.modules import BlockContext
from chain.upgrade.plan import GOVERNANCE_ADDRESS
from consensus.types.params import ConsensusParams
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import governance_pb2 as pb

UNITS_PER_BLOCK: Final = 1_500  # of counting: about 11 ms, 250 votes (`bridge.tally` says what a step costs)
UNITS_PER_SLICE: Final = 100
UNITS_DECISION: Final = 100  # carrying out what passed
SWEPT_PER_BLOCK: Final = 300  # records cleared away: more than a block of votes adds on average
GAS_UNLIMITED: Final = 1 << 62  # what voters decided has no gas limit; its size is bounded by that of a proposal

DEPOSITS: Final = b"bg"  # ‖ number ‖ depositor -> Deposit
HELD: Final = b"bs"  # ‖ number -> 8 bytes: the deposits together
TALLY: Final = b"by"  # ‖ number -> Tally
DEDUCTED: Final = b"bY"  # ‖ number ‖ ballot ‖ operator -> a Dec: shares whose owners voted
TALLIES: Final = b"bz"  # -> Tallies; absent: no count goes on
QUEUE: Final = b"Bi"  # side: ‖ pin ‖ number: the counts, in order
JOBS: Final = b"Bj"  # side: ‖ what ‖ number ‖ ballot -> how
JOB_COUNT: Final = b"BJ"  # -> 8 bytes; absent: none
FAILED_ITEMS: Final = FailedItems(b"bf")  # ‖ queue ‖ item
MARK: Final = b"\x01"

# What is cleared away, in this order: people's money first.
JOB_DEPOSITS, JOB_VOTES, JOB_DEDUCTED, JOB_KEPT = 1, 2, 3, 4
REFUND, BURN, TO_TREASURY = 0, 1, 2  # what becomes of the share of deposits that is not paid back


class Deposit(NamedTuple):
    amount: int

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.amount)

    @staticmethod
    def decode(stored: bytes) -> Deposit:
        return Deposit(pb.Deposit.FromString(stored).amount)


class Tallies(NamedTuple):
    waiting: int
    oldest_pin: int
    newest_pin: int

    def encode(self) -> bytes:
        return pb.Tallies(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Tallies:
        r = pb.Tallies.FromString(stored)
        return Tallies(r.waiting, r.oldest_pin, r.newest_pin)


class _Timers(TimeQueue):
    """When proposals have to be looked at: ‖ time ‖ number."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(b"Bh")
        self._head = b"BH"


TIMERS: Final = _Timers()
DECODERS: Final[Decoders] = {
    DEPOSITS: Deposit.decode,
    TALLY: Tally.decode,
    TALLIES: Tallies.decode,
    FAILED_ITEMS.prefix: Failed.decode,
    KEPT: Kept.decode,
    GOVERNANCE_PARAMS: GovernanceParams.decode,
}


# ------------------------------------------------------------------------------ messages


def submit_proposal(ctx: Context, message: SubmitProposal) -> Leg:
    """Raises: DepositTooSmall, Overspend, and whatever would make an action impossible now."""
    branch = ctx.branch
    params = governance_params_of(branch)
    _check_deposit(params, message.deposit, expedited=message.expedited)
    trial = _unmetered(Branch(branch.get), ctx.height, ctx.time_ns)
    for action in message.actions:
        attempt(trial, action)
    number = chat.next_number(branch)
    ends = ctx.time_ns + params.deposit_period_s * NS_PER_S
    proposal = Proposal(
        number, message.proposer, message.title, message.summary, message.actions, DEPOSIT, message.expedited,
        ctx.height, ctx.time_ns, ends,
    )  # fmt: skip
    chat.add_proposal(branch, proposal)
    TIMERS.push(branch, ends, height_bytes(number))
    _take_deposit(ctx, params, proposal, message.proposer, message.deposit)
    return Leg("submit_proposal", message.deposit, message.proposer, number)


def add_deposit(ctx: Context, message: AddDeposit) -> Leg:
    """Raises: UnknownProposal, DepositsClosed, DepositTooSmall, Overspend."""
    proposal = chat.require_proposal(ctx.branch, message.proposal_id)
    if proposal.status not in (DEPOSIT, VOTING):
        raise DepositsClosed(f"proposal {proposal.id} is in status {chat.STATUS_NAMES[proposal.status]}")
    params = governance_params_of(ctx.branch)
    _check_deposit(params, message.amount, expedited=proposal.expedited)
    _take_deposit(ctx, params, proposal, message.depositor, message.amount)
    return Leg("add_deposit", message.amount, message.depositor, proposal.id)


def _check_deposit(params: GovernanceParams, amount: int, *, expedited: bool) -> None:
    least = params.least_deposit(expedited)
    if amount < least:
        raise DepositTooSmall(f"{amount} udchat, needed: {least}")


def _take_deposit(ctx: Context, params: GovernanceParams, proposal: Proposal, depositor: bytes, amount: int) -> None:
    """Hold it; at the minimum, voting begins."""
    branch, number = ctx.branch, height_bytes(proposal.id)
    currency.transfer(ctx, sender=depositor, recipient=GOVERNANCE_ADDRESS, amount=amount)
    key = DEPOSITS + number + depositor
    found: Deposit | None = branch.get(key)
    branch.set(key, Deposit(amount + (found.amount if found is not None else 0)))
    held = held_for(branch, proposal.id) + amount
    branch.set(HELD + number, height_bytes(held))
    if proposal.status == DEPOSIT and held >= params.min_deposit_of(proposal.expedited):
        ends = ctx.time_ns + params.voting_period_of(proposal.expedited) * NS_PER_S
        opened = proposal._replace(status=VOTING, voting_start_time_ns=ctx.time_ns, voting_end_time_ns=ends)
        chat.put_proposal(branch, opened)
        TIMERS.push(branch, ends, number)


def held_for(state: Readable, number: int) -> int:
    """The deposits of a proposal together, udchat."""
    stored: bytes | None = state.get(HELD + height_bytes(number))
    return int.from_bytes(stored, "big") if stored else 0


def cancel_proposal(ctx: Context, message: CancelProposal) -> Leg:
    """It is gone; a share of its deposits is the price. Raises: UnknownProposal, NotProposer, NotCancellable."""
    branch = ctx.branch
    proposal = chat.require_proposal(branch, message.proposal_id)
    if proposal.proposer != message.proposer:
        raise NotProposer(f"proposal {proposal.id}")
    is_open = proposal.status == DEPOSIT or (proposal.status == VOTING and proposal.voting_end_time_ns >= ctx.time_ns)
    if not is_open:
        raise NotCancellable(f"proposal {proposal.id} is in status {chat.STATUS_NAMES[proposal.status]}")
    params = governance_params_of(branch)
    _push_job(
        branch, JOB_DEPOSITS, proposal.id,
        how=_settlement(TO_TREASURY if params.cancel_to_treasury else BURN, params.cancel_ratio),
    )  # fmt: skip
    _drop_votes(branch, proposal)
    chat.delete_proposal(branch, proposal.id)
    return Leg("cancel_proposal", held_for(branch, proposal.id), proposal.proposer, proposal.id)


def _drop_votes(state: State, proposal: Proposal) -> None:
    """Of every ballot (#16162: a proposal that goes leaves no votes behind)."""
    if proposal.status != DEPOSIT:
        for ballot in range(proposal.ballot + 1):
            _push_job(state, JOB_VOTES, proposal.id, ballot)


def handlers() -> dict[type[Any], Handler]:
    return {
        SubmitProposal: submit_proposal,
        AddDeposit: add_deposit,
        CancelProposal: cancel_proposal,
        **chat.handlers(),
    }


# ------------------------------------------------------------------------------ counting, and what passes


class _Deducted:
    """The deductions of one count: what is stored, with this block's on top."""

    def __init__(self, state: State, number: int, ballot: int) -> None:
        self._state, self._prefix = state, DEDUCTED + height_bytes(number) + bytes((ballot,))
        self._now: dict[bytes, int] = {}

    def __getitem__(self, operator: bytes) -> int:
        if operator not in self._now:
            stored: bytes | None = self._state.get(self._prefix + operator)
            self._now[operator] = dec.from_bytes(stored) if stored else 0
        return self._now[operator]

    def __setitem__(self, operator: bytes, shares: int) -> None:
        self._now[operator] = shares

    def save(self) -> None:
        for operator, shares in self._now.items():
            if shares:
                self._state.set(self._prefix + operator, dec.to_bytes(shares))


def count_votes(ctx: BlockContext) -> Iterator[None]:
    """Go on with the counts, oldest first, for the block's units. Yields between two slices of work."""
    if ctx.branch.get(TALLIES) is None:
        return
    budget = UNITS_PER_BLOCK
    stakes: dict[int, Stake] = {}
    for key, _ in ctx.scan(QUEUE):
        if budget <= 0:
            return
        pin = _pin_of(key)
        if pin not in stakes:
            stakes[pin] = Stake(ctx.committed, ctx.scan, pin=pin)
        budget = yield from _go_on(ctx, key, stakes[pin], budget)


def _go_on(ctx: BlockContext, key: bytes, stake: Stake, budget: int) -> Generator[None, None, int]:
    """Count one proposal's votes on, in a branch of its own; returns the units that are left.

    A count that breaks ends its proposal as failed, with its deposits on their way back.
    """
    left = budget

    def count(branch: Branch) -> Generator[None, None, None]:
        nonlocal left
        over = replace(ctx, branch=branch)
        left = yield from _count(over, key, stake, budget)
        ctx.consensus_params = over.consensus_params

    item = key[len(QUEUE) :]
    done = yield from FAILED_ITEMS.run(ctx.branch, count, queue=QUEUE, item=item, height=ctx.height)
    if done:
        return left
    ctx.branch.set(key, None)
    yield from FAILED_ITEMS.run(
        ctx.branch, lambda branch: _give_up(replace(ctx, branch=branch), key), queue=QUEUE, item=item, height=ctx.height
    )
    return budget - UNITS_DECISION


def _count(ctx: BlockContext, key: bytes, stake: Stake, budget: int) -> Generator[None, None, int]:
    """As far as the budget goes; returns what is left of it."""
    branch = ctx.branch
    pin, number = _pin_of(key), int.from_bytes(key[len(QUEUE) + 8 :], "big")
    proposal = chat.require_proposal(branch, number)
    assert proposal.status == TALLYING, proposal
    begun: Tally | None = branch.get(TALLY + height_bytes(number))
    tally = begun if begun is not None else Tally(number, pin, proposal.ballot)
    deducted = _Deducted(branch, number, proposal.ballot)
    count = Count(tally, stake, ctx.committed, ctx.scan, deducted)
    sliced = left = budget
    for left in count.advance(budget):
        if sliced - left >= UNITS_PER_SLICE:
            sliced = left
            yield
    deducted.save()
    if not count.is_done:
        branch.set(TALLY + height_bytes(number), count.tally)
        return left
    _finish_count(ctx, key, proposal)
    decide(ctx, proposal, count.tally)
    return left - UNITS_DECISION


def _give_up(ctx: BlockContext, key: bytes) -> None:
    """The votes of a proposal cannot be counted: nothing of it is done, and nobody loses a deposit."""
    proposal = chat.require_proposal(ctx.branch, int.from_bytes(key[len(QUEUE) + 8 :], "big"))
    _finish_count(ctx, key, proposal)
    _push_job(ctx.branch, JOB_DEPOSITS, proposal.id, how=_settlement(REFUND, 0))
    until = _keep_votes(ctx, proposal)
    failed = proposal._replace(
        status=FAILED, result=Result(0, 0, 0, 0, 0, 0, _pin_of(key)), failed_code=ActionPanicked.code,
        decided_time_ns=ctx.time_ns, votes_until_time_ns=until,
    )  # fmt: skip
    chat.put_proposal(ctx.branch, failed)


def _pin_of(key: bytes) -> int:
    """Of a count in the queue."""
    return int.from_bytes(key[len(QUEUE) : len(QUEUE) + 8], "big")


def _finish_count(ctx: BlockContext, done: bytes, proposal: Proposal) -> None:
    """One count fewer; the oldest pin is that of the next."""
    ctx.branch.set(TALLY + height_bytes(proposal.id), None)
    ctx.branch.set(done, None)
    _push_job(ctx.branch, JOB_DEDUCTED, proposal.id, proposal.ballot)
    tallies: Tallies = ctx.branch.get(TALLIES)
    if tallies.waiting == 1:
        ctx.branch.set(TALLIES, None)
        if ctx.branch.get(HAS_KEPT) is not None:
            _push_job(ctx.branch, JOB_KEPT, 0)
        return
    oldest = _pin_of(next(key for key, _ in ctx.scan(QUEUE, done + b"\x00")))
    ctx.branch.set(TALLIES, tallies._replace(waiting=tallies.waiting - 1, oldest_pin=oldest))


def decide(ctx: BlockContext, proposal: Proposal, tally: Tally) -> None:
    """Make of a complete count what the rules say.

    An expedited proposal that does not pass turns regular: it keeps its deposits, its votes are gone, and voting goes
    on until a regular period after it began, and for half an expedited one at least.
    """
    branch = ctx.branch
    params = governance_params_of(branch)
    verdict = judge(tally, params, expedited=proposal.expedited)
    if proposal.expedited and not verdict.passes:
        ends = max(
            proposal.voting_start_time_ns + params.voting_period_s * NS_PER_S,
            ctx.time_ns + params.expedited_voting_period_s * NS_PER_S // 2,  # however long counting took
        )
        _push_job(branch, JOB_VOTES, proposal.id, proposal.ballot)
        again = proposal._replace(status=VOTING, expedited=False, ballot=proposal.ballot + 1, voting_end_time_ns=ends)
        chat.put_proposal(branch, again)
        TIMERS.push(branch, ends, height_bytes(proposal.id))
        return
    code = action = 0
    if verdict.passes:
        code, action = execute(ctx, proposal)
    burns = (verdict.is_vetoed and params.burn_vetoed) or (
        tally.bonded and not verdict.has_quorum and params.burn_without_quorum
    )
    _push_job(branch, JOB_DEPOSITS, proposal.id, how=_settlement(BURN if burns else REFUND, ONE if burns else 0))
    until = _keep_votes(ctx, proposal)
    decided = proposal._replace(
        status=(FAILED if code else PASSED) if verdict.passes else REJECTED,
        result=tally.result, failed_code=code, failed_action=action, decided_time_ns=ctx.time_ns,
        votes_until_time_ns=until,
    )  # fmt: skip
    chat.put_proposal(branch, decided)


def _keep_votes(ctx: BlockContext, proposal: Proposal) -> int:
    """Until when they can be looked up; returns that, ns."""
    until = ctx.time_ns + governance_params_of(ctx.branch).votes_kept_s * NS_PER_S
    TIMERS.push(ctx.branch, until, height_bytes(proposal.id))
    return until


def execute(ctx: BlockContext, proposal: Proposal) -> tuple[int, int]:
    """Carry out all actions in a branch of their own, merged whole or dropped.

    Returns (error's number, index of the action + 1), or (0, 0).
    """
    inner = Branch(ctx.branch.get)
    run = _unmetered(inner, ctx.height, ctx.time_ns)
    consensus: ConsensusParams | None = None
    for index, action in enumerate(proposal.actions, start=1):
        try:
            consensus = carry_out(run, action) or consensus
        except TxError as error:
            return error.code, index
        except PANICS:
            return ActionPanicked.code, index
    ctx.branch.take(inner)
    if consensus is not None:
        ctx.consensus_params = consensus
    return 0, 0


def _unmetered(branch: Branch, height: int, time_ns: int) -> Context:
    ctx = Context(branch, height=height, time_ns=time_ns)
    ctx.gas_limit = GAS_UNLIMITED
    return ctx


# ------------------------------------------------------------------------------ the end of a block


def close(ctx: BlockContext) -> Iterator[None]:
    """Keep what the counts need, close what is due, clear away what is done with."""
    if ctx.upgraded:
        _retry_failed(ctx)
    tallies: Tallies | None = ctx.branch.get(TALLIES)
    if tallies is not None:
        keep_changed(ctx.branch, ctx.committed, oldest_pin=tallies.oldest_pin, newest_pin=tallies.newest_pin)
    now = Now(ctx.height, ctx.time_ns)
    yield from TIMERS.work_off(ctx.branch, ctx.scan, now, FAILED_ITEMS, partial(_look_at, now))
    yield from _sweep(ctx)


def _retry_failed(ctx: BlockContext) -> None:
    """Put what could not be worked off back into its queue: the code is another from this block on.

    A proposal whose votes could not be counted has ended.
    """
    for queue, item, failed in FAILED_ITEMS.take_back(ctx.branch, ctx.scan):
        if queue == TIMERS.prefix:
            TIMERS.put_back(ctx.branch, item)
        elif queue == JOBS:
            what, number, ballot = _job_of(JOBS + item)
            _push_job(ctx.branch, what, int.from_bytes(number, "big"), ballot, how=failed.value)


def _look_at(now: Now, item: bytes, branch: Branch) -> None:
    """Whether one of a proposal's times has come. A timer of a time that moved, or of what is gone, means nothing."""
    number = int.from_bytes(item, "big")
    proposal = chat.proposal_of(branch, number)
    if proposal is None:
        return
    if proposal.status == DEPOSIT and proposal.deposit_end_time_ns <= now.time_ns:
        burns = governance_params_of(branch).burn_without_deposit
        _push_job(branch, JOB_DEPOSITS, number, how=_settlement(BURN if burns else REFUND, ONE if burns else 0))
        chat.delete_proposal(branch, number)
    elif proposal.status == VOTING and proposal.voting_end_time_ns <= now.time_ns:
        chat.put_proposal(branch, proposal._replace(status=TALLYING))
        _begin_count(branch, number, pin=now.height)
    elif proposal.status in DECIDED and proposal.votes_until_time_ns <= now.time_ns:
        _push_job(branch, JOB_VOTES, number, proposal.ballot)


def _begin_count(state: State, number: int, *, pin: int) -> None:
    """Counting begins with the next block, by the stake that this one leaves."""
    state.set(QUEUE + height_bytes(pin) + height_bytes(number), MARK)
    found: Tallies | None = state.get(TALLIES)
    if found is None:
        state.set(TALLIES, Tallies(1, pin, pin))
    else:
        state.set(TALLIES, found._replace(waiting=found.waiting + 1, newest_pin=pin))


# ------------------------------------------------------------------------------ clearing away


def _push_job(state: State, what: int, number: int, ballot: int = 0, *, how: bytes = MARK) -> None:
    """For the next block on. Again, it is the same."""
    key = JOBS + bytes((what,)) + height_bytes(number) + bytes((ballot,))
    if state.get(key) is None:
        state.set(JOB_COUNT, height_bytes(_job_count(state) + 1))
    state.set(key, how)


def _job_count(state: Readable) -> int:
    stored: bytes | None = state.get(JOB_COUNT)
    return int.from_bytes(stored, "big") if stored else 0


def _settlement(what: int, share: int) -> bytes:
    """share: of each deposit, a Dec, that is not paid back."""
    return bytes((what,)) + height_bytes(share)


def _job_of(key: bytes) -> tuple[int, bytes, int]:
    """(what, 8 bytes of a proposal's number, ballot)."""
    at = len(JOBS)
    return key[at], key[at + 1 : at + 9], key[at + 9]


def _sweep(ctx: BlockContext) -> Iterator[None]:
    """Work at the jobs that earlier blocks left, in order, as far as the block's budget goes. Each in a branch of its
    own: one that breaks is set aside.
    """
    branch, waiting = ctx.branch, _job_count(ctx.branch)
    if not waiting:
        return
    budget, done = SWEPT_PER_BLOCK, 0
    for key, how in ctx.scan(JOBS):
        if budget <= 0:
            break
        if key[len(JOBS)] == JOB_KEPT and branch.get(TALLIES) is not None:
            continue  # until no count goes on
        left = 0

        def work(over: Branch, key: bytes = key, how: bytes = how, budget: int = budget) -> None:
            nonlocal left
            left = _work_at(replace(ctx, branch=over), key, how, budget)

        item = key[len(JOBS) :]
        good = yield from FAILED_ITEMS.run(branch, work, queue=JOBS, item=item, height=ctx.height, value=how)
        budget = left if good else budget
        if budget > 0:
            branch.set(key, None)
            done += 1
            budget -= 1
    branch.set(JOB_COUNT, height_bytes(waiting - done) if waiting > done else None)


def _work_at(ctx: BlockContext, key: bytes, how: bytes, budget: int) -> int:
    """Do a job as far as the budget goes; returns what is left of it; 0: there may be more to do."""
    what, number, ballot = _job_of(key)
    if what == JOB_KEPT:
        return forget_kept(ctx.branch, ctx.scan, budget=budget)
    if what == JOB_DEPOSITS:
        return _settle_deposits(ctx, number, how, budget)
    prefix = DEDUCTED if what == JOB_DEDUCTED else VOTE
    return _delete_all(ctx, prefix + number + bytes((ballot,)), budget)


def _delete_all(ctx: BlockContext, prefix: bytes, budget: int) -> int:
    """Returns what is left of the budget; 0: there may be more."""
    for key, _ in ctx.scan(prefix):
        if not budget:
            return 0
        ctx.branch.set(key, None)
        budget -= 1
    return budget


def _settle_deposits(ctx: BlockContext, number: bytes, how: bytes, budget: int) -> int:
    """Pay deposits back but for the share that is burned or goes to the treasury. As `_delete_all`."""
    branch, what, share = ctx.branch, how[0], int.from_bytes(how[1:], "big")
    settled = kept = 0
    for key, deposit in ctx.scan(DEPOSITS + number):
        if not budget:
            break
        budget -= 1
        cost = deposit.amount * share // ONE
        bank.pay_out(branch, pool=GOVERNANCE_ADDRESS, recipient=key[-ADDRESS_BYTES:], amount=deposit.amount - cost)
        branch.set(key, None)
        settled += deposit.amount
        kept += cost
    if kept and what == TO_TREASURY:
        bank.pay_out(branch, pool=GOVERNANCE_ADDRESS, recipient=DISTRIBUTION, amount=kept)
        distribution.add_to_pool(branch, kept * ONE)
    elif kept:
        bank.burn(branch, GOVERNANCE_ADDRESS, kept)
    left = int.from_bytes(branch.get(HELD + number) or b"", "big") - settled
    assert left >= 0, (number, left)
    branch.set(HELD + number, height_bytes(left) if left else None)
    return budget if not left else 0


# ------------------------------------------------------------------------------ the whole


def genesis(state: State, params: GovernanceParams) -> None:
    governance_params.check(params)
    state.set(GOVERNANCE_PARAMS, params)


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    yield from chat.invariants(state, scan)
    deposits: dict[bytes, int] = {}
    for key, deposit in scan(DEPOSITS):
        number = key[len(DEPOSITS) : len(DEPOSITS) + 8]
        deposits[number] = deposits.get(number, 0) + deposit.amount
    balance = currency.balance_of(state, GOVERNANCE_ADDRESS)
    total = sum(deposits.values())
    yield "governance: its account holds the deposits", balance >= total, f"{balance}, deposits {total}"
    held = {key[len(HELD) :]: int.from_bytes(stored, "big") for key, stored in scan(HELD)}
    yield "governance: deposits add up for each proposal", held == deposits, f"{len(held)}, {len(deposits)}"
    jobs = {key[len(JOBS) :] for key, _ in scan(JOBS)}
    proposals = {key[len(chat.PROPOSAL) :]: found for key, found in scan(chat.PROPOSAL)}
    ended = [n for n in deposits if n not in proposals or proposals[n].status in DECIDED]
    lost = [n for n in ended if bytes((JOB_DEPOSITS,)) + n + b"\0" not in jobs]
    yield "governance: each deposit is of an open proposal, or on its way back", not lost, f"{len(lost)} are not"
    lost = [
        ballot
        for ballot in sorted({key[len(VOTE) : len(VOTE) + 9] for key, _ in scan(VOTE)})
        if not (ballot[:8] in proposals and proposals[ballot[:8]].ballot == ballot[8])
        and bytes((JOB_VOTES,)) + ballot not in jobs
    ]
    yield "governance: each vote is of a proposal's ballot, or being removed", not lost, f"{len(lost)} ballots are not"
    yield "governance: jobs are counted", len(jobs) == _job_count(state), f"{len(jobs)}, {_job_count(state)}"
    yield FAILED_ITEMS.invariant("governance", scan)
    yield from _count_invariants(state, scan, proposals)


def _count_invariants(state: Readable, scan: Scan, proposals: dict[bytes, Proposal]) -> Iterator[tuple[str, bool, str]]:
    queue = [(key[len(QUEUE) : len(QUEUE) + 8], key[len(QUEUE) + 8 :]) for key, _ in scan(QUEUE)]
    counting = sorted(number for number, found in proposals.items() if found.status == TALLYING)
    tallies: Tallies | None = state.get(TALLIES)
    pins = [int.from_bytes(pin, "big") for pin, _ in queue]
    expected = (len(pins), pins[0], pins[-1]) if pins else None
    agree = (tuple(tallies) if tallies is not None else None) == expected
    yield (
        "governance: each closed proposal waits for its count",
        sorted(number for _, number in queue) == counting and agree,
        f"{len(queue)} in the queue, {len(counting)} closed, {tallies}",
    )
    begun = sorted(key[len(TALLY) :] for key, _ in scan(TALLY))
    yield "governance: counts are of closed proposals", set(begun) <= set(counting), f"{len(begun)}, {len(counting)}"
    due = {(key[2:10], key[10:]) for key, _ in scan(b"Bh")}
    forgotten = [
        number
        for number, found in proposals.items()
        if (found.status == DEPOSIT and (height_bytes(found.deposit_end_time_ns), number) not in due)
        or (found.status == VOTING and (height_bytes(found.voting_end_time_ns), number) not in due)
    ]
    yield "governance: each open proposal has its time", not forgotten, f"{len(forgotten)} have not"
