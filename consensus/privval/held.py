"""A key that this process uses and does not have: on a token, or at a service that signs by it.

To the engine it is a signer elsewhere (remote.py), with the node's own record in front. This door stands where that of
`dchat signer` would: it connects, answers one question at a time, and when the key is lost connects again. An answer
that takes longer than a remote signer's costs the connection, too. Losing the key ends nothing.
Source: docs/signer.md.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from consensus.privval.errors import KeyLost, SignerLinkLost
from consensus.types.vote import Proposal, Vote
from crypto.keys import PubKey
from proto.tendermint.privval import types_pb2 as pb

ANSWER_S: Final = 5.0  # as a signer on another machine has
RETRY_S: Final = 1.0  # between two tries to connect: a service bills each, and a token locks after some

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """`connect`, then `sign` as often as wanted; both raise KeyLost, after which `connect` comes again. Neither blocks
    the loop; a call that is cancelled is over for us alone. where: for people."""

    pub_key: PubKey
    where: str
    connect: Callable[[], Awaitable[None]]
    sign: Callable[[bytes], Awaitable[bytes]]


class KeyDoor:
    """To a key that this process uses. `on_change` is told whether it can be used."""

    def __init__(self, key: HeldKey, chain_id: str) -> None:
        self._key, self._chain_id = key, chain_id
        self._keeping: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self._turn = asyncio.Lock()
        self._told, self.losses, self._is_here = "", 0, False
        self.changed = asyncio.Event()
        self.on_change: Callable[[bool], None] = lambda is_here: None

    @property
    def is_connected(self) -> bool:
        return self._is_here

    async def listen(self) -> None:
        """Begin to connect, until `close`."""
        assert self._keeping is None, "once"
        log.info("signs by a key elsewhere", where=self._key.where, validator=self._key.pub_key.address.hex())
        self._keeping = asyncio.create_task(self._keep(), name="hold the key")

    async def close(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        self._is_here = False

    async def ask(self, asked: pb.Message, kind: str, *, extends: bool = False) -> pb.Message:
        """The answer, of this kind. extends: a vote's extension is signed, too. Raises SignerLinkLost."""
        async with self._turn:
            if not self._is_here:
                raise KeyLost(f"{self._key.where} is not connected")
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await self._answer(asked, kind, extends=extends)
            except TimeoutError:
                error = KeyLost(f"{self._key.where} did not sign within {ANSWER_S:g} s")
                self.lose(str(error))
                raise error from None
            except BaseException as error:
                self.lose(str(error) or "its answer is not waited for any more")
                raise

    def lose(self, why: str) -> None:
        """It is connected to anew before it is asked again."""
        if self._is_here:
            self._is_here = False
            self.losses += 1
            log.warning("its signer is lost: this validator misses votes until it is back", why=why)
            self._told = why
            self._lost.set()
            self._change()

    async def _answer(self, asked: pb.Message, kind: str, *, extends: bool) -> pb.Message:
        if kind == "signed_vote_response":
            vote = Vote.from_proto(asked.sign_vote_request.vote)
            signature = await self._key.sign(vote.sign_bytes(self._chain_id))
            extension = await self._key.sign(vote.extension_sign_bytes(self._chain_id)) if extends else b""
            signed = vote.signed(signature, extension_signature=extension)
            return pb.Message(signed_vote_response=pb.SignedVoteResponse(vote=signed.to_proto()))
        assert kind == "signed_proposal_response", kind
        proposal = Proposal.from_proto(asked.sign_proposal_request.proposal)
        ready = proposal.signed(await self._key.sign(proposal.sign_bytes(self._chain_id)))
        return pb.Message(signed_proposal_response=pb.SignedProposalResponse(proposal=ready.to_proto()))

    async def _keep(self) -> None:
        while True:
            with contextlib.suppress(SignerLinkLost):
                await self._connect()
                await self._lost.wait()
            await asyncio.sleep(RETRY_S)

    async def _connect(self) -> None:
        self._lost.clear()
        try:
            await self._key.connect()
        except SignerLinkLost as error:
            if str(error) != self._told:  # a line for each reason, not for each try
                log.warning("its signer is not there, goes on trying", why=str(error))
                self._told = str(error)
            raise
        self._is_here, self._told = True, ""
        log.info("its signer is connected", where=self._key.where)
        self._change()

    def _change(self) -> None:
        self.on_change(self._is_here)
        self.changed.set()
