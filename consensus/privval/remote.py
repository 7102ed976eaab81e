"""The validator's side: a signer on another machine, and our own record in front of it.

The node listens, the signer dials. Whoever connects is the signer only if it holds the connection key that was named
(over TCP) and says the consensus key that was named; every signature is checked before anybody sees it. One question is
under way at a time. An answer that does not come in time, or is not to what was asked, costs the connection, so that no
answer is ever taken for another question's; the question is asked again of whoever connects next, until its height is
decided. Losing the signer ends nothing.

Before a question leaves, the node's own record says so on disk: whatever the signer's record is worth, this node asks
for one content at a height, round and step, and after a stop for nothing below. The signature is recorded when it came,
also where its height went by meanwhile.
Source: CometBFT v0.38, privval/signer_listener_endpoint.go, privval/signer_client.go, privval/retry_signer_client.go.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol, TypeAlias, TypeVar

import structlog

from consensus.documents.files import SignState
from consensus.formats.errors import InvalidData
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.channel import MESSAGE_BYTES_MAX, Channel, SignerAddress, open_channel
from consensus.privval.errors import SignerLinkLost
from consensus.privval.held import HeldKey, KeyDoor
from consensus.privval.record import SignRecord
from consensus.privval.signer import VOTE_STEPS, FileSigner, Signer, SignStep, record_fault, recorded_vote, without_time
from consensus.system.clock import Workers
from consensus.system.disk import Disk
from consensus.system.errors import SigningRefused
from consensus.types.vote import Proposal, Vote
from crypto.errors import InvalidKey
from crypto.keys import PubKey, pub_key_from_proto
from proto.tendermint.privval import types_pb2 as pb

ANSWER_S: Final = 5.0  # CometBFT's time for an answer
PING_S: Final = 10 / 3  # after so long without a question
CONNECTIONS_MAX: Final = 4  # that are being shaken hands with: strangers cost no more

log = structlog.get_logger(__name__)

Signed = TypeVar("Signed", Vote, Proposal)


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A consensus key that a signer elsewhere has, and where it connects. signer_id: of its connection key, over TCP;
    empty: any. connection_key: ours, which the signer may know us by."""

    pub_key: PubKey
    address: SignerAddress
    connection_key: NodeKey
    signer_id: str = ""


AwayKey: TypeAlias = RemoteKey | HeldKey
"""A key that this process does not have."""


class Door(Protocol):
    """To whoever signs: a process that connects here (SignerDoor), or a token or a service (held.KeyDoor).

    changed: set whenever it came or was lost. on_change: is told whether it is here. losses: so far.
    """

    losses: int
    changed: asyncio.Event
    on_change: Callable[[bool], None]

    @property
    def is_connected(self) -> bool: ...

    async def listen(self) -> None:
        """Let it come, until `close`. Raises OSError: an address is taken."""
        ...

    async def close(self) -> None: ...

    async def ask(self, asked: pb.Message, kind: str, *, extends: bool = False) -> pb.Message:
        """The answer, of this kind. extends: a vote's extension is to be signed. Raises SignerLinkLost: nobody is
        connected, or now no more."""
        ...

    def lose(self, why: str) -> None:
        """Its connection is not used any more."""
        ...


class SignerDoor:
    """Where the signer connects: at most one is taken in, the others wait outside until it is lost.

    signer_id: of its connection key; empty: any over TCP. `on_change` is told whether one is here.
    """

    def __init__(self, key: RemoteKey, chain_id: str) -> None:
        self._address, self._key, self._signer_id = key.address, key.connection_key, key.signer_id
        self._pub_key, self._chain_id = key.pub_key, chain_id
        self._server: asyncio.Server | None = None
        self._channel: Channel | None = None
        self._greeting = 0
        self._told, self.losses = "", 0
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.changed = asyncio.Event()
        self.on_change: Callable[[bool], None] = lambda is_here: None

    @property
    def is_connected(self) -> bool:
        return self._channel is not None

    @property
    def port(self) -> int:
        """That is listened on over TCP."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def listen(self) -> None:
        """Raises OSError: the address is taken."""
        if self._address.path:
            _remove_socket(Path(self._address.path))
            before = os.umask(0o177)  # its owner alone may connect
            try:
                self._server = await asyncio.start_unix_server(self._accept, self._address.path)
            finally:
                os.umask(before)
        else:
            self._server = await asyncio.start_server(self._accept, self._address.host, self._address.port)
        log.info("listens for its signer", address=str(self._address), validator=self._pub_key.address.hex())

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._channel is not None or self._greeting >= CONNECTIONS_MAX:
            writer.close()
            return
        self._greeting += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        channel: Channel | None = None
        try:
            channel = await open_channel(reader, writer, None if self._address.path else self._key)
            await self._greet(channel)
        except SignerLinkLost as error:
            self._tell(f"refused a signer: {error}")
            if channel is not None:
                channel.close()
            return
        finally:
            self._greeting -= 1
            self._tasks.discard(task)
        if self.is_connected:  # another one was faster
            channel.close()
            return
        self._channel, self._told = channel, ""
        log.info("its signer is connected", signer_id=channel.peer_id)
        self._changed(is_here=True)
        keeping = asyncio.create_task(self._keep(channel), name="ping the signer")
        self._tasks.add(keeping)
        keeping.add_done_callback(self._tasks.discard)

    async def _greet(self, channel: Channel) -> None:
        """Raises SignerLinkLost: it is not our signer."""
        if self._signer_id and channel.peer_id not in ("", self._signer_id):
            raise SignerLinkLost(f"its id is {channel.peer_id}; allowed: {self._signer_id}")
        asked = pb.Message(pub_key_request=pb.PubKeyRequest(chain_id=self._chain_id))
        answer = (await _exchange(channel, asked, "pub_key_response")).pub_key_response
        if answer.HasField("error"):
            raise SignerLinkLost(f"it does not tell its key: {answer.error.description[:200]!r}")
        try:
            told = pub_key_from_proto(answer.pub_key)
        except (InvalidKey, ValueError) as error:
            raise SignerLinkLost(f"what it calls its key is none: {error}") from None
        if told != self._pub_key:
            raise SignerLinkLost(f"its key is of validator {told.address.hex()}, not {self._pub_key.address.hex()}")

    async def _keep(self, channel: Channel) -> None:
        """A line that is dead shows itself by a ping, before a vote needs it."""
        while self._channel is channel:
            await asyncio.sleep(PING_S)
            if self._channel is channel and not self._turn.locked():
                with contextlib.suppress(SignerLinkLost):
                    await self.ask(pb.Message(ping_request=pb.PingRequest()), "ping_response")

    async def ask(self, asked: pb.Message, kind: str, *, extends: bool = False) -> pb.Message:
        """As `Door`. Whether a vote is extended the protocol does not say: signers sign it for each block's."""
        async with self._turn:
            channel = self._channel
            if channel is None:
                raise SignerLinkLost("no signer is connected")
            try:
                return await _exchange(channel, asked, kind)
            except BaseException as error:  # also when nobody waits any more: its answer is nobody else's
                self.lose(str(error) or "its answer is not waited for any more")
                raise

    def lose(self, why: str) -> None:
        """Its connection is not used any more."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
            self.losses += 1
            log.warning("its signer is lost: this validator misses votes until it is back", why=why)
            self._changed(is_here=False)

    def _changed(self, *, is_here: bool) -> None:
        self.on_change(is_here)
        self.changed.set()

    def _tell(self, what: str) -> None:
        if what != self._told:  # a stranger that tries again and again is told once
            log.warning(what)
            self._told = what


async def _exchange(channel: Channel, asked: pb.Message, kind: str) -> pb.Message:
    try:
        async with asyncio.timeout(ANSWER_S):
            await channel.send(asked)
            answer = await channel.receive()
    except TimeoutError:
        raise SignerLinkLost(f"it did not answer within {ANSWER_S:g} s") from None
    if (got := answer.WhichOneof("sum")) != kind:
        raise SignerLinkLost(f"it answered {got or 'nothing'}, expected {kind}")
    return answer


def _remove_socket(path: Path) -> None:
    """That a process which ended left; anything else there is not ours to remove."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()


class RemoteSigner:
    """Signs by the signer behind `door`, with our own record in front. On the event loop alone."""

    def __init__(self, door: Door, key: AwayKey, record: SignRecord, workers: Workers) -> None:
        self.door, self._pub_key, self._record, self._workers = door, key.pub_key, record, workers
        self.has_record_elsewhere = isinstance(key, RemoteKey)
        self._floor = 0
        if record_fault(record.state, key.pub_key):  # it was of the key that the home had before: its position counts
            record.state = replace(record.state, signature=b"", sign_bytes=b"")

    @staticmethod
    def open(disk: Disk, state_path: Path, key: AwayKey, chain_id: str, workers: Workers) -> RemoteSigner:
        """The record is made where there is none: a signer elsewhere has its own, and of a key that is held for this
        process alone `guards` has looked before. Raises SignerError, InvalidFile."""
        if not disk.size(state_path):
            FileSigner.create_state(disk, state_path)
        record = SignRecord(disk, state_path, key.pub_key.address)
        door = SignerDoor(key, chain_id) if isinstance(key, RemoteKey) else KeyDoor(key, chain_id)
        return RemoteSigner(door, key, record, workers)

    @property
    def pub_key(self) -> PubKey:
        return self._pub_key

    @property
    def last_height(self) -> int:
        return self._record.state.height

    @property
    def last_position(self) -> tuple[int, int, int]:
        return self._record.state.position

    def last_vote(self, chain_id: str) -> Vote | None:
        return recorded_vote(self._record.state, self._pub_key, chain_id)

    def raise_floor(self, height: int) -> None:
        self._floor = max(self._floor, height)
        self.door.changed.set()  # who waits for the signer waits in vain

    def close(self) -> None:
        if not self._record.state.signature:  # asked, and not answered: that form has no place for it
            self._record.state = replace(self._record.state, sign_bytes=b"")
        self._record.close()

    async def sign_vote_away(self, chain_id: str, vote: Vote, *, with_extension: bool) -> Vote:
        """`vote` signed, when the signer has answered; its timestamp may be that of the same vote signed before.

        Raises SigningRefused, also when its height is decided meanwhile; OSError of our own record.
        """
        asked = pb.Message(sign_vote_request=pb.SignVoteRequest(vote=vote.to_proto(), chain_id=chain_id))
        sign_bytes = vote.sign_bytes(chain_id)

        def judge(answer: pb.Message) -> Vote:
            told = answer.signed_vote_response
            if told.HasField("error"):
                raise SigningRefused(f"the signer says: {told.error.description[:200]!r}")
            signed = Vote.from_proto(told.vote)
            if replace(vote, timestamp_ns=signed.timestamp_ns).sign_bytes(chain_id) != signed.sign_bytes(chain_id):
                raise SignerLinkLost("it answered with another vote than the one that it was asked for")
            signed = replace(
                vote, timestamp_ns=signed.timestamp_ns, signature=signed.signature,
                extension_signature=signed.extension_signature if with_extension else b"",
            )  # fmt: skip
            if not signed.verify(chain_id, self._pub_key):
                raise SignerLinkLost("its signature of a vote is not good")
            if with_extension and not signed.verify_extension(chain_id, self._pub_key):
                raise SignerLinkLost("its signature of a vote extension is not good")
            return signed

        position = (vote.height, vote.round, int(VOTE_STEPS[vote.type]))
        signed = await self._sign(position, sign_bytes, asked, "signed_vote_response", judge, extends=with_extension)
        await self._keep(position, signed.sign_bytes(chain_id), signed.signature)
        return signed

    async def sign_proposal_away(self, chain_id: str, proposal: Proposal) -> Proposal:
        """As `sign_vote_away`."""
        asked = pb.Message(
            sign_proposal_request=pb.SignProposalRequest(proposal=proposal.to_proto(), chain_id=chain_id)
        )

        def judge(answer: pb.Message) -> Proposal:
            told = answer.signed_proposal_response
            if told.HasField("error"):
                raise SigningRefused(f"the signer says: {told.error.description[:200]!r}")
            got = Proposal.from_proto(told.proposal)
            signed = replace(proposal, timestamp_ns=got.timestamp_ns, signature=got.signature)
            if got != signed:
                raise SignerLinkLost("it answered with another proposal than the one that it was asked for")
            if not signed.verify(chain_id, self._pub_key):
                raise SignerLinkLost("its signature of a proposal is not good")
            return signed

        position = (proposal.height, proposal.round, int(SignStep.PROPOSE))
        sign_bytes = proposal.sign_bytes(chain_id)
        signed = await self._sign(position, sign_bytes, asked, "signed_proposal_response", judge)
        await self._keep(position, signed.sign_bytes(chain_id), signed.signature)
        return signed

    async def _sign(
        self, position: tuple[int, int, int], sign_bytes: bytes, asked: pb.Message, kind: str,
        judge: Callable[[pb.Message], Signed], *, extends: bool = False,
    ) -> Signed:  # fmt: skip
        """Our record first, then the signer, until it answers. Raises SigningRefused, OSError."""
        where = f"height {position[0]} round {position[1]} {SignStep(position[2]).name.lower()}"
        if asked.ByteSize() > MESSAGE_BYTES_MAX:
            raise SigningRefused(f"{where}: {asked.ByteSize()} bytes, and a signer takes {MESSAGE_BYTES_MAX}")
        self._check(position, sign_bytes, where)
        if position != self._record.state.position:
            state = SignState(*position, sign_bytes=sign_bytes)
            await self._workers.run_disk(lambda: self._record.write(state))
        while True:
            self.door.changed.clear()
            if position[0] <= self._floor:
                raise SigningRefused(f"{where}: the height was decided before the signer answered")
            if not self.door.is_connected:
                await self.door.changed.wait()
                continue
            with contextlib.suppress(SignerLinkLost):
                answer = await self.door.ask(asked, kind, extends=extends)
                try:
                    return judge(answer)
                except (InvalidData, SignerLinkLost) as error:
                    self.door.lose(str(error))

    def _check(self, position: tuple[int, int, int], sign_bytes: bytes, where: str) -> None:
        """Raises SigningRefused."""
        last = self._record.state
        if position[0] <= self._floor:
            raise SigningRefused(f"{where}: height {self._floor} arrived decided; nothing at or below it is signed")
        if position < last.position:
            raise SigningRefused(f"{where} is before the last asked for: {'/'.join(map(str, last.position))}")
        if position == last.position:
            step = SignStep(position[2])
            if not last.sign_bytes or without_time(step, sign_bytes) != without_time(step, last.sign_bytes):
                raise SigningRefused(f"{where}: something else was asked for there before; both would be a double sign")

    async def _keep(self, position: tuple[int, int, int], sign_bytes: bytes, signature: bytes) -> None:
        """What was signed, also where nobody waits for it any more. Raises SigningRefused then, and OSError."""
        state = SignState(*position, signature=signature, sign_bytes=sign_bytes)
        if state != self._record.state:
            await self._workers.run_disk(lambda: self._record.write(state))
        if position[0] <= self._floor:
            raise SigningRefused(
                f"height {position[0]} was decided before the signer answered; its answer is kept back"
            )


AnySigner: TypeAlias = Signer | RemoteSigner
