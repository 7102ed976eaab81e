"""Backups of a running node and of a stopped one, and bringing them back; and going back some heights."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consensus.documents.files import SignState, format_sign_state, parse_sign_state
from consensus.system.errors import EXIT_DISK
from consensus.system.machine import EXIT_MACHINE
from crypto.hash import sha256
from dchat.cli.database.group import size_text
from dchat.cli.groups.database_group import database
from dchat.cli.main import dchat
from dchat.home.files import PLAN
from dchat.home.home_lock import hold_home
from dchat.upkeep import copies
from dchat.upkeep.archive import read_archive, write_archive
from storage.level_files import tables_of
from storage.leveldb import LevelStore
from tests.support.node.homes import Stopped, home_at, shared_stopped, start
from tests.support.node.machine import files_end_at
from tests.support.node.running import running_node

DATABASES = ("app", "blocks", "state")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return shared_stopped(tmp_path_factory)


def run(home: Path, *words: object, said: str = "", code: int = 0) -> Result:
    """`dchat database ...`; `said` is in what it printed."""
    ended = CliRunner().invoke(dchat, ["database", *map(str, words), "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == code, (words, ended.output, ended.exception)
    assert said in ended.output, (words, ended.output)
    return ended


def record_of(home: Path) -> SignState:
    return parse_sign_state((home / "data" / "priv_validator_state.json").read_bytes())


LOCKS = {
    "plain": ((), ()),
    "compressed": (("--compress",), ()),
    "for a key": (("--compress", "--encrypt", "--key-file", "KEY"), ("--key-file", "KEY")),
    "by a passphrase": (("--encrypt",), ()),
}


@pytest.mark.parametrize("kind", LOCKS)
async def test_a_backup_comes_back_as_it_was(
    kind: str, stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCHAT_BACKUP_PASSPHRASE", "correct horse")
    home, file, key = stopped.copy(tmp_path / "home"), tmp_path / "backup", tmp_path / "key"
    run(home, "backup-key", "--output", key)
    locked, opened = ([str(key) if word == "KEY" else word for word in words] for words in LOCKS[kind])
    run(home, "backup", "--output", file, *locked, said="backed up height")
    run(home, "backup", "--output", file, *locked, code=1, said="never overwritten")
    for name in DATABASES:
        shutil.rmtree(home / "data" / name)
    run(home, "restore", "--input", file, *opened, said="restored height")
    run(home, "verify", said="ok: blocks 1 to")
    ended = await start(home, stopped.recipient)
    assert (ended.code, ended.balance) == (0, stopped.balances[1]), ended
    assert not list((home / "data").glob("rehearsal-*"))


@pytest.mark.parametrize("kind", LOCKS)
def test_no_flipped_byte_and_no_wrong_key_replaces_anything(
    kind: str, stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DCHAT_BACKUP_PASSPHRASE", "correct horse")
    home, file, key, other = stopped.copy(tmp_path / "home"), tmp_path / "backup", tmp_path / "key", tmp_path / "other"
    run(home, "backup-key", "--output", key)
    run(home, "backup-key", "--output", other)
    locked, opened = ([str(key) if word == "KEY" else word for word in words] for words in LOCKS[kind])
    run(home, "backup", "--output", file, *locked)
    before = {path: path.read_bytes() for path in sorted((home / "data").rglob("*")) if path.is_file()}
    data = file.read_bytes()
    damaged = tmp_path / "damaged"
    shares = (0.0, 0.5, 0.999) if kind != "by a passphrase" else (0.5,)  # of which each try takes a second
    for share in shares:
        at = int(len(data) * share)
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        run(home, "restore", "--input", damaged, *opened, code=1, said="dchat: ")
    damaged.write_bytes(data[: len(data) // 2])
    run(home, "restore", "--input", damaged, *opened, code=1, said="dchat: ")
    if opened:
        run(home, "restore", "--input", file, code=1, said="it is encrypted")
        run(home, "restore", "--input", file, "--key-file", other, code=1, said="the key is another's")
    if kind == "by a passphrase":
        monkeypatch.setenv("DCHAT_BACKUP_PASSPHRASE", "wrong")
        run(home, "restore", "--input", file, code=1, said="cannot be decrypted")
    assert {path: path.read_bytes() for path in before} == before


def test_without_a_terminal_nobody_is_asked_for_a_passphrase(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    monkeypatch.delenv("DCHAT_BACKUP_PASSPHRASE", raising=False)
    run(home, "backup", "--output", file, "--encrypt", code=2, said="say it in DCHAT_BACKUP_PASSPHRASE")
    assert not file.exists()
    monkeypatch.setenv("DCHAT_BACKUP_PASSPHRASE", "correct horse")
    run(home, "backup", "--output", file, "--encrypt")
    monkeypatch.delenv("DCHAT_BACKUP_PASSPHRASE")
    run(home, "restore", "--input", file, code=2, said="say it in DCHAT_BACKUP_PASSPHRASE")


def test_what_is_damaged_before_it_is_backed_up_is_not_restored(stopped: Stopped, tmp_path: Path) -> None:
    """An older value in the application's database: every checksum of the backup holds, and the walk finds it."""
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    store = LevelStore(str(home / "data" / "app"))
    key, value = next(iter(store.scan(b"v\x01", b"v\x02")))
    store.write([(key, value + b"x")], sync=True)
    store.close()
    run(home, "verify", code=EXIT_DISK, said=f"key {key.hex()}")
    run(home, "backup", "--output", file)
    run(home, "restore", "--input", file, code=1, said="damaged in")


def test_a_pipe_is_no_backup(stopped: Stopped, tmp_path: Path) -> None:
    """What is read more than once waited for ever on it, and held the home meanwhile."""
    home, pipe = stopped.copy(tmp_path / "home"), tmp_path / "pipe"
    os.mkfifo(pipe)
    run(home, "restore", "--input", pipe, code=2, said="is no file: a backup is read more than once")
    run(home, "restore", "--input", "/dev/zero", code=2, said="is no file")


def test_no_backup_is_made_of_databases_that_are_being_replaced(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of each: no start could go on from it, and the good ones would go in its favour."""
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    plan = home / "data" / PLAN
    plan.write_text("{}")
    run(home, "backup", "--output", file, code=1, said="are being replaced by others")
    plan.unlink()
    usual = copies.copy_database

    def replaced(source: Path, target: Path) -> None:
        """A restore comes in between, whole."""
        usual(source, target)
        if source.name == "app":
            source.rename(source.with_name("before"))
            shutil.copytree(source.with_name("before"), source)

    monkeypatch.setattr(copies, "copy_database", replaced)
    run(home, "backup", "--output", file, code=1, said="were replaced by others meanwhile")
    assert not file.exists()


def test_another_chains_backup_is_refused(stopped: Stopped, tmp_path: Path) -> None:
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    run(home, "backup", "--output", file)
    genesis = home / "config" / "genesis.json"
    genesis.write_text(genesis.read_text().replace('"initial_height": "1"', '"initial_height": "2"'))
    run(home, "restore", "--input", file, code=1, said="of another genesis")


@pytest.mark.parametrize(("there", "want"), [((3, 0, 1), True), ((900, 0, 1), False)])
def test_the_record_of_signing_is_raised_and_never_lowered(
    there: tuple[int, int, int], want: bool, stopped: Stopped, tmp_path: Path
) -> None:
    """Failure 8. And a home without one gets none: it would be something to sign with."""
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    at = record_of(home).position
    run(home, "backup", "--output", file)
    record = home / "data" / "priv_validator_state.json"
    record.write_text(format_sign_state(SignState(*there)))
    run(home, "restore", "--input", file)
    assert record_of(home).position == max(at, there)
    assert (record_of(home).position != there) == want
    record.unlink()
    run(home, "restore", "--input", file)
    assert not record.exists()


@pytest.mark.parametrize("height", [1 << 40, (1 << 63) - 1])
def test_a_backup_does_not_silence_a_key_for_ever(height: int, stopped: Stopped, tmp_path: Path) -> None:
    """Audit 53. A record is never lowered: one at such a height, which whoever made the backup wrote, is the key's end.
    Where the home's own record, or one that was carried to it, is as high, nothing is raised by it."""
    home, file, evil = stopped.copy(tmp_path / "home"), tmp_path / "backup", tmp_path / "evil"
    run(home, "backup", "--output", file)
    magic, facts, rest = file.read_bytes().split(b"\n", 2)
    told = json.dumps({**json.loads(facts), "signed": [height, 0, 3]}).encode()
    body = b"\n".join([magic, told, rest[:-32]])
    evil.write_bytes(body + sha256(body))
    before = {path: path.read_bytes() for path in sorted((home / "data").rglob("*")) if path.is_file()}
    run(home, "restore", "--input", evil, code=1, said=f"signed at height {height}")
    assert {path: path.read_bytes() for path in before} == before
    (home / "data" / "priv_validator_state.json").write_text(format_sign_state(SignState(height, 0, 3)))
    run(home, "restore", "--input", evil, said="restored height")


HOLD = """
import sys
from storage.leveldb import LevelStore
store = LevelStore(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("database", DATABASES)
def test_nothing_is_put_in_the_place_of_databases_that_somebody_has_open(
    database: str, stopped: Stopped, tmp_path: Path
) -> None:
    """Audit 54. A node of another home, say: it wrote on into those that were set aside, and its next start knew of
    none."""
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    run(home, "backup", "--output", file)
    words = [sys.executable, "-c", HOLD, str(home / "data" / database)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        run(home, "restore", "--input", file, code=1, said="another process has it open")
        assert not list((home / "data").glob("replaced-*"))
        holder.communicate()
    run(home, "restore", "--input", file, said="restored height")


@pytest.mark.parametrize("other", ["link", "elsewhere/../big"])
def test_a_homes_databases_are_its_own_by_whatever_name(
    other: str, stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audit 54. By another one, another lock was taken than the node's that runs on them."""
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    run(home, "backup", "--output", file)
    for made in ("big", "elsewhere"):
        (tmp_path / made).mkdir()
    for name in DATABASES:
        (home / "data" / name).rename(tmp_path / "big" / name)
    (tmp_path / "link").symlink_to("big")
    monkeypatch.setenv("DCHAT_DATABASE__PATH", str(tmp_path / "big"))
    words = ("restore", "--input", file, "--db-path", tmp_path / other)
    with hold_home(home_at(home)):
        run(home, *words, code=1, said="runs on this home")
    record = home / "data" / "priv_validator_state.json"
    record.write_text(format_sign_state(SignState(1, 0, 1)))
    run(home, *words, said="raised the sign state")
    assert home_at(home).moved_mark.exists()


async def test_a_running_node_is_backed_up_without_being_asked(tmp_path: Path) -> None:
    """One after the other, while it makes blocks: each comes back whole."""
    async with running_node(tmp_path / "network") as running, running.client() as client:
        home = running.network.home_of(running.network.nodes[0])
        for number in range(3):
            await client.wait_for_height(2 + 3 * number)
            await asyncio.to_thread(run, home, "backup", "--output", tmp_path / f"backup{number}")
        await asyncio.to_thread(run, home, "verify", said="ok: blocks 1 to")
        await asyncio.to_thread(run, home, "stats", said='"index_of_transactions"')
        told = await asyncio.to_thread(run, home, "version", said='"build"')
        assert '"chain_id"' in told.output
    for number in range(3):
        run(home, "restore", "--input", tmp_path / f"backup{number}", said="restored height")
        run(home, "verify", said="ok: blocks 1 to")


@pytest.mark.parametrize("steps", [1, 3])
async def test_blocks_gone_back_over_are_executed_again(steps: int, stopped: Stopped, tmp_path: Path) -> None:
    """Failure 17: to the same state, and the record of signing stays."""
    home = stopped.copy(tmp_path / "home")
    record = record_of(home)
    run(home, "rollback", "--steps", steps, said="rolled back to height")
    run(home, "verify", said="ok: blocks 1 to")
    assert record_of(home) == record
    ended = await start(home, stopped.recipient)
    assert (ended.code, ended.balance) == (0, stopped.balances[1]), ended


def test_going_back_to_where_the_state_is_already_says_that_nothing_was_done(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    run(home, "rollback", "--steps", 3, said="rolled back to height")
    again = run(home, "rollback", "--steps", 1, said="nothing to do: the state is at height").output
    assert "`dchat database rollback --steps 4` goes further" in again
    run(home, "rollback", "--steps", 4, said="rolled back to height")


def test_what_somebody_looks_at_has_sizes_and_words(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, kept = stopped.copy(tmp_path / "home"), tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    assert re.search(
        r"^blocks: [\d.]+ [KM]iB on disk, in \d+ files\n  blocks +\d+ records", run(home, "stats").output, re.M
    )
    made = run(home, "backup", "--output", f"{kept}/").output
    assert re.search(r"wrote ([\d.]+ [KM]iB) of \1 .* to .*\.backup [\d.]+ [KM]iB$", made.strip(), re.S), made
    assert re.search(r"height +\d+ +[\d.]+ [KM]iB  .*\.backup\n1 in ", run(home, "backups", "--at", kept).output)
    run(home, "restore", "--input", kept, code=2, said=f"`dchat database backups --at {kept}` lists what is in it")
    said = run(home, "prune", "--older-than", "0s", "--dry-run").output
    assert re.search(r"would go: \d+ blocks and \d+ states\nstay: blocks \d+ to \d+, the lowest kept for \w+", said), (
        said
    )
    assert re.search(r"on disk: .* before, .* now", run(home, "prune", "--older-than", "0s").output)


@pytest.mark.parametrize(
    ("size", "said"),
    [(0, "0 bytes"), (1_023, "1023 bytes"), (1_024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3,072.0 GiB")],
)
def test_sizes_for_people(size: int, said: str) -> None:
    assert size_text(size) == said


def test_a_backup_brought_to_an_empty_home_says_what_is_missing_there(stopped: Stopped, tmp_path: Path) -> None:
    home, file, new = stopped.copy(tmp_path / "home"), tmp_path / "file", tmp_path / "new"
    run(home, "backup", "--output", file)
    run(
        new,
        "restore",
        "--input",
        file,
        said=f"next: {new} has no genesis yet: `dchat init --genesis FILE --home {new}`",
    )


def test_what_is_no_longer_kept_cannot_be_gone_back_to(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    run(home, "rollback", "--steps", 10_000, code=1, said="dchat: ")
    run(home, "verify", said="ok: blocks 1 to")
    run(home, "migrate", said="nothing to do")


@pytest.mark.parametrize("database", DATABASES)
def test_verify_names_a_damaged_table(database: str, stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    table = tables_of(home / "data" / database)[0]
    data = bytearray(table.read_bytes())
    data[20] ^= 1
    table.write_bytes(data)
    run(home, "verify", code=EXIT_DISK, said=f"wrong: {table}: data block at offset 0")


@pytest.mark.parametrize(
    ("database", "prefix", "said"),
    [
        pytest.param("blocks", b"b", "block", id="a block"),
        pytest.param("blocks", b"m", "header of block", id="a header"),
        pytest.param("blocks", b"c", "commit of block", id="a commit"),
        pytest.param("blocks", b"h", "index of hashes", id="the index of hashes"),
        pytest.param("state", b"r", "results of block", id="results"),
        pytest.param("state", b"t", "index of transaction", id="the index of transactions"),
        pytest.param("app", b"p", "page", id="a page of a tree"),
        pytest.param("app", b"r", "version", id="roots"),
        pytest.param("app", b"v", "its value", id="a value"),
    ],
)
def test_verify_names_a_record_that_is_not_the_chains(
    database: str, prefix: bytes, said: str, stopped: Stopped, tmp_path: Path
) -> None:
    """The checksums hold: it was written so."""
    home = stopped.copy(tmp_path / "home")
    store = LevelStore(str(home / "data" / database))
    pairs = [pair for pair in store.scan(prefix, bytes([prefix[0] + 1])) if len(pair[0]) > 1]
    (key, _), (_, other) = pairs[-2], pairs[0]
    if prefix in {b"h", b"t"}:
        other = bytes(len(other))
    store.write([(key, other)], sync=True)
    store.close()
    ended = run(home, "verify", "--db-path", home / "data", code=EXIT_DISK)
    assert "wrong: " in ended.output
    assert said in ended.output


@pytest.mark.parametrize("words", [(), ("--compress", "--encrypt")], ids=["plain", "encrypted"])
def test_a_backup_that_finds_no_room_says_so_and_leaves_nothing(
    words: tuple[str, ...], stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither at its target nor beside the databases, which it would fill further."""
    monkeypatch.setenv("DCHAT_BACKUP_PASSPHRASE", "correct horse")
    home, target = stopped.copy(tmp_path / "home"), tmp_path / "target"
    target.mkdir()
    before = {"backup.lock", *(path.name for path in (home / "data").iterdir())}
    for limit in (100, 10_000):  # of a copy, of the backup
        with files_end_at(limit):
            run(home, "backup", "--output", target / "backup", *words, code=EXIT_MACHINE, said="may not grow further")
        assert list(target.iterdir()) == []
        assert {path.name for path in (home / "data").iterdir()} <= before
    run(home, "backup", "--output", target / "backup", *words, said="backed up height")


NEEDS_DATABASES: dict[str, tuple[str, ...]] = {
    "version": (), "verify": (), "stats": (), "migrate": (), "rollback": (), "reindex": (),
    "backup": ("--output", "made"), "prune": ("--older-than", "1d"), "export": ("--output", "made", "--chain-id", "x"),
    "sql": ("--connection", "postgresql://nobody@127.0.0.1:1/none"),
}  # fmt: skip


def test_every_command_is_known_to_need_databases_or_not() -> None:
    assert NEEDS_DATABASES.keys() == database.commands.keys() - {"backups", "backup-key", "restore", "import"}


@pytest.mark.parametrize("command", NEEDS_DATABASES)
def test_a_home_without_databases_has_one_answer(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    assert CliRunner().invoke(dchat, ["--home", str(home), "init"]).exit_code == 0
    before = sorted(tmp_path.rglob("*"))
    words = (command, *NEEDS_DATABASES[command])
    run(home, *words, code=2, said="there are no databases: a node makes them at its first start")
    run(home, *words, "--db-path", tmp_path / "none", code=2, said="there are no databases")
    (tmp_path / "plain").touch()
    run(home, *words, "--db-path", tmp_path / "plain" / "below", code=2, said="there are no databases")
    (tmp_path / "plain").unlink()
    made = set(tmp_path.rglob("*")) - set(before)
    assert made <= {home / "audit.log"}, "that it was asked is recorded, where it would change something"
    assert set(before) <= set(tmp_path.rglob("*"))
    (home / "data" / "blocks").mkdir()
    run(home, *words, code=EXIT_DISK, said="is missing beside the others")


def test_a_place_that_cannot_be_is_said_in_a_sentence(stopped: Stopped, tmp_path: Path) -> None:
    home, plain, file = stopped.copy(tmp_path / "home"), tmp_path / "plain", tmp_path / "backup"
    plain.write_text("x")
    run(home, "backup", "--output", file, said="backed up height")
    genesis = home / "config" / "genesis.json"
    below = plain / "below"
    for words in (
        ("restore", "--input", file, "--db-path", below),
        ("import", "--input", genesis, "--db-path", below),
        ("export", "--chain-id", "x", "--output", below),
    ):
        assert "Errno" not in run(home, *words, code=2, said="Not a directory: name another place").output
    run(home, "backup", "--output", "", code=2, said="--output is empty: name a file, a folder (DIR/) or s3://")
    run(home, "restore", "--input", "", code=2, said="--input is empty")


@pytest.mark.parametrize("data", [b"x", b"d", b"", b"x" * 9_000, b"{}"])
def test_what_is_no_backup_is_not_called_a_cut_one(data: bytes, stopped: Stopped, tmp_path: Path) -> None:
    home, file = stopped.copy(tmp_path / "home"), tmp_path / "backup"
    file.write_bytes(data)
    assert "cut" not in run(home, "restore", "--input", file, code=1, said="it is no backup of dchat").output


def test_who_names_a_key_is_told_that_a_backup_is_not_encrypted(stopped: Stopped, tmp_path: Path) -> None:
    home, file, key = stopped.copy(tmp_path / "home"), tmp_path / "backup", tmp_path / "key"
    run(home, "backup-key", "--output", key)
    for number, more in enumerate(((), ("--compress",))):
        one = file.with_suffix(f".{number}")
        run(home, "backup", "--output", one, *more)
        words = ("restore", "--input", one, "--key-file", key)
        run(home, *words, code=1, said="it is not encrypted, though a key is named for it")
        run(home, *words, "--unencrypted", said="restored height")
    run(home, "backup", "--output", file, "--encrypt", "--key-file", key)
    run(home, "restore", "--input", file, "--key-file", key, "--unencrypted", said="restored height")


def test_a_table_that_is_made_to_end_its_reader_ends_no_restore(stopped: Stopped, tmp_path: Path) -> None:
    """Its index says to have 2^62 bytes, for which LevelDB asks the system, and is ended. All hashes hold."""
    home, file, made = stopped.copy(tmp_path / "home"), tmp_path / "backup", tmp_path / "made"
    run(home, "version")
    LevelStore(str(home / "data" / "state")).close()  # its log becomes a table
    run(home, "backup", "--output", file)
    with file.open("rb") as source:
        facts = read_archive(source, made, bytes_max=1 << 30)
    table = tables_of(made / "state")[0]
    data = table.read_bytes()
    handles = b"\0\0" + b"\0" + b"\x80" * 8 + b"\x40"  # of the meta index, of the index: offset, size in 7 bits each
    table.write_bytes(data[:-48] + handles.ljust(40, b"\0") + data[-8:])
    with (tmp_path / "crafted").open("wb") as out:
        write_archive(out, facts, made, compress=True)
    before = sorted((home / "data" / "state").iterdir())
    run(home, "restore", "--input", tmp_path / "crafted", code=1, said="ends the process that reads it (by signal 6)")
    assert sorted((home / "data" / "state").iterdir()) == before
    assert not [path for path in (home / "data").iterdir() if path.name.startswith(("replaced-", "rehearsal-"))]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config/genesis.json", '"genesis_time": "20', '"genesis_time": "19'),
        ("config/node_key.json", '"value":"', '"value":"A'),
        ("config/priv_validator_key.json", "tendermint/PrivKey", "tendermint/PrivKez"),
        ("data/priv_validator_state.json", '"height"', '"heighT"'),
    ],
)
def test_verify_names_a_file_of_the_home_that_a_start_would_refuse(
    file: str, old: str, new: str, stopped: Stopped, tmp_path: Path
) -> None:
    home = stopped.copy(tmp_path / "home")
    text = (home / file).read_text()
    assert old in text, text[:300]
    (home / file).write_text(text.replace(old, new, 1))
    assert f"wrong: {home / file}: " in run(home, "verify", code=EXIT_DISK, said="1 fault").output
