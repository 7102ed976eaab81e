"""`dchat signer`: sign for a validator on another machine; make such a key; carry the record of what a key signed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from consensus.p2p.conn.node_key import is_node_id
from consensus.privval.channel import SignerAddress
from consensus.privval.errors import BadSignerAddress
from consensus.system.files import write_new_secret
from dchat.cli.database.key_commands import OWN_COMMANDS, file_options, files_of, hsm_flags, hsm_options
from dchat.cli.signing.next_key_command import next_key
from dchat.cli.terminal.ask import ChainId
from dchat.cli.terminal.base import (
    Command,
    Exit,
    Group,
    InputFile,
    Refusal,
    current_home,
    echo,
    home_root,
    load_config,
    read_input,
)
from dchat.home import logs
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_genesis
from dchat.home.home_lock import hold_home
from dchat.upkeep.errors import UpkeepError
from dchat.upkeep.sign_record import BYTES_MAX, export_record, import_record, position_text


@click.group("signer", cls=Group, invoke_without_command=True)
@click.option(
    "--connect",
    metavar="ADDRESS",
    help="Where the validator listens: tcp://HOST:PORT or unix://PATH.  [required without a command]",
)
@click.option("--chain-id", type=ChainId(), help="The only chain that is signed for. Default: of the home's genesis.")
@click.option(
    "--allow-node-id", metavar="ID", help="Sign for this node alone, over TCP; `dchat signer` learns it there."
)
@file_options
@hsm_options
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--json-logs", is_flag=True, help="JSON lines instead of key=value.")
@click.pass_context
def signer(
    context: click.Context,
    /,
    connect: str | None,
    chain_id: str | None,
    allow_node_id: str | None,
    key_file: Path | None,
    state_file: Path | None,
    passphrase_file: Path | None,
    log_level: str | None,
    json_logs: bool,
    **hsm: Any,
) -> None:
    """Sign for a validator on another machine, ours or a CometBFT node, until SIGTERM or Ctrl-C: the key stays here.

    The validator listens (priv_validator_laddr), and this dials it, again and again. What contradicts the record of
    what was signed is refused. See docs/signer.md.
    """
    if context.invoked_subcommand is not None:
        return
    if connect is None:
        raise click.UsageError("missing --connect: where the validator listens")
    from dchat.signer.process import SignerOptions, run_signer

    flags = {"log.level": log_level, "log.json_lines": json_logs or None, **hsm_flags(hsm)}
    config = load_config(home_root(), flags=flags).config
    home = Home.of(home_root(), config)
    logs.configure(level=config.log.level, json_lines=config.log.json_lines, name="signer")
    files = files_of(key_file, state_file, passphrase_file)
    try:
        address = SignerAddress.parse(connect)
        chain_id = chain_id or (load_genesis(home).chain_id if home.genesis.exists() and key_file is None else None)
    except (BadSignerAddress, HomeError) as error:
        raise Refusal(f"{error}", Exit.USAGE) from None
    if not chain_id:
        raise click.UsageError("missing --chain-id: there is no genesis in the home that would tell it")
    if allow_node_id and not is_node_id(allow_node_id):
        raise click.UsageError(f"--allow-node-id: {allow_node_id!r} is no node id: 40 hex characters, lower case")
    options = SignerOptions(chain_id, address, allow_node_id or "", config.hsm, home.root)
    if key_file is not None:
        code = run_signer(files, options)
    else:
        try:
            with hold_home(home):
                code = run_signer(files, options, is_homes=True)
        except HomeError as error:
            raise Refusal(str(error)) from None
    if code:
        raise SystemExit(code)


for command in (*OWN_COMMANDS, next_key):
    signer.add_command(command)


@signer.command("export", cls=Command)
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
def export_command(output: Path) -> None:
    """Write how far this home's key has signed. Stop the node first, and do not start it again with this key."""
    from dchat.cli.database.group import held

    home, _ = current_home()
    with held(home):
        text = export_record(home)
        try:
            write_new_secret(output, text)
        except FileExistsError:
            raise Refusal(f"{output} exists; a record is never overwritten") from None
    echo(f"exported the sign state to {output}; the key must not sign here any more")
    echo("next, in the home that has the key now: dchat signer import --input FILE --home DIR", err=True)


@signer.command("import", cls=Command)
@click.option("--input", "source", required=True, type=InputFile(), help="What `dchat signer export` wrote.")
def import_command(source: Path) -> None:
    """Take over how far this home's key has signed elsewhere: the higher of both counts. Stop the node first.

    The next start first watches for some blocks whether the key is still used elsewhere.
    """
    from dchat.cli.database.group import held

    home, _ = current_home()
    with held(home):
        try:
            before, after = import_record(home, read_input(source, BYTES_MAX))
        except UpkeepError as error:
            raise UpkeepError(f"{source}: {error}") from None
    if before == after:
        echo(f"the sign state stays at {position_text(after)}: what was imported is not above it")
    else:
        was = "there was none" if before is None else f"it was at {position_text(before)}"
        echo(f"the sign state is at {position_text(after)}; {was}")
