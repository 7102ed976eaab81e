"""`dchat database export` and `import`: homes that begin with another chain's state, and documents that none can."""

from __future__ import annotations

import asyncio
import base64
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chain.state import layout
from chain.state.snapshot import CHUNK_BYTES_MAX
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from crypto.hash import sha256
from dchat.cli.main import dchat
from storage.leveldb import LevelStore
from tests.support.node.homes import Stopped, make_stopped, start
from tests.support.node.running import running_node

Json = dict[str, Any]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return make_stopped(tmp_path_factory.mktemp("network"))


@pytest.fixture(scope="module")
def document(stopped: Stopped, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("document") / "genesis.json"
    run(stopped.home, "export", "--chain-id", "second", "--output", file)
    return file


def run(home: Path, *words: object, code: int = 0, said: str = "") -> Result:
    ended = CliRunner().invoke(dchat, ["database", *map(str, words), "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == code, (words, ended.output, ended.exception)
    assert said in ended.output, (words, ended.output)
    return ended


def told(ended: Result) -> Json:
    answer: Json = json.loads(ended.stdout)
    return answer


def empty_home(stopped: Stopped, target: Path) -> Path:
    """With the keys of a validator and its record of signatures, and without a chain."""
    home = stopped.copy(target)
    for name in ("blocks", "state", "app", "cs.wal", "snapshots", "mempool.journal"):
        path = home / "data" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    (home / "config" / "genesis.json").unlink()
    return home


def head_of(home: Path) -> tuple[int, bytes, bytes]:
    """The first block that is there, its header's app hash and validators."""
    store = LevelStore(str(home / "data" / "blocks"))
    try:
        blocks = BlockStore(store)
        meta = blocks.load_meta(blocks.base)
        assert meta is not None
        return blocks.base, meta.header.app_hash, meta.header.validators_hash
    finally:
        store.close()


def test_an_imported_home_goes_on_from_the_state(stopped: Stopped, document: Path, tmp_path: Path) -> None:
    """Also the same chain, begun without an import from the whole document: it has the same first header."""
    homes = [empty_home(stopped, tmp_path / name) for name in ("imported", "direct")]
    answer = told(run(homes[0], "import", "--input", document))
    assert (answer["ok"], answer["kept"], answer["chain_id"]) == (True, True, "second")
    assert (homes[0] / "config" / "genesis.json").stat().st_size < document.stat().st_size
    shutil.copy(document, homes[1] / "config" / "genesis.json")
    for home in homes:
        ended = asyncio.run(start(home, stopped.recipient))
        assert (ended.code, ended.balance) == (0, stopped.balances[1]), ended
        run(home, "verify", said=f"ok: blocks {answer['initial_height']} to ")
    heads = [head_of(home) for home in homes]
    assert heads[0] == heads[1]
    assert heads[0][:2] == (answer["initial_height"], bytes.fromhex(answer["app_hash"]))
    shutil.copy(document, homes[0] / "config" / "genesis.json")  # the whole one is the same one
    assert asyncio.run(start(homes[0], stopped.recipient)).code == 0


def test_who_exports_does_not_show(stopped: Stopped, document: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    answer = told(run(stopped.home, "export", "--chain-id", "second", "--output", again))
    assert again.read_bytes() == document.read_bytes()
    assert answer["sha256"] == sha256(again.read_bytes()).hex()
    run(stopped.home, "export", "--chain-id", "second", "--output", again, code=1, said="is never overwritten")
    assert not list((stopped.home / "data").glob("rehearsal-*"))


def test_a_disk_without_links_takes_an_export(
    stopped: Stopped, document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As exFAT of a stick: it was refused when all of it was written."""

    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source))

    monkeypatch.setattr(os, "link", link)
    folder = tmp_path / "stick"
    folder.mkdir()
    for code in (0, 1):
        run(stopped.home, "export", "--chain-id", "second", "--output", folder / "genesis.json", code=code)
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"genesis.json": document.read_bytes()}


async def test_a_running_node_is_exported_at_an_older_height(tmp_path: Path) -> None:
    """What is said of the state is what the next header has."""
    async with running_node(tmp_path / "network") as running, running.client() as client:
        await client.wait_for_height(6)
        home, file = running.network.home_of(running.network.nodes[0]), tmp_path / "genesis.json"
        line = ("export", "--chain-id", "second", "--output", file, "--height", 4)
        answer = told(await asyncio.to_thread(run, home, *line))
        meta = running.node.views.answers.blocks.load_meta(5)
        assert meta is not None
        assert answer["of"]["height"] == 4
        assert answer["of"]["app_hash"] == meta.header.app_hash.hex()
        assert answer["initial_height"] >= 8
        line = ("export", "--chain-id", "second", "--output", tmp_path / "none", "--height", 10**6)
        await asyncio.to_thread(
            run, home, *line, code=1, said="the state of height 1000000 is not here; allowed: 1 to "
        )
    target = tmp_path / "target"
    target.mkdir()
    assert told(run(target, "import", "--input", file))["of"]["height"] == 4


def test_heights_that_would_sign_twice_or_go_back_are_refused(stopped: Stopped, tmp_path: Path) -> None:
    file = tmp_path / "genesis.json"
    store = LevelStore(str(stopped.home / "data" / "state"))
    state = StateStore(store).load()
    store.close()
    assert state is not None
    last, chain_id = state.last_block_height, state.chain_id
    line = ("export", "--output", file, "--initial-height")
    run(stopped.home, *line, last, "--chain-id", "second", code=1, said=f"allowed: {last + 1} and more")
    run(stopped.home, *line, last + 1, "--chain-id", chain_id, code=1, said="its validators may have signed")
    assert told(run(stopped.home, *line, last + 2, "--chain-id", chain_id))["initial_height"] == last + 2


def test_a_home_that_has_a_chain_keeps_it(stopped: Stopped, document: Path, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    run(home, "import", "--input", document, code=1, said="is of another genesis, which is never overwritten")
    (home / "config" / "genesis.json").unlink()
    before = {path: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}
    run(home, "import", "--input", document, code=1, said="has databases already (app, state, blocks)")
    assert told(run(home, "import", "--input", document, "--dry-run"))["kept"] is False
    assert {path: path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()} == before


def test_a_genesis_that_is_no_export_is_imported_too(stopped: Stopped, tmp_path: Path) -> None:
    home = empty_home(stopped, tmp_path / "home")
    answer = told(run(home, "import", "--input", stopped.home / "config" / "genesis.json"))
    assert (answer["of"], answer["initial_height"]) == (None, 1)


def test_without_its_state_no_start_pretends(stopped: Stopped, document: Path, tmp_path: Path) -> None:
    """The document without chunks: a home of another imported it, and its genesis alone was copied here."""
    home, other = empty_home(stopped, tmp_path / "home"), empty_home(stopped, tmp_path / "other")
    run(other, "import", "--input", document)
    shutil.copy(other / "config" / "genesis.json", home / "config" / "genesis.json")
    ended = asyncio.run(start(home, stopped.recipient))
    assert ended.code == 2
    assert "bring it in with `dchat database import --input FILE`" in ended.text


# ------------------------------------------------------------------------------------------------ hostile documents


def compact(document: Json) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def indented(document: Json) -> bytes:
    return json.dumps(document, indent=4).encode()


def state_of(document: Json) -> Json:
    state: Json = document["app_state"]["exported"]
    return state


def flip(document: Json) -> None:
    chunk = bytearray(base64.b64decode(state_of(document)["chunks"][0]))
    chunk[len(chunk) // 2] ^= 1
    state_of(document)["chunks"][0] = base64.b64encode(chunk).decode()


def rehashed(change: Callable[[bytes], bytes]) -> Callable[[Json], None]:
    """A chunk of one's own, with its hash."""

    def apply(document: Json) -> None:
        chunk = change(base64.b64decode(state_of(document)["chunks"][0]))
        state_of(document)["chunks"] = [base64.b64encode(chunk).decode()]
        state_of(document)["chunk_hashes"] = [sha256(chunk).hex()]

    return apply


def other_side(chunk: bytes) -> bytes:
    """The first side record has another content, which no root covers."""
    assert chunk[:1] == layout.SIDE
    end = 8 + int.from_bytes(chunk[2:4], "big")
    length = int.from_bytes(chunk[4:8], "big")
    return chunk[:end] + bytes([chunk[end] ^ 1]) + chunk[end + 1 : end + length] + chunk[end + length :]


def put(path: str, value: object) -> Callable[[Json], None]:
    def apply(document: Json) -> None:
        *above, name = path.split("/")
        place: Any = document
        for step in above:
            place = place[int(step)] if isinstance(place, list) else place[step]
        place[int(name) if isinstance(place, list) else name] = value

    return apply


EXPORTED = "app_state/exported"
HOSTILE: dict[str, tuple[Callable[[Json], None], str]] = {
    "a flipped byte": (flip, "the hash that stands for"),
    "another value, with its hash": (rehashed(lambda chunk: chunk[:-1] + bytes([chunk[-1] ^ 1])), "has the root "),
    "another side record, with its hash": (rehashed(other_side), "does not hold that "),
    "a cut chunk": (rehashed(lambda chunk: chunk[:-3]), "an entry that no store holds"),
    "no order": (rehashed(lambda chunk: chunk + chunk), "is not in the order of its keys"),
    "another root": (put(f"{EXPORTED}/roots/chat", "00" * 32), "has the root "),
    "a root too few": (put(f"{EXPORTED}/roots", {"chat": "00" * 32}), "exported.roots: allowed: an object of"),
    "no chunks": (put(f"{EXPORTED}/chunks", []), "app_state.exported.chunks: allowed: a list of 1"),
    "no hashes": (put(f"{EXPORTED}/chunk_hashes", []), "app_state.exported.chunk_hashes: allowed"),
    "too many hashes": (put(f"{EXPORTED}/chunk_hashes", ["00" * 32] * 100_001), "allowed: a list of 1 to"),
    "a hash that is none": (put(f"{EXPORTED}/chunk_hashes/0", "zz" * 32), "allowed: 64 digits of lower-case hex"),
    "a chunk that is no text": (put(f"{EXPORTED}/chunks/0", 7), "app_state.exported.chunks[0]: allowed: base64"),
    "a chunk that is no base64": (put(f"{EXPORTED}/chunks/0", "?"), "app_state.exported.chunks[0] is no base64"),
    "a chunk without end": (
        rehashed(lambda chunk: bytes(CHUNK_BYTES_MAX + 1)), f"bytes; allowed: 1 to {CHUNK_BYTES_MAX} bytes"
    ),
    "another format": (put(f"{EXPORTED}/format", "2"), "app_state.exported.format: this build reads 1 alone"),
    "a field more": (put(f"{EXPORTED}/extra", "1"), "app_state.exported.extra: unknown or missing; allowed: "),
    "a height that is none": (put(f"{EXPORTED}/height", "-1"), "app_state.exported.height: allowed: digits"),
    "a height above the first": (put(f"{EXPORTED}/height", "999"), "allowed: 1000 and more"),
    "another chain's": (put(f"{EXPORTED}/chain_id", "third"), "and the state is of another chain"),
    "another power": (put("validators/0/power", "1001"), "has power 1001 in the document and stake for 1000"),
    "other parameters": (put("consensus_params/block/max_gas", "5"), "max_gas=5) in the document"),
    "another section": (put("app_state/chat", {}), "or does not stand alone"),
    "not an object": (put(EXPORTED, "state"), "app_state.exported is no object"),
    "an initial height of nothing": (put("initial_height", "-4"), "initial_height is -4; allowed: 1 to"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        *((kind, compact) for kind in HOSTILE),
        *((kind, indented) for kind in ("a flipped byte", "no hashes", "no chunks")),
    ],
)
def test_a_document_that_is_not_what_it_says_begins_nothing(
    kind: str, written: Callable[[Json], bytes], document: Path, tmp_path: Path
) -> None:
    """Whether it is read whole or line by line."""
    change, said = HOSTILE[kind]
    changed: Json = json.loads(document.read_text())
    change(changed)
    file, home = tmp_path / "changed.json", tmp_path / "home"
    home.mkdir()
    file.write_bytes(written(changed))
    ended = run(home, "import", "--input", file, code=1)
    assert said in ended.output or "do not have the hashes that stand for them" in ended.output, ended.output
    assert not list(home.rglob("app"))
    assert not (home / "config" / "genesis.json").exists()


@pytest.mark.parametrize("written", [compact, indented])
def test_how_the_document_is_written_does_not_matter(
    written: Callable[[Json], bytes], document: Path, tmp_path: Path
) -> None:
    file = tmp_path / "again.json"
    file.write_bytes(written(json.loads(document.read_text())))
    answers = [told(run(tmp_path, "import", "--dry-run", "--input", one)) for one in (file, document)]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b'{"chunks": [\n', "not JSON", id="chunks without end"),
        pytest.param(b'{\n"chunks": [\n"QQ=="\n]\n}', "genesis: ", id="chunks of nothing"),
        pytest.param(b"[" * 10**6, "not JSON", id="a tower"),
        pytest.param(b"\x00" * (5 << 20), "not JSON", id="a line without end"),
        pytest.param(b'"chunks": [\n?\n', "allowed: base64 in quotes, alone in its line", id="no text"),
    ],
)
def test_what_is_no_document_is_said_to_be_none(text: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(text)
    run(tmp_path, "import", "--input", file, code=1, said=said)
