"""What `dchat top` knows: each node's HTTP door, asked once a second, and what follows from two answers.

A door's answers are data from outside: bounded in size and time, and looked at field by field (`tables`). A node that
does not answer is one that is shown as such.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

import aiohttp

from dchat.cli.commands.status_commands import parse

ANSWER_BYTES_MAX: Final = 4_194_304
ANSWER_S: Final = 5.0
BLOCKS_SHOWN: Final = 12
NAMES_EVERY_S: Final = 15.0
SMOOTH: Final = 0.3  # of the latest rate, in the one that is shown
RATE_LEAST: Final = 0.05  # a second; less is none


class DoorSilent(Exception):
    """A node's door did not answer as one does, and why."""


@dataclass(frozen=True)
class Watched:
    """A node to be asked. node_id: that its door has to have (else it is another network's, at our port); empty: any.
    pid: of its process, where it is on this machine and known."""

    name: str
    url: str
    node_id: str = ""
    pid: Callable[[], int | None] | None = None


@dataclass(frozen=True)
class Reading:
    """One node at one moment. fault: why there is nothing else; empty: it answered."""

    node: Watched
    fault: str = ""
    status: Mapping[str, Any] = field(default_factory=dict)
    consensus: Mapping[str, Any] = field(default_factory=dict)
    blocks: Sequence[Mapping[str, Any]] = ()
    took_ms: float = 0.0  # of the answer to /status
    txs_per_s: float = 0.0
    bytes_per_s: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # in, out by peer id

    @property
    def height(self) -> int:
        height = self.status.get("latest_block_height")
        return height if isinstance(height, int) else 0


class Rates:
    """Counters as numbers a second, from one answer to the next, smoothed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, int]] = {}
        self._rates: dict[str, float] = {}

    def of(self, what: str, count: Any, now: float) -> float:
        """A counter that fell began anew."""
        if not isinstance(count, int):
            return 0.0
        before = self._seen.get(what)
        self._seen[what] = (now, count)
        if before is None or now <= before[0] or count < before[1]:
            self._rates.pop(what, None)
            return 0.0
        latest = (count - before[1]) / (now - before[0])
        rate = (1 - SMOOTH) * self._rates.get(what, latest) + SMOOTH * latest
        self._rates[what] = rate if rate >= RATE_LEAST else 0.0
        return self._rates[what]


class Watch:
    """Use as `async with Watch(nodes) as watch:`; then `read` again and again."""

    def __init__(self, nodes: Sequence[Watched], *, tls: ssl.SSLContext | None = None, tls_name: str = "") -> None:
        """tls: None: by the system's roots, where an address is https. tls_name: that the certificate is for."""
        self.nodes = tuple(nodes)
        self.monikers: dict[str, str] = {}  # of validators, by consensus address in upper case
        self._tls: ssl.SSLContext | bool = tls or True
        self._tls_name = tls_name or None
        self._rates = [Rates() for _ in nodes]
        self._blocks: list[tuple[int, Sequence[Mapping[str, Any]]]] = [(0, ()) for _ in nodes]
        self._named_at: float | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Watch:
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def read(self) -> list[Reading]:
        """All nodes at once, in their order."""
        readings = await asyncio.gather(*(self._read(at) for at in range(len(self.nodes))))
        await self._name(readings)
        return list(readings)

    async def _read(self, at: int) -> Reading:
        node = self.nodes[at]
        try:
            began = time.monotonic()
            status = await self.ask(node, "/status")
            now = time.monotonic()
            if node.node_id and status.get("node_id") != node.node_id:
                return Reading(node, "another network's node has its port")
            consensus = await self.ask(node, "/chain/consensus-status")
            blocks = await self._latest(at, status.get("latest_block_height"))
        except DoorSilent as error:
            return Reading(node, str(error))
        rates, peers = self._rates[at], status.get("peers")
        return Reading(
            node,
            status=status,
            consensus=consensus,
            blocks=blocks,
            took_ms=(now - began) * 1_000,
            txs_per_s=rates.of("txs", status.get("committed_transactions"), now),
            bytes_per_s={
                str(peer.get("id")): (
                    rates.of(f"in {peer.get('id')}", peer.get("bytes_in"), now),
                    rates.of(f"out {peer.get('id')}", peer.get("bytes_out"), now),
                )
                for peer in (peers if isinstance(peers, list) else [])
                if isinstance(peer, dict)
            },
        )

    async def _latest(self, at: int, height: Any) -> Sequence[Mapping[str, Any]]:
        """Asked for where there is a new one."""
        known, blocks = self._blocks[at]
        if height == known or not isinstance(height, int):
            return blocks
        told = await self.ask(self.nodes[at], f"/chain/blocks?limit={BLOCKS_SHOWN}")
        listed = told.get("blocks")
        blocks = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        self._blocks[at] = (height, blocks)
        return blocks

    async def _name(self, readings: Sequence[Reading]) -> None:
        """Validators' names, of the first node that tells them."""
        now = time.monotonic()
        if self._named_at is not None and now - self._named_at < NAMES_EVERY_S:
            return
        for reading in readings:
            if reading.fault:
                continue
            try:
                told = await self.ask(reading.node, "/v1/validators?limit=100")
            except DoorSilent:
                continue
            listed = told.get("validators")
            for one in listed if isinstance(listed, list) else []:
                if isinstance(one, dict):
                    had = one.get("rotations")
                    past = [key.get("address") for key in had if isinstance(key, dict)] if isinstance(had, list) else []
                    for address in (one.get("consensus_address"), *past):
                        self.monikers[str(address).upper()] = str(one.get("moniker"))
            self._named_at = now
            return

    async def ask(self, node: Watched, path: str) -> dict[str, Any]:
        """An answer in JSON, of nobody else whom it names. Raises DoorSilent."""
        assert self._http is not None, "async with"
        try:
            async with self._http.get(
                f"{node.url}{path}", ssl=self._tls, server_hostname=self._tls_name, allow_redirects=False
            ) as answer:
                body = b""
                while len(body) <= ANSWER_BYTES_MAX and (piece := await answer.content.read(65_536)):
                    body += piece
                status = answer.status
        except TimeoutError:
            raise DoorSilent(f"no answer within {ANSWER_S:g} s") from None
        except (OSError, aiohttp.ClientError) as error:
            raise DoorSilent(_why(error)) from None
        if len(body) > ANSWER_BYTES_MAX:
            raise DoorSilent(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        try:
            told = parse(body)
        except (ValueError, RecursionError):
            raise DoorSilent(f"answered {status} without JSON") from None
        if status != 200 or not isinstance(told, dict):
            said = told.get("error") if isinstance(told, dict) else None
            raise DoorSilent(f"answered {status}: {str(said)[:100]}")
        return told


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not vouched for: --tls-root FILE names who does"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "does not listen" if isinstance(error.os_error, ConnectionRefusedError) else str(error.os_error)[:100]
    return str(error)[:100] or "the connection ended"
