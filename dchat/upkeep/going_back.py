"""Going back some heights, so that the last blocks are executed again: by a mended build, after a failed upgrade.

Engine and application go back; the blocks stay, and the next start executes them again. The record of signing is never
touched. Source: known failures 16 and 17.
"""

from __future__ import annotations

from typing import NamedTuple

from chain.state.store import Stores
from consensus.execution.rollback import rollback as rollback_engine
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from dchat.config import Config
from dchat.home.home import Home
from dchat.upkeep.copies import DATABASES
from dchat.upkeep.errors import UpkeepError
from storage.open import open_store
from storage.options import StoreOptions


class WentBack(NamedTuple):
    """height: of the state now. last_block: which stays, and those between are executed again. is_changed: not where
    the state was as low before."""

    height: int
    app_hash: str
    last_block: int
    is_changed: bool

    @property
    def told(self) -> str:
        if self.is_changed:
            return f"rolled back to height {self.height} app_hash {self.app_hash}"
        lower = self.last_block - self.height + 1
        return (
            f"nothing to do: the state is at height {self.height} already, and the last block is {self.last_block}, so "
            f"the next start executes what lies between; `dchat database rollback --steps {lower}` goes further"
        )


def rollback(home: Home, config: Config, *, steps: int = 1) -> WentBack:
    """Take engine and application back below the last `steps` blocks.

    The node must not run. Raises UpkeepError, RollbackError, StorageError, StateError.
    """
    options = StoreOptions()
    opened = {name: open_store(config.database.backend, home.databases / name, options) for name in DATABASES}
    try:
        blocks, stores = BlockStore(opened["blocks"]), Stores(opened["app"])
        target = blocks.height - steps
        if stores.latest_version > target and target < stores.earliest_version:
            raise UpkeepError(
                f"the state is kept from height {stores.earliest_version} to {stores.latest_version}, and {steps} "
                f"steps go back to {target}; allowed: {max(0, blocks.height - stores.earliest_version)} steps"
            )
        before = StateStore(opened["state"]).load()
        state = rollback_engine(opened["state"], blocks, StateStore(opened["state"]), steps=steps)
        height = state.last_block_height
        is_changed = before is None or before.last_block_height > height or stores.latest_version > height
        if stores.latest_version > height:
            stores.rollback(height)
        return WentBack(height, stores.app_hash.hex(), blocks.height, is_changed)
    finally:
        for store in opened.values():
            store.close()
