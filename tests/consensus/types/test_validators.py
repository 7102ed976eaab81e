"""Validator sets and proposers: the vectors of data sheet section 7, and laws that every set obeys."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consensus.core.events import Validators
from consensus.formats.errors import InvalidValidators, Malformed
from consensus.formats.wire import INT64_MAX, INT64_MIN
from consensus.types.validators import EMPTY_SET, TOTAL_POWER_MAX, VALIDATORS_MAX, Validator, ValidatorSet
from crypto.hash import sha256
from crypto.keys import Secp256k1PrivKey
from proto.tendermint.types import validator_pb2 as pb
from tests.support.types.builders import key


def ordered_keys(count: int, label: str = "k") -> list:  # type: ignore[type-arg]
    """Public keys in ascending order of address, so that a test can say who wins a tie."""
    return sorted((key(f"{label}{number}").pub_key for number in range(count)), key=lambda k: k.address)


BAR, BAZ, FOO, QUX = ordered_keys(4)
NAMES = {FOO.address: "foo", BAR.address: "bar", BAZ.address: "baz", QUX.address: "qux"}


def priorities(validators: ValidatorSet) -> dict[str, int]:
    return {NAMES[v.address]: v.proposer_priority for v in validators}


def turns(validators: ValidatorSet, count: int) -> str:
    names = []
    for _ in range(count):
        assert validators.current is not None
        names.append(NAMES[validators.current.address])
        validators = validators.increment()
    return " ".join(names)


FIRST = ValidatorSet.new([(FOO, 1000), (BAR, 300), (BAZ, 330)])


def test_published_rotation() -> None:
    assert priorities(FIRST) == {"foo": -630, "bar": 300, "baz": 330}
    assert turns(FIRST, 20) == "foo baz foo bar foo foo baz foo bar foo foo baz foo foo bar foo baz foo foo bar"


def test_published_changes() -> None:
    validators = FIRST
    for _ in range(4):
        validators = validators.increment()
    assert priorities(validators) == {"foo": 110, "baz": 20, "bar": -130}
    validators = validators.update([(QUX, 100)])
    assert priorities(validators) == {"foo": 597, "baz": 507, "bar": 357, "qux": -1459}
    validators = validators.increment()
    assert priorities(validators) == {"foo": -133, "baz": 837, "bar": 657, "qux": -1359}
    validators = validators.update([(BAR, 0), (FOO, 1)])
    assert priorities(validators) == {"baz": 352, "qux": -380, "foo": 29}


def test_published_turns_of_ten_one_one() -> None:
    keys = ordered_keys(3)
    validators = ValidatorSet.from_existing([Validator(k, p) for k, p in zip(keys, (10, 1, 1), strict=True)])
    seen = {}
    for turn in range(1, 12):
        validators = validators.increment()
        seen[turn] = (validators.priorities, validators.proposer(0))
    assert seen[1] == ((-2, 1, 1), 0)
    assert seen[5] == ((2, -7, 5), 1)
    assert seen[9] == ((6, -3, -3), 2)
    assert seen[11] == ((2, -1, -1), 0)


def test_published_growth() -> None:
    a, b = ordered_keys(2)
    validators = ValidatorSet.new([(a, 10)]).update([(b, 100)]).increment()
    assert {v.voting_power: v.proposer_priority for v in validators} == {10: -38, 100: 39}
    validators = validators.update([(b, 1)]).increment()
    assert {v.voting_power: v.proposer_priority for v in validators} == {10: 1, 1: -1}


def test_equal_powers_go_by_address() -> None:
    keys = ordered_keys(5)
    validators = ValidatorSet.new((k, 100) for k in reversed(keys))
    got = []
    for _ in range(10):
        assert validators.current is not None
        got.append(validators.current.address)
        validators = validators.increment()
    assert got == [k.address for k in keys] * 2
    assert list(validators.pub_keys) == keys
    strong = ValidatorSet.new([(keys[0], 100), (keys[1], 100), (keys[2], 401)])
    order = []
    for _ in range(3):
        assert strong.current is not None
        order.append(strong.current.address)
        strong = strong.increment()
    assert order == [keys[2].address, keys[2].address, keys[0].address]


def test_published_rescaling() -> None:
    a, b = ordered_keys(2)
    validators = ValidatorSet.from_existing([Validator(a, 10, 500), Validator(b, 10, -201)])
    powers = validators.increment().priorities
    # 500, -201 span 701 > 40: ratio 18, so 27, -11; centred by 8: 19, -19; then the turn.
    assert powers == (19 + 10 - 20, -19 + 10)


def test_the_round_is_so_many_increments_from_the_heights_set() -> None:
    validators: Validators = FIRST
    assert [NAMES[FIRST[validators.proposer(r)].address] for r in range(6)] == [
        "foo",
        "baz",
        "foo",
        "bar",
        "foo",
        "foo",
    ]
    assert NAMES[FIRST.proposer_of(5).address] == "foo"
    assert validators.powers == (1000, 330, 300)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ([(FOO, 1), (FOO, 2)], "twice"),
        ([(FOO, -1)], "allowed"),
        ([(FOO, TOTAL_POWER_MAX + 1)], "allowed"),
        ([(QUX, 0)], "not in the set"),
        ([(FOO, 0), (BAR, 0), (BAZ, 0)], "no validator"),
        ([(QUX, TOTAL_POWER_MAX - 1629)], "total"),
        ([(FOO, TOTAL_POWER_MAX)], "total"),
    ],
)
def test_changes_that_are_refused(changes: list, why: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(InvalidValidators, match=why):
        FIRST.update(changes)


def test_changes_at_the_limit() -> None:
    full = FIRST.update([(QUX, TOTAL_POWER_MAX - 1630)])
    assert full.total_power == TOTAL_POWER_MAX
    swapped = full.update([(QUX, 0), (FOO, TOTAL_POWER_MAX - 630)])
    assert swapped.total_power == TOTAL_POWER_MAX
    assert all(INT64_MIN <= p <= INT64_MAX for p in swapped.increment(3).priorities)
    moved = full.update([(FOO, TOTAL_POWER_MAX - 1000), (QUX, 1)])  # what shrinks is counted before what grows
    assert moved.total_power == TOTAL_POWER_MAX - 1000 + 631
    assert FIRST.update([]) is FIRST
    with pytest.raises(InvalidValidators, match="above 0"):
        ValidatorSet.new([(FOO, 0)])
    assert ValidatorSet.new([]) is EMPTY_SET
    assert FIRST.update([(BAR, 0), (BAZ, 0), (QUX, 5)]).powers == (1000, 5)


def test_who_leaves_and_returns_starts_behind() -> None:
    gone = FIRST.update([(BAZ, 0)]).increment()
    assert gone.by_address(BAZ.address) is None
    assert BAZ.address not in gone
    back = gone.update([(BAZ, 330)])
    member = back.by_address(BAZ.address)
    assert member is not None
    assert member.proposer_priority == min(back.priorities)


def test_an_update_keeps_the_last_proposer_until_the_next_turn() -> None:
    changed = FIRST.update([(FOO, 0)])
    assert changed.current == FIRST.current
    with pytest.raises(AssertionError):
        changed.proposer(0)
    assert changed.increment().proposer(0) == 0


POWERS = st.lists(st.integers(1, 10**6), min_size=1, max_size=12)
CHANGES = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 10**6)), max_size=6, unique_by=lambda change: change[0])


@settings(max_examples=60)
@given(POWERS, st.lists(CHANGES, max_size=5), st.integers(1, 5))
@example([1, 1, 1, 1, 10, 68_313, 1, 68_315, 68_312], [[(7, 1), (4, 0)], []], 1)
def test_laws_of_every_set(powers: list[int], steps: list[list[tuple[int, int]]], times: int) -> None:
    """Order, window, centre, the round's definition and the encoding, over any history of changes."""
    validators = ValidatorSet.new((key(f"p{i}").pub_key, power) for i, power in enumerate(powers))
    for changes in steps:
        wanted = [(key(f"p{i}").pub_key, power) for i, power in changes]
        try:
            updated = validators.update(wanted)
        except InvalidValidators:
            continue
        assert updated == validators.update(reversed(wanted))
        validators = updated.increment(times)
        members = list(validators)
        assert members == sorted(members, key=lambda v: (-v.voting_power, v.address))
        assert len({v.address for v in members}) == len(members)
        assert validators.total_power == sum(validators.powers)
        assert 0 <= sum(validators.priorities) < len(members)
        if wanted:  # no change is no update, and turns alone may go beyond the window until the next one
            assert max(updated.priorities) - min(updated.priorities) <= 2 * validators.total_power
        assert ValidatorSet.decode(validators.encode()) == validators
        assert validators.to_proto().total_voting_power == 0
        for round in range(1, 4):
            later = validators.increment(round).current
            assert later is not None
            assert validators.proposer_of(round).address == later.address


@settings(max_examples=30)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_turns_are_in_proportion_to_power(powers: list[int]) -> None:
    validators = ValidatorSet.new((key(f"p{i}").pub_key, power) for i, power in enumerate(powers))
    count: Counter[bytes] = Counter()
    for _ in range(validators.total_power):
        assert validators.current is not None
        count[validators.current.address] += 1
        validators = validators.increment()
    for validator in validators:
        assert abs(count[validator.address] - validator.voting_power) <= 1


@pytest.mark.parametrize("power", [0, 10])
def test_priorities_clip_and_never_wrap(power: int) -> None:
    a, b = ordered_keys(2)
    validators = ValidatorSet.from_existing([Validator(a, power, INT64_MAX), Validator(b, power, INT64_MIN)])
    assert all(INT64_MIN <= p <= INT64_MAX for p in validators.increment().priorities)


def proto(**changes: object) -> pb.ValidatorSet:
    message = FIRST.to_proto()
    for name, value in changes.items():
        setattr(message.validators[0], name, value)
    return message


def cleared(field: str) -> pb.ValidatorSet:
    message = FIRST.to_proto()
    message.ClearField(field)  # type: ignore[arg-type]
    return message


def doubled() -> pb.ValidatorSet:
    message = FIRST.to_proto()
    message.validators.append(message.validators[0])
    return message


def other_proposer() -> pb.ValidatorSet:
    message = FIRST.to_proto()
    message.proposer.CopyFrom(Validator(QUX, 5).to_proto())
    return message


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(proto(voting_power=-1), id="negative power"),
        pytest.param(proto(voting_power=TOTAL_POWER_MAX), id="total too large"),
        pytest.param(proto(address=bytes(20)), id="address of no key"),
        pytest.param(cleared("validators"), id="empty"),
        pytest.param(cleared("proposer"), id="no proposer"),
        pytest.param(doubled(), id="a member twice"),
        pytest.param(other_proposer(), id="proposer is a stranger"),
        pytest.param(pb.ValidatorSet(validators=[pb.Validator()]), id="no key"),
    ],
)
def test_sets_from_outside_that_are_refused(message: pb.ValidatorSet) -> None:
    with pytest.raises(InvalidValidators):
        ValidatorSet.from_proto(message)


def test_a_claimed_total_is_not_believed() -> None:
    """The total is always added up here: one from outside could make a third look like two."""
    message = FIRST.to_proto()
    message.total_voting_power = 1
    assert ValidatorSet.from_proto(message).total_power == 1630


def test_the_hash_does_not_cover_priorities() -> None:
    """c#5613 and ASA-2024-009: what the hash does not cover must never be believed from a peer."""
    assert FIRST.hash == FIRST.increment().hash
    assert FIRST.increment() != FIRST
    reordered = replace(FIRST, priorities=FIRST.priorities[::-1])
    assert reordered.hash == FIRST.hash
    assert reordered != FIRST


def test_bounds_of_decoding() -> None:
    with pytest.raises(Malformed):
        ValidatorSet.decode(b"\xff")
    with pytest.raises(InvalidValidators, match="members"):
        ValidatorSet.from_proto(pb.ValidatorSet(validators=[pb.Validator()] * (VALIDATORS_MAX + 1)))


def test_both_kinds_of_key_may_share_a_set() -> None:
    secp = Secp256k1PrivKey(sha256(b"s")).pub_key
    validators = ValidatorSet.new([(secp, 5), (FOO, 5)])
    assert ValidatorSet.decode(validators.encode()) == validators
    assert {v.pub_key.type for v in validators} == {"ed25519", "secp256k1"}
