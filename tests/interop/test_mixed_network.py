"""One network, two implementations: two validators are `dchat validator`, two CometBFT with our application behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import pytest

from chain.currency.ledger.stake_records import POWER_UNIT, VALIDATOR, Validator
from chain.tx.messages.economy import RATE_ONE, CreateValidator, Delegate, prove_possession
from crypto.hash import sha256
from dchat.devnet.leases import free_ports
from light import LightClient, Root
from light.rpc import RpcProvider
from tests.support.interop.cometbft import VERSION, binary
from tests.support.interop.equivocator import Equivocator
from tests.support.interop.mixed import OURS, THEIRS, MixedNetwork, MixedNode, addresses, ask
from tests.support.interop.rows import row

pytestmark = [pytest.mark.go, pytest.mark.network]

KINDS = (OURS, THEIRS, OURS, THEIRS)
BOND = 250_000 * 10**6  # udchat; each of the genesis has a million DCHAT
SMALL_STAKE = {"staking": {"min_stake": str(BOND), "min_self_delegation": str(BOND)}}
SNAPSHOTS = "\n[snapshots]\ninterval = 5\nkeep_recent = 50\n"
JOINING = "\n[state_sync]\nenable = true\ntrusted_nodes = {doors}\ndiscovery_time = 2\n"
NO_EVIDENCE = sha256(b"").hex().upper()  # the hash of an empty list
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


async def test_the_set_follows_stake_and_whoever_signs_twice_is_slashed(tmp_path: Path) -> None:
    """A fifth, CometBFT behind ours, bonds, proposes, and is delegated to; then it and one of ours sign twice: the
    first is seen by one of ours alone, the second by a CometBFT node alone."""
    net = MixedNetwork(tmp_path, KINDS, params=SMALL_STAKE)
    async with net.running():
        await net.wait_height(3)
        fifth = net.add(THEIRS, net.of(OURS))
        await fifth.start()
        await net.wait_height(await net.top(), fifth)
        assert await net.peers(fifth) <= {node.entry.node_id for node in net.of(OURS)}
        operator, key = net.wallets["dave"].address, net.key_of(fifth)
        possession = prove_possession(key, net.chain_id, operator)
        bond = CreateValidator(
            operator, key.pub_key.bytes, "fifth", RATE_ONE // 10, RATE_ONE // 5, RATE_ONE // 100, BOND, BOND, possession
        )
        tx = net.signed("dave", bond)
        await net.send(net.of(THEIRS)[0], tx)
        bonded_at = await net.committed(tx)
        tx = net.signed("alice", Delegate(net.wallets["alice"].address, operator, 2 * BOND))
        await net.send(net.of(OURS)[0], tx)
        await net.committed(tx)

        async def proposes() -> bool:
            return fifth.entry.index in net.proposers(await net.agreement(bonded_at))

        await net.until("a block of the fifth", proposes)
        sets = await net.same_sets()
        powers = [told[fifth.entry.address][0] for told in sets.values() if fifth.entry.address in told]
        assert len(sets[1]) == len(KINDS)
        assert fifth.entry.address in sets[bonded_at + 2]
        assert (powers[0], powers[-1]) == (BOND // POWER_UNIT, 3 * BOND // POWER_UNIT)

        found = [
            await signs_twice(net, fifth, operator, seen_by=net.of(OURS)[0]),
            await signs_twice(net, net.nodes[2], net.operator_of(net.nodes[2]), seen_by=net.of(THEIRS)[0]),
        ]
        sets = await net.same_sets(bonded_at)
        assert set(sets[max(sets)]) == {net.nodes[index].entry.address for index in (0, 1, 3)}
        await net.agreement()
        assert all("cannot vote for a block" not in node.log for node in net.of(OURS)), "an honest proposal was refused"
    row(
        "CometBFT",
        VERSION,
        "validators in one network with ours: a fifth bonds and is delegated to; two sign twice, each towards one kind",
        f"{len(sets)} sets alike on all, priorities too; evidence in the blocks {found[0]} and {found[1]}, both "
        "slashed by 5 % and out of the set everywhere",
    )


async def signs_twice(net: MixedNetwork, victim: MixedNode, operator: bytes, *, seen_by: MixedNode) -> int:
    """With the key of `victim`, towards `seen_by` alone. Returns the height of the block with the evidence."""
    at = await net.top()
    before = Validator.decode(await net.record(seen_by, VALIDATOR + operator))
    index = list(await net.validators(seen_by, at)).index(victim.entry.address)
    (address,) = addresses([seen_by.entry])
    liar = Equivocator(address, chain_id=net.chain_id, key=net.key_of(victim), index=index)

    async def is_out() -> bool:
        others = [node for node in net.alive if node is not victim]
        sets = [await net.validators(node, await net.height(node)) for node in others]
        return all(victim.entry.address not in one for one in sets)

    async with liar.at_work():
        await net.until(f"{victim.entry.name} ({victim.kind}) out of the set", is_out)
    assert liar.pairs
    if victim.is_running:
        await victim.end()
    metas = await net.agreement(at)
    heights = [height for height, meta in metas.items() if meta["header"]["evidence_hash"] != NO_EVIDENCE]
    for node in net.alive:
        after = Validator.decode(await net.record(node, VALIDATOR + operator))
        assert after.jailed
        assert after.tokens == before.tokens - before.power * POWER_UNIT // 20
    return min(heights)


async def test_new_nodes_join_by_the_other_kind_and_light_clients_follow_it(tmp_path: Path) -> None:
    """All that each new node is told by peers, blocks or chunks, and all headers that it is held against, come from
    nodes of the other kind."""
    net = MixedNetwork(tmp_path, KINDS, options=SNAPSHOTS)
    ours, theirs = net.of(OURS), net.of(THEIRS)
    async with net.running():
        tx = net.payment(5)
        await net.wait_height(1)
        await net.send(theirs[0], tx)
        await net.committed(tx)
        await net.wait_height(12)
        trusted = (await net.rpc(theirs[0], "commit?height=2"))["signed_header"]["commit"]["block_id"]["hash"]
        by_blocks = [net.add(OURS, theirs), net.add(THEIRS, ours)]
        by_state = [
            net.add(OURS, theirs, options=JOINING.format(doors=json.dumps([net.url(node) for node in theirs]))),
            net.add(THEIRS, ours, settings={
                "statesync.enable": True, "statesync.rpc_servers": ",".join(net.url(node) for node in ours),
                "statesync.trust_height": 2, "statesync.trust_hash": trusted, "statesync.trust_period": "168h0m0s",
                "statesync.discovery_time": "5s",
            }),
        ]  # fmt: skip
        for pair in (by_blocks, by_state):
            await asyncio.gather(*(node.start() for node in pair))
            await net.wait_height(await net.top() + 1, *pair)
            for node, peers in zip(pair, (theirs, ours), strict=True):
                assert await net.peers(node) <= {one.entry.node_id for one in peers}
                await net.agreement_of(node, peers[0])
                lowest = int((await net.rpc(node, "status"))["sync_info"]["earliest_block_height"])
                assert (lowest == 1) is (pair is by_blocks), lowest
            await asyncio.gather(*(node.end() for node in pair))
        last = await light_clients(net, trusted)
    row(
        "CometBFT",
        VERSION,
        "block sync and state sync of new nodes in one network with ours, each from nodes of the other kind alone",
        "both kinds have the same headers and app hashes, and follow",
    )
    row(
        "CometBFT",
        VERSION,
        "`cometbft light` over our JSON-RPC doors, our light client over its, in one network",
        f"each verified header {last}, the same",
    )


async def light_clients(net: MixedNetwork, trusted: str) -> int:
    """Theirs over ours, and ours over theirs. trusted: hash of header 2. Returns the height that both verified."""
    ours, theirs = ([net.url(node) for node in net.of(kind)] for kind in (OURS, THEIRS))
    last = await net.top() - 1
    wanted = (await net.rpc(net.nodes[1], f"commit?height={last}"))["signed_header"]["commit"]["block_id"]["hash"]
    async with RpcProvider(theirs[0]) as primary, RpcProvider(theirs[1]) as witness:
        block = await LightClient(Root(2, bytes.fromhex(trusted)), primary, [witness]).verify_at(last)
        assert block.hash.hex().upper() == wanted
    port = free_ports(1)[0].rpc
    comet = binary()
    command = [
        str(comet), "light", net.chain_id, "-p", ours[0], "-w", ours[1], "--height", "2", "--hash", trusted,
        "--laddr", f"tcp://127.0.0.1:{port}", "--home-dir", str(net.folder / "light"),
    ]  # fmt: skip
    with (net.folder / "light.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    try:

        async def verified() -> bool:
            with contextlib.suppress(OSError):
                told = await ask(port, f"commit?height={last}")
                return bool(told["signed_header"]["commit"]["block_id"]["hash"] == wanted)
            return False

        await net.until("cometbft light", verified)
    finally:
        process.terminate()
        await process.wait()
    return last
