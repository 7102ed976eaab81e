"""`dchat light follow` and `dchat light proxy` (docs/light-client.md)."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.types.light import LightBlock
from dchat.cli.light.ibc_commands import ibc
from dchat.cli.light.proxy import Proxy
from dchat.cli.light.session import LightSession, Span, light_options, session_of
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, echo
from light.errors import NoAnswer

EVERY_S_MIN = 0.01
STALE_S = 60  # twenty blocks of a usual chain's pace


@click.group(cls=Group)
def light() -> None:
    """Follow a chain, ours or a CometBFT one, by its signed headers, believing no node."""


light.add_command(ibc)


@light.command("follow", cls=Command)
@light_options
@click.option("--to", type=click.IntRange(1), default=None, help="Verify this header, and end.")
@click.option("--once", is_flag=True, help="Verify the latest header, and end.")
@click.option("--every", type=Span(), default="1s", show_default=True, help="How often to ask for a newer header.")
def follow(to: int | None, once: bool, every: int, **options: Any) -> None:
    """Verify header after header, each compared with the witnesses; a line for each that is believed.

    At a terminal it is for people, piped it is JSON, one document a line. Exit code 5: what was told cannot be
    believed, or somebody attacks; then the evidence was handed to the nodes, and lies in --store.
    """
    if to is not None and once:
        raise Refusal("--to and --once: one of them", Exit.USAGE)
    said = Said(as_json=not sys.stdout.isatty())

    async def work() -> None:
        async with session_of(options, on_kept=said.kept) as session:
            said.session = session
            if to is not None or once:
                found = await (session.light.verify_at(to) if to is not None else session.light.update())
                said.last(found)
                return
            while True:
                try:
                    newest = await session.light.update()
                    said.last(newest)
                    said.warn_of_age(newest)
                except NoAnswer as error:  # it may come back
                    echo(f"no answer: {error}", err=True)
                await asyncio.sleep(max(EVERY_S_MIN, every / NS_PER_S))

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        echo("stopped", err=True)


class Said:
    """Tells of each header once."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.session: LightSession | None = None
        self._told = self._warned = 0
        self._began = time.monotonic()

    def kept(self, blocks: Sequence[LightBlock]) -> None:
        for block in blocks:
            self._tell(block)

    def last(self, block: LightBlock) -> None:
        """What was asked for, even if it was known before."""
        if not self._told:
            self._tell(block)

    def warn_of_age(self, newest: LightBlock) -> None:
        """A primary may keep newer headers back, which no signature shows. Once for each header."""
        age_s = max(0, time.time_ns() - newest.header.time_ns) // NS_PER_S
        if age_s > STALE_S and self._warned != newest.height:
            self._warned = newest.height
            echo(
                f"no header after {newest.height}, which is {age_s} s old: the chain stands still, or the primary is "
                "behind or keeps them back; ask another node",
                err=True,
            )

    def _tell(self, block: LightBlock) -> None:
        self._told += 1
        session = self.session
        witnesses = 0 if session is None else len(session.light.witnesses)
        age_s = max(0, time.time_ns() - block.header.time_ns) // NS_PER_S
        if self.as_json:
            echo(json.dumps(header_document(block) | {"age_seconds": age_s, "witnesses": witnesses}))
            return
        rate = self._told / max(0.001, time.monotonic() - self._began)
        compared = f"compared with {witnesses} witnesses" if witnesses else "no witness to compare with"
        echo(
            f"header {block.height} {block.hash.hex().upper()[:16]}..., {age_s} s old, {len(block.validators)} "
            f"validators, {compared}; {self._told} verified, {rate:.1f} a second"
        )


def header_document(block: LightBlock) -> dict[str, Any]:
    return {
        "height": block.height,
        "hash": block.hash.hex().upper(),
        "chain_id": block.header.chain_id,
        "time": format_rfc3339(block.header.time_ns),
        "app_hash": block.header.app_hash.hex().upper(),
        "validators": len(block.validators),
    }


@light.command("proxy", cls=Command)
@light_options
@click.option(
    "--listen", default="127.0.0.1:8888", show_default=True, metavar="HOST:PORT", help="Where to answer HTTP."
)
def proxy(listen: str, **options: Any) -> None:
    """Answer on a local port what the primary says, once it is verified: headers, blocks, validators, state by proofs.

    CometBFT's JSON-RPC (status, header, commit, validators, block, abci_query), and, over a node of ours, its /v1 reads
    that have proofs. What cannot be proved is refused.
    """
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65_535:
        raise Refusal(f"--listen is {listen!r}; expected HOST:PORT", Exit.USAGE)

    async def work() -> None:
        async with session_of(options) as session:
            newest = await session.light.update()
            served = await Proxy.of(session)
            bound = await served.start(host.strip("[]"), int(port))
            try:
                document = {"listening": f"http://{host}:{bound}", **header_document(newest)}
                echo(
                    json.dumps(document)
                    if not sys.stdout.isatty()
                    else f"answers on http://{host}:{bound}; Ctrl-C ends"
                )
                await asyncio.Event().wait()
            finally:
                await served.stop()

    try:
        asyncio.run(work())
    except OSError as error:
        raise Refusal(f"--listen {listen}: {error.strerror}", Exit.USAGE) from None
    except KeyboardInterrupt:
        echo("stopped", err=True)
