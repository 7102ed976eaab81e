"""Prekeys: what somebody needs to begin an encrypted conversation with one who is away.

An identity publishes a signed prekey, a last resort and one-time prekeys, in batches. The chain checks the signatures
and hands each one-time prekey out once, to the claimer in whose receipt it stands; when none is left, the last resort
is given. What was handed out is deleted and its number never comes again: a burner's begin above all of the address's
burners before, as its sequences do. Who claims pays with his allowance, is not
blocked, and gets CLAIMS_MAX of one identity in a period of block time: to drain somebody takes many registrations.
All of an identity's prekeys are one record of bounded size; the counts of claims are cleared when their period is over.
Source: the X3DH specification, revision 1, section 3.2; proto/dchat/v1/identities.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chain.chat.identities.devices import may_sign
from chain.chat.identities.profiles import require_open
from chain.chat.ledger.records import Identity, require_identity
from chain.kernel.branch import Key, Readable, RecordKind, Scan, State
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, some
from chain.tx import gas
from chain.tx.codec import bytes_field, height_bytes, message_field, uint_field
from chain.tx.identity_errors import BadPrekeySignature, NoPrekeys, PrekeySignerUnknown, TooManyClaims, TooManyPrekeys
from chain.tx.messages.chat.prekeys import (
    ONE_TIME_MAX,
    USE_LAST_RESORT,
    USE_SIGNED,
    ClaimPrekey,
    PublishPrekeys,
    SignedPrekey,
    prekey_hash,
)
from crypto.hash import ADDRESS_BYTES
from crypto.keys import ed25519_verify
from proto.dchat.v1 import identities_pb2 as pb

LOW_STOCK: Final = 10  # fewer one-time prekeys left than this are told with each claim
CLAIMS_MAX: Final = 4  # by one claimer, of one identity, in a period: one for each of some devices
PERIOD_NS: Final = 86_400 * 10**9
CLAIMS_PER_SLICE: Final = 100
PERIOD_BYTES: Final = 8
GAS_CLAIM_LEAST: Final = gas.GAS_LATER  # a transaction may hold many claims: so many counts a block can add at most


class Prekeys:
    """What an identity has published. one_time: what is left of it, in order; next_number: of the first of these."""

    __slots__ = ("last_resort", "last_resort_height", "next_number", "one_time", "signed", "signed_height")

    def __init__(
        self,
        signed: SignedPrekey | None,
        signed_height: int,
        last_resort: SignedPrekey | None,
        last_resort_height: int,
        next_number: int,
        one_time: tuple[bytes, ...],
    ) -> None:
        self.signed, self.signed_height = signed, signed_height
        self.last_resort, self.last_resort_height = last_resort, last_resort_height
        self.next_number, self.one_time = next_number, one_time

    def without_first(self) -> Prekeys:
        return Prekeys(
            self.signed, self.signed_height, self.last_resort, self.last_resort_height, self.next_number + 1,
            self.one_time[1:],
        )  # fmt: skip

    def encode(self) -> bytes:
        return b"".join(
            (
                _encode_signed(b"\x0a", self.signed),
                uint_field(b"\x10", self.signed_height),
                _encode_signed(b"\x1a", self.last_resort),
                uint_field(b"\x20", self.last_resort_height),
                uint_field(b"\x28", self.next_number),
                *[message_field(b"\x32", key) for key in self.one_time],
            )
        )

    @staticmethod
    def decode(stored: bytes) -> Prekeys:
        r = pb.Prekeys.FromString(stored)
        return Prekeys(
            _read_signed(r.signed) if r.HasField("signed") else None, r.signed_height,
            _read_signed(r.last_resort) if r.HasField("last_resort") else None, r.last_resort_height,
            r.next_number, tuple(r.one_time),
        )  # fmt: skip


def _encode_signed(tag: bytes, prekey: SignedPrekey | None) -> bytes:
    if prekey is None:
        return b""
    tags = (b"\x0a", b"\x12", b"\x1a")
    return message_field(tag, b"".join([bytes_field(at, value) for at, value in zip(tags, prekey, strict=True)]))


def _read_signed(m: pb.SignedPrekey) -> SignedPrekey:
    return SignedPrekey(m.public_key, m.signer, m.signature)


NUMBERS_PER_BLOCK: Final = 1 << 22  # more than an identity can publish, or discard, in a block

assert NUMBERS_PER_BLOCK > gas.BLOCK_GAS_MAX // (32 * gas.GAS_BYTE), "a key is 32 bytes"


def first_of(identity: Identity) -> Prekeys:
    """Before it published any."""
    return Prekeys(None, 0, None, 0, identity.created_height * NUMBERS_PER_BLOCK if identity.expiry_ns else 0, ())


PREKEY: Final = Key.of(b"cy", Prekeys)  # ‖ address
CLAIMS: Final = Key.of(b"cl", bytes)  # ‖ period ‖ address ‖ claimer -> PrekeyClaims
OLDEST: Final = Key.of(b"cL", bytes)  # -> the earliest period that may have claims; absent: none has

PREKEYS: Final = RecordKind(PREKEY, pb.Prekeys, "the prekeys")


# ------------------------------------------------------------------------------ messages


def publish_prekeys(ctx: Context, message: PublishPrekeys) -> Leg:
    """The signatures' gas is in the message's. Raises: UnknownIdentity, PrekeySignerUnknown, BadPrekeySignature,
    TooManyPrekeys."""
    address, signed, last_resort, added, discard = message
    branch = ctx.branch
    identity = require_identity(branch, address)
    for prekey, use in ((signed, USE_SIGNED), (last_resort, USE_LAST_RESORT)):
        if prekey is not None:
            _check_signed(ctx, identity, prekey, use)
    old = branch.get(PREKEY + address) or first_of(identity)
    kept = () if discard else old.one_time
    one_time = (*kept, *[key for key in added if key not in kept])
    if len(one_time) > ONE_TIME_MAX:
        raise TooManyPrekeys(f"{len(one_time)}, allowed: {ONE_TIME_MAX}")
    number = old.next_number + (len(old.one_time) if discard else 0)
    branch.emit(Event.of("publish_prekeys", address=account(address), one_time_left=str(len(one_time))))
    if discard and signed is None and last_resort is None and not added:
        signed, last_resort = None, None
        new = Prekeys(None, 0, None, 0, number, ())
    else:
        new = Prekeys(
            signed or old.signed, ctx.height if signed else old.signed_height,
            last_resort or old.last_resort, ctx.height if last_resort else old.last_resort_height,
            number, one_time,
        )  # fmt: skip
    branch.set(
        PREKEY + address, new if new.encode() else None
    )  # nothing was there, nothing is: no stored value is empty
    return Leg("publish_prekeys", 0, address, len(one_time))


def _check_signed(ctx: Context, identity: Identity, prekey: SignedPrekey, use: int) -> None:
    if not may_sign(ctx.branch, identity, prekey.signer, ctx.time_ns):
        raise PrekeySignerUnknown(prekey.signer.hex())
    digest = prekey_hash(ctx.chain_id, identity.address, use, prekey.public_key)
    if not ed25519_verify(prekey.signer, digest, prekey.signature):
        raise BadPrekeySignature(f"of {prekey.public_key.hex()}")


def claim_prekey(ctx: Context, message: ClaimPrekey) -> Leg:
    """The receipt's subject is the one-time prekey, its index the number; without a subject it is the last resort.

    Raises: UnknownIdentity, Blocked, NoPrekeys, TooManyClaims.
    """
    claimer, address = message
    branch = ctx.branch
    require_identity(branch, claimer)
    identity = require_identity(branch, address)
    require_open(branch, address, to=claimer)
    prekeys = branch.get(PREKEY + address)
    if prekeys is None or prekeys.signed is None or not (prekeys.one_time or prekeys.last_resort):
        raise NoPrekeys(account(address))
    if not may_sign(branch, identity, prekeys.signed.signer, ctx.time_ns):  # keys changed since
        raise NoPrekeys(f"{account(address)}: the key that signed them is not its any more")
    _count(ctx, claimer, address)
    told = {"address": account(address), "claimer": account(claimer), "signed_prekey": prekeys.signed.public_key.hex()}
    if not prekeys.one_time:
        last_resort = prekeys.last_resort
        if last_resort is None or not may_sign(branch, identity, last_resort.signer, ctx.time_ns):
            raise NoPrekeys(f"{account(address)}: the key that signed the last resort is not its any more")
        branch.emit(Event.of("claim_prekey", **told, one_time_prekey="", number=""))
        branch.emit(_low(address, 0))
        return Leg("claim_prekey")
    prekey, number = prekeys.one_time[0], prekeys.next_number
    left = prekeys.without_first()
    branch.set(PREKEY + address, left)
    branch.emit(Event.of("claim_prekey", **told, one_time_prekey=prekey.hex(), number=str(number)))
    if len(left.one_time) < LOW_STOCK:
        branch.emit(_low(address, len(left.one_time)))
    return Leg("claim_prekey", 0, prekey, number)


def _low(address: bytes, left: int) -> Event:
    return Event.of("prekeys_low", address=account(address), one_time_left=str(left))


def _count(ctx: Context, claimer: bytes, address: bytes) -> None:
    """One more in this period. Raises: TooManyClaims."""
    branch = ctx.branch
    period = height_bytes(ctx.time_ns // PERIOD_NS)
    key = CLAIMS + period + address + claimer
    stored = branch.get(key)
    count = pb.PrekeyClaims.FromString(stored).count if stored else 0
    if count >= CLAIMS_MAX:
        raise TooManyClaims(f"{count} of {account(address)} in this period, allowed: {CLAIMS_MAX}")
    branch.set(key, uint_field(b"\x08", count + 1))
    if branch.get(OLDEST) is None:
        branch.set(OLDEST, period)


# ------------------------------------------------------------------------------ blocks


def clear_claims(state: State, scan: Scan, *, time_ns: int, block_gas_max: int) -> Iterator[None]:
    """Remove counts of periods that are over, oldest first: as many as a block can add. Yields between slices."""
    oldest, period = state.get(OLDEST), height_bytes(time_ns // PERIOD_NS)
    if oldest is None or oldest >= period:
        return
    budget = gas.most_of(GAS_CLAIM_LEAST, block_gas_max)
    following = period
    for number, (key, _) in enumerate(scan(CLAIMS, CLAIMS + oldest), start=1):
        at = key[len(CLAIMS) : len(CLAIMS) + PERIOD_BYTES]
        if at >= period or number > budget:
            following = min(at, period)
            break
        state.set(key, None)
        if number % CLAIMS_PER_SLICE == 0:
            yield
    state.set(OLDEST, following)


# ------------------------------------------------------------------------------ the whole


def handlers() -> dict[type[Any], Handler]:
    return {PublishPrekeys: publish_prekeys, ClaimPrekey: claim_prekey}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    many = [key.hex() for key, found in scan(PREKEY) if len(found.one_time) > ONE_TIME_MAX]
    yield "identities: one-time prekeys are bounded", not many, f"above: {some(many)}"
    oldest = state.get(OLDEST)
    wrong = []
    for key, stored in scan(CLAIMS):
        rest = key[len(CLAIMS) :]
        counted = 1 <= pb.PrekeyClaims.FromString(stored).count <= CLAIMS_MAX
        if (
            not counted
            or oldest is None
            or rest[:PERIOD_BYTES] < oldest
            or len(rest) != PERIOD_BYTES + 2 * ADDRESS_BYTES
        ):
            wrong.append(rest.hex())
    yield "identities: claims of prekeys are bounded and wait for their end", not wrong, f"do not: {some(wrong)}"
