"""Chains that go on from an export of themselves: lives cut anywhere, then a network of real processes after a storm.

Lives: `tests.support.economy.life`, cut at any height, with a gap of any size before the new chain's first; laws,
models and twin go on after it. The network: four processes live through a storm, stop, and are exported by two of them,
which must write the same bytes; each home begins with that document, keeps its keys and its record of signatures, and
makes blocks; first as another chain, then once more under the first one's name.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chain.state.store import Stores
from dchat.client.client import Client
from storage.leveldb import LevelStore
from tests.campaigns.harness import ROOT, CampaignFailed, Testnet, be_quiet, folder_of, run_campaign, say, until
from tests.campaigns.storm import network_of, storm_on
from tests.support.chain.harness import CHAIN_ID
from tests.support.export.cut import lived, moved, records

GAPS = (0, 1, 2, 5, 40, 3_000)
AHEAD = 4  # heights that nobody has signed at
BLOCKS = 5  # that the new chain must make
DATABASES = ("blocks", "state", "app", "cs.wal", "snapshots", "mempool.journal")


def lives(seed: int, number: int, folder: Path) -> None:
    """Raises Differs and whatever else a law says."""
    rng = random.Random(seed)
    for at in range(number):
        life, gap = lived(rng.randrange(10**9), rng.randint(1, 60)), rng.choice(GAPS)
        moved(life, folder / f"{at}.json", gap=gap)
        for _ in range(rng.randint(1, 40)):
            life.step()
    say(f"{number} lives were cut and went on")


def database(home: Path, *words: object) -> dict[str, Any]:
    """What `dchat database ...` says, in a process of its own. Raises CampaignFailed."""
    line = [sys.executable, "-m", "dchat", "database", *map(str, words), "--home", str(home)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CampaignFailed(f"dchat database {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def state_of(home: Path, version: int) -> object:
    store = LevelStore(str(home / "data" / "app"))
    try:
        return records(Stores(store), version)
    finally:
        store.close()


def begin_anew(homes: Sequence[Path], document: Path, chain_id: str) -> None:
    for home in homes:
        for name in DATABASES:
            path = home / "data" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        (home / "config" / "genesis.json").unlink()
        options = home / "validator-config.toml"
        options.write_text(re.sub(r"(?m)^chain_id = .*$", f'chain_id = "{chain_id}"', options.read_text()))
        database(home, "import", "--input", document)


async def follow(net: Testnet, folder: Path, chain_id: str) -> None:
    """The network has stopped: export, begin anew, run, stop. Raises CampaignFailed."""
    last = min([database(home, "version")["state"]["height"] for home in net.homes])
    first = last + AHEAD
    files = [folder / f"{chain_id}-{number}.json" for number in range(2)]
    for home, file in zip(net.homes, files, strict=False):
        heights = ("--height", last, "--initial-height", first)
        told = database(home, "export", "--chain-id", chain_id, *heights, "--output", file)
    if files[0].read_bytes() != files[1].read_bytes():
        raise CampaignFailed("two operators exported other bytes")
    before = state_of(net.homes[0], last)
    begin_anew(net.homes, files[0], chain_id)
    if state_of(net.homes[0], first - 1) != before:
        raise CampaignFailed("the new chain begins with other records")
    for node in net.nodes:
        net.start(node.index)

    async def all_there() -> bool:
        return min([await net.height(node.index) for node in net.nodes]) >= first + BLOCKS

    took = await until(f"{chain_id} makes blocks", all_there, timeout_s=120.0)
    for node in net.nodes:
        async with Client(net.grpc(node.index)) as client:
            if broken := [row.name for row in (await client.invariants()).invariants if not row.holds]:
                raise CampaignFailed(f"validator {node.index}: {', '.join(broken)}")
    net.run("stop")
    size = files[0].stat().st_size
    say(f"{told['of']['chain_id']} height {last} went on as {chain_id} from {first}: {size} bytes, up in {took:.1f} s")


async def network(seed: int, txs: int, folder: Path) -> None:
    with network_of(folder / "network") as net:
        storm = await storm_on(net, seed=seed, txs=txs)
        say(f"{storm.committed} transactions in {storm.height} blocks")
        net.run("stop")
        for chain_id in ("another-chain", CHAIN_ID):
            await follow(net, folder, chain_id)


async def main(arguments: argparse.Namespace) -> None:
    be_quiet()
    say(f"seed {arguments.seed}")
    with folder_of("exports") as folder:
        await asyncio.to_thread(lives, arguments.seed, arguments.lives, folder)
        if arguments.txs:
            await network(arguments.seed, arguments.txs, folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lives", type=int, default=60)
    parser.add_argument("--txs", type=int, default=500, help="of the storm before the export; 0: lives alone")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
