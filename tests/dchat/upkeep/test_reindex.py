"""The indexes are made anew from blocks and results, whatever is wrong with them and wherever that is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consensus.stores.block_store import BLOCK, HASH, BlockStore, key_of
from consensus.stores.event_index import OF_BLOCKS, OF_TXS, RANGE
from consensus.stores.state_store import TX, prefix_end
from consensus.system.errors import EXIT_DISK
from dchat.cli.main import dchat
from dchat.upkeep import reindex
from dchat.upkeep.reindex import Reindexing
from storage.kv import KeyValueStore, Write
from storage.leveldb import LevelStore
from storage.memory import MemoryStore
from tests.support.node.homes import Stopped, shared_stopped, start

Pairs = dict[bytes, bytes]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return shared_stopped(tmp_path_factory)


def run(home: Path, *words: object, code: int = 0) -> Result:
    ended = CliRunner().invoke(dchat, ["database", *map(str, words), "--home", str(home)], prog_name="dchat")
    assert ended.exit_code == code, (words, ended.output, ended.exception)
    return ended


def pairs_of(home: Path, name: str, prefix: bytes = b"") -> Pairs:
    store = LevelStore(str(home / "data" / name))
    try:
        return dict(store.scan(prefix, prefix_end(prefix) if prefix else None))
    finally:
        store.close()


def change(home: Path, name: str, batch: Sequence[Write]) -> None:
    store = LevelStore(str(home / "data" / name))
    store.write(batch, sync=True)
    store.close()


def in_memory(pairs: Pairs) -> MemoryStore:
    store = MemoryStore()
    store.write(list(pairs.items()))
    return store


def gone(entries: Pairs) -> list[Write]:
    return [(key, None) for key in entries]


def elsewhere(entries: Pairs) -> list[Write]:
    return [(key, bytes([value[0] ^ 1]) + value[1:]) for key, value in entries.items()]


def strays(entries: Pairs) -> list[Write]:
    """Of no transaction: to a block that is kept, to one that never was, and of no form."""
    first = next(iter(entries.values()))
    prefix = next(iter(entries))[:1]
    return [(prefix + b"\1" * 32, first), (prefix + b"\2" * 32, b"\xff" * len(first)), (prefix + b"\3" * 32, b"x")]


DAMAGES: dict[str, Callable[[Pairs], list[Write]]] = {
    "gone": gone,
    "the first gone": lambda entries: gone(dict(sorted(entries.items(), key=lambda pair: pair[1])[:1])),
    "the last gone": lambda entries: gone(dict(sorted(entries.items(), key=lambda pair: pair[1])[-1:])),
    "leads elsewhere": elsewhere,
    "cut": lambda entries: [(key, value[:-1]) for key, value in entries.items()],
    "strays": strays,
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(("name", "prefix"), [("state", TX), ("blocks", HASH)])
async def test_what_is_wrong_is_found_and_put_right(
    name: str, prefix: bytes, damage: str, stopped: Stopped, tmp_path: Path
) -> None:
    home = stopped.copy(tmp_path / "home")
    before = pairs_of(home, name)
    entries = {key: value for key, value in before.items() if key.startswith(prefix)}
    change(home, name, DAMAGES[damage](entries))
    if damage in {"leads elsewhere", "the first gone", "the last gone", "gone"}:
        assert "index of" in run(home, "verify", code=EXIT_DISK).output
    told = json.loads(run(home, "reindex").output)
    counts = told["transactions" if prefix == TX else "hashes_of_blocks"]
    assert counts["entries"] == len(entries)
    assert counts["missing"] + counts["wrong"] + counts["stray"] == len(DAMAGES[damage](entries))
    assert pairs_of(home, name) == before
    run(home, "verify")
    again = json.loads(run(home, "reindex").output)
    assert {key: again["transactions"][key] for key in ("missing", "wrong", "stray")} == dict.fromkeys(
        ("missing", "wrong", "stray"), 0
    )


class Stop(Exception):
    pass


class StopsAt:
    """A store that the machine stops at one of its writes, before or after it took place."""

    def __init__(self, db: MemoryStore, left: list[int]) -> None:
        self._db, self._left = db, left

    def get(self, key: bytes) -> bytes | None:
        return self._db.get(key)

    def scan(self, start: bytes = b"", stop: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        return self._db.scan(start, stop)

    def write(self, batch: Sequence[Write], *, sync: bool = False) -> None:
        if not batch:
            return
        self._left[0] -= 1
        if self._left[0] < 0:
            raise Stop
        self._db.write(batch, sync=sync)


def finish(blocks: KeyValueStore, state: KeyValueStore) -> Reindexing:
    work = Reindexing(blocks, state)
    assert not [step.wrong for step in work.run() if step.wrong]
    return work


def test_a_stop_at_any_write_is_mended_by_doing_it_again(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was right stays so in between."""
    monkeypatch.setattr(reindex, "BATCH", 1)
    blocks, state = pairs_of(stopped.home, "blocks"), pairs_of(stopped.home, "state")
    txs = {key: value for key, value in state.items() if key.startswith(TX)}
    hashes = {key: value for key, value in blocks.items() if key.startswith(HASH)}
    stops = 0
    while True:
        state_db, blocks_db = in_memory(state), in_memory(blocks)
        state_db.write([*gone(txs)[:1], *strays(txs)])
        blocks_db.write([*elsewhere(hashes)[:2], *strays(hashes)])
        right = dict(list(txs.items())[1:])
        left = [stops]
        try:
            finish(StopsAt(blocks_db, left), StopsAt(state_db, left))  # type: ignore[arg-type]
            break
        except Stop:
            assert right.items() <= dict(state_db.scan()).items()
            stops += 1
        finish(blocks_db, state_db)
        assert (dict(state_db.scan()), dict(blocks_db.scan())) == (state, blocks)
    assert stops == 7, "each write is a place to stop at"


def test_a_block_that_cannot_be_read_keeps_what_leads_to_it(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    txs = pairs_of(home, "state", TX)
    height = int.from_bytes(next(iter(txs.values()))[:8], "big")
    key = key_of(BLOCK, height)
    change(home, "blocks", [(key, pairs_of(home, "blocks")[key][:-9])])
    stray = strays(txs)
    change(home, "state", stray)
    ended = run(home, "reindex", code=EXIT_DISK)
    assert f"block {height}" in ended.output
    assert '"stray": 2' in ended.output
    assert pairs_of(home, "state", TX) == txs | dict(stray[:1]), "one leads into that block, and may be right"


def test_what_was_pruned_is_not_missed_and_what_leads_there_goes(stopped: Stopped) -> None:
    blocks_db, state_db = in_memory(pairs_of(stopped.home, "blocks")), in_memory(pairs_of(stopped.home, "state"))
    txs = dict(state_db.scan(TX, prefix_end(TX)))
    heights = sorted(int.from_bytes(value[:8], "big") for value in txs.values())
    BlockStore(blocks_db).raise_base(heights[0] + 1, is_at_rest=True)
    work = finish(blocks_db, state_db)
    assert (work.transactions.entries, work.transactions.stray) == (len(txs) - 1, 1)
    assert finish(blocks_db, state_db).transactions.stray == 0


async def test_another_folder_and_a_running_node(stopped: Stopped, tmp_path: Path) -> None:
    home, elsewhere_ = stopped.copy(tmp_path / "home"), stopped.copy(tmp_path / "elsewhere")
    change(elsewhere_, "state", gone(pairs_of(elsewhere_, "state", TX)))
    told = json.loads(run(home, "reindex", "--db-path", elsewhere_ / "data").output)
    assert told["transactions"]["missing"] == told["transactions"]["entries"] > 0
    assert (await start(elsewhere_, stopped.recipient)).code == 0
    store = LevelStore(str(home / "data" / "state"))
    try:
        assert "cannot open database" in run(home, "reindex", code=1).output
    finally:
        store.close()


def stray_events(entries: Pairs) -> list[Write]:
    """A term that no block has, in a block that is kept; a block that there is not yet; one of no form."""
    key = next(iter(entries))
    return [(key[:8] + b"\1" * 12 + key[-2:], b""), (key[:1] + b"\1" * 7 + key[8:], b""), (key[:-1], b"x")]


EVENT_DAMAGES: dict[str, Callable[[Pairs], list[Write]]] = {
    "gone": gone,
    "the first gone": lambda entries: gone(dict(sorted(entries.items())[:1])),
    "leads elsewhere": lambda entries: elsewhere({key: value for key, value in entries.items() if value}),
    "strays": stray_events,
}


@pytest.mark.parametrize("damage", EVENT_DAMAGES)
@pytest.mark.parametrize("prefix", [OF_TXS, OF_BLOCKS])
def test_the_index_of_events_is_put_right(prefix: bytes, damage: str, stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    before = pairs_of(home, "state")
    batch = EVENT_DAMAGES[damage]({key: value for key, value in before.items() if key.startswith(prefix)})
    assert batch
    change(home, "state", batch)
    if damage != "strays":
        assert "index of events of block" in run(home, "verify", code=EXIT_DISK).output
    counts = json.loads(run(home, "reindex").output)["events"]
    assert counts["missing"] + counts["wrong"] + counts["stray"] == len(batch)
    assert pairs_of(home, "state") == before
    run(home, "verify")
    counts = json.loads(run(home, "reindex").output)["events"]
    assert counts == {"entries": counts["entries"], "missing": 0, "wrong": 0, "stray": 0}


def test_an_index_that_was_never_made_is_made(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a node that had none, or an older build; and whenever that is stopped."""
    monkeypatch.setattr(reindex, "BATCH", 40)
    blocks, state = pairs_of(stopped.home, "blocks"), pairs_of(stopped.home, "state")
    bare = {key: value for key, value in state.items() if key[:1] not in (OF_TXS, OF_BLOCKS, RANGE)}
    assert len(state) - len(bare) > 40
    stops = 0
    while True:
        state_db, blocks_db = in_memory(bare), in_memory(blocks)
        left = [stops]
        try:
            finish(blocks_db, StopsAt(state_db, left))  # type: ignore[arg-type]
            break
        except Stop:
            stops += 1
            assert RANGE not in dict(state_db.scan()), "nothing is promised before the end"
        assert finish(blocks_db, state_db).events.entries > 40
        assert dict(state_db.scan()) == state
    assert stops > 2
    assert dict(state_db.scan()) == state
