"""What CometBFT's JSON-RPC calls answer, each from a header that the light client believes.

Over CometBFT's JSON-RPC the calls are its own; over our gRPC they are made of our calls. Heights are those of the
answer; without one it is the latest that the primary has, verified first.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from chain.state import proofs
from chain.state.roots import STORE_NAMES
from consensus.abci.interface import ProofOp
from consensus.documents.json import block_from_json as read_block
from consensus.documents.json import (
    block_id_json,
    block_json,
    header_json,
    signed_header_json,
    validator_json,
)
from consensus.formats.errors import InvalidData, InvalidLightBlock, Malformed
from consensus.formats.json_text import Fields, Json
from consensus.formats.timestamps import format_rfc3339
from consensus.types.block import Block
from consensus.types.light import LightBlock
from crypto.merkle import InvalidProof
from dchat.client.client import HEIGHT_MAX, NodeUnreachable
from dchat.client.light_provider import DoorProvider
from light import LightClient
from light.errors import NoAnswer, NoBlock
from light.rpc import BLOCK_BYTES_MAX, RpcProvider
from proto.dchat.v1 import service_pb2 as pb

PER_PAGE, PER_PAGE_MAX = 30, 100
KEY_BYTES_MAX: Final = 1_024
OPS_MAX: Final = 8
_PATH: Final = re.compile(r"/store/([a-z_]{1,32})/key", re.ASCII)

Answer = Callable[[Mapping[str, Any]], Awaitable[Json]]
T = TypeVar("T")
Node = TypeVar("Node", bound=DoorProvider | RpcProvider)


class NotAnswered(Exception):
    """What was asked for is not answered here."""


class CannotProve(NotAnswered):
    """The node's answer has no proof that is understood here."""


class BadParams(NotAnswered):
    """What was asked for is nothing that can be."""


class HeightNotReached(NotAnswered):
    """The chain has not got so far. Says so in CometBFT's words, by which light clients of its kind know it."""

    def __init__(self, height: int, latest: int) -> None:
        super().__init__(f"height {height} must be less than or equal to the current blockchain height {latest}")


class Record(NamedTuple):
    """What stands under a key (None: nothing), the proof, and the header that it leads to."""

    value: bytes | None
    ops: list[ProofOp]
    proved_by: LightBlock


class Nodes:
    """Whom to ask for what is verified anyway: the one that the light client follows now, then the others."""

    def __init__(self, light: LightClient, nodes: Sequence[DoorProvider | RpcProvider]) -> None:
        self._light, self._nodes = light, tuple(nodes)

    @property
    def doors(self) -> tuple[DoorProvider, ...]:
        return tuple(node for node in self._in_turn() if isinstance(node, DoorProvider))

    async def first(self, ask: Callable[[DoorProvider | RpcProvider], Awaitable[T]]) -> T:
        """What the first says that answers at all. Raises the last one's NodeUnreachable or NoAnswer, and as `ask`."""
        return await first_of(self._in_turn(), ask)

    def _in_turn(self) -> list[DoorProvider | RpcProvider]:
        return sorted(self._nodes, key=lambda node: node is not self._light.primary)


async def first_of(nodes: Sequence[Node], ask: Callable[[Node], Awaitable[T]]) -> T:
    """As `Nodes.first`."""
    for node in nodes[:-1]:
        with contextlib.suppress(NodeUnreachable, NoAnswer):
            return await ask(node)
    return await ask(nodes[-1])


class Verified:
    def __init__(self, light: LightClient, nodes: Nodes) -> None:
        self._light, self._nodes = light, nodes
        self.methods: dict[str, Answer] = {
            "health": self._health,
            "status": self._status,
            "header": self._header,
            "commit": self._commit,
            "validators": self._validators,
            "block": self._block,
            "abci_query": self._query,
        }

    async def at(self, params: Mapping[str, Any]) -> LightBlock:
        height = number(params, "height")
        if not height:
            return await self._light.update()
        try:
            return await self._light.verify_at(height)
        except NoBlock:
            if height > (latest := await self._light.update()).height:
                raise HeightNotReached(height, latest.height) from None
            raise  # pruned

    async def _health(self, _: Mapping[str, Any]) -> Json:
        return {}

    async def _status(self, _: Mapping[str, Any]) -> Json:
        block = await self._light.update()
        return {
            "node_info": {"network": block.header.chain_id},
            "sync_info": {
                "latest_block_hash": block.hash.hex().upper(),
                "latest_app_hash": block.header.app_hash.hex().upper(),
                "latest_block_height": str(block.height),
                "latest_block_time": format_rfc3339(block.header.time_ns),
                "catching_up": False,
            },
            "light_client": {
                "primary": self._light.primary.name,
                "witnesses": [witness.name for witness in self._light.witnesses],
            },
        }

    async def _header(self, params: Mapping[str, Any]) -> Json:
        return {"header": header_json((await self.at(params)).header)}

    async def _commit(self, params: Mapping[str, Any]) -> Json:
        return {"signed_header": signed_header_json((await self.at(params)).signed_header), "canonical": True}

    async def _validators(self, params: Mapping[str, Any]) -> Json:
        block = await self.at(params)
        size = min(PER_PAGE_MAX, number(params, "per_page") or PER_PAGE)
        page, pages = number(params, "page") or 1, -(-len(block.validators) // size)
        if page > pages:
            raise BadParams(f"page should be within [1, {pages}] range, given {page}")
        members = [block.validators[at] for at in range((page - 1) * size, min(page * size, len(block.validators)))]
        return {
            "block_height": str(block.height),
            "validators": [validator_json(member) for member in members],
            "count": str(len(members)),
            "total": str(len(block.validators)),
        }

    async def _block(self, params: Mapping[str, Any]) -> Json:
        light = await self.at(params)
        block = await self.block(light)
        return {"block_id": block_id_json(light.commit.block_id), "block": block_json(block)}

    async def block(self, light: LightBlock) -> Block:
        """The block of a verified header. Raises InvalidData: it is another one."""

        async def ask(node: DoorProvider | RpcProvider) -> Block:
            if isinstance(node, DoorProvider):
                return Block.from_proto((await node.client.block(light.height)).block)
            return (await node.call("block", BLOCK_BYTES_MAX, height=str(light.height))).read("block", read_block)

        block = await self._nodes.first(ask)
        block.validate()
        if block.hash != light.hash or block.part_set().header != light.commit.block_id.part_set_header:
            raise InvalidLightBlock(f"block {light.height} is another one than its verified header's")
        return block

    async def _query(self, params: Mapping[str, Any]) -> Json:
        """With its proof, whatever `prove` says. The state after a block is proved by the next header."""
        path, key = str(params.get("path") or "").strip('"'), hex_bytes(params, "data")
        store = _PATH.fullmatch(path)
        if store is None:
            raise CannotProve(f"path is {path[:64]!r}; verified are /store/NAME/key: {', '.join(STORE_NAMES)}")
        found = await self.record(store[1], key, after=number(params, "height"))
        value = found.value
        return {"response": {
            "code": 0, "log": "exists" if value is not None else "does not exist", "info": "", "index": "0",
            "key": _base64(key), "value": _base64(value) if value else None, "height": str(found.proved_by.height - 1),
            "codespace": "",
            "proofOps": {"ops": [
                {"type": op.type, "key": _base64(op.key), "data": _base64(op.data)} for op in found.ops
            ]},
        }}  # fmt: skip

    async def record(self, store: str, key: bytes, *, after: int) -> Record:
        """What stands under a key after a block (0: the latest that a header proves).

        Raises BadParams, CannotProve (the node gives no proof that is understood), InvalidData (it does not hold),
        AskFailed, LightError.
        """
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise BadParams(f"data (the key) has {len(key)} bytes; allowed: 1 to {KEY_BYTES_MAX}")
        height = after or (await self._light.update()).height - 1
        if height < 1:
            raise BadParams("there is no state that a header proves yet")
        value, ops = await self._nodes.first(lambda node: _ask_state(node, store, key, height))
        proved_by = await self._light.verify_at(height + 1)
        check_state(ops, proved_by.header.app_hash, store=store, key=key, value=value)
        return Record(value, ops, proved_by)


async def _ask_state(
    node: DoorProvider | RpcProvider, store: str, key: bytes, height: int
) -> tuple[bytes | None, list[ProofOp]]:
    if isinstance(node, DoorProvider):
        asked = pb.GetRecordRequest(store=store, key=key, height=height, prove=True)
        answer: pb.GetRecordResponse = await node.client.call(node.client.state.GetRecord, asked)
        if answer.height != height:
            raise InvalidLightBlock(f"asked for the state after block {height}, got it after {answer.height}")
        return answer.value or None, [ProofOp(op.type, op.key, op.data) for op in answer.proof.ops.ops]
    told = await node.call("abci_query", path=f"/store/{store}/key", data=key.hex(), height=str(height), prove=True)
    response = told.object("response")
    if response.raw("code") or response.int64("height") != height or response.base64("key") not in (key, b""):
        raise CannotProve(f"the node has no answer about this key after block {height}")
    ops = response.object("proofOps").list("ops", _op_from_json)
    return response.base64("value") or None, list(ops)


def check_state(ops: Sequence[ProofOp], app_hash: bytes, *, store: str, key: bytes, value: bytes | None) -> None:
    """Raises CannotProve: no proof of a kind that is understood; InvalidData: it does not hold."""
    kinds = tuple(op.type for op in ops[:OPS_MAX])
    if kinds != (proofs.SMT_OP, proofs.SIMPLE_OP):
        raise CannotProve(
            f"the node's proof is of {', '.join(kinds) or 'nothing'}; verified are {proofs.SMT_OP}, {proofs.SIMPLE_OP}"
        )
    try:
        proofs.verify(ops, app_hash, store=store, key=key, value=value)
    except InvalidProof as error:
        raise Malformed(f"the proof does not hold: {error}") from error


def _op_from_json(value: Json, where: str) -> ProofOp:
    fields = Fields(value, where)
    return ProofOp(fields.text("type"), fields.base64("key"), fields.base64("data"))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def number(params: Mapping[str, Any], name: str) -> int:
    """A height or count: a number, text, or text in quotes, as CometBFT takes them; absent: 0. Raises BadParams."""
    said = params.get(name)
    if said is None or said == "":
        return 0
    text = str(said).strip('"') if isinstance(said, str | int) and not isinstance(said, bool) else "?"
    if not (0 < len(text) <= 19 and text.isascii() and text.isdigit()) or not 0 < int(text) <= HEIGHT_MAX:
        raise BadParams(f"{name} is {str(said)[:40]!r}; allowed: 1 to {HEIGHT_MAX}")
    return int(text)


def hex_bytes(params: Mapping[str, Any], name: str) -> bytes:
    """Hex, with or without 0x. Raises BadParams."""
    text = str(params.get(name) or "").strip('"').removeprefix("0x")
    try:
        return binascii.unhexlify(text)
    except (ValueError, binascii.Error):
        raise BadParams(f"{name} is no hex") from None


__all__ = ["BadParams", "CannotProve", "InvalidData", "Nodes", "NotAnswered", "Record", "Verified", "first_of"]
