"""What people are shown of a field is what the schema says that it is, of every field that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from chain.tx.messages.chat.channels import ACCESS_NAMES, ROLE_NAMES
from chain.tx.messages.chat.messages import REACTIONS
from chain.tx.messages.chat.reputation import REASON_NAMES, VERDICT_NAMES
from chain.tx.messages.kinds import DEVICE_ROLE_NAMES, ROLE_ROOT
from crypto.bech32 import encode_address
from dchat.shown.messages import meaning_of, message_json
from proto.dchat.v1 import guardians_pb2, messages_pb2, service_pb2, state_pb2, tx_pb2
from proto.dchat.v1.shown_pb2 import Shown, names

PROTO = Path(__file__).parents[3] / "proto" / "dchat" / "v1"
WHO = bytes(range(20))
WHO_TEXT = encode_address(WHO)
OF_BYTES = {
    Shown.HEX, Shown.ACCOUNT, Shown.ACCOUNTS, Shown.CONSENSUS, Shown.TEXT, Shown.COUNT, Shown.DEC, Shown.SUBJECT,
}  # fmt: skip


def files() -> Iterator[Any]:
    for path in sorted(PROTO.glob("*.proto")):
        yield Default().FindFileByName(f"proto/dchat/v1/{path.name}")


def fields() -> Iterator[Any]:
    for file in files():
        for message in file.message_types_by_name.values():
            yield from message.fields


def test_every_field_of_bytes_says_what_it_is() -> None:
    silent = [
        field.full_name
        for field in fields()
        if field.type == field.TYPE_BYTES and meaning_of(field).form not in OF_BYTES
    ]
    assert not silent, "say what it is, by (shown): proto/dchat/v1/shown.proto"


def test_every_time_is_one() -> None:
    """Each `_ns` is shown as RFC 3339, under a name that nothing else of its message has."""
    times = [field for field in fields() if field.name.endswith("_ns")]
    assert times
    for field in times:
        assert field.type in (field.TYPE_INT64, field.TYPE_UINT64), field.full_name
        shown = [meaning_of(other).name for other in field.containing_type.fields]
        assert len(set(shown)) == len(shown), field.full_name
        message = GetMessageClass(field.containing_type)()
        setattr(message, field.name, 1_700_000_000_000_000_000)
        assert message_json(message)[field.name.removesuffix("_ns")] == "2023-11-14T22:13:20Z"


def test_every_enum_is_shown_by_name() -> None:
    """One that is declared is some field's, by its type or by (names); and a comment lists no numbers instead."""
    declared = {enum.full_name for file in files() for enum in file.enum_types_by_name.values()}
    used = {meaning.enum.full_name for field in fields() if (meaning := meaning_of(field)).enum is not None}
    assert not declared - used
    names_of_enums = "|".join(name.rpartition(".")[2] for name in declared)
    listed = re.compile(rf"uint32 \w+ = \d+;.*//.*\b(\d:? [a-z]+, \d:? [a-z]+|{names_of_enums})\b")
    for path in PROTO.glob("*.proto"):
        assert not listed.findall(path.read_text()), f"{path.name}: say what its numbers mean by (names)"


@pytest.mark.parametrize(
    ("enum", "want"),
    [
        ("MemberRole", ROLE_NAMES),
        ("ChannelAccess", ACCESS_NAMES),
        ("Reaction", dict(enumerate(["none", *REACTIONS]))),
        ("ReportReason", {0: "unspecified", **REASON_NAMES}),
        ("ReportVerdict", {0: "open", **VERDICT_NAMES}),
        ("DeviceRole", {0: "unspecified", **{n: name for n, name in DEVICE_ROLE_NAMES.items() if n != ROLE_ROOT}}),
    ],
)
def test_names_are_those_that_commands_take(enum: str, want: dict[int, str]) -> None:
    field = next(field for field in fields() if field.GetOptions().Extensions[names] == enum)
    for number, name in want.items():
        message = GetMessageClass(field.containing_type)()
        setattr(message, field.name, number)
        assert message_json(message)[field.name] == name
    assert set(meaning_of(field).enum.values_by_number) == set(want)


def leg(kind: str, subject: bytes, index: int = 0) -> state_pb2.LegOutcome:
    return state_pb2.LegOutcome(kind=kind, subject=subject, index=index)


@pytest.mark.parametrize(("message", "want"), [
    pytest.param(guardians_pb2.GuardianTerms(guardians=[WHO]), {"guardians": [WHO_TEXT]}, id="accounts"),
    pytest.param(guardians_pb2.Guardians(height=3), {"pending_time": None}, id="no time is none"),
    pytest.param(state_pb2.FeeGrant(expiry_ns=10**9), {"expiry": "1970-01-01T00:00:01Z"}, id="a time"),
    pytest.param(state_pb2.ChatMessage(reply_to=1), {"reply_to": 0, "edits": None}, id="an answer to the first"),
    pytest.param(state_pb2.Receipt(failed_leg=2), {"failed_leg": 2}, id="the second leg failed"),
    pytest.param(state_pb2.Receipt(), {"failed_leg": None}, id="none failed"),
    pytest.param(leg("payment", WHO), {"subject": WHO_TEXT}, id="whom a payment is to"),
    pytest.param(leg("join_channel", WHO), {"subject": WHO.hex()}, id="a channel"),
    pytest.param(leg("request_payment", WHO + b"a-1"), {"subject": f"{WHO_TEXT}/a-1"}, id="a request"),
    pytest.param(leg("pay_denomination", WHO + b"gold"), {"subject": f"factory/{WHO_TEXT}/gold"}, id="a denomination"),
    pytest.param(leg("undelegate", WHO, 10**9), {"index": "1970-01-01T00:00:01Z"}, id="when it is complete"),
    pytest.param(leg("post_message", WHO, 3), {"index": 3}, id="a message"),
    pytest.param(leg("of_a_later_build", WHO, 3), {"subject": WHO.hex(), "index": 3}, id="of a later build"),
    pytest.param(messages_pb2.MessageState(forgotten=2), {"forgotten": "retracted"}, id="why it is forgotten"),
    pytest.param(messages_pb2.MessageState(reactions=[2, 0, 1]), {"reactions": {"like": 2, "love": 1}}, id="counts"),
    pytest.param(messages_pb2.MessageState(reactions=[0] * 16 + [1]), {"reactions": {"17": 1}}, id="of a later one"),
    pytest.param(messages_pb2.MessageState(forgotten=99), {"forgotten": 99}, id="of a later build"),
    pytest.param(tx_pb2.CreateValidator(commission_rate=10**17), {"commission_rate": "0.1"}, id="a share"),
    pytest.param(service_pb2.GetStatusResponse(validator_address=WHO), {
        "validator_address": WHO.hex().upper()}, id="a validator's address"),
    pytest.param(state_pb2.Escrow(denom_creator=b"\x01"), {"denom_creator": "01"}, id="an address that is none"),
])  # fmt: skip
def test_what_people_read(message: Message, want: dict[str, object]) -> None:
    told = message_json(message)
    assert {name: told[name] for name in want} == want
