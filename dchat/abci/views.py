"""What a node tells whose engine runs somebody else's application: of the engine, and that the rest is not dchat's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from consensus.abci_socket.client import AbciClient
from consensus.execution.metrics import Timing
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.node.node import Node
from consensus.state.state import State
from consensus.system.tasks import Faults
from dchat.doors.http.views import Me, peer_json
from dchat.doors.metrics.exposition import gauge, labelled, memory_bytes, plain_counters
from dchat.doors.reads.errors import NotServing
from dchat.home.version import build_version
from proto.dchat.v1 import service_pb2 as pb

ENGINE_GAUGES = frozenset({"height", "round", "latest_block_height", "latest_block_time_ns", "block_txs", "block_bytes",
                           "validators", "validators_power", "missing_validators", "byzantine_validators",
                           "last_signed_height", "is_catching_up_from_wal"})  # fmt: skip


class ForeignViews:
    """Satisfies dchat.statesync.doors' Told. rpc: where the JSON-RPC door is."""

    def __init__(self, me: Me, node: Node, client: AbciClient, *, rpc: str, unhealthy_after_s: int) -> None:
        self._me, self._node, self._client, self._rpc = me, node, client, rpc
        self._unhealthy_after_s = unhealthy_after_s

    @property
    def faults(self) -> Faults:
        return self._node.faults

    @property
    def _state(self) -> State:
        return self._node.engine.driver.state

    @property
    def _age_s(self) -> int:
        """Of the last block, by its own time; of a chain without one, since the start."""
        if not self._node.height:
            return (time.monotonic_ns() - self._me.started_monotonic_ns) // NS_PER_S
        return max(0, (time.time_ns() - self._state.last_block_time_ns) // NS_PER_S)

    @property
    def is_ready(self) -> bool:
        return not self.ready()["reason"]

    def health(self) -> dict[str, Any]:
        return {
            "status": "ok", "version": build_version(), "timestamp": int(time.time()), "height": self._node.height,
            "height_age_seconds": self._age_s, "proxy_app": self._client.remote_address,
        }  # fmt: skip

    def ready(self) -> dict[str, Any]:
        why = ""
        if self._node.engine.gossip.is_catching_up():
            why = "catching up"
        elif self._age_s > self._unhealthy_after_s:
            why = f"no block for {self._age_s} s"
        elif down := self.faults.down:
            why = f"failing: {', '.join(sorted(down))}"
        return {"ready": not why, "connected_peers": len(self._node.peers), "reason": why}

    def peers(self) -> dict[str, Any]:
        peers = [peer_json(peer) for peer in self._node.engine.switch.peer_statuses()]
        return {"peer_count": len(peers), "peers": peers}

    def status(self) -> dict[str, Any]:
        me, state, engine = self._me, self._state, self._node.engine
        return {
            "version": build_version(), "chain_id": me.chain_id, "moniker": me.moniker, "node_id": me.node_id,
            "validator_address": me.validator_address.hex().upper(), "proxy_app": self._client.remote_address,
            "latest_block_height": state.last_block_height,
            "latest_block_hash": state.last_block_id.hash.hex().upper(),
            "latest_block_time": format_rfc3339(state.last_block_time_ns) if state.last_block_height else None,
            "latest_app_hash": state.app_hash.hex().upper(), "catching_up": engine.gossip.is_catching_up(),
            **self.peers(), "mempool_size": engine.pool.size, "earliest_block_height": engine.blocks.base,
            "consensus_height": engine.driver.metrics.height, "consensus_round": engine.driver.metrics.round,
        }  # fmt: skip

    def status_proto(self) -> pb.GetStatusResponse:
        me, state = self._me, self._state
        return pb.GetStatusResponse(
            version=build_version(), chain_id=me.chain_id, moniker=me.moniker, node_id=me.node_id,
            validator_address=me.validator_address, latest_block_height=state.last_block_height,
            latest_block_hash=state.last_block_id.hash, latest_app_hash=state.app_hash,
            catching_up=self._node.engine.gossip.is_catching_up(), peer_count=len(self._node.peers),
        )  # fmt: skip

    def later(self) -> NotServing:
        return NotServing(
            f"this chain has another application ({self._client.remote_address}), and what is asked is of dchat's own "
            f"state: ask the application, by abci_query of JSON-RPC at {self._rpc or '[network] rpc_listen_address'}"
        )

    def collect(self) -> Iterator[Metric]:
        engine, client = self._node.engine, self._client
        yield gauge("dchat_chain_height", "Height of the last saved block.", self._node.height)
        yield gauge("dchat_network_connected_peers", "Peers that are connected.", len(self._node.peers))
        yield gauge("dchat_memory_usage_bytes", "Resident memory of the process.", memory_bytes())
        yield from plain_counters("dchat_consensus", "Consensus", engine.driver.metrics, gauges=ENGINE_GAUGES)
        yield gauge("dchat_mempool_transactions", "Transactions that wait.", engine.pool.size)
        yield from plain_counters("dchat_mempool", "Mempool", engine.pool.metrics)
        yield from call_metrics(dict(client.calls))
        failing = len(self.faults.down)
        yield gauge("dchat_parts_failing", "Parts that failed and are not well again; /ready names them.", failing)
        yield gauge("dchat_abci_connected", "1 while the application answers.", float(client.is_connected))


def call_metrics(calls: dict[str, Timing]) -> Iterator[Metric]:
    counts = [((method,), float(timing.count)) for method, timing in sorted(calls.items())]
    yield labelled(CounterMetricFamily, "dchat_abci_calls", "Calls to the application.", ("method",), counts)
    spent = [((method,), timing.sum_ns / NS_PER_S) for method, timing in sorted(calls.items())]
    yield labelled(
        CounterMetricFamily,
        "dchat_abci_seconds",
        "Seconds from calls of the application to their answers.",
        ("method",),
        spent,
    )
    slowest = [((method,), one.max_ns / NS_PER_S) for method, one in sorted(calls.items())]
    yield labelled(
        GaugeMetricFamily,
        "dchat_abci_longest_seconds",
        "The longest call to the application since the start.",
        ("method",),
        slowest,
    )
