"""File handles: raised at the start, and shared out so that the doors can never take what the databases need.

A process that runs out of handles cannot open a table of LevelDB or its write-ahead log, and ends. So the databases,
the network and the rest have theirs first, and the doors accept no more connections than what is left.
"""

from __future__ import annotations

import resource
from typing import Final, NamedTuple

import structlog

from dchat.config import Config

HANDLES_WANTED: Final = 65_536
DATABASES: Final = 3
OWN: Final = 128  # standard streams, logs, WAL, locks, epoll, the loop's pipes, an upgrade's files
DIALS: Final = 128  # handshakes of peers, in and out, beside those that are connected
DOOR_LEAST: Final = 16  # below it a door is of no use
TABLES_LEAST: Final = 74  # LevelDB's own floor, for each database

log = structlog.get_logger(__name__)


class DoorHandles(NamedTuple):
    """Connections at most, by door."""

    http: int
    metrics: int
    grpc: int
    rpc: int


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


def share_out(config: Config, handles: int) -> DoorHandles:
    """What each door may take of `handles`: what is configured, or less where that is not there."""
    wanted = DoorHandles(
        config.http.connections_max, config.http.metrics_connections_max, config.grpc.connections_max,
        config.rpc.max_open_connections,
    )  # fmt: skip
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
        rpc=shares.rpc,
    )
    return shares
