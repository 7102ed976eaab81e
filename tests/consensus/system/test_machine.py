"""What the machine refuses is told by its number, wherever it stands in an error, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from consensus.system.disk import OsDisk
from consensus.system.errors import (
    EXIT_CONSENSUS_FAILURE,
    ConsensusFailure,
    InvalidResponse,
    StoresDisagree,
    exit_code_of,
)
from consensus.system.machine import EXIT_DISK, EXIT_MACHINE, REFUSALS, MachineRefusal, in_units, last_words
from storage.errors import StoreFailed, StoreUnavailable
from tests.support.node.machine import files_end_at


def of(number: int, path: str = "/data/wal") -> OSError:
    return OSError(number, os.strerror(number), path)


def caused(cause: Exception) -> Exception:
    try:
        raise ConsensusFailure("it could not be saved") from cause
    except ConsensusFailure as error:
        return error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        pytest.param(of(errno.ENOSPC), EXIT_MACHINE, "the disk is full (/data/wal; ", id="full"),
        pytest.param(of(errno.EDQUOT), EXIT_MACHINE, "(quota) is used up (/data/wal; ", id="quota"),
        pytest.param(of(errno.EFBIG), EXIT_MACHINE, "may not grow further", id="ulimit -f"),
        pytest.param(of(errno.EROFS), EXIT_MACHINE, "the file system is read-only (/data/wal): ", id="read-only"),
        pytest.param(of(errno.EACCES), EXIT_MACHINE, "may not open or write it (/data/wal): ", id="owner"),
        pytest.param(of(errno.EMFILE), EXIT_MACHINE, "too few file handles (/data/wal; it may have ", id="handles"),
        pytest.param(of(errno.EIO), EXIT_DISK, "the disk reports an error (/data/wal): ", id="input/output"),
        pytest.param(caused(of(errno.ENOSPC)), EXIT_MACHINE, "the disk is full (/data/wal; ", id="a cause"),
        pytest.param(
            StoreFailed("/data/app", "write", "", errno=errno.ENOSPC, filename="/data/app/5.log"),
            EXIT_MACHINE, "the disk is full (/data/app/5.log; ", id="of a database",
        ),
        pytest.param(
            StoreUnavailable("/data/app", "", errno=errno.EROFS, filename="/data/app/LOCK"),
            EXIT_MACHINE, "is read-only (/data/app/LOCK)", id="of a database that does not open",
        ),
        pytest.param(StoreFailed("/data/app", "get", "it is late"), EXIT_CONSENSUS_FAILURE, "it is late", id="other"),
        pytest.param(PermissionError(errno.EACCES, "no"), EXIT_CONSENSUS_FAILURE, "PermissionError", id="a network's"),
        pytest.param(ConnectionResetError(errno.ECONNRESET, "gone"), EXIT_CONSENSUS_FAILURE, "gone", id="a peer's"),
        pytest.param(StoresDisagree("they differ"), EXIT_DISK, "they differ", id="the disk lied"),
    ],
)  # fmt: skip
def test_the_last_line_says_what_was_refused_and_the_code_whose_it_is(error: Exception, code: int, said: str) -> None:
    assert exit_code_of(error) == code
    assert said in last_words(error)
    assert ("start the node again" in last_words(error)) == (code == EXIT_MACHINE)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        pytest.param(StoresDisagree("they differ"), "they differ. ", id="ours is a sentence"),
        pytest.param(KeyError("a"), "KeyError: 'a'", id="Python's own is none"),
        pytest.param(InvalidResponse(), "InvalidResponse: ", id="one that says nothing"),
    ],
)
def test_a_last_line_begins_with_no_name_of_a_class_where_there_is_a_sentence(error: Exception, line: str) -> None:
    assert last_words(error).startswith(line)


def test_every_refusal_has_its_words() -> None:
    for number in REFUSALS:
        assert ": " in str(MachineRefusal(number, "/data"))


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert MachineRefusal.of(first) is None


def test_bytes_for_people() -> None:
    assert [in_units(size) for size in (0, 831_488, 268_435_456, 3 << 30)] == ["0 KB", "812 KB", "256.0 MB", "3.0 GB"]


def test_an_error_of_a_descriptor_names_its_file(tmp_path: Path) -> None:
    disk, path = OsDisk(), tmp_path / "wal"
    file = disk.open_append(path)
    with files_end_at(100), pytest.raises(OSError, match="too large") as caught:
        file.write(bytes(200))
    file.close()
    file.close()  # once more closes nobody else's
    assert (caught.value.filename, disk.size(path)) == (str(path), 100)


def test_what_could_not_replace_a_file_leaves_nothing_and_the_file(tmp_path: Path) -> None:
    disk, path = OsDisk(), tmp_path / "state"
    disk.replace(path, b"old")
    with files_end_at(100), pytest.raises(OSError, match="too large"):
        disk.replace(path, bytes(200))
    assert (disk.read(path), disk.names(tmp_path)) == (b"old", ["state"])
