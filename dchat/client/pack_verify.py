"""Judging a proof pack: from the one block that a person trusts to a message, who signed it, and what was paid.

Offline and pure: a pack, the trusted height and hash, nothing else, no clock. Nothing is read before its hash was
checked. What follows, in order: the first header is the trusted one; every other hangs on one before it, by its hash or
by more than 2/3 of the set that the one before names for the next height; each transaction is in its block and its
result in the next header, with code 0; the first of them posted the message, as its receipt says. The chain's rules
(who may sign for an account, what an order is) are taken from the chain: that it executed the transaction.
Raises InvalidPack. Source: docs/proof-pack.md.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from google.protobuf.message import DecodeError

from chain.tx.envelope.tx import sign_hash
from chain.tx.messages import LANE_CHAT
from chain.tx.policies import address_of_key, policy_address
from consensus.core.votes import two_thirds
from consensus.formats.chain_ids import CHAIN_ID_BYTES_MAX
from consensus.formats.units import NS_PER_S
from consensus.formats.wire import int_field
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, Vote
from crypto import merkle
from crypto.hash import ADDRESS_BYTES, HASH_BYTES, sha256
from crypto.keys import ed25519_verify
from dchat.client.pack import (
    CHAIN_ID,
    DATA_HASH,
    HEIGHT,
    LAST_BLOCK_ID,
    LAST_RESULTS_HASH,
    NANOS_MAX,
    NEXT_VALIDATORS_HASH,
    NUMBER_MAX,
    SECONDS_MAX,
    TIME,
    VALIDATORS_HASH,
    InvalidPack,
    Pack,
    PackTx,
    Vouch,
)
from proto.dchat.v1 import state_pb2, tx_pb2
from proto.tendermint.abci import types_pb2 as abci_pb2

HASH_TAG: Final = b"\x0a\x20"  # a hash in a field of a header, and first in a block id
FIELD_NAMES: Final = {
    CHAIN_ID: "chain_id", HEIGHT: "height", TIME: "time", LAST_BLOCK_ID: "last_block_id", DATA_HASH: "data_hash",
    VALIDATORS_HASH: "validators_hash", NEXT_VALIDATORS_HASH: "next_validators_hash",
    LAST_RESULTS_HASH: "last_results_hash",
}  # fmt: skip
# Kinds whose leg tells what was asked for, allowed or held still: they move nothing.
UNPAID: Final = frozenset({"request_payment", "create_standing_order", "grant_fees", "authorise", "freeze_holding"})


class PaidLeg(NamedTuple):
    """What a message of an executed transaction moved. payer: who it acts for. why: how it concerns the message that is
    shown; empty: by nothing that the chain says. unit: what the amount counts: empty: udchat; else the units of a
    denomination, creator ‖ name; None: of what is in an escrow, and the message does not say what."""

    kind: str
    amount: int
    payer: bytes
    why: str
    unit: bytes | None = b""


class ShownTx(NamedTuple):
    """fee: in udchat; of the chat lane 0: there the payer's allowance pays. fee_payer: or who granted it the fee."""

    hash: bytes
    height: int
    position: int
    fee_payer: bytes
    fee: int
    legs: tuple[PaidLeg, ...]


class ShownMessage(NamedTuple):
    """What a pack shows. keys: that signed for the author; own_key: the author's address is the hash of the first.
    txs: the one that posted first. links, commits: how many of each the way from the trusted block took."""

    chain_id: str
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the message's name for it; tuple.index is not used
    author: bytes
    content: bytes
    reply_to: int  # index + 1; 0: none
    height: int
    time_ns: int
    keys: tuple[bytes, ...]
    own_key: bool
    txs: tuple[ShownTx, ...]
    links: int
    commits: int


def verify_pack(pack: Pack, *, height: int, block_hash: bytes) -> ShownMessage:
    """What follows from the pack for whoever trusts that block. Raises InvalidPack."""
    chain = _Headers(pack, height=height, block_hash=block_hash)
    executed = [_Executed(tx, chain, place) for place, tx in enumerate(pack.txs)]
    posted = executed[0]
    leg = posted.leg_of_post(pack.channel_id, pack.index)
    message = posted.body.messages[leg].post_message
    if message.channel_id != pack.channel_id:
        raise InvalidPack("the transaction posts to another channel than its receipt says")
    keys, own_key = posted.keys_of(message.author)
    time_ns = _time_ns(chain.field(pack.txs[0].block, TIME))
    shown = [one.shown(pack, message.author, leg if one is posted else -1) for one in executed]
    commits = sum(1 for header in pack.headers if header.vouch is not None)
    return ShownMessage(
        chain.chain_id, pack.channel_id, pack.index, message.author, message.content, message.reply_to,
        posted.height, time_ns, keys, own_key, tuple(shown), len(pack.headers) - 1 - commits, commits,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ headers


class _Headers:
    """The headers of a pack, each judged as it is added."""

    def __init__(self, pack: Pack, *, height: int, block_hash: bytes) -> None:
        self.hashes: list[bytes] = []
        self.heights: list[int] = []
        self._fields: list[dict[int, bytes]] = []
        self._sets: dict[int, tuple[bytes, int]] = {}
        for place, header in enumerate(pack.headers):
            digest, fields = header.shown.fold()
            self.hashes.append(digest)
            self._fields.append(fields)
            if not place:
                self.heights.append(_root_height(fields, digest, height=height, block_hash=block_hash))
                self.chain_id = _chain_id(self.field(0, CHAIN_ID))
            elif header.vouch is None:
                self.heights.append(self._by_link(place, header.parent))
            else:
                self.heights.append(self._by_commit(place, header.parent, header.vouch))

    def field(self, place: int, field: int) -> bytes:
        found = self._fields[place].get(field)
        if found is None:
            raise InvalidPack(f"header {place} of the file does not show its {FIELD_NAMES[field]}")
        return found

    def hash_in(self, place: int, field: int) -> bytes:
        return _hash(self.field(place, field), FIELD_NAMES[field])

    def last_block(self, place: int) -> bytes:
        """The hash of the block before."""
        return _hash(self.field(place, LAST_BLOCK_ID)[: len(HASH_TAG) + HASH_BYTES], "last_block_id")

    def _by_link(self, place: int, parent: int) -> int:
        if self.last_block(parent) != self.hashes[place]:
            raise InvalidPack(f"header {place} of the file is not the last block of header {parent}")
        return self.heights[parent] - 1

    def _by_commit(self, place: int, parent: int, vouch: Vouch) -> int:
        where = f"header {place} of the file"
        set_hash, total = self._set(vouch.validators)
        if not set_hash == self.hash_in(place, VALIDATORS_HASH) == self.hash_in(parent, NEXT_VALIDATORS_HASH):
            raise InvalidPack(f"{where}: its validators are not those that header {parent} names for the next height")
        height = _height(self.field(place, HEIGHT))
        if height <= self.heights[parent]:
            raise InvalidPack(f"{where} has the height {height}, not above {self.heights[parent]}")
        block_id = BlockID(self.hashes[place], PartSetHeader(vouch.parts_total, vouch.parts_hash))
        power = 0
        for position, seconds, nanos, signature in vouch.signatures:
            key, weight = vouch.validators[position]
            time_ns = seconds * NS_PER_S + nanos
            vote = Vote(PRECOMMIT, height, vouch.round, block_id, time_ns, bytes(ADDRESS_BYTES), position)
            if not ed25519_verify(key, vote.sign_bytes(self.chain_id), signature):
                raise InvalidPack(f"{where}: the signature of validator {position} does not hold")
            power += weight
        if power <= two_thirds(total):
            raise InvalidPack(f"{where}: {power} of the power {total} signed it; needed: above {two_thirds(total)}")
        return height

    def _set(self, validators: tuple[tuple[bytes, int], ...]) -> tuple[bytes, int]:
        """Hash and power. Once for each set: a file may name one a thousand times."""
        found = self._sets.get(id(validators))
        if found is None:
            leaves = [b"\x0a\x22\x0a\x20" + key + int_field(b"\x10", power) for key, power in validators]
            found = self._sets[id(validators)] = (merkle.root(leaves), sum(power for _, power in validators))
        return found


def _root_height(fields: dict[int, bytes], digest: bytes, *, height: int, block_hash: bytes) -> int:
    """Raises InvalidPack: the file begins with another block than the trusted one."""
    if HEIGHT not in fields:
        raise InvalidPack("the first header of the file does not show its height")
    begins = _height(fields[HEIGHT])
    if begins != height:
        raise InvalidPack(
            f"the file begins with block {begins}, trusted is block {height}: find out the hash of {begins}"
        )
    if digest != block_hash:
        raise InvalidPack(f"the file's block {begins} hashes to {digest.hex()}, trusted is {block_hash.hex()}")
    return begins


def _hash(field: bytes, what: str) -> bytes:
    if len(field) != len(HASH_TAG) + HASH_BYTES or not field.startswith(HASH_TAG):
        raise InvalidPack(f"a header's {what} is no hash: {field.hex()}")
    return field[len(HASH_TAG) :]


def _number(field: bytes, at: int) -> tuple[int, int]:
    """A protobuf number and where it ends."""
    value = shift = 0
    while at < len(field) and shift < 63:
        value |= (field[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if field[at - 1] < 0x80:
            return value, at
    raise InvalidPack(f"a header's field has no number: {field.hex()}")


def _height(field: bytes) -> int:
    value, end = _number(field, 1)
    if field[:1] != b"\x08" or end != len(field) or not 0 < value <= NUMBER_MAX:
        raise InvalidPack(f"a header's height is none: {field.hex()}")
    return value


def _time_ns(field: bytes) -> int:
    """Of the years since 1970: a block of ours has one."""
    seconds, end = _number(field, 1)
    nanos = 0
    if field[end : end + 1] == b"\x10":
        nanos, end = _number(field, end + 1)
    if field[:1] != b"\x08" or end != len(field) or seconds > SECONDS_MAX or nanos > NANOS_MAX:
        raise InvalidPack(f"a header's time is none: {field.hex()}")
    return seconds * NS_PER_S + nanos


def _chain_id(field: bytes) -> str:
    if field[:1] != b"\x0a" or field[1:2] != bytes([max(0, len(field) - 2)]) or len(field) - 2 > CHAIN_ID_BYTES_MAX:
        raise InvalidPack(f"a header's chain id is none: {field.hex()}")
    try:
        return field[2:].decode()
    except UnicodeDecodeError:
        raise InvalidPack(f"a header's chain id is no text: {field.hex()}") from None


# ------------------------------------------------------------------------------------------------ transactions


def _root(item: bytes, path: int, aunts: tuple[bytes, ...]) -> bytes:
    node = merkle.leaf_hash(item)
    for level, aunt in enumerate(aunts):
        node = merkle.inner_hash(aunt, node) if path >> level & 1 else merkle.inner_hash(node, aunt)
    return node


class _Executed:
    """A transaction that is in its block and was executed, with all its signatures checked."""

    def __init__(self, tx: PackTx, chain: _Headers, place: int) -> None:
        self.where = f"transaction {place} of the file"
        if chain.last_block(tx.result) != chain.hashes[tx.block]:
            raise InvalidPack(f"{self.where}: the header of its result does not follow the header of its block")
        self.height = chain.heights[tx.block]
        self.hash = sha256(tx.tx)
        if _root(self.hash, tx.path, tx.aunts) != chain.hash_in(tx.block, DATA_HASH):
            raise InvalidPack(f"{self.where} is not in its block")
        if _root(tx.outcome, tx.path, tx.outcome_aunts) != chain.hash_in(tx.result, LAST_RESULTS_HASH):
            raise InvalidPack(f"{self.where} has another result")
        try:
            self.envelope = tx_pb2.Tx.FromString(tx.tx)
            self.body = tx_pb2.TxBody.FromString(self.envelope.body)
            outcome = abci_pb2.ExecTxResult.FromString(tx.outcome)
            self.receipt = state_pb2.Receipt.FromString(outcome.data)
        except DecodeError as error:
            raise InvalidPack(f"{self.where} or its receipt cannot be read") from error
        if outcome.code:
            raise InvalidPack(f"{self.where} was not executed: its code is {outcome.code}")
        if self.body.chain_id != chain.chain_id:
            raise InvalidPack(f"{self.where} is of the chain {self.body.chain_id!r}, the headers of {chain.chain_id!r}")
        if self.receipt.replay_id != sha256(self.envelope.body) or len(self.receipt.legs) != len(self.body.messages):
            raise InvalidPack(f"{self.where} has the receipt of another")
        if self.receipt.height != self.height:
            raise InvalidPack(f"{self.where} has a receipt of block {self.receipt.height}, not {self.height}")
        if self.body.fee_payer >= len(self.body.signers):
            raise InvalidPack(f"{self.where} names no fee payer")
        signed = sign_hash(self.envelope.body)
        for entry in self.envelope.signatures:
            if not ed25519_verify(entry.public_key, signed, entry.signature):
                raise InvalidPack(f"{self.where}: a signature does not hold")

    def leg_of_post(self, channel_id: bytes, index: int) -> int:
        """Which of its messages is the one that is shown."""
        for number, (leg, message) in enumerate(zip(self.receipt.legs, self.body.messages, strict=True)):
            said = (leg.kind, leg.subject, leg.index)
            if said == ("post_message", channel_id, index) and message.WhichOneof("kind") == "post_message":
                return number
        raise InvalidPack(f"{self.where} did not post message {index} of the channel {channel_id.hex()}")

    def keys_of(self, address: bytes) -> tuple[tuple[bytes, ...], bool]:
        """The keys that signed for an account, and whether its address is the hash of what is shown of its keys."""
        signer = next((number for number, entry in enumerate(self.body.signers) if entry.address == address), None)
        keys = [entry.public_key for entry in self.envelope.signatures if entry.signer == signer]
        if signer is None or not keys:
            raise InvalidPack(f"{self.where}: nobody signed for the author")
        return tuple(keys), any(address_of_key(key) == address for key in keys) or self._policy_is(signer, address)

    def _policy_is(self, signer: int, address: bytes) -> bool:
        """A policy of several keys, whose hash is the address, stands in the transaction while the chain knows none."""
        entry = self.body.signers[signer]
        return (
            entry.HasField("policy") and policy_address(entry.policy.SerializeToString(deterministic=True)) == address
        )

    def shown(self, pack: Pack, author: bytes, posted: int) -> ShownTx:
        """posted: the message that is shown itself, which is no payment."""
        legs = []
        for number, (leg, message) in enumerate(zip(self.receipt.legs, self.body.messages, strict=True)):
            if number != posted:
                amount = 0 if leg.kind in UNPAID else leg.amount
                legs.append(PaidLeg(leg.kind, amount, *_concern(message, pack, author), self._unit(message)))
        granter = self.body.fee_granter if self.body.lane != LANE_CHAT else b""  # there it is a channel, and no fee
        payer = granter or self.body.signers[self.body.fee_payer].address
        if any(len(address) != ADDRESS_BYTES for address in (author, payer, *(leg.payer for leg in legs if leg.payer))):
            raise InvalidPack(f"{self.where}: an address has not {ADDRESS_BYTES} bytes")
        return ShownTx(self.hash, self.height, self.receipt.tx_index, payer, self.receipt.fee_paid, tuple(legs))

    def _unit(self, message: tx_pb2.Message) -> bytes | None:
        """See PaidLeg."""
        kind = message.WhichOneof("kind")
        said: Any = getattr(message, kind) if kind else message
        if kind == "open_shared_escrow":
            said = said.terms
        if "denom" in said.DESCRIPTOR.fields_by_name and said.HasField("denom"):
            if len(said.denom.creator) != ADDRESS_BYTES:
                raise InvalidPack(f"{self.where}: the creator of a denomination has not {ADDRESS_BYTES} bytes")
            creator, name = bytes(said.denom.creator), str(said.denom.sub)
            return creator + name.encode()
        return None if kind == "release_escrow" and not said.amount else b""


def _concern(message: tx_pb2.Message, pack: Pack, author: bytes) -> tuple[bytes, str]:
    """Who a message acts for, and how it concerns the one that is shown."""
    kind = message.WhichOneof("kind")
    if kind == "payment":
        return message.payment.sender, ""
    if kind == "tip":
        is_for = (message.tip.channel_id, message.tip.index) == (pack.channel_id, pack.index)
        return message.tip.sender, "a tip for this message" if is_for else ""
    if kind == "pay_to_join":
        is_for = (message.pay_to_join.channel_id, message.pay_to_join.member) == (pack.channel_id, author)
        return message.pay_to_join.member, "the author's way into the channel" if is_for else ""
    if kind == "buy_allowance":
        address = message.buy_allowance.address
        return address, "the author's allowance" if address == author else ""
    if kind == "register_identity":
        address = message.register_identity.address
        return address, "the author's identity" if address == author else ""
    return b"", ""
