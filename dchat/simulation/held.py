"""A key that another thing holds, simulated: it signs after a while, fails before or after it signed, answers late or
never, and is away for a time. What it signs the judge hears of when it signs, whoever gets the answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from consensus.privval.errors import KeyLost
from consensus.privval.held import HeldKey
from crypto.keys import PrivKey
from dchat.simulation.laws import Judge
from proto.tendermint.types import canonical_pb2, types_pb2

SIGNS_S: Final = 0.2  # at most, where nothing is wrong
LATE_S: Final = (1.0, 9.0)  # also longer than it is waited for
AWAY_S: Final = (0.5, 8.0)
VOTES: Final[dict[int, str]] = {
    types_pb2.SIGNED_MSG_TYPE_PREVOTE: "prevote",
    types_pb2.SIGNED_MSG_TYPE_PRECOMMIT: "precommit",
}


class SimHolder:
    """For one life of one node. is_calm: no more faults."""

    def __init__(
        self, key: PrivKey, node: str, judge: Judge, rng: random.Random, *,
        now_s: Callable[[], float], is_calm: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._key, self._node, self._judge, self._rng = key, node, judge, rng
        self._now_s, self._is_calm = now_s, is_calm
        self._away_until_s = 0.0

    @property
    def key(self) -> HeldKey:
        return HeldKey(self._key.pub_key, "a simulated holder", self._connect, self._sign)

    async def _connect(self) -> None:
        await asyncio.sleep(self._rng.uniform(0, SIGNS_S))
        self._check_here()

    async def _sign(self, message: bytes) -> bytes:
        fate = 1.0 if self._is_calm() else self._rng.random()
        self._check_here()
        if fate < 0.02:
            self._away_until_s = self._now_s() + self._rng.uniform(*AWAY_S)
            raise KeyLost("it went away")
        await asyncio.sleep(self._rng.uniform(0, SIGNS_S))
        self._tell(message)
        if fate < 0.04:
            raise KeyLost("it signed, and its answer was lost")
        if fate < 0.06:
            await asyncio.sleep(self._rng.uniform(*LATE_S))
        return self._key.sign(message)

    def _check_here(self) -> None:
        if not self._is_calm() and self._now_s() < self._away_until_s:
            raise KeyLost("it is away")

    def _tell(self, message: bytes) -> None:
        body = message[next(at for at, byte in enumerate(message) if byte < 0x80) + 1 :]  # its length stands before
        signed: canonical_pb2.CanonicalVote | canonical_pb2.CanonicalProposal
        if (kind := VOTES.get(body[1], "proposal")) == "proposal":  # the type is the first field of both
            signed = canonical_pb2.CanonicalProposal.FromString(body)
            said = f"{signed.block_id.hash.hex()} pol {signed.pol_round}"
        else:
            signed = canonical_pb2.CanonicalVote.FromString(body)
            said = signed.block_id.hash.hex() or "nil"
        self._judge.signed(
            self._node, self._key.pub_key.address, kind=kind, height=signed.height, round=signed.round, content=said
        )
