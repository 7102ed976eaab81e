"""Messages behind their lengths: an unsigned varint, then so many bytes. Pure.

Promises: the length is judged before a byte of the message is kept, and the work is linear in what was fed.
Source: CometBFT v0.38, abci/types/messages.go (WriteMessage, ReadMessage), libs/protoio.
"""

from __future__ import annotations

from typing import Final

from consensus.abci_socket.errors import BadMessage
from crypto.hash import uvarint

MESSAGE_BYTES_MAX: Final = 104_857_600  # CometBFT's (maxMsgSize): a block of the format's limit fits
LENGTH_BYTES_MAX: Final = 5  # of a length that is allowed, in its longest spelling


def frame(message: bytes) -> bytes:
    return uvarint(len(message)) + message


class Frames:
    """Takes bytes as they come, gives whole messages."""

    def __init__(self, *, bytes_max: int = MESSAGE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._buffer = bytearray()
        self._wanted = -1  # bytes of the message that comes; -1: its length is not whole yet

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now. Raises BadMessage; after that it is of no more use."""
        self._buffer += data
        buffer, messages, at = self._buffer, list[bytes](), 0
        while True:
            if self._wanted < 0:
                length, begin = self._length(at)
                if begin < 0:
                    break
                self._wanted, at = length, begin
            if len(buffer) - at < self._wanted:
                break
            messages.append(bytes(buffer[at : at + self._wanted]))
            at += self._wanted
            self._wanted = -1
        del buffer[:at]
        return messages

    @property
    def is_between(self) -> bool:
        """Whether no message is begun."""
        return self._wanted < 0 and not self._buffer

    def _length(self, at: int) -> tuple[int, int]:
        """(length, where the message begins); (0, -1): it is not whole yet."""
        value = 0
        piece = self._buffer[at : at + LENGTH_BYTES_MAX]
        for index, byte in enumerate(piece):
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if value > self._bytes_max:
                    raise BadMessage(f"a message of {value} bytes; at most {self._bytes_max} are allowed")
                return value, at + index + 1
        if len(piece) == LENGTH_BYTES_MAX:
            raise BadMessage(f"a length of more than {LENGTH_BYTES_MAX} bytes; at most {self._bytes_max} are allowed")
        return 0, -1
