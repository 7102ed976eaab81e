"""Rewards by F1: what a delegation earned is the difference of two running ratios, whatever happened between.

Each block, the fees and what was minted go to the last proposer, to the members of the last commit by power, and the
rest to the community pool. What the members get is added up in a few leaves, one for 256 of them, exactly as if each
had its own record (`Accruals`), and moved to the validator's when somebody needs it. So a block costs the same however
many delegations there are.
A validator's history is a list of periods, each ended when its tokens change; a period is kept as long as a delegation
or a slash refers to it.
Source: Cosmos SDK v0.50, x/distribution/README.md (F1); the proposer's reward, v0.45 (0 by params is today's rule).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from chain.currency.ledger import dec
from chain.currency.ledger.bank import DISTRIBUTION, count, credit, held, pay_out
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DISTRIBUTION as PARAMS
from chain.currency.ledger.records import SUPPLY
from chain.currency.ledger.stake_records import (
    CONSENSUS_KEY,
    HISTORICAL,
    POOL,
    REWARDS,
    SLASHES,
    VALIDATOR,
    WITHDRAW,
    CommunityPool,
    Delegation,
    Historical,
    Now,
    Pulse,
    Rewards,
    SlashEvent,
    Validator,
)
from chain.kernel.branch import Key, Readable, State, decoders_of
from chain.kernel.event_text import DENOM, Event, account, coins
from chain.tx.codec import bytes_field, height_bytes, message_field
from consensus.abci.interface import VoteInfo
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1 import state_pb2 as pb

CHUNK: Final = 256  # members in one leaf: 8 KiB
NOTHING: Final = (0, 0)
NO_PULSE: Final = Pulse()

Pair = tuple[int, int]  # Decs: rewards of the current period, commission


# ------------------------------------------------------------------------------ records of the commit's members


class Accruals:
    """What a chunk of the commit's members accrued, by slot; the first chunk has the pulse as well."""

    __slots__ = ("pairs", "pulse")

    def __init__(self, pairs: Sequence[Pair], pulse: Pulse | None = None) -> None:
        self.pairs, self.pulse = tuple(pairs), pulse

    def encode(self) -> bytes:
        packed = b"".join([a.to_bytes(16, "big") + b.to_bytes(16, "big") for a, b in self.pairs])
        pairs = bytes_field(b"\x0a", packed)
        return pairs if self.pulse is None else pairs + message_field(b"\x12", self.pulse.encode())

    @staticmethod
    def decode(stored: bytes) -> Accruals:
        record = pb.Accruals.FromString(stored)
        packed = record.pairs
        numbers = [int.from_bytes(packed[at : at + 16], "big") for at in range(0, len(packed), 16)]
        pulse = Pulse.of(record.pulse) if record.HasField("pulse") else None
        return Accruals(list(zip(numbers[::2], numbers[1::2], strict=True)), pulse)


class Slots:
    """The members of the last commit, each in a slot that it keeps until somebody leaves."""

    __slots__ = ("_index", "addresses")

    def __init__(self, addresses: Sequence[bytes]) -> None:
        self.addresses = tuple(addresses)
        self._index: dict[bytes, int] | None = None

    @property
    def index(self) -> dict[bytes, int]:
        """Consensus address -> slot."""
        if self._index is None:
            self._index = {address: slot for slot, address in enumerate(self.addresses)}
        return self._index

    def encode(self) -> bytes:
        return bytes_field(b"\x0a", b"".join(self.addresses)) or b"\x0a\x00"

    @staticmethod
    def decode(stored: bytes) -> Slots:
        packed = pb.CommitSlots.FromString(stored).addresses
        return Slots([packed[at : at + ADDRESS_BYTES] for at in range(0, len(packed), ADDRESS_BYTES)])


NO_SLOTS: Final = Slots(())
SLOTS: Final = Key.of(b"uL", Slots)
ACCRUALS: Final = Key.of(b"uc", Accruals)  # ‖ chunk
FIRST: Final = ACCRUALS + bytes(2)
DECODERS: Final = decoders_of(ACCRUALS, SLOTS)


def slots_of(state: Readable) -> Slots:
    return state.get(SLOTS) or NO_SLOTS


def _chunk_key(slot: int) -> Key[Accruals | None]:
    return ACCRUALS + (slot // CHUNK).to_bytes(2, "big")


def _chunks(state: Readable, members: int) -> list[Pair]:
    pairs: list[Pair] = []
    for first in range(0, members, CHUNK):
        found = state.get(_chunk_key(first))
        pairs += found.pairs if found is not None else ()
    return pairs


def _put_chunks(state: State, pairs: Sequence[Pair], before: int) -> None:
    """before: how many members there were."""
    state.set(FIRST, Accruals(pairs[:CHUNK], pulse_of(state)))
    for first in range(CHUNK, max(len(pairs), before), CHUNK):
        part = pairs[first : first + CHUNK]
        state.set(_chunk_key(first), Accruals(part) if part else None)


def pulse_of(state: Readable) -> Pulse:
    first = state.get(FIRST)
    return first.pulse if first is not None and first.pulse is not None else NO_PULSE


def set_pulse(state: State, pulse: Pulse) -> None:
    first = state.get(FIRST)
    state.set(FIRST, Accruals(first.pairs if first is not None else (), pulse))


def settle_pulse(state: State) -> None:
    """Move what blocks added to the records where it belongs: before the distribution account pays."""
    pulse = pulse_of(state)
    if pulse.balance or pulse.pool or pulse.minted or pulse.burned:
        credit(state, DISTRIBUTION, pulse.balance)
        supply = state.get(SUPPLY)
        state.set(SUPPLY, supply.with_total(supply.total + pulse.minted - pulse.burned))
        count(state, minted=pulse.minted, burned=pulse.burned)
        pool = state.get(POOL) or CommunityPool()
        state.set(POOL, CommunityPool(pool.amount + pulse.pool))
        set_pulse(state, pulse._replace(balance=0, pool=0, minted=0, burned=0))


def total_supply(state: Readable) -> int:
    """All udchat there are, with what the pulse has for supply's record."""
    supply = state.get(SUPPLY)
    pulse = pulse_of(state)
    return supply.total + pulse.minted - pulse.burned


def balance(state: Readable) -> int:
    """udchat of the distribution account, with what the pulse has for it."""
    return held(state, DISTRIBUTION) + pulse_of(state).balance


def accrued(state: Readable, address: bytes) -> Pair:
    """What waits for the validator with that consensus address."""
    slot = slots_of(state).index.get(address)
    if slot is None:
        return NOTHING
    chunk = state.get(_chunk_key(slot))
    assert chunk is not None, slot
    return chunk.pairs[slot % CHUNK]


def rewards_of(state: Readable, operator: bytes) -> Rewards:
    """There from a validator's beginning to its end."""
    found = state.get(REWARDS + operator)
    assert found is not None, operator.hex()
    return found


def _validator(state: Readable, operator: bytes) -> Validator:
    """That a consensus key points to."""
    found = state.get(VALIDATOR + operator)
    assert found is not None, operator.hex()
    return found


def settled(state: Readable, validator: Validator) -> Rewards:
    """The validator's rewards with what it accrued. Writes nothing."""
    record = rewards_of(state, validator.operator)
    rewards, commission = accrued(state, validator.address)
    return record._replace(
        rewards=record.rewards + rewards,
        commission=record.commission + commission,
        outstanding=record.outstanding + rewards + commission,
    )


def settle(state: State, validator: Validator) -> Rewards:
    """Move what it accrued to its record. Returns that."""
    record = settled(state, validator)
    slot = slots_of(state).index.get(validator.address)
    if slot is not None:
        key = _chunk_key(slot)
        chunk = state.get(key)
        assert chunk is not None, slot
        at = slot % CHUNK
        if chunk.pairs[at] != NOTHING:
            state.set(key, Accruals((*chunk.pairs[:at], NOTHING, *chunk.pairs[at + 1 :]), chunk.pulse))
            state.set(REWARDS + validator.operator, record)
            _tell_earned(state, validator.operator, *chunk.pairs[at])
    return record


def _tell_earned(state: State, operator: bytes, rewards: int, commission: int) -> None:
    for kind, amount in (("rewards", rewards), ("commission", commission)):
        if amount:
            state.emit(Event.of(kind, validator=account(operator), amount=f"{dec.text(amount)}{DENOM}"))


def change_slots(state: State, *, joined: Sequence[bytes], left: frozenset[bytes]) -> None:
    """The commit has other members. What those who left accrued goes to their validators' records."""
    slots = slots_of(state)
    for address in slots.addresses:
        operator = state.get(CONSENSUS_KEY + address) if address in left else None
        if operator is not None:
            settle(state, _validator(state, operator))
    pairs = _chunks(state, len(slots.addresses))
    kept = [(address, pair) for address, pair in zip(slots.addresses, pairs, strict=True) if address not in left]
    added = [(address, NOTHING) for address in joined]
    state.set(SLOTS, Slots([address for address, _ in (*kept, *added)]))
    _put_chunks(state, [pair for _, pair in (*kept, *added)], len(slots.addresses))


def rename_member(state: State, old: bytes, new: bytes) -> None:
    """A validator's key is another: it keeps its slot, with what accrued in it."""
    slots = slots_of(state)
    if old in slots.index:
        state.set(SLOTS, Slots([new if address == old else address for address in slots.addresses]))
    pulse = pulse_of(state)
    if pulse.proposer == old:
        set_pulse(state, pulse._replace(proposer=new))


# ------------------------------------------------------------------------------ a block's fees


def begin_block(state: State, votes: Sequence[VoteInfo], proposer: bytes, amount: int) -> None:
    """Share out `amount` udchat, and note who proposes this block."""
    before = pulse_of(state)
    given = allocate(state, amount * ONE, votes, before.proposer) if amount else 0
    pulse = pulse_of(state)
    if amount or proposer != pulse.proposer:
        set_pulse(
            state,
            pulse._replace(
                balance=pulse.balance + amount, pool=pulse.pool + amount * ONE - given, proposer=proposer
            ),
        )  # fmt: skip


def allocate(state: State, fees: int, votes: Sequence[VoteInfo], proposer: bytes) -> int:
    """Give a Dec of fees to who took part in the last commit; returns what was given.

    Absent members are paid: only liveness punishes. Members that are no validators (any more) get nothing.
    """
    total = sum([vote.power for vote in votes])
    slots = slots_of(state)
    if not total or not slots.addresses:
        return 0
    params = state.get(PARAMS)
    index, get = slots.index, state.get
    pairs = _chunks(state, len(slots.addresses))
    given = 0
    for_proposer = params.base_proposer_reward
    if params.bonus_proposer_reward:
        signed = sum([vote.power for vote in votes if vote.block_id_flag != ABSENT])
        for_proposer += dec.mul_trunc(params.bonus_proposer_reward, dec.quo(signed * ONE, total * ONE))
    reward = dec.mul_trunc(fees, for_proposer)
    rate = _rate(state, proposer)
    slot = index.get(proposer)
    if reward and rate is not None and slot is not None:
        pairs[slot] = _with_reward(pairs[slot], reward, rate)
        given += reward
    pot = fees * (ONE - for_proposer - params.community_tax) // ONE
    for vote in votes:
        address = vote.address
        operator = get(CONSENSUS_KEY + address)
        if operator is None:
            continue
        reward = pot * (vote.power * ONE // total) // ONE
        rate = _validator(state, operator).rate
        slot = index[address]
        pairs[slot] = _with_reward(pairs[slot], reward, rate)
        given += reward
    _put_chunks(state, pairs, len(pairs))
    return given


ABSENT: Final = 1  # VoteInfo.block_id_flag


def _rate(state: Readable, address: bytes) -> int | None:
    operator = state.get(CONSENSUS_KEY + address) if address else None
    return None if operator is None else _validator(state, operator).rate


def _with_reward(pair: Pair, reward: int, rate: int) -> Pair:
    commission = dec.mul(reward, rate) if rate else 0
    return pair[0] + reward - commission, pair[1] + commission


def pool_of(state: Readable) -> CommunityPool:
    """With what the pulse has for it."""
    pool = state.get(POOL) or CommunityPool()
    return CommunityPool(pool.amount + pulse_of(state).pool)


def add_to_pool(state: State, amount: int) -> None:
    """A Dec that the distribution account holds already."""
    if amount:
        pool = state.get(POOL) or CommunityPool()
        state.set(POOL, CommunityPool(pool.amount + amount))


def spend_pool(state: State, *, recipient: bytes, amount: int) -> bool:
    """Pay udchat out of the community pool, or nothing when it has not as much. Returns whether it was paid."""
    settle_pulse(state)
    pool = pool_of(state)
    if amount * ONE > pool.amount:
        return False
    state.set(POOL, CommunityPool(pool.amount - amount * ONE))
    _pay(state, recipient, amount)
    return True


def _pay(state: State, recipient: bytes, amount: int) -> None:
    if amount:
        settle_pulse(state)
        pay_out(state, pool=DISTRIBUTION, recipient=recipient, amount=amount)


# ------------------------------------------------------------------------------ periods


def begin_validator(state: State, operator: bytes) -> None:
    """A new validator's records."""
    state.set(HISTORICAL + operator + height_bytes(0), Historical(0, 1))
    state.set(REWARDS + operator, Rewards(period=1))


def end_period(state: State, validator: Validator) -> int:
    """End the current period, before the validator's tokens change. Returns its number."""
    operator = validator.operator
    record = settle(state, validator)
    period = record.period
    ratio, outstanding = 0, record.outstanding
    if validator.tokens:
        ratio = dec.quo_trunc(record.rewards, validator.tokens * ONE)
    elif record.rewards:
        add_to_pool(state, record.rewards)
        outstanding -= record.rewards
    before = state.get(HISTORICAL + operator + height_bytes(period - 1))
    _release(state, operator, period - 1)
    state.set(HISTORICAL + operator + height_bytes(period), Historical(before.ratio + ratio, 1))
    state.set(REWARDS + operator, record._replace(rewards=0, period=period + 1, outstanding=outstanding))
    return period


def _refer(state: State, operator: bytes, period: int) -> None:
    key = HISTORICAL + operator + height_bytes(period)
    found = state.get(key)
    state.set(key, found._replace(references=found.references + 1))


def _release(state: State, operator: bytes, period: int) -> None:
    key = HISTORICAL + operator + height_bytes(period)
    found = state.get(key)
    assert found.references > 0, (operator.hex(), period)
    state.set(key, found._replace(references=found.references - 1) if found.references > 1 else None)


def start(state: State, validator: Validator, shares: int, now: Now) -> Delegation:
    """A delegation whose rewards begin now, after `end_period`. To be written by the caller."""
    record = rewards_of(state, validator.operator)
    _refer(state, validator.operator, record.period - 1)
    return Delegation(shares, record.period - 1, validator.tokens_of_trunc(shares), now.height, record.slash_count)


def before_slash(state: State, validator: Validator, *, fraction: int, now: Now, burned: int, reason: int) -> None:
    """End the period and note that stakes are smaller from here by `fraction`. Before the tokens drop."""
    operator = validator.operator
    period = end_period(state, validator)
    _refer(state, operator, period)
    record = rewards_of(state, operator)
    event = SlashEvent(period, fraction, now.height, burned, reason)
    state.set(SLASHES + operator + height_bytes(record.slash_count), event)
    state.set(REWARDS + operator, record._replace(slash_count=record.slash_count + 1))


def rewards_until(
    state: Readable, validator: Validator, delegation: Delegation, *, ratio: int, slash_count: int
) -> int:
    """A Dec: what the delegation earned from its start to the end of a period with `ratio`."""
    operator = validator.operator
    stake, rewards = delegation.stake, 0
    at = _ratio(state, operator, delegation.previous_period)
    for number in range(delegation.start_slash, slash_count):
        event = state.get(SLASHES + operator + height_bytes(number))
        following = _ratio(state, operator, event.period)
        rewards += dec.mul_trunc(stake, following - at)
        stake = dec.mul_trunc(stake, ONE - event.fraction)
        at = following
    # Rounding in many slashes may leave a stake above what the shares are worth (#4088, #4094, #16940). The reference
    # tolerates 3e-18 and halts the chain beyond; nobody is paid more than the shares are worth, and nothing halts.
    stake = min(stake, validator.tokens_of(delegation.shares))
    return rewards + dec.mul_trunc(stake, ratio - at)


def _ratio(state: Readable, operator: bytes, period: int) -> int:
    found = state.get(HISTORICAL + operator + height_bytes(period))
    return found.ratio


def earned(state: Readable, validator: Validator, delegation: Delegation, *, capped: bool = True) -> int:
    """A Dec: what a withdrawal now would be cut from. Writes nothing. capped: by what the validator's still owe."""
    record = settled(state, validator)
    ratio = _ratio(state, validator.operator, record.period - 1)
    if validator.tokens:
        ratio += dec.quo_trunc(record.rewards, validator.tokens * ONE)
    found = rewards_until(state, validator, delegation, ratio=ratio, slash_count=record.slash_count)
    return min(found, record.outstanding) if capped else found


def withdraw(state: State, validator: Validator, delegator: bytes, delegation: Delegation) -> int:
    """Pay what a delegation earned and end its part of the history; returns the udchat paid.

    The caller starts it anew (`start`) or removes it. Fractions go to the community pool.
    """
    operator = validator.operator
    period = end_period(state, validator)
    record = rewards_of(state, operator)
    ratio = _ratio(state, operator, period)
    found = rewards_until(state, validator, delegation, ratio=ratio, slash_count=record.slash_count)
    found = min(found, record.outstanding)
    paid = found // ONE
    state.set(REWARDS + operator, record._replace(outstanding=record.outstanding - found))
    add_to_pool(state, found - paid * ONE)
    _release(state, operator, delegation.previous_period)
    _pay(state, withdraw_address(state, delegator), paid)
    if paid:
        of = {"validator": account(operator), "delegator": account(delegator)}
        state.emit(Event.of("withdraw_rewards", amount=coins(paid), **of))
    return paid


def withdraw_address(state: Readable, delegator: bytes) -> bytes:
    """Where a delegator's rewards go."""
    found = state.get(WITHDRAW + delegator)
    return found or delegator


def withdraw_commission(state: State, validator: Validator) -> int:
    """Pay the whole units of a validator's commission to its operator; returns the udchat paid."""
    record = settle(state, validator)
    paid = record.commission // ONE
    if paid:
        state.set(
            REWARDS + validator.operator,
            record._replace(commission=record.commission - paid * ONE, outstanding=record.outstanding - paid * ONE),
        )
        _pay(state, withdraw_address(state, validator.operator), paid)
        state.emit(Event.of("withdraw_commission", amount=coins(paid), validator=account(validator.operator)))
    return paid


def remove_validator(state: State, validator: Validator) -> None:
    """Pay its commission; what is left of its rewards goes to the community pool, its history goes."""
    operator = validator.operator
    withdraw_commission(state, validator)
    record = rewards_of(state, operator)
    add_to_pool(state, record.outstanding)
    for number in range(record.slash_count):
        key = SLASHES + operator + height_bytes(number)
        event = state.get(key)
        _release(state, operator, event.period)
        state.set(key, None)
    _release(state, operator, record.period - 1)
    state.set(REWARDS + operator, None)


__all__ = [
    "DECODERS",
    "Accruals",
    "Slots",
    "accrued",
    "add_to_pool",
    "allocate",
    "balance",
    "before_slash",
    "begin_block",
    "begin_validator",
    "change_slots",
    "earned",
    "end_period",
    "pool_of",
    "pulse_of",
    "remove_validator",
    "rewards_until",
    "set_pulse",
    "settle",
    "settle_pulse",
    "settled",
    "slots_of",
    "spend_pool",
    "start",
    "total_supply",
    "withdraw",
    "withdraw_address",
    "withdraw_commission",
]
