"""A recorded command, and a start of the node on a disk that a loss of power may leave at each of its steps."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.campaigns.crashes.judge import Lost, Told, is_restored, judge, note
from tests.support.power import PROFILES, Machine, Mark, Profile, Step, read_journal

HOT_STEPS: Final = 12  # after a database's file was made, renamed or removed, all profiles are drawn at each step
GOES_ON_EVERY: Final = 40  # of the disks, one whose node also makes blocks
FAILURES_SHOWN: Final = 20
FAST: Final = Path("/dev/shm")


@dataclass(frozen=True)
class Phase:
    """What was recorded: `home` as it was before lies in `before`. told: what bound the node already.

    goes_on: a node that comes back can make blocks alone; not where its databases were brought back from before what
    its key signed. joins: it is one that a snapshot restores, or will once more.
    """

    name: str
    home: Path
    before: Path
    journal: Path
    told: Callable[[], Told]
    goes_on: bool = True
    joins: bool = False


@dataclass(frozen=True, order=True)
class Place:
    """One disk: after which step of the journal the power went, and what was drawn."""

    phase: str
    step: int
    profile: Profile

    def __str__(self) -> str:
        return f"{self.phase}:{self.step}:{self.profile}"

    @staticmethod
    def parse(text: str) -> Place:
        """Raises ValueError."""
        phase, step, profile = text.split(":")
        if profile not in PROFILES:
            raise ValueError(f"profile {profile!r}; allowed: {', '.join(PROFILES)}")
        return Place(phase, int(step), profile)


@dataclass(frozen=True)
class Failure:
    place: Place
    what: str
    why: str

    def told(self) -> str:
        return f"{self.place} ({self.what}): {self.why}"


@dataclass
class Tally:
    """Of a phase. steps: that changed what a loss may leave; reached: of these, those with a disk."""

    steps: int = 0
    reached: int = 0
    disks: Counter[str] = field(default_factory=Counter)  # by profile
    went_on: int = 0
    failures: list[Failure] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.reached += other.reached
        self.disks += other.disks
        self.went_on += other.went_on
        self.failures += other.failures
        self.steps = max(self.steps, other.steps)


# ------------------------------------------------------------------------------------------------ which disks


def places_of(phase: Phase, chance: random.Random, points: int | None) -> list[Place]:
    """Every step once, in turn by profile; those about a database's files by each profile. points: so many are drawn
    of these, half of them of the latter."""
    plain, hot = [], []
    near = 0
    turn = itertools.cycle(PROFILES)
    for number, step in _changes(phase):
        near = HOT_STEPS if _is_about_names(step) else near - 1
        if near >= 0:
            hot += [Place(phase.name, number, profile) for profile in PROFILES]
        else:
            plain.append(Place(phase.name, number, next(turn)))
    if points is not None:
        hot = chance.sample(hot, min(len(hot), points // 2))
        plain = chance.sample(plain, min(len(plain), points - len(hot)))
    return sorted(plain + hot)


def _changes(phase: Phase) -> Iterator[tuple[int, Step]]:
    machine = Machine(phase.home, phase.before, "ordered")
    for number, step in enumerate(read_journal(phase.journal)):
        if isinstance(step, Step) and machine.follow(step):
            yield number, step


def _is_about_names(step: Step) -> bool:
    """Not of what is replaced as a whole each time: the record of signing."""
    changes_names = step.is_new or step.kind in "RUKDL"
    return changes_names and not any("priv_validator_state" in path for path in (step.path, step.old))


# ------------------------------------------------------------------------------------------------ one after another


def run(phase: Phase, places: list[Place], seed: int) -> Tally:
    """Start a node on each of the disks, one after another: it listens at the recorded node's ports."""
    tally = Tally(reached=len({place.step for place in places}), steps=sum(1 for _ in _changes(phase)))
    tally.add(_run(phase, places, seed))
    return tally


def _run(phase: Phase, places: list[Place], seed: int) -> Tally:
    tally = Tally()
    wanted: dict[int, list[Place]] = {}
    for place in places:
        wanted.setdefault(place.step, []).append(place)
    told, names = phase.told(), dict[tuple[int, int], str]()
    machines = {profile: Machine(phase.home, phase.before, profile) for profile in PROFILES}
    folder = Path(tempfile.mkdtemp(prefix="dchat-crash-", dir=FAST if FAST.is_dir() else None))
    try:
        for number, step in enumerate(read_journal(phase.journal)):
            if isinstance(step, Mark):
                told.hear(step.told)
                continue
            for machine in machines.values():
                machine.follow(step)
            note(told, names, step)
            for place in wanted.get(number, ()):
                what = f"{step.told()} {names.get(step.number, '')}".replace(str(phase.home), "").strip()
                _one(phase, place, what, machines[place.profile], told, folder / "disk", seed, tally)
    finally:
        shutil.rmtree(folder)
    return tally


def _one(
    phase: Phase, place: Place, what: str, machine: Machine, told: Told, disk: Path, seed: int, tally: Tally
) -> None:
    chance = random.Random(f"{seed}:{place}")
    machine.disk(disk, chance)
    goes_on = phase.goes_on and chance.randrange(GOES_ON_EVERY) == 0
    try:
        if not phase.joins or is_restored(disk):
            asyncio.run(judge(disk, told, goes_on=goes_on))
    except Lost as error:
        tally.failures.append(Failure(place, what, str(error).replace(str(disk), "HOME")))
    finally:
        shutil.rmtree(disk)
    tally.disks[place.profile] += 1
    tally.went_on += goes_on
