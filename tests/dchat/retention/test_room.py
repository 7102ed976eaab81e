"""Room on the disk: said when it gets little, a stop in good order before there is none, and well again with room."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.system.clock import InlineWorkers
from consensus.system.machine import EXIT_MACHINE
from consensus.system.tasks import Faults
from dchat.retention import room
from dchat.retention.room import PART, LittleRoom, NoRoom, ReadOnly, RoomOnDisk

MIB = 1 << 20


def disk_of(tmp_path: Path, *free: int) -> RoomOnDisk:
    """free: MiB at each look, the last for ever."""
    looks = [mib * MIB for mib in free]
    return RoomOnDisk(
        [tmp_path], floor_bytes=100 * MIB, free=lambda folder: looks.pop(0) if len(looks) > 1 else looks[0]
    )


@pytest.mark.parametrize(("free", "fits"), [(100, True), (99, False), (0, False)])
def test_a_start_needs_the_floor(free: int, fits: bool, tmp_path: Path) -> None:
    disk = disk_of(tmp_path, free)
    if fits:
        disk.check()
        return
    with pytest.raises(NoRoom, match=r"are free in .*, and this node stops below 100.0 MB \(\[database\] min_free\)"):
        disk.check()


def test_a_disk_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    disk = RoomOnDisk([tmp_path / "not" / "there"], floor_bytes=0, read_only=lambda folder: True)
    with pytest.raises(ReadOnly, match=f"read-only \\({tmp_path}/not/there\\)"):
        disk.check()


@pytest.mark.parametrize(("free", "spare"), [(200, True), (199, False)])
def test_what_can_be_left_out_is_where_there_is_little(free: int, spare: bool, tmp_path: Path) -> None:
    disk = disk_of(tmp_path, free)
    if spare:
        disk.check_spare()
        return
    with pytest.raises(LittleRoom, match=r"left out below 200\.0 MB"):
        disk.check_spare()


def test_a_floor_of_0_asks_for_no_room(tmp_path: Path) -> None:
    RoomOnDisk([tmp_path], floor_bytes=0, free=lambda folder: 0).check()


async def test_it_is_said_once_and_again_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "EVERY_S", 0)
    faults, ended = Faults(), asyncio.get_running_loop().create_future()
    seen: list[dict[str, str]] = []
    disk = disk_of(tmp_path, 500, 199, 150, 199, 300, 150, 99)
    judge = disk._told

    def told(level: room.Level, found: room.Room, parts: Faults) -> None:
        judge(level, found, parts)
        seen.append(faults.down)

    monkeypatch.setattr(disk, "_told", told)
    with capture_logs() as lines:
        task = asyncio.create_task(disk.watch(InlineWorkers(), faults, lambda *end: ended.set_result(end)))
        async with asyncio.timeout(10):
            code, last_line = await ended
            await task
    assert [bool(down) for down in seen] == [False, True, True, True, False, True]
    assert "199.0 MB are free" in seen[1][PART]
    assert (code, "99.0 MB are free" in last_line) == (EXIT_MACHINE, True)
    assert faults.not_served is None  # what serves, serves until the end
    assert [line["log_level"] for line in lines] == ["error", "info", "error", "critical"]
