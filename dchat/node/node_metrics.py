"""Which metrics a node has: the operator contract's names, then the engine's, the mempool's and the network's own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from chain.state.errors import StateError
from chain.state.store import Stores
from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.core.events import VoteKind
from consensus.core.votes import two_thirds
from consensus.engine.interfaces import SavedBlock
from consensus.engine.skew import ClockSkew
from consensus.execution.metrics import Timing
from consensus.node.gossip import Gossip
from consensus.privval.remote import Door
from consensus.state.results import Event
from consensus.state.validation import executed_otherwise
from crypto import native
from dchat.app.economy_queries import EconomyQueries
from dchat.autopsy.own import OwnTrails
from dchat.backups.keeper import Keeper
from dchat.doors.admin.desk import AdminDesk
from dchat.doors.grpc.door import GrpcDoor
from dchat.doors.http.door import HttpDoor
from dchat.doors.http.views import Views
from dchat.doors.jsonrpc.door import JsonRpcDoor
from dchat.doors.jsonrpc.hub import Hub
from dchat.doors.jsonrpc.table import Kept
from dchat.doors.jsonrpc.websocket import Sockets
from dchat.doors.metrics.exposition import Registry, counter, gauge, labelled, memory_bytes, plain_counters
from dchat.doors.metrics.machine import build_metrics, memory_metrics
from dchat.doors.metrics.votes import SeenVotes
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.limits import RateLimit
from dchat.retention.retention import Retention
from dchat.why.desk import WhyDesk
from genesis.build import TOKENS_PER_POWER
from proto.dchat.v1 import service_pb2, staking_service_pb2

if TYPE_CHECKING:  # a node that does not trace never imports it
    from dchat.tracing.on_node import Tracing

BlockEvents: TypeAlias = Callable[[], Sequence[Event]]  # those of the last saved block's begin and end

DAY_S = 86_400
PARTITION_AFTER_S = 30  # below two thirds of the voting power for so long: not a restart, a partition
ENGINE_GAUGES = frozenset(
    {
        "height",
        "round",
        "latest_block_height",
        "latest_block_time_ns",
        "block_txs",
        "block_bytes",
        "validators",
        "validators_power",
        "missing_validators",
        "byzantine_validators",
        "last_signed_height",
        "is_catching_up_from_wal",
    }
)
GOSSIP_GAUGES = frozenset(
    {
        "syncing", "highest_claim", "target", "peers_used", "blocks_per_second", "txs_per_second",
        "lowest", "wanted", "height", "chunks", "bytes",
    }
)  # fmt: skip


def staked_by(answers: Answers, address: bytes) -> staking_service_pb2.ValidatorInfo | None:
    """Of a consensus key, on the chain; None: not staked, or the chain did not begin."""
    try:
        found = EconomyQueries(answers.queries).validator(consensus_address=address, height=answers.height)
    except StateError:  # before the chain began
        return None
    return found.validator if found.HasField("validator") else None


class OpenDoors(Protocol):
    @property
    def grpc(self) -> GrpcDoor | None: ...
    @property
    def http(self) -> HttpDoor: ...
    @property
    def rpc(self) -> JsonRpcDoor | None: ...
    @property
    def rate(self) -> RateLimit: ...


class NodeMetrics:
    """Hears of saved blocks for what is counted by block; everything else is read when asked."""

    def __init__(
        self, registry: Registry, views: Views, gossip: Gossip, doors: OpenDoors, *, block_events: BlockEvents
    ) -> None:
        self._registry, self._views, self._gossip, self._doors = registry, views, gossip, doors
        self._block_events = block_events
        self._events: Counter[str] = Counter()  # by their kind
        self._validated = self._missed = 0
        self._last_saved_ns = 0
        self._seen = SeenVotes(is_behind=views.is_catching_up, is_standing=self._is_standing)
        registry.add(build_metrics)
        registry.add(memory_metrics)
        registry.add(self._contract)
        registry.add(self._validator)
        registry.add(self._seen.collect)
        registry.add(self._chain)
        registry.add(self._upgrade)
        registry.add(self._engine)
        registry.add(self._network)

    def block_saved(self, saved: SavedBlock) -> None:
        self._seen.block_saved(saved)
        self._events.update([event.type for event in self._block_events()])
        now = time.monotonic_ns()
        if self._last_saved_ns:
            self._registry.block_time.observe((now - self._last_saved_ns) / 1e9)
        self._last_saved_ns = now
        signers = saved.state.last_validators
        index = signers.index_of(self._views.me.address_in(signers))
        if index is None:
            return
        if saved.commit.signatures[index].is_commit:
            self._validated += 1
        else:
            self._missed += 1

    def _contract(self) -> Iterator[Metric]:
        views = self._views
        traffic = views.switch.socket_bytes()
        yield gauge("dchat_chain_height", "Height of the last saved block.", views.answers.height)
        yield counter("dchat_validator_blocks_validated", "Blocks whose commit has our vote.", self._validated)
        yield gauge("dchat_network_connected_peers", "Peers that are connected.", len(views.switch.peers))
        yield labelled(
            CounterMetricFamily,
            "dchat_network_bandwidth_bytes",
            "Bytes from and to peers.",
            ("direction",),
            [(("in",), traffic["in"]), (("out",), traffic["out"])],
        )
        yield gauge("dchat_memory_usage_bytes", "Resident memory of the process.", memory_bytes())
        yield gauge("dchat_native_used", "1 when the native part is used (docs/native.md).", native.is_used())
        yield gauge(
            "dchat_network_partition_detected",
            "1 when a block is late and 2/3 of the voting power or less vote in this round, or when no block came for "
            "30 s and there is no peer.",
            float(self._is_partitioned()),
        )
        faults = views.faults
        yield labelled(
            CounterMetricFamily,
            "dchat_part_failures",
            "Failures of this node's own parts (tasks, listeners, callbacks), by part.",
            ("part",),
            [((part,), count) for part, count in sorted(faults.failures.items())],
        )
        yield gauge(
            "dchat_parts_failing", "Parts that failed and are not well again; /ready names them.", len(faults.down)
        )

    def _validator(self) -> Iterator[Metric]:
        """Of our own key, as signing info and staking have it; of a key that is not staked, what the engine counts."""
        views = self._views
        record = self.record_of(views.me.validator_address)
        stake, missed = views.voting_power * float(TOKENS_PER_POWER), self._missed
        if record is not None:
            stake, missed = record.tokens / UDCHAT_PER_DCHAT, record.signing.missed_total
        yield counter("dchat_validator_missed_blocks", "Blocks that the chain counts as missed by us.", missed)
        yield gauge("dchat_validator_stake_amount", "Our validator's stake, in DCHAT.", stake)
        yield gauge(
            "dchat_validator_voting_power", "Our voting power; 0: this node is no validator now.", views.voting_power
        )
        yield gauge(
            "dchat_validator_jailed",
            "1 while our validator is jailed: it has no vote until it is released.",
            float(record is not None and record.jailed),
        )

    def record_of(self, address: bytes) -> staking_service_pb2.ValidatorInfo | None:
        """As `staked_by`."""
        return staked_by(self._views.answers, address)

    def _is_partitioned(self) -> bool:
        """By the chain's own pace: a chain that waits for a transaction is whole, if it has peers."""
        views = self._views
        rounds = views.driver.round_state
        if len(rounds.validators) <= 1 or views.height_age_s < PARTITION_AFTER_S:
            return False
        if not views.switch.peers:
            return True
        return views.why_no_block() is not None and self._power_heard() <= two_thirds(rounds.validators.total_power)

    def _power_heard(self) -> int:
        """Voting power whose prevotes of the running round are here."""
        rounds = self._views.driver.round_state
        votes = rounds.votes(VoteKind.PREVOTE, rounds.round)
        return 0 if votes is None else votes.power

    def _is_standing(self) -> bool:
        views = self._views
        return views.driver.failure is not None or views.why_no_block() is not None

    def _chain(self) -> Iterator[Metric]:
        yield labelled(
            CounterMetricFamily,
            "dchat_chain_block_events",
            "Events of the begins and ends of blocks by their kind, like slash, jail or queue_item_failed.",
            ("type",),
            [((kind,), count) for kind, count in sorted(self._events.items())],
        )
        views = self._views
        yield gauge("dchat_chain_height_age_seconds", "Seconds since this node saved a block.", views.height_age_s)
        yield gauge(
            "dchat_chain_block_late",
            "1 when a block is late by the chain's own pace; a chain that waits for a transaction is not late.",
            float(not views.is_catching_up() and views.why_no_block() is not None),
        )
        yield gauge(
            "dchat_chain_executed_otherwise",
            "1 when this node executed a block otherwise than the others and left consensus; it ends with code 70.",
            float(executed_otherwise(views.driver.failure)),
        )

    def _upgrade(self) -> Iterator[Metric]:
        """Nothing without a plan: a share of 0 would be an alarm."""
        answers = self._views.answers
        if not answers.height:
            return
        told = answers.upgrade(0)
        if told.HasField("plan") and told.total_power:
            yield gauge(
                "dchat_upgrade_ready_power_ratio",
                "Share of the voting power that announced it can run the planned upgrade; absent without a plan.",
                told.ready_power / told.total_power,
            )
            yield gauge(
                "dchat_upgrade_ready",
                "1 when this build can carry out the planned upgrade, or its validator announced one that can; else 0; "
                "absent without a plan.",
                float(told.plan.name in self._views.known_upgrades or self._announced(told)),
            )
            yield gauge(
                "dchat_upgrade_blocks_left",
                "Blocks until the height of the planned upgrade; absent without a plan.",
                max(0, told.plan.height - answers.height),
            )

    def _announced(self, told: service_pb2.GetUpgradeResponse) -> bool:
        """Whether our validator said that it has a build for the plan: the one that runs may be the old one."""
        address = self._views.me.validator_address
        return any(one.address == address and told.plan.name in one.names for one in told.validators)

    def _engine(self) -> Iterator[Metric]:
        metrics = self._views.driver.metrics
        yield from plain_counters("dchat_consensus", "Consensus", metrics, gauges=ENGINE_GAUGES)
        yield labelled(
            CounterMetricFamily,
            "dchat_consensus_nil_votes",
            "Our votes for nil, by their reason.",
            ("kind", "reason"),
            [((str(kind), str(reason)), count) for (kind, reason), count in metrics.nil_votes.items()],
        )
        yield from self._timings()
        pool = self._views.pool
        yield gauge("dchat_mempool_transactions", "Transactions that wait.", pool.size)
        yield gauge("dchat_mempool_bytes", "Bytes of the transactions that wait.", pool.byte_size)
        yield gauge("dchat_mempool_door_limit", "Transactions beyond which doors say: try later.", pool.door_txs_max)
        yield gauge("dchat_mempool_commit_pace", "Transactions a second that blocks took lately.", pool.txs_per_second)
        yield gauge("dchat_mempool_queued", "Transactions on their way through admission.", pool.queued)
        yield labelled(
            GaugeMetricFamily,
            "dchat_mempool_lane_transactions",
            "Transactions that wait, by lane.",
            ("lane",),
            [((lane,), count) for lane, count in pool.lane_sizes().items()],
        )
        yield from plain_counters("dchat_mempool", "Mempool", pool.metrics)

    def _timings(self) -> Iterator[Metric]:
        """How long the stages of a height took."""
        metrics = self._views.driver.metrics
        timings = {name: value for name in metrics.__slots__ if isinstance(value := getattr(metrics, name), Timing)}

        def of(value: Callable[[Timing], float]) -> list[tuple[tuple[str, ...], float]]:
            return [((stage,), value(timing)) for stage, timing in timings.items()]

        yield labelled(
            CounterMetricFamily,
            "dchat_consensus_stage_seconds",
            "Seconds spent in a stage of a height.",
            ("stage",),
            of(lambda timing: timing.sum_ns / 1e9),
        )
        yield labelled(
            CounterMetricFamily,
            "dchat_consensus_stage_runs",
            "How often a stage of a height ran.",
            ("stage",),
            of(lambda timing: timing.count),
        )
        yield labelled(
            GaugeMetricFamily,
            "dchat_consensus_stage_longest_seconds",
            "The longest run of a stage since the start.",
            ("stage",),
            of(lambda timing: timing.max_ns / 1e9),
        )

    def _network(self) -> Iterator[Metric]:
        switch = self._views.switch
        yield labelled(
            CounterMetricFamily,
            "dchat_network_channel_bytes",
            "Bytes of packets, by direction and channel.",
            ("direction", "channel"),
            [((way, f"{channel:#04x}"), count) for (way, channel), count in switch.traffic().items()],
        )
        yield labelled(
            CounterMetricFamily,
            "dchat_network_events",
            "What happened to connections of peers, by event.",
            ("event",),
            [((name,), count) for name, count in switch.counters.items()],
        )
        yield labelled(
            CounterMetricFamily,
            "dchat_network_useless_messages",
            "Messages of peers that count as of no use, by kind and weighed; honest peers send some, too many at once "
            "drop a peer.",
            ("kind",),
            [((kind,), count) for kind, count in switch.useless_messages.items()],
        )
        yield labelled(
            CounterMetricFamily,
            "dchat_network_part_failures",
            "Tasks of the network that failed and began anew, by name.",
            ("part",),
            [((name,), count) for name, count in switch.children.failures.items()],
        )
        yield labelled(
            GaugeMetricFamily,
            "dchat_network_peer_round_trip_seconds",
            "How long the last ping of this peer took; absent until one was answered.",
            ("peer",),
            [((peer.id,), peer.round_trip_s) for peer in switch.peer_statuses() if peer.round_trip_s],
        )
        held = CounterMetricFamily(
            "dchat_network_held_seconds", "How long peers were not read from, for what messages cost."
        )
        held.add_metric((), switch.held_s)
        yield held
        yield gauge(
            "dchat_network_unfinished_bytes",
            "Bytes of peers' messages that are not whole yet.",
            switch.unfinished_bytes,
        )
        for name, counted in self._gossip.counters().items():
            yield from plain_counters(
                f"dchat_{name}", name.replace("_", " ").capitalize(), counted, gauges=GOSSIP_GAUGES
            )
        yield from self._clients()

    def _clients(self) -> Iterator[Metric]:
        """What the doors' clients hold and were refused."""
        doors, grpc = self._doors, self._doors.grpc
        sizes = [(("http",), doors.http.gate.size), (("metrics",), doors.http.metrics_gate.size)]
        gates: tuple[tuple[str, Counter[str]], ...] = (
            ("http", doors.http.gate.counts),
            ("metrics", doors.http.metrics_gate.counts),
        )
        slots = [doors.http.slots]
        if (rpc := doors.rpc) is not None:
            sizes.append((("rpc",), rpc.gate.size))
            gates += (("rpc", rpc.gate.counts),)
            slots += [rpc.slots, rpc.waits]
        events = [((door, event), count) for door, counts in gates for event, count in sorted(counts.items())]
        if (keeping := doors.http.keeping) is not None:
            yield labelled(
                CounterMetricFamily,
                "dchat_http_kept_answers",
                "Answers over HTTP of those that are kept for a block or a moment: given again (kept), told to be the "
                "same as before (unchanged), or made anew (made).",
                ("how",),
                [((how,), keeping.answers.counts[how]) for how in ("kept", "unchanged", "made")],
            )
            yield gauge("dchat_http_kept_bytes", "Bytes of answers over HTTP that are kept.", keeping.answers.bytes)
        if grpc is not None:
            guard = grpc.guard
            sizes.append((("grpc",), grpc.connections.size if grpc.connections else 0))
            events += [(("grpc", f"cut: {why}"), count) for why, count in sorted(guard.cut.items())]
            events.append((("grpc", "shut down"), grpc.connections.shut_down if grpc.connections else 0))
            slots += [guard.open_calls, guard.calls, guard.waits, guard.streams]
            yield labelled(
                CounterMetricFamily,
                "dchat_grpc_calls",
                "gRPC calls answered, by status.",
                ("status",),
                [((status,), count) for status, count in guard.counts.items()],
            )
            yield labelled(
                GaugeMetricFamily,
                "dchat_door_bytes",
                "Bytes of requests and answers that are held.",
                ("of",),
                [((room.name,), room.used) for room in (guard.requests, guard.answers)],
            )
        yield labelled(GaugeMetricFamily, "dchat_door_connections", "Connections of clients.", ("door",), sizes)
        yield labelled(
            CounterMetricFamily,
            "dchat_door_connection_events",
            "Connections accepted, refused, evicted or cut.",
            ("door", "event"),
            events,
        )
        yield labelled(
            CounterMetricFamily,
            "dchat_door_refused",
            "Requests refused since too many were there at once, by what there are so many of.",
            ("of",),
            [((one.name,), one.refused) for one in slots],
        )
        yield counter("dchat_door_rate_refused", "Requests refused by the rate of their client.", doors.rate.refused)


def why_metrics(desk: WhyDesk) -> Iterator[Metric]:
    """Of the records that `dchat why` reads."""
    yield counter("dchat_why_records", "Records of heights that were written since the start.", desk.written)
    yield counter("dchat_why_records_dropped", "Records of heights for which the disk was too slow.", desk.dropped)


def admin_metrics(desk: AdminDesk) -> Iterator[Metric]:
    """Of what administers this node while it runs."""
    yield counter("dchat_admin_calls", "Administrative calls that changed something.", desk.done)
    yield counter("dchat_admin_refused", "Administrative calls without an API key that counts.", desk.refused)


def tracing_metrics(tracing: Tracing) -> Iterator[Metric]:
    """Of spans on their way to a collector."""
    told = tracing.exporter.metrics
    yield counter("dchat_tracing_spans", "Spans that were made.", told.spans)
    yield counter("dchat_tracing_sent", "Spans that the collector took.", told.sent)
    yield counter(
        "dchat_tracing_dropped", "Spans that were dropped, since too many waited for the collector.", told.dropped
    )
    yield counter("dchat_tracing_refused", "Spans that the collector refused.", told.refused)
    yield counter(
        "dchat_tracing_untold_txs", "Sampled transactions of a block that had too many of them.", tracing.tracer.untold
    )
    yield gauge("dchat_tracing_waiting", "Spans that wait for the collector.", tracing.exporter.waiting)
    yield gauge("dchat_tracing_failing", "1: the collector takes nothing at the moment.", int(told.is_failing))


def trail_metrics(trails: OwnTrails) -> Iterator[Metric]:
    """How far back it is remembered how blocks were executed."""
    yield gauge("dchat_trail_blocks", "Last blocks that are remembered as they were executed.", trails.kept_blocks)
    yield gauge("dchat_trail_writes", "Writes of the blocks that are remembered, about.", trails.kept_writes)


def state_metrics(stores: Stores) -> Iterator[Metric]:
    """What is remembered of the state as the last block left it."""
    hits, misses, held = stores.cache_counts()
    yield counter(
        "dchat_database_state_cache_hits",
        "Reads of the state's records and pages that were remembered; the native part counts them.",
        hits,
    )
    yield counter("dchat_database_state_cache_misses", "Such reads that went to the database.", misses)
    yield gauge("dchat_database_state_cache_bytes", "Bytes of what is remembered of the state, at most.", held)


def storage_metrics(retention: Retention, floor_bytes: int) -> Iterator[Metric]:
    """What is kept, what that takes on the disk, and when the disk is full: absent while it does not fill."""
    told, disk = retention.status(), retention.disk
    yield gauge("dchat_storage_earliest_block_height", "The lowest block that is kept.", told.earliest_block_height)
    yield gauge("dchat_storage_earliest_state_height", "The oldest state kept.", told.earliest_state_height)
    yield from plain_counters("dchat_pruning", "Pruning", retention.metrics)
    if disk is None:
        return
    yield labelled(
        GaugeMetricFamily,
        "dchat_database_bytes",
        "Bytes on the disk, by database, and of the log.",
        ("database",),
        [((name,), float(size)) for name, size in disk.sizes.items()],
    )
    yield gauge("dchat_disk_free_bytes", "Free bytes of the disk with the databases.", disk.free_bytes)
    yield gauge("dchat_disk_size_bytes", "Bytes of the disk with the databases.", disk.size_bytes)
    yield gauge("dchat_disk_floor_bytes", "Free bytes below which this node stops.", floor_bytes)
    forecast = disk.forecast()
    if forecast is None:
        return
    yield gauge(
        "dchat_disk_bytes_per_block",
        "Bytes by which a block lets the databases grow, lately.",
        forecast.bytes_per_block,
    )
    if forecast.full_in_s is not None:
        yield gauge(
            "dchat_disk_full_in_days",
            "Days until the disk is full at this rate; absent while it does not fill.",
            forecast.full_in_s / DAY_S,
        )


def signer_metrics(door: Door) -> Iterator[Metric]:
    """Of a validator whose key is elsewhere (docs/signer.md)."""
    yield gauge(
        "dchat_signer_connected",
        "1 while the signer elsewhere (another machine, a token, a key service) is connected.",
        door.is_connected,
    )
    yield counter("dchat_signer_lost", "How often its connection was lost.", door.losses)


def clock_metrics(skew: ClockSkew) -> Iterator[Metric]:
    """Absent while nobody else's clock is known."""
    if skew.ns is not None:
        yield gauge(
            "dchat_clock_skew_seconds", "How far this machine's clock is ahead of the other validators'.", skew.ns / 1e9
        )


def backup_metrics(keeper: Keeper) -> Iterator[Metric]:
    """The last one's are absent until there is one: an age since 1970 would be an alarm of its own kind."""
    record, metrics = keeper.record, keeper.metrics
    yield counter("dchat_backup_made", "Scheduled backups made since the start.", metrics.made)
    yield counter("dchat_backup_failures", "Backups that failed since the start; each is tried again.", metrics.failed)
    yield gauge("dchat_backup_failing", "1 when the last run failed; the log says why.", float(metrics.is_failing))
    if metrics.next_s:
        yield gauge("dchat_backup_next_timestamp_seconds", "When the next backup is due.", metrics.next_s)
    if record.began_s:
        yield gauge(
            "dchat_backup_last_success_timestamp_seconds", "When the last good backup was begun.", record.began_s
        )
        yield gauge("dchat_backup_last_height", "Height of the last good backup.", record.height)
        yield gauge("dchat_backup_last_bytes", "Bytes of the last good backup.", record.bytes)
        yield gauge(
            "dchat_backup_last_duration_seconds", "How long the last good backup took.", record.ended_s - record.began_s
        )


def rpc_metrics(door: JsonRpcDoor, hub: Hub, sockets: Sockets, kept: Kept) -> Iterator[Metric]:
    """Of the JSON-RPC door. outcome: `ok`, or the code of the error."""
    yield labelled(
        CounterMetricFamily,
        "dchat_rpc_calls",
        "Calls of the JSON-RPC door, by method and outcome.",
        ("method", "outcome"),
        [(labels, count) for labels, count in sorted(door.answered.items())],
    )
    yield gauge("dchat_rpc_subscription_clients", "Clients that subscribe, or wait for a block.", len(hub.held))
    yield gauge("dchat_rpc_subscriptions", "Subscriptions of all clients.", hub.held.total())
    yield gauge("dchat_rpc_websockets", "Open WebSockets.", len(sockets.open))
    yield counter("dchat_rpc_events_sent", "Events given to subscriptions.", hub.counts["sent"])
    yield counter("dchat_rpc_subscriptions_slow", "Subscriptions ended since nobody read them.", hub.counts["slow"])
    yield counter("dchat_rpc_subscriptions_resumed", "Subscriptions that went on from a cursor.", hub.counts["resumed"])
    yield gauge(
        "dchat_rpc_kept_bytes", "Answers about saved blocks that are kept as they were written.", kept.held_bytes
    )
    yield counter("dchat_rpc_kept_hits", "Answers about saved blocks that were given as they were kept.", kept.hits)
    yield counter("dchat_rpc_kept_misses", "Answers about saved blocks that had to be made.", kept.misses)
