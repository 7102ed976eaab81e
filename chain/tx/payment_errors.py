"""Why a payment in a denomination, or on request, is refused: the rest of the tree in `errors`."""

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
