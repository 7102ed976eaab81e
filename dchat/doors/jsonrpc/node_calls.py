"""Calls about this node: how it is, its peers, the running height, its application.

Source: CometBFT v0.38, rpc/core/status.go, net.go, consensus.go, abci.go.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

from consensus.abci.interface import InfoRequest, InfoResponse, QueryRequest, QueryResponse
from consensus.core.events import VoteKind
from consensus.documents.json import block_id_json, validator_json
from consensus.engine.interfaces import VoteView
from consensus.formats.json_text import Json
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.p2p.conn.node_info import BLOCK_PROTOCOL, P2P_PROTOCOL, NodeInfo
from consensus.p2p.conn.peer import SwitchPeer
from consensus.state.state import State
from consensus.types.block import Block
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PartSet
from consensus.types.validators import ValidatorSet
from consensus.types.vote import Proposal
from crypto.keys import PubKey
from dchat.doors.http.views import Views
from dchat.doors.jsonrpc.form import (
    ZERO_TIME,
    Many,
    base64_of,
    bits_text,
    block_form,
    hex_of,
    node_info_form,
    validator_info_form,
    vote_text,
)
from dchat.doors.jsonrpc.params import Arg, Kind
from dchat.doors.jsonrpc.table import Caching, Call, Method, table_of
from dchat.home.version import ENGINE_VERSION

QUERY_BYTES_MAX: Final = 65_536  # of an abci_query's data: more than any key has
ROUNDS_MAX: Final = 100  # of a height, of which votes are told: 3 MB of 128 validators
NO_TIME: Final = "1970-01-01T00:00:00Z"


class PeerRounds(Protocol):
    """What is known of where a peer is in consensus: `consensus.gossip.peer_state.PeerState`."""

    height: int
    round: int
    step: int
    last_commit_round: int
    pol_round: int
    header: PartSetHeader | None

    @property
    def parts_mask(self) -> int: ...
    def votes(self, key: tuple[int, VoteKind, int]) -> int: ...


class NodeCalls:
    """peer_states: peers, and where they are. query, info: the application's, for a client."""

    def __init__(
        self,
        views: Views,
        pub_key: Callable[[], PubKey],
        *,
        info: Callable[[InfoRequest, str], Awaitable[InfoResponse]],
        query: Callable[[QueryRequest, str], Awaitable[QueryResponse]],
        peer_states: Callable[[], Mapping[str, PeerRounds]],
    ) -> None:
        self._views, self._pub_key, self._info, self._query = views, pub_key, info, query
        self._peer_states = peer_states
        self._earliest: tuple[int, dict[str, Json]] | None = None
        self._latest: tuple[int, dict[str, Json]] | None = None
        query_args = (
            Arg("path", Kind.TEXT, ""), Arg("data", Kind.HEX, b""), Arg("height", Kind.INT64, 0),
            Arg("prove", Kind.BOOL, False),
        )  # fmt: skip
        self.table = table_of(
            Method("health", self.health),
            Method("status", self.status),
            Method("net_info", self.net_info, cost=4),
            Method("consensus_state", self.consensus_state, cost=4),
            Method("dump_consensus_state", self.dump_consensus_state, cost=20),
            Method("abci_info", self.abci_info, caching=Caching.ALWAYS),
            Method("abci_query", self.abci_query, query_args, cost=2),
        )

    async def health(self, call: Call, given: Mapping[str, Any]) -> Json:
        return {}

    async def status(self, call: Call, given: Mapping[str, Any]) -> Json:
        views = self._views
        saved = views.answers.states.load()
        height = 0 if saved is None else saved.last_block_height
        latest: dict[str, Json] = {"hash": "", "app_hash": "", "height": "0", "time": NO_TIME}
        if saved is not None and height:
            latest = self._latest_of(saved)
        earliest = self._earliest_of(views.answers.base)
        return {
            "node_info": node_info_form(self._node_info()),
            "sync_info": {
                "latest_block_hash": latest["hash"],
                "latest_app_hash": latest["app_hash"],
                "latest_block_height": latest["height"],
                "latest_block_time": latest["time"],
                "earliest_block_hash": earliest["hash"],
                "earliest_app_hash": earliest["app_hash"],
                "earliest_block_height": earliest["height"],
                "earliest_block_time": earliest["time"],
                "catching_up": views.is_catching_up(),
            },
            "validator_info": validator_info_form(self._pub_key(), views.voting_power),
        }

    def _latest_of(self, saved: State) -> dict[str, Json]:
        """Read once while the latest block is the same."""
        height = saved.last_block_height
        if self._latest is not None and self._latest[0] == height:
            return self._latest[1]
        meta = self._views.answers.blocks.load_meta(height)
        told: dict[str, Json] = {
            "hash": hex_of(saved.last_block_id.hash),
            "app_hash": "" if meta is None else hex_of(meta.header.app_hash),
            "height": str(height),
            "time": format_rfc3339(saved.last_block_time_ns),
        }
        if meta is not None:
            self._latest = height, told
        return told

    def _earliest_of(self, base: int) -> dict[str, Json]:
        """Read once while the lowest block is the same."""
        if self._earliest is not None and self._earliest[0] == base:
            return self._earliest[1]
        told: dict[str, Json] = {"hash": "", "app_hash": "", "height": "0", "time": NO_TIME}
        meta = self._views.answers.blocks.load_meta(base) if base else None
        if meta is not None:
            told = {
                "hash": hex_of(meta.block_id.hash),
                "app_hash": hex_of(meta.header.app_hash),
                "height": str(base),
                "time": format_rfc3339(meta.header.time_ns),
            }
            self._earliest = base, told
        return told

    def _node_info(self) -> NodeInfo:
        """With the version that blocks say: the application's is known since the chain began."""
        return replace(self._views.switch.node_info, app_protocol=self._views.driver.state.app_version)

    async def net_info(self, call: Call, given: Mapping[str, Any]) -> Json:
        switch = self._views.switch
        peers = switch.peers
        return {
            "listening": switch.listen_port > 0,
            "listeners": [f"Listener(@{switch.config.external_address})"],
            "n_peers": str(len(peers)),
            "peers": Many(map(_peer_info_form, peers)),
        }

    # --------------------------------------------------------------------------------------------------- consensus

    async def consensus_state(self, call: Call, given: Mapping[str, Any]) -> Json:
        rounds, core = self._views.driver.round_state, self._views.driver.core
        proposer = rounds.validators.index_of(rounds.proposer_address) if len(rounds.validators) else None
        return {
            "round_state": {
                "height/round/step": f"{rounds.height}/{rounds.round}/{rounds.wire_step}",
                "start_time": format_rfc3339(rounds.start_time_ns),
                "proposal_block_hash": hex_of(self._proposed_hash()),
                "locked_block_hash": hex_of(_hash_of(core.locked_value)),
                "valid_block_hash": hex_of(_hash_of(core.valid_value)),
                "height_vote_set": self._votes(),
                "proposer": {
                    "address": hex_of(rounds.proposer_address),
                    "index": 0 if proposer is None else proposer,
                },
            }
        }

    def _proposed_hash(self) -> bytes:
        block = self._block_of(self._views.driver.round_state.parts)
        return b"" if block is None else block.hash

    def _block_of(self, parts: PartSet | None) -> Block | None:
        """The block that complete parts hold, once it was read."""
        if parts is None or not parts.is_complete:
            return None
        blocks = self._views.driver.round_state.blocks
        return next((one for id, one in blocks.items() if id.part_set_header == parts.header and one is not None), None)

    def _votes(self) -> Json:
        """Of rounds 0 to the next one, as the reference keeps them; of a height with very many, the newest."""
        last = self._views.driver.round_state.round + 1
        return Many(map(self._round_votes, range(max(0, last + 1 - ROUNDS_MAX), last + 1)))

    def _round_votes(self, round: int) -> Json:
        rounds = self._views.driver.round_state
        fields: dict[str, Json] = {"round": round}
        for kind, name in ((VoteKind.PREVOTE, "prevotes"), (VoteKind.PRECOMMIT, "precommits")):
            votes = rounds.votes(kind, round)
            fields[name] = _vote_texts(votes, len(rounds.validators))
            fields[f"{name}_bit_array"] = _power_text(votes, rounds.validators)
        return fields

    async def dump_consensus_state(self, call: Call, given: Mapping[str, Any]) -> Json:
        driver = self._views.driver
        rounds, core = driver.round_state, driver.core
        locked, valid = self._held(core.locked_value), self._held(core.valid_value)
        proposed = rounds.parts
        last = rounds.last_commit
        state = {
            "height": str(rounds.height),
            "round": rounds.round,
            "step": rounds.wire_step,
            "start_time": format_rfc3339(rounds.start_time_ns),
            "commit_time": ZERO_TIME,
            "validators": _set_form(rounds.validators),
            "proposal": None if rounds.proposal is None else _proposal_form(rounds.proposal),
            "proposal_block": _block_form(self._block_of(proposed)),
            "proposal_block_parts": _parts_form(proposed),
            "locked_round": core.locked_round,
            "locked_block": _block_form(locked[0]),
            "locked_block_parts": _parts_form(locked[1]),
            "valid_round": core.valid_round,
            "valid_block": _block_form(valid[0]),
            "valid_block_parts": _parts_form(valid[1]),
            "votes": self._votes(),
            "commit_round": rounds.commit_round,
            "last_commit": None,
            "last_validators": _set_form(driver.state.last_validators),
            "triggered_timeout_precommit": False,
        }
        if last is not None:
            state["last_commit"] = {
                "votes": _vote_texts(last, last.size),
                "votes_bit_array": _power_text(last, driver.state.last_validators),
                "peer_maj_23s": {},
            }
        return {"round_state": state, "peers": Many(self._peers())}

    def _held(self, value: object) -> tuple[Block | None, PartSet | None]:
        """The block of a value of the core's, and its parts."""
        if not isinstance(value, BlockID):
            return None, None
        rounds = self._views.driver.round_state
        return rounds.blocks.get(value), rounds.part_sets.get(value.part_set_header)

    def _peers(self) -> Iterable[Json]:
        size = len(self._views.driver.round_state.validators)
        for peer_id, state in tuple(self._peer_states().items()):
            peer = self._views.switch.peer(peer_id)
            if peer is not None:
                yield {"node_address": f"{peer_id}@{peer.remote_address}", "peer_state": _peer_form(state, size)}

    # ------------------------------------------------------------------------------------------------- application

    async def abci_info(self, call: Call, given: Mapping[str, Any]) -> Json:
        told = await self._info(InfoRequest(ENGINE_VERSION, BLOCK_PROTOCOL, P2P_PROTOCOL), call.client)
        height = min(told.last_block_height, self._views.answers.height)  # the application may be a step ahead
        state = self._views.answers.states.load()
        app_hash = told.last_block_app_hash if height == told.last_block_height or state is None else state.app_hash
        fields = {
            "data": told.data,
            "version": told.version,
            "app_version": str(told.app_version) if told.app_version else "",
            "last_block_height": str(height) if height else "",
            "last_block_app_hash": base64_of(app_hash) or "",
        }
        return {"response": {name: value for name, value in fields.items() if value}}

    async def abci_query(self, call: Call, given: Mapping[str, Any]) -> Json:
        """Without a height, with a proof: of the latest state that a saved header proves."""
        path, data, height, prove = given["path"], given["data"], given["height"], given["prove"]
        if len(data) > QUERY_BYTES_MAX:
            told = QueryResponse(1, f"data has {len(data)} bytes; allowed: up to {QUERY_BYTES_MAX}", "query")
        else:
            asked = self._asked(path, data, height, prove=prove)
            told = asked if isinstance(asked, QueryResponse) else await self._query(asked, call.client)
        ops = [{"type": op.type, "key": base64_of(op.key), "data": base64_of(op.data)} for op in told.proof_ops]
        return {
            "response": {
                "code": told.code,
                "log": told.log,
                "info": "",
                "index": str(told.index),
                "key": base64_of(told.key),
                "value": base64_of(told.value),
                "proofOps": {"ops": ops} if ops else None,
                "height": str(told.height),
                "codespace": told.codespace,
            }
        }

    def _asked(self, path: str, data: bytes, height: int, *, prove: bool) -> QueryRequest | QueryResponse:
        """Doors tell nothing above the last saved state; the application may be a step ahead of it."""
        latest = self._views.answers.height
        if height > latest:
            return QueryResponse(1, f"height {height} is not there yet: the latest is {latest}", "query")
        if not height:
            height = latest - 1 if prove else latest
        if prove and height < 1:
            return QueryResponse(1, "cannot query with proof when height <= 1; please provide a valid height", "query")
        return QueryRequest(path, data, height, prove)


def _hash_of(value: object) -> bytes:
    return value.hash if isinstance(value, BlockID) else b""


def _set_form(validators: ValidatorSet) -> Json:
    proposer = validators.current
    return {
        "validators": Many(map(validator_json, validators)),
        "proposer": None if proposer is None else validator_json(proposer),
    }


def _vote_texts(votes: VoteView | None, size: int) -> list[str]:
    return [vote_text(votes.get(index) if votes is not None else None) for index in range(size)]


def _power_text(votes: VoteView | None, validators: ValidatorSet) -> str:
    size, total = len(validators), validators.total_power if len(validators) else 0
    mask, power = (0, 0) if votes is None else (votes.mask, votes.power)
    share = power * 100 // total if total else 0
    if total and (power * 1_000 // total) % 10 >= 5:
        share += 1
    return f"BA{{{size}:{bits_text(size, mask)}}} {power}/{total} = {share // 100}.{share % 100:02d}"


def _block_form(block: Block | None) -> Json:
    return None if block is None else block_form(block)


def _parts_form(parts: PartSet | None) -> Json:
    if parts is None:
        return None
    here = "".join("x" if index in parts else "_" for index in range(parts.total))
    return {"count/total": f"{parts.count}/{parts.total}", "parts_bit_array": here}


def _proposal_form(proposal: Proposal) -> Json:
    return {
        "Type": 32,
        "height": str(proposal.height),
        "round": proposal.round,
        "pol_round": proposal.pol_round,
        "block_id": block_id_json(proposal.block_id),
        "timestamp": format_rfc3339(proposal.timestamp_ns),
        "signature": base64_of(proposal.signature),
    }


def _peer_form(state: PeerRounds, size: int) -> Json:
    header = state.header

    def votes(height: int, kind: VoteKind, round: int) -> str:
        return bits_text(size, state.votes((height, kind, round)))

    parts = {"total": 0, "hash": ""} if header is None else {"total": header.total, "hash": hex_of(header.hash)}
    last_round = state.last_commit_round
    return {
        "round_state": {
            "height": str(state.height),
            "round": state.round,
            "step": state.step,
            "start_time": ZERO_TIME,
            "proposal": header is not None,
            "proposal_block_part_set_header": parts,
            "proposal_block_parts": None if header is None else bits_text(header.total, state.parts_mask),
            "proposal_pol_round": state.pol_round,
            "proposal_pol": None,
            "prevotes": votes(state.height, VoteKind.PREVOTE, state.round),
            "precommits": votes(state.height, VoteKind.PRECOMMIT, state.round),
            "last_commit_round": last_round,
            "last_commit": votes(state.height - 1, VoteKind.PRECOMMIT, last_round) if last_round >= 0 else None,
            "catchup_commit_round": -1,
            "catchup_commit": None,
        },
        "stats": {"votes": "0", "block_parts": "0"},
    }


def _peer_info_form(peer: SwitchPeer) -> Json:
    lasted_ns = max(1, time.time_ns() - peer.connected_since_ns)
    started = format_rfc3339(peer.connected_since_ns)
    channels = [
        {
            "ID": one.id,
            "SendQueueCapacity": str(one.queue_max),
            "SendQueueSize": str(one.queued),
            "Priority": str(one.priority),
            "RecentlySent": str(one.recently_sent),
        }
        for one in peer.connection.channel_statuses()
    ]
    return {
        "node_info": node_info_form(peer.node_info),
        "is_outbound": peer.is_outbound,
        "connection_status": {
            "Duration": str(lasted_ns),
            "SendMonitor": _monitor_form(peer.link.bytes_out, started, lasted_ns),
            "RecvMonitor": _monitor_form(peer.link.bytes_in, started, lasted_ns),
            "Channels": channels,
        },
        "remote_ip": peer.remote_host,
    }


def _monitor_form(count: int, started: str, lasted_ns: int) -> Json:
    """Rates are over the whole time: nothing finer is measured."""
    rate = str(count * NS_PER_S // lasted_ns)
    return {
        "Start": started, "Bytes": str(count), "Samples": "0", "InstRate": rate, "CurRate": rate, "AvgRate": rate,
        "PeakRate": rate, "BytesRem": "0", "Duration": str(lasted_ns), "Idle": "0", "TimeRem": "0", "Progress": 0,
        "Active": True,
    }  # fmt: skip
