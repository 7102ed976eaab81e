"""A stored block, executed once more over the state before it: what each of its steps writes, by this build.

Nothing is changed by it. What differs from what the node did the first time is another build's, or the machine's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chain.kernel.branch import Base
from chain.kernel.execution import Executed, execute_block
from chain.kernel.signatures import Signatures
from chain.state.view import View
from chain.trail.steps import Step, steps_of, trail_writes
from chain.tx.envelope.tx import TxCache
from chain.upgrade.module import Upgrader
from chain.upgrade.plan import rules_of
from consensus.abci.interface import FinalizeBlockResponse, ValidatorUpdate
from consensus.abci.requests import block_request
from consensus.stores.state_store import encode_response
from consensus.types.block import Block
from consensus.types.params import ConsensusParams
from consensus.types.validators import ValidatorSet
from dchat.app.build_plan import UPGRADES
from dchat.app.composition import compose
from dchat.app.errors import Abandoned

_ASKED_EVERY: Final = 25  # slices of a millisecond


def told(updates: tuple[ValidatorUpdate, ...], params: ConsensusParams | None) -> bytes:
    """What a block's end tells the engine, encoded."""
    encoding = encode_response(FinalizeBlockResponse((), b"", updates, params))
    while True:
        try:
            next(encoding)
        except StopIteration as done:
            encoded: bytes = done.value
            return encoded


def execute_again(
    block: Block, last_validators: ValidatorSet, before: View, *, is_wanted: Callable[[], bool] = lambda: True
) -> tuple[list[Step], Executed]:
    """before: the state after the block before. Raises Abandoned; StateError and StorageError, of what is read."""
    modules = compose()
    base = Base(before, modules.decoders)
    executing = execute_block(
        block_request(block, last_validators), base=base, modules=modules, signatures=Signatures(), cache=TxCache(),
        rules=rules_of(base), strict=False,
        pre_block=Upgrader(modules, UPGRADES).pre_block,
    )  # fmt: skip
    slices = 0
    while True:
        try:
            next(executing)
        except StopIteration as done:
            executed: Executed = done.value
            break
        slices += 1
        if slices % _ASKED_EVERY == 0 and not is_wanted():
            raise Abandoned
    writes = trail_writes(executed.trail, executed.writes, len(block.txs))
    end = told(executed.validator_updates, executed.consensus_params)
    return list(steps_of(writes, block.data.tx_hashes, executed.results, end)), executed
