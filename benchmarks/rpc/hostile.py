"""What a hostile client asks for at once, of one node, and what is done with it.

Each is asked for by several connections without a pause; meanwhile another client asks for `health`, and the node's own
clock says how long its loop was held.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.rpc.wire import Http, Socket, request_of
from crypto.hash import ADDRESS_BYTES, HASH_BYTES
from crypto.keys import Ed25519PrivKey
from dchat.devnet.live import quantile

CONNECTIONS: Final = 4
PROBE_S: Final = 0.02
BATCH: Final = 10  # requests, as many as are let through


@dataclass(frozen=True)
class Hostile:
    """name, and what is posted: at another path than / as a form. over_socket: sent over WebSocket instead."""

    name: str
    body: bytes
    path: str = "/"
    over_socket: bool = False


def batch(one: bytes) -> bytes:
    return b"[%b]" % b",".join([one] * BATCH)


def search(query: str, **more: Any) -> bytes:
    return request_of("tx_search", {"query": query, **more})


def hostile_calls(height: int) -> list[Hostile]:
    return [*searches(height), *parsed(), *batches()]


def searches(height: int) -> list[Hostile]:
    wide = f"tx.height >= 1 AND tx.height <= {height}"
    contains = " AND ".join(f"transfer.recipient CONTAINS '{'a' * 20}{n}'" for n in range(9))
    values = "transfer.amount > 0 AND transfer.sender CONTAINS 'zzz'"
    of_blocks = {"query": f"block.height <= {height}", "per_page": "100"}
    return [
        Hostile("deep page", search("transfer.sender EXISTS", page="2000", per_page="100")),
        Hostile("wide range, huge page", search(wide, page="1", per_page="100000")),
        Hostile("wide range of blocks", request_of("block_search", of_blocks)),
        Hostile("CONTAINS, nine times", search(contains)),
        Hostile("range of values", search(values)),
        Hostile("no query that can be read", search("a" * 400 + "=" + "(" * 100)),
        Hostile("blockchain", request_of("blockchain", {"minHeight": "1", "maxHeight": str(height)})),
    ]


def parsed() -> list[Hostile]:
    """What takes long to read."""
    values, ones = b"[]," * 12_400 + b"1", b"1," * 450_000 + b"1"
    asked = b'{"jsonrpc":"2.0","id":1,"method":"%b","params":%b}'
    of_id = b'{"jsonrpc":"2.0","id":%b,"method":"health"}'
    tx = base64.b64encode(os.urandom(65_000)).decode()
    conditions = " AND ".join(f"transfer.recipient CONTAINS '{n}'" for n in range(13))
    depth = 450_000
    return [
        Hostile("check_tx of random bytes", request_of("check_tx", {"tx": tx})),
        Hostile("nested 450,000 deep", asked % (b"health", b"[" * depth + b"]" * depth)),
        Hostile("nested 100 deep", asked % (b"health", b"[" * 100 + b"]" * 100)),
        Hostile("an id of 900,000 characters", of_id % (b'"' + b"i" * 900_000 + b'"')),
        Hostile("an id of 900,000 digits", of_id % (b"1" * 900_000)),
        Hostile("450,000 values", asked % (b"health", b"[" + ones + b"]")),
        Hostile("12,400 lists", asked % (b"health", b"[" + values + b"]")),
        Hostile("a height of 12,400 lists", asked % (b"block", b'{"height":[' + values + b"]}")),
        Hostile("evidence with 3,500 signatures", evidence_of(3_500)),
        Hostile("a form of 300,000 values", b"evidence=[" + b"[]," * 300_000 + b"1]", path="/broadcast_evidence"),
        Hostile("over WebSocket: 12,400 lists", asked % (b"health", b"[" + values + b"]"), over_socket=True),
        Hostile("over WebSocket: subscribe", request_of("subscribe", {"query": conditions}), over_socket=True),
    ]


def batches() -> list[Hostile]:
    proof = {"path": "/store/currency/key", "data": "00", "prove": True}
    return [
        Hostile("genesis", request_of("genesis", {})),
        Hostile("dump_consensus_state", request_of("dump_consensus_state", {})),
        Hostile("batch of block_results", batch(request_of("block_results", {}))),
        Hostile("batch of searches", batch(search("transfer.sender EXISTS", page="1", per_page="100"))),
        Hostile("batch of proofs", batch(request_of("abci_query", proof))),
    ]


def evidence_of(signatures: int) -> bytes:
    """Of an attack on light clients: well formed, and against nobody."""
    digest, address, moment = "AA" * HASH_BYTES, "AA" * ADDRESS_BYTES, "2026-01-01T00:00:00Z"
    block_id = {"hash": digest, "parts": {"total": 1, "hash": digest}}
    hashes = ("last_commit", "data", "validators", "next_validators", "consensus", "last_results", "evidence")
    header = {
        "version": {"block": "11"}, "chain_id": "none", "height": "5", "time": moment, "last_block_id": block_id,
        "app_hash": digest, "proposer_address": address, **{f"{name}_hash": digest for name in hashes},
    }  # fmt: skip
    signature = {
        "block_id_flag": 2, "validator_address": address, "timestamp": moment,
        "signature": base64.b64encode(bytes(64)).decode(),
    }  # fmt: skip
    key = Ed25519PrivKey.from_seed(bytes(32)).pub_key
    validator = {
        "address": key.address.hex(), "voting_power": "1", "proposer_priority": "0",
        "pub_key": {"type": "tendermint/PubKeyEd25519", "value": base64.b64encode(key.bytes).decode()},
    }  # fmt: skip
    commit = {"height": "5", "round": 0, "block_id": block_id, "signatures": [signature] * signatures}
    attack = {
        "ConflictingBlock": {
            "signed_header": {"header": header, "commit": commit},
            "validator_set": {"validators": [validator], "proposer": validator},
        },
        "CommonHeight": "4", "ByzantineValidators": [validator], "TotalVotingPower": "1", "Timestamp": moment,
    }  # fmt: skip
    evidence = {"type": "tendermint/LightClientAttackEvidence", "value": attack}
    return request_of("broadcast_evidence", {"evidence": evidence})


async def attacked(
    host: str, port: int, what: Hostile, seconds: float, callbacks: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """callbacks: those of the node since the last call."""
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + seconds
    await asyncio.to_thread(callbacks)
    probing = asyncio.create_task(probes(host, port, until))
    await asyncio.gather(*(attack(host, port, what, until, outcomes) for _ in range(CONNECTIONS)))
    probe = await probing
    held = await asyncio.to_thread(callbacks)
    return {"name": what.name, "asked": sum(outcomes.values()), "outcomes": outcomes, "health": probe, "loop": held}


async def attack(host: str, port: int, what: Hostile, until: float, outcomes: Counter[str]) -> None:
    while time.monotonic() < until:
        try:
            await (over_socket if what.over_socket else over_http)(host, port, what, until, outcomes)
        except (OSError, EOFError) as error:
            outcomes[f"connection: {type(error).__name__}"] += 1
            await asyncio.sleep(0.05)


async def over_http(host: str, port: int, what: Hostile, until: float, outcomes: Counter[str]) -> None:
    http = Http(host, port)
    await http.open()
    try:
        while time.monotonic() < until:
            status, text = await http.ask(what.body, what.path)
            outcomes[outcome(status, text)] += 1
    finally:
        http.close()


async def over_socket(host: str, port: int, what: Hostile, until: float, outcomes: Counter[str]) -> None:
    socket = Socket(host, port)
    await socket.open()
    try:
        while time.monotonic() < until:
            socket.send(what.body)
            outcomes[outcome(200, await socket.next())] += 1
    finally:
        socket.close()


def outcome(status: int, text: bytes) -> str:
    """answered, or what the first words of the refusal are."""
    try:
        told = json.loads(text)
    except ValueError:
        return f"{status} {text[:60].decode(errors='replace')}"
    told = told[0] if isinstance(told, list) and told else told
    if isinstance(told, dict) and "error" in told:
        error = told["error"]
        return f"{status} {error.get('data') or error.get('message')}"[:90]
    return f"answered, {status}"


async def probes(host: str, port: int, until: float) -> dict[str, float]:
    """How long `health` takes meanwhile, in ms."""
    took_ms: list[float] = []
    http = Http(host, port)
    await http.open()
    asked = request_of("health", {})
    while time.monotonic() < until:
        began = time.monotonic()
        await http.ask(asked)
        took_ms.append((time.monotonic() - began) * 1e3)
        await asyncio.sleep(PROBE_S)
    http.close()
    return {"p50_ms": quantile(took_ms, 0.5), "p95_ms": quantile(took_ms, 0.95), "max_ms": max(took_ms)}
