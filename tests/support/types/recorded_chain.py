"""The recorded chain of four CometBFT validators."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from consensus.documents import json as cj
from consensus.documents.genesis import GenesisDoc, parse_genesis
from consensus.formats.json_text import parse_base64
from consensus.state.state import State, next_block_state
from consensus.types.block import Block, BlockID, Commit, Header
from consensus.types.light import SignedHeader
from consensus.types.validators import ValidatorSet
from crypto.batch import SignatureCache
from tests.support.types.builders import DATA

CHAIN = DATA / "recorded" / "four-validators"


KVSTORE_APP_VERSION = 1  # what the application's Info said when the chain began


@dataclass(frozen=True)
class Recorded:
    """A height as recorded, and our state before it."""

    raw: dict[str, Any]
    block: Block
    block_id: BlockID
    commit: Commit
    before: State


@dataclass
class Chain:
    """The recorded heights, replayed; also what a node has stored, for evidence."""

    genesis: GenesisDoc
    heights: list[Recorded] = field(default_factory=list)
    after: State | None = None
    cache: SignatureCache = field(default_factory=SignatureCache)

    @property
    def latest_height(self) -> int:
        return len(self.heights)

    def at(self, height: int) -> Recorded | None:
        return self.heights[height - 1] if 0 < height <= len(self.heights) else None

    def header(self, height: int) -> Header | None:
        found = self.at(height)
        return found and found.block.header

    def signed_header(self, height: int) -> SignedHeader | None:
        found = self.at(height)
        return found and SignedHeader(found.block.header, found.commit)

    def validators(self, height: int) -> ValidatorSet | None:
        found = self.at(height)
        return found and found.before.validators


@cache
def chain() -> Chain:
    """Replay: each state follows from the one before and the recorded results alone."""
    replayed = Chain(parse_genesis((CHAIN / "genesis.json").read_text()))
    with gzip.open(CHAIN / "heights.jsonl.gz", "rt") as lines:
        raws = [json.loads(line) for line in lines]
    state = replace(
        replayed.genesis.state(),
        app_version=KVSTORE_APP_VERSION,
        app_hash=bytes.fromhex(raws[0]["block"]["block"]["header"]["app_hash"]),  # InitChain's answer
    )
    for raw in raws:
        block = cj.block_from_json(raw["block"]["block"], "block")
        block_id = cj.block_id_from_json(raw["block"]["block_id"], "block_id")
        commit = cj.commit_from_json(raw["commit"]["signed_header"]["commit"], "commit")
        replayed.heights.append(Recorded(raw, block, block_id, commit, state))
        results = raw["results"]
        state = next_block_state(
            state,
            block_id=block_id,
            header=block.header,
            tx_results=[cj.exec_tx_result_from_json(item, "result") for item in results["txs_results"] or ()],
            validator_updates=[
                cj.validator_update_from_json(item, "update") for item in results["validator_updates"] or ()
            ],
            param_updates=None,
            app_hash=parse_base64(results["app_hash"], "app_hash"),
        )
    replayed.after = state
    return replayed
