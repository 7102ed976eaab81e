"""Varints, delimited messages and packets: the byte layouts of the p2p wire.

Packets are read and written by hand where they have the layout that every Go peer writes, since one is handled per
message and direction; any other layout goes through the generated parser, so that the meaning is protobuf's.
Source: CometBFT v0.38, proto/tendermint/p2p/conn.proto, p2p/conn.
"""

from __future__ import annotations

from functools import lru_cache

from google.protobuf.message import DecodeError

from consensus.p2p.conn.errors import ConnectionFault
from proto.tendermint.p2p import conn_pb2

PING = bytes.fromhex("020a00")
PONG = bytes.fromhex("021200")
UVARINT_BYTES_MAX = 10  # a 64-bit number in groups of seven bits

_TAG_PING, _TAG_PONG, _TAG_MSG = 0x0A, 0x12, 0x1A
_TAG_CHANNEL, _TAG_EOF, _TAG_DATA = 0x08, 0x10, 0x1A
CHANNEL_PING, CHANNEL_PONG = -1, -2


def uvarint(value: int) -> bytes:
    """Encode an unsigned varint (base 128, least significant group first)."""
    assert value >= 0, value
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def delimited(message: bytes) -> bytes:
    """Return the message with its length in front."""
    return uvarint(len(message)) + message


def split_delimited(data: bytes, *, limit: int, what: str) -> tuple[bytes, bytes] | None:
    """Return the first delimited message of `data` and the bytes after it, or None while it is incomplete.

    Raises ConnectionFault when the length is malformed or over `limit`; `what` names the message in it.
    """
    length = shift = 0
    for index, byte in enumerate(data[:UVARINT_BYTES_MAX]):
        length |= (byte & 0x7F) << shift
        shift += 7
        if length > limit:
            raise ConnectionFault(f"{what}: length is at least {length} bytes, at most {limit} allowed")
        if byte < 0x80:
            start = index + 1
            if len(data) < start + length:
                return None
            return data[start : start + length], data[start + length :]
    if len(data) >= UVARINT_BYTES_MAX:
        raise ConnectionFault(f"{what}: the length has more than {UVARINT_BYTES_MAX} bytes")
    return None


def packet_bytes_max(payload_bytes_max: int) -> int:
    """The longest Packet a peer may send (without its length prefix): channel 1, EOF, full payload."""
    inner = 2 + 2 + 1 + len(uvarint(payload_bytes_max)) + payload_bytes_max
    return 1 + len(uvarint(inner)) + inner


@lru_cache(maxsize=16_384)  # payload sizes up to 1,024 on some ten channels
def packet_prefix(channel_id: int, size: int, eof: bool) -> bytes:
    """Everything of a delimited PacketMsg that stands before its `size` payload bytes."""
    head = b"\x08" + uvarint(channel_id) if channel_id else b""
    if eof:
        head += b"\x10\x01"
    if size:
        head += b"\x1a" + uvarint(size)
    inner = b"\x1a" + uvarint(len(head) + size) + head
    return uvarint(len(inner) + size) + inner


def decode_packet(data: bytes, start: int, stop: int) -> tuple[int, bool, bytes]:
    """Return (channel, eof, payload) of the Packet in data[start:stop]; channel -1 is a ping, -2 a pong.

    Raises ConnectionFault when it is malformed or has no variant set.
    """
    size = stop - start
    if size > 5 and data[start] == _TAG_MSG:
        # Fast path: tag, inner length (1 or 2 bytes) that fills the packet, channel, EOF, data that fills the rest.
        at = start + 2
        inner = data[start + 1]
        if inner > 0x7F:
            inner = inner & 0x7F | data[at] << 7  # a third byte makes this too big to match
            at += 1
        if at + inner == stop:
            channel = 0
            if data[at] == _TAG_CHANNEL and data[at + 1] < 0x80:
                channel = data[at + 1]
                at += 2
            eof = False
            if at + 1 < stop and data[at] == _TAG_EOF and data[at + 1] == 1:
                eof = True
                at += 2
            if at + 2 < stop and data[at] == _TAG_DATA:
                length = data[at + 1]
                at += 2
                if length > 0x7F:
                    length = length & 0x7F | data[at] << 7
                    at += 1
                if at + length == stop and length:
                    return channel, eof, data[at:stop]
    elif size == 2 and data[start + 1] == 0:
        if data[start] == _TAG_PING:
            return CHANNEL_PING, True, b""
        if data[start] == _TAG_PONG:
            return CHANNEL_PONG, True, b""
    return _decode_any_packet(data[start:stop])


def _decode_any_packet(body: bytes) -> tuple[int, bool, bytes]:
    try:
        packet = conn_pb2.Packet.FromString(body)
    except DecodeError as error:
        raise ConnectionFault(f"packet of {len(body)} bytes is no protobuf: {body[:16].hex()}") from error
    match packet.WhichOneof("sum"):
        case "packet_msg":
            message = packet.packet_msg
            if message.channel_id < 0:
                raise ConnectionFault(f"packet: channel is {message.channel_id}, expected 0 to 255")
            return message.channel_id, message.eof, message.data
        case "packet_ping":
            return CHANNEL_PING, True, b""
        case "packet_pong":
            return CHANNEL_PONG, True, b""
    raise ConnectionFault(f"packet of {len(body)} bytes is neither ping, pong nor message")
