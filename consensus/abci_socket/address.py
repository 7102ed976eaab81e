"""Where an application listens: `tcp://HOST:PORT` or `unix://PATH`, as CometBFT's proxy_app writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from consensus.abci_socket.errors import BadSocketAddress

UNIX, TCP = "unix", "tcp"
UNIX_PATH_BYTES_MAX: Final = 107  # of Linux's sockaddr_un, which ends with a zero
FORMS: Final = "allowed: tcp://HOST:PORT or unix://PATH"


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """kind: unix or tcp. path: of unix; host and port: of tcp (port 0, where one listens: any that is free)."""

    kind: str
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.path}" if self.kind == UNIX else f"tcp://{host}:{self.port}"


def parse_address(text: str) -> SocketAddress:
    """Raises BadSocketAddress, naming what is allowed. Without a scheme it is taken for TCP, as CometBFT does."""
    kind, separator, rest = text.partition("://")
    if not separator:
        kind, rest = TCP, text
    if kind == UNIX:
        if not rest or len(rest.encode()) > UNIX_PATH_BYTES_MAX or "\0" in rest:
            raise BadSocketAddress(f"{text!r}: the path has 1 to {UNIX_PATH_BYTES_MAX} bytes; {FORMS}")
        return SocketAddress(UNIX, path=rest)
    host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if kind != TCP or not host or not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65_536):
        raise BadSocketAddress(f"{text!r} is no address of an application; {FORMS}")
    return SocketAddress(TCP, host=host, port=int(port))
