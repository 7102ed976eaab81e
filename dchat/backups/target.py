"""Where backups are kept: what a place can do. What `put` returned from is there whole, and was looked at again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

CHUNK: Final = 1 << 20
LISTED_MAX: Final = 100_000  # of a folder or a bucket; more is something else's


class Target(Protocol):
    """Every method raises TargetFailed."""

    where: str  # for people

    @property
    def drafts(self) -> Path | None:
        """The folder in which a backup is best written before it is put here; None: any."""

    def check_free(self, name: str) -> None:
        """That a put of `name` would overwrite nothing, before anything is written for it."""

    def put(self, name: str, draft: Path) -> None:
        """From then on `name` is what `draft` is; nothing is overwritten. The draft may be gone afterwards."""

    def get(self, name: str, target: Path, *, bytes_max: int) -> None:
        """Into a new file, mode 0600. Raises NoSuchBackup as well."""

    def list(self) -> Iterator[tuple[str, int]]:
        """Names and sizes of all that lies there."""

    def remove(self, name: str) -> None: ...

    def clean(self, series: str) -> None:
        """Remove what broken-off puts of this node left; no put of it may run."""

    def path_of(self, name: str) -> str:
        """As `dchat database restore --input` takes it."""
