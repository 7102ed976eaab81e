"""What a record shows of a process that was held, told from what only followed: of which it does not matter where in a
height it was held."""

from __future__ import annotations

import pytest

from dchat.why.form import HeightRecord, Lag, OwnMessage, Power, RoundRecord
from dchat.why.judge import Cause, judge

STARTED = 1_700_000_000_000


def record(height: int, before: str = "commit", **fields: object) -> HeightRecord:
    at = STARTED + 60_000 + 1_000 * height
    made = HeightRecord(
        height, "consensus", started_at=STARTED, began_at=at, saved_at=at + 100, block_at=at - 900, is_validator=True,
        is_jailed=False, before=before, is_behind=False, power=10, power_total=40, propose_limit_ms=800,
        rounds=[RoundRecord(0, 0, "AB" * 20, "ada", proposal_ms=5, block_ms=6, prevotes=Power(40, 0, 40))],
        own=[OwnMessage("prevote", 0, 6, took_ms=1, disk_ms=1), OwnMessage("precommit", 0, 9, took_ms=1, disk_ms=1)],
        decided_ms=20, commit_round=0, apply_ms=8,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(made, name, value)
    return made


LATE = [OwnMessage("precommit", 0, 4, took_ms=1)]  # of a height that the others had decided before we began it


def causes(*records: HeightRecord, height: int) -> list[tuple[Cause, str]]:
    found = {one.height: one for one in records}
    return [(one.cause, one.says) for one in judge(height, found.get).causes]


@pytest.mark.parametrize("missed", [6, 7])
def test_a_process_that_was_held_while_it_wrote_a_block_misses_the_next_or_the_one_after(missed: int) -> None:
    held = record(5, apply_ms=2_010, lags=[Lag(2_028, 1_974, 1_950)])
    after = [record(height, own=list(LATE), decided_ms=0) for height in (6, 7)]
    end = record(8)
    next(one for one in (*after, end) if one.height == missed + 1).before = "absent"
    (cause, says), (follows, _) = causes(record(4), held, *after, end, height=missed)
    assert (cause, says) == (Cause.OVERLOADED, "at height 5: this process did not run for 2.0 s at once")
    assert follows is Cause.CATCHING_UP


@pytest.mark.parametrize(
    ("lag", "cause", "says"),
    [
        (Lag(2_011, 1_990, 1_980), Cause.OVERLOADED, "this process did not run for 2.0 s at once"),
        (Lag(2_011, 1_990, 0), Cause.SLOW_DISK, "its disk took 2.0 s to make its own message durable"),
        (Lag(2_011, 1_990), Cause.SLOW_DISK, "its disk took 2.0 s to make its own message durable"),
    ],
)
def test_a_disk_that_takes_long_is_told_from_a_process_held_meanwhile(lag: Lag, cause: Cause, says: str) -> None:
    own = [OwnMessage("prevote", 0, 6, took_ms=1), OwnMessage("precommit", 0, 9, took_ms=2_003, disk_ms=2_003)]
    held = record(5, own=own, lags=[lag], decided_ms=2_015)
    assert causes(record(4), held, record(6, "absent"), height=5)[0] == (cause, says)


@pytest.mark.parametrize(
    ("lag", "says"),
    [
        (Lag(1_500, 1_400, 1_400), "this process did not run for 1.4 s at once"),
        (Lag(1_500, 1_400, 100), "its loop was held for 1.4 s at once"),
        (Lag(1_500, 1_400), "this process did not run, or its loop was held, for 1.4 s at once"),
    ],
)
def test_what_was_held_is_said_as_far_as_it_is_known(lag: Lag, says: str) -> None:
    own = [OwnMessage("prevote", 0, 6, took_ms=1), OwnMessage("precommit", 0, 1_503, took_ms=1, disk_ms=1)]
    held = record(5, own=own, lags=[lag], decided_ms=1_400)
    assert causes(record(4), held, record(6, "absent"), height=5) == [(Cause.OVERLOADED, says)]


def test_a_disk_that_wrote_a_block_slowly_is_not_excused_by_what_held_the_loop_before() -> None:
    slow = record(5, lags=[Lag(15, 130, 0)], apply_ms=1_000)
    missed = record(6, own=list(LATE), decided_ms=0)
    assert causes(record(4), slow, missed, record(7, "absent"), height=6)[0] == (
        Cause.SLOW_DISK,
        "it took 1.0 s to write the block before",
    )


def test_who_comes_late_to_its_own_proposal_was_held_before() -> None:
    held = record(5, lags=[Lag(1_578, 1_492, 1_450)], decided_ms=5)
    first = RoundRecord(0, 0, "AA" * 20, "us", is_ours=True, proposal_ms=2, prevotes=Power(10, 30, 40))
    second = RoundRecord(1, 4, "AB" * 20, "ada", block_ms=5, prevotes=Power(30, 0, 30))
    own = [OwnMessage("proposal", 0, 0, took_ms=2, disk_ms=1), OwnMessage("prevote", 0, 3, took_ms=1, disk_ms=1)]
    late = record(6, rounds=[first, second], own=own, commit_round=1)
    told = causes(record(4), held, late, record(7, "absent"), height=6)
    assert told[0] == (Cause.OVERLOADED, "at height 5: this process did not run for 1.5 s at once")
    alone = causes(record(4), record(5), late, record(7, "absent"), height=6)
    assert alone[0][0] is Cause.PARTITION


def behind(height: int, by_ms: int, before: str = "absent", **fields: object) -> HeightRecord:
    """That the others had decided when it began here, so long after it began elsewhere."""
    made = record(height, before, **{"own": list(LATE), "decided_ms": 0, **fields})
    made.block_at -= by_ms
    made.rounds[0].proposal_ms = None
    return made


@pytest.mark.parametrize("own", [[], LATE])
def test_all_heights_until_it_is_in_step_again_are_missed_by_what_held_it(own: list[OwnMessage]) -> None:
    """Also without a vote of ours: that is no listening, and the others were not faster."""
    held = record(5, own=[], lags=[Lag(80_000, 80_000, 79_990)], waited_ms=80_000, decided_ms=20)
    held.began_at += 80_000
    late = [behind(height, 80_000 - 3_000 * (height - 6), own=list(own)) for height in range(6, 32)]
    for height in range(6, 31):
        told = causes(record(4), held, *late, height=height)
        assert told[0] == (Cause.OVERLOADED, "at height 5: this process did not run for 80.0 s at once"), height
        assert told[-1][0] is Cause.CATCHING_UP


def test_what_took_long_for_once_is_told_before_what_took_little_after_it() -> None:
    held = record(5, apply_ms=3_296, lags=[Lag(3_270, 3_106, 3_002)])
    slow = behind(6, 3_200, "commit", apply_ms=190)
    told = causes(record(4), held, slow, behind(7, 3_000), behind(8, 2_800), height=7)
    assert told[0] == (Cause.OVERLOADED, "at height 5: this process did not run for 3.1 s at once")


def test_a_stop_that_is_noted_in_the_next_height_is_not_the_disks() -> None:
    """The timer comes when the block is written and the next height has begun."""
    wrote = record(5, apply_ms=3_050)
    late = behind(6, 3_000, "commit", lags=[Lag(20, 2_964, 2_963)])
    told = causes(record(4), wrote, late, record(7, "absent"), height=6)
    assert told[0] == (Cause.OVERLOADED, "this process did not run for 3.0 s at once")
    assert Cause.SLOW_DISK not in [cause for cause, _ in told]


def test_a_clock_that_is_off_makes_no_height_late() -> None:
    """What others' blocks say of the time is compared with what they said before."""
    alike = [behind(height, 4_000, "commit") for height in range(3, 7)]
    assert causes(*alike, behind(7, 4_000), height=6)[0][0] is Cause.OTHERS_FASTER


def test_a_node_that_was_down_says_since_when() -> None:
    before = record(5)
    anew = before.saved_at + 80_000
    synced = [
        record(height, "absent", how="synced", rounds=[], own=[], decided_ms=None, started_at=anew, began_at=anew + 900,
               saved_at=anew + 1_000, block_at=anew - 79_000 + 3_000 * height)
        for height in range(6, 12)
    ]  # fmt: skip
    for height in range(6, 11):
        ((cause, says),) = causes(record(4), before, *synced, height=height)
        assert cause is Cause.NOT_RUNNING
        assert says.endswith("the process before it saved its last block 80.0 s earlier"), says
