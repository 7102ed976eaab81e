"""Commands that make files: a node's home, a test network."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Final

import click

from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.documents.genesis import GENESIS_BYTES_MAX, GenesisDoc, parse_genesis
from consensus.documents.json import pub_key_json
from consensus.formats.errors import InvalidGenesis
from consensus.formats.units import MIB
from consensus.p2p.conn.node_key import NodeKey
from consensus.system.files import write_new
from crypto.keys import ED25519, PrivKey, PubKey
from dchat.cli.local.network_options import Wanted, network_options
from dchat.cli.terminal.ask import ChainId
from dchat.cli.terminal.base import (
    Command,
    Exit,
    InputFile,
    Refusal,
    current_home,
    echo,
    home_root,
    key_type_option,
    load_config,
    read_input,
    show_json,
)
from dchat.config import Config
from dchat.config.pages import example_toml
from dchat.devnet.network import DEFAULT_CHAIN_ID, NetworkError, genesis_economics
from dchat.home import identity
from dchat.home.errors import HomeError
from dchat.home.home import (
    Home,
    key_in_hex,
    load_genesis,
    load_key_file,
    load_public_key,
    make_keys,
    new_key,
    write_genesis,
)
from dchat.home.key_file import KeyFile
from genesis.build import build_genesis, stake_of

TRIED_BYTES_MAX: Final = 16 * MIB  # some 150,000 accounts


@click.command(cls=Command)
@click.option(
    "--chain-id", type=ChainId(is_new=True), default="dchat-local", show_default=True, help="Of the new genesis."
)
@click.option("--moniker", default="", help="A name for people.")
@click.option(
    "--genesis",
    "genesis_file",
    type=InputFile(),
    help="Join this chain instead of beginning one.",
)
@click.option("--no-genesis", is_flag=True, help="Begin none here: it comes from a ceremony (`dchat genesis install`).")
@key_type_option
def init(chain_id: str, moniker: str, genesis_file: Path | None, no_genesis: bool, key_type: str) -> None:
    """Make a node's home: options, identity, keys, record of signatures, genesis. What is there already stays."""
    root = home_root()
    config = load_config(root).config
    if no_genesis and genesis_file is not None:
        raise click.UsageError("--genesis and --no-genesis exclude each other")
    try:
        made = make_home(
            root, config, chain_id=chain_id, moniker=moniker, genesis_file=genesis_file, begins=not no_genesis,
            kind=key_type,
        )  # fmt: skip
    except (HomeError, ValueError) as error:
        raise Refusal(str(error), Exit.USAGE) from None
    for path in made:
        echo(f"made {path}")
    if not made:
        echo(f"{root} is complete already")
    echo(f"this node's id is {NodeKey.load(Home.of(root, config).node_key).id}")


@click.command("show-node-id", cls=Command)
def show_node_id() -> None:
    """This node's id, by which peers name it: ID@HOST:PORT."""
    home, _ = current_home()
    try:
        echo(NodeKey.load(home.node_key).id)
    except (OSError, ValueError) as error:
        raise _unusable(home.node_key, error) from None


@click.command("show-validator", cls=Command)
def show_validator() -> None:
    """This node's consensus key, as CometBFT shows it: JSON with the public key and its address."""
    home, config = current_home()
    try:
        if config.validator.priv_validator_laddr and config.validator.priv_validator_pub_key:
            key: PubKey = key_in_hex(config.validator.priv_validator_pub_key)
        else:
            key = load_public_key(home)
    except (HomeError, OSError, ValueError) as error:
        raise _unusable(home.validator_key, error) from None
    show_json({"pub_key": pub_key_json(key), "address": key.address.hex().upper()})


def _unusable(path: Path, error: Exception) -> Refusal:
    if isinstance(error, OSError):
        return Refusal(f"{error.filename or path}: cannot be read: {error.strerror}; `dchat init` makes it", Exit.USAGE)
    return Refusal(str(error), Exit.USAGE)


def make_home(
    root: Path,
    config: Config,
    *,
    chain_id: str,
    moniker: str = "",
    genesis_file: Path | None = None,
    begins: bool = True,
    kind: str = ED25519,
) -> list[Path]:
    """Make what is missing; returns the paths made. Nothing is written that no start accepts (cosmos-omnibus#104).

    begins: else no genesis is made where none is there, nor looked for. kind: the type of a consensus key
    that is made. Raises HomeError.
    """
    new_key(kind)  # said before anything is written
    if moniker:
        config = config.model_copy(update={"validator": config.validator.model_copy(update={"moniker": moniker})})
    home = Home.of(root, config)
    if begins:
        check_home(home, config, chain_id=chain_id, genesis_file=genesis_file, tries_large=False, kind=kind)
    else:
        check_options(home, config)
    made = []
    if not home.config_file.exists():
        text = example_toml()
        if moniker:
            text = text.replace('moniker = ""', f"moniker = {json.dumps(moniker)}")
        write_new(home.config_file, text)
        made.append(home.config_file)
    if not home.identity.exists():
        identity.generate().save(home.identity)
        made.append(home.identity)
    made += make_keys(home, signs_here=not config.validator.priv_validator_laddr, kind=kind)
    if not begins:
        return made
    if not home.genesis.exists():
        if genesis_file is not None:
            write_genesis(home, read_input(genesis_file, GENESIS_BYTES_MAX).decode())
        else:
            key, operator = load_key_file(home), identity.load(home.identity)
            write_genesis(home, single_validator_genesis(config, chain_id, key, operator.address).dumps())
        made.append(home.genesis)
    load_genesis(home)
    return made


def _is_tried_first(path: Path) -> bool:
    """Whether a chain is begun in memory before anything is made. One with very many accounts takes minutes and as much
    memory as a node has: it is begun once, by the start, which says the same of it."""
    return path.stat().st_size < TRIED_BYTES_MAX


def check_home(
    home: Home, config: Config, *, chain_id: str, genesis_file: Path | None, tries_large: bool = True,
    kind: str = ED25519,
) -> None:  # fmt: skip
    """That a node could start from this home once what is missing was made. Raises HomeError."""
    check_options(home, config)
    check_beginning(home, config, chain_id=chain_id, genesis_file=genesis_file, tries_large=tries_large, kind=kind)


def check_beginning(
    home: Home, config: Config, *, chain_id: str, genesis_file: Path | None, tries_large: bool = True,
    kind: str = ED25519,
) -> None:  # fmt: skip
    """That a chain begins with the genesis that is there, or is to be made. tries_large: one of any size is begun in
    memory. Raises HomeError."""
    from dchat.node import preflight

    if home.genesis.exists():
        if not (home.databases / "state").exists() and (tries_large or _is_tried_first(home.genesis)):
            preflight.check_genesis(load_genesis(home), config)
    elif genesis_file is not None:
        preflight.check_genesis(read_genesis(genesis_file), config)
    else:
        preflight.check_new_chain(
            home, config, chain_id, lambda key, operator: single_validator_genesis(config, chain_id, key, operator),
            kind,
        )  # fmt: skip


def check_options(home: Home, config: Config) -> None:
    """Raises HomeError."""
    from dchat.node import preflight

    preflight.check_options(home, config)


def read_genesis(path: Path) -> GenesisDoc:
    """Raises HomeError."""
    try:
        return parse_genesis(read_input(path, GENESIS_BYTES_MAX))
    except (OSError, InvalidGenesis) as error:
        raise HomeError(f"{path}: {error}") from None


def single_validator_genesis(config: Config, chain_id: str, key: PrivKey | KeyFile, operator: bytes) -> GenesisDoc:
    """A chain whose only validator is this node, and whose operator (an address) has the initial stake's worth beside
    the stake. Raises InvalidGenesis, InvalidAppState, ValueError."""
    stake = config.staking.initial_stake
    least = config.staking.min_self_delegation
    return build_genesis(
        chain_id=chain_id,
        time_ns=time.time_ns(),
        stakes=[
            stake_of(
                operator, key.pub_key.bytes, stake, moniker=config.validator.moniker, min_self_delegation_dchat=least
            )
        ],
        economics=genesis_economics(config),
        balances={operator: stake * UDCHAT_PER_DCHAT},
        block_bytes_max=config.consensus.max_block_size,
    )


@click.command(cls=Command)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="The folder. Default: the home.")
@click.option("--chain-id", type=ChainId(is_new=True), default=DEFAULT_CHAIN_ID, show_default=True)
@network_options
def testnet(output: Path | None, chain_id: str, wanted: Wanted) -> None:
    """Make the homes, the genesis and funded accounts of a network on this machine.

    \b
    dchat testnet --fast --voting-period 60s --param staking.unbonding_s=120 --param slashing.downtime_jail_s=30
    """
    folder = output or home_root()
    try:
        network = wanted.make(folder, chain_id=chain_id)
    except (NetworkError, HomeError) as error:
        raise Refusal(str(error)) from None
    for node in network.nodes:
        ports = node.ports
        echo(f"made {network.home_of(node)}  p2p {ports.p2p}  http {ports.http}  grpc {ports.grpc}")
    echo(f"made accounts {', '.join(network.accounts)} in {folder / 'accounts'}")
    root, first = shlex.quote(str(folder)), shlex.quote(str(network.home_of(network.nodes[0])))
    echo(
        f"next, to start them: scripts/testnet --home {root} (of the sources), or each: dchat validator --home {first}",
        err=True,
    )
