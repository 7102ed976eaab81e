"""Asks a peer who it is, as a node would, but for a moment only: its id, its chain, its newest block's time.

By the validators' own protocol, at the port that has to be open anyway, under a key made for this. What it answers is
bounded in bytes and in time. Source: CometBFT v0.38, spec/p2p and spec/p2p/legacy-docs/messages/block-sync.md.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from consensus.channels.peer_messages import (
    BLOCK_SYNC_CHANNEL,
    BlockRequest,
    BlockResponse,
    StatusResponse,
    decode_block_sync,
)
from consensus.formats.errors import InvalidData
from consensus.formats.timestamps import timestamp_ns
from consensus.formats.units import MIB
from consensus.p2p.conn.address import NodeAddress
from consensus.p2p.conn.errors import P2PError
from consensus.p2p.conn.node_info import NODE_INFO_BYTES_MAX, NodeInfo
from consensus.p2p.conn.node_key import NodeKey, node_id
from consensus.p2p.conn.packets import decode_packet, delimited, packet_prefix, split_delimited
from consensus.p2p.conn.secret_connection import SecretHandshake
from dchat.home.version import ENGINE_VERSION
from proto.tendermint.types import block_pb2

DIAL_S: Final = 3.0
ANSWER_S: Final = 5.0
READ_BYTES_MAX: Final = 4 * MIB  # a larger newest block tells no time here
PACKET_BYTES_MAX: Final = 2_048
_READ: Final = 65_536


class ProbeFailed(Exception):
    """Nobody there who speaks the validators' protocol: why."""


class Probed(NamedTuple):
    """What a peer says of itself. id: proven. block_time_ns: of its newest block; 0: it told none."""

    id: str
    moniker: str
    network: str
    version: str
    height: int
    block_time_ns: int
    genesis_hash: bytes = b""  # with its form in front; empty: it tells none


async def probe(address: NodeAddress, chain_id: str) -> Probed:
    """Raises ProbeFailed."""
    try:
        async with asyncio.timeout(DIAL_S):
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except TimeoutError:
        raise ProbeFailed(f"nothing answers within {DIAL_S:g} s: a firewall, or a machine that is down") from None
    except OSError as error:
        raise ProbeFailed(os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)) from None
    wire = _Wire(reader, writer)
    try:
        async with asyncio.timeout(ANSWER_S):
            info, key = await wire.shake_hands(chain_id)
        height = time_ns = 0
        if info.network == chain_id:
            height, time_ns = await wire.newest()
        return Probed(node_id(key), info.moniker, info.network, info.version, height, time_ns, info.genesis_hash)
    except TimeoutError:
        raise ProbeFailed(f"it does not speak the validators' protocol: nothing within {ANSWER_S:g} s") from None
    except (OSError, EOFError, P2PError, InvalidData) as error:
        why = str(error) or "the connection was closed"
        raise ProbeFailed(f"it does not speak the validators' protocol, or turns this machine away: {why}") from None
    finally:
        writer.transport.abort()


class _Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._key = NodeKey.generate()
        self._handshake = SecretHandshake(self._key)
        self._buffer, self._read = b"", 0
        self._open: Callable[[bytes], bytes] = bytes  # as it comes, until there are keys

    async def shake_hands(self, chain_id: str) -> tuple[NodeInfo, bytes]:
        """Who it says that it is, and the key that it proved to have."""
        self._writer.write(self._handshake.hello())
        self._writer.write(self._handshake.receive_hello(await self._message(64, "hello")))
        self._open = self._handshake.opener.open
        self._buffer = self._open(self._buffer)
        key = self._handshake.receive_auth(await self._message(1_024, "authentication"))
        ours = NodeInfo(
            self._key.id, "tcp://0.0.0.0:26656", chain_id, ENGINE_VERSION, bytes([BLOCK_SYNC_CHANNEL]), "validate"
        )
        self._send(delimited(ours.encode()))
        info = NodeInfo.decode(await self._message(NODE_INFO_BYTES_MAX, "node info"))
        info.validate()
        return info, key

    async def newest(self) -> tuple[int, int]:
        """Height and time of its newest block; 0 where it tells none in time."""
        height = 0
        try:
            async with asyncio.timeout(ANSWER_S):
                while True:
                    match decode_block_sync(await self._of_block_sync()):
                        case StatusResponse(top) if top and not height:
                            height = top
                            request = BlockRequest(height).encode()
                            self._send(packet_prefix(BLOCK_SYNC_CHANNEL, len(request), True) + request)
                        case BlockResponse(block):
                            return height, timestamp_ns(block_pb2.Block.FromString(block).header.time)
        except (TimeoutError, OSError, EOFError, P2PError, InvalidData, DecodeError):
            return height, 0

    def _send(self, data: bytes) -> None:
        self._writer.write(self._handshake.sealer.seal(data))

    async def _of_block_sync(self) -> bytes:
        """The next whole message of its channel."""
        parts = b""
        while True:
            body = await self._message(PACKET_BYTES_MAX, "packet")
            channel, is_last, payload = decode_packet(body, 0, len(body))
            if channel == BLOCK_SYNC_CHANNEL:
                parts += payload
                if is_last:
                    return parts

    async def _message(self, limit: int, what: str) -> bytes:
        """The next delimited message. Raises EOFError: it was closed, or said too much."""
        while (split := split_delimited(self._buffer, limit=limit, what=what)) is None:
            data = await self._reader.read(_READ)
            self._read += len(data)
            if not data or self._read > READ_BYTES_MAX:
                raise EOFError
            self._buffer += self._open(data)
        body, self._buffer = split
        return body
