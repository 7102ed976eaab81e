"""Who may sign for an account: changing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import BRIDGE, TOUCHED_IDENTITY, Kind
from chain.tx.messages.kinds.fields import check_address
from chain.tx.policies import parse_policy, read_policy
from crypto.hash import sha256
from crypto.keys import SIGNATURE_BYTES, Ed25519PrivKey
from proto.dchat.v1 import tx_pb2 as pb

ROTATE_DOMAIN: Final = b"dchat/rotate-keys/v1"


def rotation_hash(chain_id: str, address: bytes, policy: bytes) -> bytes:
    """What each key of a new policy signs: 32 bytes. Bound to chain, account and the whole policy, so that nobody is
    made part of another one with it."""
    return sha256(ROTATE_DOMAIN + chain_id.encode() + b"\x00" + address + policy)


class RotateKeys(NamedTuple):
    """policy: canonical. possessions: `prove_keys`."""

    address: bytes
    policy: bytes
    possessions: tuple[bytes, ...]


KeysMessage: TypeAlias = RotateKeys


def prove_keys(keys: Sequence[Ed25519PrivKey], chain_id: str, address: bytes, policy: bytes) -> tuple[bytes, ...]:
    """RotateKeys.possessions. keys: every one of the policy, in any order. Raises: InvalidField."""
    digest = rotation_hash(chain_id, address, policy)
    return in_order(policy, {key.pub_key.bytes: key.sign(digest) for key in keys})


def in_order(policy: bytes, signatures: Mapping[bytes, bytes]) -> tuple[bytes, ...]:
    """RotateKeys.possessions, of each key's signature. Raises: InvalidField, which names the keys without one."""
    wanted = parse_policy(policy).keys
    if missing := [key.hex() for key in wanted if key not in signatures]:
        raise InvalidField(f"rotate_keys.possessions: none by {', '.join(missing)}")
    return tuple([signatures[key] for key in wanted])


def rotate_keys(m: pb.RotateKeys) -> RotateKeys:
    check_address("rotate_keys.address", m.address)
    policy = read_policy("rotate_keys.policy", m.policy)
    return RotateKeys(m.address, policy, check_possessions("rotate_keys", policy, m.possessions))


def check_possessions(where: str, policy: bytes, possessions: Sequence[bytes]) -> tuple[bytes, ...]:
    """That there is one for each key; not that they are valid. Raises: InvalidField."""
    wanted = len(parse_policy(policy).keys)
    if len(possessions) != wanted or any(len(entry) != SIGNATURE_BYTES for entry in possessions):
        raise InvalidField(f"{where}.possessions: one of {SIGNATURE_BYTES} bytes for each key, {wanted} expected")
    return tuple(possessions)


def _fill(out: pb.RotateKeys, message: RotateKeys) -> None:
    out.address = message.address
    out.policy.MergeFromString(message.policy)
    out.possessions.extend(message.possessions)


KINDS: Final = (
    Kind(
        "rotate_keys", rotate_keys, RotateKeys, BRIDGE, 2 * gas.GAS_MESSAGE + gas.GAS_STAYS,
        fill=_fill, parts=lambda message: len(message.possessions), gas_each=gas.GAS_SIGNATURE,
        touches=TOUCHED_IDENTITY,
    ),
)  # fmt: skip
