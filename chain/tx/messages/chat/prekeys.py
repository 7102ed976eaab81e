"""Prekeys: what others need to write to an identity while it is away."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import CHAT, ROLE_POST, Kind
from chain.tx.messages.kinds.fields import check_address, check_two_accounts
from crypto.hash import sha256
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES
from proto.dchat.v1 import identities_pb2 as ids

PREKEY_BYTES: Final = 32  # X25519
ONE_TIME_MAX: Final = 100  # of an identity at once, and in a message: a record of 3.5 kB

PREKEY_DOMAIN: Final = b"dchat/prekey/v1"
USE_SIGNED: Final = 1
USE_LAST_RESORT: Final = 2


class SignedPrekey(NamedTuple):
    """signature: by `signer`, of `prekey_hash`."""

    public_key: bytes
    signer: bytes
    signature: bytes


class PublishPrekeys(NamedTuple):
    """None: as it is."""

    address: bytes
    signed: SignedPrekey | None = None
    last_resort: SignedPrekey | None = None
    one_time: tuple[bytes, ...] = ()
    discard: bool = False


class ClaimPrekey(NamedTuple):
    claimer: bytes
    address: bytes


PrekeysMessage: TypeAlias = PublishPrekeys | ClaimPrekey


def prekey_hash(chain_id: str, address: bytes, use: int, public_key: bytes) -> bytes:
    """What is signed of a prekey: 32 bytes, bound to chain, identity and use."""
    return sha256(PREKEY_DOMAIN + chain_id.encode() + b"\x00" + address + bytes((use,)) + public_key)


def publish_prekeys(m: ids.PublishPrekeys) -> PublishPrekeys:
    check_address("publish_prekeys.address", m.address)
    if len(m.one_time) > ONE_TIME_MAX:
        raise InvalidField(f"publish_prekeys.one_time: {len(m.one_time)}, allowed: {ONE_TIME_MAX}")
    one_time = tuple(m.one_time)
    if any(len(key) != PREKEY_BYTES for key in one_time) or len(set(one_time)) != len(one_time):
        raise InvalidField(f"publish_prekeys.one_time: keys of {PREKEY_BYTES} bytes, no repeats")
    signed = _read_signed("signed", m.signed) if m.HasField("signed") else None
    last_resort = _read_signed("last_resort", m.last_resort) if m.HasField("last_resort") else None
    if signed is None and last_resort is None and not one_time and not m.discard:
        raise InvalidField("publish_prekeys: nothing in it")
    return PublishPrekeys(m.address, signed, last_resort, one_time, m.discard)


def claim_prekey(m: ids.ClaimPrekey) -> ClaimPrekey:
    return ClaimPrekey(*check_two_accounts("claim_prekey", m.claimer, m.address))


def _read_signed(where: str, m: ids.SignedPrekey) -> SignedPrekey:
    if (len(m.public_key), len(m.signer), len(m.signature)) != (PREKEY_BYTES, ED25519_KEY_BYTES, SIGNATURE_BYTES):
        raise InvalidField(f"publish_prekeys.{where}: keys of 32 bytes and a signature of 64")
    return SignedPrekey(m.public_key, m.signer, m.signature)


def fill_publish_prekeys(out: ids.PublishPrekeys, message: PublishPrekeys) -> None:
    out.address, out.discard = message.address, message.discard
    out.one_time.extend(message.one_time)
    for given, field in ((message.signed, out.signed), (message.last_resort, out.last_resort)):
        if given is not None:
            field.public_key, field.signer, field.signature = given


def _one_time_keys(message: PublishPrekeys) -> int:
    return len(message.one_time)


KINDS: Final = (
    Kind(
        "publish_prekeys",
        publish_prekeys,
        PublishPrekeys,
        CHAT,
        gas.GAS_MESSAGE + gas.GAS_STAYS + 2 * gas.GAS_SIGNATURE,
        fill_publish_prekeys,
        _one_time_keys,
        role=ROLE_POST,
    ),
    Kind(
        "claim_prekey",
        claim_prekey,
        ClaimPrekey,
        CHAT,
        2 * gas.GAS_MESSAGE + gas.GAS_NEW_LEAF + gas.GAS_LATER,
        role=ROLE_POST,
    ),
)  # fmt: skip
