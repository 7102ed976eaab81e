"""Encrypting backups: a file of age (age-encryption.org/v1) for a key, or by a passphrase.

By a passphrase, a line and a key in a small file of age by that passphrase stand in front of a file of age for that
key. The small one is written and read here: pyrage measures how fast the machine is at that moment, takes as much work
as that tells it, and refuses to read what another moment, or another machine, chose. What a file
says of itself is bounded before age is given it: its header (which age reads in time that grows by the square), and
the work of its passphrase (which is memory too).
Source: C2SP, age.md.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from consensus.system.files import write_new_secret
from dchat.upkeep.errors import BadBackup, UpkeepError

_age: Any = pyrage  # has no stubs
LOCKED: Final = b"dchat-backup passphrase 1\n"  # then the length of the locked key, its bytes, and a file of age
AGE: Final = b"age-encryption.org/v1\n"
BACKUP: Final = b"dchat-backup "  # every other one begins with it
HEADER_BYTES_MAX: Final = 16_384  # a hundred keys
LOCKED_BYTES_MAX: Final = 1_024  # of a key of 74 bytes; ours take 250
KEY_FILE_BYTES_MAX: Final = 65_536  # a key has 74
SCRYPT_LOG: Final = 18  # 256 MiB, and about a second
SCRYPT_LOG_MAX: Final = 20  # 1 GiB, and some seconds
SALT_BYTES: Final = 16
_SCRYPT = re.compile(rb"^-> scrypt \S+ ([0-9]+)$", re.MULTILINE)
_SMALL = re.compile(
    rb"(age-encryption\.org/v1\n-> scrypt ([0-9A-Za-z+/]{22}) ([1-9][0-9]?)\n([0-9A-Za-z+/]{43})\n---)"
    rb" ([0-9A-Za-z+/]{43})\n"
)
_HEADER_END = re.compile(rb"^--- ", re.MULTILINE)


@dataclass(frozen=True)
class Lock:
    """Of whom the backup is: whoever has the identity of `key_file`, or knows the passphrase."""

    key_file: Path | None = None
    passphrase: str = ""


def make_key_file(path: Path) -> str:
    """Write a new identity of age, mode 0600; returns its public part. Raises FileExistsError."""
    identity = _age.x25519.Identity.generate()
    write_new_secret(path, f"# public key: {identity.to_public()}\n{identity}\n")
    return str(identity.to_public())


def check_recipient(path: Path) -> None:
    """Raises UpkeepError: it cannot be encrypted for what is in the file."""
    _recipient(path)


def encrypt(plain: Path, target: Path, lock: Lock) -> None:
    """target: a new file, mode 0600. Raises UpkeepError: the key file cannot be used."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with plain.open("rb") as source, os.fdopen(descriptor, "wb") as out:
        if lock.key_file is not None:
            recipient = _recipient(lock.key_file)
        else:
            identity = _age.x25519.Identity.generate()
            locked = encrypt_small(str(identity).encode(), lock.passphrase)
            out.write(LOCKED + len(locked).to_bytes(4, "big") + locked)
            recipient = identity.to_public()
        out.flush()
        _age.encrypt_io(source, out, [recipient])
        out.flush()
        os.fsync(out.fileno())


def is_by_passphrase(source_path: Path) -> bool:
    """Raises OSError."""
    with source_path.open("rb") as source:
        return source.read(len(LOCKED)) == LOCKED


def is_encrypted(source_path: Path) -> bool:
    """For a key or by a passphrase. Raises OSError."""
    with source_path.open("rb") as source:
        return _is_encrypted(source.read(len(LOCKED)))


def _is_encrypted(first: bytes) -> bool:
    return first == LOCKED or first.startswith(AGE)


def decrypt(source_path: Path, target: Path, lock: Lock | None) -> bool:
    """Whether the backup is encrypted; then what is in it is in `target`. Raises BadBackup, UpkeepError."""
    with source_path.open("rb") as source:
        first = source.read(len(LOCKED))
        if not _is_encrypted(first):
            if lock is not None and first.startswith(BACKUP):
                raise BadBackup(
                    "it is not encrypted, though a key is named for it: whoever can write to that place can have made "
                    "it; --unencrypted takes it all the same"
                )
            return False
        if lock is None:
            raise BadBackup(
                "it is encrypted: name its key with --key-file, or its passphrase in DCHAT_BACKUP_PASSPHRASE"
            )
        try:
            if first == LOCKED:
                identity = _unlocked(source, lock)
            elif lock.key_file is None:
                raise BadBackup("it is encrypted for a key: name its file with --key-file")
            else:
                source.seek(0)
                identity = _identity(lock.key_file)
            at = source.tell()
            _check_header(source.read(HEADER_BYTES_MAX))
            source.seek(at)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as out:
                _decrypt(source, out, identity)
        except _age.DecryptError as error:
            raise BadBackup(f"it cannot be decrypted: the key is another's, or the file is damaged ({error})") from None
    return True


def _decrypt(source: BinaryIO, out: BinaryIO, identity: object) -> None:
    """Raises BadBackup, OSError (no room)."""
    try:
        _age.decrypt_io(source, out, [identity])
    except OSError as error:
        if error.errno is not None:
            raise
        raise BadBackup(f"it is damaged, or was cut: its seal does not hold ({error})") from None


def _unlocked(source: BinaryIO, lock: Lock) -> object:
    """The identity that stands in front, by the passphrase."""
    if lock.key_file is not None:
        raise BadBackup("it is encrypted by a passphrase, not for a key file")
    size = int.from_bytes(source.read(4), "big")
    if not 0 < size <= LOCKED_BYTES_MAX:
        raise BadBackup(f"it is damaged: its locked key has {size} bytes; allowed: 1 to {LOCKED_BYTES_MAX}")
    locked = source.read(size)
    _check_header(locked)
    try:
        return _age.x25519.Identity.from_str(decrypt_small(locked, lock.passphrase).decode("ascii"))
    except (UnicodeDecodeError, _age.IdentityError):
        raise BadBackup("it is damaged: what its passphrase opens is no key") from None


def encrypt_small(data: bytes, passphrase: str, *, log: int = SCRYPT_LOG) -> bytes:
    """A file of age by a passphrase, of one piece. log: of the work, as a power of 2, each 1 KiB of memory."""
    key, salt, nonce = (secrets.token_bytes(SALT_BYTES) for _ in range(3))
    wrapped = ChaCha20Poly1305(_stretched(passphrase, salt, log)).encrypt(bytes(12), key, None)
    head = AGE + b"-> scrypt %b %d\n%b\n---" % (_base64(salt), log, _base64(wrapped))
    sealed = ChaCha20Poly1305(_derived(key, nonce, b"payload")).encrypt(_ONLY, data, None)
    return b"%b %b\n%b%b" % (head, _base64(_mac(key, head)), nonce, sealed)


def decrypt_small(data: bytes, passphrase: str) -> bytes:
    """What `encrypt_small`, or another program of age, wrote in one piece; however long it takes. Raises BadBackup."""
    found = _SMALL.match(data)
    if found is None or int(found[3]) > SCRYPT_LOG_MAX:
        raise BadBackup("it is damaged: its locked key is no file of age by a passphrase")
    rest = data[found.end() :]
    try:
        salt, wrapped, told = (base64.b64decode(found[part] + b"=" * (-len(found[part]) % 4)) for part in (2, 4, 5))
        key = ChaCha20Poly1305(_stretched(passphrase, salt, int(found[3]))).decrypt(bytes(12), wrapped, None)
        if not hmac.compare_digest(told, _mac(key, found[1])):
            raise BadBackup("it is damaged: the header of its locked key does not hold")
        payload = ChaCha20Poly1305(_derived(key, rest[:SALT_BYTES], b"payload"))
        return payload.decrypt(_ONLY, rest[SALT_BYTES:], None)
    except (InvalidTag, binascii.Error):
        raise BadBackup("it cannot be decrypted: the passphrase is another, or the file is damaged") from None


_ONLY: Final = bytes(11) + b"\x01"  # the nonce of the first piece that is the last


def _stretched(passphrase: str, salt: bytes, log: int) -> bytes:
    return Scrypt(b"age-encryption.org/v1/scrypt" + salt, 32, n=1 << log, r=8, p=1).derive(passphrase.encode())


def _derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=salt, info=info).derive(key)


def _mac(key: bytes, head: bytes) -> bytes:
    return hmac.digest(_derived(key, b"", b"header"), head, "sha256")


def _base64(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=")


def _check_header(first: bytes) -> None:
    """Before age sees it. Raises BadBackup."""
    end = _HEADER_END.search(first)
    if end is None:
        raise BadBackup(f"it is damaged: its header does not end within {HEADER_BYTES_MAX} bytes")
    for match in _SCRYPT.finditer(first, 0, end.start()):
        if len(match[1]) > 2 or int(match[1]) > SCRYPT_LOG_MAX:
            raise BadBackup(f"its passphrase would take 2^{match[1].decode()[:9]} steps; allowed: 2^{SCRYPT_LOG_MAX}")


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            raw = file.read(KEY_FILE_BYTES_MAX + 1)
        if len(raw) > KEY_FILE_BYTES_MAX:
            raise UpkeepError(f"{path}: has more than {KEY_FILE_BYTES_MAX} bytes: it is no key file of age")
        text = raw.decode()
        return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
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
