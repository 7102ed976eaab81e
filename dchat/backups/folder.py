"""Backups in a folder, of this machine or mounted."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from consensus.system.files import give_name, sync_folder
from dchat.backups.errors import NoSuchBackup, TargetFailed
from dchat.backups.target import CHUNK, LISTED_MAX

DRAFT_ENDING = ".new"


class FolderTarget:
    def __init__(self, folder: Path) -> None:
        self._folder, self.where = folder, str(folder)

    @property
    def drafts(self) -> Path | None:
        return self._folder

    def make(self) -> None:
        """The folder, if it is missing: not those above it, which may be a disk that is not mounted."""
        with self._plainly("cannot be made"):
            self._folder.mkdir(exist_ok=True, mode=0o700)

    def check_free(self, name: str) -> None:
        if os.path.lexists(self._folder / name):
            raise TargetFailed(f"{self._folder / name} exists; a backup is never overwritten")

    def put(self, name: str, draft: Path) -> None:
        path = self._folder / name
        self.check_free(name)
        with self._plainly("cannot be written"):
            before = (draft.stat().st_size, digest_of(draft))
            own = draft
            if draft.parent.absolute() != self._folder.absolute():
                own = self._folder / f".{name}.{os.getpid()}{DRAFT_ENDING}"
                _copy(draft, own)
            try:
                if (own.stat().st_size, digest_of(own)) != before:
                    raise TargetFailed(f"{path}: what was written is not what is read back")
                give_name(own, path)
            finally:
                own.unlink(missing_ok=True)
            sync_folder(self._folder.absolute())

    def get(self, name: str, target: Path, *, bytes_max: int) -> None:
        source = self._folder / name
        if not source.is_file():
            raise NoSuchBackup(f"{source} does not exist")
        with self._plainly("cannot be read"):
            if source.stat().st_size > bytes_max:
                raise TargetFailed(f"{source} has {source.stat().st_size} bytes, and there is room for {bytes_max}")
            _copy(source, target)

    def list(self) -> Iterator[tuple[str, int]]:
        with self._plainly("cannot be listed"):
            for number, entry in enumerate(os.scandir(self._folder)):
                if number == LISTED_MAX:
                    raise TargetFailed(f"{self._folder}: more than {LISTED_MAX} files: name a folder of its own")
                with contextlib.suppress(FileNotFoundError):  # removed meanwhile
                    if entry.is_file(follow_symlinks=False):
                        yield entry.name, entry.stat().st_size

    def remove(self, name: str) -> None:
        with self._plainly("cannot be removed"):
            (self._folder / name).unlink(missing_ok=True)

    def clean(self, series: str) -> None:
        with self._plainly("cannot be cleaned"):
            for path in self._folder.glob(f".{series}.*{DRAFT_ENDING}"):
                path.unlink(missing_ok=True)

    def path_of(self, name: str) -> str:
        return str(self._folder / name)

    @contextlib.contextmanager
    def _plainly(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TargetFailed(f"{error.filename or self._folder}: {what}: {error.strerror or error}") from None


def _copy(source: Path, target: Path) -> None:
    """On the disk when this returns; not there when it fails."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with source.open("rb") as reading, os.fdopen(descriptor, "wb") as writing:
            shutil.copyfileobj(reading, writing, CHUNK)
            writing.flush()
            os.fsync(writing.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
