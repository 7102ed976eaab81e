"""The headers that a restored state is held against: a light client over the operator's own nodes, or over peers.

With `trusted_nodes` (gRPC doors of ours, or JSON-RPC of either kind of node) these are asked, and nobody else; trust
begins with a header that all of them have. With a height and a hash alone, peers are asked in pairs, named ones first:
two must tell the same header with the same priorities of the validators, which no hash covers (ASA-2024-009), and what
a liar among them says costs another pair, nothing more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import structlog

from consensus.p2p.conn.base import Peer
from consensus.statesync.light_blocks import NoLightBlock, NoReply, PeerLightBlocks
from consensus.statesync.syncer import HeaderUnknown, StateSyncFailed
from consensus.types.evidence import Evidence
from consensus.types.light import LightBlock
from dchat.client.client import Client
from dchat.client.light_provider import DoorProvider
from light import LightClient, Options, Root
from light.errors import AttackDetected, InvalidOptions, LightError, NoAnswer, NoBlock, ProviderFailed, TrustExpired
from light.provider import Provider, ask
from light.rpc import RpcProvider

BACK_BLOCKS: Final = 2  # below the lowest of the operator's nodes: that header all of them have
ASK_S: Final = 10.0
RPC_STARTS: Final = ("http://", "https://", "tcp://")

log = structlog.get_logger(__name__)


class PeerProvider:
    """A peer as a provider of light blocks."""

    def __init__(self, light_blocks: PeerLightBlocks, peer: Peer) -> None:
        self._light_blocks, self._peer = light_blocks, peer

    @property
    def name(self) -> str:
        return f"peer {self._peer.id}"

    async def light_block(self, height: int) -> LightBlock:
        if not height:
            raise NoAnswer(self.name, "a peer is not asked for its latest header")
        try:
            return await self._light_blocks.ask(self._peer, height)
        except NoLightBlock as error:
            raise NoBlock(self.name, error) from error
        except NoReply as error:
            raise NoAnswer(self.name, error) from error

    async def report(self, evidence: Evidence) -> None:
        raise ProviderFailed(self.name, "peers take evidence on a channel of its own")


class VerifiedHeaders:
    """Satisfies consensus.statesync.syncer.LightSource."""

    def __init__(
        self,
        root: Root,
        providers: Callable[[int], Sequence[Provider]],
        *,
        chain_id: str,
        trust_period_ns: int,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """providers: of the nth attempt, the primary first."""
        self._root, self._providers, self._chain_id = root, providers, chain_id
        self._options = Options(trusting_period_ns=trust_period_ns or None)
        self._now_ns = now_ns
        self._client: LightClient | None = None
        self._attempt = 0

    async def verify_at(self, height: int) -> LightBlock:
        """Raises HeaderUnknown, StateSyncFailed."""
        client = self._client
        if client is None:
            chosen = self._providers(self._attempt)
            if not chosen:
                raise HeaderUnknown("nobody is there who has headers")
            client = self._client = LightClient(
                self._root, chosen[0], chosen[1:], chain_id=self._chain_id, options=self._options, now_ns=self._now_ns
            )
        try:
            return await client.verify_at(height)
        except (TrustExpired, AttackDetected) as error:
            raise StateSyncFailed(str(error)) from error
        except LightError as error:
            self._client, self._attempt = None, self._attempt + 1
            raise HeaderUnknown(str(error)) from error


def pairs_of_peers(light_blocks: PeerLightBlocks) -> Callable[[int], Sequence[Provider]]:
    """Two peers an attempt, in turn; one, where there is no other."""

    def chosen(attempt: int) -> Sequence[Provider]:
        peers = light_blocks.peers
        start = attempt % len(peers) if peers else 0
        return [PeerProvider(light_blocks, peer) for peer in (peers[start:] + peers[:start])[:2]]

    return chosen


def root_of_text(text: str) -> Root:
    """Of `HEIGHT:HASH`, whose form was checked."""
    height, _, digest = text.partition(":")
    return Root(int(height), bytes.fromhex(digest))


async def root_of_nodes(nodes: Sequence[Provider], *, chain_id: str) -> Root:
    """The newest header that all of them have. Raises StateSyncFailed: they cannot be reached, or differ."""
    try:
        async with asyncio.timeout(ASK_S):
            heights = [(await ask(node, 0, chain_id=chain_id)).height for node in nodes]
            height = min(heights) - BACK_BLOCKS
            if height < 1:
                raise StateSyncFailed(
                    f"the trusted nodes are at height {min(heights)}: too young a chain for a snapshot"
                )
            hashes = {node.name: (await ask(node, height, chain_id=chain_id)).hash.hex() for node in nodes}
    except (LightError, TimeoutError) as error:
        raise StateSyncFailed(f"a trusted node does not answer: {error or 'no answer in time'}") from error
    if len(set(hashes.values())) > 1:
        said = ", ".join(f"{name} says {hash}" for name, hash in hashes.items())
        raise StateSyncFailed(f"the trusted nodes have different headers {height}: {said}")
    root = Root(height, bytes.fromhex(next(iter(hashes.values()))))
    log.info("trust begins with a header of the trusted nodes", height=height, nodes=len(nodes))
    return root


def check_doors(addresses: Sequence[str]) -> None:
    """Raises ValueError: one is no URL."""
    for address in addresses:
        if address.startswith(RPC_STARTS):
            try:
                RpcProvider(address)
            except InvalidOptions as error:
                raise ValueError(f"trusted_nodes: {error}") from error


@asynccontextmanager
async def trusted_doors(addresses: Sequence[str]) -> AsyncIterator[list[Provider]]:
    """addresses: host:port of gRPC doors, URLs of JSON-RPC that `check_doors` found to be some."""
    async with AsyncExitStack() as stack:
        nodes: list[Provider] = []
        for address in addresses:
            if address.startswith(RPC_STARTS):
                nodes.append(await stack.enter_async_context(RpcProvider(address)))
            else:
                nodes.append(DoorProvider(await stack.enter_async_context(Client(address))))
        yield nodes


def providers_of(nodes: Sequence[Provider]) -> Callable[[int], Sequence[Provider]]:
    """All of them, each the primary in its turn."""

    def chosen(attempt: int) -> Sequence[Provider]:
        start = attempt % len(nodes)
        return [*nodes[start:], *nodes[:start]]

    return chosen
