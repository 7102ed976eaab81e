"""How commands reach a node: which address, which key, and turning the client's errors into the user's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from consensus.formats.chain_ids import chain_id_flaw, new_chain_id_flaw
from crypto.bech32 import ADDRESS_PREFIX, InvalidAddress, decode_address
from dchat.cli.terminal.base import (
    Exit,
    InputFile,
    Refusal,
    common_option,
    current_home,
    echo,
    echo_progress,
    home_root,
    own_node,
)
from dchat.client.client import MESSAGE_BYTES_MAX, Client, ClientError, NodeUnreachable
from dchat.client.front.amounts import parse_amount
from dchat.client.front.kept import KeepFailed
from dchat.client.nodes.route import NODES_MAX
from dchat.client.nodes.tls import Tls
from dchat.client.verify import ProofFailed
from dchat.config import Config
from dchat.dump.asking import running_pid, why_stopped
from dchat.home import identity
from dchat.home.accounts import Account, load_account
from dchat.home.errors import IdentityError
from dchat.home.identity import Identity

_ANY_HOST = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # of a door that listens everywhere
_HOST_PORT = re.compile(r"(?:\[[^\[\]/\s]+\]|[^\[\]:/\s]+):(\d{1,5})", re.ASCII)
PORT_MAX = 65_535
_TLS = "dchat.tls"  # what is said of it, in the context
WAIT_S = 5  # until a command that waits says so
LONG_S = 30  # a wait that is asked about
AWAY = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
LOOK = "; is the node running? --node HOST:PORT, or DCHAT_NODE, says which one is asked"

OF_PEOPLE = "names are not looked up here: dchat query identity NAME shows its address"
OF_VALIDATORS = "monikers are not looked up: dchat query staking validators shows each one's operator"

T = TypeVar("T")


def _joined(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> str | None:
    return ",".join(values) or None


def _remember(context: click.Context, param: click.Parameter, value: object) -> None:
    if value:
        context.meta[f"{_TLS}.{param.name}"] = value


def node_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--node: the gRPC address, or several; and how they are spoken to."""
    return common_option(
        "--node", "node", metavar="HOST:PORT", multiple=True, callback=_joined,
        help="gRPC address; of several (again, or with commas) the next is asked where one is away or lies. Default: "
        "DCHAT_NODE, else the home's own node.",
    )(tls_options(command))  # fmt: skip


def tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--tls and what belongs to it: `tls_said` has it."""
    how: dict[str, Any] = {"expose_value": False, "callback": _remember}
    options = (
        common_option("--tls", "tls", is_flag=True, help="Speak TLS, by the system's roots.", **how),
        common_option(
            "--tls-root", "tls_root", type=InputFile(), envvar="DCHAT_NODE_TLS_ROOT", metavar="FILE",
            help="Speak TLS; PEM of who vouches for the node's certificate. Or DCHAT_NODE_TLS_ROOT.", **how,
        ),
        common_option(
            "--tls-cert", "tls_cert", type=InputFile(), envvar="DCHAT_NODE_TLS_CERT", metavar="FILE",
            help="Your own certificate, PEM, for a node that asks who calls. Or DCHAT_NODE_TLS_CERT.", **how,
        ),
        common_option(
            "--tls-key", "tls_key", type=InputFile(), envvar="DCHAT_NODE_TLS_KEY", metavar="FILE",
            help="Its key, PEM. Or DCHAT_NODE_TLS_KEY.", **how,
        ),
        common_option(
            "--tls-name", "tls_name", envvar="DCHAT_NODE_TLS_NAME", metavar="NAME",
            help="What its certificate is for, where you call it by another name. Or DCHAT_NODE_TLS_NAME.", **how,
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def tls_said() -> Tls | None:
    """None: without TLS, or not of a command. Raises Refusal."""
    context = click.get_current_context(silent=True)
    meta = context.meta if context is not None else {}
    said = {name: meta.get(f"{_TLS}.{name}") for name in ("tls", "tls_root", "tls_cert", "tls_key", "tls_name")}
    if not any(said.values()):
        return None
    try:
        return Tls(said["tls_root"], said["tls_cert"], said["tls_key"], said["tls_name"] or "")
    except ValueError as error:
        raise Refusal(f"--tls-cert, --tls-key: {error}", Exit.USAGE) from None


def client_of(addresses: str | Sequence[str], *, answer_bytes_max: int = MESSAGE_BYTES_MAX) -> Client:
    """With TLS, where the command line says so, or it is our own node's that has it. Raises Refusal."""
    try:
        return Client(addresses, tls=_tls_to(addresses), answer_bytes_max=answer_bytes_max)
    except ValueError as error:
        raise Refusal(str(error), Exit.USAGE) from None


def _tls_to(addresses: str | Sequence[str]) -> Tls | None:
    """As said; our own door is known by the certificate that it has, unless it is said who vouches for it. Raises
    ValueError."""
    said = tls_said()
    file = _own_certificate(addresses) if said is None or said.root is None else None
    return said if file is None else Tls.to_own(file, said)


def _own_certificate(addresses: str | Sequence[str]) -> Path | None:
    """None: it is another's door that is asked, or ours has no TLS."""
    if click.get_current_context(silent=True) is None:
        return None
    try:
        config = own_node()
    except (Refusal, OSError):  # of a home that is not ours to read, or faulty, there is no node to ask
        return None
    own = _own_address(config)
    return home_root() / config.tls.cert_file if config.tls.cert_file and addresses in (own, [own]) else None


def _own_address(config: Config) -> str:
    host, _, port = config.grpc.listen_address.rpartition(":")
    return f"{here(host.strip('[]'))}:{port}"


def own_stopped() -> str:
    """Why the home's own node, once it did not answer, cannot: its process is stopped. Empty: it is not."""
    if click.get_current_context(silent=True) is None:
        return ""
    try:
        pid = running_pid(current_home()[0])
    except (Refusal, OSError):  # as of `_own_certificate`
        return ""
    return "" if pid is None else why_stopped(pid)


def _look(node: str | None) -> str:
    """What is said beside of who did not answer."""
    addresses = [here_by_number(one) for one in node_addresses(node)]
    try:
        is_own = addresses == [_own_address(own_node())]
    except (Refusal, OSError):
        is_own = False
    stopped = own_stopped() if is_own else ""
    return f"; {stopped}" if stopped else LOOK


def here(host: str) -> str:
    """Where a door that listens at `host` is asked from this machine, as it stands in an address."""
    found = _ANY_HOST.get(host, host)
    return f"[{found}]" if ":" in found else found


def here_by_number(address: str) -> str:
    """A door or a URL that names this machine as people do, spelled as our own doors are."""
    return re.sub(r"^(https?://)?localhost:", r"\g<1>127.0.0.1:", address)


# The state after that block, as far back as the node keeps old states.
height_option = common_option(
    "--height", type=click.IntRange(0), default=0, help="After this block. Default: the latest."
)


def limit_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """--limit: how many at most."""
    return click.option("--limit", type=click.IntRange(1), default=default, show_default=True)


def node_addresses(said: str | None, *, place: str = "--node") -> list[str]:
    """Which nodes' gRPC doors are asked, one after another where one cannot answer. place: where it was said.

    Raises Refusal: no address, too many, one twice, or no home."""
    text, named_at = (said, place) if said else (os.environ.get("DCHAT_NODE"), "DCHAT_NODE")
    if not text:
        return [_own_address(own_node())]
    found = [host_port(named_at, one.strip()) for one in text.split(",")]
    if len(set(found)) != len(found) or len(found) > NODES_MAX:
        raise Refusal(f"{named_at} names {len(found)} nodes; allowed: 1 to {NODES_MAX}, each once", Exit.USAGE)
    return found


def node_address(said: str | None, *, place: str = "--node") -> str:
    """As `node_addresses`, where one node is asked: the first. Raises Refusal."""
    return node_addresses(said, place=place)[0]


def host_port(place: str, said: str) -> str:
    """gRPC takes whatever it is given: of a port it asks the last 16 bits, which is somebody else's."""
    if said.startswith("unix:"):
        return said
    found = _HOST_PORT.fullmatch(said)
    if found is None or not 1 <= int(found[1]) <= PORT_MAX:
        raise Refusal(f"{place} is {said!r}; expected HOST:PORT, with a port of 1 to {PORT_MAX}", Exit.USAGE)
    return said


def run(
    work: Callable[[Client], Awaitable[T]],
    node: str | None,
    *,
    answer_bytes_max: int = MESSAGE_BYTES_MAX,
    waits_for: str = "",
    why_long: Callable[[Client], Awaitable[str]] | None = None,
) -> T:
    """Run `work` with a client; its errors become the command's. waits_for: said at a terminal once that takes long;
    why_long: asked for a line beside it, every LONG_S."""

    async def main() -> T:
        async with (
            client_of(node_addresses(node), answer_bytes_max=answer_bytes_max) as client,
            _told(f"waits for {waits_for}" if waits_for else "", client.address, why_long),
        ):
            return await work(client)

    try:
        return asyncio.run(main())
    except NodeUnreachable as error:
        raise Refusal(f"{error}{_look(node) if error.status in AWAY else ''}", Exit.UNREACHABLE) from None
    except ProofFailed as error:
        raise Refusal(f"the proof does not hold: {error}", Exit.PROOF) from None
    except KeepFailed as error:
        raise Refusal(f"--keep {error}", Exit.USAGE) from None
    except ClientError as error:
        raise Refusal(str(error)) from None


@contextlib.asynccontextmanager
async def _told(text: str, address: str, why_long: Callable[[Client], Awaitable[str]] | None) -> AsyncIterator[None]:
    """A line with the seconds, on a terminal, until what is within ends; and what why_long says of it."""
    if not text or not sys.stderr.isatty():
        yield
        return

    async def tell() -> None:
        await asyncio.sleep(WAIT_S)
        try:
            for seconds in itertools.count(WAIT_S):
                echo_progress(f"{text}: {seconds} s")
                if why_long is not None and seconds % LONG_S == 0 and (why := await _why(why_long, address)):
                    echo_progress()
                    echo(why, err=True)
                await asyncio.sleep(1)
        finally:
            echo_progress()

    telling = asyncio.create_task(tell(), name="tell how long it waits")  # no group: it would wrap errors
    try:
        yield
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling


async def _why(ask: Callable[[Client], Awaitable[str]], address: str) -> str:
    """By a connection of its own: what it meets there is not what the command meets."""
    try:
        async with client_of(address) as client:
            return await ask(client)
    except ClientError:
        return ""


def load_identity(file: Path | None) -> Identity:
    try:
        return identity.load(file or current_home()[0].identity)
    except IdentityError as error:
        raise Refusal(str(error), Exit.USAGE) from None


def account_from(file: Path | None) -> Account:
    """An identity, or an account of several keys."""
    try:
        return load_account(file or current_home()[0].identity)
    except IdentityError as error:
        raise Refusal(str(error), Exit.USAGE) from None


class Amount(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """An amount in DCHAT, or in udchat when it says so. least: udchat; less is refused before a node is asked."""

    name = "AMOUNT"

    def __init__(self, *, least: int = 0) -> None:
        self.least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_amount(str(value), least=self.least)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Address(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """`dchat1...`, or the path of an identity file or of an account of several keys. otherwise: told of a name."""

    name = "ADDRESS"

    def __init__(self, *, otherwise: str = OF_PEOPLE) -> None:
        self.otherwise = otherwise

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        text = str(value)
        try:
            return decode_address(text)
        except InvalidAddress as error:
            if not text.endswith(".json"):
                told = f"{text!r} is neither an address (dchat1...) nor an identity file (FILE.json)"
                if text.startswith(ADDRESS_PREFIX):
                    self.fail(f"{told}: {error}", param, ctx)
                self.fail(f"{told}; {self.otherwise.format(text)}", param, ctx)
        try:
            return load_account(Path(text)).address
        except IdentityError as error:
            self.fail(str(error), param, ctx)


class ChainId(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """is_new: of a chain that begins; else of one that exists, which others named. Empty stays: no chain is named."""

    name = "CHAIN-ID"

    def __init__(self, *, is_new: bool = False) -> None:
        self.is_new = is_new

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        flaw = new_chain_id_flaw(text) if self.is_new else text and chain_id_flaw(text)
        if flaw:
            self.fail(flaw, param, ctx)
        return text


class Hash(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """64 hex characters."""

    name = "HASH"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        try:
            digest = bytes.fromhex(str(value))
        except ValueError:
            digest = b""
        if len(digest) != 32:
            self.fail(f"{value!r} is no hash; expected 64 hex characters", param, ctx)
        return digest
