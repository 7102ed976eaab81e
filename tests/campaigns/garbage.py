"""Must be shown 4, second half: random bytes at every door and on every channel of a running node.

The node does not stop, and the network keeps at least 80 % of its pace. Raw bytes go to the p2p, gRPC, HTTP and metrics
ports; bytes behind a good handshake go to every channel, from identities that are new each time (one that sent garbage
is dropped, and may be banned); random requests go to every gRPC method and HTTP path.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from collections import Counter

import aiohttp
import grpc
import grpc.aio

from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.base import ChannelDescriptor, Peer
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch
from dchat.client.client import Client
from proto.dchat.v1 import service_pb2
from tests.campaigns.harness import CampaignFailed, Testnet, folder_of, run_campaign, say, until

PACE_MIN = 0.8
CHANNELS = (0x00, 0x20, 0x21, 0x22, 0x23, 0x30, 0x38, 0x40, 0x60, 0x61, 0x70)
PATHS = ("/health", "/ready", "/status", "/peers", "/chain/latest-block", "/chain/blocks", "/bridge/status", "/metrics")


class Silent:
    """A reactor of every channel that hears nothing."""

    channels = tuple(ChannelDescriptor(channel, f"c{channel:x}", 1, 100, 1_048_576) for channel in CHANNELS)

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.gone = asyncio.Event()

    def add_peer(self, peer: Peer) -> None:
        self.peers.append(peer)

    def remove_peer(self, peer: Peer, reason: str) -> None:
        self.gone.set()

    def receive(self, channel_id: int, peer: Peer, message: bytes) -> None: ...
    def writable(self, channel_id: int, peer: Peer) -> None: ...


def noise(rng: random.Random, size_max: int = 2_000) -> bytes:
    """Random bytes, at times with the look of a protobuf message."""
    body = rng.randbytes(rng.randint(1, size_max))
    if rng.random() < 0.5:
        inner = body[: rng.randint(0, min(120, len(body)))]
        return bytes([(rng.randint(1, 15) << 3) | 2, len(inner)]) + inner
    return body


async def raw_bytes(host: str, port: int, rng: random.Random, count: Counter[str], name: str) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(3):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(noise(rng, 5_000))
                await writer.drain()
                await reader.read(100)
            finally:
                writer.close()
    count[name] += 1


async def channel_bytes(net: Testnet, index: int, rng: random.Random, count: Counter[str], channel: int) -> None:
    """One connection of a new identity, a handshake by the book, then noise on one channel."""
    node = net.network.node(index)
    key = NodeKey.generate()
    info = NodeInfo(key.id, "", net.network.chain_id, "0.38.26", b"", "noise")
    switch = Switch(SwitchConfig(listen_address=""), node_key=key, node_info=info)
    reactor = Silent()
    switch.add_reactor(reactor)
    await switch.start()
    try:
        async with asyncio.timeout(5):
            peer = await switch.dial(parse_address(f"{node.node_id}@{net.network.host}:{node.ports.p2p}"))
            for _ in range(5):
                if not peer.try_send(channel, noise(rng)):
                    break
                count[f"channel {channel:#04x}"] += 1
            async with asyncio.timeout(0.3):
                await reactor.gone.wait()
            count["dropped for it"] += 1
    except (TimeoutError, OSError, Exception) as error:
        count[f"p2p {type(error).__name__}"] += 1
    finally:
        await switch.stop()


async def grpc_noise(address: str, rng: random.Random, count: Counter[str]) -> None:
    services = service_pb2.DESCRIPTOR.services_by_name
    methods = [f"/dchat.v1.{s}/{m}" for s, service in sorted(services.items()) for m in sorted(service.methods_by_name)]
    async with grpc.aio.insecure_channel(address) as channel:
        for method in methods:
            call = channel.unary_unary(method, request_serializer=lambda data: data, response_deserializer=bytes)
            try:
                await call(noise(rng), timeout=1)
                count["gRPC answered"] += 1
            except grpc.aio.AioRpcError as error:
                count[f"gRPC {error.code().name}"] += 1


async def http_noise(host: str, port: int, rng: random.Random, count: Counter[str]) -> None:
    for path in PATHS:
        query = "".join(rng.choice("abc=&%01/?\\'\"") for _ in range(rng.randint(0, 200)))
        method = rng.choice(["GET", "POST", "PUT", "XYZZY"])
        head = f"{method} {path}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(3):
                reader, writer = await asyncio.open_connection(host, port)
                writer.write(head.encode())
                status = (await reader.readline()).split(b" ")
                count[f"HTTP {status[1].decode() if len(status) > 1 else 'closed'}"] += 1
                writer.close()


async def rpc_noise(host: str, port: int, rng: random.Random, count: Counter[str]) -> None:
    """Bodies that are none, and frames of a WebSocket."""
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(5), aiohttp.ClientSession() as http:
            async with http.post(f"http://{host}:{port}", data=noise(rng, 5_000)) as answer:
                count[f"JSON-RPC {answer.status}"] += 1
            async with http.ws_connect(f"http://{host}:{port}/websocket") as ws:
                for _ in range(5):
                    await ws.send_bytes(noise(rng))
                    count[f"WebSocket {(await ws.receive()).type.name}"] += 1


async def pace(net: Testnet, seconds: float) -> float:
    """Blocks a second, as validator 2 (which nobody attacks) saves them."""
    async with Client(net.grpc(2)) as client:
        first = (await client.status()).latest_block_height
        started = time.monotonic()
        await asyncio.sleep(seconds)
        return ((await client.status()).latest_block_height - first) / (time.monotonic() - started)


async def attack(net: Testnet, rng: random.Random, count: Counter[str]) -> None:
    """Until cancelled: all doors of validator 1, in turn, a bounded number a second."""
    host, ports = net.network.host, net.network.node(1).ports
    while True:
        for name, port in (("p2p", ports.p2p), ("gRPC", ports.grpc), ("HTTP", ports.http), ("metrics", ports.metrics),
                           ("JSON-RPC", ports.rpc)):  # fmt: skip
            await raw_bytes(host, port, rng, count, f"raw {name}")
        for channel in CHANNELS:
            await channel_bytes(net, 1, rng, count, channel)
        await grpc_noise(net.grpc(1), rng, count)
        await http_noise(host, ports.http, rng, count)
        await rpc_noise(host, ports.rpc, rng, count)
        await asyncio.sleep(0.1)


async def main(arguments: argparse.Namespace) -> None:
    rng = random.Random(arguments.seed)
    say(f"seed {arguments.seed}")
    with folder_of("garbage") as folder, Testnet(folder / "net", "--fast") as net:

        async def is_up() -> bool:
            return min([await net.height(node.index) for node in net.nodes]) >= 5

        await until("the first blocks", is_up, timeout_s=120)
        pid = net.pid(1)
        calm = await pace(net, arguments.seconds)
        count: Counter[str] = Counter()
        attacker = asyncio.create_task(attack(net, rng, count))
        under = await pace(net, arguments.seconds)
        attacker.cancel()
        calm_again = await pace(net, arguments.seconds)
        for name, times in sorted(count.items()):
            say(f"  {name}: {times}")
        fair = (calm + calm_again) / 2
        say(f"blocks a second: calm {calm:.2f}, attacked {under:.2f}, calm {calm_again:.2f} ({under / fair:.0%})")
        if net.pid(1) != pid or await net.height(1) < 0:
            raise CampaignFailed("validator 1 stopped")
        await net.check_agreement()
        if under < PACE_MIN * fair:
            raise CampaignFailed(f"the pace fell to {under / fair:.0%}; allowed: {PACE_MIN:.0%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each of calm, attack, calm")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
