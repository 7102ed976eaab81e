"""Commands that ask a node how it is: health, status, version."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import click

from consensus.formats.units import MIB
from crypto import native
from dchat.cli.terminal.ask import here, here_by_number, node_option, own_stopped, run, tls_options, tls_said
from dchat.cli.terminal.base import Command, Exit, Refusal, home_root, own_node, show_json
from dchat.cli.terminal.outcome import show_told
from dchat.client.client import Client, quoted
from dchat.client.nodes.tls import Tls
from dchat.config import Config
from dchat.home.version import ENGINE_VERSION, build_version
from dchat.shown.messages import message_json
from proto.dchat.v1.service_pb2 import GetStatusResponse, GetUpgradeResponse

ANSWER_BYTES_MAX = MIB
TIMEOUT_S = 5.0
WHOLE_CHARS_MAX = 20  # of 64 bits, with its sign: more is no count, and no float holds what is far beyond
UNKNOWN_AS_0 = ("bytes_per_block", "full_in_seconds")  # of a disk whose use is not known yet, or does not grow
READINESS = {name: name for name in ("ready", "connected_peers", "failing")} | {"reason": "not_ready_because"}
SYNC_INFO = ("sync_info", "SyncInfo")  # CometBFT's name, and the one that Cosmovisor 1.5 looks for


def own_url(config: Config) -> str:
    """Of the HTTP door of the node with these options."""
    scheme = "https" if config.tls.cert_file else "http"
    return f"{scheme}://{here(config.http.host)}:{config.observability.health_port}"


def _own_certificate(url: str) -> Path | None:
    """The one that our own node's door shows, where that is who is asked."""
    config = _own_config(url)
    return home_root() / config.tls.cert_file if config is not None and config.tls.cert_file else None


def _own_config(url: str) -> Config | None:
    """Of the node with this door, where it is our own; None: it is another's."""
    try:
        config = own_node()
    except Refusal:
        return None
    return config if f"{url}/".startswith(f"{own_url(config)}/") else None


def url_said(url: str) -> str:
    """Without a scheme it is HTTP, with --tls and its like TLS. Raises Refusal."""
    if "://" not in url:
        url = f"http://{url}" if tls_said() is None else f"https://{url}"
    if not url.startswith(("http://", "https://")):
        raise Refusal(f"{url!r} is no http(s) address; allowed: like http://10.0.0.2:8080", Exit.USAGE)
    return url


def get_json(url: str) -> tuple[int, Any]:
    """Status code and JSON of a GET. Raises Refusal (unreachable, too slow, too much, not JSON)."""
    return ask_json(url, Ask())


@dataclass(frozen=True)
class Ask:
    """A request. body: of a POST, as JSON; key: an API key; socket: asked there, whatever host the address names."""

    verb: str = "GET"
    body: Mapping[str, Any] | None = None
    key: str = ""
    socket: Path | None = None
    timeout_s: float = TIMEOUT_S


def get_text(url: str) -> str:
    """As `get_json`, of a page of text."""
    status, body = _asked(url, Ask())
    if status != 200:
        raise Refusal(f"{url} answered {status}", Exit.UNREACHABLE)
    return body.decode(errors="replace")


def ask_json(url: str, ask: Ask) -> tuple[int, Any]:
    """Status code and JSON. Raises Refusal, as `get_json`."""
    status, body = _asked(url, ask)
    try:
        return status, parse(body)
    except (ValueError, RecursionError):
        raise Refusal(f"{url_said(url)} answered {status} without JSON", Exit.UNREACHABLE) from None


def parse(body: bytes) -> Any:
    """What a door answers; numbers that no node has are texts: nobody can count with them. Raises ValueError,
    RecursionError."""
    return json.loads(body, parse_int=_whole, parse_constant=str)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= WHOLE_CHARS_MAX else digits


def _asked(url: str, ask: Ask) -> tuple[int, bytes]:
    url, tls = url_said(url), tls_said() if ask.socket is None else None
    try:
        context = context_of(url, tls) if ask.socket is None else None
        return asyncio.run(_get(url, ask, context, tls.server_name if tls is not None else ""))
    except (OSError, TimeoutError, ValueError, aiohttp.ClientError) as error:
        is_away = ask.socket is not None and isinstance(error, aiohttp.ClientConnectorError)
        why = "no node runs on this home, or it is another user's" if is_away else why_of(error, ask.timeout_s)
        why += _if_stopped(url, ask)
        raise Refusal(f"{ask.socket or url} did not answer: {why}", Exit.UNREACHABLE) from None


def _if_stopped(url: str, ask: Ask) -> str:
    """What is said beside, where it is our own node's process that cannot answer."""
    stopped = own_stopped()
    is_own = ask.socket is not None or (stopped and _own_config(here_by_number(url)) is not None)
    return f"; {stopped}" if stopped and is_own else ""


def why_of(error: Exception, timeout_s: float) -> str:
    """In words of ours: aiohttp's name its own settings."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = quoted(str(error.certificate_error))
        if "certificate has expired" in why:
            return f"the certificate of {error.host}:{error.port} has expired: its operator renews it"
        return f"the certificate of {error.host}:{error.port} is not vouched for ({why}); --tls-root names who does"
    if not isinstance(error, aiohttp.ClientConnectorError):
        return quoted(str(error)) or f"not whole within {timeout_s:g} s"
    place = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"{place} does not speak TLS as it should; without TLS it is http://{place}"
    if isinstance(error.os_error, socket.gaierror):
        return f"no host is known by the name {error.host}"
    number = error.os_error.errno
    what = os.strerror(number) if number else "nobody could be connected to"
    return f"{place}: {what}; is the node running? --url http://HOST:PORT names another, by its health_port"


def context_of(url: str, tls: Tls | None) -> ssl.SSLContext | None:
    """None: the usual one. Our own door is known by the very certificate that it has. Raises Refusal."""
    own = _own_certificate(url) if url.startswith("https://") and (tls is None or tls.root is None) else None
    try:
        found = tls if own is None else Tls.to_own(own, tls)
        return None if found is None else found.context()
    except (OSError, ValueError) as error:
        raise Refusal(str(error), Exit.USAGE) from None


async def _get(url: str, ask: Ask, tls: ssl.SSLContext | None, server_name: str) -> tuple[int, bytes]:
    """All of it within its time, however it is dealt out, and of nobody else whom the answer names."""
    timeout = aiohttp.ClientTimeout(total=ask.timeout_s)
    connector = aiohttp.UnixConnector(str(ask.socket)) if ask.socket is not None else None
    headers = {"Authorization": f"Bearer {ask.key}"} if ask.key else None
    async with (
        aiohttp.ClientSession(timeout=timeout, connector=connector) as http,
        http.request(
            ask.verb, url, allow_redirects=False, ssl=tls or True, server_hostname=server_name or None,
            headers=headers, json=ask.body,
        ) as answer,
    ):  # fmt: skip
        body = b""
        while len(body) <= ANSWER_BYTES_MAX and (piece := await answer.content.read(65_536)):
            body += piece
        return answer.status, body[:ANSWER_BYTES_MAX]


@click.command(cls=Command)
@click.option(
    "--url", help="Another node's HTTP door (health_port), like http://127.0.0.1:8080. Default: the home's own node."
)
@click.option("--node", "node", hidden=True)
@tls_options
def health(url: str | None, node: str | None) -> None:
    """Ask a node whether it is well, over HTTP. Exit code 0 only when it is.

    One that is well may not be ready yet: why, and which of its parts fail, is told beside.
    """
    if node is not None:
        raise click.UsageError("health is asked over HTTP: name another node by --url http://HOST:PORT (health_port)")
    if url is None:
        url = own_url(own_node())
    address = url.rstrip("/").removesuffix("/health")
    status, answer = get_json(f"{address}/health")
    if isinstance(answer, dict):
        show_told(answer | _readiness(address))
    else:
        show_json(answer)
    if status != 200:
        raise Refusal(
            f"not healthy: {quoted(str(answer.get('reason', status) if isinstance(answer, dict) else status))}"
        )


def _readiness(address: str) -> dict[str, Any]:
    """What the door says at /ready; nothing where it has no such page."""
    try:
        _, told = get_json(f"{address}/ready")
    except Refusal:
        return {}
    return {shown: told[name] for name, shown in READINESS.items() if isinstance(told, dict) and name in told}


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
    show_told({"node": address, **shown, **dict.fromkeys(names, told)})


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
    show_told({**versions, "native": native.state()})
