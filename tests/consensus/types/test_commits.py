"""Verification of commits: data sheet section 8, as a table over the three ways; and the median of section 9."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.formats.errors import (
    BadSignature,
    InvalidCommit,
    InvalidVote,
    NotEnoughPower,
    WrongBlockId,
    WrongHeight,
    WrongSetSize,
    WrongSigner,
)
from consensus.types.block import BlockID, Commit, ExtendedCommit
from consensus.types.commit import ABSENT_SIG, FLAG_NIL, CommitSig
from consensus.types.commits import (
    extended_commit_from_votes,
    median_time,
    verify_commit,
    verify_commit_light,
    verify_commit_light_trusting,
    voter,
    votes_from_extended_commit,
    weighted_median,
)
from crypto.batch import Check, SignatureCache, verify_many
from tests.support.types.builders import CHAIN_ID, Signers, block_id

SIGNERS = Signers.of(10, 10, 10, 10)
VALIDATORS = SIGNERS.validators
TARGET = block_id()
GOOD = SIGNERS.commit(TARGET)


def full(commit: Commit) -> None:
    verify_commit(CHAIN_ID, VALIDATORS, commit, block_id=TARGET, height=1)


def light(commit: Commit) -> None:
    verify_commit_light(CHAIN_ID, VALIDATORS, commit, block_id=TARGET, height=1)


def light_all(commit: Commit) -> None:
    verify_commit_light(CHAIN_ID, VALIDATORS, commit, block_id=TARGET, height=1, all_signatures=True)


def trusting(commit: Commit) -> None:
    verify_commit_light_trusting(CHAIN_ID, VALIDATORS, commit)


def trusting_all(commit: Commit) -> None:
    verify_commit_light_trusting(CHAIN_ID, VALIDATORS, commit, all_signatures=True)


def forged(commit: Commit, index: int, **changes: object) -> Commit:
    slots = list(commit.signatures)
    slots[index] = replace(slots[index], **changes)  # type: ignore[arg-type]
    return replace(commit, signatures=tuple(slots))


BAD = {"signature": bytes(64)}
CASES = [
    ("all sign", GOOD, (None,) * 5),
    ("one absent", SIGNERS.commit(TARGET, absent=(3,)), (None,) * 5),
    ("one nil", SIGNERS.commit(TARGET, nil=(0,)), (None,) * 5),
    ("half absent", SIGNERS.commit(TARGET, absent=(2, 3)), (NotEnoughPower,) * 3 + (None,) * 2),
    ("half nil", SIGNERS.commit(TARGET, nil=(0, 1)), (NotEnoughPower,) * 3 + (None,) * 2),
    ("one signs", SIGNERS.commit(TARGET, absent=(1, 2, 3)), (NotEnoughPower,) * 5),
    ("a bad last one", forged(GOOD, 3, **BAD), (BadSignature, None, BadSignature, None, BadSignature)),
    ("a bad first one", forged(GOOD, 0, **BAD), (BadSignature,) * 5),
    (
        "a bad nil vote",
        forged(SIGNERS.commit(TARGET, nil=(0,)), 0, **BAD),
        (BadSignature, None, None, None, None),
    ),
    ("a moved time", forged(GOOD, 0, timestamp_ns=0), (BadSignature,) * 5),
    (
        "nil passed off as for the block",
        forged(SIGNERS.commit(TARGET, nil=(0,)), 0, block_id_flag=2),
        (BadSignature,) * 5,
    ),
    (
        "for the block passed off as nil",
        forged(GOOD, 0, block_id_flag=FLAG_NIL),
        (BadSignature, None, None, None, None),
    ),
    ("another height", replace(GOOD, height=2), (WrongHeight,) * 3 + (BadSignature,) * 2),
    ("another block", SIGNERS.commit(block_id("other")), (WrongBlockId,) * 3 + (None,) * 2),
    ("a slot too few", replace(GOOD, signatures=GOOD.signatures[:3]), (WrongSetSize,) * 3 + (None,) * 2),
    ("a slot too many", replace(GOOD, signatures=(*GOOD.signatures, ABSENT_SIG)), (WrongSetSize,) * 3 + (None,) * 2),
    (
        "two slots exchanged",
        replace(GOOD, signatures=(GOOD.signatures[1], GOOD.signatures[0], *GOOD.signatures[2:])),
        (WrongSigner,) * 3 + (None,) * 2,
    ),
    (
        "one signs twice",
        replace(GOOD, signatures=(GOOD.signatures[0], GOOD.signatures[0], *GOOD.signatures[2:])),
        (WrongSigner,) * 5,
    ),
    (
        "a stranger",
        forged(GOOD, 0, validator_address=bytes(20)),
        (WrongSigner, WrongSigner, WrongSigner, None, None),
    ),
]


@pytest.mark.parametrize(("commit", "expected"), [pytest.param(c, e, id=name) for name, c, e in CASES])
def test_who_counts_and_what_fails(commit: Commit, expected: Sequence[type[Exception] | None]) -> None:
    for verify, error in zip((full, light, light_all, trusting, trusting_all), expected, strict=True):
        if error is None:
            verify(commit)
        else:
            with pytest.raises(error):
                verify(commit)


def test_power_is_returned_and_named() -> None:
    assert verify_commit(CHAIN_ID, VALIDATORS, SIGNERS.commit(TARGET, nil=(0,)), block_id=TARGET, height=1) == 30
    with pytest.raises(NotEnoughPower) as error:
        light(SIGNERS.commit(TARGET, absent=(2, 3)))
    assert (error.value.got, error.value.needed) == (20, 26)
    with pytest.raises(BadSignature) as bad:
        full(forged(GOOD, 2, **BAD))
    assert bad.value.index == 2


def test_exactly_two_thirds_is_not_enough() -> None:
    signers = Signers.of(1, 1, 1)
    commit = signers.commit(TARGET, absent=(0,))
    with pytest.raises(NotEnoughPower):
        verify_commit_light(CHAIN_ID, signers.validators, commit, block_id=TARGET, height=1)
    with pytest.raises(NotEnoughPower):
        verify_commit_light_trusting(CHAIN_ID, signers.validators, signers.commit(TARGET, absent=(0, 1)))
    verify_commit_light_trusting(CHAIN_ID, signers.validators, commit)
    with pytest.raises(NotEnoughPower):
        verify_commit_light_trusting(CHAIN_ID, signers.validators, commit, trust_level=(2, 3))


def test_too_little_power_is_said_before_a_bad_signature_where_cometbft_batches() -> None:
    with pytest.raises(NotEnoughPower):
        full(forged(SIGNERS.commit(TARGET, absent=(2, 3)), 0, **BAD))


def test_light_verification_stops_when_it_has_enough() -> None:
    seen: list[int] = []

    def counting(checks: Sequence[Check]) -> list[bool]:
        seen.append(len(checks))
        return verify_many(checks)

    arguments = (CHAIN_ID, VALIDATORS, GOOD)
    verify_commit_light(*arguments, block_id=TARGET, height=1, verifier=counting)
    verify_commit_light(*arguments, block_id=TARGET, height=1, all_signatures=True, verifier=counting)
    verify_commit_light_trusting(*arguments, verifier=counting)
    verify_commit_light_trusting(*arguments, all_signatures=True, verifier=counting)
    verify_commit(*arguments, block_id=TARGET, height=1, verifier=counting)
    assert seen == [3, 4, 2, 4, 4]


def test_remembered_votes_make_a_commit_cheap() -> None:
    """Failure 15: a signature that was verified as a vote is not verified again in the commit."""
    cache = SignatureCache()
    for index in range(4):
        vote = SIGNERS.vote(index, TARGET)
        assert cache.verify((VALIDATORS.pub_keys[index], vote.sign_bytes(CHAIN_ID), vote.signature))
    before = len(cache)
    verify_commit(CHAIN_ID, VALIDATORS, GOOD, block_id=TARGET, height=1, verifier=cache.verify_many)
    assert len(cache) == before


@pytest.mark.parametrize(
    "commit",
    [
        pytest.param(replace(GOOD, height=-1), id="height"),
        pytest.param(replace(GOOD, round=-1), id="round"),
        pytest.param(replace(GOOD, block_id=BlockID()), id="for nil"),
        pytest.param(replace(GOOD, block_id=BlockID(b"x")), id="block id"),
        pytest.param(replace(GOOD, signatures=()), id="no signatures"),
        pytest.param(forged(GOOD, 0, block_id_flag=0), id="flag 0"),
        pytest.param(forged(GOOD, 0, block_id_flag=4), id="flag 4"),
        pytest.param(forged(GOOD, 0, validator_address=b"x"), id="address"),
        pytest.param(forged(GOOD, 0, signature=b""), id="no signature"),
        pytest.param(forged(GOOD, 0, signature=b"x" * 3310), id="long signature"),
        pytest.param(forged(GOOD, 0, block_id_flag=1), id="absent with a signature"),
        pytest.param(replace(GOOD, signatures=(CommitSig(1, timestamp_ns=0),)), id="absent with a time"),
    ],
)
def test_commits_that_break_a_rule(commit: Commit) -> None:
    GOOD.validate()
    Commit().validate()
    with pytest.raises(InvalidCommit):
        commit.validate()


@pytest.mark.parametrize(
    "changes",
    [{"validator_index": 4}, {"validator_index": -1}, {"validator_index": 1}, {"validator_address": bytes(20)}],
    ids=str,
)
def test_a_vote_names_a_member_by_index_and_address(changes: dict[str, Any]) -> None:
    """ASA-2024-011: an index outside the set was used before it was checked; here it is InvalidVote."""
    vote = SIGNERS.vote(0, TARGET)
    assert voter(vote, VALIDATORS) == VALIDATORS.pub_keys[0]
    with pytest.raises(InvalidVote):
        voter(replace(vote, **changes), VALIDATORS)


# ------------------------------------------------------------------------------------------------------ median


@pytest.mark.parametrize(
    ("weighted", "expected"),
    [
        ([(1, 33), (2, 40), (3, 27)], 2),
        ([(1, 1), (2, 1)], 1),
        ([(4, 1), (3, 1), (2, 1), (1, 1)], 2),
        ([(5, 1)], 5),
        ([(1, 1), (2, 1), (3, 10)], 3),
    ],
)
def test_published_medians(weighted: list[tuple[int, int]], expected: int) -> None:
    assert weighted_median(weighted) == expected


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 100)), min_size=1, max_size=9),
    st.lists(st.tuples(st.integers(), st.integers(1, 30)), max_size=4),
)
def test_a_minority_cannot_move_the_median_outside_the_honest_times(
    honest: list[tuple[int, int]], liars: list[tuple[int, int]]
) -> None:
    """CVE-2021-21271 and failure-free BFT time: one time for all nodes, between honest clocks."""
    power, lied = sum(w for _, w in honest), sum(w for _, w in liars)
    if lied * 2 < power:
        median = weighted_median(honest + liars)
        assert min(t for t, _ in honest) <= median <= max(t for t, _ in honest)
        assert weighted_median(reversed(honest + liars)) == median


def test_the_median_of_a_commit() -> None:
    signers = Signers.of(33, 40, 27)
    commit = signers.commit(TARGET)
    assert [signers.validators[i].voting_power for i in range(3)] == [40, 33, 27]
    assert median_time(commit, signers.validators) == commit.signatures[1].timestamp_ns
    nil = signers.commit(TARGET, nil=(1,))
    assert median_time(nil, signers.validators) == commit.signatures[1].timestamp_ns
    absent = signers.commit(TARGET, absent=(0,))
    assert median_time(absent, signers.validators) == commit.signatures[1].timestamp_ns
    with pytest.raises(WrongSigner):
        median_time(forged(commit, 0, validator_address=bytes(20)), signers.validators)
    with pytest.raises(WrongSetSize):
        median_time(replace(commit, signatures=commit.signatures[:2]), signers.validators)


# -------------------------------------------------------------------------------------------- extended commits


def extended(*, sign: bool = True) -> ExtendedCommit:
    votes = [
        replace(SIGNERS.vote(0, TARGET), extension=b"e", extension_signature=b"s" * 64),
        None,
        SIGNERS.vote(2, BlockID()),
        replace(SIGNERS.vote(3, TARGET), extension_signature=b"s" * 64 if sign else b""),
    ]
    return extended_commit_from_votes(1, 0, TARGET, votes)


def test_extended_commits_read_back_and_shed_their_extensions() -> None:
    commit = extended()
    assert ExtendedCommit.decode(commit.encode()) == commit
    assert commit.to_proto().SerializeToString() == commit.encode()
    commit.validate(extensions_enabled=True)
    plain = commit.commit()
    assert [slot.block_id_flag for slot in plain.signatures] == [2, 1, 3, 2]
    votes = votes_from_extended_commit(commit)
    assert votes[0] is not None
    assert votes[0].extension == b"e"
    assert votes[1] is None


def test_extension_signatures_are_there_exactly_when_they_must_be() -> None:
    with pytest.raises(InvalidCommit):
        extended().validate(extensions_enabled=False)
    with pytest.raises(InvalidCommit):
        extended(sign=False).validate(extensions_enabled=True)
    commit = extended()
    for index, changes in (
        (2, {"extension_signature": b"s"}),
        (0, {"extension_signature": b""}),
        (0, {"extension": b"x" * 1_048_577}),
    ):
        slots = list(commit.signatures)
        slots[index] = replace(slots[index], **changes)  # type: ignore[arg-type]
        with pytest.raises(InvalidCommit):
            replace(commit, signatures=tuple(slots)).validate(extensions_enabled=True)
