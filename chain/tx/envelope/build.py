"""Building and signing transactions: for the command line, the demo, benchmarks and tests.

`Wallet` knows one Ed25519 key and the account that it acts for, `Shared` an account of several keys and none of them;
`build_body` makes the canonical body, `sign_body` the envelope.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chain.tx import gas
from chain.tx.envelope.tx import sign_hash
from chain.tx.messages import LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY, Message, encode_message, kinds_of
from chain.tx.policies import address_of_key, parse_policy, policy_address, single_key_policy
from chain.tx.units import fee_of
from crypto.keys import Ed25519PrivKey
from proto.dchat.v1 import tx_pb2 as pb

# What an envelope adds to its messages, with one signer: enough for an estimate that is never too low.
_ENVELOPE_BYTES = 400
_SIGNER_BYTES = 240
_GRANTER_BYTES = 22
_SIGNATURE_BYTES = 108  # of one signature more of the same signer


@dataclass(frozen=True, slots=True)
class Wallet:
    """One key and an account that it controls: its own, or one whose keys were changed to it."""

    key: Ed25519PrivKey
    address: bytes = b""  # empty: its own

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", self.address or address_of_key(self.key.pub_key.bytes))

    @staticmethod
    def from_seed(seed: bytes) -> Wallet:
        """seed: 32 secret bytes."""
        return Wallet(Ed25519PrivKey.from_seed(seed))

    @property
    def public_key(self) -> bytes:
        return self.key.pub_key.bytes

    @property
    def policy(self) -> bytes:
        """Canonical: the account's first, as long as it is the key's own."""
        return single_key_policy(self.public_key)


@dataclass(frozen=True, slots=True)
class Shared:
    """An account by its key policy. public_key: of the key whose sequence orders what is signed; default: the first.
    address: where the policy is not the account's first.
    """

    policy: bytes
    public_key: bytes = b""
    address: bytes = b""

    def __post_init__(self) -> None:
        object.__setattr__(self, "public_key", self.public_key or parse_policy(self.policy).keys[0])
        object.__setattr__(self, "address", self.address or policy_address(self.policy))


def lane_of(messages: Sequence[Message]) -> int:
    """The narrowest lane that carries all of `messages`: a machine's own, or the bridge."""
    allowed = frozenset.intersection(*(kind.lanes for message in messages for kind, _ in kinds_of(message)))
    return next(lane for lane in (LANE_CHAT, LANE_CURRENCY, LANE_BRIDGE) if lane in allowed)


def gas_for(
    messages: Sequence[Message], *, lane: int | None = None, signers: int = 1, memo: str = "", granted: bool = False,
    policies: Sequence[bytes] = (),
) -> int:  # fmt: skip
    """A gas limit that is enough: intrinsic cost, and what new records cost. lane: when not the narrowest.

    granted: a fee grant pays. policies: of signers, where they need more than one signature: the limit covers whichever
    of their keys sign.
    """
    more = sum(parse_policy(policy).signatures_most - 1 for policy in policies)
    size = _ENVELOPE_BYTES + _SIGNER_BYTES * (signers - 1) + len(memo.encode())
    size += _SIGNATURE_BYTES * more + sum(map(len, policies))
    size += sum(encode_message(message).ByteSize() + 4 for message in messages)
    kinds = sum(kind.most_of(message) for one in messages for kind, message in kinds_of(one))
    chosen = lane_of(messages) if lane is None else lane
    kept = gas.GAS_MARK + (gas.GAS_RECEIPT if chosen == LANE_BRIDGE else 0)
    if granted:
        kept += gas.GAS_GRANT + gas.GAS_BYTE * _GRANTER_BYTES
    return kept + gas.GAS_TRANSACTION + gas.GAS_BYTE * size + gas.GAS_SIGNATURE * (signers + more) + kinds


@dataclass(frozen=True, slots=True)
class Seat:
    """A signer's place in a body. sequence: None in an unordered transaction."""

    wallet: Wallet | Shared
    sequence: int | None = None
    with_policy: bool = False  # needed with the account's first transaction on its machine


def build_body(
    *,
    chain_id: str,
    messages: Sequence[Message],
    seats: Sequence[Seat],
    gas_limit: int,
    lane: int | None = None,
    fee: int = 0,
    fee_payer: int = 0,
    expiry_height: int = 0,
    memo: str = "",
    fee_granter: bytes = b"",
) -> bytes:
    """The canonical body. Unordered when the first seat has no sequence (a bridge transaction always)."""
    body = pb.TxBody(
        chain_id=chain_id, gas_limit=gas_limit, fee=fee, fee_payer=fee_payer, memo=memo, fee_granter=fee_granter
    )
    body.lane = lane_of(messages) if lane is None else lane  # type: ignore[assignment]  # any number, for tests
    body.expiry_height = expiry_height
    body.unordered = seats[0].sequence is None
    body.messages.extend(encode_message(message) for message in messages)
    for seat in seats:
        signer = body.signers.add(address=seat.wallet.address)
        if seat.with_policy:
            signer.policy.MergeFromString(seat.wallet.policy)
        if seat.sequence is not None:
            signer.sequence_key = seat.wallet.public_key
            signer.sequence = seat.sequence
    return body.SerializeToString(deterministic=True)


def sign_body(body: bytes, wallets: Sequence[Wallet | Sequence[Wallet]]) -> bytes:
    """The envelope. wallets: for each signer of the body, in its order, the one that signs, or all that do."""
    digest = sign_hash(body)
    envelope = pb.Tx(body=body)
    for index, signing in enumerate(wallets):
        each = [signing] if isinstance(signing, Wallet) else sorted(signing, key=lambda wallet: wallet.public_key)
        for wallet in each:
            envelope.signatures.add(signer=index, public_key=wallet.public_key, signature=wallet.key.sign(digest))
    return envelope.SerializeToString(deterministic=True)


def build_tx(
    *,
    chain_id: str,
    messages: Sequence[Message],
    seats: Sequence[Seat],
    gas_price: int = 0,
    gas_limit: int | None = None,
    fee: int | None = None,
    lane: int | None = None,
    fee_payer: int = 0,
    expiry_height: int = 0,
    memo: str = "",
    fee_granter: bytes = b"",
) -> bytes:
    """A transaction signed by the wallets among `seats`. gas_price: udchat for a million gas.

    Gas limit and fee are estimated when not given.
    """
    chosen = lane_of(messages) if lane is None else lane
    limit = gas_limit
    if limit is None:
        shared = [seat.wallet.policy for seat in seats if isinstance(seat.wallet, Shared)]
        limit = gas_for(
            messages, lane=chosen, signers=len(seats), memo=memo, granted=bool(fee_granter), policies=shared
        )
    paid = (0 if chosen == LANE_CHAT else fee_of(limit, gas_price)) if fee is None else fee
    body = build_body(
        chain_id=chain_id, messages=messages, seats=seats, gas_limit=limit, lane=chosen, fee=paid,
        fee_payer=fee_payer, expiry_height=expiry_height, memo=memo, fee_granter=fee_granter,
    )  # fmt: skip
    return sign_body(body, [seat.wallet if isinstance(seat.wallet, Wallet) else () for seat in seats])
