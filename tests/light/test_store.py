"""What was verified is kept: bounded, whole after a kill at any moment, and damage is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from light import LightClient, Root
from light.errors import LightError, RootDisputed, TrustStoreDamaged
from light.store import FolderTrustStore, MemoryTrustStore, TrustStore
from tests.support.light.chains import Teller, fork, make_chain

CHAIN = make_chain([dict.fromkeys("abcd", 10)] * 31)
ROOT = Root(1, CHAIN.blocks[1].hash)


def client_on(store: TrustStore, root: Root | None = ROOT, *, chain_id: str = "") -> LightClient:
    return LightClient(root, Teller(CHAIN), store=store, chain_id=chain_id, now_ns=lambda: CHAIN.now_ns)


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TrustStore:
    return MemoryTrustStore(5) if request.param == "memory" else FolderTrustStore(tmp_path / "light", 5)


async def test_the_root_and_the_newest_stay(store: TrustStore) -> None:
    client = client_on(store)
    for height in (5, 6, 7, 8, 9, 10, 4):
        assert await client.verify_at(height) == CHAIN.blocks[height]
    assert list(store.heights) == [1, 4, 8, 9, 10]
    assert store.load(8) == CHAIN.blocks[8]
    assert store.load(5) is None
    store.close()


def test_memory_is_bounded_by_the_validators_it_holds() -> None:
    store = MemoryTrustStore(100, slots_max=12)
    store.save([CHAIN.blocks[height] for height in range(1, 9)], root=1)
    assert list(store.heights) == [1, 7, 8]


async def test_it_goes_on_where_it_was_without_a_root(tmp_path: Path) -> None:
    store = FolderTrustStore(tmp_path)
    await client_on(store).verify_at(20)
    store.close()
    store = FolderTrustStore(tmp_path)
    client = client_on(store, None)
    assert (await client.newest()).height == 20
    assert client.chain_id == "light-chain"
    assert isinstance(client.primary, Teller)
    assert client.primary.asked == []
    with pytest.raises(RootDisputed, match="is of chain 'light-chain', not 'other'"):
        await client_on(store, None, chain_id="other").newest()
    store.clear()
    with pytest.raises(LightError, match="nothing to begin trust with"):
        await client_on(store, None).verify_at(3)
    store.close()


async def test_another_root_begins_anew(tmp_path: Path) -> None:
    store = FolderTrustStore(tmp_path)
    await client_on(store).verify_at(20)
    await client_on(store, Root(20, CHAIN.blocks[20].hash)).verify_at(21)  # one that was verified: nothing is lost
    assert list(store.heights) == [1, 20, 21]
    other = fork(CHAIN, 1, to=30, signers="abcd")
    client = LightClient(Root(1, other.blocks[1].hash), Teller(other), store=store, now_ns=lambda: CHAIN.now_ns)
    assert (await client.verify_at(9)).hash == other.blocks[9].hash
    assert list(store.heights) == [1, 9]
    store.close()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "are not those that were written"),
        (lambda path: path.write_bytes(b""), "are not those that were written"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b"light-chain", b"night-chain")), "are not those"),
        (lambda path: path.write_bytes((path.parent / f"{1:020}.block").read_bytes()), "has header 1"),
        (lambda path: path.unlink(), "cannot be read: No such file"),
    ],
    ids=["cut", "empty", "flipped", "swapped", "gone"],
)
async def test_damage_is_named_and_not_believed(tmp_path: Path, damage: object, says: str) -> None:
    assert callable(damage)
    store = FolderTrustStore(tmp_path)
    await client_on(store).verify_at(20)
    damage(store.path(20))
    with pytest.raises(TrustStoreDamaged, match=f"{20:020}.block.*{says}.*remove the folder"):
        await client_on(store).verify_at(20)
    store.close()


def test_one_client_a_folder(tmp_path: Path) -> None:
    store = FolderTrustStore(tmp_path)
    with pytest.raises(LightError, match="in use by another light client"):
        FolderTrustStore(tmp_path)
    store.close()
    FolderTrustStore(tmp_path).close()
    (tmp_path / "file").write_text("")
    with pytest.raises(LightError, match="is no place for what is verified"):
        FolderTrustStore(tmp_path / "file" / "folder")


KILLED = """
import sys
from pathlib import Path
from light.store import FolderTrustStore
from tests.light.test_store import CHAIN
store = FolderTrustStore(Path(sys.argv[1]), 8)
store.save([CHAIN.blocks[1]], root=1)
while True:
    for height in range(2, 31):
        store.save([CHAIN.blocks[height]], root=1)
        print(height, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 7, 40, 90])
def test_kill_9_leaves_whole_blocks(tmp_path: Path, lines: int) -> None:
    """At any moment of writing and pruning: all that is there is whole, the root is, and what was said to be saved."""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert process.stdout is not None
    said = [int(process.stdout.readline()) for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    said += [int(line) for line in process.stdout.read().split()]
    process.wait()
    store = FolderTrustStore(tmp_path, 8)
    assert store.heights[0] == 1
    assert len(store.heights) <= 9
    following = 2 if said[-1] == 30 else said[-1] + 1  # saved as well, which may have taken its place, and not yet said
    assert {said[-1], following} & set(store.heights)
    for height in store.heights:
        assert store.load(height) == CHAIN.blocks[height]
    assert not list(tmp_path.glob("*.tmp"))
    store.close()
