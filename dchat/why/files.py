"""Records of heights on disk: `data/why/NUMBER`, each a file of lines, the newest last.

A file is begun at each start and after a share of the heights that are kept; the oldest go. Nothing is synced: after a
kill all that was written is there, after a power cut what the system had written; a line that was cut is passed over.

So is what else has a number for its name there, a folder, a pipe, or a file larger than any of these: it is neither
read nor removed, and the next free number is taken.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple

from consensus.system.disk import AppendFile, Disk
from dchat.why.form import LINE_BYTES_MAX, HeightRecord, line_of, record_of

SHARES: Final = 4  # files that the kept heights are spread over: as much more than is kept is on disk for a while
FILE_BYTES_MAX: Final = 64 * 1024 * 1024  # a larger one is none of these, and may not fit into memory
NUMBER_MAX: Final = 10**18 - 1
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")
_BEGIN: Final = b'{"height":'  # of a record: lines of anything else, put there by hand, push no record out
_HEIGHT: Final = re.compile(rb'\{"height":([0-9]{1,19}),')
FILES_MAX: Final = 64  # a node that is started again and again begins many


class WhyFiles:
    """heights: how many are kept; 0: nothing is written."""

    def __init__(self, disk: Disk, folder: Path, heights: int) -> None:
        self._disk, self._folder, self._heights = disk, folder, heights
        self._file: AppendFile | None = None
        self._number = self._lines = self._bytes = 0  # of this file
        self._counts: dict[int, int] = {}  # records, by file's number

    @property
    def keeps(self) -> bool:
        return bool(self._heights)

    def write(self, record: HeightRecord) -> None:
        """Raises OSError."""
        if not self._heights:
            return
        line = line_of(record)
        if len(line) > LINE_BYTES_MAX:
            return
        is_full = self._lines >= max(1, self._heights // SHARES) or self._bytes + len(line) > FILE_BYTES_MAX
        if self._file is None or is_full:
            self._begin()
        assert self._file is not None
        self._file.write(line)
        self._lines += 1
        self._bytes += len(line)

    def _begin(self) -> None:
        self.close()
        self._disk.make_directory(self._folder)
        numbers = numbers_in(self._disk, self._folder)
        counts = {**self._counts, self._number: self._lines}
        self._counts = {number: counts[number] if number in counts else self._count(number) for number in numbers}
        number = max(numbers, default=0) % NUMBER_MAX + 1
        while numbers and sum(self._counts.values()) - self._counts[numbers[0]] >= self._heights:
            self._remove(numbers.pop(0))
        while len(numbers) >= FILES_MAX:
            self._remove(numbers.pop(0))
        taken = set(self._disk.names(self._folder))
        while str(number) in taken:
            number += 1
        self._file = self._disk.open_append(self._folder / str(number))
        self._number, self._lines, self._bytes = number, 0, 0

    def _remove(self, number: int) -> None:
        with contextlib.suppress(OSError):  # it stays, and nothing waits for it
            self._disk.remove(self._folder / str(number))
        self._counts.pop(number, None)

    def _count(self, number: int) -> int:
        try:
            return self._disk.read_at(self._folder / str(number), 0, FILE_BYTES_MAX).count(_BEGIN)
        except OSError:  # what is there keeps nothing from being written
            return 0

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


def numbers_in(disk: Disk, folder: Path) -> list[int]:
    """Of the files of records, from the oldest on."""
    names = [name for name in disk.names(folder) if _NUMBER.fullmatch(name)]
    return sorted(int(name) for name in names if _may_be_ours(disk, folder / name))


def _may_be_ours(disk: Disk, path: Path) -> bool:
    return disk.is_file(path) and disk.size(path) <= FILE_BYTES_MAX


class LastMissed(NamedTuple):
    """height: the last that was missed and has a record. unrecorded: the last of those after it that have none, as
    where a line was cut off, or a record dropped for a slow disk: why cannot be said. None: there is no such height."""

    height: int | None = None
    unrecorded: int | None = None


class Kept:
    """What a folder has, also while a node writes there. Of a height that has several records the newest counts."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """lines: the newest first."""
        self._lines: dict[int, bytes] = {}
        for line in lines:
            height = _height_of(line)
            if height is not None:
                self._lines.setdefault(height, line)

    @staticmethod
    def read(disk: Disk, folder: Path, newer: Iterable[bytes] = ()) -> Kept:
        """newer: lines that are not there yet, or just now; the newest first. Raises OSError."""
        return Kept(chain(newer, _lines_in(disk, folder)))

    @property
    def span(self) -> tuple[int, int] | None:
        """The lowest and the highest height; None: there is nothing."""
        return (min(self._lines), max(self._lines)) if self._lines else None

    def find(self, height: int) -> HeightRecord | None:
        line = self._lines.get(height)
        return None if line is None else record_of(line)

    def last_missed(self) -> LastMissed:
        """Of the heights whose commit lacks our vote, or that we had none at."""
        unrecorded = None
        for height in sorted(self._lines, reverse=True):
            missed = self._missed_by(height)
            if missed is None:
                continue
            if self.find(missed) is not None:
                return LastMissed(missed, unrecorded)
            unrecorded = unrecorded or missed
        return LastMissed(None, unrecorded)

    def _missed_by(self, height: int) -> int | None:
        """The height that this one's record tells to be missed."""
        line = self._lines[height]
        if b'"before":"absent"' in line or b'"before":"nil"' in line:
            missed = height - 1
        elif b'"is_validator":false' in line:
            missed = height
        else:
            return None
        return missed if missed > 0 and self.find(height) is not None else None  # what is no record tells nothing


def _lines_in(disk: Disk, folder: Path) -> Iterator[bytes]:
    for number in reversed(numbers_in(disk, folder)):
        try:
            data = disk.read_at(folder / str(number), 0, FILE_BYTES_MAX)
        except FileNotFoundError:  # it went meanwhile
            continue
        yield from _backwards(data)


def _backwards(data: bytes) -> Iterator[bytes]:
    """Its lines, one at a time: of what is no file of ours there may be as many as bytes."""
    end = len(data)
    while end > 0:
        start = data.rfind(b"\n", 0, end) + 1
        yield data[start:end]
        end = start - 1


def _height_of(line: bytes) -> int | None:
    if len(line) > LINE_BYTES_MAX:
        return None
    found = _HEIGHT.match(line)
    return None if found is None or not line.endswith(b"}") else int(found[1])
