"""Going back some heights, so that the last blocks are executed again: by a mended build, after a failed upgrade.

Engine and application go back; the blocks stay, and the next start executes them again. The record of signing is never
touched. Source: known failures 16 and 17.
"""

from __future__ import annotations

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


def rollback(home: Home, config: Config, *, steps: int = 1) -> tuple[int, str]:
    """Take engine and application back below the last `steps` blocks; returns the height and its app hash.

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
        state = rollback_engine(opened["state"], blocks, StateStore(opened["state"]), steps=steps)
        if stores.latest_version > state.last_block_height:
            stores.rollback(state.last_block_height)
        return state.last_block_height, stores.app_hash.hex()
    finally:
        for store in opened.values():
            store.close()
