"""Sequences of an account whose keys come and go: against the list of all that ever ran, nothing runs twice, and a key
that stays is never set back or forward."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chain.kernel.auth import Sequences, advance, rotated, waits_between
from chain.tx.envelope.tx import SignerEntry
from chain.tx.errors import Unauthorised, WrongSequence
from chain.tx.policies import Group, parse_policy, single_key_policy, threshold_policy
from crypto.hash import sha256

KEYS = sorted(sha256(b"key %d" % number) for number in range(5))


def policy_of(keys: frozenset[bytes]) -> bytes:
    members = sorted(keys)
    return (
        single_key_policy(members[0]) if len(keys) == 1 else threshold_policy(1, [Group(1, (key,)) for key in members])
    )


def following(sequences: Sequences, key: bytes) -> int:
    """What a client reads: the key's entry, else the one without a key, else 0."""
    known = dict(sequences)
    return known.get(key, known.get(b"", 0))


def accepts(sequences: Sequences, policy: bytes, key: bytes, sequence: int) -> Sequences | None:
    try:
        return advance(SignerEntry(bytes(20), None, key, sequence), sequences, policy)
    except (Unauthorised, WrongSequence):
        return None


acts = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.sampled_from(KEYS), st.integers(0, 12)),
        st.tuples(st.just("rotate"), st.frozensets(st.sampled_from(KEYS), min_size=1), st.none()),
    ),
    max_size=60,
)


@given(acts)
def test_nothing_runs_twice_however_keys_come_and_go(found: list[tuple[str, object, int | None]]) -> None:
    policy, sequences = policy_of(frozenset(KEYS[:1])), ()
    ran: set[tuple[bytes, int]] = set()
    for act, what, number in found:
        if act == "rotate":
            assert isinstance(what, frozenset)
            after = policy_of(what)
            changed = rotated(sequences, before=policy, after=after)
            for key in what & set(parse_policy(policy).keys):
                assert following(changed, key) == following(sequences, key), "it stays where it was"
            assert len(changed) <= len(what) + 1, "a record does not grow with rotations"
            assert list(changed) == sorted(changed)
            policy, sequences = after, changed
            continue
        assert isinstance(what, bytes)
        assert number is not None
        tried = number if number < 8 else following(sequences, what)  # some of what was, or the next one
        used = accepts(sequences, policy, what, tried)
        if used is None:
            assert what not in parse_policy(policy).keys or tried != following(sequences, what)
            continue
        assert (what, tried) not in ran, "run twice"
        assert waits_between(sequences, used) == 1
        ran.add((what, tried))
        sequences = used
