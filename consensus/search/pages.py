"""Pages of a search: by number with the count of all, as CometBFT tells them, or by a cursor, of as much as a search
may look at. In slices.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from consensus.abci.interface import Slices
from consensus.search.errors import SearchTooWide
from consensus.search.walk import Place, Walk

INDEX_MAX: Final = 2**32 - 1


class Counted(NamedTuple):
    places: list[Place]
    total: int


class Page(NamedTuple):
    """cursor: the place after which to go on; None: there is nothing more among the heights that were searched.
    is_cut: it stopped for what it had looked at."""

    places: list[Place]
    cursor: Place | None
    is_cut: bool = False


def counted(walk: Walk, *, skip: int, limit: int, is_descending: bool = False) -> Slices[Counted]:
    """`limit` places after the first `skip`, and how many there are in all. Raises SearchTooWide."""
    places: list[Place] = []
    total = 0
    for place in walk.found(is_descending=is_descending):
        if place is None:
            yield
            continue
        if skip <= total < skip + limit:
            places.append(place)
        total += 1
    return Counted(places, total)


def page(walk: Walk, *, limit: int, after: Place | None = None, is_descending: bool = False) -> Slices[Page]:
    """At most `limit` places that follow `after` (None: the first ones); fewer, even none, where the search stopped."""
    places: list[Place] = []
    start = None if after is None else (_before(after) if is_descending else _behind(after))
    try:
        for place in walk.found(is_descending=is_descending, start=start):
            if place is None:
                yield
                continue
            if len(places) == limit:
                return Page(places, places[-1])
            places.append(place)
    except SearchTooWide as stop:  # all on this side of that height was looked at
        at = Place(stop.height + 1, 0) if is_descending else Place(stop.height - 1, INDEX_MAX)
        return Page(places, at, is_cut=True)
    return Page(places, None)


def _behind(place: Place) -> Place:
    return Place(place.height + 1, 0) if place.tx_index >= INDEX_MAX else Place(place.height, place.tx_index + 1)


def _before(place: Place) -> Place:
    return Place(place.height, place.tx_index - 1) if place.tx_index else Place(place.height - 1, INDEX_MAX)
