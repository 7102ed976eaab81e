"""What the commands of `dchat light` share: their options, and a light client over providers of both kinds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from consensus.documents.json import evidence_json
from consensus.formats.json_text import dumps
from consensus.formats.units import NS_PER_MS
from consensus.types.light import LightBlock
from dchat.cli.commands.status_commands import context_of
from dchat.cli.terminal.ask import client_of, node_address, tls_options, tls_said
from dchat.cli.terminal.base import Exit, Refusal
from dchat.cli.terminal.trust import root_of_trust, trust_options
from dchat.client.client import SMALL_BYTES_MAX
from dchat.client.light_provider import DoorProvider
from dchat.config.units import duration_ms
from light import LightClient, Options, Root
from light.errors import AttackDetected, InvalidOptions, LightError, NoAnswer, NoBlock, ProviderFailed
from light.rpc import RpcProvider
from light.store import FolderTrustStore, MemoryTrustStore, TrustStore

WITNESSES_MAX = 16
RPC_STARTS = ("http://", "https://", "tcp://")


class Span(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """A duration, in nanoseconds: `10s`, `168h`, `14d`; 0: none. A number alone says no unit, and is refused."""

    name = "DURATION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        said = str(value).strip()
        if said.isascii() and said.isdigit() and said.strip("0"):
            self.fail(f"{said[:40]!r} of what? Say a unit: {said[:40]}s, or {said[:40]}h", param, ctx)
        try:
            milliseconds = duration_ms(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        assert isinstance(milliseconds, int)
        return milliseconds * NS_PER_MS


class Level(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """`1/3`."""

    name = "FRACTION"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        over, _, under = str(value).partition("/")
        if not (over.isascii() and over.isdigit() and under.isascii() and under.isdigit()) or len(str(value)) > 12:
            self.fail(f"{value!r} is no fraction; allowed: 1/3 to 1/1", param, ctx)
        return int(over), int(under)


def light_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where trust begins, who is asked, and how it is judged."""
    address = "HOST:PORT (a node's gRPC door) or http://HOST:PORT (CometBFT's JSON-RPC)"
    options = (
        trust_options,
        tls_options,
        click.option("--primary", metavar="NODE", help=f"Whom to follow: {address}. Default: as --node."),
        click.option("--witness", "witnesses", metavar="NODE", multiple=True, help="Whom to compare with; several."),
        click.option("--sequential", is_flag=True, help="Verify every header, instead of as few as the sets allow."),
        click.option("--trust-level", type=Level(), default="1/3", show_default=True, help="To skip headers by."),
        click.option(
            "--trusting-period", type=Span(), default="168h", show_default=True,
            help="How long a verified header vouches for others; well below the unbonding time. 0: for ever.",
        ),
        click.option("--clock-drift", type=Span(), default="10s", show_default=True, help="A header may be ahead."),
        click.option(
            "--store", type=click.Path(file_okay=False, path_type=Path), default=None, metavar="DIR",
            help="Keep what was verified here, and go on from it. Default: in memory.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@dataclass
class LightSession:
    """nodes: the primary and the witnesses, as they were named; whom the light client follows changes."""

    light: LightClient
    nodes: Sequence[DoorProvider | RpcProvider]


@contextlib.asynccontextmanager
async def session_of(
    options: Mapping[str, Any], *, on_kept: Callable[[Sequence[LightBlock]], None] | None = None
) -> AsyncIterator[LightSession]:
    """Raises Refusal; what the light client finds becomes one, too."""
    folder: Path | None = options["store"]
    try:
        async with contextlib.AsyncExitStack() as stack:
            store: TrustStore = MemoryTrustStore() if folder is None else FolderTrustStore(folder)
            stack.callback(store.close)
            root, chain_id = _root_of(options, store)
            primary = await _provider(options["primary"], stack, "--primary")
            if len(options["witnesses"]) > WITNESSES_MAX:
                raise Refusal(f"--witness {len(options['witnesses'])} times; allowed: {WITNESSES_MAX}", Exit.USAGE)
            witnesses = [await _provider(said, stack, "--witness") for said in options["witnesses"]]
            judged = Options(
                options["trust_level"], options["trusting_period"] or None, options["clock_drift"],
                sequential=options["sequential"],
            )  # fmt: skip
            light = LightClient(
                root, primary, witnesses, chain_id=chain_id, options=judged, store=store, on_kept=on_kept
            )
            yield LightSession(light, (primary, *witnesses))
    except LightError as error:
        if isinstance(error, AttackDetected) and folder is not None:
            write_evidence(error, folder)
        raise refusal_of(error) from None


def _root_of(options: Mapping[str, Any], store: TrustStore) -> tuple[Root | None, str]:
    """Without a word of where to begin, what is stored, else the home's genesis."""
    said, file = options["trust"], options["genesis_file"]
    if said is None and file is None and store.heights:
        return None, ""
    trust = root_of_trust(said, file)
    return trust.root, "" if trust.genesis is None else trust.genesis.chain_id


async def _provider(said: str | None, stack: contextlib.AsyncExitStack, place: str) -> DoorProvider | RpcProvider:
    if said is not None and said.startswith(RPC_STARTS):
        tls = tls_said() if said.startswith("https://") else None
        context = context_of(said, tls) if tls is not None else None
        name = tls.server_name if tls is not None else ""
        return await stack.enter_async_context(RpcProvider(said, tls=context, server_name=name))
    client = await stack.enter_async_context(
        client_of(node_address(said, place=place), answer_bytes_max=SMALL_BYTES_MAX)
    )
    return DoorProvider(client)


def refusal_of(error: LightError) -> Refusal:
    """With the exit code of what it is."""
    match error:
        case InvalidOptions():
            return Refusal(str(error), Exit.USAGE)
        case NoAnswer():
            return Refusal(str(error), Exit.UNREACHABLE)
        case NoBlock():
            return Refusal(str(error))
        case ProviderFailed():
            return Refusal(f"what was told cannot be believed: {error}", Exit.PROOF)
    return Refusal(str(error), Exit.PROOF)


def write_evidence(error: AttackDetected, folder: Path) -> None:
    """Beside what was verified: for `dchat tx evidence`, where a node did not take it."""
    for number, item in enumerate(error.evidence):
        (folder / f"evidence-{error.height}-{number}.json").write_text(dumps(evidence_json(item), indent=2) + "\n")
