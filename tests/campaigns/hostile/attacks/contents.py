"""Every channel with contents that no honest peer sends: Must be shown 2 of the issue.

Inputs are made from the generated message classes: each variant of each channel's message, filled field by field. So
a message that is added to a schema is attacked without a line here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from consensus.p2p.conn.packets import uvarint
from proto.dchat.p2p.v1 import gossip_pb2
from proto.tendermint.blocksync import types_pb2 as sync_pb
from proto.tendermint.consensus import types_pb2 as consensus_pb
from proto.tendermint.mempool import types_pb2 as mempool_pb
from proto.tendermint.p2p import pex_pb2
from proto.tendermint.statesync import types_pb2 as statesync_pb
from proto.tendermint.types import evidence_pb2
from tests.campaigns.hostile.wire import ALL_CHANNELS, PAYLOAD_BYTES, Target, Wire, faults, packet, packets
from tests.campaigns.hostile.world import World, attack

ROOTS: dict[int, type[Message]] = {
    0x00: pex_pb2.Message,
    **dict.fromkeys((0x20, 0x21, 0x22, 0x23), consensus_pb.Message),
    0x30: mempool_pb.Message,
    0x38: evidence_pb2.EvidenceList,
    0x40: sync_pb.Message,
    **dict.fromkeys((0x60, 0x61), statesync_pb.Message),
    0x70: gossip_pb2.Message,
}
LIMITS = {0x00: 64_000, 0x38: 1_048_576, 0x60: 4_000_000, 0x61: 16_000_000, 0x70: 262_144}
LIMIT_OTHERS = 1_048_576
INTEGERS = (0, 1, -1, 2**31 - 1, -(2**31), 2**62, 2**63 - 1, -(2**63), 2**64 - 1, 2**32 - 1)
DEPTH_MAX = 6
LIFE_S = 0.4  # of a connection that is not dropped by then
Kind = Callable[[World, int], Iterator[bytes]]  # pieces of the stream


def fill(message: Message, integer: int, data: bytes, *, only: FieldDescriptor | None = None, depth: int = 0) -> None:
    """Set every field (of each oneof the last, or `only`): integers as near to `integer` as fits, bytes to `data`."""
    descriptor: Descriptor = message.DESCRIPTOR
    for field in descriptor.fields:
        if only is not None and field.containing_oneof is not None and field is not only:
            continue
        value = _value_of(field, integer, data)
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if field.message_type is not None:
            if depth < DEPTH_MAX:
                inner = getattr(message, field.name)
                inner = inner.add() if repeated else inner
                if not repeated:
                    inner.SetInParent()
                fill(inner, integer, data, depth=depth + 1)
        elif repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


def _value_of(field: FieldDescriptor, integer: int, data: bytes) -> Any:
    kind = field.cpp_type
    if kind in (field.CPPTYPE_INT32, field.CPPTYPE_ENUM):
        return max(-(2**31), min(2**31 - 1, integer))
    if kind == field.CPPTYPE_INT64:
        return max(-(2**63), min(2**63 - 1, integer))
    if kind == field.CPPTYPE_UINT32:
        return integer % 2**32
    if kind == field.CPPTYPE_UINT64:
        return integer % 2**64
    if kind == field.CPPTYPE_BOOL:
        return bool(integer)
    if kind == field.CPPTYPE_STRING:
        return data.hex() if field.type == field.TYPE_STRING else data
    return float(integer)


def variants(channel: int, integer: int = 1, data: bytes = bytes(32)) -> list[bytes]:
    """One message of each kind that the channel's schema has."""
    root = ROOTS[channel]
    oneofs = root.DESCRIPTOR.oneofs
    fields = list(oneofs[0].fields) if oneofs else [None]
    found = []
    for field in fields:
        message = root()
        fill(message, integer, data, only=field)
        found.append(message.SerializeToString())
    return found


def empty(world: World, channel: int) -> Iterator[bytes]:
    """No bytes at all, as a message and as packets; and each variant with nothing in it."""
    yield packet(channel, b"")
    yield packet(channel, b"", eof=False) * 20
    for number in range(1, 16):
        yield packet(channel, bytes([number << 3 | 2, 0]))


def truncated(world: World, channel: int) -> Iterator[bytes]:
    for message in variants(channel):
        yield packets(channel, message[: world.rng.randrange(len(message))]) if message else b""
        cut = packets(channel, message)
        yield cut[: world.rng.randrange(len(cut))]


def oversized(world: World, channel: int) -> Iterator[bytes]:
    """A message over its channel's limit, a packet over the packets', a length that no message has."""
    limit = LIMITS.get(channel, LIMIT_OTHERS)
    kind = world.rng.randrange(3)
    if kind == 0:
        yield from [packet(channel, bytes(PAYLOAD_BYTES), eof=False)] * min(limit // PAYLOAD_BYTES + 2, 1_100)
    elif kind == 1:
        yield packet(channel, bytes(PAYLOAD_BYTES + 20))
    else:
        for message in variants(channel, data=bytes(40_000)):
            yield packets(channel, message)


def nested(world: World, channel: int) -> Iterator[bytes]:
    """Fields in fields and groups in groups, as deep as the size allows; and lists of very many empty things."""
    size = min(LIMITS.get(channel, LIMIT_OTHERS), 200_000)
    deep = b""
    while len(deep) < 20_000:
        deep = bytes([world.rng.choice((0x0A, 0x12, 0x1A, 0x22))]) + uvarint(len(deep)) + deep
    yield packets(channel, deep)
    yield packets(channel, b"\x0b" * (size // 2))
    yield packets(channel, b"\x0b" * 5_000 + b"\x0c" * 5_000)
    inner = b"\x0a\x00" * (size // 3)
    for number in (1, 2, 3, 4, 5):
        yield packets(channel, bytes([number << 3 | 2]) + uvarint(len(inner)) + inner)
    yield packets(channel, b"\x0a\x00" * (size // 3))


def unknown(world: World, channel: int) -> Iterator[bytes]:
    """Good messages with fields that no schema has, few and very many."""
    extra = uvarint(1_000 << 3) + uvarint(2**64 - 1)
    for message in variants(channel):
        yield packets(channel, message + extra)
    yield packets(
        channel, variants(channel)[0] + extra * (min(LIMITS.get(channel, LIMIT_OTHERS), 100_000) // len(extra) - 40)
    )
    yield packets(channel, uvarint(536_870_911 << 3 | 2) + uvarint(100) + bytes(100))


def wrong_types(world: World, channel: int) -> Iterator[bytes]:
    """Known numbers with another kind of value, on two levels."""
    kinds = (b"\x01", bytes(8), None, b"", b"", bytes(4))
    for number, kind in itertools.product(range(1, 12), (0, 1, 3, 4, 5, 6, 7)):
        value = kinds[kind] if kind < len(kinds) else b""
        body = uvarint(number << 3 | kind) + (value or b"")
        yield packets(channel, body)
        yield packets(channel, bytes([number << 3 | 2]) + uvarint(len(body)) + body)


def integers(world: World, channel: int) -> Iterator[bytes]:
    """Every integer of every variant negative, zero and maximal; bytes of lengths that are none."""
    integer, size = world.rng.choice(INTEGERS), world.rng.choice((0, 1, 20, 31, 32, 33, 64, 300))
    for message in variants(channel, integer, world.rng.randbytes(size)):
        yield packets(channel, message)


def noise(world: World, channel: int) -> Iterator[bytes]:
    for _ in range(20):
        yield packets(channel, world.rng.randbytes(world.rng.randrange(1, 3_000)))


def replayed(world: World, channel: int) -> Iterator[bytes]:
    """Honest messages, of other heights by now, out of order and several times; half of them on a wrong channel."""
    for _ in range(60):
        recorded_on, message = world.rng.choice(world.recorded)
        yield packets(recorded_on if world.rng.random() < 0.8 else channel, message)


def mutated(world: World, channel: int) -> Iterator[bytes]:
    """Honest messages with a few bytes changed."""
    same = [message for on, message in world.recorded if on == channel] or [b"\x0a\x00"]
    for _ in range(20):
        message = bytearray(world.rng.choice(same))
        for _ in range(world.rng.randrange(1, 4)):
            if message:
                message[world.rng.randrange(len(message))] = world.rng.randrange(256)
        yield packets(channel, bytes(message))


KINDS: dict[str, Kind] = {
    "empty": empty,
    "truncated": truncated,
    "oversized": oversized,
    "nested": nested,
    "unknown": unknown,
    "wrong-types": wrong_types,
    "integers": integers,
    "noise": noise,
    "replayed": replayed,
    "mutated": mutated,
}


@attack
async def contents(world: World) -> None:
    """kind: of KINDS. channels: hex, all by default. A message a connection at first: the rest would not be read."""
    kind = KINDS[str(world.args["kind"])]
    chosen = [int(text, 16) for text in world.args.get("channels", ())] or list(ALL_CHANNELS)
    turns = itertools.cycle(chosen)

    async def act(wire: Wire, _: Target) -> None:
        channel = next(turns)
        pieces = list(kind(world, channel))
        world.count[f"{channel:#04x}"] += 1
        try:
            if world.rng.random() < 0.5:
                await world.pour(wire, pieces)
            else:
                await world.pour(wire, [world.rng.choice(pieces)])
            await asyncio.wait_for(wire.closed.wait(), LIFE_S)
            world.count[f"{channel:#04x} dropped"] += 1
        except TimeoutError:
            world.count[f"{channel:#04x} kept"] += 1
        except faults():
            world.count[f"{channel:#04x} dropped"] += 1

    await world.keep(act, connections=int(world.args.get("connections", 2)))
