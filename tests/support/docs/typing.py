"""Types what a page says, on a network of its own, and remembers what that did."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import grpc.aio
import pytest
from click.testing import CliRunner

from chain.tx.envelope.tx import decode
from chain.tx.messages import KIND_OF
from dchat.cli.local.network_options import Wanted, network_options
from dchat.cli.main import dchat
from dchat.doors.grpc.door import SERVICES
from dchat.doors.rest.table import routes_of
from tests.support.docs.pages import Names, Typed, typed_in
from tests.support.node.running import Running, running_node

NETWORK = "./scripts/testnet"
ASKED_FOR_S = 20.0  # what comes with one of the next blocks is asked for again
AGAIN_S = 0.05
ROUTES = tuple((route.verb, route.path) for route in routes_of(SERVICES))


@dataclass
class Done:
    """What examples did. shown: kinds of messages that a block executed, commands that ended well, gRPC methods and /v1
    routes that answered, each by its name. wrong: what was not as the page says."""

    shown: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


@click.command()
@network_options
@click.option("--detach", is_flag=True)
def _network(wanted: Wanted, detach: bool) -> Wanted:
    return wanted


def networks(typed: list[Typed]) -> Iterator[tuple[Wanted, list[Typed]]]:
    """A page's commands, by the network on which they are typed: the usual one, and each that the page makes."""
    parts: list[list[Typed]] = [[]]
    for one in typed:
        if one.words[0] == NETWORK:
            parts.append([])
        parts[-1].append(one)
    for part in filter(None, parts):
        said = part[0].words[1:] if part[0].words[0] == NETWORK else ()
        yield _network.main(list(said), standalone_mode=False), part


def command_of(words: tuple[str, ...]) -> str:
    """`tx denom mint`, of what is typed after `dchat`."""
    found: click.Command | None = dchat
    path: list[str] = []
    for word in words:
        if not isinstance(found, click.Group):
            break
        path.append(word)
        found = found.get_command(click.Context(found), word)
    return " ".join(path)


class _Calls(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    def __init__(self, calls: set[str]) -> None:
        self._calls = calls

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self._calls.add(name_of(client_call_details))
        return await continuation(client_call_details, request)


class _Streams(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    def __init__(self, calls: set[str]) -> None:
        self._calls = calls

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        self._calls.add(name_of(client_call_details))
        return await continuation(client_call_details, request)


def name_of(details: Any) -> str:
    """`dchat.v1.TxService/GetTx`."""
    method = details.method.decode() if isinstance(details.method, bytes) else details.method
    return str(method).removeprefix("/")


@contextlib.contextmanager
def recorded(calls: set[str]) -> Iterator[None]:
    """Every method that is called over gRPC from here, as dchat.v1.TxService/GetTx."""
    plain = grpc.aio.insecure_channel

    def channel(address: str, options: Any = None) -> Any:
        return plain(address, options=options, interceptors=[_Calls(calls), _Streams(calls)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpc.aio, "insecure_channel", channel)
        yield


@dataclass
class Page:
    """One page on its network. The working folder and DCHAT_HOME are the network's, as README says."""

    running: Running
    done: Done
    names: Names = field(default_factory=Names)

    def filled(self, text: str) -> str:
        """With what names stand for, and the ports that this network has in place of the usual ones."""
        grpc_port, http_port, _ = self.running.ports
        for usual, port in ((26_670, grpc_port), (7_071, http_port)):
            text = text.replace(f"localhost:{usual}", f"127.0.0.1:{port}")
        return self.names.filled(text)

    def carry_out(self, typed: Typed) -> None:
        """Blocks. Appends to `done.wrong` what is not as the page says."""
        try:
            words = tuple(map(self.filled, typed.words))
            asks = words[:2] != ("dchat", "tx") and words[0] != "python"
            deadline = time.monotonic() + (ASKED_FOR_S if asks else 0.0)
            while True:
                well, printed = self._run(typed, words)
                if well and self.names.found_in(typed.shown, printed):
                    return
                if time.monotonic() >= deadline:
                    self.done.wrong.append(f"{typed}\n{printed}\nbut the page says:\n{typed.shown}")
                    return
                time.sleep(AGAIN_S)
        except Exception as error:  # the other examples are still of interest
            self.done.wrong.append(f"{typed}: {error!r}")

    def _run(self, typed: Typed, words: tuple[str, ...]) -> tuple[bool, str]:
        """Whether it ended as it should, and what it printed."""
        program, *rest = words
        if program == "dchat":
            return self._dchat(typed, tuple(rest))
        if program == "curl":
            return self._curl(typed, tuple(rest))
        if program == "cat" and rest[0] == ">":
            Path(rest[1]).write_text(self.filled(typed.text))
            return True, ""
        if program == "chmod":
            Path(rest[1]).chmod(int(rest[0], 8))
            return True, ""
        if program == "python" and not rest:
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), recorded(self.done.shown):
                code = compile(self.filled(typed.text), str(typed), "exec")
                exec(code, {"__name__": "__main__"})  # noqa: S102  # our own pages
            return True, printed.getvalue()
        assert program == NETWORK, f"examples type dchat, curl, chmod, cat > FILE <<EOF, python <<EOF, not {program}"
        return True, typed.shown

    def _dchat(self, typed: Typed, words: tuple[str, ...]) -> tuple[bool, str]:
        file = None
        if len(words) > 2 and words[-2] == ">":
            words, file = words[:-2], Path(words[-1])
        calls: set[str] = set()
        with recorded(calls):
            ended = CliRunner().invoke(dchat, list(words), prog_name="dchat")
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        if file is not None:
            file.write_text(ended.stdout)
        if ended.exit_code == 0:
            self.done.shown |= calls | {command_of(words)}
        return (ended.exit_code != 0) == typed.is_refused, ended.output

    def _curl(self, typed: Typed, words: tuple[str, ...]) -> tuple[bool, str]:
        data = None
        match words:
            case ("-s", url):
                pass
            case ("-s", "--json", body, url):
                data = body.encode()
            case _:
                raise AssertionError("examples type curl -s [--json BODY] localhost:7071/PATH")
        path = url.partition("/")[2]
        request = urllib.request.Request(f"http://{url}", data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status, printed = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, printed = error.code, error.read().decode()
        verb = "GET" if data is None else "POST"
        if status == 200:
            self.done.shown |= {f"{verb} {at}" for by, at in ROUTES if by == verb and _is_at(at, f"/{path}")}
        return status == 200 or '"error"' in typed.shown, printed


def _is_at(route: str, url: str) -> bool:
    pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route))
    return re.fullmatch(pattern, url.partition("?")[0]) is not None


async def type_page(path: Path, folder: Path, done: Done) -> None:
    """All of one page, in order; and what its chains executed."""
    for number, (wanted, part) in enumerate(networks(typed_in(path))):
        async with running_node(
            folder / str(number), params=wanted.changes, upgrade_authority=wanted.upgrade_authority or ""
        ) as running:
            page = Page(running, done)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(running.network.folder)
                patch.setenv("DCHAT_HOME", str(running.network.home_of(running.network.nodes[0])))
                assert "DCHAT_NODE" not in os.environ
                for one in part:
                    await asyncio.to_thread(page.carry_out, one)
            done.shown |= await executed(running)


async def executed(running: Running) -> set[str]:
    """The kinds of all messages that the chain's blocks executed with success."""
    kinds = set()
    async with running.client() as client:
        latest = (await client.status()).latest_block_height
        async for told in client.stream_blocks(1, with_results=True):
            for raw, result in zip(told.block.data.txs, told.results, strict=True):
                if not result.code:
                    kinds |= {KIND_OF[type(message)].name for message in decode(raw).messages}
            if told.block.header.height >= latest:
                break
    return kinds
