"""Answers as JSON for people and scripts: addresses as bech32, hashes as hex, times as RFC 3339."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.message import Message

from chain.currency.ledger import dec
from consensus.formats.timestamps import TIME_NS_MAX, ZERO_TIME_NS, format_rfc3339
from consensus.formats.units import NS_PER_S
from crypto.bech32 import encode_address
from crypto.hash import ADDRESS_BYTES
from proto.dchat.v1.service_pb2 import GetRecordResponse

# Accounts: bech32. Validators' addresses are CometBFT's, upper-case hex.
ACCOUNT_FIELDS = frozenset({"address", "author", "owner", "sender", "recipient", "creator", "member"}) | {
    "payee", "payer", "denom_creator",
    "proposer", "voter", "depositor",
    "operator", "delegator", "source", "destination", "withdraw_address", "arbiter", "attester", "party", "parties",
    "giver", "reporter", "moderator", "resolved_by", "about", "acted",
}  # fmt: skip
CONSENSUS_MESSAGES = frozenset({
    "Validator", "SimpleValidator", "Header", "CommitSig", "GetStatusResponse", "GetValidatorsResponse",
    "ValidatorReadiness", "Pulse",
})  # fmt: skip
# Enums that are shown by name, without its prefix.
NAMED_ENUMS = {
    "dchat.v1.BondStatus": "BOND_STATUS_",
    "dchat.v1.ProposalStatus": "PROPOSAL_STATUS_",
    "dchat.v1.VoteOption": "VOTE_OPTION_",
}
TEXT_FIELDS = frozenset({"content"})
FLOW_FIELDS = frozenset({  # big-endian, in udchat: the same money counts each time that it passes
    "udchat_tipped", "udchat_joins", "udchat_released", "udchat_given_back", "udchat_refunded",
})  # fmt: skip
FLOW_BYTES_SHOWN = 64  # more is no sum of money that anybody had, but what a node that lies sent
# What an answer is verified by, beside what was asked for.
PROOF_FIELDS = frozenset(
    {"proof", "channel_proof", "light_block", "result_proof", "result_light_block", "path", "paths"}
)
FOREVER_NS = (1 << 63) - 1  # a tombstoned validator's jail


def message_json(message: Message) -> dict[str, Any]:
    """Every field that is set, and every plain one, in the order of the schema."""
    shown: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.has_presence and not message.HasField(field.name):
            continue
        value = getattr(message, field.name)
        name = field.name.removesuffix("_ns") if _is_time(field) else field.name
        if field.is_repeated:
            shown[name] = [_value(message, field, item) for item in value]
        else:
            shown[name] = _value(message, field, value)
    return shown


def says_nothing(answer: Message) -> bool:
    """Whether an answer about one thing has none: what was asked for does not exist at that height."""
    if isinstance(answer, GetRecordResponse):
        return not answer.HasField("value")
    things = [field.name for field in answer.DESCRIPTOR.fields if _is_thing(field)]
    return bool(things) and not any(answer.HasField(name) for name in things)


def _is_thing(field: Any) -> bool:
    return field.message_type is not None and not field.is_repeated and field.name not in PROOF_FIELDS


def _value(message: Message, field: Any, value: Any) -> Any:
    if isinstance(value, Message):
        if value.DESCRIPTOR.full_name == "google.protobuf.Timestamp":
            return _time(value.seconds * NS_PER_S + value.nanos)  # type: ignore[attr-defined]
        return message_json(value)
    if isinstance(value, bytes):
        return _bytes(message.DESCRIPTOR.name, field.name, value)
    if _is_time(field):
        return _time(value)
    if field.enum_type is not None and field.enum_type.full_name in NAMED_ENUMS:
        return _enum(field.enum_type, value)
    if field.name == "weight":
        return dec.text(value)
    if field.name == "json":
        return _document(value)
    return value


def _enum(kind: Any, value: int) -> str | int:
    known = kind.values_by_number.get(value)
    return value if known is None else known.name.removeprefix(NAMED_ENUMS[kind.full_name]).replace("_", "-").lower()


def _is_time(field: Any) -> bool:
    """Nanoseconds, which are shown as RFC 3339."""
    return bool(field.name.endswith("time_ns"))


def _time(value: int) -> str | int:
    """A time that none is, of a node that lies, is shown as the number that it sent."""
    if value == FOREVER_NS:
        return "9999-12-31T23:59:59Z"
    return format_rfc3339(value) if ZERO_TIME_NS <= value <= TIME_NS_MAX else value


def _document(text: str) -> Any:
    """JSON that a node sent; as it came when it is none, or nested too deeply to be shown."""
    try:
        found = json.loads(text)
        json.dumps([[[[[[[[found]]]]]]]], indent=2)  # it will stand inside of other things
    except (ValueError, RecursionError):
        return text
    return found


def _bytes(message_name: str, field_name: str, value: bytes) -> str | int:
    if field_name in FLOW_FIELDS and len(value) <= FLOW_BYTES_SHOWN:
        return dec.from_bytes(value)
    if field_name == "consensus_address":
        return value.hex().upper()
    if field_name in TEXT_FIELDS:
        return value.decode(errors="backslashreplace")
    is_account = field_name in ACCOUNT_FIELDS and message_name not in CONSENSUS_MESSAGES
    if is_account and len(value) == ADDRESS_BYTES:
        return encode_address(value)
    return value.hex().upper() if message_name in CONSENSUS_MESSAGES else value.hex()
