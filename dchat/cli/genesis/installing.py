"""`dchat genesis install`: a genesis that others made, put into this home; nothing that runs is touched."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import click
import tomlkit
from tomlkit.exceptions import TOMLKitError

from chain.app_state.exported import is_exported
from consensus.documents.files import SignState
from consensus.documents.genesis import GenesisDoc
from consensus.formats.errors import InvalidFile
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.record import read_record
from consensus.system.disk import OsDisk
from consensus.system.files import replace_durably, sync_folder, whole
from dchat.cli.genesis.group import genesis, plainly, read_document, share
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, current_home, echo, read_input
from dchat.config import Config, ConfigError, load
from dchat.home.errors import HomeError
from dchat.home.home import Home, load_genesis, load_public_key
from dchat.home.home_lock import hold_home
from dchat.node.preflight import check_genesis
from dchat.shown.text import safe_line
from genesis.digest import genesis_digest

PEERS_BYTES_MAX: Final = 1 << 20
PEERS_MAX: Final = 1_000


@genesis.command("install", cls=Command)
@click.argument("file", type=InputFile())
@click.option("--hash", "expected", help="What `dchat genesis hash` says of it, learned by another way than the file.")
@click.option("--peers", type=InputFile(), help="Where its nodes are found: the file that `collect` wrote beside it.")
def install(file: Path, expected: str | None, peers: Path | None) -> None:
    """Make a document this home's genesis, and its nodes this node's peers; say who this node is in it.

    A genesis of which this home has blocks, or with which its key has signed, is never replaced.
    """
    doc, hash_ = read_document(file)
    digest = hash_.hex()
    if expected is not None and expected.strip().lower() != digest:
        raise Refusal(f"{file}: its hash is {digest}, and --hash says {expected}: it is another document", Exit.USAGE)
    home, config = current_home()
    with plainly(str(file)):
        if doc.app_state and not is_exported(doc.app_state):
            check_genesis(doc, Config())
    named = _named(peers) if peers is not None else []
    with plainly(), hold_home(home):
        _put(home, file, doc, digest)
    echo(f"{home.genesis} is of chain {safe_line(doc.chain_id)}; its hash is {digest}")
    _write_options(home, doc.chain_id, named)
    if expected is None:
        echo("nobody vouched for it: compare the hash with the others' (--hash)")
    echo(_who(home, config, doc))
    echo(f"next: dchat validator --validate --home {home.root}; then without --validate")


def _put(home: Home, file: Path, doc: GenesisDoc, digest: str) -> None:
    """Raises HomeError, Refusal."""
    if home.genesis.exists():
        there = genesis_digest(load_genesis(home)).hex()
        if there == digest:
            return
        if home.databases.joinpath("state").exists() or _has_signed(home):
            raise HomeError(
                f"{home.genesis} is another genesis ({there}), and this home has begun with it: a genesis that was "
                "used is never replaced. A new chain needs a home of its own"
            )
        echo(f"{home.genesis} was never used: it is replaced")
    home.genesis.parent.mkdir(parents=True, exist_ok=True)
    beside = home.genesis.with_name(f"{home.genesis.name}.new")
    with whole(beside):
        shutil.copyfile(file, beside)
        copied = read_document(beside, now_ns=doc.genesis_time_ns).digest.hex()
        if copied != digest:
            raise HomeError(f"{file} was changed while it was installed: its hash was {digest}, and is {copied}")
        beside.replace(home.genesis)
    sync_folder(home.genesis.parent)


def _has_signed(home: Home) -> bool:
    """Raises HomeError."""
    if not home.sign_state.exists():
        return False
    try:
        return read_record(OsDisk(), home.sign_state) != SignState()
    except InvalidFile as error:
        raise HomeError(f"{home.sign_state}: {error}") from None


def _named(file: Path) -> list[str]:
    """ID@HOST:PORT of each line. Raises Refusal."""
    found = []
    for number, line in enumerate(read_input(file, PEERS_BYTES_MAX).decode(errors="replace").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            found.append(str(parse_address(text)))
        except BadAddress as error:
            raise Refusal(f"{file}, line {number}: {error}", Exit.USAGE) from None
    if len(found) > PEERS_MAX:
        raise Refusal(f"{file}: {len(found)} peers; allowed: {PEERS_MAX}", Exit.USAGE)
    return found


def _write_options(home: Home, chain_id: str, peers: list[str]) -> None:
    """Into the option file, with all else and the comments as they are. Raises Refusal."""
    path = home.config_file
    own = NodeKey.load(home.node_key).id if home.node_key.exists() else ""
    others = [peer for peer in peers if parse_address(peer).id != own]
    try:
        document = tomlkit.parse(path.read_text() if path.exists() else "")
    except TOMLKitError as error:
        raise Refusal(f"{path}: is not TOML: {error}", Exit.USAGE) from None
    document.setdefault("validator", tomlkit.table())["chain_id"] = chain_id
    if peers:
        listed = tomlkit.array()
        listed.extend(others)
        document.setdefault("network", tomlkit.table())["bootstrap_validators"] = listed.multiline(len(others) > 1)
    replace_durably(path, tomlkit.dumps(document))
    try:
        load(path, environment={})
    except ConfigError as error:
        raise Refusal(str(error), Exit.USAGE) from None
    told = f", and {len(others)} peers" if peers else ""
    echo(f"{path} has the chain id{told}")


def _who(home: Home, config: Config, doc: GenesisDoc) -> str:
    """This node, as the document has it."""
    if config.validator.priv_validator_pub_key:
        key = bytes.fromhex(config.validator.priv_validator_pub_key)
    elif home.validator_key.exists():
        key = load_public_key(home).bytes
    else:
        return "this home has no validator key: its node follows without voting"
    total = sum(one.power for one in doc.validators)
    for one in doc.validators:
        if one.pub_key.bytes == key:
            return f"this node is its validator {safe_line(one.name)}, with {share(one.power, total)} of the power"
    return "this node's key is no validator's in it: it follows without voting"
