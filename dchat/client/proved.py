"""Checking a node's answers, one method for each question that has a proof.

Each takes the answer of a call with `prove` and what was asked for, and returns what was shown by which header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from bridge.records import RECEIPT
from chain.chat.ballots import PROPOSAL, vote_key
from chain.chat.channels.records import CHANNEL
from chain.chat.ledger.records import IDENTITY, IDENTITY_NAME
from chain.currency.ledger.records import ACCOUNT, EPOCHS
from chain.kernel.branch import RecordKind
from chain.state.roots import BRIDGE, CHAT, CURRENCY
from chain.tx.codec import height_bytes
from consensus.formats.timestamps import format_rfc3339
from consensus.types.light import LightBlock
from dchat.client.verify import ProofFailed, Verifier
from proto.dchat.v1 import governance_service_pb2, state_pb2
from proto.dchat.v1 import service_pb2 as pb

StateAnswer = (
    pb.GetAccountResponse | pb.GetIdentityResponse | pb.GetChannelResponse | pb.GetBundleResponse
    | pb.GetRecordResponse | governance_service_pb2.GetProposalResponse | governance_service_pb2.GetVoteResponse
)  # fmt: skip
Record = TypeVar("Record", bound=Message)


@dataclass(frozen=True)
class Checked:
    """What was shown, and by which header."""

    what: str
    light: LightBlock

    @property
    def header(self) -> dict[str, object]:
        """The header, for people."""
        return {
            "header_height": self.light.height,
            "header_hash": self.light.hash.hex().upper(),
            "header_time": format_rfc3339(self.light.header.time_ns),
            "app_hash": self.light.header.app_hash.hex().upper(),
        }


class Proved:
    """Checks answers with one verifier. Every method raises ProofFailed, ClientError."""

    def __init__(self, verifier: Verifier) -> None:
        self.verifier = verifier

    async def tx(self, answer: pb.GetTxResponse, tx_hash: bytes) -> Checked:
        light = await self.verifier.tx(answer, tx_hash)
        where = f"number {answer.index} of block {answer.height}"
        return Checked(f"transaction {tx_hash.hex()} is {where}; its code, data and gas are as told", light)

    async def _record(self, answer: StateAnswer, store: str, key: bytes, told: Message | None, what: str) -> Checked:
        """The answer's record is, byte for byte in meaning, the proved one; without a record the key is absent."""
        proof = answer.proof
        if proof.height != answer.height:
            raise ProofFailed(f"{what}: the answer is of height {answer.height}, its proof of {proof.height}")
        value = proof.value or None
        if (value is None) != (told is None):
            raise ProofFailed(f"{what}: the answer and its proof disagree on whether it exists")
        if value is not None and told is not None and _read(type(told), value, what) != told:
            raise ProofFailed(f"{what}: the answer is not the value that is proved")
        light = await self.verifier.state(proof, store=store, key=key, value=value)
        state = "exists as told" if value is not None else "does not exist"
        return Checked(f"{what} {state} after block {proof.height}", light)

    async def account(self, answer: pb.GetAccountResponse, address: bytes) -> Checked:
        told = answer.account if answer.HasField("account") else None
        return await self._record(answer, CURRENCY, ACCOUNT[1:] + address, told, "the account")

    async def identity(self, answer: pb.GetIdentityResponse, address: bytes) -> Checked:
        told = answer.identity if answer.HasField("identity") else None
        return await self._record(answer, CHAT, IDENTITY[1:] + address, told, "the identity")

    async def named_identity(self, answer: pb.GetIdentityResponse, name: str) -> Checked:
        if not answer.HasField("identity"):
            return await self._record(answer, CHAT, IDENTITY_NAME[1:] + name.encode(), None, f"the name {name}")
        if answer.identity.name != name:
            raise ProofFailed(f"asked for {name!r}, got {answer.identity.name!r}")
        return await self.identity(answer, answer.identity.address)

    async def channel(self, answer: pb.GetChannelResponse, channel_id: bytes) -> Checked:
        told = answer.channel if answer.HasField("channel") else None
        return await self._record(answer, CHAT, CHANNEL[1:] + channel_id, told, "the channel")

    async def bundle(self, answer: pb.GetBundleResponse, replay_id: bytes) -> Checked:
        told = answer.receipt if answer.HasField("receipt") else None
        return await self._record(answer, BRIDGE, RECEIPT[1:] + replay_id, told, "the receipt")

    async def record(self, answer: pb.GetRecordResponse, kind: RecordKind, name: bytes) -> Checked:
        """Of any kind, whose key is the kind's prefix and `name`."""
        told = _read(kind.schema, answer.value, kind.what) if answer.HasField("value") else None
        return await self._record(answer, kind.store, kind.key(name), told, kind.what)

    async def epoch(self, answer: pb.GetRecordResponse, address: bytes, *, height: int) -> None:
        """That an account was in the epoch that is told, on the currency chain after that block."""
        proof, (store, key) = answer.proof, EPOCHS.place(address)
        if not height == answer.height == proof.height:
            raise ProofFailed(f"the epoch is told of {answer.height}, proved of {proof.height}, asked was {height}")
        if proof.value != answer.value:
            raise ProofFailed("the epoch is not the value that is proved")
        await self.verifier.state(proof, store=store, key=key, value=proof.value or None)

    async def proposal(self, answer: governance_service_pb2.GetProposalResponse, number: int) -> Checked:
        told = answer.proposal if answer.HasField("proposal") else None
        return await self._record(answer, CHAT, PROPOSAL[1:] + height_bytes(number), told, f"proposal {number}")

    async def vote(
        self, answer: governance_service_pb2.GetVoteResponse, number: int, ballot: int, voter: bytes
    ) -> Checked:
        """ballot: the proposal's, which says itself which of its ballots is the last."""
        told = answer.vote if answer.HasField("vote") else None
        return await self._record(answer, CHAT, vote_key(number, ballot, voter)[1:], told, "the vote")

    async def message(self, answer: pb.GetMessageResponse, channel_id: bytes, index: int) -> Checked:
        """Without a message in the answer: that the channel does not exist, or ends before `index`."""
        is_there = answer.HasField("message")
        many = pb.ListMessagesResponse(
            height=answer.height,
            messages=[answer.message] if is_there else [],
            paths=[answer.path] if is_there else [],
            channel_proof=answer.channel_proof,
        )
        checked = await self.messages(many, channel_id, index)
        if is_there and answer.message.forgotten:
            what = f"message {index} of the channel was there, and its body is not told; its commitment is as told"
            return Checked(f"{what} after block {answer.height}", checked.light)
        if is_there:
            return Checked(f"message {index} of the channel is as told after block {answer.height}", checked.light)
        count = _read(state_pb2.Channel, answer.channel_proof.value, "the channel").message_count
        if index < count:
            raise ProofFailed(f"message {index} is not told, and the channel has {count}")
        return Checked(f"message {index} does not exist after block {answer.height}: there are {count}", checked.light)

    async def messages(self, answer: pb.ListMessagesResponse, channel_id: bytes, from_index: int) -> Checked:
        """Each message is at its place in the channel's mountain range, whose peaks the state holds.

        Without messages it is shown that there is no channel, or how many messages it has.
        """
        proof = answer.channel_proof
        if proof.height != answer.height:
            raise ProofFailed(f"the answer is of height {answer.height}, its proof of {proof.height}")
        light = await self.verifier.state(proof, store=CHAT, key=CHANNEL[1:] + channel_id, value=proof.value or None)
        channel = _read(state_pb2.Channel, proof.value, "the channel")
        if len(answer.messages) != len(answer.paths):
            raise ProofFailed(f"{len(answer.messages)} messages came with {len(answer.paths)} paths")
        for number, (message, path) in enumerate(zip(answer.messages, answer.paths, strict=True)):
            index = from_index + number
            if (message.channel_id, message.index, path.index) != (channel_id, index, index):
                raise ProofFailed(f"message {message.index} stands where message {index} should")
            if message.forgotten or message.leaf_hash:
                self._forgotten(channel, path, message)
            else:
                self.verifier.message(channel, path, message.SerializeToString(deterministic=True))
        if not proof.value:
            return Checked(f"the channel does not exist after block {proof.height}", light)
        return Checked(f"{len(answer.messages)} of {channel.message_count} messages after block {proof.height}", light)

    def _forgotten(self, channel: state_pb2.Channel, path: pb.MountainProof, message: state_pb2.ChatMessage) -> None:
        """Its commitment is in its place; that the body is gone, and why, is the node's word. So it may say no more."""
        if message != _provable(message):
            raise ProofFailed(f"message {message.index} is told as forgotten, with more than is proved")
        self.verifier.message_leaf(channel, path, message.leaf_hash)


def _provable(message: state_pb2.ChatMessage) -> state_pb2.ChatMessage:
    return state_pb2.ChatMessage(
        channel_id=message.channel_id, index=message.index, leaf_hash=message.leaf_hash, forgotten=message.forgotten
    )


def _read(kind: type[Record], stored: bytes, what: str) -> Record:
    """Bytes that a node gave as a record. Raises ProofFailed."""
    try:
        return kind.FromString(stored)
    except DecodeError as error:
        raise ProofFailed(f"{what}: its {len(stored)} proved bytes are no record of it") from error
