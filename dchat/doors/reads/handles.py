"""File handles: raised at the start, and shared out so that the doors can never take what the databases need.

A process that runs out of handles cannot open a table of LevelDB or its write-ahead log, and ends. So the databases,
the network and the rest have theirs first, and the doors accept no more connections than what is left.
"""

from __future__ import annotations

import errno
import resource
from typing import Final, NamedTuple

import structlog

from consensus.system.errors import EngineError
from dchat.config import Config

HANDLES_WANTED: Final = 65_536
DATABASES: Final = 3
OWN: Final = 128  # standard streams, logs, WAL, locks, epoll, the loop's pipes, an upgrade's files
DIALS: Final = 128  # handshakes of peers, in and out, beside those that are connected
DOOR_LEAST: Final = 16  # below it a door is of no use
TABLES_LEAST: Final = 74  # LevelDB's own floor, for each database

log = structlog.get_logger(__name__)


class TooFewHandles(EngineError):
    """This process may not have the file handles that a node needs at the least. Nothing is damaged."""

    errno = errno.EMFILE


class DoorHandles(NamedTuple):
    """Connections at most, by door."""

    http: int
    metrics: int
    grpc: int


def raise_limit() -> int:
    """Have as many handles as the system lets this user have, up to HANDLES_WANTED; returns how many there are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HANDLES_WANTED if hard == resource.RLIM_INFINITY else min(hard, HANDLES_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return HANDLES_WANTED if soft == resource.RLIM_INFINITY else soft


def peers_of(config: Config) -> int:
    return max(config.network.max_peers, config.p2p.max_inbound_peers + config.p2p.max_outbound_peers)


def kept(config: Config) -> int:
    """Handles that are not the doors'."""
    return DATABASES * config.database.max_open_files + peers_of(config) + DIALS + OWN


def fit(config: Config, handles: int) -> Config:
    """The options, with fewer open tables where else too few handles were left. Raises TooFewHandles.

    A table that is not kept open is opened again when it is read: that costs time and nothing else.
    """
    others = peers_of(config) + DIALS + OWN + len(DoorHandles._fields) * DOOR_LEAST
    tables = (handles - others) // DATABASES
    if tables < TABLES_LEAST:
        least = DATABASES * TABLES_LEAST
        raise TooFewHandles(
            f"this process may have {handles} file handles, and a node with these options needs {others + least}: "
            f"{least} for its databases, {peers_of(config)} for peers ([network] max_peers), {DIALS} for their "
            f"handshakes, {OWN} for its own files and {len(DoorHandles._fields) * DOOR_LEAST} for clients. Raise the "
            "limit (ulimit -n, LimitNOFILE), or allow fewer peers"
        )
    if tables >= config.database.max_open_files:
        return config
    log.warning(
        "too few file handles for [database] max_open_files; raise the limit (ulimit -n, LimitNOFILE)",
        handles=handles, wanted=config.database.max_open_files, taken=tables,
    )  # fmt: skip
    return config.model_copy(update={"database": config.database.model_copy(update={"max_open_files": tables})})


def share_out(config: Config, handles: int) -> DoorHandles:
    """What each door may take of `handles`: what is configured, or less where that is not there."""
    wanted = DoorHandles(config.http.connections_max, config.http.metrics_connections_max, config.grpc.connections_max)
    left = handles - kept(config)
    if sum(wanted) <= left:
        return wanted
    more = max(0, left - len(wanted) * DOOR_LEAST)
    shares = DoorHandles(*(DOOR_LEAST + more * of // sum(wanted) for of in wanted))
    log.warning(
        "too few file handles for all connections that the doors may have; raise the limit (ulimit -n, LimitNOFILE)",
        handles=handles,
        needed=kept(config) + sum(wanted),
        http=shares.http,
        metrics=shares.metrics,
        grpc=shares.grpc,
    )
    return shares
