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
from dchat.client.light_provider import DoorProvider
from light import LightClient, Root
from light.errors import LightError, NoBlock
from light.store import MemoryTrustStore
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2
from proto.tendermint.types import types_pb2

TRUST_FORM = re.compile(r"[1-9][0-9]{0,17}:[0-9A-Fa-f]{64}")
VERIFIED_MAX = 256  # light blocks kept


class ProofFailed(AskFailed):
    """What a node said does not follow from the root of trust."""

    of_node = True
    lied = True


class RootNotKept(ClientError):
    """The node does not have the header that trust begins with: it joined by a snapshot, or has pruned it."""

    of_node = True

    def __init__(self, node: str, trust: Trust, why: object) -> None:
        what = "the genesis" if trust.hash is None else f"header {trust.height}"
        super().__init__(
            f"{node} cannot be checked from {what} on: {why}. Give --trust HEIGHT:HASH with a height that it has, and "
            "the hash from somebody whom you trust, or of a node of your own that has both: `dchat query block HEIGHT "
            "--node HOST:PORT` shows it"
        )


def plain_error(error: LightError) -> AskFailed:
    """What the light client found, as a failure of what was asked: the node's own refusal, or a proof that fails."""
    cause = error.__cause__
    return cause if isinstance(cause, ClientError) else ProofFailed(str(error))


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

    @property
    def root(self) -> Root:
        if self.hash is not None:
            return Root(self.height, self.hash)
        assert self.genesis is not None
        return Root(self.height, validators=self.genesis.validator_set())

    def __str__(self) -> str:
        if self.hash is not None:
            return f"{self.height}:{self.hash.hex().upper()}"
        return "the genesis"


class Verifier:
    """Verifies answers of one client. Keeps the headers it has verified.

    chain_id: empty, where trust begins with a header's hash: then it is that header's.
    """

    def __init__(
        self,
        client: Client,
        trust: Trust,
        *,
        chain_id: str,
        now_ns: Callable[[], int] = time.time_ns,
        light: LightClient | None = None,
    ) -> None:
        """light: whoever verifies the headers, instead of one that asks the client alone, without witnesses."""
        self.client, self.trust = client, trust
        self._now_ns = now_ns
        if light is None:
            store = MemoryTrustStore(VERIFIED_MAX)
            light = LightClient(trust.root, DoorProvider(client), chain_id=chain_id, store=store, now_ns=now_ns)
        self._light = light

    @property
    def chain_id(self) -> str:
        """Empty until a header was verified, where the root says it."""
        return self._light.chain_id

    # ------------------------------------------------------------------------------------------------ headers

    async def header(self, height: int, *, given: types_pb2.LightBlock | None = None) -> LightBlock:
        """The verified light block of `height`. given: the one that came with an answer, to save a call.

        Raises ProofFailed, ClientError.
        """
        if not 0 < height <= HEIGHT_MAX:
            raise ProofFailed(f"no header has the height {height}")
        try:
            told = None if given is None else LightBlock.from_proto(given)
            await self._begin()
            return await self._light.verify_at(height, given=told)
        except InvalidData as error:
            raise ProofFailed(str(error)) from error
        except LightError as error:
            raise plain_error(error) from error

    async def _begin(self) -> None:
        """Raises RootNotKept, LightError."""
        try:
            await self._light.newest()
        except NoBlock as error:
            raise RootNotKept(self.client.address, self.trust, error.__cause__ or error) from error

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
