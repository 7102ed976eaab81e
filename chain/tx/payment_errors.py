"""Why a payment in a denomination, on request or by a standing order is refused: the rest of the tree in `errors`."""

from __future__ import annotations

from chain.tx.errors import TxError

# ------------------------------------------------------------------------------ codespace "denominations"


class DenominationError(TxError):
    codespace = "denominations"


class DenominationExists(DenominationError):
    code, rule = 222, "a creator uses a name for a denomination once"


class UnknownDenomination(DenominationError):
    code, rule = 223, "the denomination exists"


class NotDenominationOwner(DenominationError):
    code, rule = 224, "a denomination is minted, frozen and given away by its owner"


class SupplyAboveMaximum(DenominationError):
    code, rule = 225, "a denomination has at most the units that its creator declared"


class HoldingTooSmall(DenominationError):
    code, rule = 226, "an account pays and burns what it holds of a denomination"


class HoldingFrozen(DenominationError):
    code, rule = 227, "what is frozen stays where it is"


class NotFreezable(DenominationError):
    code, rule = 228, "holdings are frozen where that was declared when the denomination was made"


# ------------------------------------------------------------------------------ codespace "requests"


class RequestError(TxError):
    codespace = "requests"


class RequestExists(RequestError):
    code, rule = 230, "a payee's open requests have different references"


class UnknownRequest(RequestError):
    code, rule = 231, "the request for payment is open"


class NotRequestsPayer(RequestError):
    code, rule = 232, "a request is fulfilled by whom it names, and not by its payee"


class RequestExpired(RequestError):
    code, rule = 233, "a request is fulfilled before its expiry"


class RequestDiffers(RequestError):
    code, rule = 234, "a request is fulfilled by what it asks for"


class RequestTooLong(RequestError):
    code, rule = 235, "a request waits for 366 days at most"


# ------------------------------------------------------------------------------ codespace "orders"


class OrderError(TxError):
    codespace = "orders"


class StandingOrderExists(OrderError):
    code, rule = 380, "an owner's standing orders have different references"


class UnknownStandingOrder(OrderError):
    code, rule = 381, "the standing order is there, and the sender's"


class StandingOrderHeights(OrderError):
    code, rule = 382, "a standing order is first paid in a later block, and ends after that, within 400,000,000 blocks"


class StandingOrderTooDear(OrderError):
    code, rule = 383, "a turn of a standing order costs what its owner allowed at most"
