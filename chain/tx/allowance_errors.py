"""Why something of an allowance that is lent or set aside is refused: codespace "allowance" of the one tree."""

from __future__ import annotations

from chain.tx.errors import TxError


class AllowanceError(TxError):
    codespace = "allowance"


class LendsNothing(AllowanceError):
    code, rule = 400, "what is locked brings a message or a byte in every period"


class NotLocked(AllowanceError):
    code, rule = 401, "an account unlocks what it has locked"


class TooManyUnlocks(AllowanceError):
    code, rule = 402, "what an account unlocks at different times is bounded in number"


class NoChannelAllowance(AllowanceError):
    code, rule = 403, "a channel pays for posts where its owner set something aside"


class MemberShareUsed(AllowanceError):
    code, rule = 404, "a channel pays for a bounded part of each member's posts in a period"


class ChannelShareUsed(AllowanceError):
    code, rule = 405, "a channel pays for a bounded number of posts in a period"


class ChannelAllowanceEmpty(AllowanceError):
    code, rule = 406, "a channel pays as long as something is left of what its owner set aside"


class JoinedThisPeriod(AllowanceError):
    code, rule = 407, "a channel pays for posts of those who were members when the period began"
