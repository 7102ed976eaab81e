"""Where did nodes part? Bisects the heights that all have, then compares the block in which their states parted.

A witness is a node that runs, or the home of one that does not. What one of them cannot tell is noted, and the others
are compared; what is told is the first height, its step, its keys, and who differs from most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from chain.trail.steps import BlockTrail, Writes
from dchat.autopsy.compare import KeyDifference, StepDifference, first_difference, key_differences
from dchat.autopsy.errors import AutopsyError

BEHIND_MAX: Final = 10  # heights, of nodes that are asked at one moment
T = TypeVar("T")


class Witness(Protocol):
    """Raises AutopsyError, whatever the reason."""

    @property
    def name(self) -> str: ...

    async def bounds(self) -> tuple[int, int]:
        """The lowest and the highest height that it executed and has."""
        ...

    async def head(self, height: int) -> BlockTrail: ...
    async def steps(self, height: int) -> BlockTrail:
        """Its writes may be missing."""
        ...

    async def writes(self, trail: BlockTrail, index: int) -> Writes: ...


@dataclass
class Finding:
    """lowest, highest: the heights that all have. height: the first whose blocks (is_fork) or whose states differ; of
    None, none does. is_older: already the lowest differs, so that it may have begun before. app_hashes, block_hashes:
    after it, by name. step, trail: what was found in it; trail: of one that is in the largest group."""

    lowest: int
    highest: int
    height: int | None = None
    is_fork: bool = False
    is_older: bool = False
    app_hashes: Mapping[str, bytes] = field(default_factory=dict)
    block_hashes: Mapping[str, bytes] = field(default_factory=dict)
    trail: BlockTrail | None = None
    step: StepDifference | None = None
    keys: list[KeyDifference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def examine(
    witnesses: Sequence[Witness], more: Callable[[int], Sequence[Witness]] = lambda height: ()
) -> Finding:
    """more: who is asked of that block alone, as one that executes it again. Raises AutopsyError: there is nothing to
    compare."""
    ranges = await _all((one.name, one.bounds()) for one in witnesses)
    lowest = max(low for low, _ in ranges.values())
    highest = min(high for _, high in ranges.values())
    if lowest > highest:
        told = ", ".join(f"{name} has {low} to {high}" for name, (low, high) in ranges.items())
        raise AutopsyError(f"there is no height that all have: {told}")
    finding = Finding(lowest, highest)
    finding.notes += [
        f"{name} has none above {high}: what the others have above it is not compared"
        for name, (_, high) in ranges.items()
        if high + BEHIND_MAX < max(other for _, other in ranges.values())
    ]
    heads = await _heads(witnesses, highest)
    if _differ(heads, lambda head: head.block_hash):
        finding.is_fork = True
        await _bisect(witnesses, finding, lambda head: head.block_hash)
        return finding
    if not _differ(heads, lambda head: head.app_hash):
        return finding
    await _bisect(witnesses, finding, lambda head: head.app_hash)
    assert finding.height is not None
    await _look_into(finding, witnesses, more(finding.height))
    return finding


async def _bisect(witnesses: Sequence[Witness], finding: Finding, what: Callable[[BlockTrail], bytes]) -> None:
    """To the first height that differs: a state follows from the one before it, and so does a block."""
    low, high = finding.lowest, finding.highest
    while low < high:
        middle = (low + high) // 2
        if _differ(await _heads(witnesses, middle), what):
            high = middle
        else:
            low = middle + 1
    heads = await _heads(witnesses, low)
    finding.height, finding.is_older = low, low == finding.lowest and low > 1
    finding.app_hashes = {name: head.app_hash for name, head in heads.items()}
    finding.block_hashes = {name: head.block_hash for name, head in heads.items()}


async def _look_into(finding: Finding, witnesses: Sequence[Witness], more: Sequence[Witness]) -> None:
    assert finding.height is not None
    trails: dict[str, BlockTrail] = {}
    for one in (*witnesses, *more):
        try:
            trail = await one.steps(finding.height)
        except AutopsyError as error:
            finding.notes.append(f"{one.name}: {error}")
            continue
        trails[one.name] = trail
        if trail.again and one in witnesses:
            finding.notes.append(f"{one.name}: it executed the block again; how the first time went is not remembered")
    if len(trails) < 2:
        return
    finding.step = step = first_difference(trails)
    finding.trail = next(iter(trails.values()))
    if step is None:
        return
    by_name = {one.name: one for one in (*witnesses, *more)}
    finding.trail = trails[step.groups[0][0]]
    writes: dict[str, Writes] = {}
    for group in step.groups:
        name = group[0]
        if step.steps[name] is None:
            continue
        try:
            writes[name] = await by_name[name].writes(trails[name], step.index)
        except AutopsyError as error:
            finding.notes.append(f"{name}: {error}")
    finding.keys = key_differences(writes)


async def _heads(witnesses: Sequence[Witness], height: int) -> dict[str, BlockTrail]:
    return await _all((one.name, one.head(height)) for one in witnesses)


def _differ(heads: Mapping[str, BlockTrail], what: Callable[[BlockTrail], bytes]) -> bool:
    return len({what(head) for head in heads.values()}) > 1


async def _all(asked: Iterable[tuple[str, Awaitable[T]]]) -> dict[str, T]:
    """Of all at once. Raises AutopsyError of the first that fails, with its name."""
    names, works = zip(*asked, strict=True)
    answers: list[T | BaseException] = await asyncio.gather(*works, return_exceptions=True)
    found: dict[str, T] = {}
    for name, answer in zip(names, answers, strict=True):
        if isinstance(answer, AutopsyError):
            told = str(answer)
            raise AutopsyError(told if told.startswith(name) else f"{name}: {told}") from answer
        if isinstance(answer, BaseException):
            raise answer
        found[name] = answer
    return found
