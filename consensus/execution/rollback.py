"""Going back a height or more, so that the last blocks are executed again: by a mended build, after a failed upgrade.

The engine's state becomes what it was before them; the blocks, their commits and the log stay, so the next start
finds blocks that are ahead of the state and applies them (`handshake`). The signer's record is never touched.
Source: CometBFT v0.38, state/rollback.go (soft); known failure 17.
"""

from __future__ import annotations

from dataclasses import replace

from consensus.evidence.pool import committed_keys
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import PARAMS, STATE_KEY, VALIDATORS, StateStore, key_of
from consensus.system.errors import EngineError
from storage.kv import KeyValueStore, Write


class RollbackError(EngineError):
    """A height that cannot be left: what is missing."""


def state_before(state: State, blocks: BlockStore, states: StateStore) -> State:
    """The state that the last block of `state` was executed on. Raises RollbackError.

    What the last block's header says of the state before it is taken from there; the sets from the store.
    """
    height = state.last_block_height
    before = height - 1
    if before < state.initial_height:
        raise RollbackError(
            f"the state is at {height}, its chain began at {state.initial_height}: nothing to go back to"
        )
    block, meta = blocks.load_meta(height), blocks.load_meta(before)
    if block is None or meta is None:
        raise RollbackError(f"blocks {before} and {height} are needed; this node has {blocks.base} to {blocks.height}")
    sets = [states.load_validators(at) for at in (before, height, height + 1)]
    last, current, following = sets
    params = states.load_params(height)
    if last is None or current is None or following is None or params is None:
        raise RollbackError(f"the validators or parameters around height {height} are not stored")
    return replace(
        state,
        last_block_height=before,
        last_block_id=meta.block_id,
        last_block_time_ns=meta.header.time_ns,
        last_validators=last,
        validators=current,
        next_validators=following,
        last_height_validators_changed=min(state.last_height_validators_changed, height + 1),
        params=params,
        last_height_params_changed=min(state.last_height_params_changed, height),
        last_results_hash=block.header.last_results_hash,
        app_hash=block.header.app_hash,
        app_version=block.header.version.app,
    )


def rollback(db: KeyValueStore, blocks: BlockStore, states: StateStore, *, steps: int = 1) -> State:
    """Save the state before the last `steps` blocks, one synced batch a block. db: the database of `states`.

    A state that is so far below the blocks already (a stop while a block was applied) stays as it is.
    Raises RollbackError.
    """
    assert steps > 0, steps
    state = states.load()
    if state is None or not state.last_block_height:
        raise RollbackError("there is no block yet: nothing to go back to")
    if blocks.height < state.last_block_height:
        raise RollbackError(f"blocks are at {blocks.height}, the state at {state.last_block_height}: one was lost")
    while state.last_block_height > blocks.height - steps:
        state = _go_back(db, blocks, StateStore(db), state)
    return state


def _go_back(db: KeyValueStore, blocks: BlockStore, states: StateStore, state: State) -> State:
    before = state_before(state, blocks, states)
    height = state.last_block_height
    batch: list[Write] = [(STATE_KEY, before.encode())]
    # what the undone block brought for later heights; its own record of evidence, or it would count as a repeat
    for prefix, known in ((VALIDATORS, height + 1), (PARAMS, height)):
        batch += [(key, None) for key, _ in db.scan(key_of(prefix, known + 1), key_of(prefix, (1 << 63) - 1))]
    block = blocks.load_block(height)
    assert block is not None, height
    batch += [(key, None) for item in block.evidence for key in committed_keys(item)]
    db.write(batch, sync=True)
    return before
