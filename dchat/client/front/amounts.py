"""How sums and accounts are said: `5`, `"5.25 DCHAT"`, `5000udchat`, or units of a denomination, `"20
factory/dchat1.../gold"`. The same for commands and programs. Raises ValueError: what is allowed.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from chain.currency.denominations.records import name_of
from chain.tx.errors import InvalidField
from chain.tx.messages import Message, Payment, channel_id
from chain.tx.messages.payments import Denom, PayDenomination, check_sub
from chain.tx.units import in_dchat
from crypto.bech32 import InvalidAddress, decode_address
from crypto.hash import ADDRESS_BYTES

_AMOUNT = re.compile(r"(\d+)(?:\.(\d{1,6}))?\s*(dchat)?", re.IGNORECASE)
_SMALL = re.compile(r"(\d+)\s*udchat", re.IGNORECASE)
_UNITS = re.compile(r"(\d{1,20})(?:\s*(factory/\S+))?", re.ASCII)
UNITS_MAX: Final = (1 << 64) - 1
SHOWN: Final = 40  # characters of an amount that is too long
CHANNEL_HEX: Final = 40


def parse_amount(text: str, *, least: int = 0) -> int:
    """udchat of `5`, `5.25`, `5dchat` (DCHAT) or `5000udchat`. Raises ValueError: none, or less than `least` udchat."""
    amount = _amount(text)
    if amount < least:
        raise ValueError(f"{text!r} is too little; allowed: {least}udchat and more")
    return amount


def _amount(text: str) -> int:
    said = text.strip()
    if (small := _SMALL.fullmatch(said)) is not None:
        return _held(text, small[1])
    if (match := _AMOUNT.fullmatch(said)) is not None:
        return _held(text, match[1] + (match[2] or "").ljust(6, "0"))
    if "," in said and (_AMOUNT.fullmatch(plain := said.replace(",", "")) or _SMALL.fullmatch(plain)):
        is_either = said.count(",") == 1 and "." not in said and _AMOUNT.fullmatch(said.replace(",", ".")) is not None
        point = f", or {said.replace(',', '.')}" if is_either else ""  # half the world writes its decimals so
        raise ValueError(f'"{text}" is no amount; without the comma it is {plain}{point}')
    raise ValueError(f'"{text}" is no amount; allowed: 5, 5.25, 5dchat or 5000udchat (1 DCHAT is 1000000 udchat)')


def _held(text: str, digits: str) -> int:
    """udchat, as much as a field holds. Raises ValueError."""
    if len(digits.lstrip("0")) > len(str(UNITS_MAX)) or (amount := int(digits[-40:])) > UNITS_MAX:
        shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
        raise ValueError(f"{shown!r} is too much; allowed: {in_dchat(UNITS_MAX)} at most, {UNITS_MAX}udchat")
    return amount


class Sum(NamedTuple):
    """amount: udchat, or units of the denomination."""

    amount: int
    denom: Denom | None = None


def denom_named(text: str) -> Denom:
    """Of `factory/dchat1.../name`. Raises ValueError."""
    first, _, rest = text.partition("/")
    creator, _, sub = rest.partition("/")
    if first != "factory":
        raise ValueError(f"{text!r} is no denomination; expected factory/dchat1.../NAME")
    try:
        check_sub("its name", sub)
        return Denom(decode_address(creator), sub)
    except (InvalidAddress, InvalidField) as error:
        raise ValueError(f"{text!r} is no denomination: {error}") from None


def units_of(text: str) -> int:
    """Raises ValueError."""
    amount = int(text)
    if not 1 <= amount <= UNITS_MAX:
        raise ValueError(f"amount is {text}; allowed: 1 to {UNITS_MAX}")
    return amount


def parse_sum(text: str, denom: Denom | None = None) -> Sum:
    """denom: whose units they are where the text does not say. Raises ValueError: none, or nothing."""
    found = _UNITS.fullmatch(text.strip())
    if found is None or (denom is None and found[2] is None):
        if denom is not None:
            raise ValueError(f'"{text}" is no whole number of units of {name_of(denom)}; allowed: 20')
        try:
            return Sum(parse_amount(text, least=1))
        except ValueError as error:
            raise ValueError(f'{error}; or units of a denomination: "20 factory/CREATOR/NAME"') from None
    said = denom if found[2] is None else denom_named(found[2])
    if denom is not None and said != denom:
        raise ValueError(f'"{text}" is of another denomination than --denom says, {name_of(denom)}')
    return Sum(units_of(found[1]), said)


def paying(sender: bytes, recipient: bytes, paid: Sum) -> Message:
    """The message that pays a sum."""
    if paid.denom is None:
        return Payment(sender, recipient, paid.amount)
    return PayDenomination(sender, paid.denom, recipient, paid.amount)


def channel_of(text: str | bytes) -> bytes:
    """The id of a channel that is said by its name, or by its id: 40 hex characters, or bytes."""
    if isinstance(text, bytes):
        return text
    if len(text) == CHANNEL_HEX:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    return channel_id(text)


def address_of(who: str | bytes) -> bytes:
    """An account that is said by its address, `dchat1...`, or is its 20 bytes. Raises ValueError."""
    if isinstance(who, bytes):
        if len(who) != ADDRESS_BYTES:
            raise ValueError(f"an account has {ADDRESS_BYTES} bytes, got {len(who)}")
        return who
    try:
        return decode_address(who)
    except InvalidAddress as error:
        raise ValueError(f"{who!r} is no account's address (dchat1...): {error}") from None
