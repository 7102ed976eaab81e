"""What a start would refuse, found before anything is written: the options, and the genesis that they make or name.

Everything here builds what the start builds, by the same code, in memory; so what passes here starts.
Source: the operator contract, `--validate`; cosmos-omnibus#104 (a check that lets through what no start accepts).
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from chain.app_state.document import InvalidAppState
from chain.app_state.exported import is_exported, read_exported
from chain.state.store import Stores
from consensus.documents.genesis import GenesisDoc, parse_genesis
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor
from consensus.execution.handshake import handshake
from consensus.formats.chain_ids import new_chain_id_flaw
from consensus.formats.errors import InvalidGenesis
from consensus.mempool.pool import Pool
from consensus.p2p.conn.address import parse_address, parse_listen_address
from consensus.p2p.conn.errors import P2PError
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.system.errors import EngineError
from crypto.keys import ED25519, SECRET_BYTES, PrivKey, key_type
from dchat.app.app import DchatApplication
from dchat.backups.places import check_place
from dchat.config import Config
from dchat.doors.certificates import load_client_ca, load_pair, pem_bytes
from dchat.doors.http.views import host_name
from dchat.doors.reads import handles
from dchat.home import identity, logs
from dchat.home.errors import HomeError
from dchat.home.home import Home, remote_key
from dchat.home.version import ENGINE_VERSION, build_version
from dchat.node.errors import TooFewHandles
from dchat.node.parts.options import core_config, pool_config, switch_config
from dchat.node.runtime import check_trust, room_of
from dchat.sql.connection import library
from dchat.sql.errors import SqlMissing
from dchat.upkeep.errors import UpkeepError
from storage.memory import MemoryStore

MUTUAL: Final = ("grpc", "http", "rpc")  # sections of doors that can ask who calls
log = structlog.get_logger(__name__)

PlanGenesis = Callable[[PrivKey, bytes], GenesisDoc]  # (validator key, operator's address)


def check_options(home: Home, config: Config) -> None:
    """Raises HomeError: every option that no start accepts, a line each."""
    problems: list[str] = []

    def look(option: str, work: Callable[[], object]) -> None:
        try:
            work()
        except (P2PError, SqlMissing, ValueError, OSError) as error:
            problems.append(f"{option}: {error}")

    before = len(problems)
    for option, text, parse in _addresses(config):
        look(option, partial(parse, text))
    if len(problems) == before:
        look("[network], [p2p]", lambda: switch_config(config))
    look("[consensus]", lambda: core_config(config))
    look("[state_sync]", lambda: check_trust(config))
    look("[mempool]", lambda: pool_config(config))
    look("[validator] moniker", lambda: _check_moniker(config.validator.moniker or host_name()))
    look(
        "[hsm] enable" if config.hsm.enable else "[validator] priv_validator_laddr", lambda: _check_signer(home, config)
    )
    if config.grpc.enabled:
        look("[grpc] listen_address", lambda: parse_listen_address(config.grpc.listen_address))
    if config.network.rpc_listen_address:
        look("[network] rpc_listen_address", lambda: parse_listen_address(config.network.rpc_listen_address))
    look("[http] host", lambda: _check_host(config.http.host))
    look("[observability] metrics_host", lambda: _check_host(config.observability.metrics_host))
    problems += _shared_ports(config)
    look("[validator] data_dir", lambda: _check_folder(home.data))
    look("[database] path", lambda: _check_folder(home.databases))
    if config.sql.connection:
        look("[sql]", library)
    if config.tls.cert_file:
        certificate, key = home.root / config.tls.cert_file, home.root / config.tls.key_file
        before = len(problems)
        look("[tls] cert_file", lambda: _check_pem(certificate, b"CERTIFICATE-----", "certificate"))
        look("[tls] key_file", lambda: _check_pem(key, b"PRIVATE KEY-----", "private key"))
        if len(problems) == before:
            look("[tls] cert_file, key_file", lambda: _check_tls(certificate, key))
    for option, file in client_cas(config).items():
        look(option, partial(_check_client_ca, home.root / file))
    if problems:
        raise HomeError("\n".join(problems))


def check_machine(home: Home, config: Config) -> Config:
    """That this machine has what a node needs: room where it writes, leave to write there, file handles. Returns the
    options, fitted to the handles that there are. Raises NoRoom, TooFewHandles, OSError."""
    room_of(home, config).check()
    return fit_handles(config, handles.raise_limit())


def fit_handles(config: Config, found: int) -> Config:
    """The options, with fewer open tables where else too few handles were left. Raises TooFewHandles.

    A table that is not kept open is opened again when it is read: that costs time and nothing else.
    """
    peers, doors = handles.peers_of(config), len(handles.DoorHandles._fields) * handles.DOOR_LEAST
    others, least = peers + handles.DIALS + handles.OWN + doors, handles.DATABASES * handles.TABLES_LEAST
    if found < others + least:
        raise TooFewHandles(
            f"this process may have {found} file handles, and a node with these options needs {others + least}: "
            f"{least} for its databases, {peers} for peers ([network] max_peers), {handles.DIALS} for handshakes, "
            f"{handles.OWN} for its own files and {doors} for clients. Raise the limit (ulimit -n, LimitNOFILE), or "
            "allow fewer peers"
        )
    tables = (found - others) // handles.DATABASES
    if tables >= config.database.max_open_files:
        return config
    log.warning(
        "too few file handles for [database] max_open_files; raise the limit (ulimit -n, LimitNOFILE)",
        handles=found, wanted=config.database.max_open_files, taken=tables,
    )  # fmt: skip
    return config.model_copy(update={"database": config.database.model_copy(update={"max_open_files": tables})})


def warn_of_backups(home: Home, config: Config) -> None:
    """A place that cannot be used now, like a disk that is not mounted, keeps no validator from its start."""
    try:
        if config.backup.enable:
            check_place(home, config)
    except UpkeepError as error:
        log.warning("a scheduled backup would fail now", reason=f"[backup]: {error}")


def check_genesis(genesis: GenesisDoc, config: Config) -> None:
    """Begin the chain in memory, but for a state that is elsewhere.

    Raises HomeError, which says what the engine or the application refuses.
    """
    try:
        if is_exported(genesis.app_state) and not read_exported(genesis.app_state).chunks:
            return  # from peers, by a state sync
        with logs.silence():
            asyncio.run(_begin(genesis, config))
    except (EngineError, InvalidAppState, ValueError) as error:
        raise HomeError(f"no chain can begin with this genesis: {error}") from None


def check_new_chain(home: Home, config: Config, chain_id: str, plan: PlanGenesis, kind: str = ED25519) -> None:
    """That the genesis which `plan` would make begins. Keys that are not there yet are stood in for; kind: of the
    consensus key.

    Raises HomeError, IdentityError.
    """
    if flaw := new_chain_id_flaw(chain_id):
        raise HomeError(flaw)
    if config.staking.initial_stake < 1:
        raise HomeError(
            f"a new chain ({chain_id}) needs a validator with a stake: [staking] initial_stake is "
            f"{config.staking.initial_stake}; allowed: 1 DCHAT and more (--stake N)"
        )
    operator = identity.load(home.identity) if home.identity.exists() else identity.generate()
    try:
        genesis = plan(key_type(kind).from_secret(secrets.token_bytes(SECRET_BYTES)), operator.address)
        again = parse_genesis(genesis.dumps().encode(), default_time_ns=time.time_ns())
    except (InvalidGenesis, InvalidAppState, ValueError) as error:
        raise HomeError(f"no genesis can be made of these options: {error}") from None
    check_genesis(again, config)


async def _begin(genesis: GenesisDoc, config: Config) -> None:
    clock, workers = LoopClock(), InlineWorkers()
    app = DchatApplication(Stores(MemoryStore()))
    blocks, states = BlockStore(MemoryStore()), StateStore(MemoryStore())
    executor = BlockExecutor(
        app, blocks, states, pool=Pool(app, clock, workers, pool_config(config)),
        evidence=EvidencePool(MemoryStore(), blocks, states), workers=workers, clock=clock,
    )  # fmt: skip
    await handshake(genesis, executor, software=build_version())


def _check_signer(home: Home, config: Config) -> None:
    """Raises ValueError."""
    if config.hsm.enable and not home.validator_key.exists():
        raise ValueError(
            f"{home.validator_key} is missing: it names the key that the token or the service holds. `dchat signer "
            "init` with the same options makes such a key, `dchat signer adopt` takes up one that is there"
        )
    if not config.validator.priv_validator_laddr and not config.hsm.enable:
        return
    if config.node.proxy_app:
        raise ValueError("a signer elsewhere is for dchat's own application, not with [node] proxy_app")
    try:
        remote_key(home, config, NodeKey.generate())
    except HomeError as error:
        raise ValueError(str(error)) from None


def _check_moniker(moniker: str) -> None:
    """By the rule that peers apply (CometBFT v0.38, p2p/node_info.go)."""
    NodeInfo("0" * 40, "tcp://0.0.0.0:0", "", ENGINE_VERSION, b"", moniker).validate()


def _addresses(config: Config) -> Iterator[tuple[str, str, Callable[[str], object]]]:
    """Where this node listens for peers and finds them: the option that says it, the text, how it is read."""
    parse_peer = partial(parse_address, id_required=False)
    if config.network.listen_address:
        yield "[network] listen_address", config.network.listen_address, parse_listen_address
    if config.p2p.external_address:
        yield "[p2p] external_address", config.p2p.external_address, parse_listen_address
    for text in config.network.bootstrap_validators:
        yield "[network] bootstrap_validators", text, parse_peer
    for text in config.p2p.seeds:
        yield "[p2p] seeds", text, parse_peer


def _check_host(host: str) -> None:
    parse_listen_address(f"[{host}]:0" if ":" in host else f"{host}:0")


def _shared_ports(config: Config) -> list[str]:
    """Two doors of one node that want one port, so that no start opens both: a line each."""
    shown = config.observability
    doors = [
        ("[network] listen_address", config.network.listen_address),
        ("[observability] health_port", _at(config.http.host, shown.health_port)),
    ]
    if config.grpc.enabled:
        doors.append(("[grpc] listen_address", config.grpc.listen_address))
    if config.network.rpc_listen_address:
        doors.append(("[network] rpc_listen_address", config.network.rpc_listen_address))
    if shown.metrics_enabled:
        doors.append(("[observability] metrics_port", _at(shown.metrics_host, shown.metrics_port)))
    found: list[tuple[str, str, int]] = []
    problems = []
    for option, text in doors:
        try:
            address = parse_listen_address(text)
        except P2PError:
            continue  # it is told by itself
        host = "127.0.0.1" if address.host == "localhost" else address.host
        for other, there, port in found:
            if address.port == port != 0 and _overlap(host, there):
                problems.append(
                    f"ports: {other} and {option} are both at port {port}; allowed: a port of its own for each"
                )
                break
        found.append((option, host, address.port))
    return problems


def _overlap(host: str, other: str) -> bool:
    """Whether both listen at one address: the same, or one is any of the other's family."""
    if host == other:
        return True
    return any(
        wildcard in (host, other) and (":" in host) == (":" in wildcard) == (":" in other)
        for wildcard in ("0.0.0.0", "::")
    )


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; a folder is needed")


def client_cas(config: Config) -> dict[str, str]:
    """Files of who vouches for clients, by the option that names each."""
    named = {f"[{section}] client_ca_file": getattr(config, section).client_ca_file for section in MUTUAL}
    named["[observability] metrics_client_ca_file"] = config.observability.metrics_client_ca_file
    return {option: file for option, file in named.items() if file}


def _check_client_ca(file: Path) -> None:
    if not file.is_file():
        raise ValueError(
            f"{file} is missing: put the certificates there of who vouches for clients, or empty the option"
        )
    load_client_ca(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), file)


def _check_pem(file: Path, begin: bytes, what: str) -> None:
    if not file.is_file():
        raise ValueError(
            f"{file} is missing: put the {what} there, in PEM, or empty [tls] cert_file and key_file: doors without TLS"
        )
    try:
        found = pem_bytes(file)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from None
    if begin not in found:
        raise ValueError(f"{file} holds no {what} in PEM")


def _check_tls(certificate: Path, key: Path) -> None:
    try:
        load_pair(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), certificate, key)
    except ssl.SSLError as error:
        raise ValueError(f"{certificate} and {key} are no certificate with its key: {error.reason}") from None
