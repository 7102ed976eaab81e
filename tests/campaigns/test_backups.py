"""A slice of `scripts/campaign backups` by real processes, and a validator that is brought back from a backup while its
chain went on: it waits, signs again, and no two signatures of it are for one height, round and step."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from consensus.p2p.conn.node_key import NodeKey
from consensus.system.errors import EXIT_CONSENSUS_FAILURE
from dchat.client.client import Client
from dchat.devnet.leases import free_ports
from dchat.devnet.network import NodeEntry, Pace, make_network, node_config
from tests.campaigns.backups import contents, done, restored
from tests.campaigns.harness import Testnet, until
from tests.campaigns.logs import double_signatures

PACE = Pace(block_time=200, timeout_propose=800, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)
WAITED = 10  # heights, after a restore


async def signed_heights(net: Testnet, address: str, first: int, last: int) -> list[int]:
    """Which of the heights have the validator's signature in their commit."""
    found = []
    async with Client(net.grpc(1)) as client:
        for height in range(first, last + 1):
            commit = (await client.commit(height)).light_block.signed_header.commit
            if any(one.validator_address.hex().upper() == address and one.signature for one in commit.signatures):
                found.append(height)
    return found


async def reaches(net: Testnet, index: int, height: int) -> None:
    async def is_there() -> bool:
        return await net.height(index) >= height

    await until(f"validator {index} at {height}", is_there, timeout_s=90)


def twin_of(net: Testnet, node: NodeEntry) -> Path:
    """A second home with the validator's key and its record of signing: what nobody should do."""
    root = net.home / "twin"
    (root / "data").mkdir(parents=True)
    (root / "config").mkdir()
    own = net.network.home_of(node)
    for name in ("config/priv_validator_key.json", "config/genesis.json", "data/priv_validator_state.json"):
        shutil.copy(own / name, root / name)
    NodeKey.generate().save(root / "config" / "node_key.json")
    entry = NodeEntry(50, "twin", "twin", "", "", free_ports(1)[0])
    (root / "validator-config.toml").write_text(node_config(net.network, entry, PACE))
    return root


def aside_of(home: Path, folder: Path) -> list[Path]:
    """The logs that restores set aside, as homes."""
    found = []
    for number, path in enumerate(sorted((home / "data").glob("replaced-*"))):
        found.append(folder / f"aside{number}")
        found[-1].mkdir()
        (found[-1] / "data").symlink_to(path)
    return found


def run_to_its_end(root: Path) -> tuple[int, str]:
    """A validator that is to end by itself: (exit code, the end of what it said)."""
    ended = subprocess.run(
        [sys.executable, "-m", "dchat", "validator", "--home", str(root)], capture_output=True, text=True, check=False,
        timeout=90,
    )  # fmt: skip
    return ended.returncode, ended.stderr[-500:]


@pytest.mark.network
async def test_what_is_restored_catches_up_and_its_key_signs_nothing_twice(tmp_path: Path) -> None:
    make_network(tmp_path / "network", validators=4, pace=PACE, ports=free_ports(4))
    backup = tmp_path / "backup"
    with Testnet(tmp_path / "network") as net:
        fourth = net.nodes[3]
        home = net.network.home_of(fourth)
        await reaches(net, 4, 3)
        await done("database", "backup", "--gently", "--compress", "--output", backup, "--home", home)
        _, _, height = await restored(net, 90, backup)  # a full node's home: the slice of the campaign
        twin = await asyncio.to_thread(twin_of, net, fourth)
        await done("database", "restore", "--input", backup, "--home", twin)
        code, said = await asyncio.to_thread(run_to_its_end, twin)
        assert code == EXIT_CONSENSUS_FAILURE, said
        await asyncio.to_thread(net.stop, 4)
        await reaches(net, 1, height + 5)
        before = await asyncio.to_thread(contents, home)
        await done("database", "restore", "--input", backup, "--home", home)
        record = "data/priv_validator_state.json"
        assert (await asyncio.to_thread(contents, home))[record] == before[record]
        began_at = await net.height(1)
        await asyncio.to_thread(net.start, 4)

        async def signs_again() -> bool:
            latest = await net.height(1) - 1
            return bool(await signed_heights(net, fourth.address, max(began_at + 1, latest - 3), latest))

        await until("it signs again", signs_again, timeout_s=90, poll_s=0.3)
        heights = await signed_heights(net, fourth.address, began_at + 1, await net.height(1) - 1)
        assert heights[0] - began_at > WAITED, (heights, began_at)
        await net.check_agreement()
        net.run("stop")
        slots, faults = double_signatures([*net.homes, twin, *aside_of(home, tmp_path)])
    assert faults == []
    assert slots > 4 * height
