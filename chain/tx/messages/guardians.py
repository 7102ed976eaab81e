"""Guardians of an account, and what they do to recover it.

Stateless; whose word counts, and when, is the bridge's (`bridge.guardians`).
Source: proto/dchat/v1/tx.proto; docs/identities.md.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.escrow import LEGS_MAX
from chain.tx.messages.keys import check_possessions
from chain.tx.messages.kinds import BRIDGE, Kind
from chain.tx.messages.kinds.fields import check_address
from chain.tx.policies import read_policy
from crypto.hash import ADDRESS_BYTES, HASH_BYTES, sha256
from proto.dchat.v1 import tx_pb2 as pb

GUARDIANS_MAX: Final = 16
DELAY_S_MIN: Final = 60  # for tests; BLOCKS_MIN of `bridge.guardians` holds beside it
DELAY_S_MAX: Final = 365 * 86_400

GAS_SET: Final = gas.GAS_MESSAGE + gas.GAS_STAYS + gas.GAS_LATER
GAS_START: Final = 2 * gas.GAS_MESSAGE + gas.GAS_STAYS + gas.GAS_LATER  # what carries it out is in it
GAS_APPROVE: Final = gas.GAS_MESSAGE + gas.GAS_NEW_LEAF
GAS_OBJECT: Final = 3 * gas.GAS_MESSAGE + gas.GAS_NEW_LEAF  # up to sixteen leave the queue
GAS_GUARDIAN: Final = 200  # one of a list: decoded, and read with it


class SetGuardians(NamedTuple):
    """guardians: ascending; none: nobody any more. overrule: 0, or so many approvals."""

    address: bytes
    guardians: tuple[bytes, ...]
    threshold: int
    delay_s: int
    overrule: int = 0


class StartRecovery(NamedTuple):
    """policy: canonical. possessions: `chain.tx.messages.keys.prove_keys`."""

    guardian: bytes
    address: bytes
    policy: bytes
    possessions: tuple[bytes, ...]


class ApproveRecovery(NamedTuple):
    """leg: index + 1 of the earlier leg that started it; 0: the id counts."""

    guardian: bytes
    address: bytes
    recovery_id: bytes = b""
    leg: int = 0


class ObjectRecovery(NamedTuple):
    address: bytes


GuardianMessage: TypeAlias = SetGuardians | StartRecovery | ApproveRecovery | ObjectRecovery


def recovery_id(replay_id: bytes, leg: int) -> bytes:
    """32 bytes, another for each recovery that ever was. leg: index of the leg that starts it."""
    return sha256(b"dchat/recovery" + replay_id + leg.to_bytes(4, "big"))


def set_guardians(m: pb.SetGuardians) -> SetGuardians:
    where = "set_guardians"
    check_address(f"{where}.address", m.address)
    if len(m.guardians) > GUARDIANS_MAX:
        raise InvalidField(f"{where}.guardians: {len(m.guardians)}, allowed: up to {GUARDIANS_MAX}")
    guardians = tuple(m.guardians)
    if any(len(one) != ADDRESS_BYTES for one in guardians) or list(guardians) != sorted(set(guardians)):
        raise InvalidField(f"{where}.guardians: of {ADDRESS_BYTES} bytes each, ascending, no repeats")
    if m.address in guardians:
        raise InvalidField(f"{where}.guardians: the account itself")
    if not guardians:
        if m.threshold or m.delay_s or m.overrule:
            raise InvalidField(f"{where}: without guardians, no threshold, delay or overrule")
        return SetGuardians(m.address, (), 0, 0)
    if not 1 <= m.threshold <= len(guardians):
        raise InvalidField(f"{where}.threshold: {m.threshold}, allowed: 1 to {len(guardians)}")
    if not DELAY_S_MIN <= m.delay_s <= DELAY_S_MAX:
        raise InvalidField(f"{where}.delay_s: {m.delay_s}, allowed: {DELAY_S_MIN} to {DELAY_S_MAX}")
    if m.overrule and not m.threshold <= m.overrule <= len(guardians):
        raise InvalidField(f"{where}.overrule: {m.overrule}, allowed: 0, {m.threshold} to {len(guardians)}")
    return SetGuardians(m.address, guardians, m.threshold, m.delay_s, m.overrule)


def start_recovery(m: pb.StartRecovery) -> StartRecovery:
    where = "start_recovery"
    check_address(f"{where}.guardian", m.guardian)
    check_address(f"{where}.address", m.address)
    policy = read_policy(f"{where}.policy", m.policy)
    possessions = check_possessions(where, policy, m.possessions)
    return StartRecovery(m.guardian, m.address, policy, possessions)


def approve_recovery(m: pb.ApproveRecovery) -> ApproveRecovery:
    where = "approve_recovery"
    check_address(f"{where}.guardian", m.guardian)
    check_address(f"{where}.address", m.address)
    if bool(m.recovery_id) == bool(m.leg) or m.leg > LEGS_MAX:
        raise InvalidField(f"{where}: a recovery_id, or a leg of 1 to {LEGS_MAX}")
    if m.recovery_id and len(m.recovery_id) != HASH_BYTES:
        raise InvalidField(f"{where}.recovery_id: {len(m.recovery_id)} bytes, expected {HASH_BYTES}")
    return ApproveRecovery(m.guardian, m.address, m.recovery_id, m.leg)


def object_recovery(m: pb.ObjectRecovery) -> ObjectRecovery:
    check_address("object_recovery.address", m.address)
    return ObjectRecovery(m.address)


def _fill_start(out: pb.StartRecovery, message: StartRecovery) -> None:
    out.guardian, out.address = message.guardian, message.address
    out.policy.MergeFromString(message.policy)
    out.possessions.extend(message.possessions)


KINDS: Final = (
    Kind(
        "set_guardians", set_guardians, SetGuardians, BRIDGE, GAS_SET, parts=lambda message: len(message.guardians),
        gas_each=GAS_GUARDIAN, new_gas=0,
    ),
    Kind(
        "start_recovery", start_recovery, StartRecovery, BRIDGE, GAS_START, _fill_start,
        lambda message: len(message.possessions), gas.GAS_SIGNATURE, new_gas=0,
    ),
    Kind("approve_recovery", approve_recovery, ApproveRecovery, BRIDGE, GAS_APPROVE, new_gas=0),
    Kind("object_recovery", object_recovery, ObjectRecovery, BRIDGE, GAS_OBJECT, new_gas=0),
)  # fmt: skip
