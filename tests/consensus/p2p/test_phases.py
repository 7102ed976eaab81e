"""Sides that misbehave in each phase, over real sockets: they lose that connection, and nothing else happens.

One victim lives through all examples; at the end an honest node must still be served.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.packets import delimited, packet_prefix
from consensus.p2p.conn.secret_connection import Sealer, SecretHandshake
from proto.tendermint.p2p import conn_pb2
from tests.support.p2p.peers import Node, info, node_key, running, until

PHASES = ("hello", "frames", "authentication", "node info", "packets", "messages")


class Evil:
    """A client that can be honest up to any phase."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.handshake = SecretHandshake(node_key("evil"))

    async def hello(self) -> bytes:
        """Exchange hellos; return our sealed authentication, unsent."""
        self.writer.write(self.handshake.hello())
        return self.handshake.receive_hello((await self.reader.readexactly(35))[1:])

    async def up_to(self, phase: str) -> None:
        if phase == "hello":
            return
        sealed = await self.hello()
        if phase in {"frames", "authentication"}:
            assert self.handshake._secrets is not None
            self.handshake.sealer = Sealer(self.handshake._secrets.send_key)  # the honest frame is not sent
            return
        self.writer.write(sealed)
        if phase == "node info":
            return
        ours = info("evil", listen_address="tcp://0.0.0.0:1", channels=b"\x20\x21")
        self.send(delimited(ours.encode()))

    def send(self, stream: bytes) -> None:
        self.writer.write(self.handshake.sealer.seal(stream))

    async def closed(self) -> None:
        """Wait until the victim has closed the connection."""
        async with asyncio.timeout(10):
            try:
                while await self.reader.read(65_536):
                    pass
            except ConnectionError:
                pass


async def attack(victim: Node, act: Callable[[Evil], Awaitable[None]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", victim.switch.listen_port)
    try:
        await act(Evil(reader, writer))
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the victim was quicker
    finally:
        writer.close()


def make_victim(**config: object) -> Node:
    return Node("victim", unauthenticated_per_ip_max=64, accepts_per_ip_per_s=100_000, **config)


async def is_still_served(victim: Node) -> None:
    await until(lambda: not victim.switch.peers)
    honest = Node("honest")
    async with running(honest):
        await honest.switch.dial(parse_address(victim.address))
        honest.switch.peers[0].try_send(0x20, b"hello")
        await until(lambda: victim.reactor.received and victim.reactor.received[-1] == (0x20, honest.id, b"hello"))


@pytest.mark.parametrize("phase", PHASES)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.lists(st.binary(min_size=1, max_size=3000), min_size=1, max_size=4))
def test_random_bytes_cost_that_connection_only(phase: str, data: list[bytes]) -> None:
    async def act(evil: Evil) -> None:
        await evil.up_to(phase)
        for chunk in data:
            if phase == "messages":
                evil.send(packet_prefix(0x20, len(chunk[:1024]), True) + chunk[:1024])
            elif phase in {"hello", "frames"}:
                evil.writer.write(chunk)
            else:
                evil.send(chunk)
        await evil.writer.drain()
        evil.writer.write_eof()
        await evil.closed()

    async def scenario() -> None:
        failures: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
        victim = make_victim()
        async with running(victim):
            await attack(victim, act)
            await is_still_served(victim)
        assert failures == []

    asyncio.run(scenario())


def auth(key: bytes, signature: bytes, kind: str = "ed25519") -> bytes:
    message = conn_pb2.AuthSigMessage(sig=signature)
    setattr(message.pub_key, kind, key)
    return delimited(message.SerializeToString())


@pytest.mark.parametrize(
    ("phase", "stream", "why"),
    [
        pytest.param("hello", b"\xff\xff\x7f", "hello: length", id="hello too long"),
        pytest.param("hello", b"\x02\xff\xff", "no BytesValue", id="refused key"),
        pytest.param("hello", delimited(b"\x0a\x20" + bytes(32)), "low order", id="bad key"),
        pytest.param("frames", bytes(1044), "tag", id="frame of another key"),
        pytest.param("authentication", b"\xff\xff\x7f", "authentication: length", id="auth too long"),
        pytest.param("authentication", delimited(b"\xff\xff"), "no AuthSigMessage", id="refused signature"),
        pytest.param("authentication", auth(node_key("evil").public_key, bytes(64)), "not good", id="bad signature"),
        pytest.param("authentication", auth(bytes(33), bytes(64), "secp256k1"), "secp256k1", id="another kind of key"),
        pytest.param("node info", b"\x81\x50", "node info: length", id="node info too long"),
        pytest.param("node info", delimited(b"\xff\xff"), "no DefaultNodeInfo", id="no node info"),
        pytest.param("node info", delimited(info("x").encode()), "id is", id="another's id"),
        pytest.param("node info", delimited(info("evil", moniker="").encode()), "moniker", id="broken node info"),
        pytest.param("node info", delimited(info("evil", network="n").encode()), "network", id="another network"),
        pytest.param("packets", b"\xff\xff\x7f", "length", id="packet too long"),
        pytest.param("packets", packet_prefix(0x30, 1, True) + b"x", "0x30", id="unknown channel"),
    ],
)
async def test_each_offence_has_its_reason(phase: str, stream: bytes, why: str) -> None:
    victim = make_victim()
    reasons: list[str] = []
    close = victim.switch.link_closed
    victim.switch.link_closed = lambda link, reason: (reasons.append(reason), close(link, reason))[1]  # type: ignore[method-assign]

    async def act(evil: Evil) -> None:
        await evil.up_to(phase)
        evil.writer.write(stream) if phase in {"hello", "frames"} else evil.send(stream)
        await evil.closed()

    async with running(victim):
        await attack(victim, act)
        await until(lambda: reasons)
        assert why in reasons[0]
        await is_still_served(victim)


@pytest.mark.parametrize("phase", ["hello", "authentication", "node info"])
async def test_a_phase_that_does_not_end_is_cut(phase: str) -> None:
    victim = make_victim(phase_timeout_s=0.1)

    async def act(evil: Evil) -> None:
        await evil.up_to(phase)
        if phase != "hello":
            evil.send(b"\x50")  # the beginning of a message
        await evil.closed()

    async with running(victim):
        await attack(victim, act)
        await is_still_served(victim)
        assert victim.switch.counters["handshake_failed"] == 1


async def test_a_client_that_reads_nothing_does_not_hold_up_a_stop() -> None:
    victim = make_victim(stop_timeout_s=0.2)
    stuck = asyncio.Event()

    async def act(evil: Evil) -> None:
        await evil.up_to("packets")
        await until(lambda: victim.switch.peers)
        while victim.switch.peers[0].try_send(0x21, bytes(1_000_000)) and len(victim.switch.peers) == 1:
            await asyncio.sleep(0)
            if victim.switch.peers[0].link._write_paused:
                break
        stuck.set()
        await victim.switch.stop()

    async with running(victim):
        await attack(victim, act)
        assert stuck.is_set()
        assert not victim.switch.peers
