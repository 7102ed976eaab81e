"""Bringing application, blocks and state to one height after any stop.

S, T, A are the heights of the block store, the engine's state and the application. The durable order (block, results,
application, state) leaves few cases, and each is mended by running again what is missing; everything else means that
a database was lost or mixed up, and is refused with the three heights.
Source: docs/decisions/0006; CometBFT v0.38, spec/abci/abci++_app_requirements.md (crash recovery), consensus/replay.go.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import structlog

from consensus.abci.interface import (
    FinalizeBlockResponse,
    InfoRequest,
    InfoResponse,
    InitChainRequest,
    InitChainResponse,
    ValidatorUpdate,
)
from consensus.abci.requests import block_request
from consensus.documents.genesis import GenesisDoc
from consensus.execution.executor import BlockExecutor
from consensus.formats.errors import InvalidData, InvalidDocument
from consensus.state.state import State, check_validator_updates
from consensus.system.errors import HandshakeError, StoresDisagree, check_app_hash
from consensus.types.block import Block
from consensus.types.header import BLOCK_PROTOCOL
from consensus.types.ids import BlockID
from consensus.types.validators import EMPTY_SET, ValidatorSet

P2P_PROTOCOL: Final = 8  # CometBFT v0.38's
PROGRESS_HEIGHTS: Final = 1_000  # a long replay says so this often

log = structlog.get_logger(__name__)


async def handshake(genesis: GenesisDoc, executor: BlockExecutor, *, software: str) -> State:
    """Return the state that consensus goes on from; application, blocks and state are then at its height.

    Raises HandshakeError (StoresDisagree), and what the application or the stores raise.
    """
    state = executor.states.load()
    if state is None:
        state = genesis.state()
    if state.chain_id != genesis.chain_id:
        raise HandshakeError(f"the state is of chain {state.chain_id!r}, the genesis of {genesis.chain_id!r}")
    asked = InfoRequest(software, BLOCK_PROTOCOL, P2P_PROTOCOL)
    info = await executor.ask(lambda: executor.app.info(asked))
    app_height, app_hash = info.last_block_height, info.last_block_app_hash
    if not app_height:
        # a stop may have come after the state was saved and before the first block
        before = state
        state = await executor.ask(
            lambda: (
                _init_chain(genesis, executor, before) if before.last_block_height else begin(genesis, executor, info)
            )
        )
        app_hash = state.app_hash
    store_height, state_height = executor.blocks.height, state.last_block_height
    log.info("compared heights", blocks=store_height, state=state_height, application=app_height)
    _check_heights(executor, state, app_height)
    _check_last_block(executor, state)
    if app_height == state_height and store_height in (0, state_height):  # 0: a state sync ended just now
        if state_height and app_hash != state.app_hash:
            raise StoresDisagree(_hash_differs(state_height, app_hash, state.app_hash))
        return state
    app_hash = await _replay(executor, state, app_height + 1, min(store_height, state_height)) or app_hash
    if store_height == state_height:
        if app_hash != state.app_hash:
            raise HandshakeError(_hash_differs(state_height, app_hash, state.app_hash))
        return state
    for height in range(state.next_height, store_height + 1):
        state = await _apply_stored(executor, state, height, app_committed=app_height >= height)
    return state


def begin(genesis: GenesisDoc, executor: BlockExecutor, info: InfoResponse) -> State:
    """The state before the first block, saved, of an application without blocks; info: what that answered.

    Raises HandshakeError, and what the application or the stores raise.
    """
    return _init_chain(genesis, executor, replace(genesis.state(), app_version=info.app_version))


def _init_chain(genesis: GenesisDoc, executor: BlockExecutor, state: State) -> State:
    """Give the application its genesis; before the first block its answer makes the state."""
    request = InitChainRequest(
        time_ns=genesis.genesis_time_ns,
        chain_id=genesis.chain_id,
        consensus_params=genesis.consensus_params,
        validators=tuple(ValidatorUpdate(validator.pub_key, validator.power) for validator in genesis.validators),
        app_state_bytes=genesis.app_state,
        initial_height=genesis.initial_height,
    )
    response = executor.app.init_chain(request)
    check_app_hash(response.app_hash, "init_chain")
    if state.last_block_height:
        return state
    state = _initial_state(state, response)
    executor.states.save(state, all_sets=True)
    return state


def _initial_state(state: State, response: InitChainResponse) -> State:
    """An application's own validators replace the genesis's; without any the chain cannot begin."""
    params = state.params if response.consensus_params is None else response.consensus_params
    validators, next_validators = state.validators, state.next_validators
    try:
        params.validate()
        if response.validators:
            changes = [(update.pub_key, update.power) for update in response.validators]
            check_validator_updates(changes, params)
            validators = ValidatorSet.new(changes)
            next_validators = validators.increment()
    except (InvalidData, InvalidDocument) as error:
        raise HandshakeError(f"init_chain: {error}") from error
    if not len(validators):
        raise HandshakeError("neither the genesis nor the application names a validator")
    return replace(
        state,
        app_hash=response.app_hash or state.app_hash,
        params=params,
        app_version=params.version.app if response.consensus_params is not None else state.app_version,
        validators=validators,
        next_validators=next_validators,
    )


def _check_heights(executor: BlockExecutor, state: State, app_height: int) -> None:
    store_height, state_height = executor.blocks.height, state.last_block_height
    if not store_height and app_height == state_height:
        return
    where = f"blocks are at {store_height}, the state at {state_height}, the application at {app_height}"
    if store_height < state_height:
        raise StoresDisagree(f"{where}: the state knows blocks that are not here; one was lost")
    if app_height > store_height:
        raise StoresDisagree(f"{where}: the application knows blocks that are not here; restore them together")
    base = executor.blocks.base
    if store_height > app_height and app_height + 1 < base and base > state.initial_height:
        raise HandshakeError(f"{where}: blocks below {base} are pruned, so the application cannot catch up")


def _check_last_block(executor: BlockExecutor, state: State) -> None:
    """What the state says of its last block, the block itself says too. Raises StoresDisagree."""
    height = state.last_block_height
    meta = executor.blocks.load_meta(height) if height and executor.blocks.height else None
    if meta is None:
        return
    header = meta.header
    pairs = (
        ("the last block's hash", meta.block_id.hash, state.last_block_id.hash),
        ("the last block's validators", header.validators_hash, state.last_validators.hash),
        ("the next block's validators", header.next_validators_hash, state.validators.hash),
    )
    for what, of_block, of_state in pairs:
        if of_block != of_state:
            raise StoresDisagree(
                f"{what} at height {height} are {of_block.hex()} by the blocks and {of_state.hex()} by the state"
            )


def _hash_differs(height: int, got: bytes, expected: bytes) -> str:
    return f"the application's hash at height {height} is {got.hex()}, expected {expected.hex()}"


async def _replay(executor: BlockExecutor, state: State, first: int, last: int) -> bytes:
    """Run stored blocks through an application that lacks them; return its hash after them, empty if none.

    Each outcome is compared with the one of the first time.
    """
    app_hash = b""
    first = max(first, state.initial_height)
    for height in range(first, last + 1):
        block = _load_block(executor, height)
        last_validators = executor.states.load_validators(height - 1) if height > state.initial_height else EMPTY_SET
        if last_validators is None:
            raise HandshakeError(f"the validators of height {height - 1} are not stored; cannot replay {height}")
        response = await executor.replay(block_request(block, last_validators))
        await executor.ask(executor.app.commit)
        app_hash = response.app_hash
        known = executor.states.load_response(height)
        if known is not None and known.app_hash != app_hash:
            raise HandshakeError(f"replay: {_hash_differs(height, app_hash, known.app_hash)}")
        if height % PROGRESS_HEIGHTS == 0 or height == last:
            log.info("replayed blocks through the application", height=height, until=last)
    return app_hash


async def _apply_stored(executor: BlockExecutor, state: State, height: int, *, app_committed: bool) -> State:
    """The block is stored, and the state is the one before it: a stop leaves one so, going back some."""
    block, meta = _load_block(executor, height), executor.blocks.load_meta(height)
    assert meta is not None, height
    response: FinalizeBlockResponse | None = None
    if app_committed:
        response = executor.states.load_response(height)
        if response is None:
            raise StoresDisagree(f"the application committed height {height}, but its results are not stored")
    block_id: BlockID = meta.block_id
    try:
        await executor.check(state, block, is_stored=True)
    except InvalidData as error:
        raise HandshakeError(f"stored block {height} does not follow the state: {error}") from error
    log.info("applying a stored block again", height=height, application_has_it=app_committed)
    return await executor.apply(state, block, block_id, saved_response=response)


def _load_block(executor: BlockExecutor, height: int) -> Block:
    block = executor.blocks.load_block(height)
    if block is None:
        raise StoresDisagree(f"block {height} is not stored, and the application needs it")
    executor.blocks.load_parts(height)  # holds all of its bytes against what was voted for
    return block
