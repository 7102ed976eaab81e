"""What a crafted backup says of itself is bounded before it is followed: lengths, numbers of files, what it unpacks to,
the header and the work of its encryption."""

from __future__ import annotations

import io
import json
import tracemalloc
import zlib
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pyrage
import pytest

from dchat.upkeep import archive
from dchat.upkeep.archive import CHUNK, MAGIC, PACKED, read_archive, unpack, write_archive
from dchat.upkeep.errors import BadBackup, UpkeepError
from dchat.upkeep.locks import (
    AGE,
    LOCKED,
    SCRYPT_LOG,
    Lock,
    check_recipient,
    decrypt,
    decrypt_small,
    encrypt,
    encrypt_small,
    make_key_file,
)
from tests.support.node.backups import FACTS, Nowhere, a_file, crafted

MIB = 1 << 20
ROOM = 64 * MIB


def refused(source: io.BytesIO, why: str, *, room: int = ROOM) -> None:
    with pytest.raises(BadBackup, match=why):
        unpack(source, Nowhere(), bytes_max=room)


def bomb(pieces: Iterable[bytes], level: int = 9) -> io.BytesIO:
    packing = zlib.compressobj(level)
    return io.BytesIO(PACKED + b"".join(packing.compress(piece) for piece in pieces) + packing.flush())


@pytest.mark.parametrize(
    "where", ["before its first line", "as its facts", "in a file", "in a file that it names short"]
)
def test_what_inflates_to_a_gibibyte_takes_a_few_mebibytes_of_memory(where: str) -> None:
    facts = json.dumps(asdict(FACTS)).encode() + b"\n"
    head = {
        "before its first line": b"",
        "as its facts": MAGIC,
        "in a file": MAGIC + facts + b"app/000005.ldb 1073741824\n",
        "in a file that it names short": MAGIC + facts + b"app/000005.ldb 10\n",
    }[where]
    source = bomb([head, *(bytes(16 * MIB) for _ in range(64))], level=1)
    assert source.getbuffer().nbytes < 8 * MIB
    tracemalloc.start()
    try:
        with pytest.raises(BadBackup):
            unpack(source, Nowhere(), bytes_max=ROOM)
        _, highest = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert highest < 8 * CHUNK, highest


def test_no_more_is_unpacked_than_there_is_room_for_or_than_it_says() -> None:
    content = bytes(3 * MIB)
    refused(crafted(a_file("app/1.ldb", content)), "unpacks to more|too large", room=2 * MIB)
    refused(crafted(a_file("app/1.ldb", content), facts={**asdict(FACTS), "bytes": MIB}), "too large")
    refused(crafted(facts={**asdict(FACTS), "bytes": 10 * ROOM}), "there is room for")


def test_empty_files_cost_room_and_are_not_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [a_file(f"app/{number}.ldb", b"") for number in range(300)]
    refused(crafted(*many, b"end\n"), "unpacks to more", room=MIB)
    monkeypatch.setattr(archive, "FILES_MAX", 200)
    refused(crafted(*many, b"end\n"), "one too many")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        pytest.param("app/../x 1", "names no file", id="another folder"),
        pytest.param("/etc/passwd 1", "names no file", id="an absolute one"),
        pytest.param("keys/x 1", "names no file", id="no database"),
        pytest.param("app/.x 1", "names no file", id="a hidden one"),
        pytest.param(f"app/{'x' * 64} 1", "names no file", id="a long name"),
        pytest.param("app/x.ldb -1", "names no file", id="a size below 0"),
        pytest.param("app/x.ldb " + "9" * 3_000, "names no file", id="a size that takes long to read"),
        pytest.param("app/x.ldb 9999999999999", "names no file", id="a size of terabytes"),
        pytest.param("app/x.ldb ٣", "no text", id="digits of another script"),
        pytest.param("x" * 5_000, "no end", id="a line without end"),
    ],
)
def test_a_line_that_names_no_file_is_refused(line: str, why: str) -> None:
    refused(crafted(line.encode() + b"\n"), why)


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(b"[" * 4_000, id="nested"),
        pytest.param(b"[]", id="no table"),
        pytest.param(b"{}", id="nothing"),
        pytest.param({**asdict(FACTS), "signed": [1e999, 0, 0]}, id="an infinite height"),
        pytest.param({**asdict(FACTS), "signed": [7, 1 << 31, 2]}, id="a round that no record of signing has"),
        pytest.param({**asdict(FACTS), "signed": [7, 0, 4]}, id="a step that no record of signing has"),
        pytest.param({**asdict(FACTS), "height": "7"}, id="a height that is a text"),
        pytest.param({**asdict(FACTS), "height": -1}, id="a height below 0"),
        pytest.param({**asdict(FACTS), "bytes": 1 << 63}, id="bytes of no disk"),
        pytest.param({**asdict(FACTS), "chain_id": "\x1b[2J"}, id="what would write on a terminal"),
        pytest.param({**asdict(FACTS), "build": "b" * 200}, id="a long text"),
        pytest.param({**asdict(FACTS), "genesis_hash": "zz"}, id="a hash that is none"),
    ],
)
def test_facts_that_are_none_are_refused(facts: object) -> None:
    refused(crafted(b"end\n", facts=facts), "facts cannot be read")


def test_a_file_twice_and_bytes_after_the_end_are_refused() -> None:
    twice = a_file("app/1.ldb", b"a")
    refused(crafted(twice, twice, b"end\n"), "in it twice")
    plain = crafted(b"end\n", packed=False).getvalue()
    refused(io.BytesIO(PACKED + zlib.compress(plain + b"x")), "follows its end")


@pytest.mark.parametrize("compress", [True, False])
def test_what_is_written_is_read_and_no_cut_or_flipped_byte_of_it(compress: bool, tmp_path: Path) -> None:
    for name in ("app", "state", "blocks"):
        (tmp_path / "from" / name).mkdir(parents=True)
        (tmp_path / "from" / name / "000003.ldb").write_bytes(name.encode() * 100)
    out = io.BytesIO()
    write_archive(out, FACTS, tmp_path / "from", compress=compress)
    whole = out.getvalue()
    facts = read_archive(io.BytesIO(whole), tmp_path / "to", bytes_max=ROOM)
    assert facts.bytes == sum(len(name) * 100 for name in ("app", "state", "blocks"))
    assert (tmp_path / "to" / "state" / "000003.ldb").read_bytes() == b"state" * 100
    for at in range(0, len(whole), 7):
        with pytest.raises(BadBackup):
            unpack(io.BytesIO(whole[:at]), Nowhere(), bytes_max=ROOM)
        flipped = whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :]
        with pytest.raises(BadBackup):
            unpack(io.BytesIO(flipped), Nowhere(), bytes_max=ROOM)
    refused(io.BytesIO(whole + b"x"), "follows its end")


# ------------------------------------------------------------------------------------------------ encryption


def _opened(data: bytes, tmp_path: Path, lock: Lock) -> str:
    file = tmp_path / "crafted"
    file.write_bytes(data)
    with pytest.raises(BadBackup) as refusal:
        decrypt(file, tmp_path / "plain", lock)
    (tmp_path / "plain").unlink(missing_ok=True)
    return str(refusal.value)


def test_an_encrypted_file_costs_its_reader_no_more_than_it_is_allowed(tmp_path: Path) -> None:
    """A header of many recipients took age minutes, a passphrase's work of 2^22 twenty seconds and 4 GiB."""
    key = Lock(tmp_path / "key")
    make_key_file(tmp_path / "key")
    stanzas = (b"-> a\n" + b"A" * 64 + b"\n") * 100_000
    assert "header does not end" in _opened(AGE + stanzas + b"--- x\n", tmp_path, key)
    (tmp_path / "in").write_bytes(b"content")
    encrypt(tmp_path / "in", tmp_path / "locked", Lock(passphrase="word"))
    locked = (tmp_path / "locked").read_bytes()
    start = locked.index(b"-> scrypt ")
    line = locked[start : locked.index(b"\n", start)]
    for steps in (b"22", b"63", b"999999"):
        dearer = locked.replace(line, line.rpartition(b" ")[0] + b" " + steps)
        size = int.from_bytes(dearer[len(LOCKED) : len(LOCKED) + 4], "big") + len(dearer) - len(locked)
        dearer = LOCKED + size.to_bytes(4, "big") + dearer[len(LOCKED) + 4 :]
        assert "steps; allowed" in _opened(dearer, tmp_path, Lock(passphrase="word"))
    long = LOCKED + (1 << 31).to_bytes(4, "big") + locked[len(LOCKED) + 4 :]
    assert "its locked key has 2147483648 bytes" in _opened(long, tmp_path, Lock(passphrase="word"))


def test_a_cut_or_a_flipped_bit_of_an_encrypted_one_is_said(tmp_path: Path) -> None:
    """Before: `decryption error`, of nothing that was named."""
    key = Lock(tmp_path / "key")
    make_key_file(tmp_path / "key")
    (tmp_path / "in").write_bytes(bytes(200_000))
    encrypt(tmp_path / "in", tmp_path / "locked", key)
    whole = (tmp_path / "locked").read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], whole[:100_000] + b"\0" + whole[100_001:]):
        assert "its seal does not hold" in _opened(damaged, tmp_path, key)


def test_a_passphrase_that_opens_no_key_is_said(tmp_path: Path) -> None:
    inner = encrypt_small(b"\xff no key", "word", log=10)
    data = LOCKED + len(inner).to_bytes(4, "big") + inner
    assert "is no key" in _opened(data, tmp_path, Lock(passphrase="word"))


def test_what_a_passphrase_opens_is_no_matter_of_how_busy_the_machine_is(tmp_path: Path) -> None:
    """Audit 55. pyrage chose the work by what it measured, and refused what another moment or a faster machine had
    chosen: of six that it wrote on a busy machine it read four, as if the word were wrong."""
    (tmp_path / "in").write_bytes(b"content")
    encrypt(tmp_path / "in", tmp_path / "locked", Lock(passphrase="wörd"))
    head = (tmp_path / "locked").read_bytes().split(b"\n", 3)
    assert head[2].startswith(b"-> scrypt ")
    assert head[2].endswith(b" %d" % SCRYPT_LOG)
    assert decrypt(tmp_path / "locked", tmp_path / "plain", Lock(passphrase="wörd"))
    assert (tmp_path / "plain").read_bytes() == b"content"


@pytest.mark.parametrize("size", [0, 74, 500])
def test_the_small_file_is_one_of_age(size: int) -> None:
    data = bytes(range(256)) * 2
    small = encrypt_small(data[:size], "wörd", log=10)
    assert pyrage.passphrase.decrypt(small, "wörd") == decrypt_small(small, "wörd") == data[:size]
    for at in range(0, len(small), 7):
        with pytest.raises(BadBackup, match="damaged"):
            decrypt_small(small[:at] + bytes([small[at] ^ 1]) + small[at + 1 :], "wörd")
        with pytest.raises(BadBackup, match="damaged"):
            decrypt_small(small[:at], "wörd")
    with pytest.raises(BadBackup, match="the passphrase is another"):
        decrypt_small(small, "word")


def test_no_more_of_a_key_file_is_read_than_one_may_have(tmp_path: Path) -> None:
    with pytest.raises(UpkeepError, match="no key file of age"):
        check_recipient(Path("/dev/zero"))


def test_what_is_written_is_for_the_owner_alone(tmp_path: Path) -> None:
    make_key_file(tmp_path / "key")
    (tmp_path / "in").write_bytes(b"content")
    encrypt(tmp_path / "in", tmp_path / "out", Lock(tmp_path / "key"))
    decrypt(tmp_path / "out", tmp_path / "plain", Lock(tmp_path / "key"))
    assert (tmp_path / "plain").read_bytes() == b"content"
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("key", "out", "plain")} == {0o600}
