"""What an account lets others do: have their fees paid."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.fields import check_address
from chain.tx.messages.kinds import CURRENCY, Kind
from proto.dchat.v1 import tx_pb2 as pb

GRANT_KINDS_MAX: Final = 16
PERIOD_S_MAX: Final = 10 * 366 * 86_400  # ten years
TIME_NS_MAX: Final = (1 << 63) - 1

NAMES: Final = frozenset(pb.Message.DESCRIPTOR.fields_by_name)  # of kinds


class GrantFees(NamedTuple):
    granter: bytes
    grantee: bytes
    limit: int  # udchat
    expiry_ns: int
    period_s: int = 0
    period_limit: int = 0  # udchat
    kinds: tuple[str, ...] = ()


class RevokeFeeGrant(NamedTuple):
    granter: bytes
    grantee: bytes


GrantMessage: TypeAlias = GrantFees | RevokeFeeGrant


def grant_fees(m: pb.GrantFees) -> GrantFees:
    where = "grant_fees"
    _check_pair(where, m.granter, m.grantee)
    if not m.limit:
        raise InvalidField(f"{where}.limit: 0, allowed: 1 udchat and more")
    if not 1 <= m.expiry_ns <= TIME_NS_MAX:
        raise InvalidField(f"{where}.expiry_ns: {m.expiry_ns}, allowed: 1 to {TIME_NS_MAX}")
    if bool(m.period_s) != bool(m.period_limit):
        raise InvalidField(f"{where}: period_s and period_limit are given together")
    if m.period_s > PERIOD_S_MAX:
        raise InvalidField(f"{where}.period_s: {m.period_s}, allowed: {PERIOD_S_MAX} at most")
    if m.period_limit > m.limit:
        raise InvalidField(f"{where}.period_limit: above the limit")
    if len(m.kinds) > GRANT_KINDS_MAX:
        raise InvalidField(f"{where}.kinds: {len(m.kinds)}, allowed: {GRANT_KINDS_MAX} at most")
    kinds = tuple(m.kinds)
    if not NAMES.issuperset(kinds) or list(kinds) != sorted(set(kinds)):
        raise InvalidField(f"{where}.kinds: names of messages, ascending, no repeats")
    return GrantFees(m.granter, m.grantee, m.limit, m.expiry_ns, m.period_s, m.period_limit, kinds)


def revoke_fee_grant(m: pb.RevokeFeeGrant) -> RevokeFeeGrant:
    _check_pair("revoke_fee_grant", m.granter, m.grantee)
    return RevokeFeeGrant(m.granter, m.grantee)


def _check_pair(where: str, granter: bytes, grantee: bytes) -> None:
    check_address(f"{where}.granter", granter)
    check_address(f"{where}.grantee", grantee)
    if granter == grantee:
        raise InvalidField(f"{where}: granter and grantee are the same account")


KINDS: Final = (
    Kind(  # it may stay for as long as the granter says, and opens an account
        "grant_fees", grant_fees, GrantFees, CURRENCY, gas.GAS_MESSAGE + gas.GAS_STAYS + gas.GAS_LATER,
        parts=lambda message: len(message.kinds),
    ),
    Kind("revoke_fee_grant", revoke_fee_grant, RevokeFeeGrant, CURRENCY, gas.GAS_MESSAGE),
)  # fmt: skip
