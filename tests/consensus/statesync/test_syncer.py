"""Restoring from peers that are slow, lying, vanishing or without end; stops in between; what the application says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from consensus.abci.interface import ApplyChunkResult, OfferSnapshotResult, Snapshot
from consensus.channels import state_sync_messages as m
from consensus.statesync import syncer
from consensus.statesync.chunks import ChunkFolder
from consensus.statesync.offers import PER_PEER_MAX
from consensus.statesync.syncer import BAN_S, HeaderUnknown, StateSyncFailed
from tests.support.p2p.peers import until
from tests.support.statesync.world import CHAIN, FOLDER, HEIGHT, SnapApp, World, chunks_of, play, restore, snapshot_of

GOOD = snapshot_of(HEIGHT)


class Liar(SnapApp):
    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        return super().load_snapshot_chunk(height, format, chunk)[:-1] + b"!"


class Keeper(SnapApp):
    """It has all, and gives away `given` chunks; from then on it says nothing."""

    given = 0
    block: Any = None

    def load_snapshot_chunk(self, height: int, format: int, chunk: int) -> bytes:
        if self.served.total() >= self.given:
            raise RuntimeError("nothing is said")
        return super().load_snapshot_chunk(height, format, chunk)


def test_a_snapshot_is_fetched_from_several_peers_and_applied_in_order() -> None:
    async def scenario(world: World) -> None:
        for letter in "abc":
            world.server(letter, GOOD)
        restored = await restore(world)
        assert (restored.height, world.app.height) == (HEIGHT, HEIGHT)
        assert restored.blocks == tuple(CHAIN.blocks[HEIGHT + ahead] for ahead in range(3))
        assert world.app.applied == chunks_of(HEIGHT, 12)
        assert all(app.served for app in world.servers.values())
        assert sum((app.served for app in world.servers.values()), start=type(world.app.served)()).total() == 12
        assert not world.banned

    play(scenario)


def test_the_highest_snapshot_goes_first_then_the_newest_format_then_what_most_have() -> None:
    rare = replace(snapshot_of(HEIGHT), hash=bytes(32))

    async def scenario(world: World) -> None:
        world.app.offer_result = OfferSnapshotResult.REJECT
        world.server("a", snapshot_of(20), GOOD)
        world.server("b", snapshot_of(HEIGHT, format=2), GOOD)
        world.server("c", rare)
        task = asyncio.ensure_future(restore(world))
        await until(lambda: len(world.app.offered) == 4, timeout_s=60)
        assert world.app.offered == [snapshot_of(HEIGHT, format=2), GOOD, rare, snapshot_of(20)]
        task.cancel()

    play(scenario)


def test_a_wrong_chunk_costs_its_sender_and_another_is_asked() -> None:
    """Failure 6."""

    async def scenario(world: World) -> None:
        world.server("a", app=Liar(GOOD))
        world.server("b", GOOD)
        await restore(world)
        assert world.app.applied == chunks_of(HEIGHT, 12)
        assert world.banned == ["a" * 40]
        assert world.host is not None
        assert world.host.dropped[0][2] == BAN_S
        assert set(world.app.senders) == {"b" * 40}

    play(scenario)


def test_who_is_silent_is_asked_last_and_not_banned() -> None:
    async def scenario(world: World) -> None:
        world.server("a", app=Keeper(GOOD))
        world.server("b", GOOD)
        sync = world.new()
        await restore(world, sync, within_s=60)
        assert sync.metrics.timeouts
        assert not world.banned

    play(scenario)


def test_peers_that_vanish_are_waited_for_and_nothing_is_fetched_twice() -> None:
    async def scenario(world: World) -> None:
        first = world.server("a", app=Keeper(GOOD))
        assert isinstance(first, Keeper)
        first.given = 5
        sync = world.new()
        task = asyncio.ensure_future(restore(world, sync))
        await until(lambda: sync.metrics.chunks_fetched == 5, timeout_s=60)
        assert world.host is not None
        world.network.disconnect(world.host.id, "a" * 40)
        await until(lambda: "a peer that has the snapshot" in sync.waits_for, timeout_s=60)
        second = world.server("b", GOOD)
        world.network.connect(world.host.id, "b" * 40)
        await task
        assert world.app.applied == chunks_of(HEIGHT, 12)
        assert second.served.total() == 7
        assert not second.served.keys() & first.served.keys()

    play(scenario)


def test_a_snapshot_that_was_taken_away_is_left_for_the_next() -> None:
    async def scenario(world: World) -> None:
        app = world.server("a", snapshot_of(20))
        sync = world.new()
        task = asyncio.ensure_future(restore(world, sync))
        await until(lambda: world.app.offered, timeout_s=60)
        app.snapshots = [GOOD]
        await task
        assert world.app.height in (20, HEIGHT)
        if world.app.height == HEIGHT:
            assert world.app.applied == chunks_of(HEIGHT, 12)
        assert not world.banned

    play(scenario)


def test_nobody_has_it_any_more_and_there_is_another() -> None:
    async def scenario(world: World) -> None:
        app = world.server("a", app=Keeper(snapshot_of(20)))
        assert isinstance(app, Keeper)
        app.given = 3
        task = asyncio.ensure_future(restore(world))
        await until(lambda: app.served.total() == 3, timeout_s=60)
        app.snapshots, app.given = [GOOD], 1_000
        assert world.host is not None
        world.network.disconnect(world.host.id, "a" * 40)
        world.network.connect(world.host.id, "a" * 40)
        await task
        assert world.app.height == HEIGHT
        assert ChunkFolder(world.disk, FOLDER).snapshot == GOOD
        assert len([path for path in world.disk.files if path.suffix == ".chunk"]) == 12

    play(scenario)


def test_a_list_without_end_is_cut_and_counts_against_its_sender() -> None:
    async def scenario(world: World) -> None:
        world.server("a", GOOD)
        world.server("b", *[snapshot_of(2 + number % 20, 1 + number) for number in range(1_000)])
        sync = world.new(discovery_s=30)
        task = asyncio.ensure_future(restore(world, sync))
        assert world.host is not None
        liar = world.host.links["b" * 40]
        back = world.network.hosts["b" * 40].links[world.host.id]
        await until(lambda: len(sync._offers) > PER_PEER_MAX, timeout_s=20)
        for number in range(500):
            back.try_send(m.SNAPSHOT_CHANNEL, m.SnapshotsResponse(snapshot_of(3, 1 + number)).encode())
        await until(lambda: liar.useless_by_kind.total() == 500, timeout_s=20)
        assert len(sync._offers) == 1 + PER_PEER_MAX
        await task
        assert world.app.height == HEIGHT

    play(scenario)


@pytest.mark.parametrize("result", [OfferSnapshotResult.REJECT, OfferSnapshotResult.REJECT_FORMAT])
def test_what_the_application_does_not_take_is_no_fault(result: OfferSnapshotResult) -> None:
    async def scenario(world: World) -> None:
        other = snapshot_of(20, format=3)
        world.app.offer_results = {GOOD: result}
        world.server("a", GOOD, snapshot_of(25), other)
        await restore(world)
        expected = [GOOD, snapshot_of(25)] if result is OfferSnapshotResult.REJECT else [GOOD, other]
        assert world.app.offered == expected
        assert not world.banned

    play(scenario)


def test_a_sender_that_the_application_rejects_is_banned() -> None:
    async def scenario(world: World) -> None:
        false = replace(GOOD, height=35)
        world.app.offer_results = {false: OfferSnapshotResult.REJECT_SENDER}
        world.server("a", false, GOOD)
        world.server("b", GOOD)
        await restore(world)
        assert world.banned == ["a" * 40]
        assert world.app.height == HEIGHT

    play(scenario)


def test_a_snapshot_that_turns_out_false_at_its_end_bans_who_offered_it() -> None:
    """Its chunks have the hashes that it names: who named it lies, and so does everybody who has it."""

    async def scenario(world: World) -> None:
        world.app.last_result = ApplyChunkResult.REJECT_SNAPSHOT
        world.server("a", snapshot_of(35))
        world.server("b", snapshot_of(35))
        world.server("c", GOOD)
        await restore(world)
        assert sorted(world.banned) == ["a" * 40, "b" * 40]
        assert world.app.height == HEIGHT

    play(scenario)


@pytest.mark.parametrize("where", ["offer", "chunk"])
def test_an_application_that_gives_up_ends_it(where: str) -> None:
    async def scenario(world: World) -> None:
        if where == "offer":
            world.app.offer_result = OfferSnapshotResult.ABORT
        else:
            world.app.last_result = ApplyChunkResult.ABORT
        world.server("a", GOOD)
        with pytest.raises(StateSyncFailed):
            await restore(world)

    play(scenario)


def test_a_snapshot_is_offered_again_where_the_application_asks_for_it() -> None:
    async def scenario(world: World) -> None:
        world.app.last_result = ApplyChunkResult.RETRY_SNAPSHOT
        app = world.server("a", GOOD)
        await restore(world)
        assert world.app.offered == [GOOD, GOOD]
        assert app.served.total() == 12  # they are on disk

    play(scenario)


def test_headers_that_are_not_there_yet_are_waited_for() -> None:
    async def scenario(world: World) -> None:
        world.light.latest = HEIGHT + 1
        world.server("a", GOOD)
        sync = world.new()
        task = asyncio.ensure_future(restore(world, sync))
        await until(lambda: f"header {HEIGHT + 2}" in sync.waits_for, timeout_s=30)
        assert not world.app.offered
        world.light.latest = HEIGHT + 2
        await task

    play(scenario)


def test_a_snapshot_above_every_header_is_passed_over() -> None:
    async def scenario(world: World) -> None:
        world.light.latest = HEIGHT + 2
        world.server("a", snapshot_of(38), GOOD)
        await restore(world)
        assert world.app.offered == [GOOD]
        assert not world.banned

    play(scenario)


def test_without_trust_it_ends() -> None:
    async def scenario(world: World) -> None:
        world.light.fails = StateSyncFailed("the trusted header is too old")
        world.server("a", GOOD)
        with pytest.raises(StateSyncFailed, match="too old"):
            await restore(world)

    play(scenario)


def test_an_application_that_says_otherwise_than_the_headers_ends_it() -> None:
    class Other(SnapApp):
        def info(self, request: Any) -> Any:
            return replace(super().info(request), last_block_app_hash=bytes(32))

    async def scenario(world: World) -> None:
        world.app = Other()
        world.server("a", GOOD)
        with pytest.raises(StateSyncFailed, match="the headers say"):
            await restore(world)

    play(scenario)


# ------------------------------------------------------------------------------ stops


@pytest.mark.parametrize("applied", [0, 1, 5, 11])
def test_after_a_stop_only_what_is_missing_is_fetched(applied: int) -> None:
    async def scenario(world: World) -> None:
        first = world.server("a", app=Keeper(GOOD))
        assert isinstance(first, Keeper)
        first.given = applied
        sync = world.new()
        task = asyncio.ensure_future(restore(world, sync))
        await until(lambda: world.app.offered and sync.metrics.chunks_fetched == applied, timeout_s=60)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        world.servers.clear()
        world.disk = world.disk.crashed()
        assert ChunkFolder(world.disk, FOLDER).is_begun
        world.app = SnapApp()
        second = world.server("b", GOOD)
        await restore(world)
        assert world.app.applied == chunks_of(HEIGHT, 12)
        assert second.served.total() == 12 - applied

    play(scenario)


def test_what_was_fetched_before_a_stop_goes_first_while_somebody_has_it() -> None:
    async def scenario(world: World) -> None:
        folder = ChunkFolder(world.disk, FOLDER)
        folder.begin()
        folder.choose(snapshot_of(20))
        folder.put(3, chunks_of(20, 12)[3])
        app = world.server("a", GOOD, snapshot_of(20))
        await restore(world)
        assert world.app.height == 20
        assert 3 not in app.served

    play(scenario)


def test_a_chunk_that_the_disk_gave_back_otherwise_is_fetched_again() -> None:
    async def scenario(world: World) -> None:
        folder = ChunkFolder(world.disk, FOLDER)
        folder.begin()
        folder.choose(GOOD)
        folder.put(3, b"torn")
        app = world.server("a", GOOD)
        await restore(world)
        assert world.app.applied == chunks_of(HEIGHT, 12)
        assert app.served[3] == 1
        assert not world.banned

    play(scenario)


def test_the_folder_says_that_it_began_until_all_is_saved() -> None:
    async def scenario(world: World) -> None:
        world.server("a", GOOD)
        folder = ChunkFolder(world.disk, FOLDER)
        assert not folder.is_begun
        await restore(world)
        after = world.disk.crashed()
        assert ChunkFolder(after, FOLDER).is_begun
        ChunkFolder(after, FOLDER).clear()
        assert not after.crashed().files

    play(scenario)


def test_nothing_is_offered_and_it_says_what_it_waits_for() -> None:
    async def scenario(world: World) -> None:
        world.server("a")
        sync = world.new()
        task = asyncio.ensure_future(restore(world, sync))
        await until(lambda: "snapshots: none of 1 peers" in sync.waits_for, timeout_s=30)
        world.servers["a" * 40].snapshots.append(GOOD)
        await task  # it asks again

    play(scenario)


def test_a_snapshot_whose_next_chunk_nobody_sends_is_given_up() -> None:
    async def scenario(world: World) -> None:
        world.server("a", app=Keeper(snapshot_of(35)))
        world.server("b", GOOD)
        sync = world.new()
        await restore(world, sync)
        assert world.app.offered == [snapshot_of(35), GOOD]
        assert sync.metrics.refused_snapshots == 1

    play(scenario)


def test_light_source_errors_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncer, "HEADERS_S", 5.0)

    async def scenario(world: World) -> None:
        world.light.fails = HeaderUnknown("nobody is there")
        world.server("a", GOOD)
        sync = world.new()
        task = asyncio.ensure_future(restore(world, sync))
        await until(lambda: "nobody is there" in sync.waits_for, timeout_s=30)
        world.light.fails = None
        await task

    play(scenario)


def test_the_snapshot_of_a_message_is_the_one_that_was_sent() -> None:
    sent = Snapshot(7, 1, 3, b"hash", b"data")
    assert m.decode_state_sync(m.SNAPSHOT_CHANNEL, m.SnapshotsResponse(sent).encode()) == m.SnapshotsResponse(sent)


def test_snapshots_of_no_height_of_the_chain_hold_up_for_seconds_each_where_there_is_another() -> None:
    """The highest goes first: ten offers of heights that never come cost ten minutes before."""

    async def scenario(world: World) -> None:
        world.server("a", *(snapshot_of(CHAIN.height + 1_000 + more) for more in range(PER_PEER_MAX)))
        world.server("b", GOOD)
        sync = world.new()
        restored = await restore(world, sync, within_s=(syncer.OTHERS_S + 2) * PER_PEER_MAX)
        assert restored.height == HEIGHT

    play(scenario)
