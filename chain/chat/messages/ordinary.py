"""The short way through the execution of an ordinary post: one text, to a channel without terms of its own by a plain
member of it, signed by the author's one key in its order, paid by the author's allowance.

Most posts are such, and the long way (the ante part of `chain.chat.machine`, then the message's handler, each in a
branch of its own) takes half as long again. What is not so, or would not pass, is no error here: the long way judges
it. A property test holds both to one outcome: what is written, the result, the error.
Pure and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from chain.chat.channels.records import CHANNEL, Channel, Membership, member_key
from chain.chat.ledger.records import IDENTITY, PARAMS, ChatParams, Identity
from chain.chat.messages.machine import appended, posted
from chain.kernel.branch import check_records
from chain.kernel.context import Leg
from chain.kernel.modules import Short
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.tx import Tx
from chain.tx.errors import TxError
from chain.tx.messages import PostMessage
from chain.tx.policies import POLICY_ED25519

_new: Final = tuple.__new__  # what a NamedTuple's constructor calls, without its frame


def short(get: Callable[[bytes], Any], tx: Tx, height: int, time_ns: int) -> Short | None:
    """As `chain.kernel.modules.ShortWay`."""
    messages, signers, signatures = tx.messages, tx.signers, tx.signatures
    if len(messages) != 1 or len(signers) != 1 or len(signatures) != 1 or tx.unordered or tx.fee_granter:
        return None
    if type(message := messages[0]) is not PostMessage:
        return None
    author, channel_id, content, reply_to, ttl_s, epoch, content_hash, attachments = message
    _, given, sequence_key, sequence = signers[0]
    _, signed_by, _ = signatures[0]
    if ttl_s or epoch or content_hash or attachments or sequence_key != signed_by:
        return None
    identity_key = IDENTITY + author
    identity: Identity | None = get(identity_key)
    channel: Channel | None = get(CHANNEL + channel_id)
    membership: Membership | None = get(member_key(channel_id, author))
    if identity is None or channel is None or membership is None:
        return None
    params: ChatParams = get(PARAMS)
    policy, sequences, index = identity.policy, identity.sequences, channel.range.count
    known, expected = sequences[0] if len(sequences) == 1 else (sequence_key, 0)
    if (
        policy != POLICY_ED25519 + signed_by
        or (given is not None and given != policy)
        or len(sequences) > 1
        or known != sequence_key
        or sequence != expected
        or sequence >= UINT64_MAX
        or identity.expiry_ns
        or membership.end_ns
        or membership.role
        or channel.settings is not None
        or len(content) > params.message_bytes_max
        or reply_to > index
    ):
        return None
    rest = appended(channel, author, content, reply_to, b"", height=height, time_ns=time_ns)
    try:
        allowance = params.take(identity, tx, time_ns)
        check_records(rest)
    except TxError:
        return None
    before: dict[bytes, Any] = {identity_key: identity.with_use(((sequence_key, sequence + 1),), allowance)}
    leg = _new(Leg, ("post_message", 0, channel_id, index))
    return before, rest, leg, partial(posted, channel_id, author, index)
