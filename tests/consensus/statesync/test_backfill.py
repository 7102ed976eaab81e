"""What a restored node begins with, and the headers below it: as far as evidence needs, from whoever has them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consensus.documents.genesis import GenesisDoc
from consensus.evidence.pool import EvidencePool
from consensus.statesync import backfill, bootstrap
from consensus.statesync.backfill import Backfill
from consensus.statesync.reactor import StateSyncReactor
from consensus.statesync.syncer import Restored, StateSyncFailed
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import InlineWorkers
from consensus.types.light import LightBlock
from consensus.types.params import ConsensusParams, EvidenceParams
from crypto.batch import verify_many
from storage.memory import MemoryStore
from tests.support.gossip.network import FakeNetwork
from tests.support.light.chains import CHAIN_ID, Chain, make_chain
from tests.support.p2p.peers import simulate
from tests.support.statesync.world import FromChain, LoopTime, SnapApp

SETS = [{"a": 10, "b": 10, "c": 10}] * 12 + [{"a": 10, "b": 10, "d": 25}] * 20
AT = 25


CHAIN = make_chain(SETS)


def genesis() -> GenesisDoc:
    return GenesisDoc(
        genesis_time_ns=CHAIN.blocks[1].header.time_ns, chain_id=CHAIN_ID, initial_height=1,
        consensus_params=ConsensusParams(), validators=(), app_hash=b"", app_state=b"{}",
    )  # fmt: skip


class Restarted:
    """A node after its state sync to `AT`."""

    def __init__(self, *, evidence_blocks: int = 1_000, evidence_ns: int = 10**15) -> None:
        params = ConsensusParams(evidence=EvidenceParams(evidence_blocks, evidence_ns, 10_000))
        first, second, third = (CHAIN.blocks[AT + ahead] for ahead in range(3))
        header = replace(second.header, consensus_hash=params.hash)
        signed = replace(second.signed_header, header=header)
        self.restored = Restored(AT, (first, replace(second, signed_header=signed), third))
        self.blocks_db, self.state_db = MemoryStore(), MemoryStore()
        self.state = bootstrap.state_of(self.restored, genesis(), params)
        self.open()
        bootstrap.save(self.state, self.restored, self.blocks, self.states)

    def open(self) -> None:
        self.blocks, self.states = BlockStore(self.blocks_db), StateStore(self.state_db)


def test_the_state_is_that_of_the_three_headers() -> None:
    node = Restarted()
    node.open()
    state = node.states.load()
    assert state == node.state
    assert state is not None
    assert (state.last_block_height, state.next_height) == (AT, AT + 1)
    assert state.last_block_id == CHAIN.blocks[AT + 1].header.last_block_id
    assert [node.states.load_validators(AT + ahead) for ahead in range(3)] == [
        state.last_validators, state.validators, state.next_validators
    ]  # fmt: skip
    assert node.blocks.load_seen_commit(AT) == CHAIN.blocks[AT].commit
    assert (node.blocks.base, node.blocks.height, node.blocks.lowest_stored()) == (0, 0, AT)


def test_parameters_that_the_header_does_not_know_are_refused() -> None:
    node = Restarted()
    other = replace(node.state.params, block=replace(node.state.params.block, max_bytes=1_000_000))
    with pytest.raises(StateSyncFailed, match="consensus parameters"):
        bootstrap.state_of(node.restored, genesis(), other)


def run(node: Restarted, *served: FromChain) -> tuple[Backfill, list[str]]:
    """Until it ends. Returns whom it banned, too."""
    banned: list[str] = []
    kept: list[Backfill] = []

    async def scenario(_: Any) -> None:
        clock = LoopTime()
        time: Any = clock
        network = FakeNetwork(time)
        app: Any = SnapApp()
        stores: Any = FromChain()
        us = network.host("0" * 40)
        reactor = StateSyncReactor(app, stores, stores, clock, InlineWorkers())
        us.install(reactor)
        for number, source in enumerate(served, start=1):
            other: Any = source
            host = network.host(f"{number}" * 40)
            host.install(StateSyncReactor(app, other, other, clock, InlineWorkers()))
            network.connect("0" * 40, f"{number}" * 40)
        as_network: Any = us
        task = Backfill(node.blocks, node.states, reactor.light_blocks, as_network, clock, InlineWorkers(), verify_many)
        kept.append(task)
        async with asyncio.timeout(3_600):
            await task.run()
        banned.extend(id for id, _, ban_s in us.dropped if ban_s)

    simulate(scenario)
    return kept[0], banned


def test_headers_commits_and_sets_are_kept_down_to_the_first() -> None:
    node = Restarted()
    done, banned = run(node, FromChain(CHAIN), FromChain(CHAIN), FromChain(CHAIN))
    assert not banned
    assert done.metrics.headers == AT - 1
    node.open()
    for height in range(1, AT):
        block = CHAIN.blocks[height]
        meta = node.blocks.load_meta(height)
        assert meta is not None
        assert (meta.header, meta.block_id) == (block.header, block.commit.block_id)
        assert node.blocks.load_commit(height) == block.commit
        members = node.states.load_members(height)
        assert members is not None
        assert members.hash == block.validators.hash
        assert node.blocks.height_of_hash(block.hash) == height
    assert (node.blocks.base, node.blocks.height, node.blocks.lowest_stored()) == (0, 0, 1)
    assert run(node)[0].metrics.headers == 0


def test_evidence_of_a_height_below_can_be_judged() -> None:
    node = Restarted()
    run(node, FromChain(CHAIN))
    pool = EvidencePool(node.state_db, node.blocks, node.states)
    assert pool._source.header(7) == CHAIN.blocks[7].header
    members = pool._source.validators(7)
    assert members is not None
    assert members.hash == CHAIN.blocks[7].validators.hash


@pytest.mark.parametrize(("blocks", "lowest"), [(10, 15), (3, 22), (24, 1)])
def test_it_goes_as_far_as_evidence_may_be_of(blocks: int, lowest: int) -> None:
    node = Restarted(evidence_blocks=blocks, evidence_ns=1)
    run(node, FromChain(CHAIN))
    assert node.blocks.lowest_stored() == lowest


def test_it_goes_on_where_a_stop_left_it() -> None:
    node = Restarted(evidence_blocks=5, evidence_ns=1)
    run(node, FromChain(CHAIN))
    assert node.blocks.lowest_stored() == 20
    params = replace(node.state.params, evidence=EvidenceParams(1_000, 1, 10_000))
    node.states._state = replace(node.state, params=params)
    source = FromChain(CHAIN)
    run(node, source)
    assert node.blocks.lowest_stored() == 1
    assert max(source.read) == 19


@pytest.mark.parametrize("lie", ["another header", "another set", "a commit of nobody"])
def test_who_lies_is_banned_and_another_is_asked(lie: str) -> None:
    def false(block: LightBlock) -> LightBlock:
        if lie == "another header":
            header = replace(block.header, app_hash=bytes(32))
            return replace(block, signed_header=replace(block.signed_header, header=header))
        if lie == "another set":
            return replace(block, validators=CHAIN.sets[-1])
        commit = block.commit
        slots = tuple(replace(slot, signature=bytes(64)) for slot in commit.signatures)
        return replace(block, signed_header=replace(block.signed_header, commit=replace(commit, signatures=slots)))

    node = Restarted()
    liar, honest = FromChain(CHAIN), FromChain(CHAIN)
    liar.lies = {height: false(block) for height, block in CHAIN.blocks.items() if height < 12}
    _, banned = run(node, liar, honest)
    assert banned == ["1" * 40]
    assert node.blocks.lowest_stored() == 1


def test_where_nobody_has_more_it_says_so_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "REFUSALS_MAX", 3)
    node = Restarted()
    pruned = FromChain(Chain({height: block for height, block in CHAIN.blocks.items() if height >= 9}, CHAIN.sets))
    _, banned = run(node, pruned, pruned)
    assert node.blocks.lowest_stored() == 9
    assert not banned


def test_a_node_that_lived_through_all_of_it_asks_nobody() -> None:
    source = FromChain(CHAIN)
    node = Restarted()
    bootstrap.forget(node.blocks_db)
    bootstrap.forget(node.state_db)
    node.open()
    run(node, source)
    assert not source.read
