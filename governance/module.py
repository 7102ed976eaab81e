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
Source: Cosmos SDK v0.50, x/gov/README.md; docs/governance.md; docs/decisions/0008.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from chain.app_state import governance_params
from chain.app_state.governance_params import GovernanceParams
from chain.chat import ballots as chat
from chain.chat.ballots import DECIDED, DEPOSIT, FAILED, PASSED, REJECTED, TALLYING, VOTE, VOTING, Proposal, Result
from chain.currency import machine as currency
from chain.currency.grants.fee_grants import last_time_ns
from chain.currency.ledger import dec
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.stake_records import Now
from chain.currency.staking.queues import TimeQueue
from chain.currency.staking.stake import has_stake
from chain.kernel.branch import Branch, Decoders, Key, Readable, Scan, State, check_records, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, coins, time_text
from chain.kernel.items import PANICS
from chain.kernel.modules import BlockContext
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.codec import height_bytes
from chain.tx.errors import (
    ActionPanicked,
    DepositsClosed,
    DepositTooSmall,
    NoStake,
    NotCancellable,
    NotProposer,
    TxError,
)
from chain.tx.gas import GAS_LATER, most_of
from chain.tx.messages.governance import AddDeposit, CancelProposal, SubmitProposal, Vote, VoteWeighted
from consensus.formats.units import NS_PER_S
from consensus.types.params import ConsensusParams
from governance import records as governance_records
from governance import room
from governance.actions import GOVERNANCE_PARAMS, attempt, carry_out, governance_params_of
from governance.clearing import (
    BURN,
    JOB_DEDUCTED,
    JOB_DEPOSITS,
    JOB_KEPT,
    JOB_VOTES,
    REFUND,
    TO_TREASURY,
    is_how,
    job_count,
    job_of,
    push_job,
    settlement,
    sweep,
)
from governance.pinned_stake import HAS_KEPT, Stake, keep_changed
from governance.records import (
    DEDUCTED,
    DEPOSITS,
    FAILED_ITEMS,
    HELD,
    JOBS,
    QUEUE,
    TALLIES,
    TALLY,
    Deposit,
    Tallies,
    held_for,
)
from governance.tally import Count, Tally, judge

GAS_COUNTED: Final = 6_000  # of a block's limit for each unit of counting: votes are counted as fast as stake can vote
COUNTS_MAX: Final = 32  # that wait or go on: each keeps a version of the stake that changes meanwhile
UNITS_PER_SLICE: Final = 100
UNITS_DECISION: Final = 100  # carrying out what passed
GAS_UNLIMITED: Final = 1 << 62  # what voters decided has no gas limit; its size is bounded by that of a proposal

MARK: Final = b"\x01"


def units_per_block(block_gas_max: int) -> int:
    """Of counting; a unit is about 10 us (`governance.tally` says what a step costs)."""
    return most_of(GAS_COUNTED, block_gas_max)


TIMERS: Final = TimeQueue(b"Bh", Key.of(b"BH", bytes))  # when proposals have to be looked at: ‖ time ‖ number
DECODERS: Final[Decoders] = {**governance_records.DECODERS, **decoders_of(GOVERNANCE_PARAMS)}


# ------------------------------------------------------------------------------ messages


def submit_proposal(ctx: Context, message: SubmitProposal) -> Leg:
    """Raises: DepositTooSmall, Overspend, and whatever would make an action impossible now."""
    branch = ctx.branch
    params = governance_params_of(branch)
    _check_deposit(params, message.deposit, expedited=message.expedited)
    trial = _unmetered(Branch(branch.get), ctx.height, ctx.time_ns)
    for action in message.actions:
        attempt(trial, action)
        check_records(trial.branch.writes)
    number = chat.next_number(branch)
    ends = ctx.time_ns + params.deposit_period_s * NS_PER_S
    proposal = Proposal(
        id=number, proposer=message.proposer, title=message.title, summary=message.summary, actions=message.actions,
        status=DEPOSIT, expedited=message.expedited,
        submit_height=ctx.height, submit_time_ns=ctx.time_ns, deposit_end_time_ns=ends,
    )  # fmt: skip
    chat.add_proposal(branch, proposal)
    TIMERS.push(branch, ends, height_bytes(number))
    told = {"proposal_id": str(number), "proposer": account(message.proposer), "actions": str(len(message.actions))}
    branch.emit(Event.of("submit_proposal", **told))
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
        raise DepositTooSmall(f"{amount} udchat, needed: {least} udchat")


def _take_deposit(ctx: Context, params: GovernanceParams, proposal: Proposal, depositor: bytes, amount: int) -> None:
    """Hold it; at the minimum, voting begins."""
    branch, number = ctx.branch, height_bytes(proposal.id)
    currency.transfer(ctx, sender=depositor, recipient=GOVERNANCE_ADDRESS, amount=amount)
    key = DEPOSITS + number + depositor
    found = branch.get(key)
    branch.set(key, Deposit(amount + (found.amount if found is not None else 0)))
    before = held_for(branch, proposal.id)
    held = before + amount
    branch.set(HELD + number, height_bytes(held))
    room.move_up(branch, proposal, before=before, after=held)
    told = {"proposal_id": str(proposal.id), "depositor": account(depositor), "amount": coins(amount)}
    branch.emit(Event.of("proposal_deposit", **told))
    if proposal.status == DEPOSIT and held >= params.min_deposit_of(proposal.expedited):
        ends = ctx.time_ns + params.voting_period_of(proposal.expedited) * NS_PER_S
        opened = proposal._replace(status=VOTING, voting_start_time_ns=ctx.time_ns, voting_end_time_ns=ends)
        chat.put_proposal(branch, opened)
        TIMERS.push(branch, ends, number)
        told = {"proposal_id": str(proposal.id), "voting_end_time": time_text(ends)}
        branch.emit(Event.of("voting_period_start", **told))


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
    push_job(
        branch, JOB_DEPOSITS, proposal.id,
        how=settlement(TO_TREASURY if params.cancel_to_treasury else BURN, params.cancel_ratio),
    )  # fmt: skip
    _drop_votes(branch, proposal)
    room.leave(branch, proposal)
    chat.delete_proposal(branch, proposal.id)
    branch.emit(Event.of("cancel_proposal", proposal_id=str(proposal.id), sender=account(proposal.proposer)))
    return Leg("cancel_proposal", held_for(branch, proposal.id), proposal.proposer, proposal.id)


def _drop_votes(state: State, proposal: Proposal) -> None:
    """Of every ballot (#16162: a proposal that goes leaves no votes behind)."""
    if proposal.status != DEPOSIT:
        for ballot in range(proposal.ballot + 1):
            push_job(state, JOB_VOTES, proposal.id, ballot)


def _by_who_has_stake(cast: Handler) -> Handler:
    """A vote of nobody's stake would only be work for those who count."""

    def vote(ctx: Context, message: Vote | VoteWeighted) -> Leg:
        if not has_stake(ctx.branch, message.voter):
            raise NoStake(account(message.voter))
        return cast(ctx, message)

    return vote


def handlers() -> dict[type[Any], Handler]:
    return {
        SubmitProposal: submit_proposal,
        AddDeposit: add_deposit,
        CancelProposal: cancel_proposal,
        **{kind: _by_who_has_stake(cast) for kind, cast in chat.handlers().items()},
    }


# ------------------------------------------------------------------------------ counting, and what passes


class _Deducted:
    """The deductions of one count: what is stored, with this block's on top."""

    def __init__(self, state: State, number: int, ballot: int) -> None:
        self._state, self._prefix = state, DEDUCTED + height_bytes(number) + bytes((ballot,))
        self._now: dict[bytes, int] = {}

    def __getitem__(self, operator: bytes) -> int:
        if operator not in self._now:
            stored = self._state.get(self._prefix + operator)
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
    budget = units_per_block(ctx.block_gas_max)
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
    begun = branch.get(TALLY + height_bytes(number))
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
    push_job(ctx.branch, JOB_DEPOSITS, proposal.id, how=settlement(REFUND, 0))
    until = _keep_votes(ctx, proposal)
    failed = proposal._replace(
        status=FAILED, result=Result(0, 0, 0, 0, 0, 0, _pin_of(key)), failed_code=ActionPanicked.code,
        decided_time_ns=ctx.time_ns, votes_until_time_ns=until,
    )  # fmt: skip
    chat.put_proposal(ctx.branch, failed)
    _tell_result(ctx.branch, proposal.id, "proposal_failed")


def _pin_of(key: bytes) -> int:
    """Of a count in the queue."""
    return int.from_bytes(key[len(QUEUE) : len(QUEUE) + 8], "big")


def _finish_count(ctx: BlockContext, done: bytes, proposal: Proposal) -> None:
    """One count fewer; the oldest pin is that of the next."""
    ctx.branch.set(TALLY + height_bytes(proposal.id), None)
    ctx.branch.set(done, None)
    push_job(ctx.branch, JOB_DEDUCTED, proposal.id, proposal.ballot)
    tallies = ctx.branch.get(TALLIES)
    assert tallies is not None, "a count is counted while it goes on"
    if tallies.waiting == 1:
        ctx.branch.set(TALLIES, None)
        if ctx.branch.get(HAS_KEPT) is not None:
            push_job(ctx.branch, JOB_KEPT, 0)
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
        push_job(branch, JOB_VOTES, proposal.id, proposal.ballot)
        again = proposal._replace(status=VOTING, expedited=False, ballot=proposal.ballot + 1, voting_end_time_ns=ends)
        chat.put_proposal(branch, again)
        TIMERS.push(branch, ends, height_bytes(proposal.id))
        _tell_result(branch, proposal.id, "expedited_proposal_rejected")
        return
    code = action = 0
    if verdict.passes:
        code, action = execute(ctx, proposal)
    burns = (verdict.is_vetoed and params.burn_vetoed) or (
        tally.bonded and not verdict.has_quorum and params.burn_without_quorum
    )
    push_job(branch, JOB_DEPOSITS, proposal.id, how=settlement(BURN if burns else REFUND, ONE if burns else 0))
    until = _keep_votes(ctx, proposal)
    decided = proposal._replace(
        status=(FAILED if code else PASSED) if verdict.passes else REJECTED,
        result=tally.result, failed_code=code, failed_action=action, decided_time_ns=ctx.time_ns,
        votes_until_time_ns=until,
    )  # fmt: skip
    chat.put_proposal(branch, decided)
    _tell_result(branch, proposal.id, f"proposal_{chat.STATUS_NAMES[decided.status]}")


def _tell_result(branch: Branch, number: int, result: str) -> None:
    branch.emit(Event.of("active_proposal", proposal_id=str(number), proposal_result=result))


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
            check_records(inner.writes)
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
    tallies = ctx.branch.get(TALLIES)
    if tallies is not None:
        pins = {"oldest_pin": tallies.oldest_pin, "newest_pin": tallies.newest_pin}
        yield from keep_changed(ctx.branch, ctx.committed, ctx.scan, **pins)
    now = Now(ctx.height, ctx.time_ns)
    for due in room.let_in(ctx.branch, ctx.scan, _room(ctx.branch)):
        work = partial(_close_voting, int.from_bytes(due[-8:], "big"), now)
        yield from FAILED_ITEMS.run(ctx.branch, work, queue=TIMERS.prefix, item=due, height=ctx.height)
    looks = most_of(GAS_LATER, ctx.block_gas_max)
    yield from TIMERS.work_off(ctx.branch, ctx.scan, now, FAILED_ITEMS, partial(_look_at, now), items_max=looks)
    yield from sweep(ctx)


def _retry_failed(ctx: BlockContext) -> None:
    """Put what could not be worked off back into its queue: the code is another from this block on.

    A proposal whose votes could not be counted has ended.
    """
    for queue, item, failed in FAILED_ITEMS.take_back(ctx.branch, ctx.scan):
        if queue == TIMERS.prefix:
            TIMERS.put_back(ctx.branch, item)
        elif queue == JOBS:
            what, number, ballot = job_of(JOBS + item)
            push_job(ctx.branch, what, int.from_bytes(number, "big"), ballot, how=failed.value)


def _look_at(now: Now, item: bytes, branch: Branch) -> None:
    """Whether one of a proposal's times has come. A timer of a time that moved, or of what is gone, means nothing."""
    number = int.from_bytes(item, "big")
    proposal = chat.proposal_of(branch, number)
    if proposal is None:
        return
    if proposal.status == DEPOSIT and proposal.deposit_end_time_ns <= now.time_ns:
        burns = governance_params_of(branch).burn_without_deposit
        push_job(branch, JOB_DEPOSITS, number, how=settlement(BURN if burns else REFUND, ONE if burns else 0))
        chat.delete_proposal(branch, number)
        branch.emit(Event.of("inactive_proposal", proposal_id=str(number), proposal_result="proposal_dropped"))
    elif proposal.status == VOTING and proposal.voting_end_time_ns <= now.time_ns:
        if _room(branch):
            _close_voting(number, now, branch)
        else:
            room.enter(branch, proposal)  # its voting goes on until there is room
    elif proposal.status in DECIDED and proposal.votes_until_time_ns <= now.time_ns:
        push_job(branch, JOB_VOTES, number, proposal.ballot)
        chat.put_proposal(branch, proposal._replace(summary="", actions=()))  # what stays is small: title and result


def _room(state: Readable) -> int:
    """How many more counts may begin."""
    tallies = state.get(TALLIES)
    return max(0, COUNTS_MAX - tallies.waiting) if tallies is not None else COUNTS_MAX


def _close_voting(number: int, now: Now, branch: Branch) -> None:
    chat.put_proposal(branch, chat.require_proposal(branch, number)._replace(status=TALLYING))
    _begin_count(branch, number, pin=now.height)


def _begin_count(state: State, number: int, *, pin: int) -> None:
    """Counting begins with the next block, by the stake that this one leaves."""
    state.set(QUEUE + height_bytes(pin) + height_bytes(number), MARK)
    found = state.get(TALLIES)
    if found is None:
        state.set(TALLIES, Tallies(1, pin, pin))
    else:
        state.set(TALLIES, found._replace(waiting=found.waiting + 1, newest_pin=pin))


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
    yield (
        "governance: its account holds the deposits",
        balance >= total,
        f"balance {balance} udchat, deposits {total} udchat",
    )
    held = {key[len(HELD) :]: int.from_bytes(stored, "big") for key, stored in scan(HELD)}
    detail = f"sums of {len(held)} proposals, deposits for {len(deposits)}"
    yield "governance: deposits add up for each proposal", held == deposits, detail
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
    strange = [key.hex() for key, how in scan(JOBS) if not is_how(key[len(JOBS)], how)]
    yield "governance: jobs say what becomes of deposits, and of nothing else", not strange, f"{len(strange)} do not"
    detail = f"{len(jobs)} jobs, counted {job_count(state)}"
    yield "governance: jobs are counted", len(jobs) == job_count(state), detail
    yield FAILED_ITEMS.invariant("governance", scan)
    yield from _count_invariants(state, scan, proposals)


def _count_invariants(state: Readable, scan: Scan, proposals: dict[bytes, Proposal]) -> Iterator[tuple[str, bool, str]]:
    queue = [(key[len(QUEUE) : len(QUEUE) + 8], key[len(QUEUE) + 8 :]) for key, _ in scan(QUEUE)]
    counting = sorted(number for number, found in proposals.items() if found.status == TALLYING)
    tallies = state.get(TALLIES)
    pins = [int.from_bytes(pin, "big") for pin, _ in queue]
    expected = (len(pins), pins[0], pins[-1]) if pins else None
    line = "none recorded"
    if tallies is not None:
        line = f"recorded {tallies.waiting}, with pins {tallies.oldest_pin} to {tallies.newest_pin}"
    agree = (tuple(tallies) if tallies is not None else None) == expected
    yield (
        "governance: each closed proposal waits for its count",
        sorted(number for _, number in queue) == counting and agree,
        f"{len(queue)} in the queue, {len(counting)} closed, {line}",
    )
    begun = sorted(key[len(TALLY) :] for key, _ in scan(TALLY))
    detail = f"{len(begun)} counts begun, {len(counting)} proposals closed"
    yield "governance: counts are of closed proposals", set(begun) <= set(counting), detail
    waiting, right = room.waiting_for(state, scan, proposals)
    full = tallies is not None and tallies.waiting >= COUNTS_MAX
    detail = f"{len(waiting)} wait, {line}"
    yield "governance: who waits for a count stands by its deposits", right and (full or not waiting), detail
    due = {(key[2:10], key[10:]) for key, _ in scan(b"Bh")}
    forgotten = [
        number
        for number, found in proposals.items()
        if (found.status == DEPOSIT and (height_bytes(found.deposit_end_time_ns), number) not in due)
        or (
            found.status == VOTING
            and number not in waiting
            and (height_bytes(found.voting_end_time_ns), number) not in due
        )
    ]
    yield "governance: each open proposal has its time", not forgotten, f"{len(forgotten)} have not"
    yield _no_strange_times(state, proposals, due)
    yield _votes_go(scan, proposals, due)
    yield TIMERS.invariant("governance", state, scan)


def _no_strange_times(
    state: Readable, proposals: dict[bytes, Proposal], due: set[tuple[bytes, bytes]]
) -> tuple[str, bool, str]:
    """Of one that was cancelled, and is gone, a time may wait still: it does nothing."""
    times = {
        (height_bytes(at), number)
        for number, found in proposals.items()
        for at in (found.deposit_end_time_ns, found.voting_end_time_ns, found.votes_until_time_ns)
    }
    now, following = height_bytes(last_time_ns(state)), height_bytes(chat.next_number(state))
    strange = [item for item in sorted(due - times) if item[0] > now and (item[1] in proposals or item[1] >= following)]
    return "governance: no other time waits than a proposal's", not strange, f"{len(strange)} others"


def _votes_go(scan: Scan, proposals: dict[bytes, Proposal], due: set[tuple[bytes, bytes]]) -> tuple[str, bool, str]:
    """Those of a decided proposal wait for their time, or are being removed, or that failed."""
    going = {key[len(JOBS) + 1 : len(JOBS) + 9] for key, _ in scan(JOBS) if key[len(JOBS)] == JOB_VOTES}
    failed = {key[-8:] for key, _ in scan(FAILED_ITEMS.prefix)}
    stay = [
        number
        for number in sorted({key[len(VOTE) : len(VOTE) + 8] for key, _ in scan(VOTE)} - going - failed)
        if number in proposals and (found := proposals[number]).status in DECIDED
        and (height_bytes(found.votes_until_time_ns), number) not in due
    ]  # fmt: skip
    return "governance: votes of what was decided go in time", not stay, f"{len(stay)} would stay"
