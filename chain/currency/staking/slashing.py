"""Punishment: for misses in a sliding window, and for signing twice.

A block looks at who is absent from the last commit, and at nobody else: see `chain.currency.staking.signing` for how
misses are kept. Evidence comes verified from the engine; here it is judged: who, whether still punishable, how much.
Source: Cosmos SDK v0.50, x/slashing/README.md and x/evidence/README.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from chain.currency.ledger.economic_params import NS_PER_S, SLASHING, SlashingParams, slashing_of
from chain.currency.ledger.stake_records import (
    CONSENSUS_KEY,
    REASON_DOUBLE_SIGN,
    REASON_DOWNTIME,
    REASON_LIGHT_CLIENT_ATTACK,
    UNBONDED,
    VALIDATOR,
    Now,
    Validator,
)
from chain.currency.rewards import distribution
from chain.currency.staking import rotation, signing, slash, stake
from chain.currency.staking.signing import FOREVER_NS, LIVENESS, SIGNING, SigningInfo, info_of, liveness_of
from chain.kernel.branch import Branch, Scan, State
from chain.kernel.event_text import Event, consensus
from consensus.abci.interface import Misbehavior, MisbehaviorType, VoteInfo

ABSENT: Final = 1  # VoteInfo.block_id_flag
JUDGED_PER_SLICE: Final = 20
COMMIT_DELAY: Final = 2  # blocks from the one that missed a vote, or was missed, to the one that carries its commit


def _by_address(state: State, address: bytes) -> Validator | None:
    operator = state.get(CONSENSUS_KEY + address)
    return None if operator is None else state.get(VALIDATOR + operator)


# ------------------------------------------------------------------------------ the last commit's members


class Members:
    """Whether the last commit has the members that the slots name: remembered from one block to the next, because
    that is the same question each time. What it answers depends on the two alone.
    """

    __slots__ = ("_addresses", "_slots")

    def __init__(self) -> None:
        self._addresses: tuple[bytes, ...] = ()
        self._slots: distribution.Slots | None = None

    def follow(self, state: State, votes: Sequence[VoteInfo], now: Now) -> None:
        """Give slots to who joined, and count them; take them from who left."""
        addresses = tuple([vote.address for vote in votes])
        slots = distribution.slots_of(state)
        if slots is self._slots and addresses == self._addresses:
            return
        members, known = frozenset(addresses), frozenset(slots.addresses)
        if members != known:
            for address in slots.addresses:
                if address not in members:
                    signing.stop_counting(state, address, now.height - 1)
            joined = [address for address in addresses if address not in known]
            distribution.change_slots(state, joined=joined, left=known - members)
            for address in joined:
                validator = _by_address(state, address)
                if validator is not None and not validator.jailed:
                    signing.begin_counting(state, address, now.height)
            slots = distribution.slots_of(state)
        self._addresses, self._slots = addresses, slots


# ------------------------------------------------------------------------------ liveness


def begin_block(
    branch: Branch, scan: Scan, votes: Sequence[VoteInfo], now: Now, begun: Counter[bytes]
) -> Iterator[None]:
    """Note who missed the last commit, and punish who missed too much. In slices. begun: as of `punish`."""
    live = liveness_of(branch)
    missing = [vote.address for vote in votes if vote.block_id_flag == ABSENT]
    params = slashing_of(branch)
    if live.old_watches:
        live = signing.convert_watches(branch, live, params)
    missing.sort()
    if tuple(missing) != live.absent:
        _note_runs(branch, missing, live.absent, now)
        live = liveness_of(branch)
    suspects = [*live.absent, *signing.take_watched(branch, scan, now.height)]
    if live.recheck:
        suspects += distribution.slots_of(branch).addresses
        branch.set(LIVENESS, live._replace(recheck=False))
    if not suspects:
        return
    powers = {vote.address: vote.power for vote in votes}
    for number, address in enumerate(sorted(frozenset(suspects)), start=1):
        _judge(branch, address, powers.get(address, 0), params, now, begun)
        if number % JUDGED_PER_SLICE == 0:
            yield


def _note_runs(branch: Branch, missing: list[bytes], before: tuple[bytes, ...], now: Now) -> None:
    """Runs of misses that begin or end with this commit; of those who are counted."""
    began: list[bytes] = []
    ended: list[bytes] = []
    were, are = frozenset(before), frozenset(missing)
    params = slashing_of(branch)
    for address in missing:
        if address not in were:
            info = info_of(branch, address)
            if info is not None and info.counted_since:
                info = info._replace(run_start=info.offset_at(now.height) + 1)
                branch.set(SIGNING + address, info)
                began.append(address)
                _tell_missing(branch, address, info, params, now)
    for address in before:
        if address not in are:
            info = info_of(branch, address)
            assert info is not None, address.hex()
            info = info.run_ended(info.offset_at(now.height) - 1)
            branch.set(SIGNING + address, info)
            ended.append(address)
            _tell_missing(branch, address, info, params, now)
            _watch_if_over(branch, address, info, params, now)
    if began:
        signing.set_absent(branch, began, True)
    if ended:
        signing.set_absent(branch, ended, False)


def _tell_missing(branch: Branch, address: bytes, info: SigningInfo, params: SlashingParams, now: Now) -> None:
    """When a run of misses begins and when it has ended: misses in the window, up to this commit."""
    missed = str(_missed(info, params, now))
    branch.emit(Event.of("liveness", address=consensus(address), missed_blocks=missed, height=str(now.height)))


def _watch_if_over(branch: Branch, address: bytes, info: SigningInfo, params: SlashingParams, now: Now) -> None:
    """It signs again, but has missed too much in a window that was not full: to be looked at when it is."""
    if now.height <= signing.full_at(info, params) and _missed(info, params, now) > params.missed_max:
        signing.watch(branch, address, params)


def _missed(info: SigningInfo, params: SlashingParams, now: Now) -> int:
    return info.missed(info.offset_at(now.height), params.missed_blocks_window)


def _judge(branch: Branch, address: bytes, power: int, params: SlashingParams, now: Now, begun: Counter[bytes]) -> None:
    """Jail and slash who missed too much, once the window since it joined is full."""
    info = info_of(branch, address)
    if info is None or not info.counted_since or _missed(info, params, now) <= params.missed_max:
        return
    if now.height <= info.start_height + params.missed_blocks_window:
        if not info.run_start:
            _watch_if_over(branch, address, info, params, now)
        return
    validator = _by_address(branch, address)
    if validator is None or validator.jailed or validator.status == UNBONDED:
        return
    validator = slash.begin(
        branch, validator, height=now.height - COMMIT_DELAY, power=power, fraction=params.slash_downtime,
        reason=REASON_DOWNTIME, now=now,
    )  # fmt: skip
    begun[validator.operator] += 1
    stake.jail(branch, validator, now, reset=True)
    info = info_of(branch, address)
    assert info is not None
    until = now.time_ns + params.downtime_jail_s * NS_PER_S
    branch.set(SIGNING + address, info._replace(jailed_until_ns=until))


def params_changed(branch: Branch) -> None:
    """At the end of a block: what decides about misses may be another from the next."""
    if SLASHING in branch.writes:
        signing.recheck_all(branch)


# ------------------------------------------------------------------------------ evidence


def punish(branch: Branch, misbehavior: Misbehavior, now: Now, begun: Counter[bytes]) -> bool:
    """Begin a slash, jail and, by the param, tombstone for one piece of evidence, of the key that a validator has or of
    one that it had. False: it is ignored (unknown,
    unbonded, tombstoned, punished for that height already, or too old by time and by blocks; or another of a key that
    was punished before, while any slash of an earlier block goes on: offences without end, of one validator or of
    several in turn, would let nothing mature meanwhile).

    begun: slashes of this block, by operator; counted on.
    """
    params = slashing_of(branch)
    address = rotation.current(branch, misbehavior.address)
    validator = _by_address(branch, address)
    info = info_of(branch, address)
    if validator is None or validator.status == UNBONDED or info is None or info.tombstoned:
        return False
    if info.was_punished(misbehavior.height) or validator.slashes_waiting > begun[validator.operator]:
        return False
    if info.has_offended and slash.waiting(branch) > begun.total():
        return False
    age_ns = now.time_ns - misbehavior.time_ns
    age_blocks = now.height - misbehavior.height
    if age_ns > params.evidence_age_s_max * NS_PER_S and age_blocks > params.evidence_age_blocks_max:
        return False
    double = misbehavior.type is MisbehaviorType.DUPLICATE_VOTE
    validator = slash.begin(
        branch, validator, height=misbehavior.height - 1, power=misbehavior.power, fraction=params.slash_double_sign,
        reason=REASON_DOUBLE_SIGN if double else REASON_LIGHT_CLIENT_ATTACK, now=now,
    )  # fmt: skip
    begun[validator.operator] += 1
    if not validator.jailed:
        stake.jail(branch, validator, now)
    info = info_of(branch, address)
    assert info is not None
    until = FOREVER_NS if params.tombstone else now.time_ns + params.double_sign_jail_s * NS_PER_S
    branch.set(
        SIGNING + address,
        info.with_offence(misbehavior.height)._replace(
            jailed_until_ns=max(until, info.jailed_until_ns), tombstoned=bool(params.tombstone)
        ),
    )
    return True


__all__ = ["Members", "begin_block", "params_changed", "punish"]
