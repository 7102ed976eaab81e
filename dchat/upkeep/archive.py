"""Backups: a home's databases in one file, each with its hash, compressed and encrypted if wanted.

    "dchat-backup 1\n"  JSON of `Facts`  "\n"  for each file: name size "\n" content sha256(content)  then "end\n" and
    the sha256 of all before it

An encrypted one is a file of age (age-encryption.org/v1) around that, for a key; by a passphrase, a line and a key
that age encrypted by it stand in front. Nothing secret of a node is in it: no key, and of the record of signing no more
than how far it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import pyrage

from dchat.upkeep.copies import DATABASES
from dchat.upkeep.errors import BadBackup, UpkeepError

_age: Any = pyrage  # has no stubs
MAGIC: Final = b"dchat-backup 1\n"
PACKED: Final = b"dchat-backup zlib 1\n"
LOCKED: Final = b"dchat-backup passphrase 1\n"  # then the length of the locked key, its bytes, and a file of age
AGE: Final = b"age-encryption.org/v1"
CHUNK: Final = 1 << 20
LINE_BYTES_MAX: Final = 65_536
FILE_BYTES_MAX: Final = 1 << 40
LEVEL: Final = 3  # hashes and signatures do not shrink; what does, does so at once


@dataclass(frozen=True)
class Facts:
    """What a backup is of. signed: how far the key of `validator` had signed, or empty."""

    chain_id: str
    genesis_hash: str
    height: int
    app_hash: str
    build: str
    validator: str = ""
    signed: tuple[int, int, int] = (0, 0, 0)


class Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Writes(Protocol):
    def write(self, data: bytes, /) -> object: ...


# ------------------------------------------------------------------------------------------------ writing


class _Hashed:
    """Writes through, and hashes what went by."""

    def __init__(self, out: Writes) -> None:
        self._out, self.hash = out, hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.hash.update(data)
        self._out.write(data)


class _Packing:
    def __init__(self, out: Writes) -> None:
        self._out, self._zlib = out, zlib.compressobj(LEVEL)

    def write(self, data: bytes) -> None:
        self._out.write(self._zlib.compress(data))

    def finish(self) -> None:
        self._out.write(self._zlib.flush())


def write_archive(out: BinaryIO, facts: Facts, folder: Path, *, compress: bool) -> None:
    """folder: with the three databases, which nobody writes to."""
    packing = None
    target: Writes = out
    if compress:
        out.write(PACKED)
        target = packing = _Packing(out)
    hashed = _Hashed(target)
    hashed.write(MAGIC)
    hashed.write(json.dumps(asdict(facts)).encode() + b"\n")
    for name in DATABASES:
        for path in sorted((folder / name).iterdir()):
            if path.name not in ("LOCK", "LOG", "LOG.old"):
                _write_file(hashed, f"{name}/{path.name}", path)
    hashed.write(b"end\n")
    target.write(hashed.hash.digest())
    if packing is not None:
        packing.finish()


def _write_file(out: _Hashed, name: str, path: Path) -> None:
    size, own = path.stat().st_size, hashlib.sha256()
    out.write(f"{name} {size}\n".encode())
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            own.update(chunk)
            out.write(chunk)
    out.write(own.digest())


# ------------------------------------------------------------------------------------------------ reading


class _Unpacking:
    def __init__(self, source: Reads) -> None:
        self._source, self._zlib, self._held = source, zlib.decompressobj(), b""

    def read(self, size: int) -> bytes:
        while len(self._held) < size and not self._zlib.eof:
            chunk = self._source.read(CHUNK)
            try:
                self._held += self._zlib.decompress(chunk) if chunk else self._zlib.flush()
            except zlib.error as error:
                raise BadBackup(f"it is damaged: {error}") from None
            if not chunk:
                break
        data, self._held = self._held[:size], self._held[size:]
        return data


class _Reader:
    """Reads what is expected, and hashes it."""

    def __init__(self, source: Reads) -> None:
        self._source, self.hash = source, hashlib.sha256()

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                raise BadBackup("it ends too early: it was cut")
            data += more
        self.hash.update(data)
        return data

    def line(self) -> str:
        data = b""
        while not data.endswith(b"\n"):
            if len(data) > LINE_BYTES_MAX:
                raise BadBackup("it is damaged: a line has no end")
            data += self.exactly(1)
        try:
            return data[:-1].decode()
        except UnicodeDecodeError:
            raise BadBackup("it is damaged: a line is no text") from None


def read_archive(source: BinaryIO, target: Path) -> Facts:
    """Unpack into `target`, every hash checked. Raises BadBackup, OSError (no room)."""
    first = source.read(len(PACKED))
    unpacked: Reads = source
    if first == PACKED:
        unpacked = _Unpacking(source)
    else:
        source.seek(-len(first), os.SEEK_CUR)
    reader = _Reader(unpacked)
    if reader.exactly(len(MAGIC)) != MAGIC:
        raise BadBackup("it is no backup of dchat, or it is damaged in its first bytes")
    facts = _facts(reader.line())
    for name, size in _files(reader):
        _read_file(reader, target, name, size)
    digest = reader.hash.digest()
    if reader.exactly(32) != digest:
        raise BadBackup("it is damaged: the hash of all of it does not hold")
    return facts


def _facts(line: str) -> Facts:
    try:
        told = json.loads(line)
        height, round, step = told.pop("signed")
        return Facts(**told, signed=(int(height), int(round), int(step)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadBackup(f"it is damaged: its facts cannot be read ({error})") from None


def _files(reader: _Reader) -> Iterator[tuple[str, int]]:
    while (line := reader.line()) != "end":
        name, _, size = line.rpartition(" ")
        database, _, file = name.partition("/")
        is_plain = file.replace("-", "").replace(".", "").isalnum() and file.isascii() and ".." not in file
        if database not in DATABASES or not is_plain or not size.isdecimal() or int(size) > FILE_BYTES_MAX:
            raise BadBackup(f"it is damaged: {line[:80]!r} names no file of a database")
        yield name, int(size)


def _read_file(reader: _Reader, target: Path, name: str, size: int) -> None:
    path, own = target / name, hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        while size:
            chunk = reader.exactly(min(size, CHUNK))
            size -= len(chunk)
            own.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if reader.exactly(32) != own.digest():
        raise BadBackup(f"{name} in it is damaged: its hash does not hold")


# ------------------------------------------------------------------------------------------------ encryption


@dataclass(frozen=True)
class Lock:
    """Of whom the backup is: whoever has the identity of `key_file`, or knows the passphrase."""

    key_file: Path | None = None
    passphrase: str = ""


def make_key_file(path: Path) -> str:
    """Write a new identity of age, mode 0600; returns its public part. Raises FileExistsError."""
    identity = _age.x25519.Identity.generate()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"# public key: {identity.to_public()}\n{identity}\n")
    return str(identity.to_public())


def encrypt(plain: Path, target: Path, lock: Lock) -> None:
    """Raises UpkeepError: the key file cannot be used."""
    with plain.open("rb") as source, target.open("xb") as out:
        if lock.key_file is not None:
            recipient = _recipient(lock.key_file)
        else:
            identity = _age.x25519.Identity.generate()
            locked = _age.passphrase.encrypt(str(identity).encode(), lock.passphrase)
            out.write(LOCKED + len(locked).to_bytes(4, "big") + locked)
            recipient = identity.to_public()
        out.flush()
        _age.encrypt_io(source, out, [recipient])


def decrypt(source_path: Path, target: Path, lock: Lock | None) -> bool:
    """Whether the backup is encrypted; then what is in it is in `target`. Raises BadBackup, UpkeepError."""
    with source_path.open("rb") as source:
        first = source.read(len(LOCKED))
        if not (first == LOCKED or first.startswith(AGE)):
            return False
        if lock is None:
            raise BadBackup(
                "it is encrypted: name its key with --key-file, or its passphrase in DCHAT_BACKUP_PASSPHRASE"
            )
        try:
            if first == LOCKED:
                if lock.key_file is not None:
                    raise BadBackup("it is encrypted by a passphrase, not for a key file")
                locked = source.read(int.from_bytes(source.read(4), "big") & 0xFFFF)
                identity = _age.x25519.Identity.from_str(_age.passphrase.decrypt(locked, lock.passphrase).decode())
            else:
                if lock.key_file is None:
                    raise BadBackup("it is encrypted for a key: name its file with --key-file")
                source.seek(0)
                identity = _identity(lock.key_file)
            with target.open("xb") as out:
                _age.decrypt_io(source, out, [identity])
        except _age.DecryptError as error:
            raise BadBackup(f"it cannot be decrypted: the key is another's, or the file is damaged ({error})") from None
    return True


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    except (OSError, UnicodeDecodeError) as error:
        raise UpkeepError(f"{path}: the key file cannot be read: {error}") from None


def _identity(path: Path) -> object:
    try:
        return _age.x25519.Identity.from_str(_lines(path)[0])
    except (IndexError, _age.IdentityError):
        raise UpkeepError(f"{path}: no secret key of age (AGE-SECRET-KEY-1...) is in it") from None


def _recipient(path: Path) -> object:
    """Of a file with a public key (age1...), which decrypts nothing, or with a secret one."""
    lines = _lines(path)
    try:
        if lines and lines[0].startswith("age1"):
            return _age.x25519.Recipient.from_str(lines[0])
        return _age.x25519.Identity.from_str(lines[0]).to_public()
    except (IndexError, _age.IdentityError, _age.RecipientError):
        raise UpkeepError(f"{path}: no key of age is in it (age1... or AGE-SECRET-KEY-1...)") from None
