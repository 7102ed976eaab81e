"""Why a search has no answer: whoever asked can ask for less."""

from __future__ import annotations

from consensus.queries.errors import InvalidQuery


class SearchTooWide(InvalidQuery):
    """A search that would look at more than it may. height: where it stood."""

    def __init__(self, *, work_max: int, height: int, height_tag: str, low: int, high: int) -> None:
        super().__init__(
            f"the search looked at {work_max} entries and events and stood at height {height} of {low} to {high}; "
            f"narrow it by heights ({height_tag} >= {low} AND {height_tag} < {(low + high) // 2 + 1}) or by an "
            "attribute that equals a text"
        )
        self.height = height
