"""The application's part of a genesis document, `app_state`: parsed strictly, so that every node reads the same.

Integers are strings of decimal digits; every field is there, none is unknown, no name appears twice; text is ASCII.
After genesis no JSON is read again: params are protobuf records (IBC 2025-004: JSON that decodes differently).
`genesis.app_state` builds such parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, TypeAlias, TypeVar

from chain.app_state import governance_params
from chain.app_state.economy import SECTIONS, EconomicsGenesis, InvalidAppState, parse_economics
from chain.app_state.governance_params import GovernanceParams
from chain.app_state.vesting import VestingGenesis, check_vestings
from chain.currency.ledger.economic_params import InvalidParam
from chain.tx.codec import UINT64_MAX
from chain.tx.units import GAS_PRICE_MAX, UDCHAT_PER_DCHAT
from consensus.formats.units import MIB
from crypto.bech32 import InvalidAddress, decode_address, encode_address
from crypto.hash import ADDRESS_BYTES

YEAR_S: Final = 365 * 86_400
APP_STATE_BYTES_MAX: Final = 256 * MIB  # a million accounts and room


@dataclass(frozen=True, slots=True)
class CurrencyGenesis:
    """gas_price: udchat for a million gas."""

    gas_price: int = 100_000  # a payment costs about 0.002 DCHAT
    unordered_expiry_blocks_max: int = 1_000


@dataclass(frozen=True, slots=True)
class ChatGenesis:
    """free_*: of each identity in every period; lent_*: of whoever has locked 1,000 DCHAT (`check_refill`)."""

    message_bytes_max: int = 16_384
    unordered_expiry_blocks_max: int = 1_000
    refill_period_s: int = 604_800
    free_messages: int = (
        0  # an identity costs little and stays: what it brings for nothing, a thousand of them bring, too
    )
    free_bytes: int = 0
    lent_messages: int = 2_000  # in a year, what a tenth of the locked udchat would buy: about what stake earns
    lent_bytes: int = 2_097_152
    unlock_delay_s: int = 604_800


@dataclass(frozen=True, slots=True)
class BridgeGenesis:
    """starter_*: what a registration brings, once; never more than its price would buy (`check_params`)."""

    starter_messages: int = 100
    starter_bytes: int = 262_144  # for as many short messages
    messages_per_dchat: int = 1_000
    bytes_per_dchat: int = 1_048_576
    receipt_blocks: int = 100_000  # three and a half days of calm blocks
    unordered_expiry_blocks_max: int = 1_000
    registration_price: int = 250_000  # udchat


_ECONOMICS: Final = EconomicsGenesis()
_GOVERNANCE: Final = GovernanceParams()


@dataclass(frozen=True, slots=True)
class AppState:
    """balances: address (20 bytes) -> udchat, above 0; what validators stake is beside it. upgrade_authority: the
    account that may set upgrade plans beside governance, for test networks; empty: none. vestings: beside the balances.
    """

    balances: Mapping[bytes, int]
    currency: CurrencyGenesis = CurrencyGenesis()
    chat: ChatGenesis = ChatGenesis()
    bridge: BridgeGenesis = BridgeGenesis()
    upgrade_authority: bytes = b""
    economics: EconomicsGenesis = _ECONOMICS
    governance: GovernanceParams = _GOVERNANCE
    vestings: tuple[VestingGenesis, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As it stands in the document."""
        upgrade = {"upgrade": {"authority": encode_address(self.upgrade_authority)}} if self.upgrade_authority else {}
        vesting = {"vesting": [entry.to_json() for entry in self.vestings]} if self.vestings else {}
        return upgrade | {
            "currency": {
                "params": _params_json(self.currency),
                "accounts": [
                    {"address": encode_address(address), "balance": str(self.balances[address])}
                    for address in sorted(self.balances)
                ],
                **vesting,
            },
            "chat": {"params": _params_json(self.chat)},
            "bridge": {"params": _params_json(self.bridge)},
            **self.economics.to_json(),
            "governance": {"params": governance_params.to_text(self.governance)},
        }


Params: TypeAlias = CurrencyGenesis | ChatGenesis | BridgeGenesis
P = TypeVar("P", CurrencyGenesis, ChatGenesis, BridgeGenesis)

# What a param may be. A divisor is never 0 (SDK 2025-003), and none has a value that keeps a vote from repairing it: a
# transaction can be paid, has the time to arrive, and what a block leaves goes before a disk is full.
RANGES: Final = {
    "gas_price": (0, GAS_PRICE_MAX),
    "message_bytes_max": (1, 49_152),  # the envelope still fits into a transaction
    "refill_period_s": (10, 30 * 86_400),
    "free_messages": (0, 10**6),
    "free_bytes": (0, 10**9),
    "lent_messages": (0, 10**6),
    "lent_bytes": (0, 10**9),
    "unlock_delay_s": (10, 60 * 86_400),
    "starter_messages": (0, 10**9),
    "starter_bytes": (0, 10**12),
    "registration_price": (0, 10**9),
    "unordered_expiry_blocks_max": (200, 100_000),  # what wallets and nodes ask for by themselves is never too far
    "receipt_blocks": (1, 1_000_000),  # a month
    "messages_per_dchat": (1, 10**9),
    "bytes_per_dchat": (1, 10**12),
}


# Params of the chat chain that documents of before do not have: then they are as a new one's.
LATER: Final = ("refill_period_s", "free_messages", "free_bytes", "lent_messages", "lent_bytes", "unlock_delay_s")


def parse_app_state(data: bytes) -> AppState:
    """Raises: InvalidAppState."""
    if len(data) > APP_STATE_BYTES_MAX:
        raise InvalidAppState(f"app_state: {len(data)} bytes, allowed: {APP_STATE_BYTES_MAX}")
    try:
        document = json.loads(data.decode("ascii"), object_pairs_hook=_read_object)
    except InvalidAppState:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidAppState(f"app_state is no ASCII JSON: {error}") from error
    if isinstance(document, dict) and "exported" in document:
        raise InvalidAppState(
            "app_state.exported: it is an earlier chain's whole state, whose parts cannot be changed here"
        )
    sections = ("currency", "chat", "bridge", "governance", *SECTIONS)
    root = _object("app_state", document, sections, optional=("upgrade",))
    currency = _object("app_state.currency", root["currency"], ("params", "accounts"), optional=("vesting",))
    chat = _object("app_state.chat", root["chat"], ("params",))
    bridge = _object("app_state.bridge", root["bridge"], ("params",))
    chat_params = _params("app_state.chat.params", chat["params"], ChatGenesis)
    bridge_params = _params("app_state.bridge.params", bridge["params"], BridgeGenesis)
    check_refill("app_state.chat.params", chat_params, bridge_params)
    return AppState(
        _balances(currency["accounts"]),
        _params("app_state.currency.params", currency["params"], CurrencyGenesis),
        chat_params,
        bridge_params,
        _authority(root["upgrade"]) if "upgrade" in root else b"",
        _economics(root),
        _governance(root["governance"]),
        _vestings(currency["vesting"]) if "vesting" in currency else (),
    )


def check_params(where: str, params: Params) -> None:
    """Raises: InvalidAppState, with the allowed range."""
    for field in fields(params):
        low, high = RANGES[field.name]
        value = getattr(params, field.name)
        if not low <= value <= high:
            raise InvalidAppState(f"{where}.{field.name} is {value}; allowed: {low} to {high}")
    if isinstance(params, BridgeGenesis):
        _check_starter(where, params)
    if isinstance(params, ChatGenesis) and params.unlock_delay_s < params.refill_period_s:
        raise InvalidAppState(  # else the same udchat would be locked for a second identity in one period
            f"{where}.unlock_delay_s is {params.unlock_delay_s}; allowed: refill_period_s and more, "
            f"{params.refill_period_s}"
        )


def _check_starter(where: str, params: BridgeGenesis) -> None:
    """An identity is no cheaper way to messages than buying them, or spam would register instead.

    Raises: InvalidAppState.
    """
    for name, per_dchat in (
        ("starter_messages", params.messages_per_dchat), ("starter_bytes", params.bytes_per_dchat)
    ):  # fmt: skip
        most = params.registration_price * per_dchat // UDCHAT_PER_DCHAT
        if getattr(params, name) > most:
            raise InvalidAppState(
                f"{where}.{name} is {getattr(params, name)}; allowed: what registration_price, "
                f"{params.registration_price} udchat, buys: {most} at most"
            )


def check_refill(where: str, chat: ChatGenesis, bridge: BridgeGenesis) -> None:
    """What an identity is given for nothing in a year is no more than its registration's price buys: whoever makes many
    of them for what they bring has to wait a year to be no worse off than who bought it.

    Raises: InvalidAppState.
    """
    for name, per_dchat in (("free_messages", bridge.messages_per_dchat), ("free_bytes", bridge.bytes_per_dchat)):
        most = bridge.registration_price * per_dchat // UDCHAT_PER_DCHAT * chat.refill_period_s // YEAR_S
        if getattr(chat, name) > most:
            raise InvalidAppState(
                f"{where}.{name} is {getattr(chat, name)}; allowed: what in a year is no more than registration_price, "
                f"{bridge.registration_price} udchat, buys: {most} in {chat.refill_period_s} s at most"
            )


def _params_json(params: Params) -> dict[str, str]:
    return {field.name: str(getattr(params, field.name)) for field in fields(params)}


def _params(where: str, value: object, kind: type[P]) -> P:
    names = tuple(field.name for field in fields(kind))
    later = tuple(name for name in names if name in LATER)
    given = _object(where, value, tuple(name for name in names if name not in later), optional=later)
    params = kind(**{name: _integer(f"{where}.{name}", text) for name, text in given.items()})
    check_params(where, params)
    return params


def _governance(value: object) -> GovernanceParams:
    where = "app_state.governance"
    names = GovernanceParams._fields
    params = _object(f"{where}.params", _object(where, value, ("params",))["params"], names)
    try:
        return governance_params.changed(GovernanceParams(), params)
    except InvalidParam as error:
        raise InvalidAppState(f"app_state: {error}") from error


def _authority(value: object) -> bytes:
    upgrade = _object("app_state.upgrade", value, ("authority",))
    return _address("app_state.upgrade.authority", upgrade["authority"])


def _address(where: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise InvalidAppState(f"{where} is no text")
    try:
        return decode_address(value)
    except InvalidAddress as error:
        raise InvalidAppState(f"{where}: {error}") from error


def _balances(value: object) -> dict[bytes, int]:
    where = "app_state.currency.accounts"
    if not isinstance(value, list):
        raise InvalidAppState(f"{where} is no list")
    balances: dict[bytes, int] = {}
    value.reverse()  # so that each entry is freed once it is taken
    for number in range(len(value)):
        entry = value.pop()
        if type(entry) is _Packed and (address := entry[:ADDRESS_BYTES]) not in balances:
            balances[address] = int.from_bytes(entry[ADDRESS_BYTES:], "big")
            continue
        at = f"{where}[{number}]"
        account = _object(at, entry, ("address", "balance"))
        address = _address(f"{at}.address", account["address"])
        if address in balances:
            raise InvalidAppState(f"{at}.address appears twice")
        balances[address] = _integer(f"{at}.balance", account["balance"])
        if not balances[address]:
            raise InvalidAppState(f"{at}.balance is 0; allowed: 1 and more")
    if not balances:
        raise InvalidAppState(f"{where} is empty: nobody could pay for anything")
    if sum(balances.values()) > UINT64_MAX:
        raise InvalidAppState(f"{where}: balances are above {UINT64_MAX} together")
    return balances


def _vestings(value: object) -> tuple[VestingGenesis, ...]:
    where = "app_state.currency.vesting"
    if not isinstance(value, list):
        raise InvalidAppState(f"{where} is no list")
    found = []
    for number, entry in enumerate(value):
        at = f"{where}[{number}]"
        given = _object(at, entry, ("recipient", "funder", "number", "start_ns", "linear", "clawback", "periods"))
        if not isinstance(given["periods"], list):
            raise InvalidAppState(f"{at}.periods is no list")
        periods = []
        for place, period in enumerate(given["periods"]):
            part = _object(f"{at}.periods[{place}]", period, ("length_s", "amount"))
            length_s = _integer(f"{at}.periods[{place}].length_s", part["length_s"])
            periods.append((length_s, _integer(f"{at}.periods[{place}].amount", part["amount"])))
        for name in ("linear", "clawback"):
            if not isinstance(given[name], bool):
                raise InvalidAppState(f"{at}.{name} is {given[name]!r}; allowed: true, false")
        found.append(
            VestingGenesis(
                _address(f"{at}.recipient", given["recipient"]), _address(f"{at}.funder", given["funder"]),
                _integer(f"{at}.number", given["number"]), _integer(f"{at}.start_ns", given["start_ns"]),
                given["linear"], given["clawback"], tuple(periods),
            )
        )  # fmt: skip
    check_vestings(found)
    return tuple(found)


def _economics(root: Mapping[str, Any]) -> EconomicsGenesis:
    """The sections of chain.app_state.economy, with the strictness of this module."""
    return parse_economics({name: _object(f"app_state.{name}", root[name], SECTIONS[name]) for name in SECTIONS})


def _integer(where: str, value: object) -> int:
    """Decimal digits without sign or leading zeros; at most 2**64 - 1."""
    if isinstance(value, str) and 1 <= len(value) <= 20 and not value.strip("0123456789"):
        number = int(value)
        if number <= UINT64_MAX and str(number) == value:
            return number
    raise InvalidAppState(f"{where} is {value!r}; allowed: a string of digits, 0 to {UINT64_MAX}")


class _Packed(bytes):
    """An account's address and balance, in a tenth of an object's memory: an object of these two names alone,
    found good where it was parsed. Anywhere else it is what it was."""

    def unpacked(self) -> dict[str, Any]:
        balance = int.from_bytes(self[ADDRESS_BYTES:], "big")
        return {"address": encode_address(bytes(self[:ADDRESS_BYTES])), "balance": str(balance)}


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Packed:
    """Raises InvalidAppState: a name appears twice."""
    if len(pairs) == 2 and pairs[0][0] == "address" and pairs[1][0] == "balance":
        address, balance = pairs[0][1], pairs[1][1]
        try:
            if number := _integer("", balance):
                return _Packed(decode_address(address) + number.to_bytes(8, "big"))
        except (InvalidAddress, InvalidAppState, TypeError, AttributeError):
            pass  # told where its place is known
    return _no_duplicates(pairs)


def _object(where: str, value: object, names: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if type(value) is _Packed:
        value = value.unpacked()
    if not isinstance(value, dict):
        raise InvalidAppState(f"{where} is no object")
    for name in value:
        if name not in names + optional:
            raise InvalidAppState(f"{where}.{name} is unknown; allowed: {', '.join(names + optional)}")
    for name in names:
        if name not in value:
            raise InvalidAppState(f"{where}.{name} is missing")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise InvalidAppState("app_state: a name appears twice in one object")
    return result


__all__ = [
    "LATER",
    "AppState",
    "BridgeGenesis",
    "ChatGenesis",
    "CurrencyGenesis",
    "EconomicsGenesis",
    "InvalidAppState",
    "check_params",
    "check_refill",
    "parse_app_state",
]
