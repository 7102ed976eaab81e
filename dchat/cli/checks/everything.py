"""All checks, one after the other: a fault of one keeps none of the others from being made."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from consensus.documents.genesis import GenesisDoc
from consensus.p2p.conn.node_key import NodeKey
from dchat.cli.checks import looks
from dchat.cli.checks.findings import Findings
from dchat.config import Config, Loaded
from dchat.home import identity
from dchat.home.errors import HomeError
from dchat.home.home import Home, check_sign_state, load_genesis
from dchat.node import preflight
from dchat.node.errors import CannotUpgrade
from dchat.node.upgrade import DoesNotKnow, Swap, check_knows
from genesis.digest import genesis_digest


def look_at_everything(
    home: Home,
    loaded: Loaded,
    *,
    genesis_file: Path | None,
    read_genesis: Callable[[Path], GenesisDoc],
    check_record: Callable[[Home], None],
    check_genesis_of: Callable[[], None],
    check_beginning: Callable[[], None],
    check_key: Callable[[], None],
) -> Findings:
    """Writes nothing; asks the peers that the options name. Of an option that cannot be used its default is looked at,
    and what is wrong with that is not told. check_*: what a start looks at, too; each raises HomeError or Refusal."""
    config, found = loaded.config, Findings(is_of_default=loaded.is_of_default)
    for problem in loaded.problems:
        found.fault(problem, is_certain=True)
    for warning in loaded.warnings:
        found.warn(warning)
    found.look(lambda: looks.place(home, found))
    files = [home.identity, home.node_key, home.validator_key, home.sign_state, home.genesis]
    looks.of_files(files, found)
    found.look(lambda: _upgrade(home, config, found))
    if looks.is_there(home.validator_key) and not config.validator.priv_validator_laddr:
        found.look(lambda: _key(home, check_record))
        found.look(check_key)
    if looks.is_there(home.node_key):
        found.look(lambda: NodeKey.load(home.node_key))
    if looks.is_there(home.identity):
        found.look(lambda: _identity(home))
    found.look(check_genesis_of)
    found.look(lambda: preflight.check_options(home, config))
    found.look(check_beginning)
    found.look(lambda: _doors(home, loaded, found))
    found.look(lambda: preflight.check_machine(home, config))
    found.look(lambda: looks.modes(home, config, found))
    found.look(lambda: looks.room(home, config, found))
    found.look(lambda: looks.certificates(home, config, found))
    genesis = None if config.node.proxy_app else _genesis(home, genesis_file, read_genesis)
    if genesis is not None:
        found.look(lambda: looks.of_genesis(home, loaded, genesis, found))
    chain_id = genesis.chain_id if genesis is not None else config.validator.chain_id
    if chain_id:
        digest = b"" if genesis is None else genesis_digest(genesis)
        found.look(lambda: looks.peers(home, config, chain_id, found, genesis_hash=digest))
    return found


def _upgrade(home: Home, config: Config, found: Findings) -> None:
    """The binary is asked what it knows, as a start asks it; here the chain's plan, which may demand a checksum, is not
    known."""
    swap = Swap.of(home, config)
    if swap is None or config.node.proxy_app:
        return
    try:
        asyncio.run(check_knows(swap, None))
    except DoesNotKnow:
        raise
    except CannotUpgrade as error:
        found.warn(f"[upgrade] binary could not be asked what it knows: {error}")


def _key(home: Home, check_record: Callable[[Home], None]) -> None:
    check_sign_state(home)
    check_record(home)


def _identity(home: Home) -> None:
    if identity.load(home.identity).burner:
        raise HomeError(f"{home.identity} is a burner; a validator needs an identity that is kept")


def _doors(home: Home, loaded: Loaded, found: Findings) -> None:
    looks.exposure(loaded.config, found)
    if pid := looks.running_pid(home):
        found.warn(f"process {pid} runs on this home already: whether its ports are free was not looked at")
    else:
        looks.ports(loaded.config, found)


def _genesis(home: Home, genesis_file: Path | None, read_genesis: Callable[[Path], GenesisDoc]) -> GenesisDoc | None:
    """None: there is none, or it is a fault that was told."""
    try:
        if looks.is_there(home.genesis):
            return load_genesis(home)
        return read_genesis(genesis_file) if genesis_file is not None else None
    except (HomeError, OSError):
        return None
