"""Verifying what a node says: from a root of trust to headers, from headers to state, transactions and messages.

The root is a header's hash that a person gives (`HEIGHT:HASH`) or the genesis' validator set. Everything that a node
answers with `prove` is checked here against commits signed by more than 2/3 of the validators; the node itself is
believed in nothing. Raises ProofFailed where something does not hold.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from chain.state import mmr, proofs
from consensus.abci.interface import ProofOp
from consensus.documents.genesis import GenesisDoc
from consensus.formats.errors import InvalidData
from consensus.state.results import ExecTxResult
from consensus.types.light import LightBlock
from crypto import merkle
from crypto.hash import sha256
from dchat.client.client import HEIGHT_MAX, AskFailed, Client, ClientError
from light import CannotSkip, verify_back, verify_root, verify_step
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2
from proto.tendermint.types import types_pb2

BACK_MAX = 1_000  # headers walked backwards from the root at most; give an earlier root instead
TRUST_FORM = re.compile(r"[1-9][0-9]{0,17}:[0-9A-Fa-f]{64}")
VERIFIED_MAX = 256  # light blocks kept


class ProofFailed(AskFailed):
    """What a node said does not follow from the root of trust."""


@dataclass(frozen=True)
class Trust:
    """The root. With `hash`: the header of `height`; without: the genesis, whose set signs `height`."""

    height: int
    hash: bytes | None
    genesis: GenesisDoc | None

    @staticmethod
    def parse(text: str) -> Trust:
        """`HEIGHT:HASH`. Raises ValueError."""
        height, _, digest = text.partition(":")
        if not TRUST_FORM.fullmatch(text):
            raise ValueError(f'trust is "{text}"; expected HEIGHT:HASH, the hash in 64 hex characters')
        return Trust(int(height), bytes.fromhex(digest), None)

    @staticmethod
    def of_genesis(genesis: GenesisDoc) -> Trust:
        return Trust(genesis.initial_height, None, genesis)

    def __str__(self) -> str:
        if self.hash is not None:
            return f"{self.height}:{self.hash.hex().upper()}"
        return "the genesis"


class Verifier:
    """Verifies answers of one client. Keeps the headers it has verified.

    chain_id: empty, where trust begins with a header's hash: then it is that header's.
    """

    def __init__(
        self, client: Client, trust: Trust, *, chain_id: str, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        assert chain_id or trust.hash is not None
        self.client, self.trust, self.chain_id = client, trust, chain_id
        self._now_ns = now_ns
        self._verified: dict[int, LightBlock] = {}

    # ------------------------------------------------------------------------------------------------ headers

    async def header(self, height: int, *, given: types_pb2.LightBlock | None = None) -> LightBlock:
        """The verified light block of `height`. given: the one that came with an answer, to save a call.

        Raises ProofFailed, ClientError.
        """
        try:
            return await self._header(height, given)
        except InvalidData as error:
            raise ProofFailed(str(error)) from error

    async def _header(self, height: int, given: types_pb2.LightBlock | None) -> LightBlock:
        if not 0 < height <= HEIGHT_MAX:
            raise ProofFailed(f"no header has the height {height}")
        if not self._verified:
            await self._begin()
        if (known := self._verified.get(height)) is not None:
            if given is not None and LightBlock.from_proto(given).hash != known.hash:
                raise ProofFailed(f"header {height} is not the one that was verified")
            return known
        target = LightBlock.from_proto(given) if given is not None else await self._fetch(height)
        if target.height != height:
            raise ProofFailed(f"asked for header {height}, got {target.height}")
        below = max((known for known in self._verified if known < height), default=None)
        if below is None:
            await self._walk_back(target)
        else:
            await self._climb(self._verified[below], target)
        return target

    async def _begin(self) -> None:
        block = await self._fetch(self.trust.height)
        if self.trust.hash is not None:
            chain_id = self.chain_id or block.header.chain_id  # which the hash covers
            verify_root(block, chain_id=chain_id, expected_hash=self.trust.hash)
            self.chain_id = chain_id
        else:
            assert self.trust.genesis is not None
            verify_root(block, chain_id=self.chain_id, expected_set=self.trust.genesis.validator_set())
        self._verified[block.height] = block

    async def _fetch(self, height: int) -> LightBlock:
        answer = await self.client.commit(height)
        block = LightBlock.from_proto(answer.light_block)
        if block.height != height:
            raise ProofFailed(f"asked for commit {height}, got {block.height}")
        return block

    async def _climb(self, trusted: LightBlock, target: LightBlock) -> None:
        """By as few headers as the validator sets allow: halves the way whenever it cannot skip."""
        waiting = [target]
        while waiting:
            block = waiting[-1]
            try:
                verify_step(trusted, block, chain_id=self.chain_id, now_ns=self._now_ns())
            except CannotSkip:
                waiting.append(await self._fetch((trusted.height + block.height) // 2))
                continue
            self._keep(block)
            trusted = waiting.pop()

    async def _walk_back(self, target: LightBlock) -> None:
        lowest = min(self._verified)
        if lowest - target.height > BACK_MAX:
            raise ProofFailed(
                f"height {target.height} is {lowest - target.height} below the root of trust; allowed: {BACK_MAX}. "
                "Trust an earlier header, or the genesis"
            )
        above = self._verified[lowest]
        while above.height > target.height:
            block = target if above.height == target.height + 1 else await self._fetch(above.height - 1)
            verify_back(above, block, chain_id=self.chain_id)
            self._keep(block)
            above = block

    def _keep(self, block: LightBlock) -> None:
        self._verified[block.height] = block
        if len(self._verified) > VERIFIED_MAX:
            root = min(self._verified)  # the root stays: from it everything can be verified anew
            del self._verified[next(height for height in self._verified if height not in (root, block.height))]

    def age_s(self, light: LightBlock) -> float:
        """Seconds since a header's time, by this machine's clock."""
        return max(0.0, (self._now_ns() - light.header.time_ns) / 1e9)

    def check_age(self, light: LightBlock, max_age_s: int) -> None:
        """A node that tells the truth of long ago, or that is kept from hearing more, proves that too. 0: any age.

        Raises ProofFailed.
        """
        age = self.age_s(light)
        if max_age_s and age > max_age_s:
            raise ProofFailed(
                f"header {light.height} is {int(age)} s old, allowed: {max_age_s} s. The node is behind, or the chain "
                "stands still; ask another node, or allow more (--max-age, 0: any age)"
            )

    # -------------------------------------------------------------------------------------------------- state

    async def state(self, proof: pb.StateProof, *, store: str, key: bytes, value: bytes | None) -> LightBlock:
        """Check that after block `proof.height` the key of the store was `value` (None: absent).

        Returns the header that proves it, of the next height. Raises ProofFailed, ClientError.
        """
        if proof.store != store or proof.key != key:
            raise ProofFailed(f"the proof is about {proof.key.hex()} in {proof.store!r}, not {key.hex()} in {store!r}")
        light = await self.header(proof.height + 1, given=proof.light_block)
        operations = [ProofOp(op.type, op.key, op.data) for op in proof.ops.ops]
        try:
            proofs.verify(operations, light.header.app_hash, store=store, key=key, value=value)
        except merkle.InvalidProof as error:
            raise ProofFailed(str(error)) from error
        return light

    # ----------------------------------------------------------------------------------- transactions, messages

    async def tx(self, answer: pb.GetTxResponse, tx_hash: bytes) -> LightBlock:
        """Check that the transaction is in the block that the answer names, and its code, data and gas.

        Codespace and log are texts of the node that answers: no header covers them. Returns the header of the next
        height, which proves the result. Raises ProofFailed, ClientError.
        """
        if sha256(answer.tx) != tx_hash:
            raise ProofFailed(f"the transaction hashes to {sha256(answer.tx).hex()}, asked was {tx_hash.hex()}")
        light = await self.header(answer.height, given=answer.light_block)
        try:
            proof = merkle.Proof.from_proto(answer.proof.proof)
            proof.verify(light.header.data_hash, sha256(answer.tx))
        except merkle.InvalidProof as error:
            raise ProofFailed(f"transaction {tx_hash.hex()}: {error}") from error
        if proof.index != answer.index:
            raise ProofFailed(f"transaction {tx_hash.hex()} is number {proof.index}, the node says {answer.index}")
        return await self._result(answer, total=proof.total)

    async def _result(self, answer: pb.GetTxResponse, *, total: int) -> LightBlock:
        """What became of transaction `answer.index` of the `total` in a block."""
        light = await self.header(answer.height + 1, given=answer.result_light_block)
        result = ExecTxResult(
            code=answer.code, data=answer.data, gas_wanted=answer.gas_wanted, gas_used=answer.gas_used
        )
        try:
            proof = merkle.Proof.from_proto(answer.result_proof)
            proof.verify(light.header.last_results_hash, result.deterministic_bytes())
        except merkle.InvalidProof as error:
            raise ProofFailed(f"what became of transaction {answer.hash.hex()}: {error}") from error
        if (proof.index, proof.total) != (answer.index, total):
            raise ProofFailed(
                f"result {proof.index} of {proof.total} was proved for transaction {answer.index} of {total}"
            )
        _check_place(answer)
        return light

    def message(self, channel: state_pb2.Channel, path: pb.MountainProof, item: bytes) -> None:
        """Check that `item` is message `path.index` of a channel whose value is proved. Raises ProofFailed."""
        self.message_leaf(channel, path, mmr.leaf_hash(item))

    def message_leaf(self, channel: state_pb2.Channel, path: pb.MountainProof, leaf: bytes) -> None:
        """As `message`, of one whose body was forgotten: by its leaf's hash."""
        try:
            summary = mmr.Range(channel.message_count, tuple(channel.peaks))
            mmr.verify_leaf(summary, mmr.ItemProof(path.index, tuple(path.path)), leaf)
        except merkle.InvalidProof as error:
            raise ProofFailed(f"message {path.index}: {error}") from error


def _check_place(answer: pb.GetTxResponse) -> None:
    """A proved receipt says which transaction of which block it is of. Raises ProofFailed.

    The paths do not: that of the last leaf of five is that of the last of two.
    """
    if not answer.data:  # of a transaction that could not even pay: it has no receipt
        return
    try:
        receipt = state_pb2.Receipt.FromString(answer.data)
    except DecodeError as error:
        raise ProofFailed(f"transaction {answer.hash.hex()} has no receipt in its result") from error
    if (receipt.height, receipt.tx_index) != (answer.height, answer.index):
        raise ProofFailed(
            f"transaction {answer.hash.hex()} is number {receipt.tx_index} of block {receipt.height}, "
            f"the node says {answer.index} of {answer.height}"
        )


__all__ = ["ClientError", "ProofFailed", "Trust", "Verifier"]
