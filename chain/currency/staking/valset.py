"""The end of a block: who is bonded, what the engine is told, and what waited for this time.

The set is the strongest by power, of equals the lower operator; it is looked at only in blocks that changed a validator
or the params. Updates that a block returns sign two heights later. The engine is told of changes alone, and never to
remove somebody it does not know (tendermint/tendermint#1893); it is never left without any validator: as long as nobody
else is eligible, the set stays as it is.
Source: Cosmos SDK v0.50, x/staking/README.md (End-Block).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from typing import Final, NamedTuple

from chain.currency.ledger import bank, dec
from chain.currency.ledger.bank import BONDED_POOL, NOT_BONDED_POOL
from chain.currency.ledger.economic_params import NS_PER_S, STAKING, staking_of
from chain.currency.ledger.stake_records import (
    ACTIVE,
    BONDED,
    BY_POWER,
    FAILED,
    MARK,
    STATUS_NAMES,
    TOLD,
    UNBONDED,
    UNBONDING,
    UNSETTLED,
    VALIDATOR,
    ActiveSet,
    Now,
    Validator,
    read_power_key,
)
from chain.currency.rewards import distribution
from chain.currency.staking import signing, slash, stake
from chain.currency.staking.queues import ITEMS_MAX, REDELEGATION_QUEUE, UNBONDING_QUEUE, VALIDATOR_QUEUE
from chain.currency.staking.stake import put_validator, validator_of
from chain.kernel.branch import Branch, Readable, Scan
from chain.kernel.event_text import Event, account, coins, consensus
from chain.tx.messages.kinds.fields import consensus_key_of
from consensus.abci.interface import ValidatorUpdate
from crypto.hash import ADDRESS_BYTES
from crypto.keys import PubKey

RAISED_PER_SLICE: Final = 50
NOBODY: Final = ActiveSet(())


def active_of(state: Readable) -> ActiveSet:
    return state.get(ACTIVE) or NOBODY


def end_block(
    branch: Branch, scan: Scan, now: Now, *, items_max: int = ITEMS_MAX
) -> Generator[None, None, list[ValidatorUpdate]]:
    """The set's changes for the engine; then what matured: validators, unbondings, redelegations, as many of each as a
    block can add. Nothing matures while a slash goes on, which may reach it. In slices."""
    updates = update_set(branch, scan, now)
    yield
    if slash.line_of(branch) is not None:
        return updates
    for queue, work in (
        (VALIDATOR_QUEUE, _mature_validator),
        (UNBONDING_QUEUE, partial(_pay_unbonding, now)),
        (REDELEGATION_QUEUE, partial(_forget_redelegation, now)),
    ):
        yield from queue.work_off(branch, scan, now, FAILED, work, items_max=items_max)
    return updates


# ------------------------------------------------------------------------------ the set


def raise_commissions(branch: Branch, scan: Scan, now: Now) -> Iterator[None]:
    """After a change of the params: nobody stays below the least commission, whatever its own maximum was; and what was
    earned until now was earned at the rate before. In slices.
    """
    least = staking_of(branch).min_commission
    keys = {key for key, _ in scan(VALIDATOR)} | {key for key in branch.writes if key.startswith(VALIDATOR)}
    for number, key in enumerate(sorted(keys), start=1):
        validator = branch.get(key)
        if validator is not None and validator.rate < least:
            distribution.settle(branch, validator)
            raised = validator._replace(
                rate=least, max_rate=max(validator.max_rate, least), commission_time_ns=now.time_ns
            )
            put_validator(branch, validator, raised)
            branch.emit(
                Event.of(
                    "edit_validator", validator=account(raised.operator), moniker=raised.moniker,
                    commission_rate=dec.text(least), min_self_delegation=coins(raised.min_self_delegation),
                )
            )  # fmt: skip
        if number % RAISED_PER_SLICE == 0:
            yield


def update_set(branch: Branch, scan: Scan, now: Now) -> list[ValidatorUpdate]:
    """Bond and release validators by their power now; returns what the engine must be told."""
    touched = sorted(key[len(VALIDATOR) :] for key in branch.writes if key[: len(VALIDATOR)] == VALIDATOR)
    if not touched and STAKING not in branch.writes and branch.get(UNSETTLED) is None:
        return []
    chosen = _strongest(branch, scan, touched)
    before = active_of(branch)
    if not chosen:
        if before.members:
            branch.set(UNSETTLED, MARK)
        return []
    unsettled = branch.get(UNSETTLED) is not None
    if unsettled:
        branch.set(UNSETTLED, None)
    powers = dict(before.members)
    change = _Change(branch, now, [])
    told = _told(branch, [*touched, *powers] if unsettled else touched)
    moved = 0  # into the bonded pool
    for operator, power in chosen:
        validator = stake.require_validator(branch, operator)
        if validator.status != BONDED:
            moved += validator.tokens
            change.bond(validator)
        known = powers.pop(operator, None)
        if operator in told:
            change.updates.append(ValidatorUpdate(engine_key(told[operator]), 0))
        if known != power or operator in told:
            change.updates.append(ValidatorUpdate(engine_key(validator), power))
    for operator in sorted(powers):
        validator = stake.require_validator(branch, operator)
        moved -= validator.tokens
        change.release(validator)
        change.updates.append(ValidatorUpdate(engine_key(told.get(operator, validator)), 0))
    if moved > 0:
        bank.pay_out(branch, pool=NOT_BONDED_POOL, recipient=BONDED_POOL, amount=moved)
    elif moved < 0:
        bank.pay_out(branch, pool=BONDED_POOL, recipient=NOT_BONDED_POOL, amount=-moved)
    after = ActiveSet(tuple(chosen))
    if after != before:
        branch.set(ACTIVE, after)
    return change.updates


def engine_key(validator: Validator) -> PubKey:
    """As the engine knows it."""
    return consensus_key_of(validator.consensus_key)


def _told(branch: Branch, operators: list[bytes]) -> dict[bytes, Validator]:
    """Those of the set whose key changed since the engine was told of it, as they were then; which is forgotten."""
    told: dict[bytes, Validator] = {}
    for operator in operators:
        before = branch.get(TOLD + operator)
        if before is not None:
            branch.set(TOLD + operator, None)
            told[operator] = before
    return told


def _strongest(branch: Branch, scan: Scan, touched: list[bytes]) -> list[tuple[bytes, int]]:
    """(operator, power) by rank. The saved index holds for everyone whom the block did not touch."""
    limit = staking_of(branch).validators_max
    changed = frozenset(touched)
    ranked: list[tuple[int, bytes]] = []
    for key, _ in scan(BY_POWER):
        power, operator = read_power_key(key)
        if operator not in changed:
            ranked.append((-power, operator))
            if len(ranked) == limit:
                break
    for operator in touched:
        validator = validator_of(branch, operator)
        if validator is not None and not validator.jailed and validator.power:
            ranked.append((-validator.power, operator))
    return [(operator, -rank) for rank, operator in sorted(ranked)[:limit]]


class _Change(NamedTuple):
    branch: Branch
    now: Now
    updates: list[ValidatorUpdate]

    def bond(self, validator: Validator) -> None:
        if validator.status == UNBONDING:
            VALIDATOR_QUEUE.remove(self.branch, validator.unbonding_time_ns, validator.operator)
        after = validator._replace(status=BONDED, unbonding_height=0, unbonding_time_ns=0)
        put_validator(self.branch, validator, after)
        signing.bonded(self.branch, validator.address, self.now.height)
        if not validator.jailed and validator.address in distribution.slots_of(self.branch).index:
            signing.begin_counting(self.branch, validator.address, self.now.height + 1)
        _tell_status(self.branch, after)

    def release(self, validator: Validator) -> None:
        assert validator.status == BONDED, validator
        time_ns = self.now.time_ns + staking_of(self.branch).unbonding_s * NS_PER_S
        after = validator._replace(status=UNBONDING, unbonding_height=self.now.height, unbonding_time_ns=time_ns)
        put_validator(self.branch, validator, after)
        VALIDATOR_QUEUE.push(self.branch, time_ns, validator.operator)
        _tell_status(self.branch, after)


def _tell_status(branch: Branch, validator: Validator) -> None:
    branch.emit(
        Event.of(
            "validator_status", validator=account(validator.operator), address=consensus(validator.address),
            status=STATUS_NAMES[validator.status], power=str(validator.power),
        )
    )  # fmt: skip


# ------------------------------------------------------------------------------ what matured


def _mature_validator(operator: bytes, branch: Branch) -> None:
    validator = stake.require_validator(branch, operator)
    assert validator.status == UNBONDING, validator
    after = validator._replace(status=UNBONDED)
    put_validator(branch, validator, after)
    _tell_status(branch, after)
    if not after.shares:
        stake.remove_validator(branch, after)


def _pay_unbonding(now: Now, item: bytes, branch: Branch) -> None:
    stake.complete_unbonding(branch, item[:ADDRESS_BYTES], item[ADDRESS_BYTES:], now)


def _forget_redelegation(now: Now, item: bytes, branch: Branch) -> None:
    source, delegator, destination = item[:ADDRESS_BYTES], item[ADDRESS_BYTES:-ADDRESS_BYTES], item[-ADDRESS_BYTES:]
    stake.complete_redelegation(branch, source, delegator, destination, now)


QUEUES: Final = {queue.prefix: queue for queue in (VALIDATOR_QUEUE, UNBONDING_QUEUE, REDELEGATION_QUEUE)}


def retry_failed(branch: Branch, scan: Scan) -> None:
    """Put what could not be worked off back into its queue: the code is another from this block on."""
    for queue, due, _ in FAILED.take_back(branch, scan):
        QUEUES[queue].put_back(branch, due)
