"""The HTTP door's JSON: status, peers, blocks, consensus, bridge, from the same sources as the gRPC door."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from chain.state.errors import VersionUnavailable
from chain.tx.messages import LANE_NAMES
from consensus.abci.interface import Slices
from consensus.core.events import VoteKind
from consensus.engine.interfaces import RoundState, VoteView
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.mempool.pool import Pool
from consensus.p2p.conn.peer import PeerStatus
from consensus.p2p.switch import Switch
from consensus.sync.progress import SyncProgress
from consensus.system.tasks import Faults
from consensus.types.validators import ValidatorSet
from crypto.hash import sha256
from dchat.doors.http.described import BLOCKS_MAX
from dchat.doors.http.lateness import why_no_block
from dchat.doors.reads.answers import Answers
from dchat.doors.reads.audit import bridge_status
from dchat.doors.reads.errors import NotThere
from dchat.doors.reads.limits import LOCAL
from dchat.doors.reads.loop_share import LoopShare
from dchat.doors.reads.reading import Reading
from dchat.home.version import build_version
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2, tx_pb2

if TYPE_CHECKING:
    from consensus.engine.driver import ConsensusDriver

TOLD_MAX = 2 * BLOCKS_MAX  # blocks whose short description is remembered
EARLIER_ROUNDS = 3  # of the running height, told beside the current one: who is away shows there
TXS_PER_SLICE = 200  # of which hash and lane are looked at in a row: about 1 ms


@dataclass(frozen=True)
class Me:
    """Who this node is."""

    chain_id: str
    moniker: str
    node_id: str
    validator: Callable[[], bytes]  # its consensus address, which can change; empty: this node does not validate
    started_monotonic_ns: int
    other_keys: Callable[[], Iterable[bytes]] = tuple  # addresses of keys that it had, or is known by already

    @property
    def validator_address(self) -> bytes:
        return self.validator()

    def address_in(self, validators: ValidatorSet) -> bytes:
        """Under which this validator is in a set of any height; empty: it is none there. A set has one of its keys, and
        the sets around a change of keys have another than the one that signs now."""
        now = self.validator()
        if now and validators.index_of(now) is None:
            return next((other for other in self.other_keys() if validators.index_of(other) is not None), b"")
        return now


@dataclass
class Thresholds:
    """From when on something is not well; may change while the node runs."""

    unhealthy_after_s: int


@dataclass(frozen=True, kw_only=True)
class Views:
    """Everything that the doors tell about this node."""

    me: Me
    answers: Answers
    driver: ConsensusDriver
    pool: Pool
    switch: Switch
    is_catching_up: Callable[[], bool]
    sync_target: Callable[[], int]  # where the network is, as far as peers can be believed; 0: none known
    thresholds: Thresholds
    known_upgrades: tuple[str, ...] = ()  # of this build
    faults: Faults = field(default_factory=Faults)
    sync_waits_for: Callable[[], str] = lambda: ""  # empty: it goes on
    block_sync: Callable[[], SyncProgress | None] = lambda: None  # None: no blocks are synced now
    storage: Callable[[], pb.StorageStatus] = pb.StorageStatus
    backfill: Callable[[], pb.BackfillStatus | None] = lambda: None  # None: no headers are fetched
    sql: Callable[[], pb.SqlStatus | None] = lambda: None
    share: LoopShare = field(default_factory=LoopShare)  # of the loop, of all who read
    reading: Reading = field(default_factory=Reading)
    _told: dict[int, dict[str, Any]] = field(default_factory=dict)
    _upgrades: dict[int, pb.GetUpgradeResponse] = field(default_factory=dict)  # of the last height

    # -------------------------------------------------------------------------------------------------- what changed

    def of_block(self) -> tuple[int, int]:
        """What an answer depends on that tells of saved blocks and their state alone."""
        return self.answers.height, self.answers.base

    def of_moment(self) -> tuple[int, int, int, int, int]:
        """What changes in an answer about this node and the running height, most of all."""
        rounds = self.driver.round_state
        return rounds.height, rounds.round, rounds.step.value, self.pool.size, len(self.switch.peers)

    # -------------------------------------------------------------------------------------------------- health

    @property
    def uptime_s(self) -> int:
        return (time.monotonic_ns() - self.me.started_monotonic_ns) // NS_PER_S

    @property
    def height_age_s(self) -> float:
        """Seconds since the last block was saved, or since the start when that is later. No clock that may be off says
        so: a node whose own is an hour ahead lacks no block."""
        since_ns = self.driver.metrics.last_commit_ns or self.me.started_monotonic_ns
        return max(0.0, (time.monotonic_ns() - since_ns) / 1e9)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Alive, and consensus has not failed. A standing chain is told by its age, not by a failure."""
        failure = self.driver.failure
        answer = {
            "status": "ok" if failure is None else "failed",
            "version": build_version(),
            "timestamp": int(time.time()),
            "height": self.answers.height,
            "height_age_seconds": round(self.height_age_s, 3),
        }
        if failure is not None:
            answer["reason"] = f"consensus failed: {failure}"
        return failure is None, answer

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Caught up, with peers where there are other validators, and with blocks coming in."""
        reason = self._why_not_ready()
        answer: dict[str, Any] = {"ready": reason is None, "connected_peers": len(self.switch.peers)}
        if reason is not None:
            answer["reason"] = reason
        if self.faults.down:
            answer["failing"] = self.faults.down
        return reason is None, answer

    def _why_not_ready(self) -> str | None:
        if self.driver.failure is not None:
            return "consensus failed"
        if self.driver.halted is not None:
            return str(self.driver.halted)
        if self.is_catching_up():
            waits = self._waits_for()
            target = self.sync_target()
            place = f"catching up: at height {self.answers.height}" + (f" of {target}" if target else "")
            return f"{place}, waits for {waits}" if waits else place
        if len(self.driver.state.validators) > 1 and not self.switch.peers:
            return f"no peers{self._others()}"
        return self.why_no_block() or self.faults.not_served

    def why_standing(self) -> str | None:
        """What the log says of a node that gets no block: as `/ready` does, and who can say more."""
        if self.driver.failure is not None or self.driver.halted is not None:
            return None  # the last line of the process says so
        if self.is_catching_up():
            why = self._waits_for()
            return f"fetches blocks, and waits for {why}" if why else None
        if why_late := self.why_no_block():
            return f"{why_late}; `dchat validator recover` says who is missing"
        return None

    def _waits_for(self) -> str:
        waits = self.sync_waits_for()
        return waits and waits + self._others()

    def _others(self) -> str:
        """Who was met and is of another chain, where nobody is left; empty else."""
        met = "" if self.switch.peers else str(self.switch.foreign_chains)
        return met and f"; {met}"

    def why_no_block(self) -> str | None:
        """None: no block is late, by this chain's own pace."""
        began_ns = self.driver.metrics.began_ns
        return why_no_block(
            self.driver.round_state,
            self.driver.config,
            age_s=self.height_age_s,
            running_s=(time.monotonic_ns() - began_ns) / 1e9 if began_ns else None,
            limit_s=self.thresholds.unhealthy_after_s,
        )

    # -------------------------------------------------------------------------------------------------- status

    def status_proto(self) -> pb.GetStatusResponse:
        rounds, saved = self.driver.round_state, self.answers.states.load()
        height = 0 if saved is None else saved.last_block_height
        state = self.driver.state if saved is None else saved
        answer = pb.GetStatusResponse(
            version=build_version(),
            chain_id=self.me.chain_id,
            moniker=self.me.moniker,
            node_id=self.me.node_id,
            validator_address=self.me.validator_address,
            voting_power=self.voting_power,
            latest_block_height=height,
            latest_block_hash=state.last_block_id.hash if height else b"",
            latest_block_time_ns=state.last_block_time_ns if height else 0,
            latest_app_hash=state.app_hash,
            catching_up=self.is_catching_up(),
            peer_count=len(self.switch.peers),
            mempool_size=self.pool.size,
            uptime_seconds=self.uptime_s,
            earliest_block_height=self.answers.base,
            consensus_step=rounds.step.name.lower(),
            consensus_round=rounds.round,
            consensus_height=rounds.height,
            storage=self.storage(),
            backfill=self.backfill(),
            sql=self.sql(),
        )
        if (progress := self.block_sync()) is not None:
            answer.block_sync.CopyFrom(block_sync_proto(progress))
        for name, root in self.answers.roots().items():
            setattr(answer, f"{name}_root", root)
        return answer

    @property
    def voting_power(self) -> int:
        validators = self.driver.state.validators
        index = validators.index_of(self.me.address_in(validators))
        return 0 if index is None else validators.powers[index]

    def status(self) -> dict[str, Any]:
        told = self.status_proto()
        target = max(self.sync_target(), told.latest_block_height)
        return {
            "version": told.version,
            "chain_id": told.chain_id,
            "moniker": told.moniker,
            "node_id": told.node_id,
            "validator_address": told.validator_address.hex().upper(),
            "voting_power": told.voting_power,
            "latest_block_height": told.latest_block_height,
            "latest_block_hash": told.latest_block_hash.hex().upper(),
            "latest_block_time": format_rfc3339(told.latest_block_time_ns) if told.latest_block_height else None,
            "latest_app_hash": told.latest_app_hash.hex().upper(),
            "chat_root": told.chat_root.hex().upper(),
            "currency_root": told.currency_root.hex().upper(),
            "bridge_root": told.bridge_root.hex().upper(),
            "catching_up": told.catching_up,
            "sync_progress": round(told.latest_block_height / target, 6) if target else 0.0,
            "block_sync": block_sync_json(told.block_sync) if told.HasField("block_sync") else None,
            "peer_count": told.peer_count,
            "peers": [peer_json(peer) for peer in self.switch.peer_statuses()],
            "mempool_size": told.mempool_size,
            "queue_size": self.pool.queued,
            "mempool_lanes": self.pool.lane_sizes(),
            "committed_transactions": self.driver.metrics.txs,
            "uptime_seconds": told.uptime_seconds,
            "earliest_block_height": told.earliest_block_height,
            "consensus_height": told.consensus_height,
            "consensus_round": told.consensus_round,
            "consensus_step": told.consensus_step,
            "storage": storage_json(told.storage),
            "backfill": backfill_json(told.backfill) if told.HasField("backfill") else None,
            **({"sql": sql_json(told.sql)} if told.HasField("sql") else {}),
            "upgrade": self.upgrade(),
        }

    def upgrade_proto(self, height: int = 0) -> pb.GetUpgradeResponse:
        answer = self.answers.upgrade(height)
        answer.software = build_version()
        answer.known.extend(self.known_upgrades)
        if (halt := self.driver.halted) is not None:
            answer.halted = str(halt)
        return answer

    def upgrade(self) -> dict[str, Any]:
        """For /status: what is planned, done and ready. Read once a block: a record for each validator."""
        height = self.answers.height
        if not height:
            return {}
        told = self._upgrades.get(height)
        if told is None:
            self._upgrades.clear()
            told = self._upgrades[height] = self.answers.upgrade(height)
        halt = self.driver.halted
        return {
            "plan": plan_json(told.plan) if told.HasField("plan") else None,
            "ready_power": told.ready_power,
            "total_power": told.total_power,
            "done": [{"name": done.name, "height": done.height} for done in told.done],
            "app_version": told.app_version,
            "known": list(self.known_upgrades),
            "halted": None if halt is None else str(halt),
        }

    def peers(self) -> dict[str, Any]:
        peers = [peer_json(peer) for peer in self.switch.peer_statuses()]
        return {"peer_count": len(peers), "peers": peers}

    # -------------------------------------------------------------------------------------------------- blocks

    async def block(self, height: int, *, with_txs: bool, client: str = LOCAL) -> dict[str, Any]:
        """0: the latest. with_txs: the transactions' hashes by chain, not only their numbers. Raises NotThere.

        What a block is is told by what is kept beside it; the block itself is read in a thread, its transactions are
        looked at in slices, and what was told is remembered.
        """
        meta = self.answers.meta(height)
        height = meta.header.height
        known = self._told.get(height)
        if known is not None and not with_txs:
            return known
        commit, is_canonical = self.answers.commit(height)
        txs = await self.reading.run(lambda: self.answers.txs(height), client) if meta.num_txs else ()
        by_chain = await self.share.drive(txs_by_chain(txs), client)
        answer: dict[str, Any] = {
            "height": height,
            "hash": meta.block_id.hash.hex().upper(),
            "time": format_rfc3339(meta.header.time_ns),
            "round": commit.round,
            "proposer_address": meta.header.proposer_address.hex().upper(),
            "app_hash": meta.header.app_hash.hex().upper(),
            "num_txs": meta.num_txs,
            "txs_by_chain": {name: len(hashes) for name, hashes in by_chain.items()},
        }
        if is_canonical:
            self._remember(height, answer)
        return {**answer, "txs": by_chain} if with_txs else answer

    def _remember(self, height: int, told: dict[str, Any]) -> None:
        self._told[height] = told
        while len(self._told) > TOLD_MAX:
            del self._told[next(iter(self._told))]

    async def blocks(self, limit: int, *, client: str = LOCAL) -> dict[str, Any]:
        """Newest first."""
        latest = self.answers.height
        lowest = max(self.answers.base, 1, latest - min(limit, BLOCKS_MAX) + 1)
        heights = range(latest, lowest - 1, -1)
        return {"blocks": [await self.block(height, with_txs=False, client=client) for height in heights]}

    # ----------------------------------------------------------------------------------------------- consensus

    def consensus(self) -> dict[str, Any]:
        """The running height, and whether all validators agreed on the last block."""
        rounds: RoundState = self.driver.round_state
        validators = rounds.validators
        last = rounds.last_commit
        agreed = len(last.bits_for(last.majority)) if last is not None and last.has_majority else 0
        earlier = range(rounds.round - 1, max(-1, rounds.round - 1 - EARLIER_ROUNDS), -1)
        return {
            "height": rounds.height,
            "round": rounds.round,
            "step": rounds.step.name.lower(),
            "start_time": format_rfc3339(rounds.start_time_ns) if rounds.start_time_ns else None,
            "proposer": rounds.proposer_address.hex().upper(),
            "proposal": rounds.proposal.block_id.hash.hex().upper() if rounds.proposal is not None else None,
            "votes": votes_json(rounds, rounds.round),
            "earlier_rounds": [{"round": round, "votes": votes_json(rounds, round)} for round in earlier],
            "nil_votes": self.nil_votes(),
            "last_commit_votes": agreed,
            "validators": len(validators),
            "all_agree": last is not None and agreed == last.size,
        }

    def nil_votes(self) -> dict[str, int]:
        """Of ours since the start, by reason."""
        counted: Counter[str] = Counter()
        for (_, reason), number in self.driver.metrics.nil_votes.items():
            counted[reason] += number
        return dict(counted)

    # -------------------------------------------------------------------------------------------------- bridge

    def bridge(self) -> dict[str, Any]:
        """Both chains and the bridge after the last saved block: roots as each store's own tree has them, and what they
        are compared with; what is held for whom; how bundles and escrows ended.
        """
        height = self.answers.height
        try:
            told = bridge_status(self.answers, height) if height else None
        except VersionUnavailable:  # the application is a step ahead while a block is saved
            told = None
        if told is None:
            return {"in_step": True, "bundles": 0, "bundles_executed": 0, "bundles_failed": 0, "totals": {}}
        return {
            **{
                store.name: {
                    "height": told.height,
                    "changed_height": store.changed_height,
                    "root": store.root.hex().upper(),
                    "recorded_root": store.recorded_root.hex().upper(),
                }
                for store in told.stores
            },
            "app_hash": told.app_hash.hex().upper(),
            "agreed_app_hash": told.agreed_app_hash.hex().upper(),
            "in_step": told.in_step,
            "held": {
                "udchat": told.held,
                "for_chat": told.held_for_chat,
                "in_escrows": told.held_in_escrows,
                "books_agree": told.books_agree,
            },
            "bundles": told.bundles_executed + told.bundles_failed,
            "bundles_executed": told.bundles_executed,
            "bundles_failed": told.bundles_failed,
            "escrows": {
                "opened": told.escrows_opened,
                "open": told.escrows_open,
                "udchat_released": int(told.udchat_released),
                "udchat_given_back": int(told.udchat_given_back),
                "udchat_refunded": int(told.udchat_refunded),
            },
            "totals": {
                "udchat_to_chat": told.held_for_chat,
                "udchat_tipped": int(told.udchat_tipped),
                "udchat_joins": int(told.udchat_joins),
                "udchat_supply": told.udchat_supply,
                "udchat_collected_fees": told.udchat_collected_fees,
            },
        }


def peer_json(peer: PeerStatus) -> dict[str, Any]:
    return {
        "id": peer.id,
        "moniker": peer.moniker,
        "remote_address": peer.remote_address,
        "listen_address": peer.listen_address,
        "version": peer.version,
        "direction": "outbound" if peer.is_outbound else "inbound",
        "persistent": peer.is_persistent,
        "connected_since": format_rfc3339(peer.connected_since_ns),
        "bytes_in": peer.bytes_in,
        "bytes_out": peer.bytes_out,
        "held_seconds": round(peer.held_s, 3),
        "useless_messages": peer.useless_messages,
        "useless_now": round(peer.useless_now),
        "round_trip_seconds": round(peer.round_trip_s, 6) or None,
    }


def votes_json(rounds: RoundState, round: int) -> list[dict[str, Any]]:
    """What each validator of the running height voted in a round, as far as this node has it."""
    validators = rounds.validators
    prevotes, precommits = (rounds.votes(kind, round) for kind in (VoteKind.PREVOTE, VoteKind.PRECOMMIT))
    return [
        {
            "validator_address": validators[index].address.hex().upper(),
            "voting_power": validators.powers[index],
            "prevote": vote_json(prevotes, index),
            "precommit": vote_json(precommits, index),
        }
        for index in range(len(validators))
    ]


def vote_json(votes: VoteView | None, index: int) -> str | None:
    """The block's hash, `nil`, or None: no vote yet."""
    vote = votes.get(index) if votes is not None else None
    if vote is None:
        return None
    return vote.block_id.hash.hex().upper() or "nil"


def txs_by_chain(txs: Sequence[bytes]) -> Slices[dict[str, list[str]]]:
    """Hashes of a block's transactions under chat, currency and bridge."""
    found: dict[str, list[str]] = {"chat": [], "currency": [], "bridge": []}
    for number, tx in enumerate(txs):
        if number % TXS_PER_SLICE == TXS_PER_SLICE - 1:
            yield
        try:
            lane = tx_pb2.TxBody.FromString(tx_pb2.Tx.FromString(tx).body).lane
        except DecodeError:  # of another application's chain
            continue
        found.setdefault(LANE_NAMES.get(lane, "other"), []).append(sha256(tx).hex())
    return found


def host_name() -> str:
    return socket.gethostname()[:70]


__all__ = ["Me", "NotThere", "Views"]


def block_sync_proto(progress: SyncProgress) -> pb.BlockSyncStatus:
    return pb.BlockSyncStatus(
        first_height=progress.first_height,
        height=progress.height,
        target_height=progress.target,
        percent=progress.percent,
        blocks_per_second=progress.blocks_per_second,
        transactions_per_second=progress.txs_per_second,
        peers=progress.peers,
        seconds_left=progress.seconds_left,
        waits_for=progress.waits_for,
    )


def block_sync_json(told: pb.BlockSyncStatus) -> dict[str, Any]:
    """seconds_left: null where nothing moves; waits_for: null where nothing keeps it from going on."""
    return {
        "first_height": told.first_height,
        "height": told.height,
        "target_height": told.target_height,
        "percent": told.percent,
        "blocks_per_second": told.blocks_per_second,
        "transactions_per_second": told.transactions_per_second,
        "peers": told.peers,
        "seconds_left": told.seconds_left if told.HasField("seconds_left") else None,
        "waits_for": told.waits_for or None,
    }


def storage_json(told: pb.StorageStatus) -> dict[str, Any]:
    """bytes_per_block, full_in_seconds: null where that is not known, or never."""
    return {
        "pruning": told.pruning,
        "earliest_block_height": told.earliest_block_height,
        "earliest_state_height": told.earliest_state_height,
        "kept_for": told.kept_for,
        "databases": {one.name: one.bytes for one in told.databases},
        "free_bytes": told.free_bytes,
        "bytes_per_block": told.bytes_per_block or None,
        "full_in_seconds": told.full_in_seconds or None,
        "backups": backups_json(told.backups) if told.HasField("backups") else None,
    }


def backups_json(told: pb.BackupStatus) -> dict[str, Any]:
    """last_height, last_time: null where none was made."""
    return {
        "last_height": told.last_height or None,
        "last_time": format_rfc3339(told.last_time_ns) if told.last_time_ns else None,
        "last_bytes": told.last_bytes or None,
        "next_time": format_rfc3339(told.next_time_ns) if told.next_time_ns else None,
        "made": told.made,
        "failed": told.failed,
        "is_failing": told.is_failing,
    }


def backfill_json(told: pb.BackfillStatus) -> dict[str, Any]:
    return {
        "lowest_height": told.lowest_height,
        "wanted_height": told.wanted_height,
        "headers": told.headers,
        "waits_for": told.waits_for,
    }


def sql_json(told: pb.SqlStatus) -> dict[str, Any]:
    return {"state": told.state, "height": told.height, "lag": told.lag}


def plan_json(plan: state_pb2.UpgradePlan) -> dict[str, Any]:
    """ready_share_permyriad 0: it is not postponed, whoever is ready. binary_sha256: none: any binary may be run."""
    return {
        "name": plan.name,
        "height": plan.height,
        "info": plan.info,
        "binary_sha256": [one.hex() for one in plan.binary_sha256],
        "ready_share_permyriad": plan.ready_share_permyriad,
        "postpone_blocks": plan.postpone_blocks,
        "postponed": plan.postponed,
    }
