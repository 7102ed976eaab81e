"""Units of time and size, each once. Times are whole nanoseconds, sizes whole bytes."""

from __future__ import annotations

from typing import Final

NS_PER_MS: Final = 10**6
NS_PER_S: Final = 10**9
DAY_NS: Final = 24 * 3_600 * NS_PER_S
KIB: Final = 1 << 10
MIB: Final = 1 << 20
