"""Errors of channels, their messages, and of reputation; `errors` has those of the first two."""

from __future__ import annotations

from chain.tx.error_base import TxError

# ------------------------------------------------------------------------------ codespace "channels"


class ChannelError(TxError):
    codespace = "channels"


class NotPermitted(ChannelError):
    code, rule = 285, "the member's role gives the right to it"


class MembershipEnded(ChannelError):
    code, rule = 286, "a membership by period counts until its end"


class InvitationNeeded(ChannelError):
    code, rule = 287, "an invite-only channel is joined by invitation"


class Banned(ChannelError):
    code, rule = 288, "who is banned stays away until the ban ends"


class ChannelArchived(ChannelError):
    code, rule = 289, "an archived channel takes no messages and no members"


class SlowMode(ChannelError):
    code, rule = 290, "in slow mode a member waits between two messages"


class OwnerStays(ChannelError):
    code, rule = 291, "an owner leaves after handing the channel on"


class NotOffered(ChannelError):
    code, rule = 292, "a channel goes to the member to whom it was offered"


class OutOfRank(ChannelError):
    code, rule = 293, "members are banned by those above them"


class NotBanned(ChannelError):
    code, rule = 294, "there is a ban to lift"


class TooManyPins(ChannelError):
    code, rule = 295, "pinned messages are bounded in number"


class PeriodTooShort(ChannelError):
    code, rule = 296, "the price buys at least min_period_s"


class PaidTooFar(ChannelError):
    code, rule = 297, "memberships are paid for a bounded time ahead"


class OpenToAll(ChannelError):
    code, rule = 298, "an encrypted channel is invite-only or has a price"


# ------------------------------------------------------------------------------ codespace "messages"


class MessageError(TxError):
    codespace = "messages"


class EditTooLate(MessageError):
    code, rule = 300, "a message is edited for a day after it was posted"


class NotAuthor(MessageError):
    code, rule = 301, "a message is edited by its author"


class MessageForgotten(MessageError):
    code, rule = 302, "what was forgotten is left alone"


class TooManyEdits(MessageError):
    code, rule = 303, "edits of a message are bounded in number"


class NotOriginal(MessageError):
    code, rule = 304, "what is done with a message names it as it was posted first"


class SameReaction(MessageError):
    code, rule = 305, "a reaction changes something"


class NotNewlyRead(MessageError):
    code, rule = 306, "a mark of what was read goes forward"


class WrongEpoch(MessageError):
    code, rule = 308, "what is posted is of the epoch of the channel's key"


class NotEncrypted(MessageError):
    code, rule = 309, "keys are of encrypted channels"


class OtherKey(MessageError):
    code, rule = 310, "an epoch has one key"


class KeyGiven(MessageError):
    code, rule = 311, "a device is given a key once"


class NotForMember(MessageError):
    code, rule = 312, "a member is given the keys of its own epochs"


class NoKeyYet(MessageError):
    code, rule = 313, "an epoch begins with its key"


# ------------------------------------------------------------------------------ codespace "reputation"


class ReputationError(TxError):
    codespace = "reputation"


class ActedAlready(ReputationError):
    code, rule = 430, "one account acts on the score of another once a day"


class BudgetSpent(ReputationError):
    code, rule = 431, "a day's budget has a bounded number of shares"


class NothingToGive(ReputationError):
    code, rule = 432, "who acts on another's score has one to act with"


class OwnMessage(ReputationError):
    code, rule = 433, "nobody endorses, honours or reports what is its own"


class ReportedAlready(ReputationError):
    code, rule = 434, "one account reports a thing once"


class ReportTooLight(ReputationError):
    code, rule = 435, "a report beyond those that are kept outweighs one of them"


class UnknownReport(ReputationError):
    code, rule = 436, "the report is there"


class ReportResolved(ReputationError):
    code, rule = 437, "a report is resolved once, and takes no other then"


class OwnCase(ReputationError):
    code, rule = 438, "a report is resolved by one who is no part of it"


class Unmoderated(ReputationError):
    code, rule = 439, "what is reported is where somebody moderates"
