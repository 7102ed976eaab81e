"""Where nodes parted, told by witnesses of whom some know less than others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from chain.trail.steps import NO_HASH, BlockTrail, Step, hashes_after
from dchat.autopsy.compare import Absent
from dchat.autopsy.errors import AutopsyError
from dchat.autopsy.search import examine
from tests.support.chain.trails import Told

KEY = b"ua" + bytes(20)


def block(
    height: int, value: bytes | None = b"right", *, app: bytes = b"a", fork: bytes = b"h", txs: int = 2
) -> BlockTrail:
    """One whose first transaction writes `value`."""
    stores = (NO_HASH,) * 3
    steps = []
    for index in range(txs + 2):
        writes: Mapping[bytes, bytes | None] = {KEY: value} if index == 1 else {}
        stores = hashes_after(stores, writes)
        is_tx = 0 < index <= txs
        steps.append(Step(bytes([index]) * 32 if is_tx else b"", 0, 0, b"r" * 32 if index else b"", stores, writes))
    return BlockTrail(height, fork * 32, app * 32, {}, tuple(steps))


def chain(first: int, last: int, **other: BlockTrail) -> dict[int, BlockTrail]:
    """other: by `h` and the height; all above it have its app hash."""
    found = {height: block(height) for height in range(first, last + 1)}
    for name, one in other.items():
        found |= {height: replace(one, height=height) for height in found if height >= int(name[1:])}
    return found


async def test_nothing_differs() -> None:
    finding = await examine([Told("a", chain(1, 50)), Told("b", chain(10, 40))])
    assert (finding.lowest, finding.highest, finding.height, finding.step) == (10, 40, None, None)


@pytest.mark.parametrize("height", [2, 3, 611, 999, 1_000])
async def test_the_first_height_is_found_with_few_questions(height: int) -> None:
    wrong = chain(1, 1_000, **{f"h{height}": block(height, b"wrong", app=b"b")})
    witnesses = [Told("a", chain(1, 1_000)), Told("b", wrong), Told("c", chain(1, 1_009))]
    finding = await examine(witnesses)
    assert (finding.height, finding.is_older, finding.notes) == (height, False, [])
    assert finding.step is not None
    assert (finding.step.index, finding.step.alone) == (1, ("b",))
    assert finding.step.groups == (("a", "c"), ("b",))
    [key] = finding.keys
    assert key == (KEY, {"a": b"right", "b": b"wrong"})
    assert all(len(one.asked) <= 14 for one in witnesses)


async def test_who_is_far_behind_is_named() -> None:
    """One that says so of itself hides what the others differ in."""
    wrong = chain(1, 99, h50=block(50, app=b"b"))
    finding = await examine([Told("a", chain(1, 99)), Told("b", wrong), Told("c", chain(1, 9))])
    assert (finding.highest, finding.height) == (9, None)
    assert finding.notes == ["c has none above 9: what the others have above it is not compared"]
    assert not (await examine([Told("a", chain(1, 99)), Told("b", chain(1, 89))])).notes


async def test_a_difference_from_before_all_that_is_there() -> None:
    finding = await examine([Told("a", chain(5, 9)), Told("b", chain(1, 9, h1=block(1, app=b"b")))])
    assert (finding.height, finding.is_older, finding.step) == (5, True, None)


async def test_a_fork_is_told_as_one() -> None:
    finding = await examine([Told("a", chain(1, 9)), Told("b", chain(1, 9, h4=block(4, fork=b"x", app=b"b")))])
    assert (finding.height, finding.is_fork, finding.step) == (4, True, None)


async def test_who_has_pruned_the_steps_is_noted_and_the_others_are_compared() -> None:
    wrong = chain(1, 9, h9=block(9, None, app=b"b"))
    finding = await examine([Told("a", chain(1, 9), {9}), Told("b", wrong), Told("c", chain(1, 9))])
    assert finding.notes == ["a: block 9 is pruned"]
    assert finding.step is not None
    assert (finding.step.groups, finding.step.alone) == ((("b",), ("c",)), ())
    assert finding.keys == [(KEY, {"b": Absent.DELETED, "c": b"right"})]
    nobody = await examine([Told("a", chain(1, 9), {9}), Told("b", wrong)])
    assert (nobody.height, nobody.step) == (9, None)


async def test_one_that_executes_again_is_asked_of_that_block_alone() -> None:
    again = Told("again", chain(9, 9))
    wrong = Told("b", chain(1, 9, h9=block(9, b"wrong", app=b"b")))
    finding = await examine([Told("a", chain(1, 9), {9}), wrong], lambda height: [again])
    assert again.asked == ["steps 9", "writes 9 1"]
    assert finding.step is not None
    assert finding.step.groups == (("b",), ("again",))


async def test_a_block_with_fewer_steps_and_a_result_that_differs() -> None:
    short = await examine([Told("a", chain(1, 1)), Told("b", chain(1, 1, h1=block(1, app=b"b", txs=1)))])
    assert short.step is not None
    assert short.step.index == 2
    failed = block(1, app=b"b")
    failed = replace(failed, steps=(failed.steps[0], failed.steps[1]._replace(code=7), *failed.steps[2:]))
    other = await examine([Told("a", chain(1, 1)), Told("b", {1: failed})])
    assert other.step is not None
    assert (other.step.index, other.keys) == (1, [])


async def test_nothing_in_common() -> None:
    with pytest.raises(AutopsyError, match="no height that all have: a has 1 to 3, b has 4 to 9"):
        await examine([Told("a", chain(1, 3)), Told("b", chain(4, 9))])
