"""Four engines in memory: they agree, include transactions, survive faults of one."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from consensus.types.block import Block
from consensus.types.params import ABCIParams, ConsensusParams
from tests.support.engine.bench import (
    FAST,
    SLOW_PROPOSER,
    Home,
    Node,
    assert_equal_chains,
    genesis_of,
    key_of,
    make_node,
    until,
)
from tests.support.engine.memnet import MemoryNetwork, all_votes


async def network_of(count: int = 4, **options: object) -> MemoryNetwork:
    genesis = genesis_of(count)
    return MemoryNetwork([await make_node(genesis, i, Home(), **options) for i in range(count)])  # type: ignore[arg-type]


def blocks_of(node: Node) -> list[Block]:
    found = [node.executor.blocks.load_block(height) for height in range(1, node.height + 1)]
    return [block for block in found if block is not None]


async def test_four_nodes_agree_and_include_every_transaction() -> None:
    """Failure 30: all share one order, so that there are no conflicting states to resolve."""
    network = await network_of()
    await network.start()
    for number in range(100):
        network.nodes[number % 4].pool.add(b"k%d=%d" % (number, number))
        if number % 10 == 0:
            await asyncio.sleep(0)
    await network.reach(20)
    await until(lambda: all(len(node.app.pairs) == 100 for node in network.nodes))
    await network.stop()
    assert_equal_chains(network.nodes)
    for node in network.nodes:
        assert node.driver.metrics.rounds_failed == 0
        proposers = {block.header.proposer_address for block in blocks_of(node)}
        assert len(proposers) == 4
    executed = network.nodes[0]
    assert executed.app.executions <= executed.height + 2  # once a block: what was executed while voting is kept


async def test_honest_slower_validators_are_in_the_commits() -> None:
    """Design section 3, Pace: after +2/3 the next height waits for the rest."""
    network = await network_of()
    await network.start()
    await network.reach(10)
    await network.stop()
    for block in blocks_of(network.nodes[0])[1:]:
        assert block.last_commit is not None
        assert not any(slot.is_absent for slot in block.last_commit.signatures), block.height


async def test_one_of_four_is_silent() -> None:
    """Failure 24: rounds of the absent proposer are short, and blocks go on."""
    network = await network_of(config=SLOW_PROPOSER, late_precommit_wait_ms=5)
    silent = network.nodes[3]
    network.drops = lambda sender, receiver: 3 in (sender, receiver)
    for node in network.nodes[:3]:
        await node.driver.start()
    await asyncio.gather(*(node.reach(12) for node in network.nodes[:3]))
    assert network.nodes[0].driver.metrics.rounds_failed > 0
    network.drops = lambda sender, receiver: False
    await silent.driver.start()
    await silent.reach(12)  # caught up from parts and commits, without proposals
    await network.stop()
    assert_equal_chains(network.nodes)
    assert silent.app.app_hash


async def test_two_of_four_make_no_block_and_go_on_when_a_third_is_back() -> None:
    network = await network_of(config=SLOW_PROPOSER, late_precommit_wait_ms=5)
    for node in network.nodes[:2]:
        await node.driver.start()
    await asyncio.sleep(0.3)
    assert all(node.height == 0 for node in network.nodes)
    network.drops = lambda sender, receiver: 3 in (sender, receiver)
    await network.nodes[2].driver.start()
    for node in network.nodes[:2]:  # what they sent was lost on the third: gossip's work, done by hand
        resend_votes(node, network.nodes[2])
    await asyncio.gather(*(node.reach(3) for node in network.nodes[:3]))
    await network.stop()


def resend_votes(sender: Node, receiver: Node) -> None:
    for votes in all_votes(sender.driver):
        for index in range(votes.size):
            vote = votes.get(index)
            if vote is not None:
                receiver.driver.add_vote(vote, "resent")


async def test_lost_messages_cost_rounds_not_agreement() -> None:
    chance = random.Random(7)
    network = await network_of(config=SLOW_PROPOSER, late_precommit_wait_ms=5)
    network.drops = lambda sender, receiver: chance.random() < 0.02
    await network.start()
    for number in range(20):
        network.nodes[number % 4].pool.add(b"k%d=%d" % (number, number))
    try:
        await until(lambda: max(node.height for node in network.nodes) >= 10)
    finally:
        await network.stop()
    assert not any(node.fatal for node in network.nodes)
    assert_equal_chains(network.nodes)


async def test_node_stopped_without_notice_comes_back() -> None:
    """It replays its log, signs nothing twice, and catches up."""
    genesis = genesis_of(4)
    nodes = [await make_node(genesis, i, Home(), config=SLOW_PROPOSER, late_precommit_wait_ms=5) for i in range(4)]
    network = MemoryNetwork(nodes)
    await network.start()
    await network.reach(3)
    gone = network.nodes[1]
    network.drops = lambda sender, receiver: 1 in (sender, receiver)
    await gone.driver.stop()
    back = await make_node(genesis, 1, gone.home.crash(), config=SLOW_PROPOSER, late_precommit_wait_ms=5)
    others = [network.nodes[index] for index in (0, 2, 3)]
    ahead = max(node.height for node in others) + 3
    await asyncio.gather(*(node.reach(ahead) for node in others))
    network.replace(1, back)
    network.drops = lambda sender, receiver: False
    await back.driver.start()
    await back.reach(ahead + 3)
    await network.stop()
    assert_equal_chains(network.nodes)
    assert not back.evidence.reported
    assert not any(node.evidence.reported for node in others)


async def test_observer_follows_without_voting() -> None:
    genesis = genesis_of(3)
    nodes = [await make_node(genesis, i, Home()) for i in (0, 1, 2, None)]
    network = MemoryNetwork(nodes)
    await network.start()
    await network.reach(5)
    await network.stop()
    assert_equal_chains(nodes)
    assert nodes[3].driver.metrics.sign.count == 0


async def test_validator_joins_and_leaves_by_the_applications_word() -> None:
    genesis = genesis_of(3)
    nodes = [await make_node(genesis, i, Home(), config=SLOW_PROPOSER) for i in range(4)]
    network = MemoryNetwork(nodes)
    joining = key_of(3).pub_key
    await network.start()
    nodes[0].pool.add(b"val:" + joining.bytes.hex().encode() + b"=10")
    await until(lambda: all(len(node.driver.state.last_validators) == 4 for node in nodes))
    await until(lambda: nodes[3].driver.metrics.sign.count > 0)
    nodes[1].pool.add(b"val:" + joining.bytes.hex().encode() + b"=0")
    await until(lambda: all(len(node.driver.state.last_validators) == 3 for node in nodes))
    height = nodes[0].height
    await network.reach(height + 2)
    await network.stop()
    assert_equal_chains(nodes)
    states = nodes[0].executor.states
    for at in range(1, height):
        block = nodes[0].executor.blocks.load_block(at)
        validators = states.load_validators(at)
        assert block is not None
        assert validators is not None
        assert validators.hash == block.header.validators_hash


async def test_refused_proposals_cost_their_round_with_a_reason() -> None:
    """Failure 26: each nil vote says why."""
    network = await network_of(config=SLOW_PROPOSER, late_precommit_wait_ms=5)
    bad = network.nodes[0].executor.app
    assert bad is network.nodes[0].app
    for node in network.nodes:
        node.app.refuse = lambda request: b"bad=1" in request.txs
    network.nodes[0].pool.add(b"bad=1")
    await network.start()
    await network.reach(6)
    await network.stop()
    reasons = sum(
        (node.driver.metrics.nil_votes for node in network.nodes),
        start=type(network.nodes[0].driver.metrics.nil_votes)(),
    )
    assert reasons["prevote", "invalid_block"] > 0
    assert not any("bad" in node.app.pairs for node in network.nodes)


async def test_vote_extensions_are_exchanged_and_an_unacceptable_own_one_is_not_sent() -> None:
    """Failure 31: one application's bad vote extension does not stall all."""
    params = ConsensusParams(abci=ABCIParams(vote_extensions_enable_height=2))
    genesis = genesis_of(4, params=params)
    nodes = [await make_node(genesis, i, Home()) for i in range(4)]
    for node in nodes:
        node.app.accept_extension = lambda extension: extension != b"bad"
    nodes[2].app.extension = b"bad"
    network = MemoryNetwork(nodes)
    await network.start()
    await network.reach(6)
    await network.stop()
    assert_equal_chains(nodes)
    commit = nodes[0].executor.blocks.load_extended_commit(4)
    assert commit is not None
    commit.validate(extensions_enabled=True)  # each signer's extension is signed
    mine = {
        slot.commit_sig.validator_address: slot.extension for slot in commit.signatures if slot.commit_sig.is_commit
    }
    bad = mine.pop(key_of(2).pub_key.address, b"")
    assert bad == b""  # the acceptable replacement of what its own application refused
    assert set(mine.values()) == {b"height"}
    assert nodes[0].executor.blocks.load_extended_commit(1) is None


async def test_blocks_of_many_parts() -> None:
    network = await network_of()
    await network.start()
    for number in range(5):
        network.nodes[0].pool.add(b"big%d=" % number + b"x" * 60_000)
    await until(lambda: all(len(node.app.pairs) == 5 for node in network.nodes))
    await network.stop()
    assert_equal_chains(network.nodes)
    assert any(len(block.txs) == 5 for block in blocks_of(network.nodes[0]))


async def test_calm_chain_waits_for_the_interval_and_a_transaction_ends_the_wait() -> None:
    """Design section 3, Pace."""
    calm = replace(FAST, create_empty_blocks_interval_ms=60_000)
    network = await network_of(config=calm)
    await network.start()
    await network.reach(1)  # the first block proves the initial state
    await asyncio.sleep(0.2)
    assert {node.height for node in network.nodes} == {1}
    for node in network.nodes:
        node.pool.add(b"a=1")
    await network.reach(3)  # with the transaction, then the proof of its outcome
    await asyncio.sleep(0.2)
    await network.stop()
    assert {node.height for node in network.nodes} == {3}
