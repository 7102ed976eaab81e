"""Acts on others' scores, and reports to moderators."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import BRIDGE, CHAT, ROLE_MODERATE, ROLE_POST, Kind
from chain.tx.messages.kinds.fields import check_address, check_amount, check_channel
from proto.dchat.v1 import reputation_pb2 as pb

REASON_NAMES: Final = {1: "spam", 2: "abuse", 3: "illegal", 4: "impersonation", 5: "private", 6: "other"}
UPHELD: Final = 1
DISMISSED: Final = 2
VERDICT_NAMES: Final = {UPHELD: "upheld", DISMISSED: "dismissed"}


class EndorseAuthor(NamedTuple):
    giver: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used


class HonourAuthor(NamedTuple):
    sender: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # as above
    amount: int  # udchat, burnt


class ReportMessage(NamedTuple):
    reporter: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # as above
    reason: int


class ReportMember(NamedTuple):
    reporter: bytes
    channel_id: bytes
    member: bytes
    reason: int


class ResolveReport(NamedTuple):
    """Of a member, if one is named, else of a message."""

    moderator: bytes
    channel_id: bytes
    index: int  # type: ignore[assignment]  # as above
    member: bytes
    verdict: int


ReputationMessage: TypeAlias = EndorseAuthor | HonourAuthor | ReportMessage | ReportMember | ResolveReport


def endorse_author(m: pb.EndorseAuthor) -> EndorseAuthor:
    check_address("endorse_author.giver", m.giver)
    check_channel("endorse_author", m.channel_id)
    return EndorseAuthor(m.giver, m.channel_id, m.index)


def honour_author(m: pb.HonourAuthor) -> HonourAuthor:
    check_address("honour_author.sender", m.sender)
    check_channel("honour_author", m.channel_id)
    check_amount("honour_author", m.amount)
    return HonourAuthor(m.sender, m.channel_id, m.index, m.amount)


def report_message(m: pb.ReportMessage) -> ReportMessage:
    check_address("report_message.reporter", m.reporter)
    check_channel("report_message", m.channel_id)
    _check_reason("report_message", m.reason)
    return ReportMessage(m.reporter, m.channel_id, m.index, m.reason)


def report_member(m: pb.ReportMember) -> ReportMember:
    check_address("report_member.reporter", m.reporter)
    check_channel("report_member", m.channel_id)
    check_address("report_member.member", m.member)
    _check_reason("report_member", m.reason)
    return ReportMember(m.reporter, m.channel_id, m.member, m.reason)


def resolve_report(m: pb.ResolveReport) -> ResolveReport:
    check_address("resolve_report.moderator", m.moderator)
    check_channel("resolve_report", m.channel_id)
    if m.member:
        check_address("resolve_report.member", m.member)
        if m.index:
            raise InvalidField("resolve_report: index and member; allowed: one of them")
    if m.verdict not in VERDICT_NAMES:
        raise InvalidField(f"resolve_report.verdict: {m.verdict}, allowed: {UPHELD} upheld, {DISMISSED} dismissed")
    return ResolveReport(m.moderator, m.channel_id, m.index, m.member, m.verdict)


def _check_reason(where: str, reason: int) -> None:
    if reason not in REASON_NAMES:
        names = ", ".join([f"{number} {name}" for number, name in REASON_NAMES.items()])
        raise InvalidField(f"{where}.reason: {reason}, allowed: {names}")


REPORTS: Final = 4 * gas.GAS_MESSAGE + gas.GAS_NEW_LEAF + gas.GAS_LATER
OPENS: Final = gas.GAS_STAYS  # the record of an identity's reputation, where there was none

KINDS: Final = (
    Kind("endorse_author", endorse_author, EndorseAuthor, CHAT, 2 * gas.GAS_MESSAGE, new_gas=2 * OPENS, role=ROLE_POST),
    Kind("honour_author", honour_author, HonourAuthor, BRIDGE, 2 * gas.GAS_MESSAGE, new_gas=OPENS),
    Kind("report_message", report_message, ReportMessage, CHAT, REPORTS, new_gas=OPENS, role=ROLE_POST),
    Kind("report_member", report_member, ReportMember, CHAT, REPORTS, new_gas=OPENS, role=ROLE_POST),
    Kind(
        "resolve_report", resolve_report, ResolveReport, CHAT, 4 * gas.GAS_MESSAGE + 16 * gas.GAS_OUTPUT,
        new_gas=2 * OPENS, role=ROLE_MODERATE,
    ),
)  # fmt: skip
