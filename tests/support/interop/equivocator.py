"""Somebody who has a validator's key, and signs twice with it towards one node alone."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from consensus.p2p.conn.base import Peer
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PREVOTE, Vote
from crypto.keys import PrivKey
from proto.tendermint.consensus import types_pb2 as consensus_pb2
from tests.support.p2p.peers import DATA, STATE, VOTE, Node


class Equivocator:
    """A peer of `target` alone (ID@host:port): in each round that this tells, once, two prevotes of `key`."""

    def __init__(self, target: str, *, chain_id: str, key: PrivKey, index: int) -> None:
        """index: of the key in the set of validators."""
        self._chain_id, self._key, self._index = chain_id, key, index
        self._rng = random.Random()
        self._node = Node(
            f"equivocator {self._rng.random()}", channels=(STATE, DATA, VOTE), network=chain_id,
            persistent_peers=(target,), redial_max_s=0.5, max_outbound_peers=0,
        )  # fmt: skip
        self._node.reactor.on_receive = self._received
        self._last = (0, 0)  # height and round
        self.pairs = 0  # that it sent

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        await self._node.switch.start()
        try:
            yield
        finally:
            await self._node.switch.stop()

    def _received(self, channel_id: int, peer: Peer, message: bytes) -> None:
        if channel_id != STATE.id:
            return
        told = consensus_pb2.Message.FromString(message)
        if told.WhichOneof("sum") != "new_round_step" or told.new_round_step.height < 2:
            return
        step = told.new_round_step
        if (step.height, step.round) <= self._last:
            return
        self._last = step.height, step.round
        peer.try_send(STATE.id, message)  # as if at the same place: so it is somebody to talk to
        sent = [peer.try_send(VOTE.id, self._vote(step.height, step.round)) for _ in range(2)]
        self.pairs += all(sent)

    def _vote(self, height: int, round: int) -> bytes:
        block = BlockID(self._rng.randbytes(32), PartSetHeader(1, self._rng.randbytes(32)))
        address = self._key.pub_key.address
        vote = Vote(PREVOTE, height, round, block, time.time_ns(), address, self._index)
        signed = replace(vote, signature=self._key.sign(vote.sign_bytes(self._chain_id)))
        message = consensus_pb2.Message()
        message.vote.vote.CopyFrom(signed.to_proto())
        return message.SerializeToString()
