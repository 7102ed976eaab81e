"""A request that is whole and plain, for an answer that is kept: a look into a table and a write, some 20 us, where the
server's own way costs ten times as much.

Plain is a GET in one piece, without a body, with header fields of a narrow form. All others, and what is not kept, go
the server's way, and mean the same there. Who has the answer already is told so (304).
Source: RFC 9110, 13.1.2 (If-None-Match) and 15.4.5.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from email.utils import formatdate
from typing import Final, NamedTuple

from dchat.doors.kept.answers import Kept, KeptAnswers, has_already
from dchat.doors.reads.errors import Busy, Flooding
from dchat.doors.reads.limits import Proxies, RateLimit, client_of

HEADS_MAX: Final = 512  # header fields that were read before: a client sends the same with each request
HEAD_BYTES_MAX: Final = 2_048

_FIELD: Final = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}):[ \t]*([\x20-\x7e]{0,1024})")
_LONG_WAY: Final = frozenset({b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer"})


class Head(NamedTuple):
    """What header fields say that matters here. host: None: none. tags: of If-None-Match."""

    host: str | None
    tags: str
    takes_gzip: bool
    forwarded: tuple[str, ...]


class AtOnce:
    """Answers a request in the turn of the loop in which it came. may_call: whether this door has that name."""

    def __init__(self, kept: KeptAnswers, rate: RateLimit, may_call: Callable[[str | None], bool]) -> None:
        self.kept, self._rate, self._may_call = kept, rate, may_call
        self._heads: OrderedDict[bytes, Head | None] = OrderedDict()
        self._dated_s, self._date = 0, b""

    def answer(self, data: bytes, host: str, client: str, proxies: Proxies) -> bytes | None:
        """What is to be written; None: it goes the server's way. host: who is connected, which counts as `client`.
        Raises Flooding."""
        if not data.startswith(b"GET /") or not data.endswith(b"\r\n\r\n"):
            return None
        end = data.find(b"\r\n")
        if data[end - 9 : end] != b" HTTP/1.1":
            return None
        kept = self.kept.find(data[4 : end - 9])
        if kept is None or (head := self._head(data[end + 2 : -2])) is None or not self._may_call(head.host):
            return None
        is_proxied = proxies.has(host)
        if is_proxied:
            client = client_of(proxies.asker(host, head.forwarded))
        try:
            self._rate.take(client, cost=kept.cost)
        except (Busy, Flooding) as error:
            if isinstance(error, Flooding) and not is_proxied:
                raise
            return self._busy(str(error))
        return self._wire(kept, head)

    def _wire(self, kept: Kept, head: Head) -> bytes:
        wire = kept.packed if kept.packed is not None and head.takes_gzip else kept.plain
        date = self._now()
        if has_already(head.tags, kept.tag.decode()):
            self.kept.counts["unchanged"] += 1
            return b"HTTP/1.1 304 Not Modified\r\n%bDate: %b\r\n\r\n" % (wire.fields, date)
        self.kept.counts["kept"] += 1
        said = (wire.fields, len(wire.body), date, wire.body)
        return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\nDate: %b\r\n\r\n%b" % said

    def _busy(self, why: str) -> bytes:
        body = b'{"error": "%b"}' % why.encode("ascii", "replace").replace(b'"', b"'")
        return (
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json; charset=utf-8\r\nRetry-After: 1\r\n"
            b"Content-Length: %d\r\nDate: %b\r\n\r\n%b" % (len(body), self._now(), body)
        )

    def _now(self) -> bytes:
        now_s = int(time.time())
        if now_s != self._dated_s:
            self._dated_s, self._date = now_s, formatdate(now_s, usegmt=True).encode()
        return self._date

    def _head(self, fields: bytes) -> Head | None:
        """fields: the header's, each with its end. None: they say more than is known here."""
        if fields in self._heads:
            self._heads.move_to_end(fields)
            return self._heads[fields]
        head = read_head(fields)
        if len(fields) <= HEAD_BYTES_MAX:
            self._heads[fields] = head
            if len(self._heads) > HEADS_MAX:
                self._heads.popitem(last=False)
        return head


def read_head(fields: bytes) -> Head | None:
    """None: not all of it is of the narrow form, or it asks for what is no plain answer."""
    host: str | None = None
    tags, takes_gzip = "", False
    forwarded: list[str] = []
    for line in fields.split(b"\r\n")[:-1]:
        found = _FIELD.fullmatch(line)
        if found is None:
            return None
        name, value = found[1].lower(), found[2].strip()
        if name in _LONG_WAY or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        if name == b"host":
            if host is not None:
                return None
            host = value.decode("ascii")
        elif name == b"if-none-match":
            tags = ", ".join(filter(None, (tags, value.decode("ascii"))))
        elif name == b"accept-encoding":
            takes_gzip = b"gzip" in value
        elif name == b"x-forwarded-for":
            forwarded.append(value.decode("ascii"))
    return Head(host, tags, takes_gzip, tuple(forwarded))
