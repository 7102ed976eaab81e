"""What must not leave a home: every secret of it is known here by all the forms in which it could be written."""

from __future__ import annotations

import base64
import contextlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from dchat.config import CONFIG_FILE, Config, is_secret
from dchat.home.home import Home

FILE_BYTES_MAX: Final = 1 << 20  # of a file with a secret
SHORTEST: Final = 8  # characters: what is shorter stands everywhere by chance
HIDDEN: Final = "(a secret of this home)"
PRIVATE: Final = ("priv", "secret", "seed", "mnemonic", "passphrase", "cipher")  # in the name of a key of JSON
KEY_FILES: Final = ("config/node_key.json", "config/priv_validator_key.json", "config/signer_node_key.json")


class Secrets:
    """Of one home, as far as its files can be read: `hide` takes them out of a text."""

    def __init__(self, home: Home, config: Config) -> None:
        self._forms = frozenset(form for text in _texts(home, config) for form in _forms(text))

    def hide(self, text: str) -> str:
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, HIDDEN)
        return text

    def __len__(self) -> int:
        return len(self._forms)


def options_json(config: Config) -> dict[str, dict[str, Any]]:
    """All options as they hold, section -> key -> value; of a secret one only whether it is set."""
    told: dict[str, dict[str, Any]] = json.loads(config.model_dump_json())
    for section, table in told.items():
        for key, value in table.items():
            if is_secret(section, key):
                table[key] = HIDDEN if value else ""
    return told


def _texts(home: Home, config: Config) -> Iterator[str]:
    """The secret values themselves."""
    names = [home.identity, *(home.root / name for name in KEY_FILES)]
    names += [home.root / Path(said).expanduser() for said in _named(config)]
    for path in [*names, *_private_files(home.root)]:
        yield from _secrets_of(path)
    for section, table in json.loads(config.model_dump_json()).items():
        yield from (str(value) for key, value in table.items() if value and is_secret(section, key))
    if "@" in config.sql.connection:  # its password alone may stand in an error
        yield config.sql.connection.partition("//")[2].rpartition("@")[0].partition(":")[2]


def _named(config: Config) -> Iterator[str]:
    """Files with secrets that options name."""
    named = (
        config.validator.passphrase_file, config.tls.key_file, config.backup.encryption_key_file,
        config.hsm.pkcs11_pin_file,
    )  # fmt: skip
    yield from (name for name in named if name)


def _private_files(root: Path) -> Iterator[Path]:
    """Small files of the home that nobody else may read, but for its data and its options, whose secrets are known by
    their names: keys, by any name, retired ones too."""
    for pattern in ("*", "config/*", "config/*/*", "keys/*", "accounts/*"):
        for path in sorted(root.glob(pattern)):
            try:
                info = path.lstat()
            except OSError:
                continue
            is_private = stat.S_ISREG(info.st_mode) and not info.st_mode & 0o077
            is_keys = path.suffix != ".log" and path.name != CONFIG_FILE
            if is_private and is_keys and info.st_size <= FILE_BYTES_MAX:
                yield path


def _secrets_of(path: Path) -> Iterator[str]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return
        text = path.read_text(errors="replace")
    except OSError:
        return
    try:
        document = json.loads(text)
    except ValueError:
        yield text.strip()
        yield from (line.strip() for line in text.splitlines() if not line.startswith(("#", "-----")))
        return
    yield from _private_texts(document, is_private=False)


def _private_texts(value: Any, *, is_private: bool) -> Iterator[str]:
    """Of a key file: every text that stands under a name of what is private, but for its kind."""
    match value:
        case dict():
            for key, one in value.items():
                if key != "type":
                    yield from _private_texts(one, is_private=is_private or any(word in key for word in PRIVATE))
        case list():
            for one in value:
                yield from _private_texts(one, is_private=is_private)
        case str() if is_private:
            yield value


def _forms(text: str) -> Iterator[str]:
    """The text as others write it, and the bytes that it may stand for as hex and as base64, whole and, of a key pair,
    the seed alone."""
    if len(text) < SHORTEST:
        return
    yield from _written(text)
    for raw in {*_bytes_of(text)}:
        for part in (raw, raw[:32]):
            if len(part) >= 16:
                yield from (part.hex(), part.hex().upper())
                yield from (
                    base64.b64encode(part).decode().rstrip("="),
                    base64.urlsafe_b64encode(part).decode().rstrip("="),
                )
        if len(raw) >= 32:
            yield base64.b64encode(raw[:30]).decode()  # with which seed and pair begin, however they go on


def _written(text: str) -> Iterator[str]:
    """As it is, in JSON of either kind, in a URL, in Python's own form, and as its bytes: a line of a log, or an error,
    is seldom the bare text."""
    for one in dict.fromkeys((text, unquote(text))):
        if len(one) < SHORTEST:
            continue
        once = {one, json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1], repr(one)[1:-1]}
        yield from once
        yield from (json.dumps(said, ensure_ascii=False)[1:-1] for said in once)  # and that in a line of JSON
        data = one.encode(errors="surrogatepass")
        yield from (quote(data, safe=""), quote(data), data.hex(), data.hex().upper())
        yield base64.b64encode(data).decode().rstrip("=")


def _bytes_of(text: str) -> Iterator[bytes]:
    with contextlib.suppress(ValueError):
        yield bytes.fromhex(text)
    with contextlib.suppress(ValueError):
        yield base64.b64decode(text, validate=True)
