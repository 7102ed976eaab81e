"""Block and state stores: what is saved is found, what is pruned is gone and its disk freed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consensus.abci.interface import FinalizeBlockResponse, ValidatorUpdate
from consensus.execution.executor import drive
from consensus.formats import wire
from consensus.state.results import Event, EventAttribute, ExecTxResult, results_hash
from consensus.stores import block_store, state_store
from consensus.stores.block_store import BLOCK, COMMIT, META, PART_SETS_MAX, SEEN, BlockStore
from consensus.stores.block_store import key_of as at_height
from consensus.stores.state_store import PARSING_MAX, StateStore, decode_response, encode_response
from consensus.types.params import BlockParams, ConsensusParams
from consensus.types.parts import PartSet
from storage.errors import StoreCorrupted
from storage.kv import KeyValueStore
from storage.leveldb import LevelStore
from storage.memory import MemoryStore
from tests.support.engine.bench import Home, genesis_of, key_of, make_node, until
from tests.support.engine.kvapp import KeyValueApp


@pytest.fixture(params=["memory", "leveldb"])
def open_db(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], KeyValueStore]:
    if request.param == "memory":
        return lambda name: MemoryStore()
    return lambda name: LevelStore(str(tmp_path / name))


async def test_what_is_read_is_of_the_height_it_lies_under() -> None:
    """A record that a fault of ours, or of the disk, put elsewhere is not served as another height's."""
    home = Home()
    node = await make_node(genesis_of(1), 0, home)
    node.pool.txs = [b"k%d=%d" % (number, number) for number in range(3)]
    node.pool.per_block = 1
    await node.driver.start()
    await node.reach(3)
    await node.driver.stop()
    state = node.driver.state
    blocks, states = BlockStore(home.blocks), StateStore(home.state)
    with pytest.raises(AssertionError):
        states.save(state)  # again
    for prefix, read in ((META, blocks.load_meta), (SEEN, blocks.load_seen_commit), (COMMIT, blocks.load_commit)):
        home.blocks.write([(at_height(prefix, 2), home.blocks.get(at_height(prefix, 1)))])
        with pytest.raises(StoreCorrupted):
            read(2)
    home.blocks.write([(at_height(BLOCK, 1), home.blocks.get(at_height(BLOCK, 3)))])
    with pytest.raises(StoreCorrupted):
        blocks.load_block(1)
    with pytest.raises(StoreCorrupted):
        blocks.load_parts(1)  # and no peer is sent a part of it


async def test_who_is_asked_for_last_stays_cut_and_what_is_cut_is_bounded_by_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """audit 21: with a fifth peer behind, at a height of its own, each part that one was sent cut a block again."""
    home = Home()
    node = await make_node(genesis_of(1), 0, home)
    node.pool.txs = [b"k%d=%s" % (number, bytes(1_000)) for number in range(20)]
    node.pool.per_block = 1
    await node.driver.start()
    await node.reach(20)
    await node.driver.stop()
    cuts = 0
    cut = PartSet.from_bytes

    def counted(data: bytes) -> PartSet:
        nonlocal cuts
        cuts += 1
        return cut(data)

    monkeypatch.setattr(PartSet, "from_bytes", staticmethod(counted))
    blocks = BlockStore(home.blocks)
    for _ in range(5):
        for height in (2, 4, 6, 8, 10, 12):
            assert blocks.load_part(height, 0)
    assert cuts == 6
    for height in range(13, 13 + PART_SETS_MAX):
        assert blocks.load_part(2, 0)  # served all the while
        assert blocks.load_part(height, 0)
    assert cuts == 6 + PART_SETS_MAX
    assert [blocks.has_parts(height) for height in (2, 4, 19)] == [True, False, True]
    one = blocks.load_parts(2)
    assert one is not None
    monkeypatch.setattr(block_store, "PART_SETS_BYTES_MAX", 5 * one.byte_size // 2)
    assert blocks.load_part(4, 0)
    assert [height for height in range(1, 21) if blocks.has_parts(height)] == [2, 4]


async def test_all_who_read_a_blocks_results_at_once_have_them_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: two hundred streams wake up with a block, and look at its results in slices, in turns."""
    monkeypatch.setattr(wire, "SLICE_BYTES", 1)
    states = StateStore(MemoryStore())
    responses: dict[int, FinalizeBlockResponse] = {}
    for height in range(1, PARSING_MAX + 1):
        results = tuple(ExecTxResult(code) for code in range(1, 9))
        responses[height] = FinalizeBlockResponse(results, bytes([height]) * 32)
        states.save_response(height, await drive(encode_response(responses[height])), [])
    begun: list[int] = []
    parse = state_store.parse_ours

    def counted(message: Any, data: bytes) -> Any:
        begun.append(len(data))
        return parse(message, data)

    monkeypatch.setattr(state_store, "parse_ours", counted)
    found: dict[int, list[Any]] = {height: [] for height in responses}
    reading = [(height, states.stored_in_slices(height)) for height in responses for _ in range(5)]
    next(reading.pop()[1])  # one that leaves
    while reading:  # a slice each, in turns
        for height, steps in list(reading):
            try:
                next(steps)
            except StopIteration as done:
                found[height].append(done.value)
                reading.remove((height, steps))
    assert len(begun) == PARSING_MAX
    for height, messages in found.items():
        assert len(messages) == 5 - (height == PARSING_MAX)
        assert all(decode_response(message.SerializeToString()) == responses[height] for message in messages)


async def test_blocks_are_found_by_height_and_hash_until_pruned(open_db: Callable[[str], KeyValueStore]) -> None:
    """Failure 4: what the application lets go of is deleted, index and all."""
    home = Home(blocks=open_db("blocks"), state=open_db("state"), app=open_db("app"))
    node = await make_node(genesis_of(1), 0, home, retain_blocks=5)
    node.pool.txs = [b"k%d=%d" % (number, number) for number in range(12)]
    node.pool.per_block = 1
    await node.driver.start()
    await node.reach(12)
    blocks, states = node.executor.blocks, node.executor.states
    await until(lambda: node.pruning.metrics.blocks >= 3 and blocks.lowest_stored() > 3)  # beside consensus
    await node.driver.stop()
    await node.pruner.stop()
    height = node.height
    assert blocks.height == height
    for _ in node.pruning.at_rest(height - 5):
        pass
    assert blocks.base == height - 5
    for at in range(1, height + 1):
        kept = at >= blocks.base
        block = blocks.load_block(at)
        assert (block is not None) == kept, at
        assert (blocks.load_meta(at) is not None) == kept
        assert (blocks.load_part(at, 0) is not None) == kept
        assert (blocks.load_seen_commit(at) is not None) == kept
        assert (states.load_results(at) is not None) == kept
        if block is not None:
            assert blocks.height_of_hash(block.hash) == at
            validators = states.load_validators(at)
            assert validators is not None
            assert validators.hash == block.header.validators_hash
            params = states.load_params(at)
            assert params is not None
            assert params.hash == block.header.consensus_hash
    assert blocks.load_part(height, 1) is None
    assert blocks.load_part(height + 1, 0) is None
    left = [key for key, _ in home.blocks.scan()]
    assert len(left) <= 6 * 7 + 1  # six kept heights, no remains of the others
    txs = [key for key, _ in home.state.scan(b"t", b"u")]
    stored = [blocks.load_block(at) for at in range(blocks.base, height + 1)]
    assert len(txs) == sum(len(block.txs) for block in stored if block is not None)
    again = BlockStore(home.blocks)
    assert (again.base, again.height) == (blocks.base, blocks.height)


async def test_a_response_reads_back() -> None:
    event = Event("transfer", (EventAttribute("sender", "a"), EventAttribute("amount", "5", index=False)))
    response = FinalizeBlockResponse(
        tx_results=(ExecTxResult(0, b"data", "log", "info", 5, 3, (event,), ""), ExecTxResult(code=7, codespace="kv")),
        app_hash=b"h" * 32,
        validator_updates=(ValidatorUpdate(key_of(1).pub_key, 0), ValidatorUpdate(key_of(2).pub_key, 7)),
        consensus_param_updates=ConsensusParams(block=BlockParams(max_bytes=4096)),
        events=(Event.of("mint", amount="7"), Event("empty")),
    )
    assert decode_response(await drive(encode_response(response))) == response


async def test_a_reader_gets_the_block_that_it_asked_for_whatever_others_read_meanwhile() -> None:
    """audit 20: readers in threads share the last answer read: between the look at its height and the taking of it,
    another's could be put there, and a client was told what became of another block's transactions."""

    class Interrupted(int):
        """A height in whose comparison another thread reads."""

        def __eq__(self, other: object) -> bool:
            is_equal = int(self) == other
            states._last_read = (2, decoded[2])
            return is_equal

        __hash__ = int.__hash__

    states, decoded = StateStore(MemoryStore()), {}
    for height in (1, 2):
        response = FinalizeBlockResponse((ExecTxResult(code=height),), bytes(32))
        states.save_response(height, await drive(encode_response(response)), [])
        decoded[height] = states.load_stored(height)
    states._last_read = (Interrupted(1), decoded[1])
    stored = states.load_stored(1)
    assert stored is not None
    assert [result.code for result in stored.tx_results] == [1]


@pytest.mark.parametrize("tells", [True, False])
async def test_events_are_stored_and_change_no_hash(open_db: Callable[[str], KeyValueStore], tells: bool) -> None:
    """A node whose application tells of events and one whose does not make the same chain."""
    node = await make_node(genesis_of(1), 0, Home(blocks=open_db("blocks"), state=open_db("state"), app=open_db("app")))
    node.app.tells = tells
    node.pool.txs = [b"k%d=%d" % (number, number) for number in range(6)]
    node.pool.per_block = 3
    await node.driver.start()
    await node.reach(2)
    await node.driver.stop()
    block, response = node.executor.blocks.load_block(2), node.executor.states.load_response(2)
    assert block is not None
    assert response is not None
    assert block.header.app_hash == KeyValueApp.hash_of({f"k{number}": str(number) for number in range(3)})
    assert block.header.last_results_hash == results_hash([ExecTxResult(gas_used=4)] * 3)
    pairs = [(Event.of("pair", key=f"k{number}", value=str(number)),) for number in range(3, 6)]
    assert [result.events for result in response.tx_results] == (pairs if tells else [()] * 3)
    assert response.events == ((Event.of("pairs", count="6"),) if tells else ())


def test_validator_sets_between_checkpoints_have_the_chains_priorities() -> None:
    states, state = StateStore(MemoryStore()), genesis_of(4).state()
    states.save(state, all_sets=True)
    from dataclasses import replace

    want = {1: state.validators, 2: state.next_validators}
    for height in range(1, 250):
        state = replace(
            state,
            last_block_height=height,
            last_validators=state.validators,
            validators=state.next_validators,
            next_validators=state.next_validators.increment(),
        )
        states.save(state)
        want[height + 2] = state.next_validators
    for height, validators in want.items():
        found = states.load_validators(height)
        assert found == validators, height
        assert found is not None
        assert found.proposer(0) == validators.proposer(0)
    assert states.load_validators(252) is None
    assert states.load_validators(0) is None
    again = StateStore(states._db)
    assert again.load() == state
    assert again.load_validators(150) == want[150]
