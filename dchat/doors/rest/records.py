"""Records that are read by their key, each under a path of its own: `/v1/guardians/{address}`.

What a path names are the parts of the record's key; the call is GetRecord's, and the answer has the record itself where
GetRecord's has its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from bridge.escrow_records import ATTESTATIONS, ESCROWED, ESCROWS
from bridge.guardian_records import GUARDED, RECOVERING
from bridge.lending import LOCKS
from chain.chat.channels.keys import EPOCHS, SEALED_KEYS
from chain.chat.channels.pots import POTS
from chain.chat.channels.records import BANS, INVITATIONS, MEMBERS
from chain.chat.identities.devices import DEVICES
from chain.chat.identities.prekeys import PREKEYS
from chain.chat.identities.profiles import BLOCKS, PROFILES
from chain.chat.messages.records import STATES
from chain.chat.reputation.records import REPORTS, REPUTATIONS, about_member, about_message
from chain.currency.denominations.records import DENOMINATIONS, HOLDINGS
from chain.currency.grants import authorisations
from chain.currency.grants.authorisations import AUTHORISATIONS
from chain.currency.grants.fee_grants import FEE_GRANTS
from chain.currency.payments.requests import REQUESTS, request_name
from chain.currency.payments.standing import ORDERS, order_name
from chain.currency.vesting import vesting
from chain.currency.vesting.vesting import VESTING_KIND
from chain.kernel.branch import RecordKind
from chain.tx.codec import height_bytes
from chain.tx.messages import channel_id
from crypto.bech32 import InvalidAddress, decode_address
from crypto.hash import ADDRESS_BYTES, HASH_BYTES
from dchat.doors.reads.errors import BadQuestion

KEY_FIELDS: Final = frozenset({"store", "key"})  # of GetRecord's request, which a path fills
TEXT_CHARS_MAX: Final = 64  # of a name or a reference; none is longer
_HEX: Final = re.compile(r"[0-9a-fA-F]+", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,18}", re.ASCII)


class RecordPath(NamedTuple):
    """name: of the key, of what the path names. parts: what that is, in the order of the path."""

    path: str
    kind: RecordKind
    parts: tuple[str, ...]
    name: Callable[..., bytes]

    def key(self, given: Mapping[str, str]) -> bytes:
        """In its store. Raises BadQuestion."""
        return self.kind.key(self.name(*[read_part(part, given[part]) for part in self.parts]))


def read_part(part: str, text: str) -> Any:
    """Raises BadQuestion."""
    if part in NUMBERS:
        if not _NUMBER.fullmatch(text):
            raise BadQuestion(f"{part}: {text[:48]!r}; allowed: a whole number from 0 on")
        return int(text)
    if part in TEXTS or part == "channel":
        if not text.isascii() or len(text) > TEXT_CHARS_MAX:
            raise BadQuestion(f"{part}: {text[:48]!r}; allowed: ASCII, {TEXT_CHARS_MAX} characters")
        return text if part in TEXTS else _channel(text)
    if part in HASHES:
        return _hex(part, text, HASH_BYTES)
    try:
        return decode_address(text) if text.startswith("dchat1") else _hex(part, text, ADDRESS_BYTES)
    except InvalidAddress as error:
        raise BadQuestion(f"{part}: {error}") from None


def _channel(text: str) -> bytes:
    """By its id in hex, or by its name."""
    return bytes.fromhex(text) if len(text) == 2 * ADDRESS_BYTES and _HEX.fullmatch(text) else channel_id(text)


def _hex(part: str, text: str, size: int) -> bytes:
    if len(text) != 2 * size or not _HEX.fullmatch(text):
        also = ", or dchat1..." if size == ADDRESS_BYTES else ""
        raise BadQuestion(f"{part}: {text[:48]!r}; allowed: {2 * size} hex characters{also}")
    return bytes.fromhex(text)


NUMBERS: Final = frozenset({"index", "epoch", "number"})
TEXTS: Final = frozenset({"reference", "name", "kind"})
HASHES: Final = frozenset({"escrow_id", "statement", "device"})


def _named(*parts: Any) -> bytes:
    """Bytes as they are, text as ASCII, numbers as those of heights."""
    return b"".join([
        part if isinstance(part, bytes) else part.encode("ascii") if isinstance(part, str) else height_bytes(part)
        for part in parts
    ])  # fmt: skip


def _row(path: str, kind: RecordKind, name: Callable[..., bytes] = _named) -> RecordPath:
    return RecordPath(f"/v1/{path}", kind, tuple(re.findall(r"\{(\w+)\}", path)), name)


RECORDS: Final = (
    _row("accounts/{address}/holdings/{creator}/{name}", HOLDINGS),
    _row("accounts/{address}/allowance-lock", LOCKS),
    _row("denominations/{creator}/{name}", DENOMINATIONS),
    _row("payment-requests/{payee}/{reference}", REQUESTS, request_name),
    _row("standing-orders/{owner}/{reference}", ORDERS, order_name),
    _row("fee-grants/{granter}/{grantee}", FEE_GRANTS),
    _row("authorisations/{granter}/{grantee}/{kind}", AUTHORISATIONS, authorisations.name_of),
    _row("vestings/{recipient}/{funder}/{number}", VESTING_KIND, vesting.name_of),
    _row("escrows/{escrow_id}", ESCROWS),
    _row("escrow-totals", ESCROWED),
    _row("attestations/{attester}/{statement}", ATTESTATIONS),
    _row("guardians/{address}", GUARDED),
    _row("recoveries/{address}", RECOVERING),
    _row("identities/{address}/profile", PROFILES),
    _row("identities/{address}/devices", DEVICES),
    _row("identities/{address}/prekeys", PREKEYS),
    _row("identities/{address}/blocks/{blocked}", BLOCKS),
    _row("identities/{address}/reputation", REPUTATIONS),
    _row("channels/{channel}/members/{member}", MEMBERS),
    _row("channels/{channel}/invitations/{member}", INVITATIONS),
    _row("channels/{channel}/bans/{member}", BANS),
    _row("channels/{channel}/allowance", POTS),
    _row("channels/{channel}/epochs/{epoch}", EPOCHS),
    _row("channels/{channel}/epochs/{epoch}/sealed-keys/{member}/{device}", SEALED_KEYS),
    _row("channels/{channel}/messages/{index}/state", STATES),
    _row("channels/{channel}/messages/{index}/report", REPORTS, about_message),
    _row("channels/{channel}/members/{member}/report", REPORTS, about_member),
)
