"""The validator's side of privval: whom it takes for its signer, what it takes for an answer, and its own record."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.packets import uvarint
from consensus.privval import remote
from consensus.privval.channel import MESSAGE_BYTES_MAX, Channel, SignerAddress, dial
from consensus.privval.errors import SignerLinkLost
from consensus.privval.remote import RemoteKey, RemoteSigner, SignerDoor
from consensus.privval.serving import SignerService
from consensus.privval.signer import FileSigner
from consensus.simulation.disk import SimulatedDisk
from consensus.system.clock import InlineWorkers
from consensus.system.errors import SigningRefused
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, Proposal, Vote
from proto.tendermint.privval import types_pb2 as pb
from tests.support.engine.bench import key_of

CHAIN = "remote"
OURS, THEIRS = Path("/node/state.json"), Path("/signer/state.json")
A = BlockID(b"a" * 32, PartSetHeader(1, b"p" * 32))
B = BlockID(b"b" * 32, PartSetHeader(1, b"p" * 32))
NODE, SIGNER = NodeKey.from_seed(b"n" * 32), NodeKey.from_seed(b"s" * 32)
KEY = key_of(0)
Answer = Callable[[pb.Message], pb.Message]


def vote(height: int = 5, block_id: BlockID = A, time_ns: int = 7 * 10**18) -> Vote:
    return Vote(PRECOMMIT, height, 0, block_id, time_ns, KEY.pub_key.address)


def proposal(height: int = 5) -> Proposal:
    return Proposal(height, 0, -1, A, 7 * 10**18)


def service(key: int = 0) -> SignerService:
    disk = SimulatedDisk()
    FileSigner.create_state(disk, THEIRS)
    return SignerService(FileSigner(disk, key_of(key), THEIRS), CHAIN)


class Bench:
    """A node's signer, and whoever connects to it."""

    def __init__(self, disk: SimulatedDisk, signer: RemoteSigner, address: SignerAddress) -> None:
        self.disk, self.signer, self.address = disk, signer, address
        self.tasks: list[asyncio.Task[None]] = []

    async def connect(self, answer: Answer, key: NodeKey = SIGNER) -> Channel:
        channel = await dial(self.address, key)

        async def serve() -> None:
            with contextlib.suppress(SignerLinkLost):
                while True:
                    await channel.send(answer(await channel.receive()))
            channel.close()

        self.tasks.append(asyncio.create_task(serve()))
        return channel

    async def vote(self, one: Vote) -> Vote:
        return await self.signer.sign_vote_away(CHAIN, one, with_extension=False)


@contextlib.asynccontextmanager
async def bench(
    tmp_path: Path, *, tcp: bool = False, signer_id: str = "", disk: SimulatedDisk | None = None
) -> AsyncIterator[Bench]:
    address = SignerAddress("127.0.0.1", 0) if tcp else SignerAddress(path=str(tmp_path / "s"))
    disk = disk or SimulatedDisk()
    key = RemoteKey(KEY.pub_key, address, NODE, signer_id)
    with capture_logs():
        signer = RemoteSigner.open(disk, OURS, key, CHAIN, InlineWorkers())
        await signer.door.listen()
        if tcp:
            assert isinstance(signer.door, SignerDoor)
            address = SignerAddress("127.0.0.1", signer.door.port)
        made = Bench(disk, signer, address)
        try:
            async with asyncio.timeout(30):
                yield made
        finally:
            for task in made.tasks:
                task.cancel()
            await asyncio.gather(*made.tasks, return_exceptions=True)
            await signer.door.close()
            signer.close()


async def test_votes_and_proposals_are_signed_and_are_in_the_nodes_record_before_they_are(tmp_path: Path) -> None:
    asked: list[tuple[int, int, int]] = []
    serving = service()

    async with bench(tmp_path, tcp=True, signer_id=SIGNER.id) as node:

        def answer(message: pb.Message) -> pb.Message:
            asked.append(node.signer.last_position)
            return serving.answer(message)

        await node.connect(answer)
        assert (await node.signer.sign_proposal_away(CHAIN, proposal())).verify(CHAIN, KEY.pub_key)
        signed = await node.vote(vote())
        assert signed.verify(CHAIN, KEY.pub_key)
        assert asked[1:] == [(5, 0, 1), (5, 0, 3)]  # the first is for the public key
        assert node.signer.last_vote(CHAIN) == signed
        again = RemoteSigner.open(
            node.disk.crashed(), OURS, RemoteKey(KEY.pub_key, node.address, NODE), CHAIN, InlineWorkers()
        )
        assert again.last_vote(CHAIN) == signed


async def test_the_nodes_own_record_forbids_a_double_sign_whatever_the_signer_would_do(tmp_path: Path) -> None:
    async with bench(tmp_path) as node:
        await node.connect(service().answer)
        first = await node.vote(vote())
        await node.connect(lambda message: service().answer(message))  # forgets what it signed
        for bad in (vote(block_id=B), vote(block_id=BlockID()), vote(4), replace(vote(), type=1)):
            with pytest.raises(SigningRefused):
                await node.vote(bad)
        assert (await node.vote(vote(time_ns=8 * 10**18))).block_id == first.block_id
        node.signer.raise_floor(9)
        with pytest.raises(SigningRefused, match="arrived decided"):
            await node.vote(vote(9))


async def test_what_was_asked_for_before_a_stop_is_all_that_is_asked_for_after_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as node:
        waiting = asyncio.create_task(node.vote(vote()))  # nobody is connected
        await asyncio.sleep(0)
        waiting.cancel()
        disk = node.disk.crashed()
    async with bench(tmp_path, disk=disk) as node:
        await node.connect(service().answer)
        assert node.signer.last_vote(CHAIN) is None
        with pytest.raises(SigningRefused, match="double sign"):
            await node.vote(vote(block_id=B))
        assert (await node.vote(vote())).verify(CHAIN, KEY.pub_key)


async def test_a_signer_that_comes_late_or_comes_back_is_asked_again(tmp_path: Path) -> None:
    """Failure 11."""
    serving = service()
    async with bench(tmp_path) as node:
        waiting = asyncio.create_task(node.vote(vote()))
        first = await node.connect(serving.answer)
        assert (await waiting).verify(CHAIN, KEY.pub_key)
        first.close()
        waiting = asyncio.create_task(node.vote(vote(6)))
        while not waiting.done():  # until the node has seen the loss, it takes nobody else
            with contextlib.suppress(SignerLinkLost):
                await node.connect(serving.answer)
            await asyncio.sleep(0.01)
        assert (await waiting).height == 6
        assert node.signer.door.losses >= 1


async def test_a_height_that_is_decided_meanwhile_is_not_waited_for(tmp_path: Path) -> None:
    async with bench(tmp_path) as node:
        waiting = asyncio.create_task(node.vote(vote()))
        await asyncio.sleep(0)
        node.signer.raise_floor(5)
        with pytest.raises(SigningRefused, match="was decided before the signer answered"):
            await waiting


async def test_an_answer_for_a_height_that_went_by_is_kept_back_and_counts_as_signed(tmp_path: Path) -> None:
    async with bench(tmp_path) as node:

        def answer(message: pb.Message) -> pb.Message:
            if message.HasField("sign_vote_request"):
                node.signer.raise_floor(5)
            return serving.answer(message)

        serving = service()
        await node.connect(answer)
        with pytest.raises(SigningRefused, match="kept back"):
            await node.vote(vote())
        assert node.signer.last_vote(CHAIN) is not None


async def test_what_the_signer_refuses_is_abstained_from_and_the_next_is_asked_for(tmp_path: Path) -> None:
    serving = service()
    serving.answer(pb.Message(sign_vote_request=pb.SignVoteRequest(vote=vote(7).to_proto(), chain_id=CHAIN)))
    async with bench(tmp_path) as node:
        await node.connect(serving.answer)
        with pytest.raises(SigningRefused, match="the signer says"):
            await node.vote(vote(6))
        assert (await node.vote(vote(8))).height == 8


def other_vote(message: pb.Message) -> pb.Message:
    """Signs, but for B."""
    if message.HasField("sign_vote_request"):
        message.sign_vote_request.vote.CopyFrom(vote(message.sign_vote_request.vote.height, B).to_proto())
    return service().answer(message)


def bad_signature(message: pb.Message) -> pb.Message:
    answer = service().answer(message)
    if answer.HasField("signed_vote_response"):
        answer.signed_vote_response.vote.signature = b"\1" * 64
    return answer


def empty(message: pb.Message) -> pb.Message:
    return pb.Message() if message.HasField("sign_vote_request") else service().answer(message)


def another_kind(message: pb.Message) -> pb.Message:
    return (
        pb.Message(ping_response=pb.PingResponse())
        if message.HasField("sign_vote_request")
        else service().answer(message)
    )


def nothing_signed(message: pb.Message) -> pb.Message:
    if message.HasField("sign_vote_request"):
        return pb.Message(signed_vote_response=pb.SignedVoteResponse())
    return service().answer(message)


@pytest.mark.parametrize("lie", [other_vote, bad_signature, empty, another_kind, nothing_signed])
async def test_an_answer_to_something_else_costs_the_connection_and_nothing_is_signed(
    tmp_path: Path, lie: Answer
) -> None:
    async with bench(tmp_path) as node:
        await node.connect(lie)
        waiting = asyncio.create_task(node.vote(vote()))
        while node.signer.door.losses == 0:  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0.01)
        assert not waiting.done()
        assert node.signer.last_vote(CHAIN) is None
        await node.connect(service().answer)
        assert (await waiting).verify(CHAIN, KEY.pub_key)


async def test_a_signer_may_repeat_the_vote_that_it_signed_at_another_time(tmp_path: Path) -> None:
    serving = service()
    earlier = vote(time_ns=6 * 10**18)
    serving.answer(pb.Message(sign_vote_request=pb.SignVoteRequest(vote=earlier.to_proto(), chain_id=CHAIN)))
    async with bench(tmp_path) as node:
        await node.connect(serving.answer)
        signed = await node.vote(vote())
        assert signed.timestamp_ns == earlier.timestamp_ns
        assert signed.verify(CHAIN, KEY.pub_key)


async def test_a_slow_signer_is_lost_and_its_late_answer_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as node:
        channel = await dial(node.address, SIGNER)
        await channel.send(service().answer(await channel.receive()))
        monkeypatch.setattr(remote, "ANSWER_S", 0.05)
        waiting = asyncio.create_task(node.vote(vote()))
        asked = await channel.receive()
        while node.signer.door.losses == 0:  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0.01)
        monkeypatch.setattr(remote, "ANSWER_S", 5.0)
        with contextlib.suppress(SignerLinkLost):
            await channel.send(service().answer(asked))
        channel.close()
        assert not waiting.done()
        await node.connect(service().answer)
        assert (await waiting).verify(CHAIN, KEY.pub_key)


@pytest.mark.parametrize("who", ["another key", "another id", "an error", "garbage", "a huge length"])
async def test_a_stranger_is_not_taken_for_the_signer(tmp_path: Path, who: str) -> None:
    async with bench(tmp_path, tcp=who == "another id", signer_id=SIGNER.id) as node:
        match who:
            case "another key":
                await node.connect(service(1).answer)
            case "another id":
                await node.connect(service().answer, NODE)
            case "an error":
                await node.connect(SignerService(service().signer, "another chain").answer)
            case _:
                reader, writer = await asyncio.open_unix_connection(node.address.path)
                writer.write(b"\xff" * 100 if who == "garbage" else uvarint(MESSAGE_BYTES_MAX + 1))
                while await reader.read(1_000):
                    pass
                writer.close()
        assert not node.signer.door.is_connected
        waiting = asyncio.create_task(node.vote(vote()))
        while not waiting.done():
            with contextlib.suppress(SignerLinkLost):
                await node.connect(service().answer)
            await asyncio.sleep(0.01)
        assert (await waiting).verify(CHAIN, KEY.pub_key)


async def test_a_vote_with_an_extension_that_fits_into_no_message_is_abstained_from(tmp_path: Path) -> None:
    async with bench(tmp_path) as node:
        with pytest.raises(SigningRefused, match="a signer takes"):
            await node.signer.sign_vote_away(
                CHAIN, replace(vote(), extension=bytes(MESSAGE_BYTES_MAX)), with_extension=True
            )


async def test_an_extension_is_signed_with_the_precommit(tmp_path: Path) -> None:
    async with bench(tmp_path) as node:
        await node.connect(service().answer)
        signed = await node.signer.sign_vote_away(CHAIN, replace(vote(), extension=b"x"), with_extension=True)
        assert signed.verify_extension(CHAIN, KEY.pub_key)
