"""Validator sets and the rotation of proposers by priority.

Pure and immutable: equal sets and rounds give equal proposers on every node. Members are in set order: power
descending, address ascending. Powers are ints, in total at most (2**63 - 1) // 8; priorities are int64 that clip,
never wrap.
Source: CometBFT v0.38, spec/consensus/proposer-selection.md, types/validator_set.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from consensus.formats.errors import InvalidValidators
from consensus.formats.wire import INT64_MAX, INT64_MIN, bytes_field, int_field, message_field, parse
from consensus.types.commit import commit_bytes_max
from crypto import merkle
from crypto.errors import InvalidKey
from crypto.keys import KEY_BYTES_MAX, PubKey, encode_pub_key, pub_key_from_proto
from proto.tendermint.types import validator_pb2 as pb

TOTAL_POWER_MAX: Final = INT64_MAX // 8  # leaves room for priorities of twice the total
VALIDATORS_MAX: Final = 10_000  # the format's: votes of one set
PRIORITY_WINDOW_FACTOR: Final = 2  # priorities span at most this many times the total power

_SET_BYTES_MAX: Final = VALIDATORS_MAX * (KEY_BYTES_MAX + 224)

Change: TypeAlias = tuple[PubKey, int]  # (public key, new power); power 0 removes


@dataclass(frozen=True, slots=True)
class Validator:
    pub_key: PubKey
    voting_power: int
    proposer_priority: int = 0

    @property
    def address(self) -> bytes:
        return self.pub_key.address

    def encode(self) -> bytes:
        """Protobuf bytes."""
        return b"".join(
            (
                bytes_field(b"\x0a", self.pub_key.address),
                message_field(b"\x12", encode_pub_key(self.pub_key)),
                int_field(b"\x18", self.voting_power),
                int_field(b"\x20", self.proposer_priority),
            )
        )

    def to_proto(self) -> pb.Validator:
        return pb.Validator.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.Validator) -> Validator:
        """Raises InvalidValidators: no usable key, an address that is not the key's, a negative power."""
        try:
            pub_key = pub_key_from_proto(message.pub_key)
        except InvalidKey as error:
            raise InvalidValidators(f"validator {message.address.hex()}: {error}") from error
        if message.address != pub_key.address:
            raise InvalidValidators(
                f"validator's address is {message.address.hex()}, its key's is {pub_key.address.hex()}"
            )
        if message.voting_power < 0:
            raise InvalidValidators(f"validator {message.address.hex()}: power {message.voting_power} is negative")
        return Validator(pub_key, message.voting_power, message.proposer_priority)


@dataclass(frozen=True, slots=True)
class _Members:
    """Keys and powers in set order: what stays when only priorities move, so that its hash is computed once."""

    pub_keys: tuple[PubKey, ...]
    powers: tuple[int, ...]
    total: int
    index: dict[bytes, int] = field(compare=False, repr=False)
    _hash: bytes | None = field(default=None, init=False, repr=False, compare=False)
    _commit_bytes: int = field(default=0, init=False, repr=False, compare=False)
    _key_types: frozenset[str] | None = field(default=None, init=False, repr=False, compare=False)

    @staticmethod
    def of(pub_keys: tuple[PubKey, ...], powers: tuple[int, ...]) -> _Members:
        index = {key.address: position for position, key in enumerate(pub_keys)}
        return _Members(pub_keys, powers, sum(powers), index)

    @property
    def hash(self) -> bytes:
        cached = self._hash
        if cached is None:
            cached = merkle.root(
                [
                    message_field(b"\x0a", encode_pub_key(key)) + int_field(b"\x10", power)
                    for key, power in zip(self.pub_keys, self.powers, strict=True)
                ]
            )
            object.__setattr__(self, "_hash", cached)
        return cached

    @property
    def commit_bytes_max(self) -> int:
        cached = self._commit_bytes
        if not cached:
            cached = commit_bytes_max(self.pub_keys)
            object.__setattr__(self, "_commit_bytes", cached)
        return cached

    @property
    def key_types(self) -> frozenset[str]:
        cached = self._key_types
        if cached is None:
            cached = frozenset(key.type for key in self.pub_keys)
            object.__setattr__(self, "_key_types", cached)
        return cached


@dataclass(frozen=True, slots=True)
class ValidatorSet:
    """One height's validators with their priorities, and who proposes in round 0 (`current`).

    Satisfies `consensus.core.events.Validators`.
    """

    _members: _Members
    priorities: tuple[int, ...]
    current: Validator | None  # the last increment's proposer, as it stood then; may have left by an update since
    _rounds: dict[int, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    _encoded: bytes | None = field(default=None, init=False, repr=False, compare=False)  # three states hold each set

    # -------------------------------------------------------------------------------------------- making one

    @staticmethod
    def new(changes: Iterable[Change]) -> ValidatorSet:
        """A set from scratch, incremented once. Raises InvalidValidators. No members: the empty set."""
        changes = tuple(changes)
        for key, power in changes:
            if power <= 0:
                raise InvalidValidators(f"validator {key.address.hex()}: power is {power}, must be above 0")
        return EMPTY_SET.update(changes).increment() if changes else EMPTY_SET

    @staticmethod
    def from_existing(validators: Sequence[Validator], *, proposer: Validator | None = None) -> ValidatorSet:
        """A set as somebody else reports it, in the order given, priorities untouched.

        Without a `proposer` the last one is taken to be who has the lowest priority (tie: the higher address), since
        a turn costs the total power: mostly right, and not to be trusted for whose turn it is.
        Raises InvalidValidators: repeated, too many, powers out of range.
        """
        _check_members([(validator.pub_key, validator.voting_power) for validator in validators])
        members = _Members.of(
            tuple(validator.pub_key for validator in validators),
            tuple(validator.voting_power for validator in validators),
        )
        if proposer is None and validators:
            lowest = min(validator.proposer_priority for validator in validators)
            proposer = max(
                (validator for validator in validators if validator.proposer_priority == lowest),
                key=lambda validator: validator.address,
            )
        return ValidatorSet(members, tuple(validator.proposer_priority for validator in validators), proposer)

    # ------------------------------------------------------------------------------------------------ reading

    def __len__(self) -> int:
        return len(self.priorities)

    def __getitem__(self, index: int) -> Validator:
        assert 0 <= index < len(self.priorities), (index, len(self.priorities))
        members = self._members
        return Validator(members.pub_keys[index], members.powers[index], self.priorities[index])

    def __iter__(self) -> Iterator[Validator]:
        return (self[index] for index in range(len(self)))

    @property
    def pub_keys(self) -> tuple[PubKey, ...]:
        return self._members.pub_keys

    @property
    def powers(self) -> tuple[int, ...]:
        return self._members.powers

    @property
    def total_power(self) -> int:
        return self._members.total

    @property
    def hash(self) -> bytes:
        """validators_hash: keys and powers, not priorities."""
        return self._members.hash

    @property
    def commit_bytes_max(self) -> int:
        """What a commit of these validators takes at most, by the types of their keys."""
        return self._members.commit_bytes_max

    @property
    def key_types(self) -> frozenset[str]:
        """Of its members' keys."""
        return self._members.key_types

    def index_of(self, address: bytes) -> int | None:
        return self._members.index.get(address)

    def by_address(self, address: bytes) -> Validator | None:
        index = self._members.index.get(address)
        return None if index is None else self[index]

    def __contains__(self, address: bytes) -> bool:
        return address in self._members.index

    def proposer(self, round: int) -> int:
        """Index of the proposer of `round` (0 and up): this set's own, after `round` more increments."""
        assert round >= 0, round
        known = self._rounds.get(round)
        if known is None:
            chosen = self.increment(round).current if round else self.current
            index = None if chosen is None else self.index_of(chosen.address)
            assert index is not None, "a set with changed members must be incremented before it has a proposer"
            known = self._rounds[round] = index
        return known

    def proposer_of(self, round: int) -> Validator:
        return self[self.proposer(round)]

    # --------------------------------------------------------------------------------------------- the turns

    def increment(self, times: int = 1) -> ValidatorSet:
        """The set after `times` (above 0) turns: everyone gains their power, whoever leads proposes and pays."""
        assert times > 0, times
        assert len(self) > 0, "an empty set has no turns"
        members = self._members
        powers, total = members.powers, members.total
        priorities = _centre(_rescale(list(self.priorities), PRIORITY_WINDOW_FACTOR * total))
        leader = 0
        for _ in range(times):
            priorities = [_clip(priority + power) for priority, power in zip(priorities, powers, strict=True)]
            leader = _highest(priorities, members.pub_keys)
            priorities[leader] = _clip(priorities[leader] - total)
        current = Validator(members.pub_keys[leader], powers[leader], priorities[leader])
        return ValidatorSet(members, tuple(priorities), current)

    def update(self, changes: Iterable[Change]) -> ValidatorSet:
        """The set with `changes` applied, not yet incremented; the order of `changes` does not matter.

        A new member starts far behind, so that leaving and joining again gains nothing. Raises InvalidValidators.
        """
        wanted = sorted(changes, key=lambda change: change[0].address)
        if not wanted:
            return self
        powers = self._check_changes(wanted)
        before_removals = sum(powers.values()) + sum(
            self.powers[self._members.index[key.address]] for key, power in wanted if power == 0
        )
        start = -(before_removals + (before_removals >> 3))
        old = self._members.index
        ordered = sorted(powers, key=lambda key: (-powers[key], key.address))
        priorities = [self.priorities[old[key.address]] if key.address in old else start for key in ordered]
        members = _Members.of(tuple(ordered), tuple(powers[key] for key in ordered))
        priorities = _centre(_rescale(priorities, PRIORITY_WINDOW_FACTOR * members.total))
        return ValidatorSet(members, tuple(priorities), self.current)

    def _check_changes(self, changes: Sequence[Change]) -> dict[PubKey, int]:
        """Powers by key after `changes` (sorted by address). Raises InvalidValidators."""
        powers = dict(zip(self.pub_keys, self.powers, strict=True))
        known = self._members.index
        removed, deltas = 0, []
        for position, (key, power) in enumerate(changes):
            name = key.address.hex()
            if position and changes[position - 1][0].address == key.address:
                raise InvalidValidators(f"validator {name} appears twice in the changes")
            if not 0 <= power <= TOTAL_POWER_MAX:
                raise InvalidValidators(f"validator {name}: power is {power}; allowed: 0 to {TOTAL_POWER_MAX}")
            old = self.powers[known[key.address]] if key.address in known else None
            if power:
                deltas.append(power - (old or 0))
                powers[key] = power
            elif old is None:
                raise InvalidValidators(f"validator {name} cannot be removed: it is not in the set")
            else:
                removed += old
                del powers[key]
        total = self.total_power - removed
        for delta in sorted(deltas):
            total += delta
            if total > TOTAL_POWER_MAX:
                raise InvalidValidators(f"total voting power would be {total} or more, at most {TOTAL_POWER_MAX}")
        if not powers:
            raise InvalidValidators("the changes would leave no validator")
        if len(powers) > VALIDATORS_MAX:
            raise InvalidValidators(f"the changes would make {len(powers)} validators, at most {VALIDATORS_MAX}")
        return powers

    # ---------------------------------------------------------------------------------------------- protobuf

    def encode(self) -> bytes:
        """Protobuf bytes. The total is written as 0: who reads it must add up."""
        encoded = self._encoded
        if encoded is None:
            pieces = [message_field(b"\x0a", validator.encode()) for validator in self]
            if self.current is not None:
                pieces.append(message_field(b"\x12", self.current.encode()))
            encoded = b"".join(pieces)
            object.__setattr__(self, "_encoded", encoded)
        return encoded

    def to_proto(self) -> pb.ValidatorSet:
        return pb.ValidatorSet.FromString(self.encode())

    @staticmethod
    def from_proto(message: pb.ValidatorSet) -> ValidatorSet:
        """Raises InvalidValidators: empty, no proposer or one that is no member, and all that `from_existing` says."""
        if not message.validators:
            raise InvalidValidators("validator set is empty")
        if len(message.validators) > VALIDATORS_MAX:
            raise InvalidValidators(f"validator set has {len(message.validators)} members, at most {VALIDATORS_MAX}")
        if not message.HasField("proposer"):
            raise InvalidValidators("validator set has no proposer")
        proposer = Validator.from_proto(message.proposer)
        made = ValidatorSet.from_existing([Validator.from_proto(v) for v in message.validators], proposer=proposer)
        if proposer.address not in made:
            raise InvalidValidators(f"proposer {proposer.address.hex()} is not in the validator set")
        return made

    @staticmethod
    def decode(data: bytes) -> ValidatorSet:
        """Raises Malformed, InvalidValidators."""
        return ValidatorSet.from_proto(parse(pb.ValidatorSet, data, bytes_max=_SET_BYTES_MAX, what="validator set"))


EMPTY_SET: Final = ValidatorSet(_Members.of((), ()), (), None)


def _check_members(members: Sequence[Change]) -> None:
    if len(members) > VALIDATORS_MAX:
        raise InvalidValidators(f"validator set has {len(members)} members, at most {VALIDATORS_MAX}")
    seen: set[bytes] = set()
    total = 0
    for key, power in members:
        if key.address in seen:
            raise InvalidValidators(f"validator {key.address.hex()} appears twice in the set")
        seen.add(key.address)
        total += power
        if power < 0 or total > TOTAL_POWER_MAX:
            raise InvalidValidators(f"voting power {power} is negative, or the total is above {TOTAL_POWER_MAX}")


def _clip(priority: int) -> int:
    return INT64_MIN if priority < INT64_MIN else min(INT64_MAX, priority)


def _rescale(priorities: list[int], window: int) -> list[int]:
    """Shrink priorities that span more than `window`, by the smallest whole ratio that suffices."""
    span = max(priorities) - min(priorities)
    if not 0 < window < span:
        return priorities
    ratio = (span + window - 1) // window
    return [priority // ratio if priority >= 0 else -(-priority // ratio) for priority in priorities]


def _centre(priorities: list[int]) -> list[int]:
    """Shift priorities so that their average is within one of 0."""
    average = sum(priorities) // len(priorities)
    return [_clip(priority - average) for priority in priorities] if average else priorities


def _highest(priorities: list[int], pub_keys: tuple[PubKey, ...]) -> int:
    """Index of the highest priority; of equals, of the lowest address."""
    top = max(priorities)
    first = priorities.index(top)
    if priorities.count(top) == 1:
        return first
    return min(
        (index for index, priority in enumerate(priorities) if priority == top),
        key=lambda index: pub_keys[index].address,
    )
