"""What a home knows of its backups: when it began to wait for one, and the last that was made. One file, mode 0600."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from consensus.system.files import sync_folder
from dchat.home.home import Home

RECORD_BYTES_MAX: Final = 4_096


@dataclass(frozen=True, slots=True)
class Record:
    """where: the target that it is of. since_s: from which unix time on a scheduled backup is missed. made: how many
    there were; of the last one: when it began and ended (unix time; 0: there is none), its name, height and bytes."""

    where: str
    since_s: int
    made: int = 0
    began_s: int = 0
    ended_s: int = 0
    name: str = ""
    height: int = 0
    bytes: int = 0


def _path(home: Home) -> Path:
    return home.data / "backups.json"


def read_record(home: Home, where: str) -> Record | None:
    """None: there is none of this target, or it cannot be read: then it is begun anew."""
    try:
        with _path(home).open("rb") as file:
            told = json.loads(file.read(RECORD_BYTES_MAX))
        record = Record(**told)
        numbers = (record.since_s, record.made, record.began_s, record.ended_s, record.height, record.bytes)
        is_well = all(isinstance(one, int) and 0 <= one < 1 << 62 for one in numbers) and isinstance(record.name, str)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return record if is_well and record.where == where else None


def write_record(home: Home, record: Record) -> None:
    """Raises OSError."""
    path = _path(home)
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(asdict(record)) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)
