"""What the doors answer with: reading blocks, results and state at saved heights, as dchat.v1 messages.

Promises: nothing above the last saved state is served; every answer says its height; with `prove` the header that
proves it comes along. Reads are bounded by the limits of the schema. Raises NotThere, BadQuestion.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chain.chat.ledger.records import IDENTITY_NAME
from chain.state.errors import StateError, VersionUnavailable
from chain.state.roots import CHAT
from chain.state.smt import KEY_BYTES_MAX
from chain.tx.messages import channel_id as id_of
from consensus.abci.interface import Slices
from consensus.formats.bounds import DATA, split
from consensus.formats.wire import message_field, parse_ours
from consensus.state.results import ExecTxResult, result_proof
from consensus.stores.interfaces import BlockStore
from consensus.types.block import Block, BlockMeta, Commit
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.validators import EMPTY_SET
from crypto.hash import ADDRESS_BYTES, HASH_BYTES
from dchat.app.errors import NO_CHANNEL, NoChannel
from dchat.app.queries import Found, Queries
from dchat.doors.reads.errors import BadQuestion, NotThere, out_of_reach
from dchat.doors.reads.results import TEXT_UNITS_PER_SLICE, block_results_text, event_protos, in_parts, told_events
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2
from proto.tendermint.types import block_pb2, types_pb2

if TYPE_CHECKING:
    from consensus.stores.state_store import StateStore
    from proto.tendermint.abci import types_pb2 as abci_pb

BLOCK_ID_TAG, BLOCK_TAG = b"\x0a", b"\x12"  # of GetBlockResponse and StreamBlocksResponse
BLOCKS_MAX = 100
BLOCKS_DEFAULT = 20
CHANNELS_MAX = 100
CHANNELS_DEFAULT = 20
MESSAGES_MAX = 500
MESSAGES_DEFAULT = 100


@dataclass(frozen=True)
class Answers:
    """Reads for the doors. Calls are short; invariants alone read the whole state."""

    blocks: BlockStore
    states: StateStore
    queries: Queries

    # ------------------------------------------------------------------------------------------------- heights

    @property
    def height(self) -> int:
        """The last saved one; 0 before the first block."""
        state = self.states.load()
        return 0 if state is None else state.last_block_height

    @property
    def base(self) -> int:
        return self.blocks.base

    def _block_height(self, height: int) -> int:
        """`height`, or the latest for 0. Raises NotThere."""
        latest = self.height
        chosen = height or latest
        if not self.base <= chosen <= latest or chosen < 1:
            if not chosen:
                raise NotThere("no block is saved yet")
            raise self._out_of_reach(f"block {height}", height)
        return chosen

    def _out_of_reach(self, what: str, height: int) -> NotThere:
        return out_of_reach(what, height, earliest=self.base, latest=self.height)

    def state_height(self, height: int, *, prove: bool) -> int:
        """The version to read; with prove the latest is the one that a saved header proves. Raises NotThere."""
        latest = self.height
        if height < 0:
            raise BadQuestion(f"height is {height}; allowed: 0 and more")
        if not prove:
            if height > latest:  # the application may be a step ahead of what is saved
                raise self._out_of_reach(f"height {height}", height)
            return height or latest
        chosen = height or latest - 1
        if chosen > latest:
            raise self._out_of_reach(f"height {chosen}", chosen)
        if not 0 < chosen < latest:
            raise NotThere(f"the proof of height {chosen} is not there yet: the next header proves the latest state")
        return chosen

    def commit(self, height: int) -> tuple[Commit, bool]:
        """A commit for a saved height; whether it is the canonical one, of the next block."""
        canonical = self.blocks.load_commit(height)
        commit = canonical if canonical is not None else self.blocks.load_seen_commit(height)
        if commit is None:
            raise self._out_of_reach(f"commit {height}", height)
        return commit, canonical is not None

    def light_block(self, height: int) -> tuple[LightBlock, bool]:
        """The header, a commit for it and the set that signed; whether the commit is the canonical one.

        Sets between two that were saved are computed: it costs more than reading a block.
        """
        chosen = self._block_height(height)
        commit, canonical = self.commit(chosen)
        meta, validators = self.blocks.load_meta(chosen), self.states.load_validators(chosen)
        if meta is None or validators is None:
            raise self._out_of_reach(f"header {chosen}", chosen)
        return LightBlock(SignedHeader(meta.header, commit), validators), canonical

    def light_block_proto(self, height: int) -> types_pb2.LightBlock:
        return types_pb2.LightBlock.FromString(self.light_block(height)[0].encode())

    # -------------------------------------------------------------------------------------------------- blocks

    def block(self, height: int, block_hash: bytes = b"") -> pb.GetBlockResponse:
        return pb.GetBlockResponse.FromString(self.block_encoded(height, block_hash))

    def block_encoded(self, height: int, block_hash: bytes = b"") -> bytes:
        """A GetBlockResponse's bytes: the block as it is stored, never decoded."""
        meta, data = self._stored_block(height, block_hash)
        return message_field(BLOCK_ID_TAG, meta.block_id.encode()) + message_field(BLOCK_TAG, data)

    def _stored_block(self, height: int, block_hash: bytes = b"") -> tuple[BlockMeta, bytes]:
        if block_hash:
            if len(block_hash) != HASH_BYTES:
                raise BadQuestion(f"hash has {len(block_hash)} bytes; expected {HASH_BYTES}")
            found = self.blocks.height_of_hash(block_hash)
            if found is None:
                raise NotThere(f"no block {block_hash.hex()}: this node has {self.base} to {self.height}")
            height = found
        chosen = self._block_height(height)
        meta, data = self.blocks.load_meta(chosen), self.blocks.load_block_bytes(chosen)
        if meta is None or data is None:
            raise self._out_of_reach(f"block {chosen}", chosen)
        return meta, data

    def meta(self, height: int) -> BlockMeta:
        """What is kept beside a block; 0: of the latest. Raises NotThere."""
        chosen = self._block_height(height)
        meta = self.blocks.load_meta(chosen)
        if meta is None:
            raise self._out_of_reach(f"block {chosen}", chosen)
        return meta

    def load_block(self, height: int) -> Block:
        chosen = self._block_height(height)
        block = self.blocks.load_block(chosen)
        if block is None:
            raise self._out_of_reach(f"block {chosen}", chosen)
        return block

    def list_blocks(self, max_height: int, limit: int) -> pb.ListBlocksResponse:
        if not 0 <= limit <= BLOCKS_MAX:
            raise BadQuestion(f"limit is {limit}; allowed: 1 to {BLOCKS_MAX}, 0 for {BLOCKS_DEFAULT}")
        latest = self.height
        first = min(max_height or latest, latest)
        answer = pb.ListBlocksResponse()
        for height in range(first, max(self.base, 1, first - (limit or BLOCKS_DEFAULT) + 1) - 1, -1):
            meta = self.blocks.load_meta(height)
            if meta is not None:
                answer.blocks.append(types_pb2.BlockMeta.FromString(meta.encode()))
        return answer

    def txs(self, height: int) -> Sequence[bytes]:
        """A block's transactions. Raises NotThere."""
        return txs_of(self._stored_block(height)[1])

    def txs_in_slices(self, height: int) -> Slices[Sequence[bytes]]:
        """As `txs`, for the loop."""
        return (yield from _txs_in_slices(self._stored_block(height)[1]))

    def streamed(self, height: int, *, with_results: bool) -> Slices[bytes]:
        """Block `height` as a stream carries it: a StreamBlocksResponse's bytes, the block as it is stored."""
        meta, data = self._stored_block(height)
        pieces = [message_field(BLOCK_ID_TAG, meta.block_id.encode()), message_field(BLOCK_TAG, data)]
        stored = yield from self.states.stored_in_slices(height)
        if stored is not None:
            pieces.append(pb.StreamBlocksResponse(app_hash=stored.app_hash).SerializeToString())
            if with_results:
                yield
                for part in in_parts((yield from _txs_in_slices(data)), stored):
                    pieces.append(pb.StreamBlocksResponse(**part._asdict()).SerializeToString())
                    yield
        yield
        return b"".join(pieces)

    def block_results(self, height: int) -> Slices[bytes]:
        """A GetBlockResultsResponse's bytes, made piece by piece: what is encoded in pieces is read as one."""
        head, stored, txs = yield from self._results(height)
        pieces = [head.SerializeToString()]
        yield
        for part in in_parts(txs, stored):
            pieces.append(pb.GetBlockResultsResponse(**part._asdict()).SerializeToString())
            yield
        return b"".join(pieces)

    def block_results_json(self, height: int) -> Slices[bytes]:
        head, stored, txs = yield from self._results(height)
        yield
        return (yield from block_results_text(head, in_parts(txs, stored, TEXT_UNITS_PER_SLICE)))

    def _results(
        self, height: int
    ) -> Slices[tuple[pb.GetBlockResultsResponse, abci_pb.ResponseFinalizeBlock, Sequence[bytes]]]:
        """(an answer without results and events, what it is to have of these, the block's transactions)."""
        chosen = self._block_height(height)
        txs = yield from self.txs_in_slices(chosen)
        stored = yield from self.states.stored_in_slices(chosen)
        if stored is None:
            raise self._out_of_reach(f"what block {chosen} did", chosen)
        head = pb.GetBlockResultsResponse(
            height=chosen, validator_updates=stored.validator_updates, app_hash=stored.app_hash
        )
        return head, stored, txs

    def _stored(self, height: int) -> abci_pb.ResponseFinalizeBlock:
        stored = self.states.load_stored(height)
        if stored is None:
            raise self._out_of_reach(f"what block {height} did", height)
        return stored

    def validators(self, height: int) -> pb.GetValidatorsResponse:
        chosen = height or self.height + 1
        found = self.states.load_validators(chosen) if chosen > 0 else None
        if found is None:
            what = f"the validator set of height {chosen}"
            raise out_of_reach(what, chosen, earliest=self.base, latest=self.height + 1)
        proposer = found.proposer_of(0).address
        return pb.GetValidatorsResponse(height=chosen, validators=found.to_proto().validators, proposer=proposer)

    # -------------------------------------------------------------------------------------------- transactions

    def _place(self, tx_hash: bytes) -> tuple[int, int]:
        """(height, index) of a saved transaction. Raises NotThere, BadQuestion."""
        if len(tx_hash) != HASH_BYTES:
            raise BadQuestion(f"hash has {len(tx_hash)} bytes; expected {HASH_BYTES}")
        place = self.states.find_tx(tx_hash)
        if place is None or place[0] > self.height:
            raise NotThere(
                f"transaction {tx_hash.hex()} is in no block that this node has: {self.base} to {self.height}"
            )
        return place

    def is_saved(self, tx_hash: bytes) -> bool:
        """Whether a saved block has it."""
        place = self.states.find_tx(tx_hash)
        return place is not None and place[0] <= self.height

    def simulated(self, raw: bytes) -> pb.SimulateResponse:
        """What a transaction would do over the latest saved state."""
        height = self.height
        meta = self.blocks.load_meta(height)
        if meta is None:
            raise NotThere("no block is saved yet")
        with reading():
            found = self.queries.dry_run(raw, height=height, time_ns=meta.header.time_ns + 1)
        result = found.result
        return pb.SimulateResponse(
            height=height, code=result.code, codespace=result.codespace, log=result.log, gas_limit=found.gas_limit,
            fee=found.fee, gas_used=result.gas_used, data=result.data, events=told_events(result.events),
        )  # fmt: skip

    def committed(self, tx_hash: bytes) -> pb.BroadcastResponse:
        """What became of a transaction, for who waited for it. Raises NotThere."""
        height, index = self._place(tx_hash)
        result = self._stored(height).tx_results[index]
        return pb.BroadcastResponse(
            hash=tx_hash,
            code=result.code,
            codespace=result.codespace,
            log=result.log,
            height=height,
            index=index,
            data=result.data,
            gas_used=result.gas_used,
            events=event_protos(result.events),
        )

    def tx(self, tx_hash: bytes, *, prove: bool) -> pb.GetTxResponse:
        height, index = self._place(tx_hash)
        if prove and height >= self.height:
            raise NotThere(
                f"transaction {tx_hash.hex()} is in block {height}; the next header proves what became of it"
            )
        result = self._stored(height).tx_results[index]
        answer = pb.GetTxResponse(
            hash=tx_hash,
            height=height,
            index=index,
            tx=self.txs(height)[index],
            code=result.code,
            codespace=result.codespace,
            log=result.log,
            data=result.data,
            gas_wanted=result.gas_wanted,
            gas_used=result.gas_used,
            events=event_protos(result.events),
        )
        if prove:
            self._prove_tx(answer)
        return answer

    def _prove_tx(self, answer: pb.GetTxResponse) -> None:
        """Add the proofs that the transaction is in its block, and of its result in the next."""
        height, index, block = answer.height, answer.index, self.load_block(answer.height)
        proof = block.data.proof(index)
        answer.proof.CopyFrom(
            types_pb2.TxProof(root_hash=block.header.data_hash, data=block.txs[index], proof=proof.to_proto())
        )
        answer.light_block.CopyFrom(self.light_block_proto(height))
        results = map(ExecTxResult.from_proto, self._stored(height).tx_results)
        answer.result_proof.CopyFrom(result_proof(results, index).to_proto())
        answer.result_light_block.CopyFrom(self.light_block_proto(height + 1))

    # --------------------------------------------------------------------------------------------------- state

    def proof(self, found: Found) -> pb.StateProof:
        proof = pb.StateProof(height=found.height, store=found.store, key=found.key, value=found.value or b"")
        for operation in found.ops:
            proof.ops.ops.add(type=operation.type, key=operation.key, data=operation.data)
        proof.light_block.CopyFrom(self.light_block_proto(found.height + 1))
        return proof

    def account(self, request: pb.GetAccountRequest) -> pb.GetAccountResponse:
        address = _address("address", request.address)
        height = self.state_height(request.height, prove=request.prove)
        with reading():
            found = self.queries.account(address, height=height, with_proof=request.prove)
        answer = pb.GetAccountResponse(height=found.height)
        if found.value is not None:
            answer.account.MergeFromString(found.value)
        if request.prove:
            answer.proof.CopyFrom(self.proof(found))
        return answer

    def identity(self, request: pb.GetIdentityRequest) -> pb.GetIdentityResponse:
        """By name: an absent one is proved by the name's absence, a present one by its record, which has the name."""
        height = self.state_height(request.height, prove=request.prove)
        with reading():
            if request.name:
                key = IDENTITY_NAME[1:] + request.name.encode()
                found = self.queries.get(CHAT, key, height=height, with_proof=request.prove)
                if found.value is not None:
                    found = self.queries.identity(found.value, height=found.height, with_proof=request.prove)
            else:
                address = _address("address", request.address)
                found = self.queries.identity(address, height=height, with_proof=request.prove)
        answer = pb.GetIdentityResponse(height=found.height)
        if found.value is not None:
            answer.identity.MergeFromString(found.value)
        if request.prove:
            answer.proof.CopyFrom(self.proof(found))
        return answer

    def channel(self, request: pb.GetChannelRequest) -> pb.GetChannelResponse:
        channel_id = _channel(request.channel_id, request.name)
        height = self.state_height(request.height, prove=request.prove)
        with reading():
            found = self.queries.channel(channel_id, height=height, with_proof=request.prove)
        answer = pb.GetChannelResponse(height=found.height)
        if found.value is not None:
            answer.channel.MergeFromString(found.value)
        if request.prove:
            answer.proof.CopyFrom(self.proof(found))
        return answer

    def list_channels(self, request: pb.ListChannelsRequest) -> pb.ListChannelsResponse:
        if not 0 <= request.limit <= CHANNELS_MAX:
            raise BadQuestion(f"limit is {request.limit}; allowed: 1 to {CHANNELS_MAX}, 0 for {CHANNELS_DEFAULT}")
        with reading():
            height = self.height
            limit = request.limit or CHANNELS_DEFAULT
            channels = self.queries.channels(after=request.after, limit=limit, height=height)
        return pb.ListChannelsResponse(
            height=height, channels=[state_pb2.Channel.FromString(channel) for channel in channels]
        )

    def list_messages(self, request: pb.ListMessagesRequest) -> pb.ListMessagesResponse:
        if not 0 <= request.limit <= MESSAGES_MAX:
            raise BadQuestion(f"limit is {request.limit}; allowed: 1 to {MESSAGES_MAX}, 0 for {MESSAGES_DEFAULT}")
        channel_id = _channel(request.channel_id, "")
        height = self.state_height(request.height, prove=request.prove)
        with reading():
            channel, found = self.queries.messages(
                channel_id,
                start=request.from_index,
                limit=request.limit or MESSAGES_DEFAULT,
                height=height,
                with_proof=request.prove,
            )
        if channel.value is None and not request.prove:
            raise NotThere(NO_CHANNEL.format(channel_id.hex(), channel.height))
        count = state_pb2.Channel.FromString(channel.value or b"").message_count
        answer = pb.ListMessagesResponse(height=channel.height, message_count=count)
        for message in found:
            answer.messages.append(state_pb2.ChatMessage.FromString(message.value))
            if request.prove:
                answer.paths.add(index=message.index, leaf_count=message.leaf_count, path=message.path)
        if request.prove:
            answer.channel_proof.CopyFrom(self.proof(channel))
        return answer

    def message(self, request: pb.GetMessageRequest) -> pb.GetMessageResponse:
        found = self.list_messages(
            pb.ListMessagesRequest(
                channel_id=request.channel_id,
                from_index=request.index,
                limit=1,
                height=request.height,
                prove=request.prove,
            )
        )
        if not found.messages and not request.prove:
            raise NotThere(f"there is no message {request.index}: the channel has {found.message_count}")
        answer = pb.GetMessageResponse(height=found.height)
        if found.messages:
            answer.message.CopyFrom(found.messages[0])
        if request.prove:
            if found.messages:
                answer.path.CopyFrom(found.paths[0])
            answer.channel_proof.CopyFrom(found.channel_proof)
        return answer

    def bundle(self, request: pb.GetBundleRequest) -> pb.GetBundleResponse:
        if len(request.replay_id) != HASH_BYTES:
            raise BadQuestion(f"replay_id has {len(request.replay_id)} bytes; expected {HASH_BYTES}")
        height = self.state_height(request.height, prove=request.prove)
        with reading():
            found = self.queries.bundle(request.replay_id, height=height, with_proof=request.prove)
        if found.value is None and not request.prove:
            raise NotThere(f"there is no receipt {request.replay_id.hex()} after block {found.height}")
        answer = pb.GetBundleResponse(height=found.height)
        if found.value is not None:
            answer.receipt.MergeFromString(found.value)
        if request.prove:
            answer.proof.CopyFrom(self.proof(found))
        return answer

    def record(self, request: pb.GetRecordRequest) -> pb.GetRecordResponse:
        """Of any kind, by its key; the bytes are the stored ones."""
        if not 0 < len(request.key) <= KEY_BYTES_MAX:
            raise BadQuestion(f"key has {len(request.key)} bytes; allowed: 1 to {KEY_BYTES_MAX}")
        height = self.state_height(request.height, prove=request.prove)
        with reading():
            found = self.queries.get(request.store, request.key, height=height, with_proof=request.prove)
        answer = pb.GetRecordResponse(height=found.height, value=found.value)
        if request.prove:
            answer.proof.CopyFrom(self.proof(found))
        return answer

    def params(self, height: int) -> pb.GetParamsResponse:
        chosen = self.state_height(height, prove=False)
        with reading():
            return pb.GetParamsResponse(height=chosen, json=self.queries.params_json(chosen))

    def upgrade(self, height: int) -> pb.GetUpgradeResponse:
        """The plan, what was done, versions, and what each validator of the next block said that it can run."""
        chosen = self.state_height(height, prove=False)
        validators = self.states.load_validators(chosen + 1) or EMPTY_SET
        with reading():
            answer = self.queries.upgrade(chosen, of=[validator.address for validator in validators])
        for entry, power in zip(answer.validators, validators.powers, strict=True):
            entry.power = power
            answer.total_power += power
            if answer.HasField("plan") and answer.plan.name in entry.names:
                answer.ready_power += power
        return answer

    def invariants(self, height: int, is_wanted: Callable[[], bool] = lambda: True) -> pb.GetInvariantsResponse:
        """Reads the whole state: call it in a thread. Raises Abandoned: is_wanted said no meanwhile."""
        chosen = self.state_height(height, prove=False)
        with reading():
            rows = self.queries.invariants(chosen, is_wanted)
        answer = pb.GetInvariantsResponse(height=chosen)
        for name, holds, detail in rows:
            answer.invariants.add(name=name, holds=holds, detail=detail)
        return answer

    def roots(self) -> dict[str, bytes]:
        """The stores' roots after the last saved block; empty before the chain began."""
        try:
            return self.queries.roots(self.height) if self.height else {}
        except VersionUnavailable:  # the application is a step ahead while a block is saved
            return {}


def txs_of(block: bytes) -> Sequence[bytes]:
    """The transactions of an encoded block."""
    return block_pb2.Block.FromString(block).data.txs


def _txs_in_slices(block: bytes) -> Slices[Sequence[bytes]]:
    start, end = split(block).get(DATA, (0, 0))
    data = yield from parse_ours(types_pb2.Data(), block, start, end)
    return data.txs


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """State errors as the doors' own."""
    try:
        yield
    except (VersionUnavailable, NoChannel) as error:
        raise NotThere(str(error)) from None
    except StateError as error:
        raise BadQuestion(str(error)) from None


def _address(name: str, value: bytes) -> bytes:
    if len(value) != ADDRESS_BYTES:
        raise BadQuestion(f"{name} has {len(value)} bytes; expected {ADDRESS_BYTES}")
    return value


def _channel(channel_id: bytes, name: str) -> bytes:
    return id_of(name) if name and not channel_id else _address("channel_id", channel_id)
