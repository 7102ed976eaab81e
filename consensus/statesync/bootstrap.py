"""What the engine begins with at the height of a restored application: its state, and the commit of its last block.

Everything follows from three verified headers and their sets (CometBFT v0.38, statesync/stateprovider.go), but for the
consensus parameters, of which the headers hold a hash: they come from whoever knows them and are held against it.
"""

from __future__ import annotations

from consensus.documents.genesis import GenesisDoc
from consensus.state.state import State
from consensus.statesync.syncer import Restored, StateSyncFailed
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.types.params import ConsensusParams
from storage.kv import KeyValueStore


def state_of(restored: Restored, genesis: GenesisDoc, params: ConsensusParams) -> State:
    """params: in force at the height after. Raises StateSyncFailed."""
    last, next_block, after = restored.blocks
    header = next_block.header
    if params.hash != header.consensus_hash:
        raise StateSyncFailed(
            f"header {header.height} has consensus parameters of the hash {header.consensus_hash.hex()}, "
            f"the restored application says {params.hash.hex()}"
        )
    return State(
        chain_id=genesis.chain_id,
        initial_height=genesis.initial_height,
        last_block_height=last.height,
        last_block_id=last.commit.block_id,
        last_block_time_ns=last.header.time_ns,
        last_validators=last.validators,
        validators=next_block.validators,
        next_validators=after.validators,
        last_height_validators_changed=after.height,
        params=params,
        last_height_params_changed=header.height,
        last_results_hash=header.last_results_hash,
        app_hash=header.app_hash,
        app_version=header.version.app,
    )


def save(state: State, restored: Restored, blocks: BlockStore, states: StateStore) -> None:
    """The commit first, then the state, each synced."""
    blocks.save_header(restored.blocks[0], is_last=True)
    states.save(state, all_sets=True)


def forget(db: KeyValueStore) -> None:
    """Empty a database that a state sync left unfinished, which has had no block yet."""
    db.write([(key, None) for key, _ in db.scan()], sync=True)
