"""Transactions: the envelope, decoded once and checked as far as no state is needed.

`decode` promises: bounded work (size before anything else), one accepted encoding per transaction, every field within
its own rules, signers exactly those that the messages and the fee need. What it returns is immutable and is shared
by admission, proposals and execution. `TxCache` keeps the latest, so that a node decodes each transaction once.
Source: proto/dchat/v1/tx.proto; docs/decisions/0005.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from chain.tx import gas
from chain.tx.envelope.short import Ordinary, read_ordinary
from chain.tx.errors import (
    FeeNotTaken,
    GasLimitTooLow,
    InvalidField,
    Malformed,
    NotCanonical,
    PolicyMismatch,
    SignersMismatch,
    TooLarge,
    TooMany,
    WrongLane,
)
from chain.tx.messages import (
    LANE_BRIDGE,
    LANE_CHAT,
    LANE_CURRENCY,
    LANE_NAMES,
    Kind,
    Message,
    Payment,
    PostMessage,
    decode_message,
)
from chain.tx.policies import POLICY_ED25519, SIGNATURES_MAX, policy_address, read_policy
from consensus.abci.interface import CheckTxResponse
from consensus.formats.units import MIB
from crypto.hash import ADDRESS_BYTES, sha256
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES
from proto.dchat.v1 import tx_pb2 as pb

SIGN_DOMAIN: Final = b"dchat/tx/v1"

TX_BYTES_MAX: Final = 65_536  # the largest message with room to spare, and one part of a block
BODY_AT_MAX: Final = 4  # a length of TX_BYTES_MAX has three bytes
LANE_TAG: Final = 0x10
TX_BYTES_MIN: Final = 128  # an address of 20, a key of 32, a signature of 64 and their fields: the shortest has more
MESSAGES_MAX: Final = 32  # a bundle is read by a person before it is signed
SIGNERS_MAX: Final = 8
CHAIN_ID_BYTES_MAX: Final = 50  # CometBFT's
MEMO_BYTES_MAX: Final = 256
HEIGHT_MAX: Final = (1 << 63) - 1  # a block's height is an int64
GAS_LIMIT_MAX: Final = (1 << 63) - 1  # results carry it as int64

# The key of a signer's record on the machine that authorises the lane: what an admission rests on.
TOUCHED_ACCOUNT: Final = b"ua"
TOUCHED_GRANT: Final = b"ug"  # ‖ granter ‖ grantee
TOUCHED_POT: Final = b"ca"  # ‖ channel
TOUCHED_MEMBER: Final = b"cm"  # ‖ channel ‖ member
TOUCHES: Final = {LANE_CHAT: b"ci", LANE_CURRENCY: TOUCHED_ACCOUNT, LANE_BRIDGE: TOUCHED_ACCOUNT}


_new: Final = tuple.__new__  # what a NamedTuple's constructor calls, without its frame


class SignerEntry(NamedTuple):
    """policy: canonical KeyPolicy, or None. sequence_key is empty in unordered transactions."""

    address: bytes
    policy: bytes | None
    sequence_key: bytes
    sequence: int


class Tx:
    """A decoded transaction. Immutable but for `verified`: whether all its signatures were found valid on this node,
    as (public key, message, signature), which never says that these keys may sign; and for `facts`.
    """

    __slots__ = (
        "body", "chain_id", "expiry_height", "facts", "fee", "fee_granter", "fee_payer", "gas_limit", "held",
        "intrinsic_gas", "key_types", "lane", "messages", "parts", "payer", "raw", "replay_id", "sign_hash",
        "signatures", "signers", "touches", "unordered", "verified",
    )  # fmt: skip

    raw: bytes
    body: bytes
    replay_id: bytes  # SHA-256 of body
    sign_hash: bytes  # what each key signed
    chain_id: str
    lane: int
    messages: tuple[Message, ...]
    key_types: tuple[str, ...]  # of the consensus keys that its messages name, ascending
    parts: int  # things that its messages list: changes of params, options of votes
    signers: tuple[SignerEntry, ...]
    fee_payer: int
    payer: bytes  # the address that pays the fee, or whose allowance pays
    fee_granter: bytes  # pays the fee in the payer's place, by its grant; empty: nobody. In the chat lane a channel
    gas_limit: int
    intrinsic_gas: int
    fee: int
    expiry_height: int
    unordered: bool
    signatures: tuple[tuple[int, bytes, bytes], ...]  # (signer, public key, signature), ascending
    touches: tuple[bytes, ...]  # keys of what its admission rests on: its signers' records, in their order, then the
    # fee granter's account and its grant (a channel's allowance and the membership), then its signers' records in other
    # lanes that its messages change; each once
    verified: bool
    facts: CheckTxResponse | None  # what admission tells of it, once it was asked
    held: int  # bytes that it takes, as a cache estimates

    @property
    def id(self) -> bytes:
        """SHA-256 of raw: made when somebody asks, since the mempool and the block have hashed it already."""
        return sha256(self.raw)

    def is_ordered_by(self, key: bytes) -> bool:
        """Whether it takes a sequence of the record at `key`, one of `touches`."""
        return not self.unordered and (not self.fee_granter or key in self.touches[: len(self.signers)])

    @property
    def counted_at(self) -> tuple[bytes, ...]:
        """Of `touches`, without what its messages change: what admitting it takes something from."""
        return self.touches[: len(self.signers) + (2 if self.fee_granter else 0)]

    @property
    def orders(self) -> tuple[bytes, ...]:
        """Of `touches`, those whose transactions go one after the other: not a channel's allowance, of which members
        who know nothing of each other take their shares in any order."""
        if not self.fee_granter or self.lane != LANE_CHAT:
            return self.touches
        return tuple([key for key in self.touches if not is_shared(key)])

    @property
    def grant_keys(self) -> tuple[bytes, ...]:
        """Of `touches`, where there is a fee granter: of what may end without a transaction that names it."""
        first = len(self.signers)
        return self.touches[first if self.lane == LANE_CHAT else first + 1 : first + 2]

    @property
    def lane_name(self) -> str:
        return LANE_NAMES[self.lane]

    def checks(self) -> list[tuple[bytes, bytes, bytes]]:
        """(public key, message, signature) of every signature."""
        return [(key, self.sign_hash, signature) for _, key, signature in self.signatures]


def is_shared(key: bytes) -> bool:
    """Whether the record at `key`, of `Tx.touches`, is one that many senders take of, each a share."""
    return key.startswith(TOUCHED_POT)


def sign_hash(body: bytes) -> bytes:
    """What is signed, by every signer: 32 bytes."""
    return sha256(SIGN_DOMAIN + body)


def lane_shown(raw: bytes) -> str:
    """What stands where a transaction has its lane, before anything of it is read; "": none does."""
    if len(raw) < TX_BYTES_MIN:
        return ""
    at = 2  # behind the tag and the length of the body
    while raw[at - 1] >= 0x80 and at < BODY_AT_MAX:
        at += 1
    at += 2 + raw[at + 1]  # behind the chain id's
    if at + 1 >= len(raw) or raw[at] != LANE_TAG:
        return ""
    return LANE_NAMES.get(raw[at + 1], "")


def decode(raw: bytes) -> Tx:
    """Raises a TxError of codespace `tx` for anything but a well-formed transaction."""
    if len(raw) <= TX_BYTES_MAX:
        ordinary = read_ordinary(raw)
        if ordinary is not None and (tx := _of_ordinary(raw, ordinary)) is not None:
            return tx
    return decode_by_schema(raw)


def _of_ordinary(raw: bytes, ordinary: Ordinary) -> Tx | None:
    """None: something is wrong with it, and `decode_by_schema` says what."""
    (
        body, chain_id, to, number, text, address, policy_key, sequence_key, sequence, gas_limit, fee, expiry_height,
        public_key, signature,
    ) = ordinary  # fmt: skip
    policy = POLICY_ED25519 + policy_key if policy_key else None
    message: Message
    if text:
        lane, cost, message = LANE_CHAT, gas.GAS_POST, _new(PostMessage, (address, to, text, number, 0, 0, b"", ()))
    else:
        lane, cost, message = LANE_CURRENCY, gas.GAS_MESSAGE, _new(Payment, (address, to, number))
    least = gas.GAS_TRANSACTION + gas.GAS_BYTE * len(raw) + gas.GAS_SIGNATURE + cost
    if gas_limit < least or (policy is not None and policy_address(policy) != address):
        return None
    tx = Tx()
    tx.raw, tx.body = raw, body
    tx.replay_id, tx.sign_hash = sha256(body), sign_hash(body)
    tx.verified, tx.facts, tx.held = False, None, 0
    tx.chain_id, tx.lane, tx.fee = chain_id.decode("ascii"), lane, fee
    tx.gas_limit, tx.expiry_height, tx.unordered = gas_limit, expiry_height, False
    tx.signers = (_new(SignerEntry, (address, policy, sequence_key, sequence)),)
    tx.touches = (TOUCHES[lane] + address,)
    tx.fee_payer, tx.payer, tx.fee_granter = 0, address, b""
    tx.signatures = ((0, public_key, signature),)
    tx.messages, tx.parts, tx.key_types = (message,), 0, ()
    tx.intrinsic_gas = least
    return tx


def decode_by_schema(raw: bytes) -> Tx:
    """`decode`, whatever it is."""
    if len(raw) > TX_BYTES_MAX:
        raise TooLarge(f"{len(raw)} bytes, allowed: {TX_BYTES_MAX}")
    try:
        envelope = pb.Tx.FromString(raw)
        if not 1 <= len(envelope.signatures) <= SIGNATURES_MAX:
            raise TooMany(f"{len(envelope.signatures)} signatures, allowed: 1 to {SIGNATURES_MAX}")
        content = envelope.body
        body = pb.TxBody.FromString(content)
    except DecodeError as error:
        raise Malformed("its fields cannot be read") from error
    _check_counts(body)
    _check_canonical(envelope, raw, body, content)
    tx = Tx()
    tx.raw, tx.body = raw, content
    tx.replay_id, tx.sign_hash = sha256(content), sign_hash(content)
    tx.verified, tx.facts, tx.held = False, None, 0
    _read_fields(tx, body)
    tx.signatures = _read_signatures(envelope, len(tx.signers))
    costs = _read_messages(tx, body)
    if tx.unordered:
        costs += gas.GAS_MARK
    if tx.fee_granter:
        costs += gas.GAS_GRANT
        if tx.lane == LANE_CHAT:
            _check_posts(tx)
    if tx.lane == LANE_BRIDGE:
        costs += gas.GAS_RECEIPT
    tx.intrinsic_gas = gas.GAS_TRANSACTION + gas.GAS_BYTE * len(raw) + gas.GAS_SIGNATURE * len(tx.signatures) + costs
    if tx.gas_limit < tx.intrinsic_gas:
        raise GasLimitTooLow(f"{tx.gas_limit}, needed: {tx.intrinsic_gas} at least")
    return tx


def _check_counts(body: pb.TxBody) -> None:
    if not 1 <= len(body.messages) <= MESSAGES_MAX:
        raise TooMany(f"{len(body.messages)} messages, allowed: 1 to {MESSAGES_MAX}")
    if not 1 <= len(body.signers) <= SIGNERS_MAX:
        raise TooMany(f"{len(body.signers)} signers, allowed: 1 to {SIGNERS_MAX}")


def _check_canonical(envelope: pb.Tx, raw: bytes, body: pb.TxBody, content: bytes) -> None:
    envelope.DiscardUnknownFields()
    body.DiscardUnknownFields()
    if body.SerializeToString(deterministic=True) != content:
        raise NotCanonical("the body")
    if envelope.SerializeToString(deterministic=True) != raw:
        raise NotCanonical("the envelope")


def _read_fields(tx: Tx, body: pb.TxBody) -> None:
    tx.chain_id, tx.lane, tx.fee = body.chain_id, body.lane, body.fee
    tx.gas_limit, tx.expiry_height, tx.unordered = body.gas_limit, body.expiry_height, body.unordered
    if not 1 <= len(tx.chain_id) <= CHAIN_ID_BYTES_MAX:
        raise InvalidField(f"chain_id: {len(tx.chain_id)} characters, allowed: 1 to {CHAIN_ID_BYTES_MAX}")
    if tx.lane not in LANE_NAMES:
        raise InvalidField(f"lane: {tx.lane}, allowed: {', '.join(LANE_NAMES.values())}")
    if len(body.memo.encode()) > MEMO_BYTES_MAX:
        raise InvalidField(f"memo: above {MEMO_BYTES_MAX} bytes")
    if tx.gas_limit > GAS_LIMIT_MAX or tx.expiry_height > HEIGHT_MAX:
        raise InvalidField("gas_limit, expiry_height: above 2**63 - 1")
    if tx.unordered and not tx.expiry_height:
        raise InvalidField("expiry_height: an unordered transaction needs one")
    if tx.lane == LANE_BRIDGE and not tx.unordered:
        raise InvalidField("unordered: a bridge transaction always is")
    if tx.lane == LANE_CHAT and tx.fee:
        raise FeeNotTaken(f"{tx.fee}")
    unordered = tx.unordered
    tx.signers = tuple([_read_signer(signer, unordered) for signer in body.signers])
    prefix = TOUCHES[tx.lane]
    tx.touches = tuple([prefix + entry.address for entry in tx.signers])
    tx.fee_payer = body.fee_payer
    if tx.fee_payer >= len(tx.signers):
        raise InvalidField(f"fee_payer: {tx.fee_payer}, there are {len(tx.signers)} signers")
    tx.payer = tx.signers[tx.fee_payer].address
    tx.fee_granter = body.fee_granter
    if tx.fee_granter:
        _read_granter(tx)


def _read_granter(tx: Tx) -> None:
    """It neither signs nor acts: who signs can be the fee payer."""
    granter = tx.fee_granter
    if len(granter) != ADDRESS_BYTES:
        raise InvalidField(f"fee_granter: {len(granter)} bytes, expected {ADDRESS_BYTES} or none")
    if tx.lane == LANE_CHAT:  # an address and a channel's id have as many bytes
        tx.touches += (TOUCHED_POT + granter, TOUCHED_MEMBER + granter + tx.payer)
        return
    if any(entry.address == granter for entry in tx.signers):
        raise InvalidField("fee_granter: it is a signer; that can be the fee payer itself")
    tx.touches += (TOUCHED_ACCOUNT + granter, TOUCHED_GRANT + granter + tx.payer)


def _check_posts(tx: Tx) -> None:
    """A channel pays for posts to it, and for nothing else that a member may do there, or that others do."""
    channel = tx.fee_granter
    if not all(type(message) is PostMessage and message.channel_id == channel for message in tx.messages):
        raise InvalidField("fee_granter: a channel pays for messages that are posted to it, and for nothing else")
    if len(tx.signers) > 1:
        raise InvalidField("fee_granter: a channel pays for one member at a time")


def _read_signer(signer: pb.Signer, unordered: bool) -> SignerEntry:
    address, sequence_key, sequence = signer.address, signer.sequence_key, signer.sequence
    if len(address) != ADDRESS_BYTES:
        raise InvalidField(f"signer.address: {len(address)} bytes, expected {ADDRESS_BYTES}")
    if unordered:
        if sequence_key or sequence:
            raise InvalidField("signer.sequence: an unordered transaction has none")
    elif len(sequence_key) != ED25519_KEY_BYTES:
        raise InvalidField(f"signer.sequence_key: {len(sequence_key)} bytes, expected {ED25519_KEY_BYTES}")
    policy = None
    if signer.HasField("policy"):
        key = signer.policy.ed25519
        policy = POLICY_ED25519 + key if len(key) == ED25519_KEY_BYTES else read_policy("signer.policy", signer.policy)
        if policy_address(policy) != address:
            raise PolicyMismatch("the policy's hash is not the signer's address")
    return SignerEntry(address, policy, sequence_key, sequence)


def _read_signatures(envelope: pb.Tx, signers: int) -> tuple[tuple[int, bytes, bytes], ...]:
    """Strictly ascending by signer, then key: one order, no repeats."""
    found = []
    last = (-1, b"")
    for entry in envelope.signatures:
        signer, key, signature = entry.signer, entry.public_key, entry.signature
        if len(key) != ED25519_KEY_BYTES or len(signature) != SIGNATURE_BYTES or signer >= signers:
            raise InvalidField("signatures: a signer's index, a key of 32 bytes and a signature of 64 each")
        if (signer, key) <= last:
            raise InvalidField("signatures: not ascending by signer and key")
        last = (signer, key)
        found.append((signer, key, signature))
    return tuple(found)


def _read_messages(tx: Tx, body: pb.TxBody) -> int:
    """Sets `messages`, checks lane and signers against them. Returns the messages' gas."""
    lane, costs, parts = tx.lane, 0, 0
    required = {tx.payer}
    messages = []
    keyed: list[tuple[Kind, Message]] = []
    for entry in body.messages:
        kind, message = decode_message(entry)
        if lane not in kind.lanes:
            raise WrongLane(f"{kind.name} in the lane {LANE_NAMES[lane]}")
        required.add(message[0])
        messages.append(message)
        costs += kind.gas
        if kind.consensus_key is not None:
            keyed.append((kind, message))
            costs += kind.key_gas(message)
        if kind.parts is not None:
            count = kind.parts(message)
            parts += count
            costs += count * kind.gas_each
            if kind.touches:
                tx.touches = tuple(dict.fromkeys([*tx.touches, kind.touches + message[0]]))
            if kind.within is not None:
                parts += 2 * count  # a message takes thrice what a part does
                carried = tuple(kind.within(message))
                keyed += carried
                costs += _read_within(lane, carried)
    if len(tx.signers) > 1 or len(required) > 1:  # else the one is the payer
        named = {signer.address for signer in tx.signers}
        if len(named) != len(tx.signers):
            raise SignersMismatch("a signer is named twice")
        if named != required:
            raise SignersMismatch(f"{len(required - named)} missing, {len(named - required)} without a part in it")
    tx.messages, tx.parts = tuple(messages), parts
    tx.key_types = tuple(sorted({kind.key_type_of(message) for kind, message in keyed} - {""}))
    return costs


def _read_within(lane: int, carried: Iterable[tuple[Kind, Message]]) -> int:
    """Checks the lane of the messages that one carries. Returns their gas."""
    costs = 0
    for kind, message in carried:
        if lane not in kind.lanes:
            raise WrongLane(f"{kind.name}, in another's name, in the lane {LANE_NAMES[lane]}")
        costs += kind.cost_of(message)
    return costs


class TxCache:
    """The transactions decoded last, by their bytes. Bounded in number and in what they take; oldest leave first."""

    COUNT_MAX: Final = 20_000  # what a full mempool and a block hold
    BYTES_MAX: Final = 128 * MIB  # as estimated: of what was decoded, which can be twenty times its bytes
    TX_BYTES, ENTRY_BYTES, PART_BYTES = 1_000, 400, 150
    PARTS: Final = 256  # of which one leaves at once: a look for the oldest goes past all that left the dict's front

    __slots__ = ("_bytes", "_txs", "decoded")

    def __init__(self) -> None:
        self._txs: dict[bytes, Tx] = {}
        self._bytes = 0
        self.decoded = 0  # how often `decode` ran: the benchmark shows it stays at once per transaction

    def get(self, raw: bytes) -> Tx:
        """Raises what `decode` raises; failures are not kept."""
        tx = self._txs.get(raw)
        if tx is None:
            tx = decode(raw)
            self.decoded += 1
            self._txs[raw] = tx
            tx.held = self._estimate(tx)
            self._bytes += tx.held
            while len(self._txs) > self.COUNT_MAX or self._bytes > self.BYTES_MAX:
                for oldest in list(islice(self._txs, max(1, self.COUNT_MAX // self.PARTS))):
                    self.drop(oldest)
        return tx

    def drop(self, raw: bytes) -> None:
        """Forget one that is in a block: it does not come back."""
        tx = self._txs.pop(raw, None)
        if tx is not None:
            self._bytes -= tx.held

    def _estimate(self, tx: Tx) -> int:
        entries = len(tx.messages) + len(tx.signers)
        return self.TX_BYTES + len(tx.raw) + self.ENTRY_BYTES * entries + self.PART_BYTES * tx.parts
