"""One file of it all: a .tar.gz of mode 0600 that is never written over, with a bound, and without a secret.

Each member is text, passed through `Secrets.hide` on its way; a longer one keeps its end (of logs, the newest).
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from consensus.system.files import SECRET_MODE, whole
from dchat.dump.gathered import as_text

MEMBER_BYTES_MAX: Final = 4 << 20
TOTAL_BYTES_MAX: Final = 32 << 20  # of all members together, as they are
WHY_HEIGHTS: Final = 500
FOLDER: Final = "dchat-debug"


def tail_of(path: Path, bytes_max: int) -> str:
    """The end of a text file, from the begin of a line on. Raises OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - bytes_max))
        text = file.read(bytes_max).decode(errors="replace")
    return text if size <= bytes_max else text.partition("\n")[2]


def why_lines(folder: Path) -> str:
    """The newest records of heights, a line each, the newest last. Raises OSError."""
    paths = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_file()]  # none waits for a pipe
    files = sorted(paths, key=lambda path: int(path.name))
    lines: list[str] = []
    for path in reversed(files):
        lines = [*tail_of(path, MEMBER_BYTES_MAX).splitlines(), *lines]
        if len(lines) >= WHY_HEIGHTS:
            break
    return "".join(f"{line}\n" for line in lines[-WHY_HEIGHTS:])


def pack(path: Path, members: Mapping[str, Any], hide: Callable[[str], str], notes: Mapping[str, str]) -> list[str]:
    """Write the file; returns its members' names. Raises FileExistsError, OSError: nothing is left then."""
    bodies: dict[str, bytes] = {}
    left = TOTAL_BYTES_MAX
    cut: dict[str, int] = {}
    for name, value in members.items():
        body = hide(as_text(value)).encode()
        room = min(MEMBER_BYTES_MAX, left)
        if len(body) > room:
            cut[name] = len(body)
            body = body[len(body) - room :]
        bodies[name] = body
        left -= len(body)
    manifest = {
        "made": int(time.time()),
        "members": {name: len(body) for name, body in bodies.items()},
        "cut_from_bytes": cut,
        "not_told": dict(notes),
    }
    bodies = {"manifest.json": hide(as_text(manifest)).encode(), **bodies}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
    with whole(path), os.fdopen(descriptor, "wb") as file:
        with (
            gzip.GzipFile(filename="", fileobj=file, mode="wb") as packed,
            tarfile.open(fileobj=packed, mode="w") as archive,
        ):
            for name, body in bodies.items():
                info = tarfile.TarInfo(f"{FOLDER}/{name}")
                info.size, info.mode, info.mtime = len(body), SECRET_MODE, int(time.time())
                archive.addfile(info, io.BytesIO(body))
        file.flush()
        os.fsync(file.fileno())
    return list(bodies)
