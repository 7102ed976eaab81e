"""Sending transactions: build, sign, hand in, and hand in again until committed or expired.

Admission is no promise of durability (docs/clients.md): what a node admitted may be lost when it stops, so the same
bytes are sent again. They never run twice: a sequence or a replay mark sees to that. Other bytes for the same purpose
can: whatever a node answers, `Session.send` signs a second time only where `dchat.client.settled` shows the first to be
dead. What is believed of a node, and what is proved: docs/clients.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from chain.tx.envelope.build import Seat, Shared, Wallet, build_tx, gas_for, lane_of
from chain.tx.envelope.tx import Tx, decode
from chain.tx.errors import TxError, WrongSequence, declared_errors
from chain.tx.messages import LANE_BRIDGE, LANE_CHAT, Message
from chain.tx.units import GAS_PRICE_MAX, fee_of
from consensus.formats.units import NS_PER_S
from consensus.mempool.admission import errors as mempool
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.client.client import (
    BUSY,
    AskFailed,
    Client,
    ClientError,
    NodeUnreachable,
    NotFound,
    OtherChain,
    quoted,
    whole_param,
)
from dchat.client.proved import Proved
from dchat.client.refusals import explain
from dchat.client.settled import Standing, proved_standing, proved_tx, shown_dead, taker, told_standing
from dchat.client.verify import ProofFailed
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2

_SIGNER: Final = re.compile(r"\bsigner (\d{1,3})\b(?:'s)?", re.ASCII)
_PAYER: Final = ": the fee payer's"
EXPIRY_BLOCKS = 200  # of what is unordered; no chain's limit is lower
ORDERED_EXPIRY_BLOCKS = 1_000  # of the rest: a node that keeps one back can use it for so long, and no longer
FEE_MAX = 1_000_000  # udchat: four times what the largest transaction costs at the usual price
RESEND_FIRST_S = 0.5  # between attempts when a node does not answer, or says to try later; twice as long each time
RESEND_MAX_S = 8.0
SUBMIT_DEADLINE_S = 120.0
EACH_S = 15.0  # of several nodes, who tells of no block with it in so long is left for the next, which gets it too
STATUS_S = 2.0
STANDS_AFTER_S = 30  # as `dchat validator recover` counts
HEIGHT_RECENT_S = 2.0  # some blocks: what is signed by an older one expires the sooner
PREPARE_DEADLINE_S = 120.0  # to learn what is signed: some dozens of calls at most
PROOF_DEADLINE_S = 90.0  # for the header that shows what became of it, and its way from the root
TAKEN_DEADLINE_S = 30.0  # for the block with the transaction that was quicker
TAKEN_POLL_S = 0.2
ADMITTED = 0
TAKEN = {(WrongSequence.codespace, WrongSequence.code), (mempool.CODESPACE, int(mempool.Refusal.UNDERPRICED))}
TRY_LATER = frozenset((mempool.CODESPACE, int(code)) for code in mempool.TRY_LATER)
ERRORS = {error.code: error for error in declared_errors()}


class TxRefused(ClientError):
    """What is wrong, which rule that breaks, and what to do. Without a height it was not admitted, by the word of the
    node that was asked, which has the transaction and may still hand it on."""

    def __init__(self, outcome: Outcome) -> None:
        height, said = outcome.height, outcome.meaning
        how = f"failed in block {height}, its fee or allowance is taken" if height else "refused"
        super().__init__(f"{how}: {said}{outcome.caveat}")
        self.outcome = outcome


class TxExpired(ClientError):
    """The chain is above its expiry height: no block takes it any more. is_shown: and none has it, by their headers."""

    def __init__(self, message: str, *, is_shown: bool = False, status: str = "") -> None:
        super().__init__(message, status=status)
        self.is_shown = is_shown


class Undecided(NodeUnreachable):
    """It was handed in, and the time was up before anything was known of it: hand the same in again."""

    of_node = False


@dataclass(frozen=True)
class Outcome:
    """What became of a transaction. height 0: in no block yet. expiry_height: of the last block that may hold it; 0:
    any. proved_by: the height of the header that shows code, data, gas and place; 0: by the node's word alone.
    replay_id empty: it is none that a node could be asked about.
    """

    hash: bytes
    replay_id: bytes
    code: int = 0
    codespace: str = ""
    log: str = ""
    height: int = 0
    index: int = 0
    gas_used: int = 0
    receipt: state_pb2.Receipt | None = None
    expiry_height: int = 0
    proved_by: int = 0
    sequence: int | None = None  # None: unordered
    signers: tuple[bytes, ...] = ()  # addresses
    payer: bytes = b""
    messages: tuple[Message, ...] = ()  # that it was made of, where that is known

    @staticmethod
    def of(response: pb.BroadcastResponse | pb.GetTxResponse, tx: Tx) -> Outcome:
        """Of the transaction that was asked about, whatever hash the answer has. Raises ClientError: it is none."""
        try:
            receipt = state_pb2.Receipt.FromString(response.data) if response.data else None
        except DecodeError as error:
            raise ClientError(f"the node's answer holds no receipt: {error}") from None
        return Outcome(
            hash=tx.id,
            replay_id=tx.replay_id,
            code=response.code,
            codespace=quoted(response.codespace),
            log=quoted(response.log),
            height=response.height,
            index=response.index,
            gas_used=response.gas_used,
            receipt=receipt,
            expiry_height=tx.expiry_height,
            sequence=_sequence_of(tx),
            signers=tuple(entry.address for entry in tx.signers),
            payer=tx.payer,
            messages=tuple(tx.messages),
        )

    @staticmethod
    def of_trial(answer: pb.SimulateResponse, signer: bytes) -> Outcome:
        """Of what was tried and not sent. signer: the address of who would sign it first, and pay its fee."""
        return Outcome(
            b"", b"", answer.code, quoted(answer.codespace), quoted(answer.log), signers=(signer,), payer=signer
        )

    @property
    def meaning(self) -> str:
        """Of one that failed, for a person: with addresses, where the node's words count signers."""
        told = _SIGNER.sub(self._signer, self.log)
        if self.payer and told.endswith(_PAYER):
            told = f"{told.removesuffix(_PAYER)}: {encode_address(self.payer)}, who pays the fee"
        return explain(self.codespace, self.code, told)

    def _signer(self, found: re.Match[str]) -> str:
        index = int(found[1])
        return encode_address(self.signers[index]) if index < len(self.signers) else found[0]

    @property
    def caveat(self) -> str:
        """Where it was handed in and is not known to be settled: what may still happen, and what to do."""
        if self.proved_by or not self.replay_id:
            return ""
        again = "ask another node before you send it again (dchat query tx HASH --prove)"
        if self.sequence is not None:
            again = f"send it again with --sequence {self.sequence}, so that only one of both is"
        until = _until(self.expiry_height)
        return f". This is one node's word: {self.hash.hex()} may still be executed {until}; {again}"


def open_until(tx: Tx) -> str:
    """What is told of a signed transaction whose end is not known."""
    return _advice(tx.id, tx.expiry_height, _sequence_of(tx))


def _advice(tx_hash: bytes, expiry_height: int, sequence: int | None) -> str:
    again = f", or send it with --sequence {sequence}: of both only one is executed" if sequence is not None else ""
    return (
        f"{tx_hash.hex()} is signed and may still be executed {_until(expiry_height)}: before you send it again, ask "
        f"another node (dchat query tx HASH --prove){again}"
    )


def _until(expiry_height: int) -> str:
    return f"until block {expiry_height}" if expiry_height else "until its sequence is used"


def _sequence_of(tx: Tx) -> int | None:
    return None if tx.unordered else tx.signers[0].sequence


@dataclass
class ChainFacts:
    """What a transaction needs to know of the chain. gas_price is the node's word. read_s: when the height was read, by
    the monotonic clock."""

    chain_id: str
    gas_price: int
    height: int
    read_s: float = 0.0


class Session:
    """One account at one node. Ordered transactions of one session are numbered here, so that many can wait at once.

    proved: shows what the node says of the chain's id and height, the account's sequence and each outcome. Without it
    the node is believed in all of these: for a node of one's own. fee_max: udchat, of fees that follow from the node's
    gas price.
    """

    def __init__(
        self,
        client: Client,
        wallet: Wallet | Shared,
        *,
        proved: Proved | None = None,
        chain_id: str = "",
        fee_max: int = FEE_MAX,
    ) -> None:
        assert not (proved and chain_id)
        self.client, self.wallet, self.proved, self.fee_max = client, wallet, proved, fee_max
        self.handed: Tx | None = None  # the last one that somebody else has got
        self._chain_id = chain_id
        self._facts: ChainFacts | None = None
        self._sequences: dict[int, int] = {}  # lane -> the next one
        self._read: dict[int, Standing] = {}  # lane -> the account when it was asked for

    async def facts(self, *, refresh: bool = False) -> ChainFacts:
        """Raises ProofFailed, ClientError."""
        if self._facts is None or refresh:
            height = await self._height()
            if self._facts is None:
                params = await self.client.params()
                price = whole_param(params, "currency", "gas_price", most=GAS_PRICE_MAX)
                self._facts = ChainFacts(self._chain_id, price, height)
            self._facts.height, self._facts.read_s = height, time.monotonic()
        return self._facts

    async def _recent_facts(self, *, within_s: float) -> ChainFacts:
        """Where the node is away an older height does as well: what is signed by it expires the sooner."""
        if self._facts is not None and time.monotonic() < self._facts.read_s + within_s:
            return self._facts
        try:
            return await self.facts(refresh=True)
        except NodeUnreachable:
            if self._facts is None:
                raise
            return self._facts

    async def _height(self) -> int:
        """The chain's; sees to it that the node is of the chain that is signed for."""
        self.client.chain_id = self._chain_id or self.client.chain_id
        status = await self.client.status()
        height = status.latest_block_height
        if self.proved is not None:
            verifier = self.proved.verifier
            least = verifier.trust.height + 1  # the first whose state a header proves
            if height < least:
                height = await self.client.wait_for_height(least)
            height = (await verifier.header(height)).height
            self._chain_id = verifier.chain_id
        self._chain_id = self._chain_id or status.chain_id
        if status.chain_id != self._chain_id:
            raise OtherChain(
                f"{self.client.address} is a node of chain {quoted(status.chain_id)!r}, this would be signed for "
                f"{self._chain_id!r}: ask a node of that chain, or name the other (its --genesis, or --chain-id)"
            )
        return height

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
        sequence: int | None = None,
        fee_granter: bytes = b"",
        others: Sequence[Shared] = (),
    ) -> bytes:
        """A transaction, signed if the wallet has a key.

        expiry_blocks 0: EXPIRY_BLOCKS when it is unordered, else ORDERED_EXPIRY_BLOCKS.
        sequence: of an earlier attempt, so that only one of both can be executed; default: the next.
        fee_granter: whose grant pays the fee; b"": nobody's.
        others: who sign beside the wallet, of an unordered one; their policies are on record.

        Raises ProofFailed, ClientError, ValueError (an unordered one has no sequence; others sign nothing else).
        """
        chosen = lane_of(messages) if lane is None else lane
        is_unordered = unordered or chosen == LANE_BRIDGE
        if sequence is not None and is_unordered:
            raise ValueError("it is unordered (a bundle always is), and has no sequence")
        if others and not is_unordered:
            raise ValueError("several accounts sign what is unordered, as a bundle always is")

        async def ask() -> ChainFacts:
            found = await self._recent_facts(within_s=0.0 if is_unordered else HEIGHT_RECENT_S)
            await self._learn(chosen)
            return found

        try:
            async with asyncio.timeout(PREPARE_DEADLINE_S):
                facts = await self.client.at_each(ask)
        except TimeoutError:
            raise NodeUnreachable(
                f"{self.client.address} did not say within {PREPARE_DEADLINE_S:g} s what has to be signed; nothing was"
            ) from None
        except NodeUnreachable as error:
            more = " more" if self.handed is not None else ""
            raise NodeUnreachable(f"{error}; nothing{more} was signed", status=error.status) from None
        limit = gas_limit
        if limit is None:
            shared = [one.policy for one in (self.wallet, *others) if isinstance(one, Shared)]
            limit = gas_for(
                messages, lane=chosen, signers=1 + len(others), memo=memo, granted=bool(fee_granter), policies=shared
            )
        if fee is None:
            fee = self._fee(limit, facts.gas_price) if chosen != LANE_CHAT else 0
        taken = None if is_unordered else self._take_sequence(chosen, sequence)
        return build_tx(
            chain_id=chain_id or facts.chain_id,
            messages=messages,
            seats=[Seat(self.wallet, taken, with_policy=not self._read[chosen].has_policy), *map(Seat, others)],
            gas_limit=limit,
            fee=fee,
            lane=chosen,
            expiry_height=facts.height + (expiry_blocks or (EXPIRY_BLOCKS if is_unordered else ORDERED_EXPIRY_BLOCKS)),
            memo=memo,
            fee_granter=fee_granter,
        )

    async def simulate(self, messages: Sequence[Message], **options: object) -> pb.SimulateResponse:
        """What they would do in the next block, by the node's word. options: as `build`; without a gas limit it finds
        one, and the least fee for it. Of an account without keys here: nothing is signed for it. Raises what `build`
        does, ClientError."""
        assert isinstance(self.wallet, Shared)
        if options.get("gas_limit") is None:
            options = {**options, "gas_limit": 0, "fee": options.get("fee") or 0}
        unsigned = await self.build(messages, **options)  # type: ignore[arg-type]
        return await self.client.simulate(unsigned)

    def _fee(self, gas_limit: int, gas_price: int) -> int:
        fee = fee_of(gas_limit, gas_price)
        if fee > self.fee_max:
            raise ClientError(
                f"at the gas price that the node states ({gas_price}) the fee is {fee} udchat; allowed: "
                f"{self.fee_max}. If the price is right (ask another node), allow it: --max-fee, or --fee"
            )
        return fee

    async def _learn(self, lane: int) -> None:
        """The account's sequence and whether its policy is on record, of the lane's machine."""
        if lane in self._read:
            return
        standing = await self._standing(lane)
        # Asked twice at once, the first answer holds: numbers may have been handed out since.
        self._sequences.setdefault(lane, standing.next)
        self._read.setdefault(lane, standing)

    async def _standing(self, lane: int) -> Standing:
        who = (self.wallet.address, self.wallet.public_key, lane)
        if self.proved is None:
            return await told_standing(self.client, *who)
        return await proved_standing(self.client, self.proved, *who)

    def _take_sequence(self, lane: int, wanted: int | None) -> int:
        sequence = self._sequences[lane] if wanted is None else wanted
        if sequence < self._read[lane].next:
            raise ClientError(
                f"sequence {sequence} is used: what was signed with it before ran, or another of this key did. Nothing "
                "was signed now; dchat query tx HASH --prove tells of the earlier one"
            )
        self._sequences[lane] = max(self._sequences[lane], sequence + 1)
        return sequence

    def forget(self) -> None:
        """Read sequences anew before the next transaction: after one of ours was refused or expired."""
        self._sequences.clear()
        self._read.clear()

    async def send(
        self,
        messages: Sequence[Message],
        *,
        wait_commit: bool = True,
        prove: bool | None = None,
        signed: Callable[[bytes], None] | None = None,
        within_s: float | None = None,
        **options: object,
    ) -> Outcome:
        """Build and submit. prove: what became of it in its block; default: where it can. signed: is given what will be
        handed in. within_s: as `hand_in`. options: as `build`.

        Where another device took the sequence in between, and only where that is proved, it is built and signed once
        more, unless the sequence was given. Raises TxRefused, TxExpired, ProofFailed, ClientError.
        """
        raw = await self.build(messages, **options)  # type: ignore[arg-type]
        try:
            tx = decoded(raw)
            read = self._read[tx.lane]
            if signed is not None:
                signed(raw)
            return await self.hand_in(tx, wait_commit=wait_commit, prove=prove, within_s=within_s)
        except TxRefused as error:
            self.forget()
            if not _is_wrong_sequence(error.outcome) or self.proved is None or tx.unordered:
                raise
            if options.get("sequence") is not None and error.outcome.codespace == mempool.CODESPACE:
                raise  # it was to replace the one that waits, and pays too little
            with _telling(tx):
                found = await self._taker(tx, read, error)
                if found.replay_id == tx.replay_id:
                    return await self._proved_outcome(found, (await self.client.tx(found.id)).height)
            if options.get("sequence") is not None:
                raise ClientError(
                    f"{found.id.hex()} used the sequence, and {tx.id.hex()} will not be executed. If that is your "
                    f"earlier attempt, it is done: dchat query tx {found.id.hex()} --prove"
                ) from error
        except TxExpired:
            self.forget()
            raise
        again = decoded(await self.build(messages, **options))  # type: ignore[arg-type]
        if signed is not None:
            signed(again.raw)
        return await self.hand_in(again, wait_commit=wait_commit, prove=prove, within_s=within_s)

    async def hand_in(
        self, tx: Tx, *, wait_commit: bool = True, prove: bool | None = None, within_s: float | None = None
    ) -> Outcome:
        """What is signed already, for the first time or again: it is executed once. within_s: until it is in a block;
        default: SUBMIT_DEADLINE_S. Raises what `send` does, Undecided."""
        with _telling(tx):
            has_proof = (self.proved is not None) if prove is None else prove
            self.handed = tx
            try:
                return await self.client.at_each(
                    lambda: self._hand_in(tx, wait_commit=wait_commit, prove=has_proof, within_s=within_s)
                )
            except TxExpired as error:
                if not (has_proof and wait_commit):
                    raise
                return await self._last_look(tx, error)

    async def _hand_in(self, tx: Tx, *, wait_commit: bool, prove: bool, within_s: float | None) -> Outcome:
        try:
            outcome = await submit(
                self.client, tx.raw, wait_commit=wait_commit, deadline_s=within_s, height=self._height
            )
        except TxRefused as error:
            outcome = error.outcome
            if not (prove and wait_commit and outcome.height):
                raise
        return await self._proved_outcome(tx, outcome.height) if prove and wait_commit else outcome

    async def _last_look(self, tx: Tx, expired: TxExpired) -> Outcome:
        """What became of one that has expired, by a proof of any node. Raises TxExpired, TxRefused."""
        assert self.proved is not None
        for _ in range(self.client.others + 1):
            address = self.client.address
            try:
                if (height := await _height_of(self.client, tx)) is not None:
                    return await self._proved_outcome(tx, height)
                if since := await shown_dead(self.client, self.proved, tx):
                    told = f"no block of {since} to {tx.expiry_height} has it, as their headers show"
                    raise TxExpired(f"{tx.id.hex()} expired: {told}, and none will", is_shown=True) from expired
                why = "does not know what became of it"
            except (TxRefused, TxExpired):
                raise
            except AskFailed as error:
                why = str(error)
            self.client.leave(why, address=address)
        raise expired

    async def _proved_outcome(self, tx: Tx, height: int) -> Outcome:
        assert self.proved is not None
        told = f"block {height} has it, as this node says, without a proof"
        try:
            async with asyncio.timeout(PROOF_DEADLINE_S):
                answer, by = await proved_tx(self.client, self.proved, tx.id, height)
        except TimeoutError:
            raise NodeUnreachable(f"{told}: none came within {PROOF_DEADLINE_S:g} s") from None
        except AskFailed as error:
            raise type(error)(f"{told}: {error}") from error
        outcome = replace(Outcome.of(answer, tx), proved_by=by)
        if not outcome.code:
            return outcome
        if (broken := ERRORS.get(outcome.code)) is not None:  # the number is proved, the words are the node's
            log = outcome.log if broken.rule in outcome.log else broken.rule
            outcome = replace(outcome, codespace=broken.codespace, log=log)
        return _refuse(outcome)

    async def _taker(self, tx: Tx, read: Standing, refused: TxRefused) -> Tx:
        """After "wrong sequence": who used it, in a verified block; perhaps `tx` itself. Raises where none is shown."""
        assert self.proved is not None
        mine, unused = tx.signers[0].sequence, read.height  # not used in any block up to here
        try:
            async with asyncio.timeout(TAKEN_DEADLINE_S):
                while (now := await self._standing(tx.lane)).next <= mine:
                    unused = max(unused, now.height)
                    await asyncio.sleep(TAKEN_POLL_S)
                    await self.client.wait_for_height(now.height + 2)
                found = await taker(self.client, self.proved, tx, above=unused, until=now.height)
        except (TimeoutError, NodeUnreachable):
            raise refused from None
        if found is None:
            raise ProofFailed(f"sequence {mine} was used after block {unused}, and no block to {now.height} has it")
        return found


@contextlib.contextmanager
def _telling(tx: Tx) -> Iterator[None]:
    """Whatever goes wrong when `tx` is in somebody's hands is told with what may still become of it."""
    try:
        yield
    except (TxRefused, TxExpired):  # they say it themselves
        raise
    except AskFailed as error:
        advice = open_until(tx)
        if advice in str(error):
            raise
        raise type(error)(f"{error}; {advice}") from error


def _is_wrong_sequence(outcome: Outcome) -> bool:
    """It is used, or another that waits is going to use it."""
    return (outcome.codespace, outcome.code) in TAKEN and not outcome.height


def decoded(raw: bytes) -> Tx:
    """Raises TxRefused: every node would say the same, and none was asked."""
    try:
        return decode(raw)
    except TxError as error:
        raise TxRefused(Outcome(sha256(raw), b"", error.code, error.codespace, error.log)) from None


async def submit(
    client: Client,
    raw: bytes,
    *,
    wait_commit: bool = True,
    deadline_s: float | None = None,
    height: Callable[[], Awaitable[int]] | None = None,
) -> Outcome:
    """Hand in, again while the node does not answer, until admitted (or committed), refused or expired.

    deadline_s: SUBMIT_DEADLINE_S, unless said. height: the chain's; default: by the node's word, as all the rest.
    Of several nodes the next is handed the same where one does not tell of a block, and all are asked before it counts
    as refused. Raises TxRefused, TxExpired, Undecided (at the deadline; it may still be committed), ClientError.
    """
    last, wait_s = "no answer", RESEND_FIRST_S
    limit_s = SUBMIT_DEADLINE_S if deadline_s is None else deadline_s
    tx, refused = decoded(raw), set[str]()
    try:
        async with asyncio.timeout(limit_s):
            while True:
                each_s = EACH_S if client.others else None
                try:
                    outcome = Outcome.of(await client.broadcast(raw, wait_commit=wait_commit, deadline_s=each_s), tx)
                    if outcome.code == ADMITTED:
                        if outcome.height or not wait_commit:
                            return outcome
                        last = "admitted"
                    elif (outcome.codespace, outcome.code) not in TRY_LATER:
                        # Refused as a repeat of itself: an earlier attempt got through.
                        if (found := await _find(client, tx)) is not None:
                            return found
                        refused.add(client.address)  # by its word; another may say otherwise
                        is_left = client.others and client.leave(outcome.log, address=client.address)
                        if is_left and client.address not in refused:
                            continue
                        if not (_is_late(outcome) and await _is_at_expiry(client, tx, height)):
                            return _refuse(outcome)
                        last = outcome.log  # the next header says whether its last block has it
                    else:
                        last = outcome.log
                except NodeUnreachable:
                    if (found := await _find_quietly(client, tx)) is not None:
                        return found
                except ClientError as error:
                    if error.status != BUSY:
                        raise
                    last = str(error)
                await _is_at_expiry(client, tx, height)
                await asyncio.sleep(wait_s)
                wait_s = min(RESEND_MAX_S, 2 * wait_s)
    except TimeoutError:
        raise Undecided(
            f"{client.address} did not tell of a block with {tx.id.hex()} within {limit_s:g} s, and said last: {last}; "
            f"{_of_standing(await standing_still(client))}{open_until(tx)}"
        ) from None


class Still(NamedTuple):
    """The last block, and how old it is."""

    height: int
    age_s: int


async def standing_still(client: Client) -> Still | None:
    """By the node's word, and this machine's clock: that no block comes. None: one does, or it does not say."""
    try:
        async with asyncio.timeout(STATUS_S):
            status = await client.status()
    except (ClientError, TimeoutError):
        return None
    age_s = (time.time_ns() - status.latest_block_time_ns) // NS_PER_S
    if not status.latest_block_height or age_s < STANDS_AFTER_S:
        return None
    return Still(status.latest_block_height, age_s)


def _of_standing(stands: Still | None) -> str:
    if stands is None:
        return ""
    return (
        f"its last block, {stands.height}, is {stands.age_s} s old: the chain stands, and "
        "`dchat validator recover` on a node's home says why; "
    )


def _refuse(outcome: Outcome) -> Outcome:
    raise TxRefused(outcome)


async def _find(client: Client, tx: Tx) -> Outcome | None:
    try:
        outcome = Outcome.of(await client.tx(tx.id), tx)
    except NotFound:
        return None
    if not outcome.height:
        raise ClientError(f"{client.address} says of {tx.id.hex()} that it is in block {outcome.height}; there is none")
    return _refuse(outcome) if outcome.code else outcome


async def _height_of(client: Client, tx: Tx) -> int | None:
    """Of the block that has it, by the node's word."""
    try:
        found = await _find(client, tx)
    except TxRefused as error:
        return error.outcome.height
    return found.height if found is not None else None


async def _find_quietly(client: Client, tx: Tx) -> Outcome | None:
    try:
        return await _find(client, tx)
    except TxRefused:
        raise
    except ClientError:  # gone, or busy
        return None


def _is_late(outcome: Outcome) -> bool:
    return (outcome.codespace, outcome.code, outcome.height) == (mempool.CODESPACE, int(mempool.Refusal.EXPIRED), 0)


async def _is_at_expiry(client: Client, tx: Tx, height: Callable[[], Awaitable[int]] | None) -> bool:
    """Its last height is the chain's. Raises TxExpired above it, and what `height` does but for a ClientError."""
    if not tx.expiry_height:
        return False
    try:
        latest = await height() if height is not None else (await client.status()).latest_block_height
    except ClientError:  # gone, or busy
        return False
    if latest > tx.expiry_height:
        raise TxExpired(
            f"{tx.id.hex()} expired at height {tx.expiry_height}; the chain is at {latest}: no block takes it any "
            f"more. Whether one did before, another node tells: dchat query tx {tx.id.hex()} --prove"
        )
    return latest == tx.expiry_height
