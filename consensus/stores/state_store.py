"""The engine's state, the sets and parameters of past heights, results, transactions and events found again: `state`.

Validator sets are kept where they change and every CHECKPOINT_HEIGHTS; the ones between are incremented from the
nearest below, one block at a time, as the chain did. Results and indexes are one synced batch, the state another.
States are saved in their order, which is asserted, and a set that is made again must be the one that the state has.
Source: CometBFT v0.38, state/store.go; docs/decisions/0006.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from consensus.abci.interface import FinalizeBlockResponse, Slices, ValidatorUpdate
from consensus.formats.units import MIB
from consensus.formats.wire import bytes_field, int_field, message_field, parse_ours
from consensus.state.results import Event, ExecTxResult
from consensus.state.state import State
from consensus.stores import event_index
from consensus.stores.event_index import Whole
from consensus.stores.reading import OnCorrupted, Records
from consensus.types.params import ConsensusParams
from consensus.types.validators import ValidatorSet
from crypto.keys import encode_pub_key, pub_key_from_proto
from proto.tendermint.abci import types_pb2 as abci_pb
from storage.kv import KeyValueStore, Reader, Write

STATE_KEY: Final = b"s"
VALIDATORS, PARAMS, RESULTS, TX = b"v", b"p", b"r", b"t"
CHECKPOINT_HEIGHTS: Final = 100
TX_PAIR_BYTES: Final = 45
COMPACT_PIECE_BYTES: Final = 16 * MIB
MEMBERS_KEPT: Final = 8  # sets in memory, for evidence of past heights
PARSING_MAX: Final = 4  # results of so many heights may be half parsed
UNITS_PER_SLICE: Final = 400  # results and events, encoded in a row: about 1 ms


def key_of(prefix: bytes, height: int) -> bytes:
    return prefix + height.to_bytes(8, "big")


def _any(_: object) -> bool:
    """What it says is held against the chain elsewhere."""
    return True


def prefix_end(prefix: bytes) -> bytes:
    """Behind all keys of a prefix of one letter."""
    return bytes([prefix[0] + 1])


def encode_response(response: FinalizeBlockResponse) -> Slices[bytes]:
    """ResponseFinalizeBlock's protobuf bytes. What was touched is not kept: a replay rechecks everything."""
    pieces: list[bytes] = []
    for start in range(0, len(response.events), UNITS_PER_SLICE):
        pieces += [message_field(b"\x0a", event.encode()) for event in response.events[start : start + UNITS_PER_SLICE]]
        yield
    units = 0
    for result in response.tx_results:
        pieces.append(message_field(b"\x12", result.encode()))
        units += 1 + len(result.events)
        if units >= UNITS_PER_SLICE:
            units = 0
            yield
    for update in response.validator_updates:
        key = message_field(b"\x0a", encode_pub_key(update.pub_key))
        pieces.append(message_field(b"\x1a", key + int_field(b"\x10", update.power)))
    if response.consensus_param_updates is not None:
        pieces.append(message_field(b"\x22", response.consensus_param_updates.encode()))
    pieces.append(bytes_field(b"\x2a", response.app_hash))
    return b"".join(pieces)


def decode_response(data: bytes) -> FinalizeBlockResponse:
    message = abci_pb.ResponseFinalizeBlock.FromString(data)
    params = None
    if message.HasField("consensus_param_updates"):
        params = ConsensusParams.from_proto(message.consensus_param_updates)
    return FinalizeBlockResponse(
        tx_results=tuple(ExecTxResult.from_proto(result) for result in message.tx_results),
        app_hash=message.app_hash,
        validator_updates=tuple(
            ValidatorUpdate(pub_key_from_proto(update.pub_key), update.power) for update in message.validator_updates
        ),
        consensus_param_updates=params,
        events=tuple([Event.from_proto(event) for event in message.events]),
    )


class StateStore:
    """Satisfies interfaces.StateStore. Writes block: call them from a worker."""

    def __init__(self, db: KeyValueStore, on_corrupted: OnCorrupted | None = None) -> None:
        self._db, self._records = db, Records(db, on_corrupted)
        self._last_read: tuple[int, abci_pb.ResponseFinalizeBlock] | None = None
        self._parsing: dict[int, tuple[abci_pb.ResponseFinalizeBlock, Iterator[None]]] = {}  # by height
        self._members: dict[bytes, ValidatorSet] = {}  # by key; a stored set never changes
        self._state = self._records.read(STATE_KEY, "the state", State.decode, _any)
        self._indexed = self._records.read(event_index.RANGE, "the range of the index", Whole.decode, _any)

    # ------------------------------------------------------------------------------------------------ reading

    def load(self) -> State | None:
        """The last saved one."""
        return self._state

    def load_validators(self, height: int) -> ValidatorSet | None:
        """The set that signs blocks of `height`; known up to two heights above the last block."""
        state = self._state
        if state is None or height > state.next_height + 1:
            return None
        if height == state.next_height:
            return state.validators
        for key, data in self._db.scan(VALIDATORS, key_of(VALIDATORS, height + 1), reverse=True):
            validators = self._records.decoded(key, data, "a set of validators", ValidatorSet.decode, _any)
            for _ in range(height - int.from_bytes(key[1:], "big")):
                validators = validators.increment()
            if height == state.next_height + 1 and validators != state.next_validators:
                raise self._records.wrong(key, "a set of validators", f"the state has another one for {height}")
            return validators
        return None

    def load_members(self, height: int) -> ValidatorSet | None:
        """As `load_validators`, but for the priorities, which are of some height below: who may sign, with what power.

        Cheap for any height, and the last sets read are kept: peers choose the heights. From any thread.
        """
        if self._state is None or height > self._state.next_height + 1:
            return None
        for key, _ in self._db.scan(VALIDATORS, key_of(VALIDATORS, height + 1), reverse=True):
            return self._members_at(key)
        return None

    def _members_at(self, key: bytes) -> ValidatorSet | None:
        known = self._members.get(key)
        if known is None:
            known = self._records.read(key, "a set of validators", ValidatorSet.decode, _any)
            if known is None:
                return None  # pruned meanwhile
            if len(self._members) >= MEMBERS_KEPT:
                self._members = {}
            self._members[key] = known
        return known

    def load_params(self, height: int) -> ConsensusParams | None:
        """The parameters in force at `height`."""
        for key, data in self._db.scan(PARAMS, key_of(PARAMS, height + 1), reverse=True):
            return self._records.decoded(key, data, "parameters", ConsensusParams.decode, _any)
        return None

    def load_encoded(self, height: int) -> bytes | None:
        """The bytes of the application's answer to block `height`."""
        return self._db.get(key_of(RESULTS, height))

    def load_stored(self, height: int) -> abci_pb.ResponseFinalizeBlock | None:
        """The application's answer as it is stored, for readers of a part of it: 2,500 results are read in 2 ms, and
        made into ours in 25. The last one is kept, since all who waited for a block ask for the same. Do not change
        it."""
        last = self._last_read  # once: readers in other threads put theirs there meanwhile
        if last is not None and last[0] == height:
            return last[1]
        message = self._records.read(
            key_of(RESULTS, height), f"the results of block {height}", abci_pb.ResponseFinalizeBlock.FromString, _any
        )
        if message is None:
            return None
        self._last_read = (height, message)
        return message

    def stored_in_slices(self, height: int) -> Slices[abci_pb.ResponseFinalizeBlock | None]:
        """As `load_stored`, for the loop alone: a large block's results are megabytes. All who ask for the same
        meanwhile step through one parsing."""
        last = self._last_read
        if last is not None and last[0] == height:
            return last[1]
        parsing = self._parsing.get(height)
        if parsing is None:
            data = self.load_encoded(height)
            if data is None:
                return None
            message = abci_pb.ResponseFinalizeBlock()
            parsing = self._parsing[height] = message, parse_ours(message, data)
            if len(self._parsing) > PARSING_MAX:
                del self._parsing[next(iter(self._parsing))]  # who steps through it has it
        message, steps = parsing
        for _ in steps:
            yield
        self._parsing.pop(height, None)
        self._last_read = (height, message)
        return message

    def load_response(self, height: int) -> FinalizeBlockResponse | None:
        """The application's answer to block `height`."""
        return self._records.read(key_of(RESULTS, height), f"the results of block {height}", decode_response, _any)

    def load_results(self, height: int) -> tuple[ExecTxResult, ...] | None:
        response = self.load_response(height)
        return None if response is None else response.tx_results

    def find_tx(self, tx_hash: bytes) -> tuple[int, int] | None:
        """(height, index) of a committed transaction by its SHA-256."""
        data = self._db.get(TX + tx_hash)
        return None if data is None else (int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))

    @property
    def indexed(self) -> Whole | None:
        """The heights whose events the index has; lower ones may be pruned. None: of none."""
        return self._indexed

    @property
    def events(self) -> Reader:
        """Where the index of events lies: for `event_index.postings`. From any thread."""
        return self._db

    # ------------------------------------------------------------------------------------------------ writing

    def save(self, state: State, *, all_sets: bool = False) -> None:
        """Save the state, synced, and the sets and parameters that it brings.

        all_sets: also of the heights at hand, not only what is new: for the first state of a store.
        """
        before = self._state
        if all_sets:
            assert before is None or not before.last_block_height, "a chain begins once"
        else:
            assert before is not None, state.next_height
            assert state.next_height == before.next_height + 1, (state.next_height, before.next_height)
        batch: list[Write] = [(STATE_KEY, state.encode())]
        height = state.next_height
        if all_sets:
            batch.append((key_of(VALIDATORS, height), state.validators.encode()))
            if len(state.last_validators):
                batch.append((key_of(VALIDATORS, height - 1), state.last_validators.encode()))
            batch.append((key_of(PARAMS, height), state.params.encode()))
        changed = state.last_height_validators_changed == height + 1
        if all_sets or changed or (height + 1) % CHECKPOINT_HEIGHTS == 0:
            batch.append((key_of(VALIDATORS, height + 1), state.next_validators.encode()))
        if state.last_height_params_changed == height:
            batch.append((key_of(PARAMS, height), state.params.encode()))
        self._db.write(batch, sync=True)
        self._state = state

    def save_set(self, height: int, validators: ValidatorSet, *, replaces: int = 0) -> None:
        """The set of a height below those that were lived through. Not synced.

        replaces: a height above it whose set is made from this one: it goes, unless it is a checkpoint's. 0: none.
        """
        batch: list[Write] = [(key_of(VALIDATORS, height), validators.encode())]
        if replaces % CHECKPOINT_HEIGHTS:
            batch.append((key_of(VALIDATORS, replaces), None))
        self._db.write(batch)

    def save_response(
        self, height: int, response: bytes, tx_hashes: Sequence[bytes], entries: Sequence[Write] | None = None
    ) -> None:
        """Save the application's answer (encoded) and where its transactions and events are found, in one synced batch.

        entries: `event_index.index_entries` of it; None: its events are not indexed.
        """
        place = height.to_bytes(8, "big")
        batch: list[Write] = self._entries_before(height)  # what is written behind them is there after all
        batch.append((key_of(RESULTS, height), response))
        batch += [(TX + tx_hash, place + index.to_bytes(4, "big")) for index, tx_hash in enumerate(tx_hashes)]
        batch += entries or ()
        whole = event_index.after_saving(self._indexed, height, is_indexed=entries is not None)
        if whole != self._indexed:
            batch.append((event_index.RANGE, None if whole is None else whole.encode()))
        self._db.write(batch, sync=True)
        self._indexed = whole
        self._last_read = None  # it may be of this height, from before a stop
        self._parsing.pop(height, None)

    def _entries_before(self, height: int) -> list[Write]:
        """Takes back what the index has of a block that is executed again, after a rollback or a stop: by another build
        it may have other events."""
        whole = self._indexed
        if whole is None or not whole.first <= height <= whole.last:
            return []
        before = self.load_response(height)
        return [] if before is None else [(key, None) for key, _ in event_index.entries_of(height, before)]

    # ------------------------------------------------------------------------------------------------ pruning
    # Nothing is synced: what a stop takes back is done again (consensus.pruning).

    def forget_txs(self, height: int, tx_hashes: Sequence[bytes]) -> int:
        """Forget where transactions of block `height` are; return about the bytes. One that a later block has too is
        found there."""
        place = height.to_bytes(8, "big")
        batch: list[Write] = []
        for tx_hash in tx_hashes:
            key = TX + tx_hash
            found = self._db.get(key)
            if found is not None and found.startswith(place):
                batch.append((key, None))
        if batch:
            self._db.write(batch)
        return len(batch) * TX_PAIR_BYTES

    def forget_results(self, first: int, stop: int) -> int:
        """Forget the application's answers to blocks from `first` up to, not with, `stop`; return their bytes."""
        batch: list[Write] = []
        size = 0
        for key, data in self._db.scan(key_of(RESULTS, first), key_of(RESULTS, stop)):
            batch.append((key, None))
            size += len(data)
        if batch:
            self._db.write(batch)
        self._last_read = None
        return size

    def forget_sets(self, retain_height: int, keys_max: int) -> bool:
        """Forget validator sets and parameters that no height from `retain_height` on is made from: all but the nearest
        at or below it. Returns whether there are more than `keys_max` of one kind."""
        batch: list[Write] = []
        is_more = False
        for prefix in (VALIDATORS, PARAMS):
            keys: list[bytes] = []
            for key, _ in self._db.scan(prefix, key_of(prefix, retain_height + 1)):
                keys.append(key)
                if len(keys) > keys_max:
                    is_more = True
                    break
            batch += [(key, None) for key in keys[:-1]]
        if batch:
            self._db.write(batch)
        return is_more

    def forget_events(self, below: int) -> tuple[bool, int]:
        """Forget some of the index of events below height `below`: (whether there is more to forget, bytes). It goes by
        whole epochs; what is left of pruned heights is answered to nobody."""
        return event_index.forget_epochs(self._db, below)

    def sync(self) -> None:
        """All that was written is on disk: for a node at rest, where no later state brings that about."""
        self._db.write([], sync=True)

    def compact(self, first: int, stop: int) -> Iterator[None]:
        """Free the disk of what was forgotten by height; yields between the pieces."""
        for prefix in (RESULTS, VALIDATORS, PARAMS):
            self._db.compact(key_of(prefix, first), key_of(prefix, stop))
            yield

    def compact_txs(self) -> Iterator[None]:
        """The same of the index of transactions."""
        pieces = min(256, 1 + self.txs_bytes() // COMPACT_PIECE_BYTES)  # of about one size: the keys are hashes
        bounds = [TX + bytes([256 * number // pieces]) for number in range(pieces)]
        for start, stop in pairwise((*bounds, prefix_end(TX))):
            self._db.compact(start, stop)
            yield

    def compact_events(self, stop: int) -> Iterator[None]:
        """The same of the index of events, below height `stop`."""
        for prefix in (event_index.OF_TXS, event_index.OF_BLOCKS):
            self._db.compact(prefix, event_index.epoch_head(prefix, event_index.epoch_of(stop)))
            yield

    def events_bytes(self) -> int:
        """About what the index of events takes on disk."""
        return self._db.size_bytes(event_index.OF_TXS, prefix_end(event_index.OF_BLOCKS))

    def txs_bytes(self) -> int:
        """About what the index of transactions takes on disk."""
        return self._db.size_bytes(TX, prefix_end(TX))
