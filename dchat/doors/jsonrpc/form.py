"""The JSON of answers, beside what `consensus.documents.json` writes of blocks and votes.

Long lists are `Many`: made and written item by item, in slices, since a block's transactions, results and signatures
are megabytes. Forms are the reference's: 64-bit numbers are strings, bytes base64, nil null.
Source: CometBFT v0.38, libs/json, abci/types/types.go.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from consensus.abci.interface import CheckTxResponse, Slices
from consensus.documents.json import (
    block_id_json,
    commit_sig_json,
    evidence_json,
    header_json,
    pub_key_json,
    validator_update_json,
)
from consensus.formats.json_text import Json, dumps
from consensus.formats.timestamps import format_rfc3339
from consensus.types.block import Block, BlockMeta, Commit
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import Vote
from crypto.keys import PubKey, pub_key_from_proto

if TYPE_CHECKING:
    from consensus.p2p.conn.node_info import NodeInfo
    from proto.tendermint.abci import types_pb2 as abci_pb

SLICE_CHARS: Final = 32_768  # written in a row: 1 ms
RAW_CHARS: Final = 131_072  # of text that was made before: it is copied, and encoded, in 0.05 ms
PIECE_CHARS: Final = 64  # what a piece weighs at least: its object has to be made, too
NO_BLOCK_ID: Final = BlockID(b"", PartSetHeader(0, b""))
ZERO_TIME: Final = "0001-01-01T00:00:00Z"
FINGERPRINT_BYTES: Final = 6


class Many:
    """A list whose items are made as it is written."""

    __slots__ = ("items",)

    def __init__(self, items: Iterable[Json]) -> None:
        self.items = items


class Raw:
    """JSON text that was made before, of any length."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def written(value: Json) -> Slices[bytes]:
    """JSON text."""
    pieces: list[bytes] = []
    texts: list[str] = []
    size = 0
    for text in _texts(value):
        texts.append(text)
        size += len(text) + PIECE_CHARS
        if size >= SLICE_CHARS:
            pieces.append("".join(texts).encode(errors="backslashreplace"))
            texts, size = [], 0
            yield
    pieces.append("".join(texts).encode(errors="backslashreplace"))
    return b"".join(pieces)


def written_now(value: Json) -> bytes:
    """As `written`, of what is small."""
    return "".join(_texts(value)).encode(errors="backslashreplace")


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, Many):
        before = "["
        for item in value.items:
            yield before
            yield from _texts(item)
            before = ","
        yield "]" if before == "," else "[]"
    elif isinstance(value, Raw):
        for start in range(0, len(value.text), SLICE_CHARS):
            yield value.text[start : start + SLICE_CHARS]
    elif isinstance(value, dict) and _has_many(value):
        before = "{"
        for name, one in value.items():
            yield f"{before}{dumps(name)}:"
            yield from _texts(one)
            before = ","
        yield "}"
    else:
        yield dumps(value)


def is_small(value: Json) -> bool:
    """Whether it has nothing whose length is a block's, or all of it was written before and is short."""
    if isinstance(value, Raw):
        return len(value.text) <= RAW_CHARS
    return not isinstance(value, Many | Raw) and not (isinstance(value, dict) and _has_many(value))


def _has_many(value: dict[str, Json]) -> bool:
    return any(isinstance(one, Many | Raw) or (isinstance(one, dict) and _has_many(one)) for one in value.values())


def joined(texts: Sequence[bytes]) -> bytes:
    """JSON texts as a list of them."""
    return b"[%b]" % b",".join(texts)


def hex_of(data: bytes) -> str:
    return data.hex().upper()


def base64_of(data: bytes) -> str | None:
    """Empty is null, as a nil slice is."""
    return base64.b64encode(data).decode() if data else None


# ------------------------------------------------------------------------------------------------------------- blocks


def block_form(block: Block) -> Json:
    return {
        "header": header_json(block.header),
        "data": {"txs": Many(base64.b64encode(tx).decode() for tx in block.data.txs)},
        "evidence": {"evidence": Many(evidence_json(item) for item in block.evidence)},
        "last_commit": None if block.last_commit is None else commit_form(block.last_commit),
    }


def commit_form(commit: Commit) -> Json:
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": block_id_json(commit.block_id),
        "signatures": Many(commit_sig_json(slot) for slot in commit.signatures),
    }


def meta_form(meta: BlockMeta) -> Json:
    return {
        "block_id": block_id_json(meta.block_id),
        "block_size": str(meta.block_size),
        "header": header_json(meta.header),
        "num_txs": str(meta.num_txs),
    }


# ------------------------------------------------------------------------------------------------------------ results


def event_form(event: abci_pb.Event) -> Json:
    attributes = [{"key": item.key, "value": item.value, "index": item.index} for item in event.attributes]
    return {"type": event.type, "attributes": attributes}


def result_form(result: abci_pb.ExecTxResult) -> Json:
    return {
        "code": result.code,
        "data": base64_of(result.data),
        "log": result.log,
        "info": result.info,
        "gas_wanted": str(result.gas_wanted),
        "gas_used": str(result.gas_used),
        "events": [event_form(event) for event in result.events],
        "codespace": result.codespace,
    }


def sparse_result_form(result: abci_pb.ExecTxResult) -> Json:
    """As the Tx event has it: what is zero is absent."""
    whole = result_form(result)
    return {name: value for name, value in whole.items() if value not in (0, None, "", "0", [])}


def check_form(checked: CheckTxResponse) -> Json:
    return {
        "code": checked.code,
        "data": None,
        "log": checked.log,
        "info": "",
        "gas_wanted": str(checked.gas_wanted),
        "gas_used": "0",
        "events": [],
        "codespace": checked.codespace,
    }


EMPTY_RESULT: Final[Json] = {
    "code": 0, "data": None, "log": "", "info": "", "gas_wanted": "0", "gas_used": "0", "events": [], "codespace": "",
}  # fmt: skip


def updates_form(updates: Iterable[abci_pb.ValidatorUpdate]) -> list[Json]:
    return [validator_update_json((pub_key_from_proto(one.pub_key), one.power)) for one in updates]


def param_updates_form(stored: abci_pb.ResponseFinalizeBlock) -> Json:
    """What is zero is absent, and so is what was not changed."""
    if not stored.HasField("consensus_param_updates"):
        return None
    told: dict[str, Json] = {}
    updates = stored.consensus_param_updates
    for name in ("block", "evidence", "validator", "version", "abci"):
        if not updates.HasField(name):
            continue
        part = getattr(updates, name)
        fields: dict[str, Json] = {}
        for field, value in part.ListFields():
            if field.name == "max_age_duration":
                fields[field.name] = str(value.seconds * 1_000_000_000 + value.nanos)
            else:
                fields[field.name] = str(value) if isinstance(value, int) else list(value)
        told[name] = fields
    return told


# ------------------------------------------------------------------------------------------------------ votes as text


def vote_text(vote: Vote | None) -> str:
    """As people read it in consensus_state."""
    if vote is None:
        return "nil-Vote"
    kind = {1: "SIGNED_MSG_TYPE_PREVOTE(Prevote)", 2: "SIGNED_MSG_TYPE_PRECOMMIT(Precommit)"}[vote.type]
    return (
        f"Vote{{{vote.validator_index}:{fingerprint(vote.validator_address)} {vote.height}/{vote.round:02d}/{kind} "
        f"{fingerprint(vote.block_id.hash)} {fingerprint(vote.signature)} {fingerprint(vote.extension)} "
        f"@ {format_rfc3339(vote.timestamp_ns)}}}"
    )


def fingerprint(data: bytes) -> str:
    return hex_of(data[:FINGERPRINT_BYTES].ljust(FINGERPRINT_BYTES, b"\0"))


def bits_text(size: int, mask: int) -> str:
    return "".join("x" if mask >> index & 1 else "_" for index in range(size))


# ---------------------------------------------------------------------------------------------------------- the node


def node_info_form(info: NodeInfo) -> Json:
    return {
        "protocol_version": {
            "p2p": str(info.p2p_protocol),
            "block": str(info.block_protocol),
            "app": str(info.app_protocol),
        },
        "id": info.id,
        "listen_addr": info.listen_address,
        "network": info.network,
        "version": info.version,
        "channels": hex_of(info.channels),
        "moniker": info.moniker,
        "other": {"tx_index": info.tx_index, "rpc_address": info.rpc_address},
    }


def validator_info_form(pub_key: PubKey, power: int) -> Json:
    return {"address": hex_of(pub_key.address), "pub_key": pub_key_json(pub_key), "voting_power": str(power)}
