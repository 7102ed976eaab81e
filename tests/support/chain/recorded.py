"""The blocks that a chain decided, in a file, and what executing them gives: run by `scripts/campaign determinism` in
processes that differ in everything that must not count.

    python -m tests.support.chain.recorded FILE

A file's first line is the chain's genesis document, each other line a block as the application meets it.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TextIO

from chain.state.roots import STORE_NAMES
from chain.state.store import Stores
from consensus.abci.interface import (
    BlockRequest,
    CommitInfo,
    InitChainRequest,
    Misbehavior,
    MisbehaviorType,
    ValidatorUpdate,
    VoteInfo,
)
from consensus.documents.genesis import GenesisDoc, GenesisValidator, parse_genesis
from consensus.state.results import results_hash
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from storage.memory import MemoryStore
from tests.support.chain.harness import drain

KIND_BYTES: Final = 2  # what a key begins with says what lies under it
PRUNE_EVERY: Final = 20  # blocks; versions are work that every node does, and no part of what is compared
KEPT: Final = 5


class Recording:
    """A file that is written while blocks are decided."""

    def __init__(self, file: TextIO, genesis: GenesisDoc) -> None:
        self._file = file
        self._line(genesis.to_json())

    @staticmethod
    def of_request(file: TextIO, request: InitChainRequest) -> Recording:
        validators = tuple(GenesisValidator(update.pub_key, update.power) for update in request.validators)
        return Recording(
            file,
            GenesisDoc(
                request.chain_id, request.time_ns, request.initial_height, request.consensus_params, validators,
                app_state=request.app_state_bytes,
            ),
        )  # fmt: skip

    def add(self, request: BlockRequest) -> None:
        self._line(_plain(asdict(request)))

    def _line(self, value: Any) -> None:
        self._file.write(json.dumps(value, separators=(",", ":")) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _vote(form: dict[str, Any]) -> VoteInfo:
    return VoteInfo(bytes.fromhex(form["address"]), form["power"], form["block_id_flag"])


def _misbehavior(form: dict[str, Any]) -> Misbehavior:
    kind, address = MisbehaviorType(form.pop("type")), bytes.fromhex(form.pop("address"))
    return Misbehavior(type=kind, address=address, **form)


def _block(line: str) -> BlockRequest:
    form = json.loads(line)
    commit = form["last_commit"]
    return BlockRequest(
        txs=tuple(bytes.fromhex(raw) for raw in form["txs"]),
        last_commit=CommitInfo(commit["round"], tuple(_vote(one) for one in commit["votes"])),
        misbehavior=tuple(_misbehavior(one) for one in form["misbehavior"]),
        hash=bytes.fromhex(form["hash"]),
        height=form["height"],
        time_ns=form["time_ns"],
        next_validators_hash=bytes.fromhex(form["next_validators_hash"]),
        proposer_address=bytes.fromhex(form["proposer_address"]),
    )


def executed(path: Path) -> Iterator[str]:
    """What each block gives, a line each, and then the state as it is left: a line for each kind of record."""
    with path.open(encoding="ascii") as lines:
        genesis = parse_genesis(next(lines))
        stores = Stores(MemoryStore())
        app = DchatApplication(stores)
        first = tuple(ValidatorUpdate(one.pub_key, one.power) for one in genesis.validators)
        app.init_chain(
            InitChainRequest(
                genesis.genesis_time_ns, genesis.chain_id, genesis.consensus_params, first, genesis.app_state,
                genesis.initial_height,
            )
        )  # fmt: skip
        for line in lines:
            request = _block(line)
            response = drain(app.finalize_block(request))
            app.commit()
            updates = b"".join(one.pub_key.bytes + one.power.to_bytes(8, "big") for one in response.validator_updates)
            events = b"".join(event.encode() for event in response.events)
            events += b"".join(event.encode() for result in response.tx_results for event in result.events)
            yield (
                f"block {request.height} app_hash={response.app_hash.hex()} "
                f"results={results_hash(response.tx_results).hex()} updates={updates.hex() or 'none'} "
                f"events={sha256(events).hex()} txs={len(request.txs)}"
            )
            if request.height % PRUNE_EVERY == 0:
                stores.prune(request.height - KEPT)
    yield from _contents(stores)


def _contents(stores: Stores) -> Iterator[str]:
    for store in STORE_NAMES:
        for space, records in (("records", stores.scan(store)), ("beside", stores.scan_side(store))):
            kinds: dict[bytes, list[bytes]] = defaultdict(list)
            for key, value in records:
                kinds[key[:KIND_BYTES]] += (len(key).to_bytes(2, "big"), key, len(value).to_bytes(4, "big"), value)
            for kind, parts in sorted(kinds.items()):
                shown = kind.decode("latin-1") if kind.isalnum() else kind.hex()
                yield f"state {store} {space} {shown} count={len(parts) // 4} sha256={sha256(b''.join(parts)).hex()}"


if __name__ == "__main__":
    for said in executed(Path(sys.argv[1])):
        sys.stdout.write(said + "\n")
