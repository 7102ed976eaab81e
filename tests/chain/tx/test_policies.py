"""Key policies: one encoding for one meaning, bounded, and satisfied by exactly what they need (by a model that tries
every way to choose the signers)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.tx.envelope.tx import TX_BYTES_MAX
from chain.tx.errors import InvalidField, TxError
from chain.tx.policies import (
    KEYS_MAX,
    Group,
    Policy,
    choose,
    fullest,
    is_satisfied,
    parse_policy,
    policy_address,
    read_policy,
    single_key_policy,
    threshold_policy,
)
from crypto.hash import sha256
from proto.dchat.v1 import tx_pb2 as pb


def key(number: int) -> bytes:
    return sha256(b"key %d" % number)


def sent(needed: int, *groups: tuple[int, tuple[bytes, ...]]) -> pb.KeyPolicy:
    """As somebody may write it."""
    policy = pb.KeyPolicy()
    policy.threshold.needed = needed
    for wanted, keys in groups:
        policy.threshold.members.add(needed=wanted, ed25519=keys)
    return policy


A, B, C, D = sorted(key(number) for number in range(4))
ONE = tuple((1, (each,)) for each in (A, B, C, D))


def test_a_policy_is_read_as_it_was_made() -> None:
    made = threshold_policy(2, [Group(1, (C,)), Group(2, (D, B)), Group(1, (A,))])
    assert parse_policy(made) == Policy(2, (Group(1, (A,)), Group(2, (B, D)), Group(1, (C,))))
    assert read_policy("here", pb.KeyPolicy.FromString(made)) == made
    assert pb.KeyPolicy.FromString(made).SerializeToString(deterministic=True) == made
    assert policy_address(made) == sha256(b"dchat/address" + made)[:20]
    assert (parse_policy(made).keys, parse_policy(made).signatures_most) == ((A, B, D, C), 3)
    assert parse_policy(single_key_policy(A)) == Policy(1, (Group(1, (A,)),))


def test_whoever_lists_the_same_people_gets_the_same_address() -> None:
    assert threshold_policy(2, [Group(1, (each,)) for each in (A, B, C)]) == threshold_policy(
        2, [Group(1, (each,)) for each in (C, A, B)]
    )


@pytest.mark.parametrize("policy", [
    pytest.param(pb.KeyPolicy(), id="of no kind"),
    pytest.param(pb.KeyPolicy(ed25519=b""), id="an empty key"),
    pytest.param(pb.KeyPolicy(ed25519=A[:31]), id="a short key"),
    pytest.param(sent(1), id="no members"),
    pytest.param(sent(1, ONE[0]), id="one of one: that is its key's own account"),
    pytest.param(sent(0, *ONE), id="needs none"),
    pytest.param(sent(5, *ONE), id="needs more than there are"),
    pytest.param(sent(2**32 - 1, *ONE), id="needs the most that the field holds"),
    pytest.param(sent(1, ONE[1], ONE[0]), id="members in another order"),
    pytest.param(sent(1, ONE[0], ONE[0]), id="a member twice"),
    pytest.param(sent(1, ONE[0], (1, (B, C)), (1, (C, D))), id="a key in two groups"),
    pytest.param(sent(1, ONE[0], (1, (C, B))), id="keys in another order"),
    pytest.param(sent(1, ONE[0], (1, (B, B))), id="a key twice in its group"),
    pytest.param(sent(1, ONE[0], (0, (B, C))), id="a group that needs none"),
    pytest.param(sent(1, ONE[0], (3, (B, C))), id="a group that needs more than it has"),
    pytest.param(sent(1, ONE[0], (1, ())), id="a group without keys"),
    pytest.param(sent(1, ONE[0], (1, (B, C[:31]))), id="a short key in a group"),
    pytest.param(sent(1, *[(1, (each,)) for each in sorted(key(n) for n in range(KEYS_MAX + 1))]), id="17 members"),
    pytest.param(sent(1, ONE[0], (1, tuple(sorted(key(n) for n in range(9, KEYS_MAX + 9))))), id="17 keys"),
])  # fmt: skip
def test_what_is_refused(policy: pb.KeyPolicy) -> None:
    with pytest.raises(InvalidField, match="here: "):
        read_policy("here", policy)


def test_as_many_keys_as_can_sign_are_allowed() -> None:
    keys = sorted(key(number) for number in range(KEYS_MAX))
    flat = threshold_policy(KEYS_MAX, [Group(1, (each,)) for each in keys])
    nested = threshold_policy(2, [Group(8, tuple(keys[:8])), Group(8, tuple(keys[8:]))])
    for policy in (flat, nested):
        assert read_policy("here", pb.KeyPolicy.FromString(policy)) == policy
        assert is_satisfied(policy, keys)
        assert len(policy) < 700, "what every record that keeps it grows by"


def test_a_blow_up_is_refused_by_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fills a transaction with members or keys is counted, and no key of it is looked at."""
    monkeypatch.setattr("chain.tx.policies.Group", None)
    many = [key(number) for number in range(TX_BYTES_MAX // 34)]
    for policy in (sent(1, *[(1, (each,)) for each in many]), sent(1, (1, tuple(many)), (1, tuple(many)))):
        with pytest.raises(InvalidField, match=r"members|keys"):
            read_policy("here", policy)


groups = st.lists(st.integers(1, 4), min_size=2, max_size=4).flatmap(
    lambda sizes: st.tuples(
        st.integers(1, len(sizes)), st.tuples(*[st.integers(1, size) for size in sizes]), st.just(tuple(sizes))
    )
)


def ways(needed: int, parts: list[Group]) -> Iterator[frozenset[bytes]]:
    """Every set of keys that satisfies a policy, by trying all of its members, and all of their keys."""
    for chosen in combinations(parts, needed):
        options: list[frozenset[bytes]] = [frozenset()]
        for group in chosen:
            options = [known | set(more) for known in options for more in combinations(group.keys, group.needed)]
        yield from options


@given(groups, st.data())
def test_satisfied_by_exactly_the_ways_of_the_model(
    shape: tuple[int, tuple[int, ...], tuple[int, ...]], data: st.DataObject
) -> None:
    needed, wanted, sizes = shape
    parts, number = [], 0
    for want, size in zip(wanted, sizes, strict=True):
        parts.append(Group(want, tuple(key(number + each) for each in range(size))))
        number += size
    policy = threshold_policy(needed, parts)
    allowed = set(ways(needed, parts))
    assert max(map(len, allowed)) == parse_policy(policy).signatures_most
    everyone = [key(each) for each in range(number)]
    assert (len(fullest(policy)), frozenset(fullest(policy)) in allowed) == (max(map(len, allowed)), True)
    some = data.draw(st.lists(st.sampled_from(everyone), unique=True))
    way = data.draw(st.sampled_from(sorted(allowed, key=sorted)))
    stranger = key(99)
    chosen = choose(policy, some)
    assert (chosen is not None) == any(each <= set(some) for each in allowed)
    assert chosen is None or (frozenset(chosen) in allowed and set(chosen) <= set(some))
    for given_keys in (some, sorted(way)):
        assert is_satisfied(policy, given_keys) == (frozenset(given_keys) in allowed)
    assert not is_satisfied(policy, [*sorted(way), stranger]), "one too many"
    assert not is_satisfied(policy, sorted(way)[1:]) or frozenset(sorted(way)[1:]) in allowed


PIECES = st.lists(st.sampled_from([A, B, C, b"\x08\x01\x12\x20", b"\x12\x24", b"\x12\x4c"])).map(b"".join)


@given(st.binary(max_size=200) | PIECES.map(lambda pieces: b"\x12" + bytes([min(127, len(pieces))]) + pieces))
def test_hostile_bytes_are_refused_or_have_one_encoding(raw: bytes) -> None:
    try:
        policy = pb.KeyPolicy.FromString(raw)
    except Exception:  # the library's: `decode` makes Malformed of it
        return
    try:
        read = read_policy("here", policy)
    except TxError:
        return
    assert pb.KeyPolicy.FromString(read).SerializeToString(deterministic=True) == read
    assert threshold_or_single(read) == read


def threshold_or_single(policy: bytes) -> bytes:
    parsed = parse_policy(policy)
    if len(parsed.groups) == 1:
        return single_key_policy(parsed.keys[0])
    return threshold_policy(parsed.needed, chain(reversed(parsed.groups)))
