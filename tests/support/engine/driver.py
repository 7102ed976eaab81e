"""A driver on a bench: its inbox, its log and its votes in a test's hands."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from consensus.core.events import Step
from consensus.documents.genesis import GenesisDoc
from consensus.engine.incoming.inputs import VoteIn, decode_logged
from consensus.state.validation import make_block
from consensus.types.block import Block
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PREVOTE, Proposal, Vote
from tests.support.engine.bench import SLOW_PROPOSER, Home, Node, genesis_of, key_of, make_node, power_off, until

PATIENT = replace(SLOW_PROPOSER, timeout_propose_ms=60_000, timeout_prevote_ms=60_000, timeout_precommit_ms=60_000)


OTHER = BlockID(b"o" * 32, PartSetHeader(1, b"p" * 32))


class Bench:
    """One real node of four validators; the test speaks for the other three."""

    def __init__(self, node: Node, faults: list[tuple[str, str]], genesis: GenesisDoc) -> None:
        self.node, self.driver, self.faults, self.genesis = node, node.driver, faults, genesis
        state = self.driver.state
        self.chain_id, self.validators = state.chain_id, state.validators
        by_address = {key_of(index).pub_key.address: key_of(index) for index in range(4)}
        self.keys = [by_address[key.address] for key in self.validators.pub_keys]
        us = node.driver._signer
        assert us is not None
        self.ours = self.validators.index_of(us.pub_key.address)
        self.others = [index for index in range(4) if index != self.ours]
        self.proposer = self.validators.proposer(0)

    def vote(
        self, index: int, type: int = PREVOTE, block_id: BlockID = OTHER, *, height: int = 1, round: int = 0
    ) -> Vote:
        key = self.keys[index]
        vote = Vote(type, height, round, block_id, 2 * 10**18, key.pub_key.address, index)
        return vote.signed(key.sign(vote.sign_bytes(self.chain_id)))

    def block(self, txs: tuple[bytes, ...] = ()) -> Block:
        from consensus.types.block import Commit

        address = self.keys[self.proposer].pub_key.address
        return make_block(self.driver.state, txs=txs, last_commit=Commit(), evidence=(), proposer_address=address)

    def proposal(self, block_id: BlockID, *, by: int | None = None, round: int = 0, pol_round: int = -1) -> Proposal:
        key = self.keys[self.proposer if by is None else by]
        proposal = Proposal(1, round, pol_round, block_id, 10**18)
        return proposal.signed(key.sign(proposal.sign_bytes(self.chain_id)))

    def send_block(self, block: Block) -> None:
        parts = block.part_set()
        for index in range(parts.header.total):
            part = parts.get(index)
            assert part is not None
            self.driver.add_part(1, 0, part, "peer")

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def logged(self, kind: type) -> list[Any]:
        found = [decode_logged(record) for record in self.node.wal.all_messages()]
        return [one for one in found if isinstance(one, kind)]


async def make_bench(*, powers: tuple[int, ...] | None = None, **options: Any) -> Bench:
    """The real node is not the proposer of the first two heights; with `powers` it is the first of them."""
    genesis = genesis_of(4, powers=powers)
    validators = genesis.state().validators
    first = {validators.proposer_of(0).address, validators.increment().proposer_of(0).address}
    ours = 0 if powers else next(index for index in range(4) if key_of(index).pub_key.address not in first)
    options.setdefault("config", PATIENT)
    faults: list[tuple[str, str]] = []
    node = await make_node(
        genesis,
        ours,
        options.pop("home", None) or Home(),
        on_fault=lambda peer, reason: faults.append((peer, reason)),
        **options,
    )
    bench = Bench(node, faults, genesis)
    await node.driver.start()
    await until(lambda: node.driver.core.step is not Step.NEW_HEIGHT)
    return bench


def own_votes(bench: Bench) -> list[tuple[int, BlockID]]:
    return [(one.vote.type, one.vote.block_id) for one in bench.logged(VoteIn) if not one.peer_id]


async def restart(bench: Bench, config: Any = PATIENT) -> Bench:
    """The same machine after it stopped without notice and lost what was not synced."""
    await power_off(bench.node)
    ours = next(index for index in range(4) if key_of(index) == bench.keys[bench.ours])
    node = await make_node(bench.genesis, ours, bench.node.home.crash(), config=config)
    await node.driver.start()
    return Bench(node, [], bench.genesis)
