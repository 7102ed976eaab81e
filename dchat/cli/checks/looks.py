"""The single checks of `dchat validator --validate`: each looks at one thing and says what it found; none writes."""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Final

from cryptography import x509

from chain.app_state.exported import is_exported
from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.documents.files import SignState
from consensus.documents.genesis import GenesisDoc
from consensus.formats.errors import InvalidFile
from consensus.formats.units import MIB, NS_PER_S
from consensus.p2p.conn.address import NodeAddress, parse_address, parse_listen_address
from consensus.p2p.conn.errors import BadAddress
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.record import read_record
from consensus.system.disk import OsDisk
from consensus.system.files import is_private
from consensus.system.machine import free_bytes, in_units, standing
from dchat.cli.checks.findings import Findings
from dchat.cli.checks.peer_probe import Probed, ProbeFailed, probe
from dchat.config import Config, Loaded
from dchat.config.genesis_options import GENESIS_OPTIONS
from dchat.devnet.ports import PortsTaken, is_free, told_holders
from dchat.doors.certificates import pem_bytes
from dchat.home.home import Home

EXPIRES_SOON_S: Final = 14 * 86_400
AHEAD_NS: Final = 2 * NS_PER_S  # blocks' times are the past of whoever voted: one of the future says that we are late
BEHIND_NS: Final = 60 * NS_PER_S
PEERS_ASKED_MAX: Final = 32
GENESIS_READ_BYTES_MAX: Final = 8 * MIB  # of a larger one the params are not compared
OTHERS_MAY_USE: Final = "others than its owner may use it"  # of a key that signs, who reads it says the same as a fault
ROOM_LOW_MIB: Final = 10 * 1_024
TIME_ERROR: Final = 5  # what adjtimex answers of a clock that nobody keeps


# ----------------------------------------------------------------------------------------------------- the home


def is_there(path: Path) -> bool:
    """As far as this user may look: where not, `of_files` tells it."""
    try:
        return path.exists()
    except OSError:
        return False


def running_pid(home: Home) -> str:
    """Of the process that runs on this home; empty: none."""
    try:
        with home.pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() or "?"
    except OSError:
        pass
    return ""


def place(home: Home, found: Findings) -> None:
    """Whether the home, and what is missing of it, can be made there by this user."""
    for folder in (home.root, home.data, home.databases):
        there = folder
        while not there.exists() and there != there.parent:
            there = there.parent
        if not there.is_dir():
            found.fault(f"{there} is no folder, and the home is to be there: name another (--home)")
        elif not os.access(there, os.W_OK | os.X_OK):
            found.fault(f"{there}: this user may not write there: look at its owner and mode, or name another home")
        else:
            continue
        return


def modes(home: Home, config: Config, found: Findings) -> None:
    """Who else may read what is secret, or write what counts."""
    secrets = [home.identity, home.node_key, home.validator_key, home.sign_state]
    if config.tls.key_file:
        secrets.append(home.root / config.tls.key_file)
    if config.sql.connection and home.config_file.exists():
        secrets.append(home.config_file)
    for path in secrets:
        if is_there(path) and not is_private(path) and not found.has_fault(f"{path}: {OTHERS_MAY_USE}"):
            found.warn(f"{path}: {OTHERS_MAY_USE}, and it is secret; mend with: chmod 600 {path}")
    for folder in (home.root, home.root / "config", home.data):
        if folder.is_dir() and folder.stat().st_mode & 0o022:
            found.warn(f"{folder}: others than its owner may write into it; mend with: chmod go-w {folder}")


def room(home: Home, config: Config, found: Findings) -> None:
    """What is not too little yet."""
    if config.database.backend == "memory":
        return
    folder = standing(home.databases)
    free = free_bytes(folder)
    if free < ROOM_LOW_MIB * MIB:
        found.warn(
            f"{folder}: {in_units(free)} are free; a chain that is used takes some GiB a month "
            "([database] pruning, docs/pruning.md), and the node stops below [database] min_free"
        )


# ------------------------------------------------------------------------------------------------------ options


def ports(config: Config, found: Findings) -> None:
    """Whether each door's port is free; and who has it, as far as this user may know."""
    shown = config.observability
    doors = [("[network] listen_address", config.network.listen_address)]
    if config.grpc.enabled:
        doors.append(("[grpc] listen_address", config.grpc.listen_address))
    doors.append(("[observability] health_port", f"{_host(config.http.host)}:{shown.health_port}"))
    if config.network.rpc_listen_address:
        doors.append(("[network] rpc_listen_address", config.network.rpc_listen_address))
    if shown.metrics_enabled:
        doors.append(("[observability] metrics_port", f"{_host(shown.metrics_host)}:{shown.metrics_port}"))
    if config.validator.priv_validator_laddr.startswith("tcp://"):
        doors.append(("[validator] priv_validator_laddr", config.validator.priv_validator_laddr))
    for option, text in doors:
        try:
            at = parse_listen_address(text)
        except BadAddress:
            continue  # it is told with the options
        try:
            if at.port and not is_free(at.host, at.port):
                who = _by(at.host, at.port)
                found.fault(f"{option}: {at.host_port} is taken{who}: stop that program, or choose another port")
        except PortsTaken:
            found.fault(f"{option}: {at.host} is no address of this machine: choose one of its own")


def _by(host: str, port: int) -> str:
    return f" by {who}" if (who := told_holders(host, port)) else ""


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def exposure(config: Config, found: Findings) -> None:
    """Options that do not fit each other, or let in more than was meant."""
    tls = config.tls.cert_file
    for option, text, is_open in (
        ("[grpc] listen_address", config.grpc.listen_address, config.grpc.enabled),
        ("[http] host", f"{_host(config.http.host)}:1", True),
        ("[network] rpc_listen_address", config.network.rpc_listen_address, bool(config.network.rpc_listen_address)),
    ):
        if not is_open:
            continue
        try:
            at = parse_listen_address(text)
        except BadAddress:
            continue  # it is told with the options
        if at.host == "localhost" or (at.ip is not None and at.ip.is_loopback):
            continue
        if not tls:
            found.warn(
                f"{option}: {at.host} is open to others, without TLS: set [tls] cert_file and key_file, or a proxy"
            )
        if not config.rate_limit.enabled:
            found.warn(f"{option}: {at.host} is open to others, and [rate_limit] enabled is off")
    named = bool(config.network.bootstrap_validators or config.p2p.seeds)
    if not named and not config.p2p.pex:
        found.warn("[p2p] pex is off, and [network] bootstrap_validators names nobody: this node dials no one")
    if config.p2p.max_inbound_peers + config.p2p.max_outbound_peers > config.network.max_peers:
        found.warn(
            f"[network] max_peers is {config.network.max_peers}, less than [p2p] max_inbound_peers and "
            f"max_outbound_peers together: not all of these places can be taken"
        )
    if config.database.pruning == "everything" and config.snapshots.interval == 0 and config.state_sync.enable:
        found.warn("[database] pruning is everything, and [snapshots] interval 0: nobody can join by this node")


def certificates(home: Home, config: Config, found: Findings) -> None:
    """From when to when they hold. That they are some, and fit the key, is looked at with the options."""
    for option, name in (
        ("[tls] cert_file", config.tls.cert_file),
        ("[grpc] client_ca_file", config.grpc.client_ca_file),
    ):
        if not name or not (path := home.root / name).is_file():
            continue
        try:
            chain = x509.load_pem_x509_certificates(pem_bytes(path))
        except ValueError:  # told with the options, as one that is too large
            continue
        now = datetime.now(UTC)
        for one in chain:
            who = one.subject.rfc4514_string() or path.name
            if one.not_valid_before_utc > now:
                found.warn(
                    f"{option}: {path}: {who} does not hold before {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
                )
            elif (left := (one.not_valid_after_utc - now).total_seconds()) < 0:
                found.warn(
                    f"{option}: {path}: {who} has expired on {one.not_valid_after_utc:%Y-%m-%d}: clients refuse it"
                )
            elif left < EXPIRES_SOON_S:
                found.warn(f"{option}: {path}: {who} expires on {one.not_valid_after_utc:%Y-%m-%d}")


# ---------------------------------------------------------------------------------------------------- the chain


def of_genesis(home: Home, loaded: Loaded, genesis: GenesisDoc, found: Findings) -> None:
    """This node in the chain: its key, its record of signing, the stake, the options that are the chain's."""
    config = loaded.config
    key = _public_key(home, config)
    is_in = any(one.pub_key.bytes == key for one in genesis.validators)
    has_blocks = home.databases.joinpath("blocks").exists()
    if key and not is_in and not has_blocks and not loaded.asks_to_stake:
        where = home.validator_key if is_there(home.validator_key) else "[validator] priv_validator_pub_key"
        found.warn(
            f"{where}: this key is no validator's in the genesis: the node follows without voting, unless it became "
            "one since"
        )
    _sign_state(home, has_blocks, found)
    if genesis.genesis_time_ns > time.time_ns():
        wait_s = (genesis.genesis_time_ns - time.time_ns()) // NS_PER_S
        found.warn(f"{home.genesis}: the chain begins in {wait_s} s; until then this node waits")
    if not genesis.app_state or len(genesis.app_state) > GENESIS_READ_BYTES_MAX or is_exported(genesis.app_state):
        return
    params = json.loads(genesis.app_state)
    _params(config, loaded, params, has_blocks, found)
    if loaded.asks_to_stake:
        least = int(params["staking"]["params"]["min_stake"])
        if config.staking.initial_stake * UDCHAT_PER_DCHAT < least:
            found.warn(
                f"--stake: {config.staking.initial_stake} DCHAT is below what the chain began with as its least, "
                f"{least // UDCHAT_PER_DCHAT} DCHAT: the node would not stake"
            )


def _sign_state(home: Home, has_blocks: bool, found: Findings) -> None:
    if not is_there(home.sign_state) or not is_there(home.validator_key):
        return
    try:
        record = read_record(OsDisk(), home.sign_state)
    except (InvalidFile, OSError):
        return  # told with the files
    if record != SignState() and not has_blocks:
        found.warn(
            f"{home.sign_state}: this key has signed at height {record.height}, and there are no blocks here: the node "
            "fetches them first, and signs nothing at or below that height"
        )


def _params(config: Config, loaded: Loaded, params: dict[str, object], has_blocks: bool, found: Findings) -> None:
    """Options that say otherwise than the chain does. Of those that somebody wrote: `init` writes all of them."""
    for section, key, module, name, unit in GENESIS_OPTIONS:
        if f"{section}.{key}" not in loaded.origins:
            continue
        told = params.get(module)
        text = told["params"].get(name) if isinstance(told, dict) else None
        if text is None:
            continue
        ours, theirs = Fraction(str(getattr(getattr(config, section), key))), Fraction(str(text)) / unit
        if ours != theirs:
            began = "began with" if has_blocks else "begins with"
            found.warn(f"[{section}] {key} is {_plain(ours)}; the chain {began} {_plain(theirs)}, and that counts")


def _plain(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"


def _public_key(home: Home, config: Config) -> bytes:
    if config.validator.priv_validator_pub_key:
        return bytes.fromhex(config.validator.priv_validator_pub_key)
    from dchat.home.errors import HomeError
    from dchat.home.home import load_public_key

    try:
        return load_public_key(home).bytes if is_there(home.validator_key) else b""
    except HomeError:
        return b""  # told with the files


# ---------------------------------------------------------------------------------------------- peers and clock


def peers(home: Home, config: Config, chain_id: str, found: Findings, *, genesis_hash: bytes = b"") -> None:
    """Who answers where the options say that peers are, of which chain, and what time their newest blocks have.

    genesis_hash: of this home's genesis; empty: there is none that can be compared."""
    own = _own_id(home)
    addresses: list[tuple[str, NodeAddress]] = []
    for text in config.network.bootstrap_validators[:PEERS_ASKED_MAX]:
        try:
            address = parse_address(text, id_required=False)
        except BadAddress:
            continue  # told with the options
        if address.id and address.id == own:
            found.warn(f"[network] bootstrap_validators: {text} is this node itself")
        else:
            addresses.append((text, address))
    if addresses:
        answers = asyncio.run(_ask_all([address for _, address in addresses], chain_id))
        _tell_peers(addresses, answers, chain_id, found, genesis_hash)
    if clock_is_unkept():
        found.warn("this machine's clock is not kept right by anybody (NTP): blocks and votes need it; see timedatectl")


async def _ask_all(addresses: Sequence[NodeAddress], chain_id: str) -> list[Probed | BaseException]:
    return list(await asyncio.gather(*(probe(one, chain_id) for one in addresses), return_exceptions=True))


def _tell_peers(
    addresses: Sequence[tuple[str, NodeAddress]], answers: Sequence[Probed | BaseException], chain_id: str,
    found: Findings, genesis_hash: bytes = b"",
) -> None:  # fmt: skip
    now_ns, ages = time.time_ns(), []
    for (text, address), answer in zip(addresses, answers, strict=True):
        where = f"[network] bootstrap_validators: {text}"
        if isinstance(answer, ProbeFailed):
            found.warn(f"{where}: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        elif answer.network != chain_id:
            found.warn(f"{where}: it is a node of the chain {answer.network!r}, this one's is {chain_id!r}")
        elif answer.genesis_hash[:1] == genesis_hash[:1] and answer.genesis_hash != genesis_hash:
            found.warn(
                f"{where}: it began {chain_id!r} with another genesis, whose hash is {answer.genesis_hash.hex()}; this "
                f"one's is {genesis_hash.hex()}: ask others which is the chain's, and install that one"
            )
        elif address.id and answer.id != address.id:
            found.warn(f"{where}: the node there is {answer.id}: its key was changed, or the address is another's")
        elif not address.id:
            found.warn(
                f"{where}: it names no id, so that anybody may answer there; write {answer.id}@{address.host_port}"
            )
        if isinstance(answer, Probed) and answer.block_time_ns:
            ages.append(now_ns - answer.block_time_ns)
    if ages and (age := min(ages)) < -AHEAD_NS:
        found.warn(f"this machine's clock is behind: peers have a block that is {-age // NS_PER_S} s in its future")
    elif ages and age > BEHIND_NS:
        found.warn(
            f"the peers' newest block is {age // NS_PER_S} s old by this machine's clock: the network stands or waits "
            "for a transaction, or this clock is ahead"
        )


def _own_id(home: Home) -> str:
    try:
        return NodeKey.load(home.node_key).id if home.node_key.exists() else ""
    except (OSError, ValueError):
        return ""  # told with the files


def clock_is_unkept() -> bool:
    """Whether the kernel says that nothing keeps its clock right; False where it does not tell."""
    buffer = ctypes.create_string_buffer(1_024)  # a struct timex with all zero asks and sets nothing
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    except (AttributeError, OSError):
        return False
    return bool(state == TIME_ERROR)


def of_files(paths: Sequence[Path], found: Findings) -> None:
    """That this user may read what a start reads."""
    for path in paths:
        try:
            if path.exists():
                with path.open("rb"):
                    pass
        except OSError as error:
            found.fault(f"{path}: cannot be read: {error.strerror}; it belongs to the user that runs the node")
