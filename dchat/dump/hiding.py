"""What must not leave a home: where its secrets are. How each could be written is `dchat.dump.forms`."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from dchat.config import CONFIG_FILE, Config, is_secret, passwords_in
from dchat.dump.forms import Forms
from dchat.home.home import Home
from dchat.shown.text import value_without_userinfo

FILE_BYTES_MAX: Final = 1 << 20  # of a file with a secret
HIDDEN: Final = "(a secret of this home)"
PRIVATE: Final = ("priv", "secret", "seed", "mnemonic", "passphrase", "cipher")  # in the name of a key of JSON
KEY_FILES: Final = ("config/node_key.json", "config/priv_validator_key.json", "config/signer_node_key.json")


class Secrets:
    """Of one home, as far as its files can be read: `hide` takes them out of a text."""

    def __init__(self, home: Home, config: Config, more: Iterable[str] = ()) -> None:
        """more: secrets of options that are not in `config`, since they cannot be used."""
        self._forms = Forms([*_texts(home, config), *more], HIDDEN)

    def hide(self, text: str) -> str:
        return self._forms.hide(text)

    def __len__(self) -> int:
        return len(self._forms)


def options_json(config: Config) -> dict[str, dict[str, Any]]:
    """All options as they hold, section -> key -> value; of a secret one only whether it is set."""
    told: dict[str, dict[str, Any]] = json.loads(config.model_dump_json())
    for section, table in told.items():
        for key, value in table.items():
            if is_secret(section, key):
                table[key] = HIDDEN if value else ""
            elif isinstance(value, str):
                table[key] = value_without_userinfo(value)
            elif isinstance(value, list):
                table[key] = [value_without_userinfo(one) if isinstance(one, str) else one for one in value]
    return told


def _texts(home: Home, config: Config) -> Iterator[str]:
    """The secret values themselves."""
    names = [home.identity, *(home.root / name for name in KEY_FILES)]
    names += [home.root / Path(said).expanduser() for said in _named(config)]
    for path in [*names, *_private_files(home.root)]:
        yield from _secrets_of(path)
    for section, table in json.loads(config.model_dump_json()).items():
        yield from (str(value) for key, value in table.items() if value and is_secret(section, key))
    for table in json.loads(config.model_dump_json()).values():
        for value in table.values():
            texts = value if isinstance(value, list) else [value]
            yield from passwords_in(one for one in texts if isinstance(one, str))  # alone they may stand in an error


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
