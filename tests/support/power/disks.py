"""What a disk may hold after a loss of power, by what was written and synced before it.

A `Machine` follows a journal step by step and knows, of each file, what is durable and what was written since; of each
folder, which names are. `disk` draws one of the disks that a loss at this moment may leave. What was synced is there.
Of the rest the file system had carried out all up to some moment, which is drawn: names that came later are not there.
Bytes that were written before it are there whole, torn, or not at all; later ones are not. Two profiles:

    ordered   as ext4 does by default: a sync of anything makes all earlier names durable, and what a loss takes of
              appended bytes is an end of them
    posix     to the letter: a sync of a file does not take its name along, which is durable once its folder is synced;
              unsynced sectors get there in any order, a file may have its new size before its content, then zeros
Source: T. S. Pillai and others, All File Systems Are Not Created Equal (OSDI 2014); ext4(5), data=ordered.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from tests.support.power.journal import Step

Profile = Literal["ordered", "posix"]
PROFILES: Final[tuple[Profile, ...]] = ("ordered", "posix")
SECTOR: Final = 512
PAGE: Final = 4_096
NOT_KEPT: Final = ("LOG", "LOG.old", "LOCK")  # LevelDB's, of no meaning


Change = tuple[int, bytes | None]  # (offset, bytes) written, or (size, None) cut


@dataclass(eq=False)
class File:
    """stable: what is durable. since: what was changed after the last sync, in order, each with its step."""

    stable: bytearray = field(default_factory=bytearray)
    since: list[tuple[int, Change]] = field(default_factory=list)

    def sync(self) -> None:
        apply(self.stable, [change for _, change in self.since])
        self.since = []


@dataclass(eq=False)
class Folder:
    """names: as the process sees them. stable: those that are durable."""

    names: dict[str, File | Folder] = field(default_factory=dict)
    stable: dict[str, File | Folder] = field(default_factory=dict)


Entry = File | Folder


@dataclass(eq=False, slots=True)
class Naming:
    """A change of names that may not be durable yet: (folder, name, what it then names; None: nothing)."""

    changes: tuple[tuple[Folder, str, Entry | None], ...]
    step: int

    def apply(self, maps: Callable[[Folder], dict[str, Entry]]) -> None:
        for folder, name, entry in self.changes:
            names = maps(folder)
            if entry is None:
                names.pop(name, None)
            else:
                names[name] = entry

    def is_in(self, folder: Folder) -> bool:
        return any(changed is folder for changed, _, _ in self.changes)


def apply(content: bytearray, changes: Sequence[Change]) -> None:
    for offset, data in changes:
        if data is None:
            del content[offset:]
            content.extend(bytes(offset - len(content)))
            continue
        if offset > len(content):
            content.extend(bytes(offset - len(content)))
        content[offset : offset + len(data)] = data


class Machine:
    """The files below `home`, as a process changes them."""

    def __init__(self, home: Path, before: Path, profile: Profile) -> None:
        """home: as the journal names it. before: its content at the beginning, all of it durable."""
        self.profile: Profile = profile
        self._home = str(home)
        self.root = _load(before)
        self._namings: list[Naming] = []
        self._open: dict[tuple[int, int], Entry] = {}
        self._unsynced: set[File] = set()
        self._steps = 0

    # --------------------------------------------------------------------------------------------- following

    def follow(self, step: Step) -> bool:
        """Whether the step changed what a loss may leave."""
        self._steps += 1
        match step.kind:
            case "O":
                return self._opened(step)
            case "C":
                self._open.pop(step.number, None)
                return False
            case "W":
                return self._change(self._open.get(step.number), step.offset, step.data)
            case "T":
                entry = self._open.get(step.number) if step.number[1] >= 0 else self._find(step.path)
                return self._change(entry, step.offset, None)
            case "S":
                return self._sync(self._open.get(step.number))
            case "R" | "L":
                return self._renamed(step)
            case "K":
                return self._name(step.path, Folder())
            case "U" | "D":
                return self._name(step.path, None)
        raise AssertionError(step)

    def _opened(self, step: Step) -> bool:
        entry = self._find(step.path)
        changed = False
        if entry is None and step.is_new:
            entry = File()
            changed = self._name(step.path, entry)
        if entry is None:
            return False  # made by stdio of C: of no meaning
        self._open[step.number] = entry
        return (self._change(entry, 0, None) if step.is_cut else False) or changed

    def _change(self, entry: Entry | None, offset: int, data: bytes | None) -> bool:
        if not isinstance(entry, File):
            return False
        entry.since.append((self._steps, (offset, data)))
        self._unsynced.add(entry)
        return True

    def _sync(self, entry: Entry | None) -> bool:
        if isinstance(entry, File):
            entry.sync()
            self._unsynced.discard(entry)
        if self.profile == "ordered":
            self._make_durable(self._namings)
        elif isinstance(entry, Folder):
            self._make_durable([naming for naming in self._namings if naming.is_in(entry)])
        return entry is not None

    def _make_durable(self, namings: list[Naming]) -> None:
        for naming in namings:
            naming.apply(lambda folder: folder.stable)
        gone = set(map(id, namings))
        self._namings = [naming for naming in self._namings if id(naming) not in gone]

    def _parts(self, path: str) -> list[str]:
        return [part for part in path[len(self._home) :].split("/") if part not in ("", ".")]

    def _place(self, path: str) -> tuple[Folder, str] | None:
        """The folder and the name in it; None where the folder is not known."""
        parts = self._parts(path)
        folder: Entry = self.root
        for part in parts[:-1]:
            found = folder.names.get(part) if isinstance(folder, Folder) else None
            if not isinstance(found, Folder):
                return None
            folder = found
        return (folder, parts[-1]) if parts and isinstance(folder, Folder) else None

    def _find(self, path: str) -> Entry | None:
        if not path.startswith(self._home):
            return None
        place = self._place(path)
        if place is None:
            return None if self._parts(path) else self.root
        return place[0].names.get(place[1])

    def _name(self, path: str, entry: Entry | None) -> bool:
        place = self._place(path)
        return place is not None and self._rename((*place, entry))

    def _renamed(self, step: Step) -> bool:
        entry, new = self._find(step.old), self._place(step.path)
        if entry is None or new is None:
            return False  # LevelDB's own log, or from outside
        old = self._place(step.old)
        if step.kind == "L" or old is None:
            return self._rename((*new, entry))
        return self._rename((*old, None), (*new, entry))

    def _rename(self, *changes: tuple[Folder, str, Entry | None]) -> bool:
        naming = Naming(changes, self._steps)
        naming.apply(lambda folder: folder.names)
        self._namings.append(naming)
        return True

    # ----------------------------------------------------------------------------------------------- a loss

    def disk(self, target: Path, chance: random.Random) -> None:
        """Write a disk that a loss of power at this moment may leave."""
        maps: dict[int, dict[str, Entry]] = {}

        def of(folder: Folder) -> dict[str, Entry]:
            if id(folder) not in maps:
                maps[id(folder)] = dict(folder.stable)
            return maps[id(folder)]

        steps = [naming.step for naming in self._namings]
        steps += [step for file in self._unsynced for step, _ in file.since]
        until = chance.choice((self._steps, *(chance.choice((step, step - 1)) for step in steps)))
        for naming in self._namings:
            if naming.step <= until:
                naming.apply(of)
        how = chance.choice(("lost", "whole", "drawn", "drawn"))
        self._write(self.root, of, target, _Left(self.profile, until, how, chance))

    def _write(self, folder: Folder, of: Callable[[Folder], dict[str, Entry]], target: Path, left: _Left) -> None:
        target.mkdir(parents=True, mode=0o700)
        for name, entry in sorted(of(folder).items()):
            path = target / name
            if isinstance(entry, Folder):
                self._write(entry, of, path, left)
            elif name not in NOT_KEPT:
                _write_file(path, left.of(entry))


@dataclass(frozen=True)
class _Left:
    """Draws what is left of unsynced bytes. until: the step from which on nothing is. how: of all files, or drawn."""

    profile: Profile
    until: int
    how: str
    chance: random.Random

    def of(self, file: File) -> bytearray:
        if not file.since:
            return file.stable
        changes = [change for step, change in file.since if step <= self.until]
        content, how, chance = bytearray(file.stable), self.how, self.chance
        if how == "drawn":
            more = ("cut", "cut", "sectors", "zeros") if self.profile == "posix" else ("cut",)
            how = chance.choice(("lost", "whole", *more))
        if how == "lost" or not changes:
            return content
        if how == "whole":
            apply(content, changes)
        elif how == "cut" or any(data is None for _, data in changes):
            self._cut(content, changes)
        else:
            self._scatter(content, changes, 0.0 if how == "zeros" else chance.choice((0.2, 0.5, 0.8)))
        return content

    def _cut(self, content: bytearray, changes: Sequence[Change]) -> None:
        """Some of the first are there, and a part of the next."""
        kept = self.chance.randint(0, len(changes))
        apply(content, changes[:kept])
        if kept < len(changes) and (data := changes[kept][1]) is not None:
            offset, unit = changes[kept][0], self.chance.choice((1, SECTOR, PAGE))
            end = (offset + self.chance.randint(0, len(data))) // unit * unit
            if end > offset:
                apply(content, [(offset, data[: end - offset])])

    def _scatter(self, content: bytearray, changes: Sequence[Change], share: float) -> None:
        """Each sector is there or not; one that is not, beyond the old end, reads as zeros."""
        chance, whole = self.chance, bytearray(content)
        apply(whole, changes)
        unit = chance.choice((SECTOR, PAGE))
        size = chance.choice((len(whole), chance.randint(len(content), max(len(content), len(whole)))))
        content.extend(bytes(max(0, size - len(content))))
        spans = [range(at // unit, (at + len(data) - 1) // unit + 1) for at, data in changes if data]
        for sector in sorted({sector for span in spans for sector in span}):
            begin, end = sector * unit, min((sector + 1) * unit, size)
            if chance.random() < share and begin < end:
                content[begin:end] = whole[begin:end]


def _load(path: Path) -> Folder:
    names: dict[str, Entry] = {}
    for child in sorted(path.iterdir()):
        names[child.name] = _load(child) if child.is_dir() else File(bytearray(child.read_bytes()))
    return Folder(names, dict(names))


def _write_file(path: Path, content: bytearray) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)
