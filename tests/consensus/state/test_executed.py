"""Which failures say that this node executed a block otherwise than the others."""

from __future__ import annotations

import pytest

from consensus.state.validation import EXECUTED_FIELDS, executed_otherwise


def noted(why: str) -> BaseException:
    error = RuntimeError("consensus cannot go on")
    error.add_note(why)
    return error


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (None, False),
        (RuntimeError("app_hash is 00, expected 11"), False),  # the driver notes its reason
        (noted("height 61: invalid here (block 61: app_hash is 00, expected 11)"), True),
        (noted("the disk is full"), False),
    ],
)
def test_executed_otherwise(failure: BaseException | None, expected: bool) -> None:
    assert executed_otherwise(failure) == expected


@pytest.mark.parametrize("field", EXECUTED_FIELDS)
def test_every_field_that_comes_of_executing_counts(field: str) -> None:
    assert executed_otherwise(noted(f"block 7: {field} is 00, expected 11"))
