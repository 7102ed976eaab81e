"""What OpenAPI says of the HTTP door's own paths: those that are no gRPC call's.

Written by hand beside what answers them (`views.py`, `door.py`); a test asks a running node for each and compares.
Every schema lists all fields of its object.

Source: spec.openapis.org/oas/v3.1.0.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter

from consensus.state.cursors import HEIGHT_MAX
from dchat.doors.rest.openapi import Described, failures
from dchat.why.form import HeightRecord
from dchat.why.judge import Cause

Schema = dict[str, Any]

BLOCKS_MAX: Final = 100
EVENTS_MAX: Final = 1_000  # of one page: a few hundred kilobytes of JSON

TEXT: Final[Schema] = {"type": "string"}
TRUTH: Final[Schema] = {"type": "boolean"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
WHOLE: Final[Schema] = {"type": "integer"}
NUMBER: Final[Schema] = {"type": "number"}
TIME: Final[Schema] = {"type": "string", "format": "date-time"}
UPPER: Final[Schema] = {"type": "string", "pattern": "^([0-9A-F]{2})*$", "description": "hex"}
LOWER: Final[Schema] = {"type": "string", "pattern": "^([0-9a-f]{2})*$", "description": "hex"}


def said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def maybe(schema: Schema) -> Schema:
    """Or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def by_name(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def table(fields: dict[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object that has these fields and no others."""
    required = [name for name in fields if name not in optional]
    return {"type": "object", "properties": fields, "required": required, "additionalProperties": False}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


PEER: Final = table({
    "id": TEXT, "moniker": TEXT, "remote_address": TEXT, "listen_address": TEXT, "version": TEXT,
    "direction": {"type": "string", "enum": ["outbound", "inbound"]}, "persistent": TRUTH, "connected_since": TIME,
    "bytes_in": COUNT, "bytes_out": COUNT, "held_seconds": said(NUMBER, "not read from, for what messages cost"),
    "useless_messages": said(COUNT, "of all time, weighed; an honest peer's grow, too"),
    "useless_now": said(COUNT, "of these, what is not forgiven yet; it is dropped above [p2p] useless_messages"),
    "round_trip_seconds": maybe(NUMBER),
})  # fmt: skip

BACKUPS: Final = table({
    "last_height": maybe(COUNT), "last_time": maybe(TIME), "last_bytes": maybe(COUNT), "next_time": maybe(TIME),
    "made": COUNT, "failed": COUNT, "is_failing": TRUTH,
})  # fmt: skip

STORAGE: Final = table({
    "pruning": TEXT, "earliest_block_height": COUNT, "earliest_state_height": COUNT,
    "kept_for": said(TEXT, "what keeps older blocks here; empty: nothing does"),
    "databases": said(by_name(COUNT), "bytes of each"), "free_bytes": COUNT, "bytes_per_block": maybe(COUNT),
    "full_in_seconds": maybe(COUNT), "backups": maybe(BACKUPS),
})  # fmt: skip

BLOCK_SYNC: Final = table({
    "first_height": COUNT, "height": COUNT, "target_height": COUNT, "percent": NUMBER, "blocks_per_second": NUMBER,
    "transactions_per_second": NUMBER, "peers": COUNT, "seconds_left": maybe(NUMBER), "waits_for": maybe(TEXT),
})  # fmt: skip

BACKFILL: Final = table({"lowest_height": COUNT, "wanted_height": COUNT, "headers": COUNT, "waits_for": TEXT})

PLAN: Final = table({
    "name": TEXT, "height": COUNT, "info": TEXT, "binary_sha256": many(LOWER), "ready_share_permyriad": COUNT,
    "postpone_blocks": COUNT, "postponed": COUNT,
})  # fmt: skip

UPGRADE: Final = table({
    "plan": maybe(PLAN), "ready_power": COUNT, "total_power": COUNT,
    "done": many(table({"name": TEXT, "height": COUNT})), "app_version": COUNT, "known": many(TEXT),
    "halted": maybe(TEXT),
}, optional=("plan", "ready_power", "total_power", "done", "app_version", "known", "halted"))  # fmt: skip

STATUS: Final = table({
    "version": TEXT, "chain_id": TEXT, "moniker": TEXT, "node_id": TEXT,
    "validator_address": said(UPPER, "hex; empty: this node does not validate"), "voting_power": COUNT,
    "latest_block_height": COUNT, "latest_block_hash": UPPER, "latest_block_time": maybe(TIME),
    "latest_app_hash": UPPER, "chat_root": UPPER, "currency_root": UPPER, "bridge_root": UPPER,
    "catching_up": TRUTH, "sync_progress": {"type": "number", "minimum": 0, "maximum": 1},
    "block_sync": maybe(BLOCK_SYNC), "peer_count": COUNT, "peers": many(ref("Peer")),
    "mempool_size": said(COUNT, "transactions that wait for a block"),
    "queue_size": said(COUNT, "transactions that wait to be looked at"),
    "mempool_lanes": said(by_name(COUNT), "transactions that wait, by lane"),
    "committed_transactions": said(COUNT, "since this process began"), "uptime_seconds": COUNT,
    "earliest_block_height": COUNT, "consensus_height": COUNT, "consensus_round": WHOLE, "consensus_step": TEXT,
    "storage": STORAGE, "backfill": maybe(BACKFILL),
    "sql": table({"state": TEXT, "height": COUNT, "lag": COUNT}), "upgrade": UPGRADE,
}, optional=("sql",))  # fmt: skip

_SHORT: Final[dict[str, Schema]] = {
    "height": COUNT, "hash": UPPER, "time": TIME, "round": COUNT, "proposer_address": UPPER,
    "app_hash": said(UPPER, "hex: of the state before this block"), "num_txs": COUNT,
    "txs_by_chain": said(by_name(COUNT), "how many of each lane: chat, currency, bridge"),
}  # fmt: skip
BLOCK: Final = table(_SHORT)
WHOLE_BLOCK: Final = table({**_SHORT, "txs": said(by_name(many(LOWER)), "hashes, by lane")})

EVENT_FIELDS: Final[dict[str, Schema]] = {"type": TEXT, "attributes": many(table({"key": TEXT, "value": TEXT}))}
EVENT: Final = table(EVENT_FIELDS)
PLACED: Final = table({
    "cursor": said(TEXT, "height:index"), "height": COUNT, "index": COUNT,
    "tx_hash": said(maybe(LOWER), "null: of the block itself"), "tx_index": maybe(COUNT), **EVENT_FIELDS,
})  # fmt: skip
PAGE: Final = table({
    "events": many(PLACED), "cursor": said(TEXT, "`after` of the next page"),
    "has_more": said(TRUTH, "there is more already, even if this page is empty"),
})  # fmt: skip
RESULTS: Final = table({
    "height": COUNT, "app_hash": said(UPPER, "hex: of the state after this block"),
    "txs": many(table({
        "hash": LOWER, "code": said(COUNT, "0: it was carried out; else docs/errors.md"), "codespace": TEXT,
        "log": TEXT, "data": said(LOWER, "hex of a receipt"), "gas_wanted": COUNT, "gas_used": COUNT,
        "events": many(ref("Event")),
    })),
    "events": said(many(ref("Event")), "of the block itself"),
    "validator_updates": many(table({
        "pub_key": table({"type": TEXT, "value": LOWER}), "power": said(COUNT, "0: it left"),
    })),
})  # fmt: skip

VOTE: Final = maybe({"type": "string", "pattern": "^(nil|[0-9A-F]{64})$", "description": "a block's hash, or nil"})
VOTES: Final = many(table({"validator_address": UPPER, "voting_power": COUNT, "prevote": VOTE, "precommit": VOTE}))
CONSENSUS: Final = table({
    "height": COUNT, "round": WHOLE, "step": TEXT, "start_time": maybe(TIME), "proposer": UPPER,
    "proposal": maybe(UPPER), "votes": ref("Votes"),
    "earlier_rounds": many(table({"round": COUNT, "votes": ref("Votes")})),
    "nil_votes": said(by_name(COUNT), "of this node since its start, by reason"),
    "last_commit_votes": COUNT, "validators": COUNT, "all_agree": TRUTH,
})  # fmt: skip

_STORE: Final = table({"height": COUNT, "changed_height": COUNT, "root": UPPER, "recorded_root": UPPER})
BRIDGE: Final = table({
    "chat": _STORE, "currency": _STORE, "bridge": _STORE, "app_hash": UPPER, "agreed_app_hash": UPPER,
    "in_step": TRUTH,
    "held": table({"udchat": COUNT, "for_chat": COUNT, "in_escrows": COUNT, "books_agree": TRUTH}),
    "bundles": COUNT, "bundles_executed": COUNT, "bundles_failed": COUNT,
    "escrows": table({
        "opened": COUNT, "open": COUNT, "udchat_released": COUNT, "udchat_given_back": COUNT,
        "udchat_refunded": COUNT,
    }),
    "totals": table({
        "udchat_to_chat": COUNT, "udchat_tipped": COUNT, "udchat_joins": COUNT, "udchat_supply": COUNT,
        "udchat_collected_fees": COUNT,
    }, optional=("udchat_to_chat", "udchat_tipped", "udchat_joins", "udchat_supply", "udchat_collected_fees")),
}, optional=("chat", "currency", "bridge", "app_hash", "agreed_app_hash", "held", "escrows"))  # fmt: skip

WHY: Final = table({
    "height": said(maybe(COUNT), "null: no height that has a record was missed"),
    "missed_unrecorded": said(maybe(COUNT), "a later one that was missed and has no record; null: none"),
    "kept": maybe(table({"lowest": COUNT, "highest": COUNT})),
    "missed": many(TEXT), "is_open": said(TRUTH, "the height is not decided yet"),
    "cause": maybe({"type": "string", "enum": [cause.value for cause in Cause]}), "why": maybe(TEXT), "do": maybe(TEXT),
    "causes": many(table({"cause": TEXT, "says": TEXT})), "record": maybe(ref("HeightRecord")),
})  # fmt: skip

HEALTH: Final = table({
    "status": {"type": "string", "enum": ["ok", "failed"]}, "version": TEXT, "timestamp": COUNT, "height": COUNT,
    "height_age_seconds": NUMBER, "reason": TEXT,
}, optional=("reason",))  # fmt: skip
READY: Final = table({
    "ready": TRUTH, "connected_peers": COUNT, "reason": TEXT,
    "failing": said(by_name(TEXT), "parts of this node that failed, and why"),
}, optional=("reason", "failing"))  # fmt: skip

HEIGHT_ASKED: Final = {"type": "integer", "minimum": 0, "maximum": HEIGHT_MAX}


def asked(name: str, schema: Schema, description: str) -> Schema:
    """A parameter of the query."""
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def get(name: str, summary: str, answer: Schema, *parameters: Schema, tag: str, unwell: bool = False) -> Schema:
    """An operation. unwell: a 503 has the same form, and says why."""
    answers: Schema = {"200": {"description": "The answer.", "content": {"application/json": {"schema": answer}}}}
    answers |= failures()
    if unwell:
        both = {"anyOf": [answer, ref("Error")]}
        answers["503"] = {
            "description": "It is not well: `reason`. Or too much at once, or too often: `error`.",
            "content": {"application/json": {"schema": both}},
        }
    return {"get": {
        "operationId": name, "tags": [tag], "summary": summary, "description": summary,
        "parameters": list(parameters), "responses": answers,
    }}  # fmt: skip


TAGS: Final = {
    "Node": "How this node is.",
    "Chain": "Blocks, what they did, and how the running height is.",
    "Admin": "What changes this node: for who has an API key (docs/operators/administer.md).",
}
EVENT_ASKED: Final = (
    asked("after", {"type": "string", "pattern": "^[0-9]{1,18}:[0-9]{1,9}$"}, "A cursor: what comes after it."),
    asked("from_height", HEIGHT_ASKED, "The first height; not beside `after`. Neither: the earliest kept."),
    asked("type", many({"type": "string", "minLength": 1, "maxLength": 256}) | {"maxItems": 16}, "Of any of these."),
    asked("where", many({"type": "string", "pattern": "^[^=]{1,256}=.{0,256}$"}) | {"maxItems": 8},
          "key=value: attributes that the event has, all of them."),
    asked("limit", {"type": "integer", "minimum": 1, "maximum": EVENTS_MAX}, "Events at most; else 100."),
)  # fmt: skip


def described() -> Described:
    """All of it, for the document."""
    return Described(paths() | admin_paths(), schemas(), TAGS, {KEY: {"type": "http", "scheme": "bearer"}})


def paths() -> dict[str, Schema]:
    """By path, as they stand in the document."""
    height = asked("height", HEIGHT_ASKED, "0 or absent: the latest.")
    missed = asked("height", HEIGHT_ASKED, "0 or absent: the last that this validator missed.")
    limit = asked("limit", {"type": "integer", "minimum": 1, "maximum": BLOCKS_MAX}, "Blocks at most; else 10.")
    about = table({"version": TEXT, "paths": many(TEXT), "api": TEXT})
    chain, node = "Chain", "Node"
    return {
        "/": get("about", "The build, and the paths that are no gRPC call's.", about, tag=node),
        "/openapi.json": get("openapi", "This document.", {"type": "object"}, tag=node),
        "/health": get("health", "Alive, and consensus has not failed.", HEALTH, tag=node, unwell=True),
        "/ready": get("ready", "Caught up, with peers and blocks coming in.", READY, tag=node, unwell=True),
        "/status": get("status", "This node, its peers, its storage, and the last block.", STATUS, tag=node),
        "/peers": get("peers", "Who is connected.", table({"peer_count": COUNT, "peers": many(ref("Peer"))}), tag=node),
        "/why": get("why", "Why this validator missed a vote or a proposal.", WHY, missed, tag=node),
        "/metrics": _metrics(),
        "/chain/latest-block": get(
            "latest_block", "The last block, with its transactions' hashes.", WHOLE_BLOCK, tag=chain
        ),
        "/chain/blocks": get(
            "blocks", "The last blocks, newest first.", table({"blocks": many(BLOCK)}), limit, tag=chain
        ),
        "/chain/block-results": get("block_results", "What a block did.", RESULTS, height, tag=chain),
        "/chain/events": get(
            "events", "What blocks did, event by event, from a cursor on.", PAGE, *EVENT_ASKED, tag=chain
        ),
        "/chain/consensus-status": get(
            "consensus_status", "The running height: its round, and who voted for what.", CONSENSUS, tag=chain
        ),
        "/bridge/status": get("bridge_status", "Both machines and the bridge after the last block.", BRIDGE, tag=chain),
    }


KEY: Final = "adminKey"
_KEEP: Final = said(TRUTH, "and redial it until options are loaded again")
_DIALED: Final = table({"peer_id": TEXT, "address": TEXT, "connected": TRUTH, "reason": maybe(TEXT), "kept": TRUTH})
KNOWN: Final = table({
    "node_id": TEXT, "known": COUNT, "peers": many(table({
        "id": TEXT, "partition": {"type": "string", "enum": ["here", "away"]}, "address": maybe(TEXT), "named": TRUTH,
        "last_seen_unix": maybe(COUNT), "failed_attempts": COUNT, "banned_seconds": maybe(COUNT),
    })),
})  # fmt: skip
RELOADED: Final = table({"taken": many(TEXT), "needs_restart": many(TEXT)})
LOGGED: Final = table({"level": TEXT, "levels": many(TEXT)})


def admin_paths() -> dict[str, Schema]:
    """Those that need an API key."""

    def change(name: str, summary: str, body: dict[str, Schema], answer: Schema) -> Schema:
        told = get(name, summary, answer, tag="Admin")["get"]
        schema = {"type": "object", "properties": body, "additionalProperties": False}
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        return {"post": told}

    bridged = table({"connected_before": COUNT, "dialed": many(_DIALED), "connected": COUNT, "not_dialed": COUNT})
    found = {
        "/admin/peers": get("admin_peers", "Whom the node knows, connected or not.", KNOWN, tag="Admin"),
        "/admin/peers/connect": change(
            "admin_connect", "Dial a node.", {"peer_id": TEXT, "address": TEXT, "keep": _KEEP}, _DIALED
        ),
        "/admin/peers/bridge": change(
            "admin_bridge", "Dial across a partition.", {"partitions": many(TEXT), "keep": _KEEP}, bridged
        ),
        "/admin/reload": change("admin_reload", "Load the options again, as SIGHUP.", {}, RELOADED),
        "/admin/log": change("admin_log", "How much is logged.", {"level": TEXT, "levels": many(TEXT)}, LOGGED),
    }
    refused = {
        "description": "No API key that counts here.",
        "headers": {"WWW-Authenticate": {"description": "Bearer.", "schema": TEXT}},
        "content": {"application/json": {"schema": ref("Error")}},
    }
    for verbs in found.values():
        for told in verbs.values():
            told["security"] = [{KEY: []}]
            told["responses"] |= {"401": refused}
    return found


def schemas() -> dict[str, Schema]:
    """That the paths refer to."""
    made = TypeAdapter(HeightRecord).json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    inner = made.pop("$defs", {})
    return {"Peer": PEER, "Event": EVENT, "Votes": VOTES, "HeightRecord": made, **inner}


def _metrics() -> Schema:
    told = get("metrics", "Prometheus' text format: docs/metrics.md.", TEXT, tag="Node")
    answer = {"description": "The metrics.", "content": {"text/plain": {"schema": TEXT}}}
    told["get"]["responses"]["200"] = answer
    return told
