"""Connections that never become peers, or are many: numbers 1 and 12 of the issue, and half-open ones."""

from __future__ import annotations

import asyncio
import itertools

from consensus.p2p.conn.packets import delimited, uvarint
from proto.tendermint.p2p import types_pb2
from tests.campaigns.hostile.attacks.packets import connections_of
from tests.campaigns.hostile.wire import ALL_CHANNELS, Target, Wire, faults, new_key, packet, plain_info
from tests.campaigns.hostile.world import RECONNECT_S, World, attack, together

NODE_INFO_BYTES = 10_200  # of at most 10,240


def info_with(wire: Wire, world: World, **fields: str) -> bytes:
    """A good node info but for these texts. other: rpc_address."""
    info = types_pb2.DefaultNodeInfo.FromString(plain_info(wire.key, world.chain_id))
    for name, text in fields.items():
        setattr(info.other if name in ("rpc_address", "tx_index") else info, name, text)
    return info.SerializeToString()


WORST_HOSTS = (
    "a" * 40 + "!",
    "a" * 253 + "!",
    "a" * 9_000 + "!",
    "a." * 4_000 + "!",
    "-a" * 126,
    "a_-" * 80 + ".",
    "1" * 9_000,
    "[" * 9_000,
    "::" * 4_000,
    "[::1%" + "a" * 9_000 + "]",
    "1e9" * 3_000,
    "/ip4/" * 1_500,
    "://" * 3_000,
    "@" * 9_000,
)


@attack
async def listen_addr(world: World) -> None:
    """A node info whose listen address is the worst text for whoever reads it; one connection a node at a time."""
    hosts = itertools.cycle(WORST_HOSTS)

    async def one(target: Target) -> None:
        while True:
            host = next(hosts)
            await shake(
                world, target, lambda wire, host=host: info_with(wire, world, listen_addr=f"tcp://{host}:26656")
            )  # type: ignore[misc]

    await together(one(target) for target in world.targets)


@attack
async def node_info_texts(world: World) -> None:
    """Every other text of the node info at its largest, of characters that are none of ours, and lists of channels."""
    texts = ("\0" * NODE_INFO_BYTES, "\u202e" * 3_000, " " * NODE_INFO_BYTES, "a" * NODE_INFO_BYTES, "\x1b[2J" * 2_000)
    names = ("moniker", "version", "network", "rpc_address", "tx_index", "default_node_id", "listen_addr")

    async def one(target: Target) -> None:
        for name, text in itertools.cycle(itertools.product(names, texts)):
            await shake(world, target, lambda wire, n=name, t=text: info_with(wire, world, **{n: t}))  # type: ignore[misc]
            await shake(world, target, lambda wire: plain_info(wire.key, world.chain_id, channels=bytes(9_000)))
            await shake(world, target, lambda wire: world.rng.randbytes(NODE_INFO_BYTES))
            await shake(world, target, lambda wire: b"\x0a\xff\xff\xff\xff\x0f")

    await together(one(target) for target in world.targets)


async def shake(world: World, target: Target, info: object) -> None:
    """One handshake with this node info, held for a moment."""
    assert callable(info)
    wire = Wire(new_key())
    try:
        async with asyncio.timeout(10):
            await wire.connect(target, source=world.source())
            await wire.hello()
            await wire.auth()
            world.count["authenticated"] += 1
            await wire.info(info(wire))
            wire.listen()
            await asyncio.wait_for(wire.closed.wait(), 0.3)
    except faults():
        world.count["ended"] += 1
    finally:
        world.count["bytes"] += wire.sent
        wire.close()
    await asyncio.sleep(RECONNECT_S)


@attack
async def handshakes(world: World) -> None:
    """As many handshakes as the other side takes, each with a new key, each left at once."""

    async def one(target: Target) -> None:
        while True:
            wire = Wire(new_key())
            try:
                await wire.open(target, plain_info(wire.key, world.chain_id), source=world.source())
                world.count["handshakes"] += 1
            except faults():
                world.count["refused"] += 1
                await asyncio.sleep(0.005)
            finally:
                world.count["bytes"] += wire.sent
                wire.close()

    await together(one(target) for target in world.targets for _ in range(connections_of(world)))


async def _stop_at(wire: Wire, target: Target, world: World, stage: int) -> None:
    await wire.connect(target, source=world.source())
    if stage == 0:  # nothing
        return
    if stage == 1:  # half a hello
        wire.raw(b"\x22\x0a\x20" + bytes(10))
        return
    await wire.hello()
    if stage == 2:  # no authentication
        return
    if stage == 3:  # half of it
        wire.raw(wire.sealed_auth[:500])
        return
    await wire.auth()
    if stage == 5:  # a node info that is announced and does not come
        wire.stream(uvarint(10_000) + bytes(100))


@attack
async def half_open(world: World) -> None:
    """Connections that stop at each step of the handshake and stay. connections: to each target."""

    async def one(target: Target, stage: int) -> None:
        while True:
            wire = Wire(new_key())
            try:
                async with asyncio.timeout(60):
                    await _stop_at(wire, target, world, stage)
                    world.count["half open"] += 1
                    while await wire.reader.read(4_096):
                        pass
            except faults():
                world.count["ended"] += 1
            finally:
                wire.close()
            await asyncio.sleep(0.02)

    count = connections_of(world)
    await together(one(target, number % 6) for target in world.targets for number in range(count))


@attack
async def slow_sender(world: World) -> None:
    """A byte a second: of the hello, of a sealed frame, and of messages in packets of one byte."""

    async def drip(wire: Wire, data: bytes) -> None:
        for byte in data:
            wire.raw(bytes([byte]))
            await wire.drain()
            await asyncio.sleep(1.0)

    async def one(target: Target, number: int) -> None:
        while True:
            wire = Wire(new_key())
            try:
                await wire.connect(target, source=world.source())
                if number % 3 == 0:
                    await drip(wire, wire.own_hello())
                await wire.hello()
                if number % 3 == 1:
                    await drip(wire, wire.sealed_auth)
                await wire.auth()
                await wire.info(plain_info(wire.key, world.chain_id))
                wire.listen()
                world.count["slow peers"] += 1
                for channel in itertools.cycle(ALL_CHANNELS[:8]):
                    wire.stream(packet(channel, b"\x0a", eof=False))
                    await wire.drain()
                    await asyncio.sleep(1.0)
            except faults():
                world.count["ended"] += 1
            finally:
                wire.close()
            await asyncio.sleep(0.1)

    await together(one(target, n) for target in world.targets for n in range(connections_of(world)))


@attack
async def slow_reader(world: World) -> None:
    """Peers who are told everything and read nothing: in the running height, wanting every part and vote."""
    from consensus.channels.peer_messages import NewRoundStep, StatusRequest
    from tests.campaigns.hostile.wire import packets

    async def act(wire: Wire, _: Target) -> None:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for height in itertools.count(2):
            wire.stream(packets(0x20, NewRoundStep(height, 0, 1, 0, 0).encode()))
            wire.stream(packets(0x40, StatusRequest().encode()) * 10)
            await wire.drain()
            await asyncio.sleep(0.05)

    await world.keep(act, connections=connections_of(world), listen=False)


@attack
async def many_ids(world: World) -> None:
    """One host, a new identity for each connection, each staying as long as it may."""

    async def act(wire: Wire, _: Target) -> None:
        await wire.closed.wait()
        raise ConnectionResetError

    await world.keep(act, connections=connections_of(world))


@attack
async def thousands(world: World) -> None:
    """TCP connections to the p2p port that say nothing, as many as `connections`, opened again when closed."""

    async def one(target: Target, number: int) -> None:
        await asyncio.sleep(number * 0.001)
        while True:
            wire = Wire(new_key())
            try:
                await wire.connect(target, source=world.source())
                world.count["opened"] += 1
                while await wire.reader.read(4_096):
                    pass
            except faults():
                world.count["refused"] += 1
            finally:
                wire.close()
            await asyncio.sleep(0.5)

    await together(one(target, n) for target in world.targets for n in range(connections_of(world)))


@attack
async def delimited_lengths(world: World) -> None:
    """Lengths that promise much, of ten bytes and more, in place of a hello and in place of a packet."""
    lengths = (b"\xff" * 9 + b"\x01", b"\xff" * 64, uvarint(1 << 40), uvarint(1_048_576), b"\x80" * 9 + b"\x00")

    async def act(wire: Wire, _: Target) -> None:
        await world.pour(wire, [world.rng.choice(lengths) + bytes(2_000)])
        await asyncio.wait_for(wire.closed.wait(), 1.0)

    async def hello(target: Target) -> None:
        while True:
            wire = Wire(new_key())
            try:
                await wire.connect(target, source=world.source())
                wire.raw(world.rng.choice(lengths) + bytes(5_000))
                await asyncio.wait_for(wire.reader.read(), 3.0)
            except faults():
                world.count["ended"] += 1
            finally:
                wire.close()
            await asyncio.sleep(RECONNECT_S)

    await together([world.keep(act), *(hello(target) for target in world.targets)])


__all__ = ["delimited"]
