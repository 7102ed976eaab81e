"""Sending transactions: build, sign, hand in, and hand in again until committed or expired.

Admission is no promise of durability (design section 9): what a node admitted may be lost when it stops, so the same
bytes are sent again. They never run twice: a sequence or a replay mark sees to that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from chain.build import Seat, Wallet, build_tx, lane_of
from chain.errors import TxError, WrongSequence
from chain.genesis import RANGES
from chain.messages import LANE_BRIDGE, LANE_CHAT, Message
from chain.tx import decode
from crypto.hash import sha256
from mempool import errors as mempool
from node.client import Client, ClientError, NodeUnreachable, NotFound, whole_param
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2

EXPIRY_BLOCKS = 200  # of what is unordered; no chain's limit is lower
RESEND_FIRST_S = 0.5  # between attempts when a node does not answer, or says to try later; twice as long each time
RESEND_MAX_S = 8.0
BUSY = "RESOURCE_EXHAUSTED"  # what a door says to a client past its limits
ADMITTED = 0
TRY_LATER = frozenset((mempool.CODESPACE, int(code)) for code in mempool.TRY_LATER)


class TxRefused(ClientError):
    """The chain's answer: which rule was broken. `committed`: the block that holds it; 0: not admitted."""

    def __init__(self, outcome: Outcome) -> None:
        where = f" (in block {outcome.height}; the fee is kept)" if outcome.height else ""
        super().__init__(f"{outcome.codespace} {outcome.code}: {outcome.log}{where}")
        self.outcome = outcome


class TxExpired(ClientError):
    """No block took it before its expiry height: it never will."""


@dataclass(frozen=True)
class Outcome:
    """What became of a transaction. height 0: admitted, not yet in a block."""

    hash: bytes
    replay_id: bytes
    code: int = 0
    codespace: str = ""
    log: str = ""
    height: int = 0
    index: int = 0
    gas_used: int = 0
    receipt: state_pb2.Receipt | None = None

    @staticmethod
    def of(response: pb.BroadcastResponse | pb.GetTxResponse, replay_id: bytes) -> Outcome:
        """Raises ClientError: the node's answer is none."""
        try:
            receipt = state_pb2.Receipt.FromString(response.data) if response.data else None
        except DecodeError as error:
            raise ClientError(f"the node's answer holds no receipt: {error}") from None
        return Outcome(
            response.hash,
            replay_id,
            response.code,
            response.codespace,
            response.log,
            response.height,
            response.index,
            response.gas_used,
            receipt,
        )


@dataclass
class ChainFacts:
    """What a transaction needs to know of the chain; read once."""

    chain_id: str
    gas_price: int
    height: int


class Session:
    """One account at one node. Ordered transactions of one session are numbered here, so that many can wait at once."""

    def __init__(self, client: Client, wallet: Wallet) -> None:
        self.client, self.wallet = client, wallet
        self._facts: ChainFacts | None = None
        self._sequences: dict[int, int] = {}  # lane -> the next one
        self._known: dict[int, bool] = {}  # lane -> whether the machine knows the account's policy

    async def facts(self, *, refresh: bool = False) -> ChainFacts:
        if self._facts is None or refresh:
            status = await self.client.status()
            if self._facts is None:
                params = await self.client.params()
                price = whole_param(params, "currency", "gas_price", most=RANGES["gas_price"][1])
                self._facts = ChainFacts(status.chain_id, price, status.latest_block_height)
            self._facts.height = status.latest_block_height
        return self._facts

    async def build(
        self,
        messages: Sequence[Message],
        *,
        lane: int | None = None,
        unordered: bool = False,
        expiry_blocks: int = 0,
        fee: int | None = None,
        gas_limit: int | None = None,
        memo: str = "",
        chain_id: str = "",
    ) -> bytes:
        """A signed transaction. expiry_blocks 0: none, or EXPIRY_BLOCKS when it is unordered."""
        chosen = lane_of(messages) if lane is None else lane
        facts = await self.facts(refresh=unordered or chosen == LANE_BRIDGE or bool(expiry_blocks))
        is_unordered = unordered or chosen == LANE_BRIDGE
        blocks = expiry_blocks or (EXPIRY_BLOCKS if is_unordered else 0)
        await self._learn(chosen)
        sequence = None if is_unordered else self._take_sequence(chosen)
        return build_tx(
            chain_id=chain_id or facts.chain_id,
            messages=messages,
            seats=[Seat(self.wallet, sequence, with_policy=not self._known[chosen])],
            gas_price=facts.gas_price,
            gas_limit=gas_limit,
            fee=fee,
            lane=chosen,
            expiry_height=facts.height + blocks if blocks else 0,
            memo=memo,
        )

    async def _learn(self, lane: int) -> None:
        """The account's sequence and whether its policy is on record, of the lane's machine."""
        if lane in self._known:
            return
        record: state_pb2.Identity | state_pb2.Account | None
        if lane == LANE_CHAT:
            identity = await self.client.identity(self.wallet.address)
            record = identity.identity if identity.HasField("identity") else None
        else:
            account = await self.client.account(self.wallet.address)
            record = account.account if account.HasField("account") else None
        sequences = {entry.public_key: entry.next for entry in record.sequences} if record is not None else {}
        # Asked twice at once, the first answer holds: numbers may have been handed out since.
        self._sequences.setdefault(lane, sequences.get(self.wallet.public_key, 0))
        self._known.setdefault(lane, record is not None and record.HasField("policy"))

    def _take_sequence(self, lane: int) -> int:
        sequence = self._sequences[lane]
        self._sequences[lane] = sequence + 1
        return sequence

    def forget(self) -> None:
        """Read sequences anew before the next transaction: after one of ours was refused or expired."""
        self._sequences.clear()
        self._known.clear()

    async def send(self, messages: Sequence[Message], *, wait_commit: bool = True, **options: object) -> Outcome:
        """Build and submit. options: as `build`. Raises TxRefused, TxExpired, ClientError.

        A sequence that was stale (another device sent in between) is read anew, once.
        """
        tx = await self.build(messages, **options)  # type: ignore[arg-type]
        try:
            return await submit(self.client, tx, wait_commit=wait_commit)
        except TxRefused as error:
            self.forget()
            if (error.outcome.code, error.outcome.codespace) != (WrongSequence.code, WrongSequence.codespace):
                raise
        return await submit(self.client, await self.build(messages, **options), wait_commit=wait_commit)  # type: ignore[arg-type]


async def submit(client: Client, tx: bytes, *, wait_commit: bool = True, deadline_s: float = 120.0) -> Outcome:
    """Hand in, again while the node does not answer, until admitted (or committed), refused or expired.

    Raises TxRefused, TxExpired, NodeUnreachable (at the deadline; it may still be committed), ClientError.
    """
    last, wait_s = "no answer", RESEND_FIRST_S
    try:
        decoded = decode(tx)
    except TxError as error:  # every node would say the same
        raise TxRefused(Outcome(sha256(tx), b"", error.code, error.codespace, error.log)) from None
    try:
        async with asyncio.timeout(deadline_s):
            while True:
                try:
                    response = await client.broadcast(tx, wait_commit=wait_commit)
                    outcome = Outcome.of(response, decoded.replay_id)
                    if outcome.code == ADMITTED:
                        return outcome
                    if (outcome.codespace, outcome.code) not in TRY_LATER:
                        # Refused as a repeat of itself: an earlier attempt got through.
                        return await _find(client, decoded.id, decoded.replay_id) or _refuse(outcome)
                    last = outcome.log
                except NodeUnreachable:
                    if (found := await _find_quietly(client, decoded.id, decoded.replay_id)) is not None:
                        return found
                except ClientError as error:
                    if error.status != BUSY:
                        raise
                    last = str(error)
                await _check_expiry(client, decoded.expiry_height, decoded.id)
                await asyncio.sleep(wait_s)
                wait_s = min(RESEND_MAX_S, 2 * wait_s)
    except TimeoutError:
        raise NodeUnreachable(
            f"{client.address} did not take {sha256(tx).hex()} within {deadline_s:g} s, and said last: {last}"
        ) from None


def _refuse(outcome: Outcome) -> Outcome:
    raise TxRefused(outcome)


async def _find(client: Client, tx_hash: bytes, replay_id: bytes) -> Outcome | None:
    try:
        outcome = Outcome.of(await client.tx(tx_hash), replay_id)
    except NotFound:
        return None
    return _refuse(outcome) if outcome.code else outcome


async def _find_quietly(client: Client, tx_hash: bytes, replay_id: bytes) -> Outcome | None:
    try:
        return await _find(client, tx_hash, replay_id)
    except TxRefused:
        raise
    except ClientError:  # gone, or busy
        return None


async def _check_expiry(client: Client, expiry_height: int, tx_hash: bytes) -> None:
    if not expiry_height:
        return
    try:
        latest = (await client.status()).latest_block_height
    except ClientError:  # gone, or busy
        return
    if latest > expiry_height:
        raise TxExpired(f"{tx_hash.hex()} expired at height {expiry_height}; the chain is at {latest}")
