"""The JSON of CometBFT's RPC, genesis and key files.

64-bit integers are strings, bytes base64, hashes and addresses upper-case hex, times RFC 3339; keys and evidence
are wrapped as {"type", "value"}. Writers give plain dicts and lists for `json_text.dumps`; readers take parsed JSON
and the place it stands at, which errors name. Unknown keys are ignored, absent and null ones mean zero.
Source: CometBFT v0.38, spec/rpc/README.md, libs/json.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from consensus.formats.errors import InvalidValidators, Malformed
from consensus.formats.json_text import Fields, Json, kind_of, parse_base64
from consensus.formats.timestamps import format_rfc3339
from consensus.state.results import Event, EventAttribute, ExecTxResult
from consensus.types.block import Block, Data
from consensus.types.commit import Commit, CommitSig
from consensus.types.evidence import DuplicateVoteEvidence, Evidence, LightClientAttackEvidence
from consensus.types.header import Header, Version
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.params import (
    ABCIParams,
    BlockParams,
    ConsensusParams,
    EvidenceParams,
    ValidatorParams,
    VersionParams,
)
from consensus.types.validators import Change, Validator, ValidatorSet
from consensus.types.vote import Vote
from crypto import merkle
from crypto.errors import InvalidKey
from crypto.keys import KEY_TYPES, PrivKey, PubKey, make_priv_key, make_pub_key

T = TypeVar("T")

_PUB_KEY_NAMES: Final = {kind.name: kind.pub_key_name for kind in KEY_TYPES.values()}
_PRIV_KEY_NAMES: Final = {kind.name: kind.priv_key_name for kind in KEY_TYPES.values()}
_DUPLICATE_VOTE: Final = "tendermint/DuplicateVoteEvidence"
_LIGHT_CLIENT_ATTACK: Final = "tendermint/LightClientAttackEvidence"


def _hex(data: bytes) -> str:
    return data.hex().upper()


def _base64(data: bytes) -> str | None:
    """Empty bytes are null, as for Go's nil slice."""
    return base64.b64encode(data).decode() if data else None


# ------------------------------------------------------------------------------------------------------- keys


def pub_key_json(key: PubKey) -> Json:
    return {"type": _PUB_KEY_NAMES[key.type], "value": base64.b64encode(key.bytes).decode()}


def priv_key_json(key: PrivKey) -> Json:
    """Secret."""
    return {"type": _PRIV_KEY_NAMES[key.type], "value": base64.b64encode(key.bytes).decode()}


def pub_key_from_json(value: Json, where: str) -> PubKey:
    """Raises Malformed."""
    return _key(value, where, _PUB_KEY_NAMES, make_pub_key)


def priv_key_from_json(value: Json, where: str) -> PrivKey:
    """Raises Malformed, which never shows the key."""
    return _key(value, where, _PRIV_KEY_NAMES, make_priv_key)


def _key(value: Json, where: str, names: Mapping[str, str], make: Callable[[str, bytes], T]) -> T:
    fields = Fields(value, where)
    name = fields.text("type")
    for kind, known in names.items():
        if name == known:
            try:
                return make(kind, fields.base64("value"))
            except InvalidKey as error:
                raise Malformed(f"{where}: {error}") from error
    raise Malformed(f"{where}.type is {name!r}; allowed: {', '.join(names.values())}")


# ----------------------------------------------------------------------------------------------------- blocks


def block_id_json(block_id: BlockID) -> Json:
    parts = block_id.part_set_header
    return {"hash": _hex(block_id.hash), "parts": {"total": parts.total, "hash": _hex(parts.hash)}}


def block_id_from_json(value: Json, where: str) -> BlockID:
    """Raises Malformed."""
    fields = Fields(value, where)
    parts = fields.object("parts")
    return BlockID(fields.hex("hash"), PartSetHeader(parts.uint32("total"), parts.hex("hash")))


def header_json(header: Header) -> Json:
    version = {"block": header.version.block, "app": header.version.app}
    return {
        "version": {name: str(number) for name, number in version.items() if number},
        "chain_id": header.chain_id,
        "height": str(header.height),
        "time": format_rfc3339(header.time_ns),
        "last_block_id": block_id_json(header.last_block_id),
        **{name: _hex(getattr(header, name)) for name in _HEADER_HASHES},
    }


_HEADER_HASHES: Final = (
    "last_commit_hash",
    "data_hash",
    "validators_hash",
    "next_validators_hash",
    "consensus_hash",
    "app_hash",
    "last_results_hash",
    "evidence_hash",
    "proposer_address",
)


def header_from_json(value: Json, where: str) -> Header:
    """Raises Malformed."""
    fields = Fields(value, where)
    version = fields.object("version")
    return Header(
        Version(version.uint64("block"), version.uint64("app")),
        fields.text("chain_id"),
        fields.int64("height"),
        fields.time("time"),
        fields.read("last_block_id", block_id_from_json),
        *(fields.hex(name) for name in _HEADER_HASHES),
    )


def commit_sig_json(slot: CommitSig) -> Json:
    return {
        "block_id_flag": slot.block_id_flag,
        "validator_address": _hex(slot.validator_address),
        "timestamp": format_rfc3339(slot.timestamp_ns),
        "signature": _base64(slot.signature),
    }


def commit_sig_from_json(value: Json, where: str) -> CommitSig:
    """Raises Malformed."""
    fields = Fields(value, where)
    return CommitSig(
        fields.uint32("block_id_flag"),
        fields.hex("validator_address"),
        fields.time("timestamp"),
        fields.base64("signature"),
    )


def commit_json(commit: Commit) -> Json:
    return {
        "height": str(commit.height),
        "round": commit.round,
        "block_id": block_id_json(commit.block_id),
        "signatures": [commit_sig_json(slot) for slot in commit.signatures],
    }


def commit_from_json(value: Json, where: str) -> Commit:
    """Raises Malformed."""
    fields = Fields(value, where)
    return Commit(
        fields.int64("height"),
        fields.int32("round"),
        fields.read("block_id", block_id_from_json),
        fields.list("signatures", commit_sig_from_json),
    )


def block_json(block: Block) -> Json:
    return {
        "header": header_json(block.header),
        "data": {"txs": [base64.b64encode(tx).decode() for tx in block.data.txs]},
        "evidence": {"evidence": [evidence_json(item) for item in block.evidence]},
        "last_commit": None if block.last_commit is None else commit_json(block.last_commit),
    }


def block_from_json(value: Json, where: str) -> Block:
    """Raises Malformed, InvalidValidators (in evidence)."""
    fields = Fields(value, where)
    return Block(
        fields.read("header", header_from_json),
        Data(fields.object("data").list("txs", _bytes_from_json)),
        fields.object("evidence").list("evidence", evidence_from_json),
        fields.read("last_commit", commit_from_json) if "last_commit" in fields else None,
    )


def _bytes_from_json(value: Json, where: str) -> bytes:
    if not isinstance(value, str):
        raise Malformed(f"{where} is {kind_of(value)}, expected base64")
    return parse_base64(value, where)


def signed_header_json(signed: SignedHeader) -> Json:
    return {"header": header_json(signed.header), "commit": commit_json(signed.commit)}


def signed_header_from_json(value: Json, where: str) -> SignedHeader:
    """Raises Malformed."""
    fields = Fields(value, where)
    return SignedHeader(fields.read("header", header_from_json), fields.read("commit", commit_from_json))


def light_block_json(block: LightBlock) -> Json:
    return {
        "signed_header": signed_header_json(block.signed_header),
        "validator_set": validator_set_json(block.validators),
    }


def light_block_from_json(value: Json, where: str) -> LightBlock:
    """Raises Malformed, InvalidValidators."""
    fields = Fields(value, where)
    return LightBlock(
        fields.read("signed_header", signed_header_from_json), fields.read("validator_set", validator_set_from_json)
    )


# ------------------------------------------------------------------------------------------------- validators


def validator_json(validator: Validator) -> Json:
    return {
        "address": _hex(validator.address),
        "pub_key": pub_key_json(validator.pub_key),
        "voting_power": str(validator.voting_power),
        "proposer_priority": str(validator.proposer_priority),
    }


def validator_from_json(value: Json, where: str) -> Validator:
    """Raises Malformed, InvalidValidators (address and key disagree)."""
    fields = Fields(value, where)
    key = fields.read("pub_key", pub_key_from_json)
    address = fields.hex("address")
    if address != key.address:
        raise InvalidValidators(f"{where}.address is {address.hex()}, its key's is {key.address.hex()}")
    return Validator(key, fields.int64("voting_power"), fields.int64("proposer_priority"))


def validator_set_json(validators: ValidatorSet) -> Json:
    proposer = validators.current
    return {
        "validators": [validator_json(validator) for validator in validators],
        "proposer": None if proposer is None else validator_json(proposer),
    }


def validator_set_from_json(value: Json, where: str) -> ValidatorSet:
    """Raises Malformed, InvalidValidators. Without a proposer, it follows from the priorities."""
    fields = Fields(value, where)
    proposer = fields.read("proposer", validator_from_json) if "proposer" in fields else None
    return ValidatorSet.from_existing(fields.list("validators", validator_from_json), proposer=proposer)


def validator_update_json(change: Change) -> Json:
    """A change as block results show it: the protobuf's one-of, not the usual key; a removal has no power."""
    key, power = change
    kind = KEY_TYPES[key.type]
    value = {
        "type": f"tendermint.crypto.PublicKey_{kind.go_field}",
        "value": {kind.field: base64.b64encode(key.bytes).decode()},
    }
    return {"pub_key": {"Sum": value}, **({"power": str(power)} if power else {})}


def validator_update_from_json(value: Json, where: str) -> Change:
    """Raises Malformed."""
    fields = Fields(value, where)
    key = fields.object("pub_key").object("Sum").object("value")
    for kind in KEY_TYPES.values():
        if kind.field in key:
            try:
                return kind.pub_key(key.base64(kind.field)), fields.int64("power")
            except InvalidKey as error:
                raise Malformed(f"{where}: {error}") from error
    raise Malformed(f"{key.where} has no key; allowed: {', '.join(kind.field for kind in KEY_TYPES.values())}")


# ------------------------------------------------------------------------------------------ votes and evidence


def vote_json(vote: Vote) -> Json:
    return {
        "type": vote.type,
        "height": str(vote.height),
        "round": vote.round,
        "block_id": block_id_json(vote.block_id),
        "timestamp": format_rfc3339(vote.timestamp_ns),
        "validator_address": _hex(vote.validator_address),
        "validator_index": vote.validator_index,
        "signature": _base64(vote.signature),
        "extension": _base64(vote.extension),
        "extension_signature": _base64(vote.extension_signature),
    }


def vote_from_json(value: Json, where: str) -> Vote:
    """Raises Malformed."""
    fields = Fields(value, where)
    return Vote(
        fields.int32("type"),
        fields.int64("height"),
        fields.int32("round"),
        fields.read("block_id", block_id_from_json),
        fields.time("timestamp"),
        fields.hex("validator_address"),
        fields.int32("validator_index"),
        fields.base64("signature"),
        fields.base64("extension"),
        fields.base64("extension_signature"),
    )


def evidence_json(evidence: Evidence) -> Json:
    match evidence:
        case DuplicateVoteEvidence():
            return {
                "type": _DUPLICATE_VOTE,
                "value": {
                    "vote_a": vote_json(evidence.vote_a),
                    "vote_b": vote_json(evidence.vote_b),
                    "TotalVotingPower": str(evidence.total_voting_power),
                    "ValidatorPower": str(evidence.validator_power),
                    "Timestamp": format_rfc3339(evidence.timestamp_ns),
                },
            }
        case LightClientAttackEvidence():
            return {
                "type": _LIGHT_CLIENT_ATTACK,
                "value": {
                    "ConflictingBlock": light_block_json(evidence.conflicting_block),
                    "CommonHeight": str(evidence.common_height),
                    "ByzantineValidators": [validator_json(member) for member in evidence.byzantine_validators],
                    "TotalVotingPower": str(evidence.total_voting_power),
                    "Timestamp": format_rfc3339(evidence.timestamp_ns),
                },
            }


def evidence_from_json(value: Json, where: str) -> Evidence:
    """Raises Malformed, InvalidValidators."""
    wrapper = Fields(value, where)
    name, fields = wrapper.text("type"), wrapper.object("value")
    if name == _DUPLICATE_VOTE:
        return DuplicateVoteEvidence(
            fields.read("vote_a", vote_from_json),
            fields.read("vote_b", vote_from_json),
            fields.int64("TotalVotingPower"),
            fields.int64("ValidatorPower"),
            fields.time("Timestamp"),
        )
    if name == _LIGHT_CLIENT_ATTACK:
        return LightClientAttackEvidence(
            fields.read("ConflictingBlock", light_block_from_json),
            fields.int64("CommonHeight"),
            fields.list("ByzantineValidators", validator_from_json),
            fields.int64("TotalVotingPower"),
            fields.time("Timestamp"),
        )
    raise Malformed(f"{where}.type is {name!r}; allowed: {_DUPLICATE_VOTE}, {_LIGHT_CLIENT_ATTACK}")


# ---------------------------------------------------------------------------------- parameters, results, proofs


def params_json(params: ConsensusParams) -> Json:
    return {
        "block": {"max_bytes": str(params.block.max_bytes), "max_gas": str(params.block.max_gas)},
        "evidence": {
            "max_age_num_blocks": str(params.evidence.max_age_num_blocks),
            "max_age_duration": str(params.evidence.max_age_duration_ns),
            "max_bytes": str(params.evidence.max_bytes),
        },
        "validator": {"pub_key_types": list(params.validator.pub_key_types)},
        "version": {"app": str(params.version.app)},
        "abci": {"vote_extensions_enable_height": str(params.abci.vote_extensions_enable_height)},
    }


def params_from_json(value: Json, where: str) -> ConsensusParams:
    """Raises Malformed. Absent numbers are 0, which `ConsensusParams.validate` mostly refuses."""
    fields = Fields(value, where)
    block, evidence = fields.object("block"), fields.object("evidence")
    return ConsensusParams(
        BlockParams(block.int64("max_bytes"), block.int64("max_gas")),
        EvidenceParams(
            evidence.int64("max_age_num_blocks"), evidence.int64("max_age_duration"), evidence.int64("max_bytes")
        ),
        ValidatorParams(fields.object("validator").list("pub_key_types", _text_from_json)),
        VersionParams(fields.object("version").uint64("app")),
        ABCIParams(fields.object("abci").int64("vote_extensions_enable_height")),
    )


def _text_from_json(value: Json, where: str) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{where} is {kind_of(value)}, expected a string")
    return value


def event_json(event: Event) -> Json:
    attributes = [{"key": item.key, "value": item.value, "index": item.index} for item in event.attributes]
    return {"type": event.type, "attributes": attributes}


def event_from_json(value: Json, where: str) -> Event:
    """Raises Malformed."""
    fields = Fields(value, where)
    return Event(fields.text("type"), fields.list("attributes", _attribute_from_json))


def _attribute_from_json(value: Json, where: str) -> EventAttribute:
    fields = Fields(value, where)
    return EventAttribute(fields.text("key"), fields.text("value"), fields.flag("index"))


def exec_tx_result_json(result: ExecTxResult) -> Json:
    return {
        "code": result.code,
        "data": _base64(result.data),
        "log": result.log,
        "info": result.info,
        "gas_wanted": str(result.gas_wanted),
        "gas_used": str(result.gas_used),
        "events": [event_json(event) for event in result.events],
        "codespace": result.codespace,
    }


def exec_tx_result_from_json(value: Json, where: str) -> ExecTxResult:
    """Raises Malformed."""
    fields = Fields(value, where)
    return ExecTxResult(
        fields.uint32("code"),
        fields.base64("data"),
        fields.text("log"),
        fields.text("info"),
        fields.int64("gas_wanted"),
        fields.int64("gas_used"),
        fields.list("events", event_from_json),
        fields.text("codespace"),
    )


def proof_json(proof: merkle.Proof) -> Json:
    return {
        "total": str(proof.total),
        "index": str(proof.index),
        "leaf_hash": base64.b64encode(proof.leaf_hash).decode(),
        "aunts": [base64.b64encode(aunt).decode() for aunt in proof.aunts],
    }


def proof_from_json(value: Json, where: str) -> merkle.Proof:
    """Raises Malformed. `Proof.verify` judges it."""
    fields = Fields(value, where)
    return merkle.Proof(
        fields.int64("total"),
        fields.int64("index"),
        fields.base64("leaf_hash"),
        fields.list("aunts", _bytes_from_json),
    )
