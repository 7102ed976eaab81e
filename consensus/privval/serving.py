"""The signer's side: answers a validator's questions with a key and its record, and dials again whenever it is lost.

Any node that speaks CometBFT's privval protocol may ask: ours, or a CometBFT one. What the record refuses, a question
of another chain, or one that is no vote and no proposal, is answered by an error and costs nothing else.
Source: CometBFT v0.38, privval/signer_requestHandler.go, privval/signer_server.go.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from consensus.formats.errors import InvalidData, InvalidVote
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.channel import Channel, SignerAddress, dial
from consensus.privval.errors import SignerLinkLost
from consensus.privval.signer import VOTE_STEPS, FileSigner
from consensus.system.errors import SigningRefused
from consensus.system.log_limit import LogLimit
from consensus.types.vote import PRECOMMIT, Proposal, Vote
from crypto.keys import pub_key_to_proto
from proto.tendermint.privval import types_pb2 as pb
from proto.tendermint.types import types_pb2

RETRY_S: Final = 0.25  # between two tries to reach the validator: it misses votes meanwhile
IDLE_S: Final = 15.0  # without a question: validators ping every 3.3 s, so the line is dead
ANSWER_S: Final = 5.0  # for an answer to leave: CometBFT's time to read it
UNSIGNED: Final = b"\0"  # stands for the signature where only the rest is judged
HEIGHT_MAX: Final = (1 << 62) - 1  # no chain comes there; its record says heights above what is signed, in 64 bits
OTHER_CHAIN_CHARS_MAX: Final = 64  # that are told of
ROUND_MAX: Final = (1 << 31) - 1

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class SignerService:
    """Answers for one key and one chain. `answer` blocks on the disk: call it from a thread."""

    signer: FileSigner
    chain_id: str
    _limited: LogLimit = field(default_factory=lambda: LogLimit(log, source_name="what"), repr=False)

    def answer(self, asked: pb.Message) -> pb.Message:
        """Raises SignerLinkLost for what nobody asks a signer, and what the disk raises."""
        kind = asked.WhichOneof("sum")
        match kind:
            case "ping_request":
                return pb.Message(ping_response=pb.PingResponse())
            case "pub_key_request":
                return pb.Message(pub_key_response=self._pub_key(asked.pub_key_request))
            case "sign_vote_request":
                return pb.Message(signed_vote_response=self._vote(asked.sign_vote_request))
            case "sign_proposal_request":
                return pb.Message(signed_proposal_response=self._proposal(asked.sign_proposal_request))
            case _:
                raise SignerLinkLost(f"the validator sent {kind or 'an empty message'}, which no signer answers")

    def _pub_key(self, asked: pb.PubKeyRequest) -> pb.PubKeyResponse:
        if why := self._other_chain(asked.chain_id):
            return pb.PubKeyResponse(error=self._refused("the public key", why))
        return pb.PubKeyResponse(pub_key=pub_key_to_proto(self.signer.pub_key))

    def _vote(self, asked: pb.SignVoteRequest) -> pb.SignedVoteResponse:
        try:
            if why := self._other_chain(asked.chain_id):
                raise SigningRefused(why)
            vote = _vote_of(asked.vote)
            extends = vote.type == PRECOMMIT and not vote.is_nil  # CometBFT wants it signed, also where it has none
            signed = self.signer.sign_vote(self.chain_id, vote, with_extension=extends)
        except (SigningRefused, InvalidData) as error:
            return pb.SignedVoteResponse(error=self._refused("a vote", str(error)))
        return pb.SignedVoteResponse(vote=signed.to_proto())

    def _proposal(self, asked: pb.SignProposalRequest) -> pb.SignedProposalResponse:
        try:
            if why := self._other_chain(asked.chain_id):
                raise SigningRefused(why)
            signed = self.signer.sign_proposal(self.chain_id, _proposal_of(asked.proposal))
        except (SigningRefused, InvalidData) as error:
            return pb.SignedProposalResponse(error=self._refused("a proposal", str(error)))
        return pb.SignedProposalResponse(proposal=signed.to_proto())

    def _other_chain(self, chain_id: str) -> str:
        other = chain_id[:OTHER_CHAIN_CHARS_MAX]
        return "" if chain_id == self.chain_id else f"this signer is of chain {self.chain_id!r}, not of {other!r}"

    def _refused(self, what: str, why: str) -> pb.RemoteSignerError:
        """A validator asks as often as it likes: not each time is a line."""
        self._limited.warning("refused to sign", what, why=why)
        return pb.RemoteSignerError(code=1, description=why)


def _vote_of(message: types_pb2.Vote) -> Vote:
    """Raises InvalidData: nothing that a validator may sign. The address is not signed, and not judged."""
    vote = Vote.from_proto(message)
    if vote.type not in VOTE_STEPS:
        raise InvalidVote(f"type is {vote.type}; allowed: {', '.join(str(type) for type in VOTE_STEPS)}")
    if not 0 < vote.height <= HEIGHT_MAX or not 0 <= vote.round <= ROUND_MAX:
        raise InvalidVote(f"height {vote.height} or round {vote.round} is out of range")
    if not (vote.block_id.is_zero or vote.block_id.is_complete):
        raise InvalidVote(f"block_id is neither zero nor complete: {vote.block_id}")
    return vote


def _proposal_of(message: types_pb2.Proposal) -> Proposal:
    """Raises InvalidData."""
    proposal = Proposal.from_proto(message)
    proposal.signed(UNSIGNED).validate()
    if not 0 < proposal.height <= HEIGHT_MAX:
        raise InvalidVote(f"height is {proposal.height}: nothing is proposed there")
    return proposal


class SignerProcess:
    """Dials the validator until it is cancelled, and answers it. allowed_id: the only node id that is answered, over
    TCP; empty: any, whom the address leads to. A CometBFT node shows a fresh one at each start."""

    def __init__(self, service: SignerService, address: SignerAddress, key: NodeKey, *, allowed_id: str = "") -> None:
        self._service, self._address, self._key, self._allowed_id = service, address, key, allowed_id

    async def run(self) -> None:
        """Raises what the disk raises, and SignerError."""
        told = ""
        while True:
            try:
                channel = await dial(self._address, self._key)
                try:
                    self._check(channel)
                    log.info("connected", validator=str(self._address), validator_id=channel.peer_id)
                    told = ""
                    await self._answer(channel)
                finally:
                    channel.close()
            except SignerLinkLost as error:
                if str(error) != told:  # a line for each state, not for each try
                    log.warning("not connected, goes on trying", validator=str(self._address), why=str(error))
                    told = str(error)
            await asyncio.sleep(RETRY_S)

    def _check(self, channel: Channel) -> None:
        if self._allowed_id and channel.peer_id not in ("", self._allowed_id):
            raise SignerLinkLost(f"node {channel.peer_id} listens there; allowed: {self._allowed_id}")

    async def _answer(self, channel: Channel) -> None:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    asked = await channel.receive()
            except TimeoutError:
                raise SignerLinkLost(f"the validator asked nothing for {IDLE_S:g} s") from None
            answer = await asyncio.to_thread(self._service.answer, asked)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await channel.send(answer)
            except TimeoutError:
                raise SignerLinkLost(f"the validator did not read an answer for {ANSWER_S:g} s") from None
