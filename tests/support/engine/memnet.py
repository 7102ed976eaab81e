"""Nodes of the engine that hand each other their messages in memory, without p2p and without bitmaps.

Each node sends its own proposals, parts and votes to all; a node that fell behind is sent parts and commit of the
next height by whoever is ahead, as gossip's catch-up does, so without proposals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from consensus.core.events import Elapsed, VoteKind
from consensus.engine.driver import ConsensusDriver
from consensus.engine.interfaces import SavedBlock
from consensus.engine.votes import RoundVotes
from consensus.types.commits import votes_from_commit
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import Proposal, Vote
from tests.support.engine.bench import Node
from tests.support.patience import PATIENCE_S

RESEND_S = 0.1


def all_votes(driver: ConsensusDriver) -> list[RoundVotes]:
    """Every kind and round of the running height that has votes."""
    state = driver.round_state
    found = (state.votes(kind, round) for round in driver.core.rounds for kind in VoteKind)
    return [votes for votes in found if votes is not None]


class MemoryNetwork:
    """Connects nodes that were made before. `drops(sender, receiver)` says that a message is lost."""

    def __init__(self, nodes: list[Node], *, drops: Callable[[int, int], bool] = lambda sender, receiver: False):
        self.nodes = nodes
        self.drops = drops
        self._helped: dict[tuple[int, int], int] = {}
        for index, node in enumerate(nodes):
            self._listen(node, index)

    def _listen(self, node: Node, index: int) -> None:
        node.driver.add_round_listener(Link(self, index))
        node.driver.add_saved_listener(Link(self, index))

    async def start(self) -> None:
        for node in self.nodes:
            await node.driver.start()

    async def resend_for_ever(self) -> None:
        """What gossip guarantees: whatever a peer lacks, it gets in the end."""
        while True:
            await asyncio.sleep(RESEND_S)
            for index, node in enumerate(self.nodes):
                if node.driver.is_running:
                    self._helped.clear()
                    self.resend(index)

    async def stop(self) -> None:
        await asyncio.gather(*(node.driver.stop() for node in self.nodes))

    async def reach(self, height: int, *, timeout_s: float = PATIENCE_S) -> None:
        await asyncio.gather(*(node.reach(height, timeout_s=timeout_s) for node in self.nodes))

    def replace(self, index: int, node: Node) -> None:
        """A node that was started again takes its place."""
        self.nodes[index] = node
        self._helped = {pair: height for pair, height in self._helped.items() if index not in pair}
        self._listen(node, index)

    def resend(self, index: int) -> None:
        """What everybody holds of the running height goes to `index`, and what it holds to everybody."""
        back = self.nodes[index]
        for other, node in self.others(index):
            Link(self, index).tell_proposal(node)
            Link(self, other).tell_proposal(back)
            for sender, receiver, name in ((node, back, other), (back, node, index)):
                for votes in all_votes(sender.driver):
                    for position in range(votes.size):
                        vote = votes.get(position)
                        if vote is not None:
                            receiver.driver.add_vote(vote, str(name))
            self.help_those_behind(other)

    def others(self, index: int) -> list[tuple[int, Node]]:
        return [
            (other, node) for other, node in enumerate(self.nodes) if other != index and not self.drops(index, other)
        ]

    def help_those_behind(self, index: int) -> None:
        """Give each node that is behind `index` the block that it lacks next, once a height and helper."""
        blocks = self.nodes[index].executor.blocks
        for other, node in self.others(index):
            height = node.driver.core.height
            if not 0 < blocks.base <= height <= blocks.height or self._helped.get((index, other)) == height:
                continue
            self._helped[index, other] = height
            commit, parts = blocks.load_commit(height) or blocks.load_seen_commit(height), blocks.load_parts(height)
            assert commit is not None
            assert parts is not None
            for vote in votes_from_commit(commit):
                if vote is not None:
                    node.driver.add_vote(vote, str(index))
            for number in range(parts.header.total):
                part = parts.get(number)
                assert part is not None
                node.driver.add_part(height, commit.round, part, str(index))


class Link:
    """A node's listener: sends what is its own."""

    def __init__(self, network: MemoryNetwork, index: int) -> None:
        self._network, self._index = network, index

    @property
    def _node(self) -> Node:
        return self._network.nodes[self._index]

    @property
    def _address(self) -> bytes:
        signer = self._node.driver._signer
        return b"" if signer is None else signer.pub_key.address

    def step_changed(self) -> None:
        self._network.help_those_behind(self._index)

    def proposal_set(self, proposal: Proposal) -> None:
        state = self._node.driver.round_state
        if state.validators.proposer_of(proposal.round).address != self._address:
            return
        for _, node in self._network.others(self._index):
            self.tell_proposal(node)

    def tell_proposal(self, receiver: Node) -> None:
        """The proposal of the running round, and all of its parts."""
        state = self._node.driver.round_state
        proposal = state.proposal
        if proposal is None:
            return
        parts = state.part_sets[proposal.block_id.part_set_header]
        receiver.driver.add_proposal(proposal, str(self._index))
        for number in range(parts.header.total):
            part = parts.get(number)
            if part is not None:
                receiver.driver.add_part(proposal.height, proposal.round, part, str(self._index))

    def part_set_opened(self, header: PartSetHeader, *, is_commit: bool) -> None:
        pass

    def timed_out(self, elapsed: Elapsed) -> None:
        pass

    def valid_block_set(self, block_id: BlockID, *, is_commit: bool) -> None:
        pass

    def part_added(self, height: int, round: int, index: int) -> None:
        pass

    def vote_added(self, vote: Vote) -> None:
        if vote.validator_address != self._address:
            return
        for _, node in self._network.others(self._index):
            node.driver.add_vote(vote, str(self._index))

    def block_saved(self, saved: SavedBlock) -> None:
        self._network.help_those_behind(self._index)
