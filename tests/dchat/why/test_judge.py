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
