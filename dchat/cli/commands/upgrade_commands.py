"""`dchat upgrade`, `dchat rollback` and `dchat pre-upgrade`: plans, readiness, rehearsal, and going back a height."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from chain.state.errors import StateError
from chain.tx.errors import InvalidField
from chain.tx.messages.upgrade import (
    READY_NAMES_MAX,
    AnnounceReadiness,
    CancelUpgrade,
    SoftwareUpgrade,
    check_plan,
    sign_readiness,
)
from chain.upgrade.migrations import MigrationError
from chain.upgrade.module import Upgrader
from consensus.system.errors import EngineError
from dchat.app.build_plan import UPGRADES
from dchat.app.composition import compose
from dchat.cli.commands.tx_commands import send, sending
from dchat.cli.terminal.ask import Hash, account_from, node_option, run
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, current_home, echo
from dchat.cli.terminal.outcome import show_told
from dchat.cli.terminal.own_key import own_key
from dchat.cli.terminal.trust import signing_facts
from dchat.client.client import Client
from dchat.home import logs
from dchat.home.errors import AlreadyRunning, HomeError
from dchat.home.home_lock import hold_home
from dchat.home.version import build_version
from dchat.node.errors import CannotUpgrade, RehearsalFailed
from dchat.node.rehearsal import rehearse
from dchat.node.upgrade import file_sha256, read_info
from dchat.shown.messages import message_json
from dchat.upkeep.errors import UpkeepError
from dchat.upkeep.going_back import rollback
from proto.dchat.v1 import service_pb2 as pb
from storage.errors import StorageError

READY_EXPIRY_BLOCKS = 200  # an announcement that no block took by then is made again
REHEARSED_BLOCKS = 50
PRE_UPGRADE_ABORT = 30  # Cosmovisor's


@click.group(cls=Group)
def upgrade() -> None:
    """Upgrades at a block height: plan, announce, rehearse, look."""


@upgrade.command(cls=Command)
def names() -> None:
    """The upgrades that this build can carry out, one a line.

    A node asks its upgrade binary long before the height. What a validator needs is imported here, so that an
    executable has it compiled in its folder by then, and the swap is quick.
    """
    importlib.import_module("dchat.node.process")
    for one in UPGRADES:
        echo(one.name)


@upgrade.command(cls=Command)
@click.option(
    "--stored", "stored", multiple=True, required=True, metavar="MODULE=VERSION",
    help="As `dchat upgrade status` of the chain tells it; repeat.",
)  # fmt: skip
def steps(stored: tuple[str, ...]) -> None:
    """The migrations that this build would carry out on a chain of these module versions, `MODULE VERSION` a line.

    A node asks its upgrade binary so long before the height. Exit code 1: this build cannot bring such a store to its
    own versions, or is older than it.
    """
    versions: dict[str, int] = {}
    for one in stored:
        name, _, version = one.partition("=")
        if not re.fullmatch(r"[a-z]{1,32}=[0-9]{1,9}", one):
            raise Refusal(f"--stored {one[:64]!r}: expected MODULE=VERSION, like currency=1", Exit.USAGE)
        versions[name] = int(version)
    try:
        found = Upgrader(compose(), UPGRADES).steps_from(versions)
    except MigrationError as error:
        raise Refusal(str(error)) from None
    for step in found:
        echo(f"{step.module} {step.to_version}")


@upgrade.command(cls=Command)
@node_option
def status(node: str | None) -> None:
    """What is planned and done, the versions of stored state, and the power that is ready."""

    async def work(client: Client) -> pb.GetUpgradeResponse:
        return await client.upgrade()

    show_told(message_json(run(work, node)))


def permyriad(_: click.Context, __: click.Parameter, value: str | None) -> int:
    """`67%`, `66.67%`."""
    if value is None:
        return 0
    match = re.fullmatch(r"(\d{1,3})(?:\.(\d{1,2}))?\s*%", value.strip())
    share = int(match[1]) * 100 + int((match[2] or "0").ljust(2, "0")) if match is not None else 10_001
    if share > 10_000:
        raise click.BadParameter(f'"{value}" is no share; allowed: 0% to 100%, like 66.67%')
    return share


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say a plan."""
    options = (
        click.option("--name", required=True, help="As the new build knows it."),
        click.option("--height", type=int, required=True, help="The first block of the new rules."),
        click.option("--info", default="", help="For people, and for Cosmovisor's downloads."),
        click.option(
            "--binary", "binaries", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Only files with the SHA-256 of this one may be run; repeat for other platforms.",
        ),
        click.option("--sha256", "sums", type=Hash(), multiple=True, help="As --binary, by its SHA-256."),
        click.option("--ready-share", callback=permyriad, metavar="SHARE", help="Power that must be ready, like 67%."),
        click.option("--postpone-blocks", type=int, default=0, help="By how much it moves when less is ready."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def plan_of(
    *, name: str, height: int, info: str, binaries: tuple[Path, ...], sums: tuple[bytes, ...], ready_share: int,
    postpone_blocks: int,
) -> SoftwareUpgrade:  # fmt: skip
    """What the options say, with no authority yet. Raises Refusal."""
    try:
        allowed = tuple(sorted({*sums, *(bytes.fromhex(file_sha256(path)) for path in binaries)}))
        wanted = SoftwareUpgrade(bytes(20), name, height, info, allowed, ready_share, postpone_blocks)
        check_plan(wanted)
    except (InvalidField, ValueError) as error:
        raise Refusal(str(error), Exit.USAGE) from None
    return wanted


PLAN_FIELDS = ("name", "height", "info", "binaries", "sums", "ready_share", "postpone_blocks")


@upgrade.command(cls=Command)
@plan_options
@sending
def plan(**options: Any) -> None:
    """Set the plan by a transaction of the genesis's upgrade authority (test networks; else by governance)."""
    wanted = plan_of(**{name: options.pop(name) for name in PLAN_FIELDS})
    send(lambda me: [wanted._replace(authority=me)], options)


@upgrade.command(cls=Command)
@sending
def cancel(**options: Any) -> None:
    """Clear the plan by a transaction of the genesis's upgrade authority."""
    send(lambda me: [CancelUpgrade(me)], options)


@upgrade.command(cls=Command)
@click.option(
    "--name",
    "named",
    multiple=True,
    help="Of a plan; repeat. Default: what this build knows and the chain has not done.",
)
@click.option("--software", default="", help="The version that will run it. Default: this build's.")
@click.option("--withdraw", is_flag=True, help="Say that nothing can be run.")
@sending
def ready(named: tuple[str, ...], software: str, withdraw: bool, **options: Any) -> None:
    """Announce, signed with this home's consensus key, which upgrades this validator can run."""
    try:
        key = own_key()
    except HomeError as error:
        raise Refusal(str(error), Exit.USAGE) from None
    who = account_from(options["sender"])

    async def ask(client: Client) -> pb.GetUpgradeResponse:
        return await client.upgrade()

    facts, told = signing_facts(options), run(ask, options["node"])
    names_ = () if withdraw else tuple(sorted(set(named or _coming(told))))
    if not names_ and not withdraw:
        raise Refusal("this build knows no upgrade that is to come; name one with --name, or --withdraw", Exit.USAGE)
    unsigned = AnnounceReadiness(
        who.address, key.pub_key.bytes, names_, software or build_version(),
        facts.height + READY_EXPIRY_BLOCKS, b"",
    )  # fmt: skip
    message = sign_readiness(key, facts.chain_id, unsigned)
    send(lambda me: [message], options)


def _coming(told: pb.GetUpgradeResponse) -> list[str]:
    """What this build knows and the chain has not done, the newest, as many as fit into an announcement."""
    done, stored = {one.name for one in told.done}, {one.module: one.version for one in told.versions}
    coming = [one.name for one in reversed(UPGRADES) if one.name not in done and not one.is_reached(stored)]
    return coming[:READY_NAMES_MAX]


@upgrade.command("rehearse", cls=Command)
@click.argument("plan_name", metavar="PLAN")
@click.option("--blocks", type=int, default=REHEARSED_BLOCKS, show_default=True, help="To execute again.")
@click.option(
    "--folder", type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where the copy is made. Default: beside the data, where most of it needs no room.",
)  # fmt: skip
def rehearse_command(plan_name: str, blocks: int, folder: Path | None) -> None:
    """Carry out PLAN on a copy of this home's state, with this build, and replay the last blocks on it.

    The node may run meanwhile; nothing of it is changed. Exit code 0 only when all invariants hold.
    """
    home, config = current_home()
    logs.configure(level=config.log.level, json_lines=config.log.json_lines)  # standard output is the report's
    if blocks < 1:
        raise Refusal(f"--blocks is {blocks}; allowed: 1 and more", Exit.USAGE)
    try:
        report = rehearse(plan_name, home, config, blocks=blocks, parent=folder, say=lambda text: echo(text, err=True))
    except (RehearsalFailed, UpkeepError, StorageError, StateError) as error:
        raise Refusal(str(error)) from None
    show_told(report.as_json())
    if not report.is_good:
        raise Refusal(f"invariants do not hold after {plan_name}: {'; '.join(report.broken or ())}")


@click.command("rollback", cls=Command)
def rollback_command() -> None:
    """Take this node back one height, so that its next start executes the last block again.

    For a failed upgrade: roll back, put the mended build in place, start. Stop the node first. The record of signatures
    is never touched.
    """
    home, config = current_home()
    logs.configure(level=config.log.level, json_lines=config.log.json_lines)
    try:
        with hold_home(home):
            done = rollback(home, config)
    except (AlreadyRunning, UpkeepError, EngineError, StorageError, StateError) as error:
        raise Refusal(str(error)) from None
    echo(done.told)


@click.command("pre-upgrade", cls=Command, hidden=True)
def pre_upgrade() -> None:
    """What Cosmovisor asks the new binary before it runs it: 0 yes, 30 no."""
    home = current_home()[0]
    try:
        info = read_info(home)
    except CannotUpgrade as error:
        echo(f"dchat: {error}", err=True)
        raise SystemExit(PRE_UPGRADE_ABORT) from None
    known = [one.name for one in UPGRADES]
    if info is not None and info["name"] not in known:
        echo(f"dchat: this build does not know {info['name']}; it knows: {', '.join(known) or 'none'}", err=True)
        raise SystemExit(PRE_UPGRADE_ABORT)
