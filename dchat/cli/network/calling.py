"""How a command asks a node that runs: its HTTP door, and, to administer it, the socket in its home or an API key."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from dchat.cli.commands.status_commands import Ask, ask_json, get_json, own_url, url_said
from dchat.cli.terminal.ask import tls_options
from dchat.cli.terminal.base import (
    Exit,
    InputFile,
    Refusal,
    common_option,
    current_home,
    home_root,
    own_node,
    read_input,
)
from dchat.client.client import quoted
from dchat.doors.admin.keys import KEY_FORM
from dchat.doors.reads.limits import is_loopback
from dchat.home.sockets import PATH_BYTES_MAX, fits

KEY_VARIABLE: Final = "DCHAT_API_KEY"
KEY_FILE_BYTES_MAX: Final = 4_096
CALL_S: Final = 15.0  # dialing takes its time

url_option = click.option(
    "--url", metavar="URL",
    help="Another node's HTTP door (health_port), like https://10.0.0.2:8080. Default: the home's own node.",
)  # fmt: skip


def admin_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--url, and the key that a node elsewhere wants."""
    file = common_option(
        "--api-key-file", "key_file", type=InputFile(), metavar="FILE",
        help="Holds the API key for --url, as `dchat admin add-key` made it; or DCHAT_API_KEY. A home's own node needs "
        "none.",
    )  # fmt: skip
    return url_option(file(tls_options(command)))


def read(url: str | None, path: str) -> dict[str, Any]:
    """An answer of the HTTP door. Raises Refusal."""
    place = (url or own_url(own_node())).rstrip("/")
    status, answer = get_json(f"{place}{path}")
    if status == 503 and isinstance(answer, dict) and path == "/ready":
        return answer
    return _answer_of(f"{place}{path}", path, status, answer)


def may_administer(url: str | None, key_file: Path | None) -> bool:
    """Whether it can be tried."""
    return bool(key_file or os.environ.get(KEY_VARIABLE)) or (url is None and _own_socket().exists())


def administer(
    url: str | None, key_file: Path | None, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """An administrative call. body: of a POST; None: a GET. Raises Refusal."""
    verb = "GET" if body is None else "POST"
    if url is None:
        own_node()
        socket, place = _own_socket(), "http://node"
        if not fits(socket):
            raise Refusal(
                f"{socket} is too long for a socket ({PATH_BYTES_MAX} bytes at most), so the node has none: move the "
                "home, or name the node by --url, with an API key",
                Exit.UNREACHABLE,
            )
        if not socket.exists():
            raise Refusal(
                f"{socket} is not there: no node runs on this home. Another is named by --url, with an API key",
                Exit.UNREACHABLE,
            )
        ask = Ask(verb, body, socket=socket, timeout_s=CALL_S)
    else:
        place = url_said(url).rstrip("/")
        parts = urlsplit(place)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise Refusal(
                f"{place}: an API key is not sent to another machine without TLS, where it could be read: "
                "--url https://HOST:PORT, or administer it there, by its home",
                Exit.USAGE,
            )
        ask = Ask(verb, body, key=_key(key_file), timeout_s=CALL_S)
    # of the own node's socket the URL is made up: nobody can look there
    asked = f"{place}{path}" if url is not None else "this home's node refuses"
    return _answer_of(asked, path, *ask_json(f"{place}{path}", ask))


def _own_socket() -> Path:
    home, _ = current_home()
    return home.admin_socket


def _key(file: Path | None) -> str:
    """Raises Refusal."""
    if file is not None:
        text, place = read_input(file, KEY_FILE_BYTES_MAX).decode("ascii", errors="replace"), str(file)
    else:
        text, place = os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE
    key = text.strip()
    if not key:
        raise Refusal("a node elsewhere wants an API key: --api-key-file FILE, or DCHAT_API_KEY", Exit.USAGE)
    if not KEY_FORM.fullmatch(key):
        raise Refusal(f"{place} holds no API key; one is dchat_ and 43 characters", Exit.USAGE)
    return key


def _answer_of(asked: str, path: str, status: int, answer: Any) -> dict[str, Any]:
    """Raises Refusal."""
    if status == 200 and isinstance(answer, dict):
        return answer
    why = answer.get("error", status) if isinstance(answer, dict) else status
    if status == 404 and path.startswith("/admin/"):
        why = "it is no node that can be administered so, or one of an older build"
    raise Refusal(f"{asked}: {quoted(str(why))}", Exit.FAILED)


def keys_file() -> Path:
    """Of this home. Raises Refusal."""
    return home_root() / Path(own_node().api.admin_keys_file).expanduser()
