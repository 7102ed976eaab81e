"""How much of what is drawn by chance or takes long is tested: a slice in CI, all of it by `scripts/campaign whole`.

`counted(40, whole=2_000)` says both numbers where they are used; `@pytest.mark.campaign` leaves a test, or one set of
its parameters, to the campaign. What CI leaves out another of its tests shows in the small: that is for who writes it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeVar

VARIABLE: Final = "DCHAT_TESTS"
IS_WHOLE: Final = os.environ.get(VARIABLE, "") == "whole"


def counted(slice_: int, *, whole: int) -> int:
    """How many, in this run."""
    assert 0 < slice_ < whole, (slice_, whole)
    return whole if IS_WHOLE else slice_


class Marked(Protocol):
    def get_closest_marker(self, name: str) -> Any: ...


T = TypeVar("T", bound=Marked)


def left_out(items: Sequence[T]) -> list[T]:
    """Tests that are the campaign's alone; none, where this is it."""
    return [] if IS_WHOLE else [item for item in items if item.get_closest_marker("campaign")]
