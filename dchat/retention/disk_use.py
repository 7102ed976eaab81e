"""What the databases take on the disk, how fast that grows, and when the disk will be full at that rate.

Measured in a thread once a minute. The rate is that of the last day at most, and of a few minutes at least: LevelDB
writes in bursts of many megabytes, so a shorter time says nothing.
"""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

EVERY_S: Final = 60.0
SAMPLES_MAX: Final = 1_440  # a day
SPAN_S_MIN: Final = 300.0
BLOCKS_MIN: Final = 100


class Sample(NamedTuple):
    at_s: float
    height: int
    bytes: int


class Forecast(NamedTuple):
    """bytes_per_block: how much more a block takes for good. full_in_s: None: never, at this rate."""

    bytes_per_block: int
    full_in_s: int | None


def folder_bytes(folder: Path) -> int:
    """Bytes of the files in it; 0 when there is no such folder."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += entry.stat().st_size
                except FileNotFoundError:  # LevelDB deleted it meanwhile
                    continue
    except FileNotFoundError:
        return 0
    return total


class DiskUse:
    """folders: by the name that they are told with; all on the file system of the first. `measure` in a thread."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)
        self._samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.sizes: dict[str, int] = {}
        self.free_bytes = self.size_bytes = 0  # of the file system

    @property
    def total_bytes(self) -> int:
        return sum(self.sizes.values())

    def measure(self, *, at_s: float, height: int) -> None:
        """at_s: of any clock that does not jump."""
        self.sizes = {name: folder_bytes(folder) for name, folder in self._folders.items()}
        first = next(iter(self._folders.values()))
        disk = shutil.disk_usage(first if first.exists() else first.parent)
        self.free_bytes, self.size_bytes = disk.free, disk.total
        self._samples.append(Sample(at_s, height, self.total_bytes))

    def forecast(self) -> Forecast | None:
        """None: too little was measured yet."""
        if len(self._samples) < 2:
            return None
        first, last = self._samples[0], self._samples[-1]
        seconds, blocks, grown = last.at_s - first.at_s, last.height - first.height, last.bytes - first.bytes
        if seconds < SPAN_S_MIN or blocks < BLOCKS_MIN:
            return None
        full_in_s = int(self.free_bytes * seconds / grown) if grown > 0 else None
        return Forecast(grown // blocks, full_in_s)
