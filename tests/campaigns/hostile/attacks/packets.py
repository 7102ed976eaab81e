"""Floods of packets and of single messages behind a good handshake: numbers 7, 8, 10, 12 and 14 of the issue."""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.request
from collections.abc import Iterator

from consensus.channels import peer_messages as messages
from consensus.channels.extension import ExtensionMessage, HasPart, HasVotes, encode
from consensus.core.events import VoteKind
from consensus.formats.bits import BitArray
from consensus.p2p.conn.packets import PING, PONG
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PART_BYTES, Part, PartSet
from consensus.types.vote import PRECOMMIT, PREVOTE, Proposal, Vote
from crypto.hash import sha256
from proto.tendermint.p2p import pex_pb2
from tests.campaigns.hostile.wire import PAYLOAD_BYTES, Target, Wire, packet, packets
from tests.campaigns.hostile.world import World, attack

HEIGHT_MAX = (1 << 63) - 1
EVERY = 64  # messages made at once, then sent again and again


def random_id(world: World, total: int = 1) -> BlockID:
    return BlockID(world.rng.randbytes(32), PartSetHeader(total, world.rng.randbytes(32)))


class Where:
    """Height and round of one node, from what it says on the state channel."""

    def __init__(self, wire: Wire) -> None:
        self.height, self.round, self.step, self.last_round = 1, 0, 1, -1
        wire.on_message = self.take

    def take(self, channel: int, message: bytes) -> None:
        if channel == messages.STATE_CHANNEL and message[:1] == b"\x0a":
            step = messages.decode_consensus(message)
            if isinstance(step, messages.NewRoundStep):
                self.height, self.round, self.step = step.height, step.round, step.step
                self.last_round = step.last_commit_round


async def pour_for_ever(world: World, pieces: list[bytes], connections: int) -> None:
    joined = [b"".join(pieces)] if sum(map(len, pieces)) < 16_384 else pieces

    async def act(wire: Wire, _: Target) -> None:
        while True:
            await world.pour(wire, joined)

    await world.keep(act, connections=connections)


def connections_of(world: World) -> int:
    return int(world.args.get("connections", 1))


@attack
async def pings(world: World) -> None:
    await pour_for_ever(world, [PING] * 4_000, connections_of(world))


@attack
async def pongs(world: World) -> None:
    await pour_for_ever(world, [PONG] * 4_000, connections_of(world))


@attack
async def empty_packets(world: World) -> None:
    """Packets of no bytes that end no message, on every channel that there is."""
    pieces = [packet(channel, b"", eof=False) for channel in (0x20, 0x21, 0x22, 0x23, 0x30, 0x38, 0x40, 0x70)]
    await pour_for_ever(world, pieces * 300, connections_of(world))


@attack
async def one_byte_packets(world: World) -> None:
    """A message of a million packets of one byte each, never ended, on the channel with the largest limit."""
    await pour_for_ever(world, [packet(0x40, b"\x1a", eof=False)] * 2_000, connections_of(world))


@attack
async def has_vote(world: World) -> None:
    pieces = [
        packet(0x20, messages.HasVote(height, 0, VoteKind.PREVOTE, index).encode())
        for height, index in itertools.product((1, 2, HEIGHT_MAX), (0, 1, 3, 9_999))
    ]
    await pour_for_ever(world, pieces * 300, connections_of(world))


@attack
async def unfinished(world: World) -> None:
    """Messages that stay one packet short of their channel's limit, on all channels of many connections."""
    limits = {0x40: 104_857_605, **dict.fromkeys((0x20, 0x21, 0x22, 0x23, 0x30, 0x38), 1_048_576), 0x00: 64_000}
    body = packet(0x40, bytes(PAYLOAD_BYTES), eof=False)

    async def act(wire: Wire, _: Target) -> None:
        for channel, limit in limits.items():
            if channel != 0x40:
                count = (limit - 1) // PAYLOAD_BYTES
                await world.pour(wire, [packet(channel, bytes(PAYLOAD_BYTES), eof=False)] * count)
        await world.pour(wire, [body] * ((limits[0x40] - 1) // PAYLOAD_BYTES))
        await wire.closed.wait()

    await world.keep(act, connections=connections_of(world))


@attack
async def unfinished_small(world: World) -> None:
    """The same in packets of sixteen bytes: a list of a hundred thousand small objects."""
    body = packet(0x40, bytes(16), eof=False)
    await pour_for_ever(world, [body] * 1_000, connections_of(world))


# ------------------------------------------------------------------------------------------- nonsense for consensus


def parts_of_no_block(world: World, where: Where) -> Iterator[bytes]:
    """Each proves itself: of a set that nobody proposed."""
    parts = PartSet.from_bytes(world.rng.randbytes(3_000))
    part = parts.get(0)
    assert part is not None
    for _ in range(EVERY):
        yield packets(0x21, messages.BlockPart(where.height, where.round, part).encode())


def large_parts(world: World, where: Where) -> Iterator[bytes]:
    data = world.rng.randbytes(PART_BYTES)
    for total in (2, 16):
        parts = PartSet.from_bytes(data * total)
        for index in range(total):
            part: Part | None = parts.get(index)
            assert part is not None
            yield packets(0x21, messages.BlockPart(where.height, where.round, part).encode())


def votes_of_strangers(world: World, where: Where) -> Iterator[bytes]:
    for number in range(EVERY):
        vote = Vote(
            PREVOTE if number % 2 else PRECOMMIT, where.height, where.round, random_id(world), 10**18,
            world.rng.randbytes(20), world.rng.choice((0, 1, 2, 3, 4, 1_000)), world.rng.randbytes(64),
        )  # fmt: skip
        yield packets(0x22, messages.VoteMessage(vote).encode())


def votes_of_validators(world: World, where: Where) -> Iterator[bytes]:
    """Of the right index and address, with a signature that is none."""
    known: list[str] = world.args["validators"]
    for number in range(EVERY):
        index = number % len(known)
        vote = Vote(
            PREVOTE, where.height, where.round, random_id(world), 10**18 + number, bytes.fromhex(known[index]), index,
            world.rng.randbytes(64),
        )  # fmt: skip
        yield packets(0x22, messages.VoteMessage(vote).encode())


def proposals_of_nobody(world: World, where: Where) -> Iterator[bytes]:
    for _ in range(EVERY):
        proposal = Proposal(where.height, where.round, -1, random_id(world), 10**18, world.rng.randbytes(64))
        yield packets(0x21, messages.ProposalMessage(proposal).encode())


def claims(world: World, where: Where) -> Iterator[bytes]:
    """Majorities for blocks that are none: of each round once, since two for one round are a fault."""
    for round in range(EVERY):
        claim = messages.VoteSetMaj23(where.height, round, VoteKind.PREVOTE, random_id(world))
        yield packets(0x20, claim.encode())


def steps(world: World, where: Where) -> Iterator[bytes]:
    """Steps back and forth: each changes what we are to be sent."""
    for number in range(EVERY):
        height = max(2, where.height - number % 7)
        yield packets(0x20, messages.NewRoundStep(height, number % 3, 1 + number % 8, 0, 0).encode())


def bit_arrays(world: World, where: Where) -> Iterator[bytes]:
    """The longest bit arrays that the format allows, of the running height."""
    bits = BitArray(10_000, (1 << 10_000) - 1)
    for number in range(EVERY):
        yield packets(
            0x23, messages.VoteSetBits(where.height, number, VoteKind.PREVOTE, random_id(world), bits).encode()
        )
        yield packets(0x21, messages.ProposalPol(where.height, number, bits).encode())


def bitmaps(world: World, where: Where) -> Iterator[bytes]:
    """The same on our own channel, with the word that asks for an answer."""
    for number in range(EVERY):
        parts = HasPart(where.height, number, PartSetHeader(1_601, world.rng.randbytes(32)), (1 << 1_601) - 1, True)
        votes = HasVotes(where.height, number, VoteKind.PRECOMMIT, (1 << 10_000) - 1, True)
        yield packets(0x70, encode(ExtensionMessage(has_parts=(parts,), has_votes=(votes,))))


NONSENSE = {
    "parts": parts_of_no_block,
    "large-parts": large_parts,
    "strangers": votes_of_strangers,
    "validators": votes_of_validators,
    "proposals": proposals_of_nobody,
    "claims": claims,
    "steps": steps,
    "bits": bit_arrays,
    "bitmaps": bitmaps,
}


@attack
async def nonsense(world: World) -> None:
    """kind: of NONSENSE, or `mixed`. connections: to each target."""
    kind = str(world.args["kind"])
    makers = [NONSENSE[name] for name in (("parts", "strangers", "validators") if kind == "mixed" else (kind,))]

    async def act(wire: Wire, _: Target) -> None:
        where = Where(wire)
        while True:
            for make in makers:
                await world.pour(wire, make(world, where))

    await world.keep(act, connections=connections_of(world))


# ---------------------------------------------------------------------------------------------- claims and addresses


@attack
async def claimed_height(world: World) -> None:
    """In height 2^62, on both channels that say so, from several peers."""
    height = 1 << 62
    said = [
        packets(0x20, messages.NewRoundStep(height, 0, 1, 0, 0).encode()),
        packets(0x40, messages.StatusResponse(height, 1).encode()),
    ]

    async def act(wire: Wire, _: Target) -> None:
        while True:
            await world.pour(wire, said)
            await asyncio.sleep(0.5)

    await world.keep(act, connections=connections_of(world))


@attack
async def block_requests(world: World) -> None:
    """A hundred thousand requests for blocks by somebody who does not read the answers."""
    asked = b"".join(packets(0x40, messages.BlockRequest(height).encode()) for height in range(1, 60))

    async def act(wire: Wire, _: Target) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not wire.closed.is_set():
            await world.pour(wire, [asked])
            await asyncio.sleep(0.005)

    await world.keep(act, connections=connections_of(world), listen=False)


def addresses(named: list[tuple[str, str, int]]) -> bytes:
    found = pex_pb2.Message()
    for node_id, ip, port in named:
        found.pex_addrs.addrs.add(id=node_id, ip=ip, port=port)
    return packets(0x00, found.SerializeToString())


@attack
async def address_book(world: World) -> None:
    """Answers each question for addresses with 250 invented ones, and asks and answers unasked as well."""

    def invented() -> bytes:
        rng = world.rng
        return addresses(
            [
                (
                    rng.randbytes(20).hex(),
                    f"{rng.randrange(11, 127)}.{rng.randrange(256)}.{rng.randrange(256)}.7",
                    26_656,
                )
                for _ in range(250)
            ]
        )

    await _answer_addresses(world, invented)


@attack
async def wrong_places(world: World) -> None:
    """Says of honest nodes' ids that they are where others listen. args: ids, ports."""
    ids, ports = list(world.args["ids"]), list(world.args["ports"])

    def wrong() -> bytes:
        return addresses([(world.rng.choice(ids), "127.0.0.1", world.rng.choice(ports)) for _ in range(40)])

    await _answer_addresses(world, wrong)


async def _answer_addresses(world: World, make: object) -> None:
    assert callable(make)

    async def act(wire: Wire, _: Target) -> None:
        def answer(channel: int, message: bytes) -> None:
            if channel == 0x00 and message[:1] == b"\x0a":
                world.count["asked"] += 1
                wire.stream(make())

        wire.on_message = answer
        await asyncio.sleep(2.0)
        await world.pour(wire, [make()])  # unasked
        await wire.closed.wait()

    await world.keep(act, connections=connections_of(world))


def status_of(target: Target) -> dict[str, object]:
    with urllib.request.urlopen(f"http://{target.host}:{target.http}/status", timeout=5) as answer:
        return dict(json.load(answer))


def digest(number: int) -> bytes:
    return sha256(number.to_bytes(8, "big"))
