"""What must hold of stake and rewards after every block, read from the whole state.

Source: Cosmos SDK v0.50, the invariants of x/bank, x/staking and x/distribution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from chain.currency.ledger.bank import BONDED_POOL, NOT_BONDED_POOL, held
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.stake_records import (
    BONDED,
    BY_DELEGATOR,
    BY_MOVER,
    BY_OPERATOR,
    BY_POWER,
    CONSENSUS_KEY,
    DELEGATES,
    DELEGATION,
    FAILED,
    HISTORICAL,
    MINTER,
    QUEUE_REDELEGATIONS,
    QUEUE_UNBONDINGS,
    QUEUE_VALIDATORS,
    QUEUE_WATCHES,
    RECEIVING,
    REDELEGATIONS,
    REDELEGATIONS_BEGUN,
    REWARDS,
    SLASHES_BEGUN,
    UNBONDED,
    UNBONDING,
    UNBONDINGS,
    UNBONDINGS_BEGUN,
    UNSETTLED,
    VALIDATOR,
    Now,
    SlashLine,
    Validator,
    balances,
    power_key,
)
from chain.currency.rewards import distribution
from chain.currency.staking import rotation, signing, slash
from chain.currency.staking.queues import REDELEGATION_QUEUE, UNBONDING_QUEUE, VALIDATOR_QUEUE, WATCH_QUEUE
from chain.currency.staking.signing import SIGNING
from chain.currency.staking.valset import active_of
from chain.kernel.branch import Branch, Readable, Scan
from chain.kernel.event_text import some
from chain.tx.codec import height_bytes
from crypto.hash import ADDRESS_BYTES as SIZE

Law: TypeAlias = tuple[str, bool, str]


def invariants(state: Readable, scan: Scan) -> Iterator[Law]:
    """(name, whether it holds, the figures)."""
    if state.get(MINTER) is None:
        return
    validators = {key[len(VALIDATOR) :]: value for key, value in scan(VALIDATOR)}
    yield _supply(state)
    yield from _pools(state, scan, validators)
    yield from _shares(scan, validators)
    yield from _set(state, scan, validators)
    yield from rotation.invariants(state, scan, validators)
    yield _indexes(state, scan, validators)
    yield _slashes(scan, validators, slash.line_of(state))
    yield _references(scan, validators)
    yield from _rewards(state, scan, validators)
    yield from _signing(state, scan, validators)
    yield FAILED.invariant("economy", scan)
    for queue in (UNBONDING_QUEUE, REDELEGATION_QUEUE, VALIDATOR_QUEUE, WATCH_QUEUE):
        yield queue.invariant("staking", state, scan)


def _supply(state: Readable) -> Law:
    minter = state.get(MINTER)
    assert minter is not None
    pulse = distribution.pulse_of(state)
    minted, burned = minter.minted + pulse.minted, minter.burned + pulse.burned
    expected = minter.genesis_supply + minted - burned
    total = distribution.total_supply(state)
    detail = f"{minter.genesis_supply} + {minted} minted - {burned} burned, total {total}"
    return "bank: supply changes by what is minted and burned", expected == total, detail


def _pools(state: Readable, scan: Scan, validators: dict[bytes, Validator]) -> Iterator[Law]:
    bonded = sum(v.tokens for v in validators.values() if v.status == BONDED)
    others = sum(v.tokens for v in validators.values() if v.status != BONDED)
    unbonding = sum(balances(record.entries) for _, record in scan(UNBONDINGS))
    pool = held(state, BONDED_POOL)
    yield "staking: the bonded pool holds bonded tokens", pool == bonded, f"pool {pool} udchat, tokens {bonded} udchat"
    pool = held(state, NOT_BONDED_POOL)
    detail = f"pool {pool} udchat, tokens {others} udchat, unbonding {unbonding} udchat"
    yield "staking: the other pool holds all other stake", pool == others + unbonding, detail


def _shares(scan: Scan, validators: dict[bytes, Validator]) -> Iterator[Law]:
    sums: Counter[bytes] = Counter()
    empty = 0
    for key, delegation in scan(DELEGATION):
        sums[key[-SIZE:]] += delegation.shares
        empty += delegation.shares <= 0
    wrong = [op.hex() for op, v in validators.items() if v.shares != sums[op]]
    wrong += [op.hex() for op in sums if op not in validators]
    yield "staking: delegations have shares", not empty, f"{empty} have none"
    yield (
        "staking: a validator's shares are its delegations'",
        not wrong,
        f"of these validators they differ: {some(wrong)}",
    )


def _set(state: Readable, scan: Scan, validators: dict[bytes, Validator]) -> Iterator[Law]:
    expected = sorted(power_key(v.power, op) for op, v in validators.items() if not v.jailed and v.power)
    found = [key for key, _ in scan(BY_POWER)]
    detail = f"{len(found)} keys, {len(expected)} expected"
    yield "staking: the power index is right", expected == found, detail
    members = active_of(state).members
    unsettled = state.get(UNSETTLED) is not None
    bonded = sorted(op for op, v in validators.items() if v.status == BONDED)
    right = bonded == sorted(op for op, _ in members)
    if not unsettled:
        right = right and all(not validators[op].jailed and validators[op].power == power for op, power in members)
    yield (
        "staking: the set is the bonded validators, at their power",
        right,
        f"{len(members)} in the set, {len(bonded)} bonded",
    )
    stands = not expected and bool(members)  # nobody could take the place of who is in the set
    powerless = not any(power for _, power in members)  # of a genesis that no chain takes
    holds = unsettled == stands or powerless
    yield "staking: the set is tried again where it would have become empty", holds, f"{unsettled}"


def _slashes(scan: Scan, validators: dict[bytes, Validator], line: SlashLine | None) -> Law:
    """Each of the line is there and no other, and its validator knows of it and is still there to pay."""
    begun = {int.from_bytes(key[len(SLASHES_BEGUN) :], "big"): one for key, one in scan(SLASHES_BEGUN)}
    numbers = range(line.first, line.following) if line is not None else range(0)
    of = Counter(one.operator for one in begun.values())
    right = list(begun) == list(numbers) and of.keys() <= validators.keys()
    right = right and all(v.slashes_waiting == of[operator] for operator, v in validators.items())
    right = right and all(validators[operator].status != UNBONDED for operator in of)
    return "staking: slashes that go on stand in line", right, f"{len(begun)} of {len(of)} validators"


def _indexes(state: Readable, scan: Scan, validators: dict[bytes, Validator]) -> Law:
    """Everything beside the tree follows from what lies under it."""
    wrong: list[str] = []
    now = height_bytes(distribution.pulse_of(state).last_time_ns)

    def compare(name: str, prefix: bytes, expected: set[bytes]) -> None:
        found = {key[len(prefix) :] for key, _ in scan(prefix)}
        if found != expected:
            wrong.append(f"{name}: {len(found - expected)} too many, {len(expected - found)} missing")

    def waits(name: str, queue: bytes, expected: set[bytes]) -> None:
        """Beyond what is expected only what is due already, and was done with something before it of the same pair."""
        found = _queued(scan, queue)
        more = {item for item in found - expected if item[: len(now)] > now}
        if more or expected - found:
            wrong.append(f"{name}: {len(more)} too many in the queue, {len(expected - found)} are not queued")

    delegations = [key[len(DELEGATION) :] for key, _ in scan(DELEGATION)]
    unbondings = [(key[len(UNBONDINGS) :], record.entries) for key, record in scan(UNBONDINGS)]
    moves = [(key[len(REDELEGATIONS) :], record.entries) for key, record in scan(REDELEGATIONS)]
    compare("consensus keys", CONSENSUS_KEY, {v.address for v in validators.values()})
    compare("rewards", REWARDS, set(validators))
    compare("by operator", BY_OPERATOR, {pair[SIZE:] + pair[:SIZE] for pair in delegations})
    many = Counter(pair[:SIZE] for pair in delegations)
    if dict(many) != {key[len(DELEGATES) :]: int.from_bytes(count, "big") for key, count in scan(DELEGATES)}:
        wrong.append("delegates")
    compare("by delegator", BY_DELEGATOR, {pair[SIZE:] + pair[:SIZE] for pair, _ in unbondings})
    compare("by mover", BY_MOVER, {m[SIZE : 2 * SIZE] + m[2 * SIZE :] + m[:SIZE] for m, _ in moves})
    receiving: Counter[bytes] = Counter()
    for move, entries in moves:
        receiving[move[SIZE:]] += len(entries)
    if dict(receiving) != {key[len(RECEIVING) :]: int.from_bytes(count, "big") for key, count in scan(RECEIVING)}:
        wrong.append("receiving")
    compare("unbondings by height", UNBONDINGS_BEGUN, {
        pair[:SIZE] + height_bytes(e.creation_height) + pair[SIZE:] for pair, entries in unbondings for e in entries
    })  # fmt: skip
    compare("redelegations by height", REDELEGATIONS_BEGUN, {
        move[:SIZE] + height_bytes(e.creation_height) + move[SIZE:] for move, entries in moves for e in entries
    })  # fmt: skip
    queued = _queued(scan, QUEUE_UNBONDINGS)  # of one that was cancelled its time waits on, and does nothing
    if any(height_bytes(e.completion_ns) + pair not in queued for pair, entries in unbondings for e in entries):
        wrong.append("an unbonding is not queued")
    ends = {height_bytes(e.completion_ns) + move for move, entries in moves for e in entries}
    waits("redelegations", QUEUE_REDELEGATIONS, ends)
    waiting = {height_bytes(v.unbonding_time_ns) + op for op, v in validators.items() if v.status == UNBONDING}
    if waiting != _queued(scan, QUEUE_VALIDATORS):
        wrong.append("unbonding validators")
    return "staking: indexes and queues agree with the records", not wrong, "; ".join(wrong) or "all do"


def _queued(scan: Scan, queue: bytes) -> set[bytes]:
    """What waits in a queue, or failed and waits for other code."""
    failed = FAILED.prefix + queue
    return {key[len(queue) :] for key, _ in scan(queue)} | {key[len(failed) :] for key, _ in scan(failed)}


def _references(scan: Scan, validators: dict[bytes, Validator]) -> Law:
    references = sum(record.references for _, record in scan(HISTORICAL))
    delegations = sum(1 for _ in scan(DELEGATION))
    slashes = sum(record.slash_count for _, record in scan(REWARDS))
    expected = len(validators) + delegations + slashes
    detail = f"{references} references, of {len(validators)} validators, {delegations} delegations, {slashes} slashes"
    return "distribution: periods are kept as long as referred to", references == expected, detail


def _rewards(state: Readable, scan: Scan, validators: dict[bytes, Validator]) -> Iterator[Law]:
    owed = sum(distribution.settled(state, v).outstanding for v in validators.values())
    pool = distribution.pool_of(state).amount
    balance = distribution.balance(state)
    detail = f"balance {balance} udchat, outstanding and pool {owed + pool}e-18 udchat"
    yield "distribution: its account holds what is owed and the pool", balance * ONE == owed + pool, detail
    short = _withdraw_all(state, scan, validators)
    yield "distribution: everyone can withdraw", not short, f"validators that fall short: {some(short)}"


def _withdraw_all(state: Readable, scan: Scan, validators: dict[bytes, Validator]) -> list[str]:
    """On a branch that is dropped: all commissions and delegations withdrawn."""
    branch = Branch(state.get)
    delegators: dict[bytes, list[bytes]] = {operator: [] for operator in validators}
    for key, _ in scan(DELEGATION):
        delegators[key[-SIZE:]].append(key[len(DELEGATION) : -SIZE])
    short = []
    for operator, validator in validators.items():
        distribution.withdraw_commission(branch, validator)
        for delegator in delegators[operator]:
            delegation = branch.get(DELEGATION + delegator + operator)
            assert delegation is not None, (delegator.hex(), operator.hex())
            earned = distribution.earned(branch, validator, delegation, capped=False)
            if earned > distribution.settled(branch, validator).outstanding:
                short.append(operator.hex())
            distribution.withdraw(branch, validator, delegator, delegation)
            distribution.start(branch, validator, delegation.shares, Now(0, 0))
    return short


def _signing(state: Readable, scan: Scan, validators: dict[bytes, Validator]) -> Iterator[Law]:
    live = signing.liveness_of(state)
    running: list[bytes] = []
    counted: list[bytes] = []
    watched: set[bytes] = set()
    strange = 0
    for key, info in scan(SIGNING):
        if info.run_start:
            running.append(key[len(SIGNING) :])
        if info.counted_since:
            counted.append(key[len(SIGNING) :])
        if info.watched:
            watched.add(height_bytes(info.watched) + key[len(SIGNING) :])
        strange += (info.run_start > 0 or info.watched > 0) and not info.counted_since
        strange += info.misses.bit_count() > info.missed_total
        strange += bool(info.misses) != bool(info.last_miss) or (info.misses > 0 and not info.misses & 1)
        strange += 0 < info.run_start <= info.last_miss
    yield "slashing: runs of misses are those of who is absent", tuple(running) == live.absent, f"{len(running)} runs"
    yield (
        "slashing: the queue of watches is the validators' own",
        watched == _queued(scan, QUEUE_WATCHES),
        f"{len(watched)} watches",
    )
    yield "slashing: misses are counted once", not strange, f"{strange} strange"
    members = distribution.slots_of(state).index
    wrong = [
        v.address.hex()
        for v in validators.values()
        if v.address in members and v.status != UNBONDED and (v.address in counted) == v.jailed
    ]
    wrong += [address.hex() for address in counted if address not in members]
    yield (
        "slashing: who is in the commit and not jailed is counted",
        not wrong,
        f"validators that are not: {some(wrong)}",
    )
