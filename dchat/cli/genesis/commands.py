"""The ceremony: `dchat genesis add-validator`, `sign`, `collect`."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Final

import click

from chain.app_state import governance_params
from chain.app_state.document import parse_app_state
from chain.app_state.economy import EconomicsGenesis
from chain.app_state.governance_params import GovernanceParams
from chain.currency.ledger import dec
from chain.tx.gas import block_gas_for
from chain.tx.messages.economy import ConsensusSigner
from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.documents.genesis import GenesisDoc
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.address import parse_address, parse_listen_address
from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import NodeKey
from consensus.system.files import replace_durably, write_new
from crypto.bech32 import encode_address
from crypto.keys import ED25519
from crypto.mldsa import ML_DSA_65
from dchat.app.genesis_params import MODULES, with_params
from dchat.cli.commands.gov_commands import parse_setting
from dchat.cli.genesis.group import (
    USUAL_STAKE,
    genesis,
    money,
    of_balances,
    of_entry,
    plainly,
    read_entries,
    share,
    small_stake,
    table,
)
from dchat.cli.terminal.ask import Address, Amount, ChainId
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, current_home, echo, show_json
from dchat.cli.terminal.outcome import JSON, is_text, output_option
from dchat.cli.terminal.times import Length, time_of
from dchat.config import Config
from dchat.home import identity
from dchat.home.errors import HomeError
from dchat.home.home import Home, key_in_hex
from dchat.home.key_file import KeyFile
from dchat.node.preflight import check_genesis
from dchat.signer.choice import home_key
from genesis.ceremony import Entry, InvalidCeremony, collect, peers_text
from genesis.digest import genesis_digest

BEFORE: Final = "a genesis knows no names: `dchat identity verify FILE` says an identity's address"
_NAME: Final = re.compile(r"[^A-Za-z0-9._-]+")


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """`0.1`, a share of 1, as a Dec."""

    name = "SHARE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return dec.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@genesis.command("add-validator", cls=Command)
@click.option("--chain-id", type=ChainId(is_new=True), required=True, help="The chain that is to begin.")
@click.option("--stake", type=Amount(least=1), required=True, help="What this validator stakes, like 1000000 (DCHAT).")
@click.option(
    "--balance", type=Amount(), default="1000", show_default=True, help="What its operator's account has beside it."
)
@click.option("--address", help="Where the other machines reach this node: HOST:PORT. Default: the listen address.")
@click.option("--moniker", help="A name for people. Default: of the options.")
@click.option("--commission", type=Rate(), default="0.1", show_default=True, help="Of the delegators' rewards.")
@click.option("--max-commission", type=Rate(), default="0.2", show_default=True, help="What it may ever be.")
@click.option("--max-change", type=Rate(), default="0.01", show_default=True, help="By how much it may change a day.")
@click.option("--min-self-delegation", type=Amount(least=1), help="Default: of the options, the stake at most.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file. Default: validator-MONIKER.json here."
)
def add_validator(
    chain_id: str,
    stake: int,
    balance: int,
    address: str | None,
    moniker: str | None,
    commission: int,
    max_commission: int,
    max_change: int,
    min_self_delegation: int | None,
    output: Path | None,
) -> None:
    """Write this node's entry for a new genesis, signed by its three keys. They never leave the home.

    The file is for everybody to read: hand it to whoever collects. It costs nothing until the chain begins; what it
    stakes then is what --stake says.
    """
    home, config = current_home()
    name = moniker or config.validator.moniker
    if not name:
        raise Refusal("a validator in a genesis has a name: --moniker NAME, or [validator] moniker", Exit.USAGE)
    if home.databases.joinpath("state").exists():
        raise Refusal(f"{home.root} has a chain already; a new one needs a home of its own", Exit.USAGE)
    with plainly():
        operator, node_key = identity.load(home.identity), NodeKey.load(_there(home.node_key))
        if operator.burner:
            raise HomeError(f"{home.identity} is a burner; a validator needs an identity that is kept")
        public, key = _consensus_key(home, config)
        least = min(config.staking.min_self_delegation * UDCHAT_PER_DCHAT, stake)
        entry = Entry(
            chain_id, name, operator.wallet.public_key, public, node_key.public_key,
            peer=f"{node_key.id}@{_reached_at(address, config)}", stake=stake, balance=balance,
            min_self_delegation=min_self_delegation or max(1, least), commission_rate=commission,
            commission_max_rate=max_commission, commission_max_change_rate=max_change,
        )  # fmt: skip
        entry = entry.signed("operator", operator.wallet.key.sign).signed("node", node_key.sign)
        entry = entry.signed("consensus", key.sign) if key is not None else entry
        if flaws := entry.flaws():
            raise InvalidCeremony(flaws)
    file = output or Path(f"validator-{_NAME.sub('-', name).strip('-') or 'node'}.json")
    _write(file, entry.dumps())
    echo(f"wrote {file}: {name} stakes {money(stake)} of {chain_id}, and its account has {money(balance)} beside it")
    if stake < USUAL_STAKE:
        echo(f"warning: {small_stake(stake)}")
    if entry.lacks:
        echo(f"next, where its consensus key is: dchat genesis sign {file.name} --key-file FILE; then hand it in")
    else:
        echo("next: hand it to whoever collects; nothing in it is secret")


def _there(path: Path) -> Path:
    """Raises HomeError."""
    if not path.exists():
        raise HomeError(f"{path} is missing: make this node's home first (`dchat init --no-genesis`)")
    return path


def _consensus_key(home: Home, config: Config) -> tuple[bytes, ConsensusSigner | None]:
    """Public and, where it signs for this machine, what signs. Raises HomeError."""
    if config.validator.priv_validator_laddr:
        if not config.validator.priv_validator_pub_key:
            raise HomeError("[validator] priv_validator_pub_key is missing: `dchat signer show` tells it there")
        return key_in_hex(config.validator.priv_validator_pub_key).bytes, None
    _there(home.validator_key)
    key = home_key(home, config)
    return key.pub_key.bytes, key


def _reached_at(address: str | None, config: Config) -> str:
    """HOST:PORT. Raises Refusal."""
    said = address or config.p2p.external_address or config.network.listen_address
    try:
        found = parse_address(said, id_required=False) if address else parse_listen_address(said)
    except BadAddress as error:
        raise Refusal(f"--address: {error}", Exit.USAGE) from None
    if address and found.id:
        raise Refusal(f"--address {said}: expected HOST:PORT; the node's id is its home's", Exit.USAGE)
    if address and found.ip is not None and found.ip.is_unspecified:
        raise Refusal(
            f"--address: nobody reaches {found.host_port}; say the address at which other machines find this one",
            Exit.USAGE,
        )
    if found.id or not found.port or (found.ip is not None and found.ip.is_unspecified):
        raise Refusal(
            f"--address is needed: HOST:PORT at which the other machines reach this node; it listens on {said}",
            Exit.USAGE,
        )
    return found.host_port


def _write(file: Path, text: str) -> None:
    try:
        write_new(file, text)
    except FileExistsError:
        raise Refusal(f"{file} exists; remove it, or name another place (--output)", Exit.USAGE) from None


@genesis.command("sign", cls=Command)
@click.argument("file", type=InputFile())
@click.option("--key-file", type=InputFile(), help="The consensus key. Default: of the home.")
def sign(file: Path, key_file: Path | None) -> None:
    """Add the signature of a consensus key that is on this machine, where a signer has it, to a node's entry.

    Look at what it says first: `dchat genesis show FILE`.
    """
    (entry,) = read_entries([file]).values()
    with plainly():
        path = key_file or current_home()[0].validator_key
        key = KeyFile.read(path).unlock(current_home()[0].passphrase)
        if key.pub_key.bytes != entry.consensus_key:
            raise HomeError(
                f"{path} has the public key {key.pub_key.bytes.hex()}, and {file} names {entry.consensus_key.hex()}"
            )
    replace_durably(file, entry.signed("consensus", key.sign).dumps())
    echo(f"signed {file}: {entry.moniker} stakes {money(entry.stake)} of {entry.chain_id}")


@genesis.command("show", cls=Command)
@click.argument("files", nargs=-1, required=True, type=InputFile())
@output_option
def show(files: tuple[Path, ...], form: str | None) -> None:
    """What entries say, and whether their signatures hold."""
    entries = read_entries(files)
    if is_text(form):
        _tell(list(entries.values()))
    else:
        show_json([{"file": file, **of_entry(entry)} for file, entry in entries.items()])


@genesis.command("collect", cls=Command)
@click.argument("files", nargs=-1, required=True, type=InputFile())
@click.option("--chain-id", type=ChainId(is_new=True), required=True, help="The chain that begins.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The genesis to write.")
@click.option("--expect", type=click.IntRange(min=1), help="How many validators there are; else whoever came.")
@click.option("--time", "begins", help="When it begins, as 2027-01-31T12:00:00Z or 1h from now. Default: now.")
@click.option(
    "--balance", "balances", multiple=True, metavar="ADDRESS=AMOUNT", help="Of another account, in DCHAT; repeat."
)
@click.option(
    "--param", "params", multiple=True, metavar="MODULE.NAME=VALUE",
    help=f"A param of the chain, by the names of `dchat query params`; repeat. Modules: {' '.join(MODULES)}.",
)  # fmt: skip
@click.option("--voting-period", type=Length(least=1), help="Of governance, like 60s. Default: 24 hours.")
@click.option(
    "--key-type", "key_types", multiple=True, type=click.Choice((ED25519, ML_DSA_65)),
    help="Of consensus keys that may come later, beside those of the entries; repeat.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON, at a terminal, too.")
def collect_command(
    files: tuple[Path, ...],
    chain_id: str,
    output: Path,
    expect: int | None,
    begins: str | None,
    balances: tuple[str, ...],
    params: tuple[str, ...],
    voting_period: int | None,
    key_types: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make the genesis of the validators' entries. Who has the same files and says the same time makes the same one.

    Beside it is written where the nodes are found: OUTPUT with the ending .peers. Nobody's keys are needed.
    """
    entries = read_entries(files)
    if expect is not None and len(entries) != expect:
        raise Refusal(f"{len(entries)} entries, expected {expect} (--expect): {', '.join(entries)}", Exit.USAGE)
    given = _balances(balances)
    with plainly():
        doc = collect(
            entries, chain_id=chain_id, time_ns=_time(begins), economics=EconomicsGenesis(),
            balances=given, block_gas_max=block_gas_for(Config().consensus.timeout_propose),
            key_types=key_types,
        )  # fmt: skip
        doc = with_params(doc, _changes(params, voting_period))
        check_genesis(doc, Config())
    peers = output.with_suffix(".peers")
    for file in (output, peers):
        if file.exists():
            raise Refusal(f"{file} exists; a genesis is never overwritten: name another --output", Exit.USAGE)
    _write(output, doc.dumps() + "\n")
    _write(peers, peers_text(list(entries.values())))
    _tell_collected(entries, given, doc, (output, peers), JSON if as_json else None)


def _tell_collected(
    entries: dict[str, Entry], balances: dict[bytes, int], doc: GenesisDoc, files: tuple[Path, Path], form: str | None
) -> None:
    """balances: of --balance. files: the genesis, and where its nodes are found."""
    output, peers = files
    digest = genesis_digest(doc).hex()
    least = parse_app_state(doc.app_state).economics.staking.min_stake
    warnings = [small_stake(least)] if least < USUAL_STAKE else []
    if not is_text(form):
        show_json(
            {
                "file": str(output),
                "peers": str(peers),
                "hash": digest,
                "chain_id": doc.chain_id,
                "genesis_time": format_rfc3339(doc.genesis_time_ns),
                "validators": [of_entry(entry) for entry in entries.values()],
                "balances": of_balances(balances.items()),
                "warnings": warnings,
            }
        )
        return
    _tell(list(entries.values()))
    if balances:
        echo()
        table(["balance", "account"], [[money(udchat), encode_address(who)] for who, udchat in balances.items()])
        echo()
    for text in warnings:
        echo(f"warning: {text}")
    echo(f"wrote {output}, of chain {doc.chain_id}, which begins at {format_rfc3339(doc.genesis_time_ns)}")
    echo(f"wrote {peers}, where its {f'{len(entries)} nodes are' if len(entries) > 1 else 'one node is'} found")
    echo(f"its hash is {digest}")
    echo("next: give both files to every machine, and say the hash by another way; there")
    echo(f"      dchat genesis install {output.name} --hash {digest} --peers {peers.name}")


def _tell(entries: list[Entry]) -> None:
    total = sum(entry.power for entry in entries)
    rows = [
        [
            entry.moniker, money(entry.stake), share(entry.power, total), money(entry.balance), entry.peer,
            "" if not entry.lacks else f"lacks the signature of {', '.join(entry.lacks)}",
        ]
        for entry in entries
    ]  # fmt: skip
    table(["validator", "stake", "power", "balance", "peer", ""], rows)


def _time(begins: str | None) -> int:
    """ns, of a whole second. Raises Refusal."""
    try:
        found = time.time_ns() if begins is None else time_of(begins)
    except ValueError as error:
        raise Refusal(f"--time: {error}", Exit.USAGE) from None
    return found // NS_PER_S * NS_PER_S


def _balances(said: tuple[str, ...]) -> dict[bytes, int]:
    """Raises click's BadParameter."""
    found: dict[bytes, int] = {}
    for one in said:
        who, equals, amount = one.rpartition("=")
        if not equals:
            raise click.BadParameter(f"{one!r}: expected ADDRESS=AMOUNT", param_hint="'--balance'")
        address = Address(otherwise=BEFORE).convert(who, None, None)
        if address in found:
            raise click.BadParameter(f"{who} is there twice", param_hint="'--balance'")
        found[address] = Amount(least=1).convert(amount, None, None)
    return found


def _changes(params: tuple[str, ...], voting_period: int | None) -> dict[str, dict[str, str]]:
    """Raises Refusal."""
    changes: dict[str, dict[str, str]] = {}
    for change in map(parse_setting, params):
        module = changes.setdefault(change.module, {})
        if change.name in module:
            raise Refusal(f"--param {change.module}.{change.name}: it is there twice", Exit.USAGE)
        module[change.name] = change.value
    if voting_period is not None:
        short = governance_params.to_text(GovernanceParams().shortened(voting_period))
        for name in ("deposit_period_s", "voting_period_s", "expedited_voting_period_s"):
            changes.setdefault("governance", {}).setdefault(name, short[name])
    return changes
