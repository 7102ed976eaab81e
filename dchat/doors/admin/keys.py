"""API keys of those who administer over HTTP: a file that holds their hashes alone.

A key is 32 random bytes: nobody guesses one, so that a plain SHA-256 of it is all that the file needs. The file is read
when it has changed, so that who is taken out of it is refused from the next call on. Where it is not as it must be
(others may read it, it is cut), no key counts until it is: it fails closed.
Source: docs/operators/administer.md.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from consensus.system.files import SECRET_MODE, sync_folder

KEY_FORM: Final = re.compile(r"dchat_[A-Za-z0-9_-]{43}", re.ASCII)
NAME_FORM: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}", re.ASCII)
NAMES: Final = "1 to 32 of a-z, 0-9, dot, dash and underscore, which begin with a letter or a digit"
HASH_FORM: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
SALT: Final = b"dchat/api-key\n"
KEYS_MAX: Final = 256
FILE_BYTES_MAX: Final = 65_536

log = structlog.get_logger(__name__)


class KeysError(Exception):
    """The file of keys cannot be used, or has no such key: which file, what is allowed."""


@dataclass(frozen=True)
class ApiKey:
    """What is kept of one. made: a time of the calendar, UTC."""

    name: str
    sha256: str
    made: str


def hash_of(key: str) -> str:
    """What the file has in place of a key."""
    return hashlib.sha256(SALT + key.encode()).hexdigest()


class KeyFile:
    """`path` need not be there: then there are no keys."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> list[ApiKey]:
        """In the order in which they were added. Raises KeysError."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeysError(f"{self.path}: cannot be read: {error.strerror}") from None
        with os.fdopen(file, "rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise KeysError(f"{self.path} is no file")
            if (mode := found.st_mode & 0o777) & 0o077 or found.st_uid not in (0, os.getuid()):
                raise KeysError(f"{self.path} has mode {mode:04o}; allowed: 0600, of who runs the node: chmod 600 it")
            data = opened.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise KeysError(f"{self.path} has more than {FILE_BYTES_MAX} bytes, which no file of its kind has")
        return self._parsed(data)

    def add(self, name: str, *, made: str) -> str:
        """The new key, which is nowhere but in what this returns. Raises KeysError."""
        if not NAME_FORM.fullmatch(name):
            raise KeysError(f"{name!r} is no name of a key; allowed: {NAMES}")
        with self._alone():
            keys = self.load()
            if any(one.name == name for one in keys):
                raise KeysError(f"{self.path} has a key {name!r}: remove it first, or choose another name")
            if len(keys) >= KEYS_MAX:
                raise KeysError(f"{self.path} has {len(keys)} keys; allowed: {KEYS_MAX}")
            key = f"dchat_{secrets.token_urlsafe(32)}"
            self._write([*keys, ApiKey(name, hash_of(key), made)])
        return key

    def remove(self, name: str) -> None:
        """Raises KeysError: there is none of that name."""
        with self._alone():
            keys = self.load()
            left = [one for one in keys if one.name != name]
            if len(left) == len(keys):
                has = ", ".join(one.name for one in keys) or "none"
                raise KeysError(f"{self.path} has no key {name!r}; it has: {has}")
            self._write(left)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once do not lose each other's key. Raises KeysError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise KeysError(f"{self.path}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise KeysError(f"{self.path}: cannot be written: {error.strerror}") from None
        finally:
            os.close(folder)

    def _write(self, keys: list[ApiKey]) -> None:
        rows = [{"name": one.name, "sha256": one.sha256, "made": one.made} for one in keys]
        draft = self.path.with_name(f"{self.path.name}.new")
        draft.unlink(missing_ok=True)
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
        with os.fdopen(file, "w", encoding="utf-8") as opened:
            opened.write(json.dumps({"keys": rows}, indent=2) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        draft.replace(self.path)
        sync_folder(self.path.parent)

    def _parsed(self, data: bytes) -> list[ApiKey]:
        try:
            rows = json.loads(data)["keys"]
            keys = [ApiKey(row["name"], row["sha256"], row["made"]) for row in rows]
            good = all(NAME_FORM.fullmatch(one.name) and HASH_FORM.fullmatch(one.sha256) for one in keys)
        except (ValueError, TypeError, KeyError, RecursionError):
            good, keys = False, []
        if not good or len(keys) > KEYS_MAX or len({one.name for one in keys}) != len(keys):
            raise KeysError(f"{self.path} is no file of API keys: `dchat admin add-key NAME` makes one")
        return keys


class AdminKeys:
    """The keys of a node that runs."""

    def __init__(self, path: Path) -> None:
        self._file = KeyFile(path)
        self._seen: tuple[int, ...] | None = None  # what the file was when it was read
        self._keys: list[ApiKey] = []

    def name_of(self, key: str) -> str | None:
        """Whose it is; None: nobody's. All that there are are compared, and each takes as long."""
        self._read_again()
        ours = hash_of(key) if KEY_FORM.fullmatch(key) else ""
        found = None
        for one in self._keys:
            if hmac.compare_digest(one.sha256, ours):
                found = one.name
        return found

    def _read_again(self) -> None:
        seen: tuple[int, ...]
        try:
            told = self._file.path.stat()
            seen = (told.st_mtime_ns, told.st_ino, told.st_size, told.st_mode, told.st_ctime_ns)
        except OSError:
            seen = ()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._keys = self._file.load()
        except KeysError as error:
            self._keys = []
            log.error("no API key counts until their file is as it must be", reason=str(error))
