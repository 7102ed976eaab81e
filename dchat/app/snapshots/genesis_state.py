"""A chain that begins with the state of an earlier one: its records into the stores, below the first height.

The state stands at version `initial_height` - 2, as the earlier chain had it; at the version before the first block the
record of what chain this is has changed, and nobody is in the last commit: the first block has none. Queues by height
and by time, sequences and marks are as they were: heights and time go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain as joined
from typing import Any, Final

import structlog

from chain.app_state.economy import InvalidAppState
from chain.app_state.exported import Exported
from chain.currency.economy import leave_commit
from chain.currency.ledger.stake_records import ACTIVE, TOLD, VALIDATOR, Now
from chain.kernel.branch import Base, Branch, Readable, encode_changes
from chain.kernel.execution import machine_time
from chain.kernel.modules import Modules
from chain.state.errors import InvalidSnapshot, StateError
from chain.state.snapshot import CHUNK_BYTES_MAX, Manifest, Restore
from chain.state.store import Stores
from chain.tx.messages.kinds.fields import consensus_key_of
from chain.upgrade.chain_record import CHAIN, ChainRecord
from chain.upgrade.plan import CONSENSUS_PARAMS
from consensus.abci.interface import InitChainRequest, InitChainResponse, ValidatorUpdate
from consensus.types.params import ConsensusParams, VersionParams
from crypto.hash import sha256
from crypto.keys import PubKey
from dchat.app.snapshots.restorer import check_records

BELOW: Final = 2  # versions below the first height: the earlier chain's state, and this chain's beginning
log = structlog.get_logger(__name__)


def is_begun(stores: Stores, chain: ChainRecord | None, request: InitChainRequest, exported: Exported) -> bool:
    """Whether the stores hold this beginning already: it was imported, or a stop came before the first block."""
    return (
        chain is not None
        and stores.latest_version == request.initial_height - 1
        and (chain.chain_id, chain.initial_height, chain.genesis_hash)
        == (request.chain_id, request.initial_height, exported.digest)
    )


def begin_with(
    stores: Stores, modules: Modules, request: InitChainRequest, exported: Exported, chunks: Iterable[bytes]
) -> None:
    """Fill the stores, which are emptied. chunks: of the manifest, in order; they may be more than fits into memory.

    A stop in between leaves empty stores. Raises InvalidAppState: the document is not what it says.
    """
    first, manifest = request.initial_height, exported.manifest
    chunks = iter(chunks)
    if (head := next(chunks, None)) is None:
        raise InvalidAppState(
            "app_state.exported has no chunks, and the state is not in this home: bring it in with `dchat database "
            "import --input FILE`, of the whole document, or restore it from peers (--state-sync)"
        )
    if first < manifest.height + 1:
        raise InvalidAppState(
            f"initial_height is {first}; allowed: {manifest.height + 1} and more, since the exported state is of "
            f"{manifest.height}: what it has due by height stays due"
        )
    restore = Restore(stores, Manifest(first - BELOW, manifest.roots, manifest.chunk_hashes))
    try:
        count = _add(restore, manifest, joined((head,), chunks))
        if count != len(manifest.chunk_hashes):
            raise InvalidSnapshot(f"there are {count} chunks, and {len(manifest.chunk_hashes)} hashes")
        for _ in restore.finish():
            pass
        base = Base(stores.at(), modules.decoders)
        check_records(modules, base)
        stores.commit(stores.prepare(first - 1, *_beginning(base, request, exported)))
        answer(Base(stores.at(), modules.decoders), request)
    except (InvalidSnapshot, StateError) as error:
        stores.clear()
        raise InvalidAppState(f"app_state.exported: {error}") from error
    except InvalidAppState:
        stores.clear()
        raise
    restore.keep()
    log.info("began with an earlier chain's state", chain_id=exported.chain_id, height=manifest.height)


def _add(restore: Restore, manifest: Manifest, chunks: Iterable[bytes]) -> int:
    count = 0
    for count, chunk in enumerate(chunks, start=1):
        if count > len(manifest.chunk_hashes):
            break
        if len(chunk) > CHUNK_BYTES_MAX or sha256(chunk) != manifest.chunk_hashes[count - 1]:
            raise InvalidSnapshot(f"chunk {count - 1} does not have the hash that stands for it")
        restore.add(chunk)
    return count


def _beginning(base: Readable, request: InitChainRequest, exported: Exported) -> tuple[Any, Any]:
    """What is written before the first block."""
    before = base.get(CHAIN)
    if before is None or before.chain_id != exported.chain_id:
        raise InvalidAppState(
            f"app_state.exported.chain_id is {exported.chain_id!r}, and the state is of another chain"
        )
    branch = Branch(base.get)
    branch.set(
        CHAIN,
        replace(before, chain_id=request.chain_id, initial_height=request.initial_height, genesis_hash=exported.digest),
    )
    leave_commit(branch, Now(exported.manifest.height + 1, machine_time(request.time_ns)))
    steps = encode_changes(branch.writes)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            changes: tuple[Any, Any] = stop.value
            return changes


def answer(base: Readable, request: InitChainRequest) -> InitChainResponse:
    """What init_chain tells the engine. Raises InvalidAppState: the document names other validators or parameters than
    the state has."""
    chain, params = base.get(CHAIN), base.get(CONSENSUS_PARAMS)
    params = replace(params, version=VersionParams(chain.app_version))
    if request.consensus_params != params:
        raise InvalidAppState(
            f"consensus_params: the exported state has others; {_differing(request.consensus_params, params)}"
        )
    return InitChainResponse(b"", consensus_params=params, validators=_validators(base, request.validators))


def _differing(given: ConsensusParams, own: ConsensusParams) -> str:
    for section in ("block", "evidence", "validator", "version", "abci"):
        one, other = getattr(given, section), getattr(own, section)
        if one != other:
            return f"{section} is {one} in the document and {other} in the state"
    raise AssertionError((given, own))


def _validators(base: Readable, given: Sequence[ValidatorUpdate]) -> tuple[ValidatorUpdate, ...]:
    """Of the state, where the document names none. Without staking validators the document's stay."""
    active = base.get(ACTIVE)
    members = active.members if active is not None else ()
    own: dict[PubKey, int] = {}
    for operator, power in members:
        validator = base.get(VALIDATOR + operator)
        if validator is None:
            raise InvalidAppState(f"app_state.exported: operator {operator.hex()} is active, and no validator")
        known = base.get(TOLD + operator) or validator  # the engine hears of the next key when it hears of anything
        own[consensus_key_of(known.consensus_key)] = power
    if not own:
        return ()
    named = {update.pub_key: update.power for update in given}
    if not named:
        return tuple(ValidatorUpdate(key, power) for key, power in own.items())
    for key in (*own, *named):
        if own.get(key) != named.get(key):
            raise InvalidAppState(
                f"validators: consensus address {key.address.hex()} has power {named.get(key)} in the document and "
                f"stake for {own.get(key)} in the exported state"
            )
    return ()
