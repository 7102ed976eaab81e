"""What is kept: each answer with what it depends on.

What a block decided stays until the next block; what may change at any time is told again for MOMENT_S, or until
something that it tells has changed. So a thousand readers of one page cost the node about as much as one. Each has an
ETag. Bounded in number and bytes; the one longest not asked for goes first.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Any, Final, NamedTuple

MOMENT_S: Final = 0.05  # what no person notices; a poll of 1 s is told something older by the network alone
MAKING_S: Final = 0.25  # then another has it made
OVERDUE_S: Final = 1.0  # nothing is told that is older
KEPT_MAX: Final = 4_096
KEPT_BYTES_MAX: Final = 16_777_216
ANSWER_BYTES_MAX: Final = 131_072  # a larger one is made anew
TARGET_BYTES_MAX: Final = 1_024
OVERHEAD_BYTES: Final = 600  # of a row: its key, head and objects
TAG_DIGITS: Final = 20
DECIDED: Final = "public, max-age=86400, immutable"  # it stands in a block
ASK_AGAIN: Final = "no-cache"  # it may be kept, and is asked for again


class Lasting(Enum):
    """How long an answer is what it would be if it were made anew."""

    BLOCK = "until the next block"
    MOMENT = "for a moment"


class Wire(NamedTuple):
    """fields: header fields, each with its end, without those that each answer has anew. body: as they describe it."""

    fields: bytes
    body: bytes


class Kept(NamedTuple):
    """tag: its ETag. packed: for who takes gzip. token: of when it was made; None: it never changes.
    until: when a moment is over, by the monotonic clock."""

    plain: Wire
    tag: bytes
    cost: int = 1
    packed: Wire | None = None
    lasting: Lasting | None = None
    token: Any = None
    until: float = 0.0
    making_until: float = 0.0  # somebody makes it anew

    @property
    def size(self) -> int:
        return OVERHEAD_BYTES + len(self.plain.body) + (len(self.packed.body) if self.packed else 0)


class KeptAnswers:
    """of_block, of_moment: tell what an answer of that kind depends on. now_s: a monotonic clock."""

    def __init__(
        self,
        of_block: Callable[[], Hashable],
        of_moment: Callable[[], Hashable],
        *,
        now_s: Callable[[], float] = time.monotonic,
        bytes_max: int = KEPT_BYTES_MAX,
    ) -> None:

        def of_both() -> Hashable:
            return of_block(), of_moment()

        self._tokens: dict[Lasting, Callable[[], Hashable]] = {Lasting.BLOCK: of_block, Lasting.MOMENT: of_both}
        self._now_s, self._bytes_max = now_s, bytes_max
        self._rows: OrderedDict[bytes, Kept] = OrderedDict()
        self._pinned: dict[bytes, Kept] = {}
        self.bytes = 0
        self.counts: Counter[str] = Counter()  # kept, unchanged: answered from here; made: not

    def __len__(self) -> int:
        return len(self._rows)

    def token(self, lasting: Lasting) -> Hashable:
        return self._tokens[lasting]()

    def find(self, target: bytes) -> Kept | None:
        """None: it is not here, or not true any more; then whoever asks has it made."""
        kept = self._rows.get(target)
        if kept is None or kept.lasting is None:
            return kept or self._pinned.get(target)
        is_true = self.token(kept.lasting) == kept.token
        if kept.lasting is Lasting.MOMENT and (not is_true or self._now_s() > kept.until):
            return self._meanwhile(target, kept)
        if not is_true:
            self._forget(target)
            return None
        self._rows.move_to_end(target)
        return kept

    def _meanwhile(self, target: bytes, kept: Kept) -> Kept | None:
        """A moment is over: the first who asks has it made anew, the others are told what was, until it is there, and
        within the same block."""
        now_s = self._now_s()
        if kept.token[0] != self.token(Lasting.BLOCK) or now_s > kept.until + OVERDUE_S:
            self._forget(target)
            return None
        if now_s < kept.making_until:
            return kept
        self._rows[target] = kept._replace(making_until=now_s + MAKING_S)
        return None

    def _forget(self, target: bytes) -> None:
        self.bytes -= self._rows.pop(target).size

    def pin(self, target: bytes, kept: Kept) -> None:
        """One of the door's own files: it never goes."""
        self._pinned[target] = kept

    def keep(self, target: bytes, kept: Kept) -> None:
        if (old := self._rows.pop(target, None)) is not None:
            self.bytes -= old.size
        self._rows[target] = kept
        self.bytes += kept.size
        while len(self._rows) > KEPT_MAX or self.bytes > self._bytes_max:
            self.bytes -= self._rows.popitem(last=False)[1].size

    def made(self, target: bytes, body: bytes, fields: Mapping[str, str], lasting: Lasting, token: Hashable) -> None:
        """An answer was made; it is kept where nothing changed since `token`. fields: with its ETag."""
        if len(body) > ANSWER_BYTES_MAX or not 0 < len(target) <= TARGET_BYTES_MAX or self.token(lasting) != token:
            return
        until = self._now_s() + MOMENT_S if lasting is Lasting.MOMENT else 0.0
        row = Kept(wire_of(fields, body), fields["ETag"].encode(), lasting=lasting, token=token, until=until)
        self.keep(target, row)


def tag_of(body: bytes) -> str:
    return f'"{sha256(body).hexdigest()[:TAG_DIGITS]}"'


def has_already(said: str, tag: str) -> bool:
    """said: If-None-Match, whose tags may be weak ones. Source: RFC 9110, 13.1.2."""
    return said.strip() == "*" or tag in said


def wire_of(fields: Mapping[str, str], body: bytes) -> Wire:
    """fields: of this answer alone, but for its length."""
    return Wire("".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode("latin-1"), body)
