"""What an operator's options are to the parts of a node: of the core, the switch, the pool, the engine."""

from __future__ import annotations

from consensus.core.events import CoreConfig
from consensus.formats.units import NS_PER_MS
from consensus.mempool.admission.entry import PoolConfig
from consensus.node.engine import Choices
from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.budget import BudgetConfig
from consensus.p2p.conn.connection import ConnectionConfig
from dchat.config import Config
from dchat.home.home import Home
from dchat.upkeep.sign_record import watch_heights

LANES = ("chat", "currency", "bridge")


def core_config(config: Config) -> CoreConfig:
    """The core's time-outs. block_time bounds timeout_commit: a calm chain keeps its pace."""
    options = config.consensus
    commit = options.timeout_commit
    if options.create_empty_blocks:
        commit = min(commit, options.block_time)
    return CoreConfig(
        timeout_propose_ms=options.timeout_propose,
        timeout_propose_delta_ms=options.timeout_propose_delta,
        timeout_prevote_ms=options.timeout_prevote,
        timeout_prevote_delta_ms=options.timeout_prevote_delta,
        timeout_precommit_ms=options.timeout_precommit,
        timeout_precommit_delta_ms=options.timeout_precommit_delta,
        timeout_commit_ms=commit,
        gather_wait_ms=min(options.gather_wait, options.timeout_propose // 4),
        create_empty_blocks=options.create_empty_blocks,
        create_empty_blocks_interval_ms=options.block_time,
    )


def switch_config(config: Config) -> SwitchConfig:
    """Raises BadAddress, ValueError."""
    options = config.p2p
    return SwitchConfig(
        listen_address=config.network.listen_address,
        external_address=options.external_address,
        persistent_peers=tuple(config.network.bootstrap_validators),
        seeds=tuple(options.seeds),
        unconditional_peer_ids=frozenset(options.unconditional_peer_ids),
        private_peer_ids=frozenset(options.private_peer_ids),
        max_inbound_peers=options.max_inbound_peers,
        max_outbound_peers=options.max_outbound_peers if options.pex else 0,  # else nothing dials them
        max_peers=config.network.max_peers,
        allow_duplicate_ip=options.allow_duplicate_ip,
        address_book_strict=options.address_book_strict,
        connection=ConnectionConfig(send_rate=options.send_rate, receive_rate=options.recv_rate),
        budget=BudgetConfig(
            cpu_percent=options.cpu_per_peer,
            strangers_cpu_percent=options.cpu_strangers,
            unearned_cpu_percent=options.cpu_unearned,
            useless_max=options.useless_messages,
        ),
    )


def pool_config(config: Config) -> PoolConfig:
    options = config.mempool
    return PoolConfig(
        txs_max=options.size,
        wait_ms_max=options.wait_max,
        bytes_max=options.bytes_max,
        tx_bytes_max=options.tx_bytes_max,
        sender_txs_max=options.per_sender,
        seen_max=options.seen_max,
        lanes=LANES,
    )


def choices_of(home: Home, config: Config) -> Choices:
    return Choices(
        core=core_config(config),
        pool=pool_config(config),
        extra_channel=config.p2p.extra_channel,
        watch_before_signing_ns=config.consensus.watch_before_signing * NS_PER_MS,
        watch_heights=watch_heights(home, config),
        indexes_events=config.index.tx_index == "kv",
    )
