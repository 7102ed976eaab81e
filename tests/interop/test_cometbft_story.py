"""Our application under four CometBFT engines: the demo's story, and the same app hashes as our own engine comes to.

The four validators are CometBFT nodes, each with `dchat abci` behind it. A node of ours that is no validator follows
them and is the demo's door; another one fetches all blocks afterwards, from CometBFT nodes alone. So five applications
execute each block as it is made, four under CometBFT's engine and one under ours, and a sixth under ours again.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from chain.tx.messages import KINDS
from dchat.devnet.network import Pace
from tests.support.interop.cometbft import VERSION
from tests.support.interop.mixed import OURS, THEIRS, MixedNetwork, MixedNode, TheirNode
from tests.support.interop.rows import row

pytestmark = [pytest.mark.go, pytest.mark.network]

VALIDATORS = 4
PACE = Pace(block_time=300, timeout_propose=2_000, timeout_prevote=500, timeout_precommit=500, timeout_commit=10)
KEPT = "\n[database]\nversions_kept = 10000\n"  # the demo asks for proofs of what is some seconds old
STORY_S = 900.0  # of a busy machine; one or two minutes are usual


async def test_the_demos_story_is_told_on_four_cometbft_engines(tmp_path: Path) -> None:
    net = MixedNetwork(tmp_path, (THEIRS,) * VALIDATORS, pace=PACE, options=KEPT, upgrade_authority="alice")
    theirs = net.of(THEIRS)
    for node in theirs:
        assert isinstance(node, TheirNode)
        node.comet.set_config({"consensus.peer_gossip_sleep_duration": "10ms"})  # 100: each block waits for it
    async with net.running():
        await net.wait_height(2)
        follower = net.add(OURS, theirs)
        await follower.start()
        await net.wait_height(await net.top(), follower)
        told = await story(net, follower)
        assert sorted(told["kinds"]) == sorted(KINDS)
        assert told["not_shown"] == []
        assert told["proofs"] > told["transactions"] > 100
        assert told["bridge"]["books_agree"]
        assert told["bridge"]["in_step"]
        last = await net.top()
        fresh = net.add(OURS, theirs)
        await fresh.start()
        await net.wait_height(last + 1)
        metas = await net.agreement()
        assert set(net.proposers(metas)) == set(range(1, VALIDATORS + 1)), "each of the four, and nobody else"
        assert await same_answers(net, metas) >= told["transactions"]
        for node in net.nodes:
            await knows_its_last(net, node)
    row(
        "CometBFT",
        VERSION,
        "four of its engines, each with our application, and the demo's story on them; a node of ours follows, "
        "another fetches all blocks afterwards",
        f"{told['transactions']} transactions of all {len(told['kinds'])} kinds, {told['proofs']} proofs; in each of "
        f"{len(metas) - 1} blocks the app hash, results, events and set changes of all six are the same",
    )


async def story(net: MixedNetwork, door: MixedNode) -> dict[str, Any]:
    """What `scripts/demo --node` tells through it. Raises AssertionError."""
    command = [
        sys.executable, "-m", "dchat.cli.local.demo", "--home", str(net.network.folder),
        "--node", f"127.0.0.1:{door.entry.ports.grpc}", "--json",
    ]  # fmt: skip
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        said, failed = await asyncio.wait_for(process.communicate(), STORY_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{failed.decode()}\n{door.log[-3_000:]}"
    told: dict[str, Any] = json.loads(said)
    return told


async def same_answers(net: MixedNetwork, metas: dict[int, dict[str, Any]]) -> int:
    """Compare what each application answered to each block: app hash, results, events, the set's changes; the app hash
    with the next header, too. Returns how many transactions there were. Raises AssertionError."""
    txs = 0
    for height in range(1, max(metas)):
        first, *others = await asyncio.gather(*(net.rpc(node, f"block_results?height={height}") for node in net.nodes))
        for node, one in zip(net.nodes[1:], others, strict=True):
            assert one == first, f"{node.entry.name} ({node.kind}), height {height}"
        assert base64.b64decode(first["app_hash"]).hex().upper() == metas[height + 1]["header"]["app_hash"], height
        txs += len(first["txs_results"] or ())
    return txs


async def knows_its_last(net: MixedNetwork, node: MixedNode) -> None:
    """The application's own word, as its engine hands it on, against the header above. Raises AssertionError."""
    info = (await net.rpc(node, "abci_info"))["response"]
    height = int(info["last_block_height"])
    await net.wait_height(height + 1, node)
    (meta,) = (await net.metas(node, height + 1, height + 1)).values()
    assert base64.b64decode(info["last_block_app_hash"]).hex().upper() == meta["header"]["app_hash"]
