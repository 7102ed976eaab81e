"""The signer's side of privval: what it answers to a validator, and to whoever is none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.conn.packets import delimited, uvarint
from consensus.privval.channel import MESSAGE_BYTES_MAX, Channel, SignerAddress, open_channel
from consensus.privval.errors import BadSignerAddress, SignerLinkLost
from consensus.privval.serving import SignerProcess, SignerService
from consensus.privval.signer import FileSigner
from consensus.simulation.disk import SimulatedDisk
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, PREVOTE, Proposal, Vote
from crypto.keys import pub_key_from_proto
from proto.tendermint.privval import types_pb2 as pb
from tests.support.engine.bench import key_of

CHAIN = "remote"
PATH = Path("/data/priv_validator_state.json")
A = BlockID(b"a" * 32, PartSetHeader(1, b"p" * 32))
B = BlockID(b"b" * 32, PartSetHeader(1, b"p" * 32))
NODE = NodeKey.from_seed(b"n" * 32)
SIGNER = NodeKey.from_seed(b"s" * 32)


def service() -> SignerService:
    disk = SimulatedDisk()
    FileSigner.create_state(disk, PATH)
    return SignerService(FileSigner(disk, key_of(0), PATH), CHAIN)


def vote(height: int = 5, type: int = PRECOMMIT, block_id: BlockID = A, time_ns: int = 7 * 10**18) -> Vote:
    return Vote(type, height, 0, block_id, time_ns, b"\7" * 20)


def asked_vote(one: Vote, chain_id: str = CHAIN) -> pb.Message:
    return pb.Message(sign_vote_request=pb.SignVoteRequest(vote=one.to_proto(), chain_id=chain_id))


def asked_proposal(block_id: BlockID = A, height: int = 5) -> pb.Message:
    one = Proposal(height, 0, -1, block_id, 7 * 10**18)
    return pb.Message(sign_proposal_request=pb.SignProposalRequest(proposal=one.to_proto(), chain_id=CHAIN))


@pytest.mark.parametrize(
    "one", [vote(type=PREVOTE), vote(), vote(block_id=BlockID())], ids=["prevote", "precommit", "nil"]
)
def test_a_vote_comes_back_signed_and_a_precommit_for_a_block_with_its_extension(one: Vote) -> None:
    answer = service().answer(asked_vote(one)).signed_vote_response
    assert not answer.HasField("error")
    signed = Vote.from_proto(answer.vote)
    assert key_of(0).pub_key.verify(one.sign_bytes(CHAIN), signed.signature)
    assert signed.signed(b"", extension_signature=b"") == one
    extends = one.type == PRECOMMIT and not one.is_nil
    assert bool(signed.extension_signature) is extends
    assert not extends or signed.verify_extension(CHAIN, key_of(0).pub_key)


def test_the_public_key_a_proposal_and_a_ping_are_answered() -> None:
    serving = service()
    told = serving.answer(pb.Message(pub_key_request=pb.PubKeyRequest(chain_id=CHAIN))).pub_key_response
    assert pub_key_from_proto(told.pub_key) == key_of(0).pub_key
    signed = Proposal.from_proto(serving.answer(asked_proposal()).signed_proposal_response.proposal)
    assert signed.verify(CHAIN, key_of(0).pub_key)
    assert serving.answer(pb.Message(ping_request=pb.PingRequest())).HasField("ping_response")


REFUSED = {
    "another chain": asked_vote(vote(6), "other"),
    "a double sign": asked_vote(vote(block_id=B)),
    "below the record": asked_vote(vote(4)),
    "height 0": asked_vote(vote(0)),
    "a negative round": asked_vote(Vote(PREVOTE, 6, -1, A, 7 * 10**18)),
    "a proposal as a vote": asked_vote(vote(6, type=32)),
    "half a block id": asked_vote(vote(6, block_id=BlockID(b"a" * 32))),
    "a long hash": asked_vote(vote(6, block_id=BlockID(b"a" * 5_000, PartSetHeader(1, b"p" * 32)))),
    "nothing": pb.Message(sign_vote_request=pb.SignVoteRequest(chain_id=CHAIN)),
}


@pytest.mark.parametrize("asked", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_answered_by_an_error_and_changes_no_record(asked: pb.Message) -> None:
    serving = service()
    serving.answer(asked_vote(vote()))
    before = serving.signer.state
    with capture_logs():
        answer = serving.answer(asked).signed_vote_response
    assert answer.error.description
    assert not answer.vote.signature
    assert serving.signer.state == before
    assert not serving.answer(asked_vote(vote(6))).signed_vote_response.HasField("error")


@pytest.mark.parametrize("height", [2**63 - 1, 2**63 - 16, 2**63 - 17, 2**62])
def test_a_height_that_no_record_can_go_beyond_is_refused(height: int) -> None:
    """audit 85: the record of heights above it did not fit its file, and the signer ended with a traceback."""
    serving = service()
    assert not serving.answer(asked_vote(vote(5))).signed_vote_response.HasField("error")
    assert serving.answer(asked_vote(vote(height))).signed_vote_response.HasField("error")
    assert serving.answer(asked_proposal(height=height)).signed_proposal_response.HasField("error")
    assert not serving.answer(asked_vote(vote(6))).signed_vote_response.HasField("error")


def test_what_is_refused_again_and_again_is_no_line_each_time() -> None:
    """audit 85: a validator asked for another chain, by a name of ten kilobytes, and filled the vault's disk."""
    serving = service()
    with capture_logs() as said:
        for number in range(1_000):
            serving.answer(asked_vote(vote(), f"{number}" + "x" * 10_000))
    assert sum(len(str(line)) for line in said) < 1_000
    assert said[0]["what"] == "a vote"


def test_a_refused_proposal_and_a_key_asked_for_another_chain_are_errors_too() -> None:
    serving = service()
    serving.answer(asked_proposal())
    with capture_logs():
        assert serving.answer(asked_proposal(B)).signed_proposal_response.error.description
        assert serving.answer(asked_proposal(BlockID())).signed_proposal_response.error.description
        assert serving.answer(asked_proposal(height=0)).signed_proposal_response.error.description
        assert serving.answer(
            pb.Message(pub_key_request=pb.PubKeyRequest(chain_id="x"))
        ).pub_key_response.error.description


@given(st.binary(max_size=200))
def test_whatever_bytes_a_message_has_it_is_answered_or_costs_the_connection(data: bytes) -> None:
    try:
        asked = pb.Message.FromString(data)
    except ValueError:
        return
    except Exception as error:  # the parser's own
        assert type(error).__name__ == "DecodeError"  # noqa: PT017 - any other one fails
        return
    with capture_logs(), contextlib.suppress(SignerLinkLost):
        service().answer(asked)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("tcp://10.0.0.1:26659", SignerAddress("10.0.0.1", 26659)), ("tcp://[::1]:5", SignerAddress("::1", 5)),
        ("unix:///run/s.sock", SignerAddress(path="/run/s.sock")), ("10.0.0.1:26659", None), ("tcp://host", None),
        ("tcp://:1", None), ("tcp://h:65536", None), ("unix://", None), ("unix://" + "x" * 108, None),
        ("udp://h:1", None),
    ],
)  # fmt: skip
def test_addresses(text: str, want: SignerAddress | None) -> None:
    if want is None:
        with pytest.raises(BadSignerAddress, match="allowed: tcp://HOST:PORT or unix://PATH"):
            SignerAddress.parse(text)
    else:
        assert SignerAddress.parse(text) == want
        assert SignerAddress.parse(str(want)) == want


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def served(tmp_path: Path, *, tcp: bool = False, allowed_id: str = "") -> AsyncIterator[asyncio.Queue[Streams]]:
    """A signer that dials us: its connections, as they come."""
    came: asyncio.Queue[Streams] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.put_nowait((reader, writer))

    if tcp:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        address = SignerAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    else:
        server = await asyncio.start_unix_server(accept, tmp_path / "s")
        address = SignerAddress(path=str(tmp_path / "s"))
    with capture_logs():
        running = asyncio.create_task(SignerProcess(service(), address, SIGNER, allowed_id=allowed_id).run())
        try:
            async with asyncio.timeout(20):
                yield came
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            server.close()


async def ask(channel: Channel, message: pb.Message) -> pb.Message:
    await channel.send(message)
    return await channel.receive()


async def test_over_tcp_both_sides_prove_their_keys_and_after_a_loss_it_dials_again(tmp_path: Path) -> None:
    async with served(tmp_path, tcp=True, allowed_id=NODE.id) as came:
        for height in (5, 6):
            channel = await open_channel(*await came.get(), NODE)
            assert channel.peer_id == SIGNER.id
            answer = await ask(channel, asked_vote(vote(height)))
            assert answer.signed_vote_response.vote.signature
            channel.close()


async def test_another_node_than_the_allowed_one_gets_no_answer(tmp_path: Path) -> None:
    async with served(tmp_path, tcp=True, allowed_id="0" * 40) as came:
        channel = await open_channel(*await came.get(), NODE)
        with pytest.raises(SignerLinkLost):
            await ask(channel, asked_vote(vote()))
        channel.close()


JUNK = {
    "no protobuf": delimited(b"\xff" * 30),
    "a length above the limit": uvarint(MESSAGE_BYTES_MAX + 1),
    "a length without an end": b"\xff" * 20,
    "an answer": delimited(pb.Message(ping_response=pb.PingResponse()).SerializeToString()),
    "nothing in it": delimited(b""),
    "the end of the line": b"",
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
async def test_garbage_costs_the_connection_and_the_signer_dials_again(tmp_path: Path, junk: bytes) -> None:
    async with served(tmp_path) as came:
        reader, writer = await came.get()
        writer.write(junk)
        if not junk:
            writer.close()
        assert await reader.read() == b""  # closed, without an answer
        writer.close()
        channel = await open_channel(*await came.get(), None)
        assert (await ask(channel, asked_vote(vote()))).signed_vote_response.vote.signature
        channel.close()


async def test_messages_that_come_in_pieces_or_together_are_answered_in_turn(tmp_path: Path) -> None:
    async with served(tmp_path) as came:
        reader, writer = await came.get()
        data = b"".join(delimited(asked_vote(vote(height)).SerializeToString()) for height in (5, 6))
        for start in range(0, len(data), 50):
            writer.write(data[start : start + 50])
            await writer.drain()
        channel = Channel(reader, writer)
        heights = [(await channel.receive()).signed_vote_response.vote.height for _ in range(2)]
        assert heights == [5, 6]
        channel.close()
