"""What an operator says of the databases reaches them: a size of all together is shared out, others hold for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.formats.units import MIB
from dchat.config import Config
from dchat.node import runtime
from dchat.node.runtime import DATABASES, Databases
from storage.kv import KeyValueStore
from storage.memory import MemoryStore
from storage.options import StoreOptions


@pytest.mark.parametrize("megabytes", [1, 128, 513, 65_535])
def test_the_cache_is_of_all_databases_together(
    megabytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, StoreOptions] = {}

    def opened(_: str, path: Path, options: StoreOptions, **__: object) -> KeyValueStore:
        given[path.name] = options
        return MemoryStore()

    monkeypatch.setattr(runtime, "open_store", opened)
    config = Config()
    config.database.cache_size, config.database.write_buffer_size = megabytes, 7
    Databases.open(tmp_path, config)
    assert set(given) == set(DATABASES)
    assert sum(options.cache_bytes for options in given.values()) == megabytes * MIB
    assert given["app"].cache_bytes == megabytes * MIB // 2
    assert {options.write_buffer_bytes for options in given.values()} == {7 * MIB}
