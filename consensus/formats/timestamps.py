"""Times: integer nanoseconds since the Unix epoch, protobuf Timestamps, RFC 3339 text.

Years 1 to 9999, as protobuf allows: what is read from outside is refused beyond them (Malformed), so that what is
written may assert them; what is computed from several times is brought back by `within_time`. An absent Timestamp
that the format always writes means Go's zero time, the first instant of year 1; a present and empty one means 1970.
Source: protobuf's timestamp.proto and duration.proto; RFC 3339; CometBFT v0.38, spec/core/encoding.md.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from consensus.formats.errors import Malformed
from consensus.formats.units import NS_PER_S
from consensus.formats.wire import INT64_MAX, INT64_MIN, int_field
from crypto.hash import uvarint

ZERO_TIME_NS: Final = -62135596800 * NS_PER_S
SECONDS_MIN: Final = -62135596800  # 0001-01-01T00:00:00Z
SECONDS_MAX: Final = 253402300799  # 9999-12-31T23:59:59Z
TIME_NS_MAX: Final = SECONDS_MAX * NS_PER_S + NS_PER_S - 1

_EPOCH: Final = datetime(1970, 1, 1)
_RFC3339: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]+))?[Zz]")


def within_time(time_ns: int) -> int:
    """The nearest time that the formats can carry: for every time that is computed, not read."""
    return min(max(time_ns, ZERO_TIME_NS), TIME_NS_MAX)


def encode_timestamp(time_ns: int) -> bytes:
    """A Timestamp's protobuf bytes, at most 17."""
    assert ZERO_TIME_NS <= time_ns <= TIME_NS_MAX, time_ns
    seconds, nanos = divmod(time_ns, NS_PER_S)
    if seconds > 0 and nanos:  # every vote of our time
        return b"\x08" + uvarint(seconds) + b"\x10" + uvarint(nanos)
    return int_field(b"\x08", seconds) + int_field(b"\x10", nanos)


def timestamp_ns(timestamp: Timestamp) -> int:
    """Raises Malformed outside years 1 to 9999 or nanoseconds 0 to 999,999,999."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not (SECONDS_MIN <= seconds <= SECONDS_MAX and 0 <= nanos < NS_PER_S):
        raise Malformed(f"timestamp {seconds} s {nanos} ns is outside years 1 to 9999")
    return seconds * NS_PER_S + nanos


def read_timestamp(message: Message, field: str) -> int:
    """The Timestamp `field` of `message`; absent means Go's zero time. Raises Malformed."""
    return timestamp_ns(getattr(message, field)) if message.HasField(field) else ZERO_TIME_NS


def timestamp_proto(time_ns: int) -> Timestamp:
    seconds, nanos = divmod(time_ns, NS_PER_S)
    return Timestamp(seconds=seconds, nanos=nanos)


def duration_proto(duration_ns: int) -> Duration:
    """Seconds and nanoseconds of one sign, as protobuf wants."""
    seconds = abs(duration_ns) // NS_PER_S
    nanos = abs(duration_ns) % NS_PER_S
    return Duration(seconds=-seconds, nanos=-nanos) if duration_ns < 0 else Duration(seconds=seconds, nanos=nanos)


def duration_ns(duration: Duration) -> int:
    """Raises Malformed when the parts' signs differ or it does not fit 64 bits of nanoseconds."""
    seconds, nanos = duration.seconds, duration.nanos
    total = seconds * NS_PER_S + nanos
    if abs(nanos) >= NS_PER_S or seconds * nanos < 0 or not INT64_MIN <= total <= INT64_MAX:
        raise Malformed(f"duration {seconds} s {nanos} ns is not a 64-bit number of nanoseconds")
    return total


def format_rfc3339(time_ns: int) -> str:
    """UTC with `Z`; fraction without trailing zeros."""
    assert ZERO_TIME_NS <= time_ns <= TIME_NS_MAX, time_ns
    seconds, nanos = divmod(time_ns, NS_PER_S)
    whole = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    return f"{whole}{fraction}Z"


def parse_rfc3339(text: str) -> int:
    """The time in nanoseconds; digits past the ninth are cut. Raises Malformed; only UTC as `Z` is read."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise Malformed(f"time {text!r} is not RFC 3339 in UTC, like 2020-01-01T00:00:00.005Z")
    date, clock, fraction = match.groups()
    try:
        whole = datetime.fromisoformat(f"{date}T{clock}")
    except ValueError as error:
        raise Malformed(f"time {text!r} does not exist: {error}") from error
    since = whole - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_S + int((fraction or "0")[:9].ljust(9, "0"))
