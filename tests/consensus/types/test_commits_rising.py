"""The commit that a proposer carries on always lets the next block be later than its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.core.votes import two_thirds
from consensus.formats.timestamps import TIME_NS_MAX, ZERO_TIME_NS
from consensus.types.commit import ABSENT_SIG, FLAG_COMMIT, FLAG_NIL, CommitSig, ExtendedCommit, ExtendedCommitSig
from consensus.types.commits import median_time, rising_commit
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.validators import ValidatorSet
from crypto.keys import Ed25519PrivKey

BLOCK_TIME_NS = 1_700_000_000 * 10**9
ID = BlockID(b"b" * 32, PartSetHeader(1, b"p" * 32))
KEYS = [Ed25519PrivKey.from_seed(bytes([number + 1]) * 32).pub_key for number in range(10)]


def commit_of(validators: ValidatorSet, slots: list[tuple[int, int] | None]) -> ExtendedCommit:
    """slots: (flag, time) or absent, in set order."""
    signatures = [
        ExtendedCommitSig(ABSENT_SIG if slot is None else CommitSig(slot[0], key.address, slot[1], b"s" * 64))
        for key, slot in zip(validators.pub_keys, slots, strict=True)
    ]
    return ExtendedCommit(1, 0, ID, tuple(signatures))


times = st.one_of(st.integers(ZERO_TIME_NS, TIME_NS_MAX), st.integers(-5, 5).map(lambda off: BLOCK_TIME_NS + off))


@given(st.data())
def test_liars_and_slow_clocks_together_cannot_hold_the_time(data: st.DataObject) -> None:
    """audit 2: votes for nil are no longer dated after a block that is only proposed, so a clock may leave them early.

    Liars have less than a third of the power and date as they like; correct votes for the block are dated after it;
    correct votes for nil have any time.
    """
    powers = data.draw(st.lists(st.integers(1_000, 50_000), min_size=4, max_size=10))
    validators = ValidatorSet.new([(key, power) for key, power in zip(KEYS, powers, strict=False)])
    slots: list[tuple[int, int] | None] = []
    lying = committed = 0
    for power in validators.powers:
        may_lie = (lying + power) * 3 < validators.total_power
        kind = data.draw(
            st.sampled_from(["correct", "nil", "absent", "liar"] if may_lie else ["correct", "nil", "absent"])
        )
        if kind == "correct":
            slots.append((FLAG_COMMIT, data.draw(st.integers(BLOCK_TIME_NS + 1, BLOCK_TIME_NS + 10**12))))
        elif kind == "absent":
            slots.append(None)
        else:
            lying += power if kind == "liar" else 0
            slots.append((FLAG_NIL if kind == "nil" else FLAG_COMMIT, data.draw(times)))
        committed += power if kind in ("correct", "liar") else 0
    if committed <= two_thirds(validators.total_power):
        return
    rising = rising_commit(commit_of(validators, slots), validators, after_ns=BLOCK_TIME_NS)
    assert median_time(rising.commit(), validators) > BLOCK_TIME_NS
    kept = sum(
        power for slot, power in zip(rising.signatures, validators.powers, strict=True) if slot.commit_sig.is_commit
    )
    assert kept > two_thirds(validators.total_power)


@pytest.mark.parametrize(
    ("slots", "left_out"),
    [
        pytest.param([(FLAG_COMMIT, 1)] * 4, [], id="late enough: as it is"),
        pytest.param([(FLAG_COMMIT, 1)] * 3 + [(FLAG_NIL, -1)], [], id="early nil that moves nothing stays"),
        pytest.param([(FLAG_COMMIT, -1), (FLAG_COMMIT, 1), (FLAG_COMMIT, 1), (FLAG_NIL, -1)], [3], id="early nil goes"),
        pytest.param([(FLAG_COMMIT, -1)] * 4, [], id="nothing helps: as it is"),
    ],
)
def test_what_is_left_out(slots: list[tuple[int, int]], left_out: list[int]) -> None:
    validators = ValidatorSet.new([(key, 1_000) for key in KEYS[:4]])
    commit = commit_of(validators, [(flag, BLOCK_TIME_NS + off) for flag, off in slots])
    rising = rising_commit(commit, validators, after_ns=BLOCK_TIME_NS)
    assert [index for index, slot in enumerate(rising.signatures) if slot.commit_sig.is_absent] == left_out
