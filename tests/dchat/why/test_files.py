"""Records on disk: bounded, readable after any stop, and never in the way."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consensus.system.clock import InlineWorkers
from consensus.system.disk import OsDisk
from dchat.cli.debug import why_command
from dchat.cli.main import dchat
from dchat.dump.packed import why_lines
from dchat.why import files as module
from dchat.why.desk import WhyDesk, answer_of
from dchat.why.files import FILES_MAX, NUMBER_MAX, Kept, WhyFiles
from dchat.why.form import LINE_BYTES_MAX, HeightRecord, OwnMessage, Power, RoundRecord, line_of, record_of
from dchat.why.judge import ADVICE, Cause, judge

STARTED = 1_700_000_000_000


def record(height: int, before: str = "commit", *, how: str = "consensus") -> HeightRecord:
    at = STARTED + 1_000 * height
    return HeightRecord(
        height, how, started_at=STARTED, began_at=at, saved_at=at + 100, block_at=at - 900, is_validator=True,
        is_jailed=False, before=before, is_behind=False, power=10, power_total=40, propose_limit_ms=3_000,
        rounds=[RoundRecord(0, 0, "AB" * 20, "ada", proposal_ms=5, block_ms=6, prevotes=Power(40, 0, 40))],
        own=[OwnMessage("prevote", 0, 6, took_ms=1), OwnMessage("precommit", 0, 9, took_ms=1)],
        decided_ms=90, commit_round=0,
    )  # fmt: skip


def write(home: Path, *records: HeightRecord) -> Path:
    """The folder of a home."""
    folder = home / "data" / "why"
    files = WhyFiles(OsDisk(), folder, 100)
    for one in records:
        files.write(one)
    files.close()
    return folder


def why(home: Path, *words: str) -> Result:
    return CliRunner().invoke(dchat, ["why", *words, "--home", str(home)], prog_name="dchat")


def test_a_record_is_read_as_it_was_written() -> None:
    assert record_of(line_of(record(7)).rstrip()) == record(7)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b'{"height":7}', line_of(record(7))[:200], b'{"height":"x"}'])
def test_what_is_no_record_is_none(line: bytes) -> None:
    assert record_of(line) is None
    assert Kept([line]).find(7) is None


def test_no_line_is_read_that_is_too_long() -> None:
    assert record_of(line_of(record(7)).rstrip() + b" " * LINE_BYTES_MAX) is None


def test_only_the_last_heights_are_kept(tmp_path: Path) -> None:
    files = WhyFiles(OsDisk(), tmp_path / "why", 40)
    for height in range(1, 201):
        files.write(record(height))
    files.close()
    kept = Kept.read(OsDisk(), tmp_path / "why")
    assert kept.span is not None
    lowest, highest = kept.span
    assert highest == 200
    assert 40 <= highest - lowest + 1 <= 50
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (tmp_path / "why").iterdir())


def test_a_torn_line_costs_itself_alone(tmp_path: Path) -> None:
    folder = tmp_path / "why"
    for height in (1, 2):  # two starts
        files = WhyFiles(OsDisk(), folder, 100)
        files.write(record(height))
        files.close()
        newest = max(folder.iterdir(), key=lambda path: int(path.name))
        with newest.open("ab") as file:
            file.write(line_of(record(height + 10))[:99])
    kept = Kept.read(OsDisk(), folder)
    assert kept.span == (1, 2)
    assert kept.find(2) == record(2)


def test_a_node_that_starts_again_and_again_keeps_few_files(tmp_path: Path) -> None:
    for height in range(1, FILES_MAX + 20):
        files = WhyFiles(OsDisk(), tmp_path / "why", 1_000)
        files.write(record(height))
        files.close()
    assert len(list((tmp_path / "why").iterdir())) <= FILES_MAX


def test_nothing_is_written_where_no_heights_are_kept(tmp_path: Path) -> None:
    files = WhyFiles(OsDisk(), tmp_path / "why", 0)
    files.write(record(1))
    assert not (tmp_path / "why").exists()


async def test_the_last_missed_height_is_found_and_explained(tmp_path: Path) -> None:
    desk = WhyDesk(OsDisk(), tmp_path / "why", 100, InlineWorkers())
    slow = record(5)
    slow.own[1].took_ms, slow.own[1].disk_ms = 2_300, 2_290
    for one in (record(4), slow, record(6, "absent"), record(7)):
        desk.keep(one)
    desk.close()
    answer = desk.answer(0)
    assert (answer["height"], answer["cause"]) == (5, Cause.SLOW_DISK)
    assert answer["why"] == "its disk took 2.3 s to make its own message durable"
    assert desk.answer(6)["missed"] == []
    assert desk.answer(99)["record"] is None
    assert desk.answer(99)["kept"] == {"lowest": 4, "highest": 7}


@pytest.mark.parametrize(("heights", "told"), [(100, record(2)), (0, None)])
async def test_a_record_is_told_of_before_it_is_written(
    tmp_path: Path, heights: int, told: HeightRecord | None
) -> None:
    desk = WhyDesk(OsDisk(), tmp_path / "why", heights, InlineWorkers())
    for one in (record(1), record(2, how="synced"), record(2)):
        desk.keep(one)
    assert not (tmp_path / "why").exists()
    assert desk.answer(2)["record"] == (None if told is None else asdict(told))
    desk.close()
    assert desk.answer(2)["record"] == (None if told is None else asdict(told))


def test_without_records_nothing_is_claimed() -> None:
    answer = answer_of(Kept([]), 0)
    assert (answer["record"], answer["cause"], answer["kept"]) == (None, None, None)


def test_every_cause_says_what_to_do() -> None:
    assert set(ADVICE) == set(Cause)


def test_who_is_told_of_by_name() -> None:
    late = record(5)
    late.rounds[0].proposal_ms = None
    late.own = [OwnMessage("prevote", 0, 3_000, nil_why="no_proposal", took_ms=1)]
    after = record(6, "absent")
    (found,) = judge(5, {5: late, 6: after}.get).causes
    assert found.cause is Cause.LATE_PROPOSAL
    assert "no proposal of ada (abababababab) came in round 0" in found.says


GARBAGE = b'{"height":9223372036854775807,"before":"absent"}'


@pytest.mark.parametrize(
    ("gone", "more", "height", "unrecorded"),
    [
        ((), b"", 39, None),
        ((39,), b"", 19, 39),  # as of a cut line, or of a slow disk
        ((19, 39), b"", None, 39),
        ((), GARBAGE, 39, None),
        ((), GARBAGE.replace(b"absent", b"nil"), 39, None),
        ((), line_of(record(1, "absent")).rstrip(), 39, None),  # there is no height before it
    ],
)
def test_the_last_missed_height_is_one_that_has_a_record(
    gone: tuple[int, ...], more: bytes, height: int | None, unrecorded: int | None
) -> None:
    records = [record(one, "absent" if one in (20, 40) else "commit") for one in range(60, 0, -1) if one not in gone]
    answer = answer_of(Kept([more, *(line_of(one).rstrip() for one in records)]), 0)
    assert (answer["height"], answer["missed_unrecorded"]) == (height, unrecorded)
    assert (answer["record"] is None) == (height is None)


def test_what_was_missed_and_has_no_record_is_told(tmp_path: Path) -> None:
    write(tmp_path, record(40, "absent"), record(41))
    ended = why(tmp_path)
    assert ended.exit_code == 3
    assert json.loads(ended.stdout)["missed_unrecorded"] == 39
    assert "height 39 was missed, and there is no record of it; remembered: 40 to 41" in ended.stderr


def test_a_person_is_told_of_the_later_one_first(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line_of(one).rstrip() for one in (record(40, "absent"), record(20, "absent"), record(19))]
    why_command._show(answer_of(Kept(lines), 0))
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "height 39 was missed, too, and there is no record of it; the last that has one:"
    assert second.startswith("height 19: the block's commit lacks its vote")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 8 << 30)  # a hole: it takes nothing


def listened_at(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's name is short
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(path.name)
    finally:
        os.chdir(here)


ODD: dict[str, Callable[[Path], None]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "huge": huge,
    "socket": listened_at,
    "link to itself": lambda path: path.symlink_to(path),
    "link to nothing": lambda path: path.symlink_to(path.with_name("nothing")),
    "link to a folder": lambda path: path.symlink_to(path.parent),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
async def test_what_is_no_file_of_records_is_passed_over_and_left(tmp_path: Path, make: Callable[[Path], None]) -> None:
    folder = write(tmp_path, record(1))  # the first file
    for number in (2, 4, 50, 10**30):
        make(folder / str(number))
    desk = WhyDesk(OsDisk(), folder, 8, InlineWorkers())
    for height in range(2, 31):  # a file each two heights
        desk.keep(record(height, "absent" if height == 30 else "commit"))
    desk.close()
    assert desk.written == 29
    assert desk.answer(0)["height"] == 29
    names = {path.name for path in folder.iterdir()}
    assert {"2", "4", "50", str(10**30)} <= names
    assert "51" not in names
    assert not (folder / "nothing").exists()
    ended = why(tmp_path)
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["height"] == 29
    assert len(why_lines(folder).splitlines()) >= 8


@pytest.mark.parametrize("name", ["50", str(NUMBER_MAX), "007", "0", "9" * 255])
@pytest.mark.parametrize("data", [b"", b"\n" * 100_000, bytes(100_000), line_of(record(9)).rstrip() + b"\xff" * 99])
def test_a_file_of_something_else_keeps_no_record_from_being_written(tmp_path: Path, name: str, data: bytes) -> None:
    (folder := tmp_path / "why").mkdir()
    (folder / name).write_bytes(data)
    files = WhyFiles(OsDisk(), folder, 16)
    for height in range(1, 13):  # a file each four heights
        files.write(record(height))
    files.close()
    assert Kept.read(OsDisk(), folder).span == (1, 12)


def test_a_file_that_cannot_be_counted_keeps_no_record_from_being_written(tmp_path: Path) -> None:
    class Failing(OsDisk):
        def read_at(self, path: Path, offset: int, size: int) -> bytes:
            raise PermissionError(path)

        def remove(self, path: Path) -> None:
            raise PermissionError(path)

    folder = write(tmp_path, record(1))
    files = WhyFiles(Failing(), folder, 4)
    for height in range(2, 20):
        files.write(record(height))
    files.close()
    assert Kept.read(OsDisk(), folder).span == (1, 19)


def test_a_file_grows_no_larger_than_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES_MAX", 3 * len(line_of(record(10))))
    folder = write(tmp_path, *(record(height) for height in range(10, 20)))
    assert [path.read_bytes().count(b"\n") for path in sorted(folder.iterdir())] == [3, 3, 3, 1]
    assert Kept.read(OsDisk(), folder).span == (10, 19)


def test_a_line_that_is_too_long_hides_no_record() -> None:
    line = line_of(record(7)).rstrip()
    assert Kept([line[:-1] + b" " * LINE_BYTES_MAX + b"}", line]).find(7) == record(7)
