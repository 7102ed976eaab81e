"""`dchat validator`: check the options and files, make what is missing, run the node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from consensus.documents.genesis import GenesisDoc
from consensus.formats.errors import InvalidFile
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.errors import KeyLost
from consensus.privval.record import read_record
from consensus.privval.signer import RECORD_DAMAGED, record_fault
from consensus.system.disk import OsDisk
from dchat.cli.database.key_commands import HSM_FLAGS, hsm_flags, hsm_options
from dchat.cli.local.home_commands import check_beginning, make_home, read_genesis
from dchat.cli.local.recover_command import recover
from dchat.cli.terminal.ask import ChainId
from dchat.cli.terminal.base import (
    Exit,
    Group,
    InputFile,
    Refusal,
    echo,
    home_root,
    home_was_said,
    load_config,
    place_refused,
    seen_config,
    unreadable,
)
from dchat.config import Config, Loaded
from dchat.home import identity
from dchat.home.errors import HomeError
from dchat.home.home import Home, check_sign_state, load_genesis, load_key_file, load_public_key
from dchat.home.home_lock import finish_change
from dchat.node.errors import CannotUpgrade, TooFewHandles
from dchat.node.upgrade import Swap
from dchat.retention.room import NoRoom
from dchat.signer.choice import check_choice, home_key
from dchat.signer.held import PROBE
from genesis.digest import genesis_digest


@click.group(cls=Group, invoke_without_command=True)
@click.option("--config", "config_file", type=InputFile(), help="The option file.")
@click.option("--identity", "identity_file", help="The operator's key, from `dchat keygen`.")
@click.option("--passphrase-file", help="Holds the passphrase of an encrypted key file. Default: it is asked for.")
@click.option("--chain-id", type=ChainId(), help="The chain that the genesis must be of; of a new one.")
@click.option("--listen", help="Where peers reach this node: host:port or /ip4/HOST/tcp/PORT.")
@click.option(
    "--proxy-app",
    metavar="ADDRESS",
    help="Run another application than dchat's, over ABCI 2.0: tcp://HOST:PORT or unix://PATH.",
)
@click.option("--rpc-listen", help="Address of CometBFT's JSON-RPC: host:port. Empty: closed.")
@click.option("--data-dir", help="Where blocks, state and the record of signatures are kept.")
@click.option("--bootstrap", multiple=True, help="A peer to dial; repeat for more.")
@click.option(
    "--stake",
    type=int,
    help="Stake in DCHAT, from the identity's account: of a new chain, or to join one that runs.",
)
@click.option("--pruning", help="What old history is kept: default, nothing (is pruned), everything (is) or custom.")
@click.option(
    "--state-sync",
    is_flag=True,
    default=None,
    help="Where there are no blocks yet: restore a snapshot from peers instead of executing the chain.",
)
@click.option("--trust", metavar="HEIGHT:HASH", help="For --state-sync: a header of the chain, from whom you trust.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--json-logs", is_flag=True, default=None, help="JSON lines instead of key=value.")
@click.option(
    "--validate",
    is_flag=True,
    help="Check options, files, ports, peers and clock, say all that is wrong, start nothing.",
)
@click.option("--dry-run", is_flag=True, help="As --validate, and say what would be made and opened.")
@click.option(
    "--takeover",
    is_flag=True,
    help="Take the home over from the process that runs on it, right after a block; it goes on where this fails.",
)
@hsm_options
@click.option(
    "--replay-from-genesis",
    is_flag=True,
    help="Start nothing: execute this home's blocks again, and say whether each gives what the chain has.",
)
@click.option(
    "--replace-state", is_flag=True, help="With --replay-from-genesis: what it made is this home's state from then on."
)
@click.option(
    "--genesis-file",
    type=click.Path(path_type=Path),
    help="The chain's genesis, for a home that has none; what --replay-from-genesis begins with.",
)
@click.option("--upgrade-name", help="The plan that --upgrade-binary is for.")
@click.option("--upgrade-height", type=int, help="Its height, when the chain has no plan of that name.")
@click.option("--upgrade-binary", help="The file that takes this process's place at the plan's height.")
@click.option("--upgrade-backup", help="A folder that gets a copy of the data before.")
@click.option(
    "--skip-upgrade-height",
    "--unsafe-skip-upgrades",
    "skip_upgrade_height",
    type=int,
    multiple=True,
    help="Clear a plan that is due there, instead of stopping; repeat for more.",
)
@click.option("--halt-height", type=int, help="Stop before this block.")
@click.option("--halt-time", type=int, help="Stop before the first block of this time (unix seconds).")
@click.pass_context
def validator(context: click.Context, /, **given: object) -> None:
    """Run a validator. With flags alone it makes what is missing in its home.

    SIGTERM and Ctrl-C stop it cleanly; SIGHUP loads the options again: log levels, peers, limits and
    thresholds take effect.
    """
    if context.invoked_subcommand is not None:
        return
    start = prepare(given)
    if given["replay_from_genesis"]:
        _replay(start, replace=bool(given["replace_state"]))
        return
    if given["replace_state"]:
        raise click.UsageError("--replace-state is of --replay-from-genesis")
    if given["validate"] or given["dry_run"]:
        _tell(start, dry_run=bool(given["dry_run"]))
        return
    _run(start, takes_over=bool(given["takeover"]))


validator.add_command(recover)


def _replay(start: Start, *, replace: bool) -> None:
    """Of a home as it is: nothing in it is made or checked but the genesis. Raises Refusal."""
    from dchat.cli.local.replay_command import replay_from_genesis

    path, home, config = start.genesis_file, start.home, start.loaded.config
    try:
        genesis = load_genesis(home) if path is None else read_genesis(path)
        _check_chain(path or home.genesis, genesis, config)
    except HomeError as error:
        raise Refusal(str(error), Exit.USAGE) from None
    replay_from_genesis(home, config, genesis, replace=replace)


@dataclass(frozen=True)
class Start:
    """What a node starts from: its home and options, and how to load the options again (SIGHUP)."""

    home: Home
    loaded: Loaded
    flags: Mapping[str, object]
    file: Path | None
    genesis_file: Path | None = None


def prepare(given: Mapping[str, object]) -> Start:
    """Home and options from the flags. Raises Refusal."""
    file = given["config_file"]
    assert file is None or isinstance(file, Path)
    data_dir = given["data_dir"]
    root = home_root()
    flags = {
        "validator.identity_file": _absolute(given["identity_file"]),
        "validator.chain_id": given["chain_id"],
        "validator.data_dir": _absolute(data_dir),
        "validator.passphrase_file": _absolute(given["passphrase_file"]),
        **hsm_flags({name: given[name] for name in HSM_FLAGS}),
        "node.proxy_app": given["proxy_app"],
        "network.listen_address": given["listen"],
        "network.rpc_listen_address": given["rpc_listen"],
        "network.bootstrap_validators": list(given["bootstrap"]) if given["bootstrap"] else None,  # type: ignore[call-overload]
        "staking.initial_stake": given["stake"],
        "database.pruning": given["pruning"],
        "state_sync.enable": given["state_sync"],
        "state_sync.trust": given["trust"],
        "upgrade.name": given["upgrade_name"],
        "upgrade.height": given["upgrade_height"],
        "upgrade.binary": _absolute(given["upgrade_binary"]),
        "upgrade.backup": _absolute(given["upgrade_backup"]),
        "upgrade.skip_heights": list(given["skip_upgrade_height"]) if given["skip_upgrade_height"] else None,  # type: ignore[call-overload]
        "upgrade.halt_height": given["halt_height"],
        "upgrade.halt_time": given["halt_time"],
        "log.level": given["log_level"],
        "log.json_lines": given["json_logs"],
    }
    if not home_was_said():
        if file is not None:
            root = file.absolute().parent
        elif data_dir is not None:
            root = Path(str(data_dir)).expanduser().absolute()
    loaded = seen_config(root, file=file, flags=flags)
    if loaded.problems and not (given["validate"] or given["dry_run"]):
        raise Refusal("\n".join(loaded.problems), Exit.USAGE)
    genesis_file = given["genesis_file"]
    assert genesis_file is None or isinstance(genesis_file, Path)
    if genesis_file is not None and (reason := unreadable(genesis_file)):
        raise click.BadParameter(reason, param_hint="'--genesis-file'")
    return Start(Home.of(root, loaded.config), loaded, flags, file, genesis_file)


def _absolute(value: object) -> str | None:
    """Paths on the command line are relative to where the command was typed, not to home."""
    return None if value is None else str(Path(str(value)).expanduser().absolute())


def _missing(home: Home, config: Config) -> list[Path]:
    files = (home.identity, home.node_key, home.validator_key, home.sign_state, home.genesis)
    elsewhere = (home.validator_key, home.sign_state) if config.validator.priv_validator_laddr else ()
    return [path for path in files if not path.exists() and path not in elsewhere]


def _check_files(start: Start) -> None:
    """Of the files that are there. Raises HomeError, CannotUpgrade, Refusal."""
    home, config = start.home, start.loaded.config
    Swap.of(home, config)
    if home.validator_key.exists():
        check_choice(load_key_file(home), config.hsm)
        check_sign_state(home)
        _check_record(home)
    if home.node_key.exists():
        NodeKey.load(home.node_key)
    if home.identity.exists() and identity.load(home.identity).burner:
        raise Refusal(f"{home.identity} is a burner; a validator needs an identity that is kept", Exit.USAGE)
    _check_genesis(start)


def _check_genesis(start: Start) -> None:
    """That there is one where there must be, and of the chain that was meant. Raises HomeError."""
    home, config = start.home, start.loaded.config
    if lack := _lacks_genesis(start):
        raise HomeError(lack)
    if not home.genesis.exists():
        if start.genesis_file is not None:
            _check_chain(start.genesis_file, read_genesis(start.genesis_file), config)
        return
    genesis = load_genesis(home)
    _check_chain(home.genesis, genesis, config)
    if start.genesis_file is not None and genesis_digest(read_genesis(start.genesis_file)) != genesis_digest(genesis):
        raise HomeError(f"{start.genesis_file} is another genesis than {home.genesis}, which is never overwritten")


def _lacks_genesis(start: Start) -> str:
    """Why no chain can be followed or begun here; empty: there is a genesis, or one is to be made."""
    home, config = start.home, start.loaded.config
    if home.genesis.exists() or start.genesis_file is not None:
        return ""
    if config.network.bootstrap_validators or config.p2p.seeds:
        return (
            f"{home.genesis} is missing, and there are peers to join: copy the chain's genesis there "
            "(`--genesis-file FILE`, or `dchat genesis install FILE`)"
        )
    if config.validator.chain_id or "validator.chain_id" in start.loaded.faulty:
        return ""
    if config.node.proxy_app:  # whose chain has no app_state, which `dchat init` would write
        return f"{home.genesis} is missing: name the chain to begin with --chain-id, or copy a genesis"
    return (
        f"{home.genesis} is missing: bring the chain's by `dchat genesis install FILE`, or begin a chain of your own "
        "by `dchat init --chain-id NAME`"
    )


def _check_record(home: Home) -> None:
    """That the key and its record of signing are what was written. Raises HomeError, Refusal, OSError."""
    key = load_public_key(home)
    try:
        why = record_fault(read_record(OsDisk(), home.sign_state, key.address), key)
    except InvalidFile as error:
        why = str(error)
    if why:
        raise Refusal(f"{home.sign_state}: {why}. {RECORD_DAMAGED}", Exit.DISK)


def _check_key(start: Start) -> None:
    """That the key can be had: of an encrypted file the passphrase is right, a token or a service signs. Raises
    HomeError."""
    if not start.home.validator_key.exists():
        return
    key = home_key(start.home, start.loaded.config)
    try:
        key.sign(PROBE)
    except KeyLost as error:
        raise HomeError(str(error)) from None


def _check_chain(path: Path, genesis: GenesisDoc, config: Config) -> None:
    """Raises HomeError."""
    if config.validator.chain_id and config.validator.chain_id != genesis.chain_id:
        raise HomeError(f"{path} is of chain {genesis.chain_id!r}, the options say {config.validator.chain_id!r}")


def _check_beginning(start: Start) -> None:
    """That a chain begins here, where `_check_genesis` found one. Raises HomeError."""
    from dchat.node.preflight import warn_of_backups

    config = start.loaded.config
    warn_of_backups(start.home, config)
    chain_id, genesis_file = config.validator.chain_id, start.genesis_file
    has_one = start.home.genesis.exists() or genesis_file is not None or (chain_id and not _lacks_genesis(start))
    if has_one and not config.node.proxy_app:
        check_beginning(start.home, config, chain_id=chain_id, genesis_file=genesis_file)


def _check_machine(start: Start) -> None:
    """Raises NoRoom, TooFewHandles, OSError."""
    from dchat.node import preflight

    preflight.check_machine(start.home, start.loaded.config)


def _tell(start: Start, *, dry_run: bool) -> None:
    """Raises Refusal: every fault, a line each."""
    from dchat.cli.checks.everything import look_at_everything

    found = look_at_everything(
        start.home, start.loaded, genesis_file=start.genesis_file, read_genesis=read_genesis,
        check_record=_check_record, check_genesis_of=lambda: _check_genesis(start),
        check_beginning=lambda: _check_beginning(start), check_key=lambda: _check_key(start),
    )  # fmt: skip
    for warning in found.warnings:
        echo(f"warning: {warning}")
    if found.faults:
        raise Refusal("\n".join(found.faults), found.code)
    if dry_run:
        for path in _missing(start.home, start.loaded.config):
            echo(f"would make {path}")
        for what, at in _doors(start.loaded.config):
            echo(f"would {what} on {at}")
    echo("ok")


def _doors(config: Config) -> Iterator[tuple[str, str]]:
    """What a node with these options opens, and where."""
    shown = config.observability
    yield "listen for peers", config.network.listen_address
    if config.validator.priv_validator_laddr:
        yield "listen for the signer", config.validator.priv_validator_laddr
    if config.grpc.enabled:
        yield "open gRPC", config.grpc.listen_address
    yield "open HTTP", f"{config.http.host}:{shown.health_port}"
    if config.network.rpc_listen_address:
        yield "open JSON-RPC", config.network.rpc_listen_address
    if shown.metrics_enabled:
        yield "open metrics", f"{shown.metrics_host}:{shown.metrics_port}"


def _guard(action: object) -> None:
    assert callable(action)
    try:
        action()
    except (HomeError, CannotUpgrade, ValueError) as error:
        raise Refusal(str(error), Exit.USAGE) from None
    except (NoRoom, TooFewHandles) as error:
        raise Refusal(str(error), Exit.MACHINE) from None
    except OSError as error:
        if not (why := place_refused(error)):
            raise
        raise Refusal(why, Exit.USAGE) from None


def _run(start: Start, *, takes_over: bool) -> None:
    from dchat.node.process import run_validator

    _guard(lambda: finish_change(start.home))
    _guard(lambda: _check_files(start))
    _guard(lambda: _check_machine(start))
    config = start.loaded.config
    if takes_over and config.node.proxy_app:
        raise click.UsageError("--takeover is of dchat's own application, not of --proxy-app")
    if takes_over and (missing := _missing(start.home, config)):
        raise Refusal(f"{missing[0]} is missing: no process can run on this home", Exit.USAGE)
    if config.node.proxy_app:
        from dchat.abci.engine import make_foreign_home, run_engine

        _guard(lambda: make_foreign_home(start.home, config, start.genesis_file))
        if code := run_engine(start.home, start.loaded):
            raise SystemExit(code)
        return
    if not takes_over:  # else all of it is there, and another process uses it
        chain_id, genesis = config.validator.chain_id, start.genesis_file
        _guard(lambda: make_home(start.home.root, config, chain_id=chain_id, genesis_file=genesis))
    code = run_validator(
        start.home,
        start.loaded,
        reload=lambda: load_config(start.home.root, file=start.file, flags=start.flags),
        takes_over=takes_over,
    )
    if code:
        raise SystemExit(code)
