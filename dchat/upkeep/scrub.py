"""Looking through the databases' files while the node runs, so that damage is found before somebody needs what it hit.

What is read is checked anyway; what nobody reads for years is not. One table a second, 2 MiB as a rule, in a thread:
two thousandths of a core, and a gigabyte in ten minutes; then a day's rest, and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from consensus.system.clock import Workers
from storage.errors import StoreCorrupted
from storage.level_files import table_damages, tables_of

TABLE_EVERY_S: Final = 1.0
PASS_EVERY_S: Final = 86_400.0

log = structlog.get_logger(__name__)


class Scrubber:
    """on_corrupted: told of the first damage; the node stops then, so nothing is looked for behind it."""

    def __init__(self, folders: list[Path], workers: Workers, on_corrupted: Callable[[StoreCorrupted], None]) -> None:
        self._folders, self._workers, self._on_corrupted = folders, workers, on_corrupted

    async def run(self) -> None:
        """Passes without an end."""
        while True:
            await self.look_once(TABLE_EVERY_S)
            await asyncio.sleep(PASS_EVERY_S)

    async def look_once(self, pause_s: float) -> bool:
        """Whether all tables are as they were written. A folder without a database has none."""
        try:
            return await self._look(pause_s)
        except StoreCorrupted as found:
            log.error("a file of a database is damaged", file=found.file, where=found.where, why=found.why)
            self._on_corrupted(found)
            return False

    async def _look(self, pause_s: float) -> bool:
        """Raises StoreCorrupted."""
        for folder in self._folders:
            tables: list[Path] = await self._workers.run(lambda folder=folder: tables_of(folder))  # type: ignore[misc]
            for table in tables:
                found = await self._workers.run(lambda table=table: next(table_damages(table), None))  # type: ignore[misc]
                if found is not None:
                    raise found
                await asyncio.sleep(pause_s)
        return True
