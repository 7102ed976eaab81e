"""The record of signing in a state file and two slots: whatever stops it, and whatever is carried away of it alone."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from consensus.documents.files import SignState, format_sign_state, parse_sign_state
from consensus.privval.record import CEILING_HEIGHTS, SLOT_BYTES, SignRecord, read_record, slots_path, write_record
from consensus.privval.signer import FileSigner
from consensus.simulation.disk import SimulatedDisk
from consensus.system.disk import OsDisk
from consensus.system.errors import SignerError, SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from tests.support.engine.bench import key_of
from tests.support.stops import StopsAfter

CHAIN = "chain"
PATH = Path("/home/data/priv_validator_state.json")
SLOTS = slots_path(PATH)
A = BlockID(b"a" * 32, PartSetHeader(1, b"p" * 32))
B = BlockID(b"b" * 32, PartSetHeader(1, b"p" * 32))
KEY = key_of(0)
TAILS = (0, 1, 60, 250, SLOT_BYTES, 1 << 20)  # bytes that a stop keeps of what was not synced


def vote(height: int, type: int = PRECOMMIT, block_id: BlockID = A) -> Vote:
    return Vote(type, height, 0, block_id, 10**18, KEY.pub_key.address)


def sign(signer: FileSigner, height: int, type: int = PRECOMMIT, block_id: BlockID = A) -> Vote:
    return signer.sign_vote(CHAIN, vote(height, type, block_id), with_extension=False)


def signer_at(*heights: int, disk: SimulatedDisk | None = None) -> tuple[SimulatedDisk, FileSigner]:
    disk = disk or SimulatedDisk()
    if not disk.size(PATH):
        FileSigner.create_state(disk, PATH)
    signer = FileSigner(disk, KEY, PATH)
    for height in heights:
        sign(signer, height)
    return disk, signer


def without_slots(disk: SimulatedDisk) -> SimulatedDisk:
    """The state file alone, as it is brought to another home."""
    other = SimulatedDisk()
    other.replace(PATH, disk.read(PATH))
    return other


def a_life(signer: FileSigner, disk: SimulatedDisk, released: list[Vote]) -> None:
    """Two processes, some heights over two ceilings, a clean stop between."""
    for height in (3, 4, 4 + CEILING_HEIGHTS):
        for type in (PREVOTE, PRECOMMIT):
            released.append(sign(signer, height, type))
    signer.close()
    second = FileSigner(disk, KEY, PATH)
    released.append(sign(second, 5 + CEILING_HEIGHTS))
    second.close()


@pytest.mark.parametrize("tail", TAILS)
def test_a_stop_at_any_step_forgets_no_signature_that_left(tail: int) -> None:
    """Failure 8: at each step of the disk, with each part of what was not synced; with both files, and with one."""
    step, is_over = 0, False
    while not is_over:
        disk = SimulatedDisk()
        FileSigner.create_state(disk, PATH)
        released: list[Vote] = []
        signer = FileSigner(disk, KEY, PATH)
        stops = StopsAfter(disk, step)
        with contextlib.suppress(OSError):
            a_life(signer, disk, released)
        is_over = not stops.has_stopped
        check_after_a_stop(disk.crashed(tail), released)
        step += 1
    assert step > 40


def check_after_a_stop(disk: SimulatedDisk, released: list[Vote]) -> None:
    again = FileSigner(disk, KEY, PATH)
    if released:
        last = released[-1]
        assert again.last_position >= (last.height, 0, 2 if last.type == PREVOTE else 3)
        if again.last_position[0] == last.height and again.state.signature == last.signature:
            assert sign(again, last.height, last.type) == last  # repeated, never anew
        with pytest.raises(SigningRefused):
            sign(again, last.height, last.type, B)
        alone = FileSigner(without_slots(disk), KEY, PATH)
        with pytest.raises(SigningRefused):
            sign(alone, last.height, last.type, B)
        assert alone.last_height <= last.height + CEILING_HEIGHTS + 1  # what is missed is bounded
    top = max(again.last_height, 1)
    assert top <= 6 + 2 * CEILING_HEIGHTS
    sign(again, top + 1)  # it goes on at once
    again.close()
    assert FileSigner(disk, KEY, PATH).last_height == top + 1


def test_the_state_file_alone_signs_nothing_below_its_ceiling() -> None:
    """Brought to another home, or to CometBFT, from a node that runs: heights are missed, and none is signed twice."""
    disk, signer = signer_at(7)
    alone = FileSigner(without_slots(disk), KEY, PATH)
    sign(signer, 8)
    for height in range(1, 7 + CEILING_HEIGHTS):
        for block_id in (A, B):
            with pytest.raises(SigningRefused):
                sign(alone, height, PREVOTE, block_id)
    sign(alone, 7 + CEILING_HEIGHTS)
    value = json.loads(disk.read(PATH))
    assert {name: value[name] for name in ("height", "round", "step")} == {
        "height": str(7 + CEILING_HEIGHTS), "round": 0, "step": 0,
    }  # fmt: skip
    assert set(value) == {"height", "round", "step", "slots"}  # what CometBFT reads, and a name that it passes over


def test_a_stop_without_notice_goes_on_where_it_was() -> None:
    disk, _ = signer_at(7, 8)
    again = FileSigner(disk.crashed(), KEY, PATH)
    assert again.last_position == (8, 0, 3)
    sign(again, 9)


def test_slots_of_an_earlier_run_do_not_speak_for_a_state_file_of_elsewhere() -> None:
    """The key went from home A to home B, whose slots are of a time when it had the key before: B's know nothing."""
    there, _ = signer_at(7)
    here, elsewhere = there.crashed(), there.crashed()
    signer_at(8, 9, disk=elsewhere)
    here.replace(PATH, elsewhere.read(PATH))
    signer = FileSigner(here, KEY, PATH)
    for height in (8, 9):
        with pytest.raises(SigningRefused):
            sign(signer, height, PRECOMMIT, B)


def test_older_slots_of_the_same_run_do_not_speak_below_the_ceiling() -> None:
    """A copy that took the slots first and the state file after a ceiling was raised."""
    disk, signer = signer_at(7)
    older = disk.read(SLOTS)
    sign(signer, 7 + CEILING_HEIGHTS)
    disk.replace(SLOTS, older)
    with pytest.raises(SigningRefused):
        sign(FileSigner(disk, KEY, PATH), 7 + CEILING_HEIGHTS, PRECOMMIT, B)


@pytest.mark.parametrize(
    ("written", "want"),
    [
        pytest.param(SignState(5, 1, 3), (8, 0, 3), id="an older copy: the slots know better"),
        pytest.param(SignState(), (8, 0, 3), id="written by hand to begin anew"),
        pytest.param(SignState(8, 0, 3), (8, 0, 3), id="the same"),
        pytest.param(SignState(9, 2, 1), (9, 2, 1), id="from where the key signed later"),
    ],
)
def test_a_state_file_that_names_no_slots_counts_where_it_is_higher(
    written: SignState, want: tuple[int, int, int]
) -> None:
    disk, _ = signer_at(7, 8)
    disk.replace(PATH, format_sign_state(written).encode())
    assert read_record(disk, PATH).position == want
    signer = FileSigner(disk, KEY, PATH)
    assert signer.last_position == want
    with pytest.raises(SigningRefused):
        sign(signer, 8, PRECOMMIT, B)
    sign(signer, 10)
    signer.close()
    assert parse_sign_state(disk.read(PATH)).position == (10, 0, 3)
    assert not disk.size(SLOTS)


def test_a_torn_slot_leaves_the_one_before() -> None:
    disk, _ = signer_at(7, 8)
    data = bytearray(disk.read(SLOTS))
    states = []
    for at in (0, SLOT_BYTES):
        torn = bytearray(data)
        torn[at + 100] ^= 1
        disk.replace(SLOTS, bytes(torn))
        states.append(read_record(disk, PATH).position)
    assert sorted(states) == [(7, 0, 3), (8, 0, 3)]
    disk.replace(SLOTS, bytes(len(data)))
    assert read_record(disk, PATH).position == (7 + CEILING_HEIGHTS, 0, 0)  # then the ceiling counts


def test_slots_of_another_key_are_passed_over() -> None:
    disk, _ = signer_at(7, 8)
    disk.replace(PATH, format_sign_state(SignState()).encode())
    other = FileSigner(disk, key_of(1), PATH)
    assert other.last_position == (0, 0, 0)
    mine = replace(vote(1), validator_address=key_of(1).pub_key.address)
    other.sign_vote(CHAIN, mine, with_extension=False)
    assert read_record(disk, PATH, key_of(1).pub_key.address).position == (1, 0, 3)


def test_a_state_file_that_is_missing_is_not_made_of_slots() -> None:
    disk, _ = signer_at(7)
    del disk.files[PATH]
    with pytest.raises(SignerError, match="missing"):
        FileSigner(disk, KEY, PATH)


def test_a_clean_stop_leaves_one_file_or_says_why_not() -> None:
    disk, signer = signer_at(7, 8)

    def refuse(action: str, path: Path) -> None:
        raise OSError(28, "no room", str(path))

    disk.hook = refuse
    signer.close()
    disk.hook = lambda action, path: None
    assert read_record(disk, PATH).position == (8, 0, 3)
    signer.close()
    assert (parse_sign_state(disk.read(PATH)).position, disk.size(SLOTS)) == ((8, 0, 3), 0)
    signer.close()


def test_a_write_that_failed_is_not_undone_by_a_clean_stop() -> None:
    disk, signer = signer_at(7)
    hooks = []

    def refuse_names(action: str, path: Path) -> None:
        hooks.append(action)
        if action == "rename":
            raise OSError(28, "no room", str(path))

    disk.hook = refuse_names
    with pytest.raises(OSError, match="no room"):
        sign(signer, 7 + CEILING_HEIGHTS)  # its slot is written, its ceiling is not
    disk.hook = lambda action, path: None
    signer.close()
    again = FileSigner(disk, KEY, PATH)
    assert again.last_height == 7 + CEILING_HEIGHTS
    with pytest.raises(SigningRefused):
        sign(again, 7 + CEILING_HEIGHTS, PRECOMMIT, B)


def test_each_process_draws_an_id_of_its_own() -> None:
    disk, _ = signer_at(7)
    first = parse_sign_state(disk.read(PATH)).slots
    signer_at(8, disk=disk)
    assert first != parse_sign_state(disk.read(PATH)).slots != b""


def test_a_signature_costs_one_sync_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    FileSigner.create_state(OsDisk(), path)
    record = SignRecord(OsDisk(), path, KEY.pub_key.address)
    record.write(SignState(1, 0, 1))
    inode = slots_path(path).stat().st_ino
    synced: list[bool] = []
    for name in ("fsync", "fdatasync"):
        if hasattr(os, name):
            monkeypatch.setattr(os, name, lambda fd: synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)))
    monkeypatch.setattr(
        "consensus.system.disk._sync_data", lambda fd: synced.append(stat.S_ISDIR(os.fstat(fd).st_mode))
    )
    for step in (2, 3):
        record.write(SignState(1, 0, step))
        assert read_record(OsDisk(), path).position == (1, 0, step)
    assert synced == [False, False]
    assert (slots_path(path).stat().st_ino, slots_path(path).stat().st_size) == (inode, 2 * SLOT_BYTES)
    monkeypatch.undo()
    write_record(OsDisk(), path, SignState(1, 0, 3))
    assert sorted(tmp_path.iterdir()) == [path]
    record.close()
