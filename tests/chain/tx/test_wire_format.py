"""docs/wire-format.md is true: its schema, its gas and its vectors are computed anew from the page itself.

What the page says in words is carried out here by hand, apart from the code that it describes, and then compared with
that code.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from chain.state import proofs
from chain.tx import gas
from chain.tx.envelope.tx import decode
from chain.tx.messages import KINDS, LANE_NAMES
from consensus.abci.interface import ProofOp
from crypto.bech32 import encode_address
from crypto.keys import Ed25519PrivKey
from proto.dchat.v1 import service_pb2, state_pb2, tx_pb2
from proto.ics23 import proofs_pb2

PAGE = (Path(__file__).parents[3] / "docs" / "wire-format.md").read_text()
BLOCKS: list[dict[str, Any]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
VECTORS = [block for block in BLOCKS if "vector" in block]
PROOFS = [block for block in BLOCKS if "proof" in block]
FIELD = re.compile(r"(repeated )?(\w+) (\w+) = (\d+)")
TYPES = {5: "int32", 3: "int64", 13: "uint32", 4: "uint64", 8: "bool", 9: "string", 12: "bytes"}


def h(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# ------------------------------------------------------------------------------------------------- the schema


def field_rows() -> list[tuple[str, str, str, str, int]]:
    """(message, repeated, type, field, number) of all that the page shows."""
    rows: list[tuple[str, str, str, str, int]] = []
    schema = re.search(r"```proto\n(.*?)```", PAGE, re.DOTALL)
    assert schema is not None
    for name, content in re.findall(r"^message (\w+) \{(.*?)^\}", schema[1], re.MULTILINE | re.DOTALL):
        for line in content.splitlines():
            code, _, comment = line.partition("//")
            rows += [(name, *found[:3], int(found[3])) for found in FIELD.findall(code)]
            if name == "Message" and (kind := FIELD.search(code)):
                rows += [(kind[2], *found[:3], int(found[3])) for found in FIELD.findall(comment)]
    for kind_name, where in (("Receipt", "## The receipt"), ("BroadcastRequest", "| `Broadcast` |")):
        content = PAGE.partition(where)[2].split("|" if kind_name == "BroadcastRequest" else "\n## ")[0]
        content = content.replace("\n", " ").replace("`", "")
        legs = re.search(r"\(string kind = 1.*?\)", content)
        rows += [("LegOutcome", *found[:3], int(found[3])) for found in FIELD.findall(legs[0] if legs else "")]
        rows += [
            (kind_name, *found[:3], int(found[3]))
            for found in FIELD.findall(content.replace(legs[0] if legs else "\0", ""))
        ]
    return rows


@pytest.mark.parametrize("row", field_rows(), ids=lambda row: f"{row[0]}.{row[3]}")
def test_the_schema_is_the_one_of_the_chain(row: tuple[str, str, str, str, int]) -> None:
    message, repeated, kind, name, number = row
    owner = next(pb for pb in (tx_pb2, state_pb2, service_pb2) if message in pb.DESCRIPTOR.message_types_by_name)
    field = owner.DESCRIPTOR.message_types_by_name[message].fields_by_name[name]
    told = field.message_type.name if field.message_type else field.enum_type.name if field.enum_type else None
    assert (field.number, bool(field.is_repeated)) == (number, bool(repeated))
    assert kind == (told or TYPES[field.type])


def test_the_page_shows_what_it_needs() -> None:
    assert len(field_rows()) > 50
    assert len(VECTORS) == 4
    assert len(PROOFS) == 2


def test_gas_is_what_kinds_cost() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| ([\d,]+) \|$", PAGE, re.MULTILINE)
    assert len(rows) >= 8
    for name, lanes, cost in rows:
        kind = KINDS[name]
        assert lanes == ", ".join(LANE_NAMES[lane] for lane in sorted(kind.lanes)), name
        assert int(cost.replace(",", "")) == kind.gas, name
    said = re.search(r"\*\*intrinsic gas\*\*: (.*?)for each message", PAGE, re.DOTALL)
    assert said is not None
    assert [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*\d", said[1])] == [
        gas.GAS_TRANSACTION, gas.GAS_BYTE, gas.GAS_SIGNATURE, gas.GAS_MARK, gas.GAS_RECEIPT,
        gas.GAS_GRANT,
    ]  # fmt: skip
    assert f"adds {gas.GAS_NEW_LEAF:,} for each new record" in PAGE


# ------------------------------------------------------------------------------------------------- transactions


def encoded(kind: Any, told: dict[str, Any]) -> bytes:
    """A message by the page's rules alone: fields in order, defaults left out, sub-messages written."""
    out = b""
    for field in sorted(kind.fields, key=lambda field: field.number):
        if field.name not in told:
            continue
        values = told[field.name] if field.is_repeated else [told[field.name]]
        for value in values:
            if field.message_type:
                content = encoded(field.message_type, value)
            elif isinstance(value, str):
                content = bytes.fromhex(value) if field.type == field.TYPE_BYTES else value.encode()
            else:
                out += varint(field.number << 3) + varint(value)
                continue
            out += varint(field.number << 3 | 2) + varint(len(content)) + content
    return out


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["vector"])
def test_a_vector_is_recomputed(vector: dict[str, Any]) -> None:
    body = encoded(tx_pb2.TxBody.DESCRIPTOR, vector["body"])
    assert body.hex() == vector["body_hex"]
    digest = h(b"dchat/tx/v1", body)
    assert (digest.hex(), h(body).hex()) == (vector["sign_hash"], vector["replay_id"])
    envelope = varint(1 << 3 | 2) + varint(len(body)) + body
    for index, key in enumerate(vector["keys"]):
        private = Ed25519PrivKey.from_seed(bytes.fromhex(key["seed"]))
        public, place = private.pub_key.bytes, key.get("signer", index)
        shown = vector["body"]["signers"][place].get("policy")
        policy = encoded(tx_pb2.KeyPolicy.DESCRIPTOR, shown) if shown else bytes.fromhex("0a20") + public
        address = h(b"dchat/address", policy)[:20]
        assert (public.hex(), policy.hex()) == (key["public_key"], key["policy"])
        assert (address.hex(), encode_address(address)) == (key["address"], key["address_text"])
        assert private.sign(digest).hex() == key["signature"]
        signature = {"public_key": public.hex(), "signature": key["signature"]} | ({"signer": place} if place else {})
        content = encoded(tx_pb2.Signature.DESCRIPTOR, signature)
        envelope += varint(2 << 3 | 2) + varint(len(content)) + content
    assert envelope.hex() == vector["envelope"]
    assert h(envelope).hex() == vector["id"]

    tx = decode(envelope)  # and the chain takes it
    assert (tx.id, tx.replay_id, tx.sign_hash) == (h(envelope), h(body), digest)
    assert {signer.address.hex() for signer in tx.signers} == {key["address"] for key in vector["keys"]}
    assert tx.intrinsic_gas == vector["intrinsic_gas"]


# ------------------------------------------------------------------------------------------------- proofs


def merkle_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return h(b"\x00", leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return h(b"\x01", merkle_root(leaves[:split]), merkle_root(leaves[split:]))


def header_hash(header: Any) -> bytes:
    def wrapped(content: bytes) -> bytes:
        return b"\x0a" + varint(len(content)) + content if content else b""

    leaves = [
        header.version.SerializeToString(), wrapped(header.chain_id.encode()), b"\x08" + varint(header.height),
        header.time.SerializeToString(), header.last_block_id.SerializeToString(),
    ]  # fmt: skip
    leaves += [wrapped(getattr(header, field.name)) for field in header.DESCRIPTOR.fields if field.number >= 6]
    assert len(leaves) == 14
    return merkle_root(leaves)


def climbed(proof: Any, leaf: bytes, place: int | None) -> bytes:
    node = leaf
    for number, inner in enumerate(proof.path):
        left, right = len(inner.prefix) == 33, len(inner.suffix) == 32
        assert inner.prefix[:1] == b"\x01"
        assert left != right
        if place is not None:
            depth = len(proof.path) - 1 - number
            assert place >> (255 - depth) & 1 == left
        node = h(inner.prefix, node, inner.suffix)
    return node


@pytest.mark.parametrize("vector", PROOFS, ids=lambda vector: vector["proof"])
def test_a_proof_is_verified_from_the_blocks_hash(vector: dict[str, Any]) -> None:
    answer = getattr(service_pb2, vector["proof"]).FromString(bytes.fromhex(vector["answer"]))
    proof = answer.channel_proof if hasattr(answer, "channel_proof") else answer.proof
    header = proof.light_block.signed_header.header
    assert (header.height, header_hash(header).hex()) == (vector["trusted_height"], vector["trusted_hash"])
    assert header.app_hash.hex() == vector["app_hash"]
    assert (proof.height, proof.store) == (header.height - 1, vector["store"])
    key, value = bytes.fromhex(vector["key"]), bytes.fromhex(vector["value"])
    lower, upper = (proofs_pb2.CommitmentProof.FromString(op.data).exist for op in proof.ops.ops)
    root = climbed(lower, h(b"\x00", h(key), h(value)), int.from_bytes(h(key), "big"))
    name = proof.store.encode()
    assert (lower.key, lower.value, upper.key, upper.value) == (key, value, name, root)
    assert climbed(upper, h(b"\x00", varint(len(name)), name, b"\x20", h(root)), None) == header.app_hash
    ops = [ProofOp(op.type, op.key, op.data) for op in proof.ops.ops]
    proofs.verify(ops, header.app_hash, store=proof.store, key=key, value=value)  # and so says the code
    if "message" not in vector:
        assert value == answer.account.SerializeToString(deterministic=True)
        assert key == b"a" + answer.account.address
        return
    channel, index = state_pb2.Channel.FromString(value), vector["index"]
    assert key == b"c" + channel.id == b"c" + h(b"dchat/channel", channel.name.encode())[:20]
    node, path = h(b"\x00", bytes.fromhex(vector["message"])), answer.path.path
    for level, sibling in enumerate(path):
        node = h(b"\x01", sibling, node) if index >> level & 1 else h(b"\x01", node, sibling)
    highest = (index ^ channel.message_count).bit_length() - 1
    assert len(path) == highest > 0
    assert node == channel.peaks[(channel.message_count >> highest + 1).bit_count()]
