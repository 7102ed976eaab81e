"""An engine's end of ABCI's socket, by hand: for tests of the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from consensus.abci_socket.address import UNIX, SocketAddress
from consensus.abci_socket.codec import Call, decode_response, encode_request
from consensus.abci_socket.frames import Frames, frame
from tests.support.patience import PATIENCE_S


class Wire:
    """One connection. `send` calls, `receive` answers in their order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._frames, self._found = Frames(), list[bytes]()

    def send(self, *calls: Call) -> None:
        self.writer.write(b"".join(frame(encode_request(call)) for call in calls))

    async def receive(self) -> Call | None:
        """None: the connection is closed."""
        async with asyncio.timeout(PATIENCE_S):
            while not self._found:
                data = await self._reader.read(65_536)
                if not data:
                    return None
                self._found += self._frames.feed(data)
        return decode_response(self._found.pop(0))

    async def ask(self, method: str, value: Any = None) -> Any:
        """The answer's value. Raises AssertionError with an exception's text."""
        self.send(Call(method, value))
        answer = await self.receive()
        assert answer is not None, "the connection is closed"
        assert answer.method == method, answer
        return answer.value


@contextlib.asynccontextmanager
async def wire_to(address: SocketAddress) -> AsyncIterator[Wire]:
    if address.kind == UNIX:
        reader, writer = await asyncio.open_unix_connection(address.path)
    else:
        reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
