"""What an account lets others do: have their fees paid, act in its name.

What may be done in another's name is a list, so that a new kind is not on it by itself. Nothing that gives power away
is: no keys, grants or authorisations, no messages that carry messages, no validator's terms, no address for rewards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField, Malformed
from chain.tx.messages import bridge, chat, economy, governance, payments
from chain.tx.messages.kinds import CURRENCY, Kind, encode_as
from chain.tx.messages.kinds.fields import check_address
from crypto.hash import ADDRESS_BYTES
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


INNER_MAX: Final = 8  # messages of one exec: a person reads them before signing
RECIPIENTS_MAX: Final = 8

# What they take from the granter's balance is their `amount`, and counts against the limit.
SPENDING: Final = frozenset({"payment", "tip", "buy_allowance", "delegate", "fund_community_pool", "add_deposit"})
# They take nothing from it.
FREE: Final = frozenset(
    {"create_channel", "join_channel", "post_message", "undelegate", "cancel_unbonding", "redelegate", "unjail",
     "withdraw_rewards", "withdraw_commission", "vote", "vote_weighted"}
)  # fmt: skip
INNER: Final[dict[str, Kind]] = {
    kind.name: kind
    for subject in (payments, chat, bridge, economy, governance)
    for kind in subject.KINDS
    if kind.name in SPENDING | FREE
}
INNER_OF: Final[dict[type[Any], Kind]] = {kind.type: kind for kind in INNER.values()}


class Authorise(NamedTuple):
    granter: bytes
    grantee: bytes
    kind: str
    expiry_ns: int
    limit: int = 0  # udchat, of kinds that spend
    recipients: tuple[bytes, ...] = ()  # of payments; none: anybody


class RevokeAuthorisation(NamedTuple):
    granter: bytes
    grantee: bytes
    kind: str


class Exec(NamedTuple):
    grantee: bytes
    granter: bytes
    messages: tuple[Any, ...]  # what the granter is to have done, of INNER


GrantMessage: TypeAlias = GrantFees | RevokeFeeGrant | Authorise | RevokeAuthorisation | Exec


def authorise(m: pb.Authorise) -> Authorise:
    where = "authorise"
    _check_pair(where, m.granter, m.grantee)
    _check_kind(where, m.kind)
    if not 1 <= m.expiry_ns <= TIME_NS_MAX:
        raise InvalidField(f"{where}.expiry_ns: {m.expiry_ns}, allowed: 1 to {TIME_NS_MAX}")
    if bool(m.limit) != (m.kind in SPENDING):
        raise InvalidField(f"{where}.limit: above 0 exactly where the kind spends, which {m.kind} does or does not")
    if len(m.recipients) > RECIPIENTS_MAX:
        raise InvalidField(f"{where}.recipients: {len(m.recipients)}, allowed: {RECIPIENTS_MAX} at most")
    recipients = tuple(m.recipients)
    if recipients and m.kind != "payment":
        raise InvalidField(f"{where}.recipients: only payments have one")
    if any(len(one) != ADDRESS_BYTES for one in recipients) or list(recipients) != sorted(set(recipients)):
        raise InvalidField(f"{where}.recipients: addresses, ascending, no repeats")
    return Authorise(m.granter, m.grantee, m.kind, m.expiry_ns, m.limit, recipients)


def revoke_authorisation(m: pb.RevokeAuthorisation) -> RevokeAuthorisation:
    _check_pair("revoke_authorisation", m.granter, m.grantee)
    _check_kind("revoke_authorisation", m.kind)
    return RevokeAuthorisation(m.granter, m.grantee, m.kind)


def exec_(m: pb.Exec) -> Exec:
    """Nothing within is looked at before it is counted, and nothing deeper than once."""
    _check_pair("exec", m.granter, m.grantee)
    if not 1 <= len(m.messages) <= INNER_MAX:
        raise InvalidField(f"exec.messages: {len(m.messages)}, allowed: 1 to {INNER_MAX}")
    return Exec(m.grantee, m.granter, tuple([_inner(entry, m.granter) for entry in m.messages]))


def _inner(entry: pb.Message, granter: bytes) -> Any:
    name = entry.WhichOneof("kind")
    if name is None:
        raise Malformed("a message within exec is empty or of an unknown kind")
    kind = INNER.get(name)
    if kind is None:
        raise InvalidField(f"exec.messages: {name} is done by nobody in another's name")
    message = kind.decode(getattr(entry, name))
    if message[0] != granter:
        raise InvalidField(f"exec.messages: {name} is not the granter's")
    return message


def fill_exec(inner: pb.Exec, message: Exec) -> None:
    inner.grantee, inner.granter = message.grantee, message.granter
    inner.messages.extend(encode_as(INNER_OF[type(one)], one) for one in message.messages)


def within(message: Exec) -> Iterator[tuple[Kind, Any]]:
    """What it carries, with its kinds."""
    return ((INNER_OF[type(one)], one) for one in message.messages)


def _check_kind(where: str, kind: str) -> None:
    if kind not in INNER:
        raise InvalidField(f"{where}.kind: allowed: {', '.join(sorted(INNER))}")


KINDS: Final = (
    Kind(  # it may stay for as long as the granter says, and opens an account
        "grant_fees", grant_fees, GrantFees, CURRENCY, gas.GAS_MESSAGE + gas.GAS_STAYS + gas.GAS_LATER,
        parts=lambda message: len(message.kinds),
    ),
    Kind("revoke_fee_grant", revoke_fee_grant, RevokeFeeGrant, CURRENCY, gas.GAS_MESSAGE),
    Kind(  # it may stay for as long as the granter says
        "authorise", authorise, Authorise, CURRENCY, gas.GAS_MESSAGE + gas.GAS_STAYS + gas.GAS_LATER,
        parts=lambda message: len(message.recipients),
    ),
    Kind("revoke_authorisation", revoke_authorisation, RevokeAuthorisation, CURRENCY, gas.GAS_MESSAGE),
    Kind(
        "exec", exec_, Exec, CURRENCY, gas.GAS_MESSAGE, fill_exec,
        parts=lambda message: len(message.messages), gas_each=gas.GAS_AUTHORISED, within=within,
    ),
)  # fmt: skip
