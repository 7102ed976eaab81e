"""The short way through an ordinary payment or post: one signer, who pays in order, one signature, no memo, no other
payer; of a post, a text and perhaps what it replies to.

Most transactions are such, and the long way (`tx.decode_by_schema`: the generated classes, written again to compare)
takes more than twice as long. A pattern holds the canonical encoding's bytes in their order. What it leaves open are
lengths, which are compared here, and numbers, which it holds to their shortest form, from 1 on and below 2**56. What
does not fit is no error: the long way judges it. A property test holds both to one result.
Source: proto/dchat/v1/tx.proto; the protobuf encoding specification.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

NUMBERS_REMEMBERED: Final = 4_096  # gas limits, fees, sequences, amounts: some are in most transactions
ADDRESSES_BYTES: Final = 44  # of a payment: sender and recipient, each with its tag and length
KEYED_BYTES: Final = 56  # of a signer: its address and its sequence's key, likewise
POLICY_BYTES: Final = 36  # its policy of one key, likewise
POST_TAG: Final = b"\x92\x01"
SIGNATURE_ENTRY_BYTES: Final = 102  # of the envelope: its tag and length, the key, the signature

# A length is one of 1 to 127, in a byte; a number a varint. Each pattern is whole: what judges them reads constants.
_PAYMENT: Final = re.compile(
    rb"\x0a([\x80-\xff]?[\x01-\x7f])("  # of the envelope: the body
    rb"\x0a([\x01-\x7f])([ -~]{1,50})\x10\x02"  # chain id; the currency lane
    rb"\x1a([\x01-\x7f])\x0a([\x01-\x7f])\x0a\x14(.{20})\x12\x14(.{20})\x18([\x80-\xff]{0,7}[\x01-\x7f])"  # the payment
    rb"\x22([\x01-\x7f])\x0a\x14(.{20})(?:\x12\x22\x0a\x20(.{32}))?"  # the signer, perhaps its policy of one key
    rb"\x1a\x20(.{32})(?:\x20([\x80-\xff]{0,7}[\x01-\x7f]))?"  # its sequence, 0 left out
    rb"\x30([\x80-\xff]{0,7}[\x01-\x7f])"  # gas limit
    rb"(?:\x38([\x80-\xff]{0,7}[\x01-\x7f]))?"  # fee
    rb"(?:\x40([\x80-\xff]{0,7}[\x01-\x7f]))?"  # expiry height
    rb")\x12\x64\x12\x20(.{32})\x1a\x40(.{64})",  # of the envelope: signer 0's signature
    re.DOTALL | re.ASCII,
).fullmatch
# A text has no bound that a pattern could count, so a post is matched before it and behind it.
_BEFORE_TEXT: Final = re.compile(
    rb"\x0a([\x80-\xff]{0,2}[\x01-\x7f])"  # of the envelope: the body
    rb"\x0a([\x01-\x7f])([ -~]{1,50})\x10\x01"  # chain id; the chat lane
    rb"\x1a([\x80-\xff]{0,2}[\x01-\x7f])\x92\x01([\x80-\xff]{0,2}[\x01-\x7f])"  # the message, in it the post
    rb"\x0a\x14(.{20})\x12\x14(.{20})\x1a([\x80-\xff]{0,2}[\x01-\x7f])",  # author, channel, the text's length
    re.DOTALL | re.ASCII,
).match
_BEHIND_TEXT: Final = re.compile(
    rb"(?:\x20([\x80-\xff]{0,7}[\x01-\x7f]))?"  # what it replies to
    rb"\x22([\x01-\x7f])\x0a\x14(.{20})(?:\x12\x22\x0a\x20(.{32}))?"  # from here on as a payment, without a fee
    rb"\x1a\x20(.{32})(?:\x20([\x80-\xff]{0,7}[\x01-\x7f]))?"
    rb"\x30([\x80-\xff]{0,7}[\x01-\x7f])"
    rb"(?:\x40([\x80-\xff]{0,7}[\x01-\x7f]))?"
    rb"\x12\x64\x12\x20(.{32})\x1a\x40(.{64})",
    re.DOTALL | re.ASCII,
).fullmatch

_new: Final = tuple.__new__  # what a NamedTuple's constructor calls, without its frame


class Ordinary(NamedTuple):
    """As in the messages of the same names. policy_key: empty where the signer gives no policy. Of a post `to` is its
    channel, and `number` what it replies to."""

    body: bytes
    chain_id: bytes
    to: bytes
    number: int  # a payment's amount
    text: bytes  # empty: it is a payment
    address: bytes  # of signer and sender
    policy_key: bytes
    sequence_key: bytes
    sequence: int
    gas_limit: int
    fee: int
    expiry_height: int
    public_key: bytes
    signature: bytes


@lru_cache(NUMBERS_REMEMBERED)
def _number(encoded: bytes) -> int:
    value = 0
    for byte in reversed(encoded):
        value = value << 7 | byte & 0x7F
    return value


def read_ordinary(raw: bytes) -> Ordinary | None:
    """None: it is something else, or no transaction."""
    found = _PAYMENT(raw)
    if found is None:
        return _read_post(raw)
    (
        body_length, body, chain_length, chain_id, message_length, payment_length, sender, recipient, amount,
        signer_length, address, policy_key, sequence_key, sequence, gas_limit, fee, expiry_height, public_key,
        signature,
    ) = found.groups(b"")  # fmt: skip
    payment_bytes = ADDRESSES_BYTES + 1 + len(amount)
    signer_bytes = KEYED_BYTES + (POLICY_BYTES if policy_key else 0) + (1 + len(sequence) if sequence else 0)
    if (
        _number(body_length) != len(body)
        or chain_length[0] != len(chain_id)
        or payment_length[0] != payment_bytes
        or message_length[0] != payment_bytes + 2
        or signer_length[0] != signer_bytes
        or sender != address
        or recipient == address
    ):
        return None
    return _new(Ordinary, (
        body, chain_id, recipient, _number(amount), b"", address, policy_key, sequence_key, _number(sequence),
        _number(gas_limit), _number(fee), _number(expiry_height), public_key, signature,
    ))  # fmt: skip


def _read_post(raw: bytes) -> Ordinary | None:
    head = _BEFORE_TEXT(raw)
    if head is None:
        return None
    body_length, chain_length, chain_id, message_length, post_length, author, channel, text_length = head.groups()
    begin = head.end()
    end = begin + _number(text_length)
    tail = _BEHIND_TEXT(raw, end)
    if tail is None:
        return None
    (
        reply_to, signer_length, address, policy_key, sequence_key, sequence, gas_limit, expiry_height, public_key,
        signature,
    ) = tail.groups(b"")  # fmt: skip
    post_bytes = end - head.start(6) + 2 + (1 + len(reply_to) if reply_to else 0)
    body = raw[1 + len(body_length) : len(raw) - SIGNATURE_ENTRY_BYTES]
    if (
        _number(body_length) != len(body)
        or chain_length[0] != len(chain_id)
        or _number(post_length) != post_bytes
        or _number(message_length) != post_bytes + len(POST_TAG) + len(post_length)
        or signer_length[0]
        != KEYED_BYTES + (POLICY_BYTES if policy_key else 0) + (1 + len(sequence) if sequence else 0)
        or author != address
    ):
        return None
    return _new(Ordinary, (
        body, chain_id, channel, _number(reply_to), raw[begin:end], address, policy_key, sequence_key,
        _number(sequence), _number(gas_limit), 0, _number(expiry_height), public_key, signature,
    ))  # fmt: skip
