"""The write-ahead log: the format's vectors, a recorded log, torn tails, damage, rotation."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from pathlib import Path

import pytest

from consensus.core.events import Elapsed, Step, VoteKind
from consensus.engine.incoming.inputs import (
    EndedHeight,
    EnteredStep,
    Logged,
    MajorityIn,
    PartIn,
    ProposalIn,
    TimedOut,
    VoteIn,
    decode_logged,
    encode_logged,
    logged_time_ns,
)
from consensus.formats.timestamps import parse_rfc3339
from consensus.simulation.disk import SimulatedDisk
from consensus.stores.wal import PAYLOAD_BYTES_MAX, Wal, encode_frame, end_height_payload, parse_payload, scan_file
from consensus.system.disk import AppendFile, OsDisk
from consensus.system.errors import EngineError, WalCorrupted
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PartSet
from consensus.types.vote import Proposal, Vote
from proto.tendermint.consensus import wal_pb2
from tests.support.node.machine import files_end_at
from tests.support.stops import StopsAfter

FOLDER = Path("/home/cs.wal")
HEAD = FOLDER / "wal"
T0 = parse_rfc3339("2018-08-30T12:00:00Z")
BLOCK_ID = BlockID(b"h" * 32, PartSetHeader(2, b"p" * 32))
PART = PartSet.from_bytes(b"block").get(0)
assert PART is not None


def open_wal(disk: SimulatedDisk, **limits: int) -> Wal:
    return Wal(disk, FOLDER, now_ns=lambda: T0, **limits)


def after(wal: Wal, height: int) -> list[wal_pb2.TimedWALMessage] | None:
    tail = wal.records_after(height)
    return None if tail is None else list(tail)


class SlowFile:
    """A sync takes until it is told to end."""

    def __init__(self, inner: AppendFile) -> None:
        self._inner = inner
        self.write, self.close = inner.write, inner.close
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def sync(self) -> None:
        self.has_begun.set()
        assert self.may_end.wait(30)
        self._inner.sync()


def test_what_peers_send_is_logged_without_a_wait_for_the_disk() -> None:
    """audit 10: a part fills the buffer, and whoever appended it stood until the sync of another thread was over: the
    loop, for as long as a disk takes, at a peer's will."""
    wal = open_wal(SimulatedDisk())
    wal._head = slow = SlowFile(wal._head)  # type: ignore[assignment]
    payload = encode_logged(PartIn(1, 0, PART, "x" * 30_000), T0)
    wal.append(payload)
    syncing = threading.Thread(target=wal.sync)
    syncing.start()
    assert slow.has_begun.wait(30)
    appending = threading.Thread(target=lambda: [wal.append(payload) for _ in range(10)])
    appending.start()
    appending.join(10)
    waits = appending.is_alive()
    slow.may_end.set()
    syncing.join(30)
    appending.join(30)
    assert not waits
    wal.sync()
    assert len(after(wal, 0) or []) == 11


@pytest.mark.parametrize(
    ("logged", "frame"),
    [
        pytest.param(EndedHeight(7), "5ff9e86c0000000e0a0608c0b89fdc05120422020807", id="EndHeight 7"),
        pytest.param(
            EnteredStep(1, 0, 1),
            "6d729e0e000000220a0608c0b89fdc0512180a1608011a12526f756e64537465704e6577486569676874",
            id="round state 1/0 NewHeight",
        ),
    ],
)
def test_vectors_of_the_format(logged: Logged, frame: str) -> None:
    assert encode_frame(encode_logged(logged, T0)).hex() == frame


@pytest.mark.parametrize(
    "logged",
    [
        ProposalIn(Proposal(5, 1, -1, BLOCK_ID, T0, b"s" * 64), "peer"),
        PartIn(5, 1, PART, ""),
        VoteIn(Vote(2, 5, 1, BLOCK_ID, T0, b"a" * 20, 3, b"s" * 64, b"ext", b"e" * 64), "peer"),
        VoteIn(Vote(1, 5, 0, timestamp_ns=T0, validator_address=b"a" * 20, signature=b"s" * 64), ""),
        MajorityIn(VoteKind.PREVOTE, 5, 1, None, "peer"),
        MajorityIn(VoteKind.PRECOMMIT, 5, 1, BLOCK_ID, "peer"),
        *(TimedOut(Elapsed(step, 9, 3), 1500) for step in Step if step not in (Step.PREVOTE, Step.COMMIT)),
        TimedOut(Elapsed(Step.PREVOTE, 9, 0), 0),
        EnteredStep(5, 2, 8),
        EndedHeight(0),
    ],
)
def test_what_is_logged_reads_back(logged: Logged) -> None:
    record = parse_payload(encode_logged(logged, T0))
    assert record is not None
    assert decode_logged(record) == logged
    assert logged_time_ns(record) == T0


def test_end_height_is_one_format() -> None:
    assert end_height_payload(7, T0) == encode_logged(EndedHeight(7), T0)
    assert end_height_payload(0, T0) == encode_logged(EndedHeight(0), T0)


# --------------------------------------------------------------------------------------------- a recorded log


@pytest.fixture(scope="module")
def recorded() -> bytes:
    return gzip.decompress((Path(__file__).parent / "data" / "node1.cs.wal.gz").read_bytes())


def test_recorded_log_is_decoded_and_encoded_again(recorded: bytes) -> None:
    """Each record of a CometBFT node's log, typed and back, is the same bytes."""
    scan = scan_file(recorded, "wal")
    assert scan.torn_bytes > 0  # it was cut at 2,000,000 bytes
    kinds: Counter[str] = Counter()
    heights = []
    for offset, record in scan.records:
        logged = decode_logged(record)
        assert logged is not None, record
        kinds[type(logged).__name__] += 1
        if isinstance(logged, EndedHeight):
            heights.append(logged.height)
        frame = encode_frame(encode_logged(logged, logged_time_ns(record)))
        if isinstance(logged, TimedOut):  # its duration is kept in milliseconds
            continue
        assert recorded[offset : offset + len(frame)] == frame, (offset, logged)
    assert heights == list(range(len(heights)))
    assert len(heights) > 20
    assert set(kinds) == {"ProposalIn", "PartIn", "VoteIn", "TimedOut", "EnteredStep", "EndedHeight"}


def test_recorded_log_opens_with_its_torn_tail_cut(recorded: bytes, tmp_path: Path) -> None:
    """Failure 3: a log torn by a stop is cut, and the rest replays."""
    (tmp_path / "wal").write_bytes(recorded)
    clean = scan_file(recorded, "wal").clean_bytes
    wal = Wal(OsDisk(), tmp_path, now_ns=lambda: T0)
    assert wal.cut_bytes == len(recorded) - clean
    assert (tmp_path / "wal").stat().st_size == clean
    last = [r.msg.end_height.height for r in wal.all_messages() if r.msg.WhichOneof("sum") == "end_height"][-1]
    later = after(wal, last)
    assert later is not None
    assert {r.msg.msg_info.msg.vote.vote.height for r in later} <= {0, last, last + 1}
    assert after(wal, last + 1) is None
    wal.close()


# ------------------------------------------------------------------------------------------- stops and damage


def votes_logged(wal: Wal) -> list[int]:
    return [r.msg.msg_info.msg.vote.vote.round for r in wal.all_messages() if r.msg.HasField("msg_info")]


def vote(round: int) -> bytes:
    signed = Vote(1, 1, round, BLOCK_ID, T0, b"a" * 20, 3, b"s" * 64)
    return encode_logged(VoteIn(signed, "peer"), T0)


def test_crash_at_each_byte_of_the_last_records() -> None:
    """Failure 3: wherever the tail tears, the log opens, keeps every whole record, and takes more."""
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal.append(vote(0))
    wal.sync()
    synced = disk.size(HEAD)
    sizes = []
    for round in (1, 2):
        wal.append(vote(round))
        wal.flush()
        sizes.append(disk.size(HEAD) - synced)
    for kept in range(sizes[-1] + 1):
        after = disk.crashed(kept_tail_bytes=kept)
        again = open_wal(after)
        whole = sum(kept >= size for size in sizes)
        assert votes_logged(again) == list(range(1 + whole)), kept
        assert again.cut_bytes == kept - ([0, *sizes][whole])
        again.append(vote(9))
        again.sync()
        assert votes_logged(open_wal(after.crashed())) == [*range(1 + whole), 9]


def test_synced_records_survive_and_unsynced_may_not() -> None:
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal.append(vote(0))
    wal.sync()
    wal.append(vote(1))
    assert votes_logged(open_wal(disk.crashed())) == [0]
    wal.end_height(1)
    assert after(open_wal(disk.crashed()), 1) == []


@pytest.mark.parametrize("zeros", [0, 40, 4096])
def test_what_a_peer_puts_into_a_part_never_makes_a_torn_log_look_damaged(zeros: int) -> None:
    """audit 7: a part full of valid records, torn by a stop, kept a node from starting: `valid records follow it`."""
    inside = encode_frame(end_height_payload(9, T0)) * 40
    part = PartSet.from_bytes(b"x" * 100 + inside).get(0)
    assert part is not None
    disk = SimulatedDisk()
    wal = open_wal(disk)
    wal.append(vote(0))
    wal.sync()
    synced = disk.size(HEAD)
    wal.append(encode_logged(PartIn(1, 0, part, "peer"), T0))
    wal.flush()
    for kept in range(disk.size(HEAD) - synced):
        after = disk.crashed(kept_tail_bytes=kept)
        after.files[HEAD].data += bytes(zeros)
        again = open_wal(after)
        assert votes_logged(again) == [0], kept
        assert again.cut_bytes == kept + zeros


def test_zeros_after_a_crash_are_a_torn_tail() -> None:
    disk = SimulatedDisk()
    open_wal(disk).append(vote(0))
    size = disk.size(HEAD)
    disk.files[HEAD].data += bytes(4096)
    wal = open_wal(disk)
    assert (wal.cut_bytes, disk.size(HEAD)) == (4096, size)


def test_damage_in_the_middle_names_file_and_offset() -> None:
    disk = SimulatedDisk()
    wal = open_wal(disk)
    first = disk.size(HEAD)
    for round in range(3):
        wal.append(vote(round))
    wal.sync()
    frame = len(encode_frame(vote(0)))
    for at in range(first, first + frame):
        clean = disk.files[HEAD].data[at]
        disk.files[HEAD].data[at] = clean ^ 0x5A
        with pytest.raises(WalCorrupted, match=f"wal: record at offset {first} is damaged"):
            open_wal(disk)
        disk.files[HEAD].data[at] = clean
    assert votes_logged(open_wal(disk)) == [0, 1, 2]


def test_damage_in_a_full_file_is_an_error_when_it_is_read() -> None:
    disk = SimulatedDisk()
    wal = open_wal(disk, head_bytes_max=500)
    for round in range(6):
        wal.append(vote(round))
        wal.sync()
    wal.end_height(1)
    assert "wal.000" in disk.names(FOLDER)
    disk.files[FOLDER / "wal.000"].data[-1] ^= 1
    again = open_wal(disk, head_bytes_max=500)
    assert after(again, 1) == []  # newer than the damage
    with pytest.raises(WalCorrupted, match=r"wal\.000"):
        after(again, 0)


def test_a_record_too_large_is_refused() -> None:
    with pytest.raises(EngineError, match="allowed 1048600"):
        open_wal(SimulatedDisk()).append(bytes(PAYLOAD_BYTES_MAX + 1))


# --------------------------------------------------------------------------------------------------- rotation


def test_rotation_keeps_order_and_survives_a_crash_at_each_step() -> None:
    """Failure 3: a stop while the head is put aside loses nothing that was synced."""
    for stop_at in range(60):
        disk = SimulatedDisk()
        wal = open_wal(disk, head_bytes_max=400)
        StopsAfter(disk, stop_at)
        synced = 0
        try:
            for round in range(8):
                wal.append(vote(round))
                wal.sync()
                synced = round + 1
        except OSError:
            pass
        again = open_wal(disk.crashed(), head_bytes_max=400)
        kept = votes_logged(again)
        assert kept == list(range(len(kept)))
        assert len(kept) >= synced, stop_at


def test_oldest_files_go_and_the_head_never() -> None:
    disk = SimulatedDisk()
    wal = open_wal(disk, head_bytes_max=300, group_bytes_max=1500)
    for height in range(1, 40):
        wal.append(vote(height))
        wal.end_height(height)
    names = disk.names(FOLDER)
    assert "wal" in names
    assert "wal.000" not in names
    assert sum(disk.size(FOLDER / name) for name in names) < 1500 + 2 * 300
    assert after(wal, 39) == []
    assert after(wal, 38) is not None
    assert after(wal, 1) is None


def test_a_new_log_starts_with_height_zero_and_an_old_one_goes_on() -> None:
    disk = SimulatedDisk()
    assert after(open_wal(disk), 0) == []
    wal = open_wal(disk)
    wal.append(vote(0))
    later = after(wal, 0)
    assert later is not None
    assert len(later) == 1


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    wal = Wal(OsDisk(), tmp_path / "cs.wal", now_ns=lambda: T0)
    wal.close()
    assert (tmp_path / "cs.wal").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "cs.wal" / "wal").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("restarts", [False, True])
def test_no_flood_rotates_the_running_height_out_of_the_log(restarts: bool) -> None:
    """audit 7: a gigabyte of votes in one height removed its start, and with it our own votes and the lock."""
    disk = SimulatedDisk()
    wal = open_wal(disk, head_bytes_max=300, group_bytes_max=1500)
    for height in range(1, 10):
        wal.append(vote(height))
        wal.end_height(height)
    for round in range(100, 200):
        wal.append(vote(round))
        wal.sync()
        if restarts and round % 10 == 0:
            wal = open_wal(disk.crashed(), head_bytes_max=300, group_bytes_max=1500)
            disk = wal._disk  # type: ignore[assignment]
    kept = after(wal, 9)
    assert kept is not None
    assert [message.msg.msg_info.msg.vote.vote.round for message in kept] == list(range(100, 200))
    for height in range(10, 150):  # and once it is over its files go
        wal.end_height(height)
        wal.append(vote(height))
        wal.sync()
    assert sum(disk.size(FOLDER / name) for name in disk.names(FOLDER)) < 1500 + 4 * 300


def test_nothing_is_written_behind_a_record_that_was_refused(tmp_path: Path) -> None:
    """A full disk takes half of a record. Were more written behind it, once there is room, the log would be damaged."""
    wal = Wal(OsDisk(), tmp_path, now_ns=lambda: T0)
    wal.append(end_height_payload(1, T0))
    wal.sync()
    size = (tmp_path / "wal").stat().st_size
    wal.append(end_height_payload(2, T0))
    with files_end_at(size + 5), pytest.raises(OSError, match="too large"):
        wal.sync()
    wal.append(end_height_payload(3, T0))
    with pytest.raises(OSError, match="failed before"):
        wal.sync()
    wal.close()
    assert (tmp_path / "wal").stat().st_size == size + 5
    again = Wal(OsDisk(), tmp_path, now_ns=lambda: T0)
    assert again.cut_bytes == 5
    assert again.records_after(1) is not None
    again.close()
