"""A validator that lies: double votes, double and invalid proposals, votes that split the others, false claims.

It signs with its own key only, hears what the correct send, and acts once in every round it hears of. What it does is
drawn from the run's generator; each attacker keeps to one temper for the run, so that some are single-minded.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from consensus.core.events import BlockComplete, PeerMajority, Proposal, ValueId, Vote, VoteKind

if TYPE_CHECKING:
    from tests.support.core.simulator import Message, Network

KINDS = (VoteKind.PREVOTE, VoteKind.PRECOMMIT)


class Temper(Enum):
    """How an attacker chooses."""

    SILENT = "crashed for ever"
    SPLIT_NIL = "votes for the proposal to some and nil to others"
    SPLIT_VALUES = "proposes two blocks, votes for either"
    WILD = "anything, any round"


class Attacker:
    def __init__(self, net: Network, index: int) -> None:
        self.net, self.index = net, index
        self.temper = net.rng.choice((Temper.SILENT, Temper.SPLIT_NIL, Temper.SPLIT_VALUES, Temper.WILD, Temper.WILD))
        self._known: dict[int, list[ValueId]] = {}
        self._done: dict[tuple[int, int, str], None] = {}
        self._height, self._round = 1, 0

    def hear(self, message: Message) -> None:
        """Learn the block, and act where a round is new."""
        if isinstance(message, PeerMajority) or self.temper is Temper.SILENT:
            return
        known = self._known.setdefault(message.height, [])
        if message.value_id is not None and message.value_id not in known:
            known.append(message.value_id)
        if isinstance(message, BlockComplete):
            return
        self._height, self._round = message.height, message.round
        self._propose(message.height, message.round)
        self._propose(message.height, message.round + 1)
        self._vote(message.height, message.round, "first")
        if message.value_id is not None:
            self._vote(message.height, message.round, "informed")

    def wander(self) -> None:
        """Act where it was last heard of, without being asked."""
        rng = self.net.rng
        if self.temper is Temper.WILD:
            self._vote(self._height, self._round + rng.randint(0, 6), f"wild {rng.randint(0, 3)}")
            self._claim(self._height, rng.randint(0, self._round + 1))
        if self.temper is not Temper.SILENT:
            self._propose(self._height, self._round + 1)
            self._propose(self._height + 1, 0)
        self.net.after(rng.randint(50, 400), self.wander)

    def _is_new(self, height: int, round: int, what: str) -> bool:
        key = (height, round, what)
        is_new = key not in self._done
        self._done[key] = None
        return is_new

    def _propose(self, height: int, round: int) -> None:
        net, rng = self.net, self.net.rng
        if (height + round) % len(net.plan.powers) != self.index or not self._is_new(height, round, "proposal"):
            return
        known = self._known.setdefault(height, [])
        fresh = [net.new_value(f"n{self.index}", height, valid=rng.random() < 0.8) for _ in range(2)]
        choices = fresh if self.temper is Temper.SPLIT_VALUES or rng.random() < 0.5 else [*fresh, *known]
        known.extend(fresh)
        for node in net.nodes:
            for value in rng.sample(choices, rng.choice((1, 1, 2))):
                pol_round = rng.choice((-1, -1, rng.randint(-1, round - 1)))
                net.send(self.index, node.place, Proposal(height, round, value, pol_round))
                if rng.random() < 0.8:  # else the block is withheld
                    net.send(self.index, node.place, BlockComplete(height, value), rng.choice((0, 0, 150, 600)))

    def _vote(self, height: int, round: int, what: str) -> None:
        net, rng = self.net, self.net.rng
        if not self._is_new(height, round, what):
            return
        known = self._known.setdefault(height, [])
        latest = known[-2:] if self.temper is Temper.SPLIT_VALUES else known[-1:]
        choices: list[ValueId | None] = [None, *(known if self.temper is Temper.WILD else latest)]
        for node in net.nodes:
            for kind in KINDS:
                for value in rng.sample(choices, min(len(choices), rng.choice((0, 1, 1, 2)))):
                    vote = Vote(kind, height, round, value, self.index)
                    net.judge.signed(vote)
                    net.send(self.index, node.place, vote, rng.choice((0, 0, 40, 120, 300)))

    def _claim(self, height: int, round: int) -> None:
        """Claim a majority that is none."""
        rng = self.net.rng
        known: list[ValueId | None] = [None, *self._known.get(height, [])]
        for node in self.net.nodes:
            claim = PeerMajority(rng.choice(KINDS), height, round, rng.choice(known), f"n{self.index}")
            self.net.send(self.index, node.place, claim)
