"""A validator and its remote signer: one connection, whole messages, one question at a time.

CometBFT's privval protocol: the signer dials the validator. Over TCP it is the secret connection of the peers' network,
so that either side knows the other's key; over a Unix socket it is plain, for who may open the file is known. A message
is a protobuf `tendermint.privval.Message` with its length in front, and its length is looked at before its bytes.
Source: CometBFT v0.38, privval/signer_endpoint.go, privval/socket_dialers.go, privval/socket_listeners.go.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from consensus.p2p.conn.errors import P2PError
from consensus.p2p.conn.node_key import NodeKey, node_id
from consensus.p2p.conn.packets import delimited, split_delimited
from consensus.p2p.conn.secret_connection import HANDSHAKE_MESSAGE_BYTES_MAX, Opener, Sealer, SecretHandshake
from consensus.privval.errors import BadSignerAddress, SignerLinkLost
from proto.tendermint.privval import types_pb2 as pb

MESSAGE_BYTES_MAX: Final = 10_240  # CometBFT's: a vote with its extension, or a proposal, fits with room
HANDSHAKE_S: Final = 3.0  # CometBFT's time to accept a connection
READ_BYTES: Final = 4_096
UNIX_PATH_BYTES_MAX: Final = 107  # of Linux's sockaddr_un, which ends with a zero
FORMS: Final = "allowed: tcp://HOST:PORT or unix://PATH"


@dataclass(frozen=True, slots=True)
class SignerAddress:
    """Where the validator listens and the signer dials. path: of a Unix socket, else empty."""

    host: str = ""
    port: int = 0
    path: str = ""

    @staticmethod
    def parse(text: str) -> SignerAddress:
        """Raises BadSignerAddress, naming what is allowed."""
        kind, separator, rest = text.partition("://")
        if separator and kind == "unix":
            if not rest or len(rest.encode()) > UNIX_PATH_BYTES_MAX or "\0" in rest:
                raise BadSignerAddress(f"{text!r}: the path has 1 to {UNIX_PATH_BYTES_MAX} bytes; {FORMS}")
            return SignerAddress(path=rest)
        host, _, port = rest.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        is_port = port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65_536
        if not separator or kind != "tcp" or not host or not is_port:
            raise BadSignerAddress(f"{text!r} is no address of a remote signer; {FORMS}")
        return SignerAddress(host, int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.path}" if self.path else f"tcp://{host}:{self.port}"


class Channel:
    """Whole messages over a connection that is open. Every call raises SignerLinkLost when it is not, any more; waiting
    is bounded by who calls. peer_id: of the key that the other side proved to hold; empty over a Unix socket."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secrets: tuple[Sealer, Opener] | None = None
    ) -> None:
        self._reader, self._writer, self._secrets = reader, writer, secrets
        self._buffer = b""  # at most one message and one read beyond
        self.peer_id = ""

    async def send(self, message: pb.Message) -> None:
        body = message.SerializeToString()
        if len(body) > MESSAGE_BYTES_MAX:
            raise SignerLinkLost(f"a message of {len(body)} bytes is not sent; allowed: {MESSAGE_BYTES_MAX}")
        data = delimited(body)
        try:
            self._writer.write(data if self._secrets is None else self._secrets[0].seal(data))
            await self._writer.drain()
        except OSError as error:
            raise SignerLinkLost(f"the connection broke: {error}") from error

    async def receive(self) -> pb.Message:
        body = await self._body(MESSAGE_BYTES_MAX, "message")
        try:
            return pb.Message.FromString(body)
        except DecodeError as error:
            raise SignerLinkLost(f"what came is no privval message: {body[:40].hex()}") from error

    async def _body(self, bytes_max: int, what: str) -> bytes:
        try:
            while (split := split_delimited(self._buffer, limit=bytes_max, what=what)) is None:
                data = await self._reader.read(READ_BYTES)
                if not data:
                    raise SignerLinkLost("the other side closed the connection")
                self._buffer += data if self._secrets is None else self._secrets[1].open(data)
        except P2PError as error:
            raise SignerLinkLost(f"the other side broke the protocol: {error}") from error
        except OSError as error:
            raise SignerLinkLost(f"the connection broke: {error}") from error
        body, self._buffer = split
        return body

    async def secure(self, key: NodeKey) -> None:
        """The secret connection's handshake, as `key`."""
        handshake = SecretHandshake(key)
        try:
            self._writer.write(handshake.hello())
            sealed = handshake.receive_hello(await self._body(HANDSHAKE_MESSAGE_BYTES_MAX, "hello"))
            rest, self._buffer = self._buffer, b""
            self._secrets = handshake.sealer, handshake.opener
            self._writer.write(sealed)
            self._buffer = handshake.opener.open(rest)
            public_key = handshake.receive_auth(await self._body(HANDSHAKE_MESSAGE_BYTES_MAX, "authentication"))
        except P2PError as error:
            raise SignerLinkLost(f"the other side broke the handshake: {error}") from error
        except OSError as error:
            raise SignerLinkLost(f"the connection broke: {error}") from error
        self.peer_id = node_id(public_key)

    def close(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()


async def open_channel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: NodeKey | None) -> Channel:
    """Over a new connection: secret as `key`; plain for None. Raises SignerLinkLost, also when it takes too long."""
    channel = Channel(reader, writer)
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            if key is not None:
                await channel.secure(key)
    except TimeoutError:
        channel.close()
        raise SignerLinkLost(f"the handshake was not finished within {HANDSHAKE_S:g} s") from None
    except BaseException:
        channel.close()
        raise
    return channel


async def dial(address: SignerAddress, key: NodeKey) -> Channel:
    """Raises SignerLinkLost."""
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            if address.path:
                reader, writer = await asyncio.open_unix_connection(address.path)
            else:
                reader, writer = await asyncio.open_connection(address.host, address.port)
    except TimeoutError:
        raise SignerLinkLost(f"nobody answered within {HANDSHAKE_S:g} s") from None
    except OSError as error:
        raise SignerLinkLost(f"nobody listens there: {error.strerror or error}") from error
    return await open_channel(reader, writer, None if address.path else key)
