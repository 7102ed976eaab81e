"""Who answers at an address: the validators' handshake as far as both sides prove their keys, and no further.

Of a peer that is connected already the switch makes no second connection, so nothing else says whether an address of it
is right. Under a key made for this, so that the peer takes it for nobody it knows.
"""

from __future__ import annotations

import asyncio
from typing import Final

from consensus.p2p.conn.address import NodeAddress
from consensus.p2p.conn.errors import DialError, P2PError
from consensus.p2p.conn.node_key import NodeKey, node_id
from consensus.p2p.conn.packets import split_delimited
from consensus.p2p.conn.secret_connection import SecretHandshake

HELLO_BYTES_MAX: Final = 64
AUTH_BYTES_MAX: Final = 1_024
READ_BYTES: Final = 4_096
READS_MAX: Final = 64


async def who_is_at(address: NodeAddress) -> str:
    """The id that is proven there. Waits as long as the caller lets it. Raises P2PError."""
    try:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    except (OSError, UnicodeError) as error:
        raise DialError(f"dial {address}: {error}") from None
    try:
        return await _shake_hands(reader, writer)
    except (OSError, EOFError) as error:
        raise DialError(f"dial {address}: {error or 'it hung up'}") from None
    except P2PError as error:
        raise DialError(f"dial {address}: {error}") from None
    finally:
        writer.transport.abort()


async def _shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    handshake, reads = SecretHandshake(NodeKey.generate()), 0
    buffer = b""

    async def more() -> bytes:
        nonlocal reads
        reads += 1
        data = await reader.read(READ_BYTES)
        if not data or reads > READS_MAX:
            raise EOFError
        return data

    writer.write(handshake.hello())
    while (split := split_delimited(buffer, limit=HELLO_BYTES_MAX, what="hello")) is None:
        buffer += await more()
    body, buffer = split
    writer.write(handshake.receive_hello(body))
    buffer = handshake.opener.open(buffer)
    while (split := split_delimited(buffer, limit=AUTH_BYTES_MAX, what="authentication")) is None:
        buffer += handshake.opener.open(await more())
    return node_id(handshake.receive_auth(split[0]))
