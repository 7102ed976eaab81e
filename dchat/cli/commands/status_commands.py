"""Commands that ask a node how it is: health, status, version."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from typing import Any

import aiohttp
import click

from consensus.formats.units import MIB
from crypto import native
from dchat.cli.terminal.ask import node_option, run
from dchat.cli.terminal.base import Command, Exit, Refusal, own_node, show_json
from dchat.client.client import Client, quoted
from dchat.home.version import ENGINE_VERSION, build_version
from dchat.shown.messages import message_json
from proto.dchat.v1.service_pb2 import GetStatusResponse, GetUpgradeResponse

ANSWER_BYTES_MAX = MIB
TIMEOUT_S = 5.0
UNKNOWN_AS_0 = ("bytes_per_block", "full_in_seconds")  # of a disk whose use is not known yet, or does not grow
SYNC_INFO = ("sync_info", "SyncInfo")  # CometBFT's name, and the one that Cosmovisor 1.5 looks for


def get_json(url: str) -> tuple[int, Any]:
    """Status code and JSON of a GET; without a scheme it is HTTP. Raises Refusal (unreachable, too slow, too much, not
    JSON)."""
    if "://" not in url:
        url = f"http://{url}"
    if not url.startswith(("http://", "https://")):
        raise Refusal(f"{url!r} is no http(s) address; allowed: like http://10.0.0.2:8080", Exit.USAGE)
    try:
        status, body = asyncio.run(_get(url))
    except (OSError, TimeoutError, ValueError, aiohttp.ClientError) as error:
        raise Refusal(f"{url} did not answer: {_why(error)}", Exit.UNREACHABLE) from None
    try:
        return status, json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(f"{url} answered {status} without JSON", Exit.UNREACHABLE) from None


def _why(error: Exception) -> str:
    """In words of ours: aiohttp's name its own settings."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return quoted(str(error)) or f"not whole within {TIMEOUT_S:g} s"
    place = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"{place} does not speak TLS as it should; without TLS it is http://{place}"
    if isinstance(error.os_error, socket.gaierror):
        return f"no host is known by the name {error.host}"
    number = error.os_error.errno
    what = os.strerror(number) if number else "nobody could be connected to"
    return f"{place}: {what}; is the node running? --url http://HOST:PORT names another, by its health_port"


async def _get(url: str) -> tuple[int, bytes]:
    """All of it within TIMEOUT_S, however it is dealt out, and of nobody else whom the answer names."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url, allow_redirects=False) as answer:
        body = b""
        while len(body) <= ANSWER_BYTES_MAX and (piece := await answer.content.read(65_536)):
            body += piece
        return answer.status, body[:ANSWER_BYTES_MAX]


@click.command(cls=Command)
@click.option(
    "--url", help="Another node's HTTP door (health_port), like http://127.0.0.1:8080. Default: the home's own node."
)
@click.option("--node", "node", hidden=True)
def health(url: str | None, node: str | None) -> None:
    """Ask a node whether it is well, over HTTP. Exit code 0 only when it is."""
    if node is not None:
        raise click.UsageError("health is asked over HTTP: name another node by --url http://HOST:PORT (health_port)")
    if url is None:
        config = own_node()
        host = "127.0.0.1" if config.http.host in ("0.0.0.0", "") else config.http.host
        url = f"http://{host}:{config.observability.health_port}"
    address = url.rstrip("/")
    status, answer = get_json(address if address.endswith("/health") else f"{address}/health")
    show_json(answer)
    if status != 200:
        raise Refusal(
            f"not healthy: {quoted(str(answer.get('reason', status) if isinstance(answer, dict) else status))}"
        )


@click.command(cls=Command)
@node_option
def status(node: str | None) -> None:
    """Where a node and its chain stand."""

    async def ask(client: Client) -> tuple[GetStatusResponse, GetUpgradeResponse, str]:
        return await client.status(), await client.upgrade(), client.address

    answer, upgrade, address = run(ask, node)
    told = sync_info(answer, halted=bool(upgrade.halted))
    names = SYNC_INFO[:1] if sys.stdout.isatty() else SYNC_INFO  # programs read it, a person needs it once
    shown = message_json(answer)
    if isinstance(storage := shown.get("storage"), dict):
        for name in UNKNOWN_AS_0:
            storage[name] = storage.get(name) or None
    show_json({"node": address, **shown, **dict.fromkeys(names, told)})


def sync_info(answer: GetStatusResponse, *, halted: bool) -> dict[str, Any]:
    """What Cosmovisor reads before it takes another binary: CometBFT's names and texts.

    A node that left consensus stands at the height whose block it does not execute, as one of CometBFT's does, which
    has saved that block; with the height before, Cosmovisor would wait until this one's reading time is over.
    """
    height = answer.latest_block_height + halted
    return {"latest_block_height": str(height), "catching_up": answer.catching_up}


@click.command(cls=Command)
def version() -> None:
    """The versions of this build and of what it speaks."""
    versions = {"dchat": build_version(), "engine": ENGINE_VERSION, "block_protocol": 11, "abci": "2.0.0"}
    show_json({**versions, "native": native.state()})
