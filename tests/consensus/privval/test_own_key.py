"""A second process with our key, or a home that is an old copy, is noticed and ends this one (lighthouse#2069)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus.core.events import NilReason, SignVote, Step, VoteKind
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.channel import SignerAddress
from consensus.privval.own_key import KeyUsedElsewhere, OwnKeyWatch, WatchOver
from consensus.privval.remote import RemoteKey, RemoteSigner
from consensus.simulation.disk import SimulatedDisk
from consensus.system.clock import InlineWorkers
from consensus.system.errors import EXIT_CONSENSUS_FAILURE
from consensus.types.block import Commit
from consensus.types.commit import CommitSig
from consensus.types.ids import NIL_BLOCK_ID
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from tests.support.engine.bench import FAST, SLOW_PROPOSER, Home, StopAt, genesis_of, key_of, make_node, until
from tests.support.engine.driver import OTHER, Bench, make_bench, own_votes, restart
from tests.support.engine.memnet import MemoryNetwork

S = 10**9


async def _after_own_prevote() -> Bench:
    bench = await make_bench()
    block = bench.block()
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    await until(lambda: bool(own_votes(bench)))
    return bench


@pytest.mark.parametrize(
    ("type", "round", "block_id"),
    [
        pytest.param(PRECOMMIT, 0, OTHER, id="a later step than we signed"),
        pytest.param(PREVOTE, 1, NIL_BLOCK_ID, id="a later round"),
        pytest.param(PREVOTE, 0, OTHER, id="another vote for what we signed"),
    ],
)
async def test_our_key_signing_elsewhere_ends_this_process(type: int, round: int, block_id: object) -> None:
    """Before: a warning of the log at most, and both went on signing until they were slashed."""
    bench = await _after_own_prevote()
    assert isinstance(block_id, type_of := OTHER.__class__), type_of
    bench.driver.add_vote(bench.vote(bench.ours, type, block_id, round=round), "peer")
    await until(lambda: bool(bench.node.fatal))
    code, line = bench.node.fatal[0]
    assert code == EXIT_CONSENSUS_FAILURE
    assert "its key signed" in line
    assert "stop it" in line
    await bench.driver.stop()


async def test_the_same_vote_at_another_time_is_another_process() -> None:
    """The signer repeats its signature, so a second one for the same vote is somebody else's."""
    bench = await _after_own_prevote()
    (ours,) = [vote for vote in _votes(bench) if vote.validator_index == bench.ours]
    later = replace(ours, timestamp_ns=ours.timestamp_ns + 1)
    signed = later.signed(bench.keys[bench.ours].sign(later.sign_bytes(bench.chain_id)))
    bench.driver.add_vote(ours, "peer")  # an echo
    await bench.settle()
    assert not bench.node.fatal
    bench.driver.add_vote(signed, "peer")
    await until(lambda: bool(bench.node.fatal))
    await bench.driver.stop()


def _votes(bench: Bench) -> list[Vote]:
    votes = bench.driver.round_state.votes(VoteKind.PREVOTE, 0)
    assert votes is not None
    return [vote for index in range(4) if (vote := votes.get(index)) is not None]


async def test_nobody_without_our_key_can_cause_it() -> None:
    bench = await _after_own_prevote()
    forged = replace(bench.vote(bench.ours, PRECOMMIT), signature=b"f" * 64)
    bench.driver.add_vote(forged, "liar")
    await until(lambda: bool(bench.faults))
    assert bench.faults[0][0] == "liar"
    assert not bench.node.fatal
    await bench.driver.stop()


async def test_a_home_that_is_an_old_copy_does_not_sync_past_its_own_signatures() -> None:
    genesis = genesis_of(4)
    homes = [Home() for _ in range(4)]
    nodes = [await make_node(genesis, index, home, config=SLOW_PROPOSER) for index, home in enumerate(homes)]
    network = MemoryNetwork(nodes)
    await network.start()
    await network.reach(4)
    await network.stop()
    source, address = nodes[0].executor.blocks, nodes[3].driver._own.address
    old = await make_node(genesis, 3, Home(), config=SLOW_PROPOSER)  # as restored from before the first block
    refused = 0
    for height in range(1, 4):
        block, parts, commit = source.load_block(height), source.load_parts(height), source.load_commit(height)
        assert block is not None
        assert parts is not None
        assert commit is not None
        if all(slot.validator_address != address for slot in commit.signatures):
            await old.driver.apply_synced_block(block, block.block_id, parts, commit)
            continue
        with pytest.raises(KeyUsedElsewhere, match="old copy"):
            await old.driver.apply_synced_block(block, block.block_id, parts, commit)
        refused = height
        break
    assert refused
    assert old.height < refused  # nothing was applied past it


async def test_nothing_is_signed_while_the_node_listens_for_its_key_and_all_after() -> None:
    """The chain stood still for want of its vote: what it owed in the running round is signed when the watch ends."""
    node = await make_node(genesis_of(1), 0, Home(), config=FAST, watch_before_signing_ns=3600 * S)
    await node.driver.start()
    await until(lambda: node.driver.core.step is Step.PREVOTE)
    signer = node.driver._signer
    assert signer is not None
    assert (signer.last_position, node.height) == ((0, 0, 0), 0)
    node.driver._push(WatchOver())  # as its timer does
    await until(lambda: node.height >= 2)
    await node.driver.stop()
    assert not node.fatal


async def test_the_watch_ends_by_itself() -> None:
    node = await make_node(genesis_of(1), 0, Home(), config=FAST, watch_before_signing_ns=S // 10)
    await node.driver.start()
    await until(lambda: node.height >= 1)
    await node.driver.stop()


async def test_a_second_process_is_seen_while_the_node_listens() -> None:
    bench = await make_bench(watch_before_signing_ns=3600 * S)
    await until(lambda: bench.driver.core.step is not Step.NEW_HEIGHT)
    bench.driver.add_vote(bench.vote(bench.ours, PREVOTE, NIL_BLOCK_ID), "peer")
    await until(lambda: bool(bench.node.fatal))
    signer = bench.driver._signer
    assert signer is not None
    assert signer.last_position == (0, 0, 0)
    await bench.driver.stop()


def _slot(address: bytes, signature: bytes) -> Commit:
    return Commit(7, 0, OTHER, (CommitSig(2, address, 5, signature),))


async def test_a_decided_commit_with_another_signature_of_ours_is_another_process() -> None:
    """Twins vote for the same block mostly: the commits that proposers put together show both."""
    bench = await _after_own_prevote()
    signer = bench.driver._signer
    watch = OwnKeyWatch(signer)
    vote = Vote(PRECOMMIT, 7, 0, OTHER, 5, watch.address, 0, signature=b"a" * 64)
    watch.signed(vote)
    watch.saw_commit(_slot(watch.address, b"a" * 64))
    watch.saw_commit(_slot(b"x" * 20, b"b" * 64))
    with pytest.raises(KeyUsedElsewhere):
        watch.saw_commit(_slot(watch.address, b"b" * 64))
    await bench.driver.stop()


def test_an_observer_has_no_key() -> None:
    watch = OwnKeyWatch(None)
    watch.saw_commit(_slot(b"", b""))
    assert not watch.is_ours(b"")


ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def malleated(vote: Vote) -> Vote:
    """The same equation holds with S + L: what anybody could make of a signature, were it accepted."""
    s = int.from_bytes(vote.signature[32:], "little") + ED25519_ORDER
    return replace(vote, signature=vote.signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("passage", [1, 2], ids=["prevote", "precommit"])
@pytest.mark.parametrize("point", ["vote signed", "vote logged"])
async def test_echoes_of_what_was_signed_before_a_stop_are_no_second_process(point: str, passage: int) -> None:
    """lighthouse#2069: a stop at any step of signing, then peers that show all of it, again and again."""
    bench = await make_bench(fail_point=StopAt(point, passage))
    signer, signed = bench.driver._own.signer, list[Vote]()
    assert signer is not None
    sign_vote = signer.sign_vote

    def remember(*args: Any, **options: Any) -> Vote:
        signed.append(sign_vote(*args, **options))
        return signed[-1]

    signer.sign_vote = remember  # type: ignore[method-assign]
    block = bench.block()
    bench.driver.add_proposal(bench.proposal(block.block_id), "peer")
    bench.send_block(block)
    for index in bench.others:
        bench.driver.add_vote(bench.vote(index, PREVOTE, block.block_id), "peer")
    await until(lambda: bench.driver._consensus is not None and bench.driver._consensus.done())
    assert len(signed) == passage
    back = await restart(bench)
    for number in range(4):
        for vote in signed:
            back.driver.add_vote(vote, f"echo {number}")
            back.driver.add_vote(malleated(vote), f"liar {number}")
        await back.settle()
    await until(lambda: back.driver.core.step is not Step.NEW_HEIGHT)
    back.driver.add_proposal(back.proposal(block.block_id), "peer")
    back.send_block(block)
    for kind in (PREVOTE, PRECOMMIT):
        for index in back.others:
            back.driver.add_vote(back.vote(index, kind, block.block_id), "peer")
    await until(lambda: back.node.height == 1)
    for vote in signed:  # late, of the height before
        back.driver.add_vote(vote, "late")
        back.driver.add_vote(malleated(vote), "liar")
    await back.settle()
    await until(lambda: not back.driver._inbox)
    assert not back.node.fatal
    assert back.driver.is_running
    await back.driver.stop()


async def test_nothing_is_signed_for_so_many_heights() -> None:
    """After a move: the chain goes on without us, and shows a second user of the key."""
    bench = await make_bench(watch_heights=3)
    await until(lambda: bench.driver.core.step is not Step.NEW_HEIGHT)
    signer = bench.driver._signer
    assert signer is not None
    watch = bench.driver._own.watch
    votes = [SignVote(VoteKind.PREVOTE, height, 0, None, NilReason.NO_PROPOSAL) for height in (1, 3, 4)]
    assert [watch.puts_off(vote, 0) for vote in votes] == [True, True, False]
    assert signer.last_position == (0, 0, 0)
    bench.driver.add_vote(bench.vote(bench.ours, PREVOTE, NIL_BLOCK_ID), "peer")
    await until(lambda: bool(bench.node.fatal))
    await bench.driver.stop()


async def test_who_is_alone_does_not_wait_for_blocks_of_others() -> None:
    node = await make_node(genesis_of(1), 0, Home(), config=FAST, watch_heights=100)
    await node.driver.start()
    await until(lambda: node.height >= 1)
    await node.driver.stop()


def of_remote() -> OwnKeyWatch:
    """Of a signer that has a record of its own, from a home without one."""
    key = RemoteKey(key_of(0).pub_key, SignerAddress(path="/signer"), NodeKey.generate())
    signer = RemoteSigner.open(SimulatedDisk(), Path("/node/state.json"), key, "c", InlineWorkers())
    assert signer.has_record_elsewhere
    return OwnKeyWatch(signer, is_recorded_elsewhere=True)


def vote_of(watch: OwnKeyWatch, height: int, round_: int = 0, signature: bytes = b"b" * 64) -> Vote:
    return Vote(PREVOTE, height, round_, OTHER, 5, watch.address, 0, signature=signature)


def test_what_was_signed_before_the_key_was_moved_to_a_signer_is_ours_until_this_process_signs() -> None:
    """Else a node whose key moved ended at its next start, by what it had signed itself."""
    watch = of_remote()
    watch.saw_commit(_slot(watch.address, b"b" * 64))
    watch.saw_vote(vote_of(watch, 8))
    watch.signed(vote_of(watch, 9, signature=b"a" * 64))
    watch.saw_vote(vote_of(watch, 9, 1))  # of the height that ran when it was moved
    for second in (vote_of(watch, 10), vote_of(watch, 9)):  # the latter is another than what was made here
        with pytest.raises(KeyUsedElsewhere):
            watch.saw_vote(second)


def test_a_second_process_is_seen_while_a_node_with_a_signer_elsewhere_listens() -> None:
    for listens in (lambda one: one.wait(S, 0, 9), lambda one: one.wait_until_height(19, 9)):
        watch = of_remote()
        listens(watch)
        watch.saw_vote(vote_of(watch, 9, 3))
        with pytest.raises(KeyUsedElsewhere, match="its record began at 10/0/0"):
            watch.saw_vote(vote_of(watch, 10))
