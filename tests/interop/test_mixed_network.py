"""One network, two implementations: two validators are `dchat validator`, two CometBFT with our application behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.interop.cometbft import VERSION
from tests.support.interop.mixed import OURS, THEIRS, MixedNetwork, MixedNode
from tests.support.interop.rows import row

pytestmark = [pytest.mark.go, pytest.mark.network]

KINDS = (OURS, THEIRS, OURS, THEIRS)
AWAY = 6  # blocks that a killed node lacks: more than consensus itself would hand it at once


async def test_each_of_four_proposes_and_any_of_them_may_be_killed(tmp_path: Path) -> None:
    net = MixedNetwork(tmp_path, KINDS)
    async with net.running():
        await net.wait_height(2)
        await net.wait_peers()
        for number, node in enumerate(net.nodes):
            tx = net.payment(1_000 + number)
            await net.send(node, tx)
            await net.committed(tx)

        async def all_proposed() -> bool:
            return len(net.proposers(await net.agreement())) == len(KINDS)

        await net.until("a block of each", all_proposed)
        for kind in (THEIRS, OURS):
            await killed_and_back(net, net.of(kind)[-1])
        metas = await net.agreement()
        by = net.proposers(metas)
        assert set(by) == {1, 2, 3, 4}
        assert all("CONSENSUS FAILURE" not in node.log for node in net.nodes)
    shares = [sum(by[node.entry.index] for node in net.of(kind)) for kind in (OURS, THEIRS)]
    row(
        "CometBFT",
        VERSION,
        "a network of two validators of ours and two of it with our application: payments to each, kill -9 of either",
        f"{len(metas)} blocks, {shares[0]} of ours and {shares[1]} of its proposers, the same headers and app hashes "
        "on all four; who was killed caught up",
    )


async def killed_and_back(net: MixedNetwork, node: MixedNode) -> None:
    """The other three go on, by a payment among others; it has all of that when it is back, and votes again."""
    await node.end(signal.SIGKILL)
    at = await net.top()
    tx = net.payment(5)
    await net.send(net.alive[0], tx)
    await net.wait_height(at + AWAY)
    await node.start()
    await net.wait_height(at + AWAY, node)
    await net.committed(tx)
    await net.wait_peers()

    async def signs() -> bool:
        last = await net.top()
        commit = (await net.rpc(net.nodes[0], f"commit?height={last - 1}"))["signed_header"]["commit"]
        return node.entry.address in {one["validator_address"] for one in commit["signatures"]}

    await net.until(f"votes of {node.entry.name} ({node.kind})", signs)
