"""A test network on one machine: its layout, and the files of every node.

    DIR/network.json         what `scripts/testnet`, the demo and the benchmark read: ports, homes, accounts
    DIR/validatorN/          a node's home
    DIR/accounts/NAME.json   identity files of funded accounts

Ports: validator i (from 1) has p2p 7070+2(i-1), HTTP 7071+2(i-1), metrics 9090+(i-1),
gRPC 26670+(i-1), JSON-RPC 26757+(i-1); or, from a base port on, five each in this order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

from chain.app_state.document import InvalidAppState
from chain.currency.economy import GenesisStake
from chain.currency.ledger.economic_params import InvalidParam
from chain.tx.gas import block_gas_for
from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.documents.genesis import GenesisDoc
from consensus.formats.errors import InvalidGenesis, InvalidParams
from consensus.p2p.conn.node_key import NodeKey
from consensus.system.files import write_new
from crypto.errors import InvalidKey
from crypto.keys import ED25519, key_type
from dchat.app.genesis_params import Changes, with_params
from dchat.config import Config
from dchat.config.genesis_options import GENESIS_OPTIONS
from dchat.home import identity
from dchat.home.documents import fault_text
from dchat.home.home import Home, load_validator_key, make_keys, write_genesis
from genesis.app_state import EconomicsGenesis
from genesis.build import build_genesis, economics_of, stake_of

NETWORK_FILE = "network.json"
VALIDATORS_MAX = 64  # of one machine
PORTS_EACH = 5
ACCOUNT_NAMES = ("alice", "bob", "carol", "dave")
ACCOUNT_BALANCE_DCHAT = 1_000_000
DEFAULT_CHAIN_ID = "dchat-testnet"


class DevnetError(Exception):
    """A test network cannot be made, read or driven: this machine's fault or the person's."""


class NetworkError(DevnetError):
    """A network that cannot be made or read: where, and why."""


class ParamRefused(NetworkError):
    """What was asked of a new network cannot be: which param, and what is allowed."""


@dataclass(frozen=True)
class Ports:
    """TCP ports of one validator."""

    p2p: int
    http: int
    metrics: int
    grpc: int
    rpc: int

    @staticmethod
    def of(index: int) -> Ports:
        """index: from 1."""
        step = index - 1
        return Ports(7_070 + 2 * step, 7_071 + 2 * step, 9_090 + step, 26_670 + step, 26_757 + step)

    @staticmethod
    def after(base: int, index: int) -> Ports:
        """index: from 1. Those of all validators in one range that begins with `base`, five each."""
        first = base + PORTS_EACH * (index - 1)
        return Ports(*range(first, first + PORTS_EACH))


@dataclass(frozen=True)
class NodeEntry:
    """One validator of the network file. home: relative to the network's folder."""

    index: int
    name: str
    home: str
    node_id: str
    address: str  # the consensus address, upper-case hex
    ports: Ports


@dataclass(frozen=True)
class Network:
    """What the network file says. host: where all nodes listen."""

    folder: Path
    chain_id: str
    host: str
    nodes: tuple[NodeEntry, ...]
    accounts: dict[str, str]  # name -> identity file, relative to the folder

    def home_of(self, node: NodeEntry) -> Path:
        return self.folder / node.home

    def node(self, index: int) -> NodeEntry:
        """Raises NetworkError."""
        for node in self.nodes:
            if node.index == index:
                return node
        raise NetworkError(f"there is no validator {index}; allowed: 1 to {len(self.nodes)}")


@dataclass(frozen=True)
class Pace:
    """How fast the network makes blocks, in milliseconds."""

    block_time: int = 3_000
    timeout_propose: int = 3_000
    timeout_prevote: int = 1_000
    timeout_precommit: int = 1_000
    timeout_delta: int = 500
    timeout_commit: int = 200

    @staticmethod
    def fast() -> Pace:
        """No waiting between blocks, empty ones included."""
        return Pace(0, 500, 100, 100, 100, 0)


def load_network(folder: Path) -> Network:
    """Raises NetworkError."""
    path = folder / NETWORK_FILE
    try:
        document = json.loads(path.read_text())
        nodes = tuple(NodeEntry(**{**node, "ports": Ports(**node["ports"])}) for node in document["nodes"])
        return Network(folder, document["chain_id"], document["host"], nodes, document["accounts"])
    except FileNotFoundError:
        raise NetworkError(f"{path} is missing: there is no test network in {folder}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise NetworkError(f"{path}: is no network file: {fault_text(error)}") from None


def _is_home(folder: Path) -> bool:
    home = Home.of(folder)
    return home.config_file.exists() or home.genesis.exists() or home.validator_key.exists()


def make_network(
    folder: Path,
    *,
    validators: int = 4,
    chain_id: str = DEFAULT_CHAIN_ID,
    pace: Pace | None = None,
    host: str = "127.0.0.1",
    ports: list[Ports] | None = None,
    options: Config | None = None,
    upgrade_authority: str = "",
    params: Changes | None = None,
    more_balances: Mapping[bytes, int] | None = None,
    key_types: Sequence[str] = (ED25519,),
) -> Network:
    """Make homes, a genesis and funded accounts. ports: by default the design's.

    upgrade_authority: the name of the account that may set upgrade plans beside governance.
    params: of the chain, what differs from what `options` say and from the defaults.
    more_balances: of accounts beside those that it makes, address -> udchat.
    key_types: of the validators' consensus keys, in turn.

    Raises NetworkError when there is a network in `folder` already, when it is a node's home, or within one of them, or
    when the number of validators makes no sense; ParamRefused. Nothing is written then.
    """
    if not 1 <= validators <= VALIDATORS_MAX:
        raise NetworkError(f"{validators} validators; allowed: 1 to {VALIDATORS_MAX}")
    if (folder / NETWORK_FILE).exists():
        raise NetworkError(f"{folder / NETWORK_FILE} exists: a network is never overwritten")
    for one in (folder, folder.parent):
        if _is_home(one):
            raise NetworkError(f"{one} is a node's home: choose another folder for a network")
    if (folder.parent / NETWORK_FILE).exists():
        raise NetworkError(f"{folder.parent} holds a network: choose a folder outside of it")
    used = ports or [Ports.of(index) for index in range(1, validators + 1)]
    begin = _Genesis(chain_id, options or Config(), pace or Pace(), params or {}, tuple(key_types))
    begin.check(len(used))
    nodes, stakes, balances = _make_validators(folder, used, begin)
    accounts = {}
    for name in ACCOUNT_NAMES:
        account = identity.generate()
        account.save(folder / "accounts" / f"{name}.json")
        accounts[name] = f"accounts/{name}.json"
        balances[account.address] = ACCOUNT_BALANCE_DCHAT * UDCHAT_PER_DCHAT
    balances |= more_balances or {}
    authority = identity.load(folder / accounts[upgrade_authority]).address if upgrade_authority else b""
    document = begin.document(stakes, balances, upgrade_authority=authority)
    text, told = document.dumps(), _chain_options(document)
    network = Network(folder, chain_id, host, tuple(nodes), accounts)
    for node in nodes:
        home = Home.of(network.home_of(node))
        write_genesis(home, text)
        write_new(home.config_file, node_config(network, node, begin.pace, told))
    write_new(folder / NETWORK_FILE, _dump(network))
    return network


@dataclass(frozen=True)
class _Genesis:
    """What a network's genesis is made of, but for who is in it."""

    chain_id: str
    config: Config
    pace: Pace
    params: Changes
    key_types: tuple[str, ...]

    def kind(self, index: int) -> str:
        """Of the validator's key; index: from 1."""
        return self.key_types[(index - 1) % len(self.key_types)]

    def document(
        self, stakes: list[GenesisStake], balances: dict[bytes, int], *, upgrade_authority: bytes = b""
    ) -> GenesisDoc:
        """Raises ParamRefused."""
        try:
            document = build_genesis(
                chain_id=self.chain_id,
                time_ns=time.time_ns(),
                stakes=stakes,
                economics=genesis_economics(self.config),
                balances=balances,
                block_bytes_max=self.config.consensus.max_block_size,
                block_gas_max=block_gas_for(max(self.pace.timeout_propose, 1)),
                upgrade_authority=upgrade_authority,
            )
            return with_params(document, self.params)
        except (InvalidAppState, InvalidGenesis, InvalidParam, InvalidParams) as error:
            raise ParamRefused(str(error)) from error

    def check(self, validators: int) -> None:
        """That there can be such a document, before any file is made. Raises ParamRefused."""
        numbers = range(1, validators + 1)
        try:
            keys = [key_type(self.kind(index)).from_secret(bytes((index,)) * 32).pub_key for index in numbers]
        except InvalidKey as error:
            raise ParamRefused(str(error)) from error
        stakes = [_stake(self.config, key.address, key.bytes, index) for index, key in enumerate(keys, start=1)]
        self.document(stakes, {keys[0].address: 1})


def _stake(config: Config, operator: bytes, consensus_key: bytes, index: int) -> GenesisStake:
    stake, least = config.staking.initial_stake, config.staking.min_self_delegation
    return stake_of(operator, consensus_key, stake, moniker=f"validator{index}", min_self_delegation_dchat=least)


def _make_validators(
    folder: Path, ports: list[Ports], begin: _Genesis
) -> tuple[list[NodeEntry], list[GenesisStake], dict[bytes, int]]:
    """Their keys; the initial stake's worth goes to each operator beside the stake."""
    nodes, stakes, balances, config = [], [], {}, begin.config
    for index, node_ports in enumerate(ports, start=1):
        home = Home.of(folder / f"validator{index}")
        make_keys(home, kind=begin.kind(index))
        operator = identity.generate()
        operator.save(home.identity)
        balances[operator.address] = config.staking.initial_stake * UDCHAT_PER_DCHAT
        key = load_validator_key(home).pub_key
        stakes.append(_stake(config, operator.address, key.bytes, index))
        node_id, address = NodeKey.load(home.node_key).id, key.address.hex().upper()
        nodes.append(NodeEntry(index, f"validator{index}", f"validator{index}", node_id, address, node_ports))
    return nodes, stakes, balances


def genesis_economics(config: Config) -> EconomicsGenesis:
    """What [staking] and [slashing] say, for a new chain."""
    staking, slashing = config.staking, config.slashing
    return economics_of(
        stake_dchat=staking.initial_stake,
        min_self_delegation_dchat=staking.min_self_delegation,
        unbonding_s=staking.unbonding_time,
        missed_blocks_window=slashing.missed_blocks_window,
        min_signed_per_window=f"{slashing.min_signed_per_window:.9f}",
        downtime_jail_s=slashing.downtime_jail_duration,
        double_sign_jail_s=slashing.double_sign_jail_duration,
    )


def _dump(network: Network) -> str:
    document = {
        "chain_id": network.chain_id,
        "host": network.host,
        "nodes": [asdict(node) for node in network.nodes],
        "accounts": network.accounts,
    }
    return json.dumps(document, indent=2) + "\n"


def _chain_options(document: GenesisDoc) -> dict[str, dict[str, object]]:
    """The options that repeat what the chain says, section -> key -> value, as far as it is not the usual."""
    params, usual = json.loads(document.app_state), Config()
    told: dict[str, dict[str, object]] = {}
    for section, key, module, name, unit in GENESIS_OPTIONS:
        before = getattr(getattr(usual, section), key)
        value = type(before)(Fraction(params[module]["params"][name]) / unit)
        if value != before:
            told.setdefault(section, {})[key] = value
    return told


def node_config(
    network: Network, node: NodeEntry, pace: Pace, told: Mapping[str, Mapping[str, object]] | None = None
) -> str:
    """validator-config.toml of one node: what differs from the defaults. told: of `_chain_options`."""
    host, ports = network.host, node.ports
    peers = [f"{other.node_id}@{host}:{other.ports.p2p}" for other in network.nodes if other.index != node.index]
    tables: dict[str, Mapping[str, object]] = {
        "validator": {"chain_id": network.chain_id, "moniker": node.name},
        "network": {
            "listen_address": f"{host}:{ports.p2p}",
            "rpc_listen_address": f"{host}:{ports.rpc}",
            "bootstrap_validators": peers,
        },
        "consensus": {
            "block_time": pace.block_time,
            "timeout_propose": pace.timeout_propose,
            "timeout_propose_delta": pace.timeout_delta,
            "timeout_prevote": pace.timeout_prevote,
            "timeout_prevote_delta": pace.timeout_delta,
            "timeout_precommit": pace.timeout_precommit,
            "timeout_precommit_delta": pace.timeout_delta,
            "timeout_commit": pace.timeout_commit,
        },
        "grpc": {"listen_address": f"{host}:{ports.grpc}"},
        "http": {"host": host},
        "observability": {"metrics_host": host, "metrics_port": ports.metrics, "health_port": ports.http},
        "p2p": {"address_book_strict": False},
        **(told or {}),
    }
    lines = [f"# {node.name} of a test network; validator-config.example.toml names every option."]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"
