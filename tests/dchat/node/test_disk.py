"""A node knows when its own disk lied: every database, log and file of a home, flipped, cut, removed or an older copy.

What comes out is one of three things: the damage is named and the node stops with the code for that; it is mended from
what else is there; or the file can be lost (an address book). Never a wrong answer, and never another's fault.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from consensus.system.clock import InlineWorkers
from consensus.system.errors import EXIT_DISK
from dchat.upkeep.scrub import Scrubber
from storage.errors import StoreCorrupted
from storage.level_files import read_manifest
from tests.support.node.homes import Stopped, make_stopped, start

Damage = Callable[[Path, Path], None]  # of the file, and of its older copy
SIGN_STATE = "priv_validator_state.json"
DATABASES = ("app", "blocks", "state")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return make_stopped(tmp_path_factory.mktemp("network"))


def flip(at: float) -> Damage:
    """at: where, as a share of the file."""

    def damage(path: Path, older: Path) -> None:
        data = bytearray(path.read_bytes())
        if data:  # a database's log is empty when its table was just written
            data[min(len(data) - 1, int(len(data) * at))] ^= 0x10
        path.write_bytes(data)

    return damage


def cut(at: float) -> Damage:
    def damage(path: Path, older: Path) -> None:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * at)])

    return damage


def remove(path: Path, older: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def swap(path: Path, older: Path) -> None:
    remove(path, older)
    shutil.copytree(older, path) if older.is_dir() else shutil.copyfile(older, path)


HOW: dict[str, Damage] = {
    "flip at 0": flip(0.0), "flip at 0.3": flip(0.3), "flip at 0.7": flip(0.7), "flip at the end": flip(1.0),
    "cut at 0.5": cut(0.5), "cut at 0.9": cut(0.9), "empty": cut(0.0), "remove": remove,
}  # fmt: skip


def file_of(root: Path, name: str) -> Path:
    """`app/log` is the database's log, `app/table` its largest table, `app/MANIFEST` the file that CURRENT names."""
    database, _, part = name.partition("/")
    folder = root / "data" / database
    if database not in DATABASES or not part or part == "CURRENT":
        return root / "data" / name if (root / "data" / database).exists() else root / name
    if part == "MANIFEST":
        return read_manifest(folder).path
    suffix = {"log": ".log", "table": ".ldb"}[part]
    return max((path for path in folder.iterdir() if path.suffix == suffix), key=lambda path: path.stat().st_size)


@dataclass(frozen=True)
class Want:
    """code 0: it goes on, with everything there. said: in the last line."""

    code: int
    said: str = ""


MENDED = Want(0)


@pytest.mark.parametrize("part", ["table", "MANIFEST", "CURRENT", "log"])
@pytest.mark.parametrize("database", DATABASES)
async def test_damage_in_a_database_is_named_or_mended(
    database: str, part: str, stopped: Stopped, tmp_path: Path
) -> None:
    """Each file of a LevelDB folder, in each way. A torn end of a log is a stop's, and what it held is made again."""
    for how, damage in HOW.items():
        root = stopped.copy(tmp_path / how.replace(" ", "-"))
        path = file_of(root, f"{database}/{part}")
        damage(path, path)
        ended = await start(root, stopped.recipient)
        where = f"{database}/{part} {how}: {ended}"
        if ended.code:
            assert ended.code == EXIT_DISK, where
            assert str(root / "data" / database) in ended.text or database in ended.text, where
            assert "dchat database verify" in ended.text or "restore a backup" in ended.text, where
        else:
            assert ended.balance == stopped.balances[1], where
            assert part == "log" or not await looks_well(root), where


async def looks_well(root: Path) -> bool:
    """Whether a node that runs says, of what nobody reads, that all is well."""
    told: list[StoreCorrupted] = []
    folders = [root / "data" / name for name in DATABASES]
    is_well = await Scrubber(folders, InlineWorkers(), told.append).look_once(0.0)
    assert is_well != bool(told)
    return is_well


@pytest.mark.parametrize(
    ("name", "damage", "want"),
    [
        pytest.param("app", remove, MENDED, id="no app: executed again from the blocks"),
        pytest.param("app", swap, MENDED, id="an older app: what it lacks is executed again"),
        pytest.param("state", remove, Want(EXIT_DISK, "its results are not stored"), id="no state"),
        pytest.param("state", swap, Want(EXIT_DISK, "its results are not stored"), id="an older state"),
        pytest.param("blocks", remove, Want(EXIT_DISK), id="no blocks"),
        pytest.param("blocks", swap, Want(EXIT_DISK, "blocks are at"), id="older blocks"),
        pytest.param("cs.wal", remove, MENDED, id="no log: what it had of the height is asked for"),
        pytest.param("cs.wal", swap, MENDED, id="an older log"),
        pytest.param("cs.wal/wal", flip(0.3), Want(EXIT_DISK, "cs.wal/wal"), id="a flipped log"),
        pytest.param("cs.wal/wal", cut(0.5), MENDED, id="a cut log"),
        pytest.param(SIGN_STATE, remove, Want(EXIT_DISK, "the sign state is missing"), id="no sign state"),
        pytest.param(SIGN_STATE, swap, Want(EXIT_DISK, "old copy"), id="an older sign state"),
        pytest.param(SIGN_STATE, cut(0.5), Want(EXIT_DISK, SIGN_STATE), id="a cut sign state"),
        pytest.param("config/genesis.json", flip(0.5), Want(2, "genesis.json"), id="a flipped genesis"),
        pytest.param("config/genesis.json", cut(0.5), Want(2, "genesis.json"), id="a cut genesis"),
        pytest.param("config/genesis.json", remove, Want(2, "genesis.json"), id="no genesis"),
        pytest.param("config/priv_validator_key.json", cut(0.5), Want(2, "priv_validator_key.json"), id="a cut key"),
        pytest.param("config/priv_validator_key.json", remove, Want(2, "priv_validator_key.json"), id="no key"),
        pytest.param("config/node_key.json", cut(0.5), Want(2, "node_key.json"), id="a cut node key"),
        pytest.param("config/addrbook.json", flip(0.1), MENDED, id="a flipped address book"),
        pytest.param("config/addrbook.json", cut(0.5), MENDED, id="a cut address book"),
        pytest.param("config/addrbook.json", remove, MENDED, id="no address book"),
        pytest.param("mempool.journal", remove, MENDED, id="no journal"),
    ],
)  # fmt: skip
async def test_damage_in_a_home_is_named_or_mended(
    name: str, damage: Damage, want: Want, stopped: Stopped, tmp_path: Path
) -> None:
    root = stopped.copy(tmp_path / "home")
    damage(file_of(root, name), file_of(stopped.older, name))
    ended = await start(root, stopped.recipient)
    assert ended.code == want.code, ended
    assert want.said in ended.text
    if not ended.code:
        assert ended.balance == stopped.balances[1]


def digits_of(path: Path) -> list[int]:
    """Where a flip in the record of signing leaves a file that can be read."""
    return [at for at, byte in enumerate(path.read_bytes()) if chr(byte).isalnum()]


async def test_no_flip_in_the_record_of_signing_lowers_it(stopped: Stopped, tmp_path: Path) -> None:
    """A digit that became another one: what was signed, and its signature, tell that it was another."""
    chance = random.Random(7)
    path = stopped.home / "data" / "priv_validator_state.json"
    for at in chance.sample(digits_of(path), 12):
        root = stopped.copy(tmp_path / str(at))
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        (root / "data" / path.name).write_bytes(data)
        ended = await start(root, stopped.recipient)
        assert (ended.code, path.name in ended.text) == (EXIT_DISK, True), (at, ended)


async def test_an_older_database_of_all_is_an_older_node(stopped: Stopped, tmp_path: Path) -> None:
    """Its record of signing is the newest: it signs nothing that contradicts it, and waits for others' blocks."""
    root = stopped.copy(tmp_path / "home")
    for name in DATABASES:
        swap(root / "data" / name, stopped.older / "data" / name)
    record = root / "data" / "priv_validator_state.json"
    before = record.read_bytes()
    ended = await start(root, stopped.recipient)
    assert (ended.code, ended.balance) == (0, stopped.balances[0]), ended
    assert record.read_bytes() == before


def test_the_process_ends_with_a_code_of_its_own_and_names_the_file(stopped: Stopped, tmp_path: Path) -> None:
    root = stopped.copy(tmp_path / "home")
    path = file_of(root, "app/table")
    flip(0.3)(path, path)
    ended = subprocess.run(
        [sys.executable, "-m", "dchat", "validator", "--home", str(root)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    last = ended.stderr.splitlines()[-1]
    assert (ended.returncode, str(path) in last, "block at offset" in last) == (EXIT_DISK, True, True), ended.stderr
    assert "Traceback" not in ended.stderr, "the sentence says all that there is"
