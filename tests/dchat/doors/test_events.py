"""Events at the doors: in order, each once, for readers that are slow, go away, filter, or ask for nonsense."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from consensus.formats import wire
from consensus.state.cursors import INDEX_MAX, Cursor
from consensus.types.block import Data
from dchat.client.client import ClientError
from dchat.doors.reads import event_feed as feed
from dchat.doors.reads.event_feed import EventFilter
from proto.tendermint.abci import types_pb2 as abci_pb
from tests.support.node.running import until
from tests.support.node.telling import Told, read, read_all, telling_chain

UNKNOWN = {  # as they stand in protobuf: later versions may have them, so that a block with a few is valid
    "number": b"\x10\xac\x02",
    "8 bytes": b"\x19\x05\x05\x05\x05\x05\x05\x05\x05",
    "text": b"\x22\x01a",
    "4 bytes": b"\x2d\x05\x05\x05\x05",
    "number beyond 15": b"\x80\x01\x01",
    "text beyond 15": b"\x82\x01\x03abc",
    "length in more bytes than it needs": b"\x22\x81\x80\x00a",
}


def blocks_of(found: list[Told]) -> list[int]:
    return sorted({cursor.height for cursor, _, _ in found})


async def test_every_event_has_its_place() -> None:
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2)
        found, progress = await read_all(client, from_height=1, to_height=3)
        assert found == telling.saved()
        assert [cursor.index for cursor, _, _ in found if cursor.height == 2] == [0, 1, 2]
        assert [bool(tx_hash) for cursor, tx_hash, _ in found if cursor.height == 2] == [True, True, False]
        assert progress == [Cursor.of_end(3)]


@pytest.mark.parametrize("other", UNKNOWN)
async def test_fields_that_nobody_knows_in_a_block_stop_no_reader(other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: one proposer's block with a number beside its transactions was decided, and no door could read it."""
    encode = Data.encode
    monkeypatch.setattr(Data, "encode", lambda self: UNKNOWN[other] + encode(self) + UNKNOWN[other])
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2)
        assert UNKNOWN[other] in (telling.answers.blocks.load_block_bytes(2) or b"")
        found, _ = await read_all(client, from_height=1, to_height=3)
        assert found == telling.saved()
        assert len((await client.block_results(2)).results) == 2
        streamed = await anext(client.stream_blocks(2, with_results=True))
        assert [result.hash for result in streamed.results] == list(telling.answers.load_block(2).data.tx_hashes)


@pytest.mark.parametrize("seen_events", range(1, 8))
async def test_a_reader_that_was_away_gets_the_rest_once(seen_events: int) -> None:
    """Failure 12: wherever it stopped, also in the middle of a block, nothing is lost and nothing comes twice."""
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2)
        seen = await read(client, seen_events, from_height=1)
        await telling.make_blocks(2)  # while nobody reads
        rest, _ = await read_all(client, after=seen[-1][0], to_height=5)
        assert seen + rest == telling.saved()


async def test_a_cursor_outlives_a_restart_of_the_node() -> None:
    """Failure 12: the cursor is the chain's, not the connection's."""
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2)
        seen = await read(client, 3, from_height=1)
        home, watcher = telling.chain.home, telling.client()
        waiting = asyncio.create_task(read(watcher, 10**6, after=seen[-1][0]))
        await until(lambda: telling.grpc.guard.waits.used == 1)
    async with watcher:
        with pytest.raises(ClientError):
            await waiting  # the node stopped: said as an error, never as an end
    async with telling_chain(home=home) as telling, telling.client() as client:
        await telling.make_blocks(1)
        rest, _ = await read_all(client, after=seen[-1][0], to_height=4)
        assert seen + rest == telling.saved()


async def test_a_slow_reader_is_served_from_disk_and_holds_up_nobody() -> None:
    """Failure 12: nothing is queued for it, so it is not dropped for being slow."""
    async with telling_chain() as telling, telling.client() as slow, telling.client() as quick:
        await telling.make_blocks(1)
        async with contextlib.aclosing(slow.stream_events(from_height=1)) as stream:
            first = await anext(stream)
            await telling.make_blocks(20, pairs=300)
            found, _ = await read_all(quick, from_height=1, to_height=22)
            assert found == telling.saved()
            assert telling.grpc.guard.waits.used == 1  # the slow one's
            seen = [first]
            async with asyncio.timeout(20):
                async for message in stream:
                    seen.append(message)
                    if message.cursor.height == 22 and not message.tx_hash:
                        break
        assert [Cursor(m.cursor.height, m.cursor.index) for m in seen] == [cursor for cursor, _, _ in found]


async def test_live_events_come_from_the_next_block_on() -> None:
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2)
        reading = asyncio.create_task(read(client, 6))
        await until(lambda: telling.grpc.guard.waits.used == 1)
        await telling.make_blocks(2)
        assert await reading == [entry for entry in telling.saved() if entry[0].height > 3]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"types": ["pairs"]}, lambda event: event.type == "pairs"),
        ({"types": ["pairs", "pair"]}, lambda event: True),
        ({"types": ["slash"]}, lambda event: False),
        ({"where": [("key", "k2-1")]}, lambda event: ("key", "k2-1") in [(a.key, a.value) for a in event.attributes]),
        ({"where": [("key", "k2-1"), ("value", "0")]}, lambda event: False),
        ({"where": [("value", "1")]}, lambda event: ("value", "1") in [(a.key, a.value) for a in event.attributes]),
        ({"types": ["pairs"], "where": [("value", "1")]}, lambda event: False),
        ({"types": ["pai"]}, lambda event: False),  # its bytes are there, the type is not
    ],
)
async def test_filters(asked: dict[str, Any], wanted: Any) -> None:
    """The matches, with the cursors that they have without a filter."""
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2)
        found, progress = await read_all(client, from_height=1, to_height=3, **asked)
        assert found == [entry for entry in telling.saved() if wanted(entry[2])]
        assert progress[-1] == Cursor.of_end(3)


async def test_a_reader_without_matches_hears_how_far_it_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PROGRESS_BLOCKS", 2)
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(4)
        found, progress = await read_all(client, from_height=1, to_height=5, types=["slash"])
        assert (found, progress) == ([], [Cursor.of_end(2), Cursor.of_end(4), Cursor.of_end(5)])
        rest, _ = await read_all(client, after=progress[0], to_height=5)
        assert blocks_of(rest) == [3, 4, 5]
        assert rest == [entry for entry in telling.saved() if entry[0].height > 2]


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ({"types": [""]}, "INVALID_ARGUMENT", "type has 0 characters; allowed: 1 to 256"),
        ({"types": ["t" * 257]}, "INVALID_ARGUMENT", "type has 257 characters"),
        ({"types": ["t"] * 17}, "INVALID_ARGUMENT", "types has 17 entries; allowed: up to 16"),
        ({"where": [("k", "v")] * 9}, "INVALID_ARGUMENT", "where has 9 entries; allowed: up to 8"),
        ({"where": [("", "v")]}, "INVALID_ARGUMENT", "attribute key has 0 characters"),
        ({"where": [("k", "v" * 257)]}, "INVALID_ARGUMENT", "value of attribute k has 257 characters"),
        ({"from_height": -1}, "INVALID_ARGUMENT", "from_height is -1; allowed: 0 and more"),
        ({"to_height": -1}, "INVALID_ARGUMENT", "to_height is -1"),
        ({"after": Cursor(-1, 0)}, "INVALID_ARGUMENT", "after.height is -1"),
        ({"after": Cursor(2**63 - 1, INDEX_MAX)}, "INVALID_ARGUMENT", "after.height is"),
        ({"after": Cursor(1, 0), "from_height": 1}, "INVALID_ARGUMENT", "allowed: one of them"),
        ({"from_height": 1}, "NOT_FOUND", "what block 1 did is not kept any more: this node has 4 to "),
        ({"after": Cursor(3, 0)}, "NOT_FOUND", "what block 3 did is not kept any more: this node has 4 to "),
    ],
)
async def test_questions_that_have_no_answer(asked: dict[str, Any], status: str, says: str) -> None:
    """Row 13: each is refused by what is allowed, and counted."""
    async with telling_chain(retain_blocks=2) as telling, telling.client() as client:
        await telling.make_blocks(5)
        await until(lambda: telling.answers.base == 4)
        with pytest.raises(ClientError, match=says) as refused:
            await read_all(client, **asked)
        assert refused.value.status == status
        assert telling.grpc.guard.counts[status] == 1
        # What ends with block 3 is no loss: its events are all known to who has that cursor.
        found, _ = await read_all(client, after=Cursor.of_end(3), to_height=6)
        assert found == telling.saved()


async def test_a_reader_that_falls_below_what_is_kept_is_told() -> None:
    """Failure 12: when events are lost to it, it hears so, and never reads on with a gap."""
    async with telling_chain(retain_blocks=2) as telling, telling.client() as client:
        await telling.make_blocks(2)
        async with contextlib.aclosing(client.stream_events(from_height=1)) as stream:
            await anext(stream)
            await telling.make_blocks(30, pairs=400)
            heights = [1]
            with pytest.raises(
                ClientError, match=r"what block \d+ did is not kept any more: this node has \d+ to \d+"
            ) as refused:
                async for message in stream:
                    heights.append(message.cursor.height)
            assert refused.value.status == "NOT_FOUND"
            assert sorted(set(heights)) == list(range(1, heights[-1] + 1))


async def test_a_cursor_above_the_tip_waits_for_it() -> None:
    """Another node may be ahead of this one."""
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(1)
        reading = asyncio.create_task(read(client, 1, after=Cursor(3, 0)))
        await telling.make_blocks(4)
        assert (await reading)[0][0] == Cursor(3, 1)


async def test_the_loop_is_given_back_within_a_large_block() -> None:
    """A block of many events must not hold it: others are answered while one reader skips through."""
    message = abci_pb.ResponseFinalizeBlock(events=[abci_pb.Event(type="a")] * 2_000)
    async with telling_chain() as telling:
        await telling.make_blocks(1)
        telling.answers.states._last_read = (1, message)
        reader = feed.EventFeed(telling.answers, telling.watch)
        pauses = [told for told in reader._of_block(1, 0, EventFilter()) if told is None]
        assert len(pauses) == 2_000 // feed.EVENTS_PER_SLICE


# ------------------------------------------------------------------------------------------------- results of a block


async def test_no_door_parses_a_large_block_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 13: only what was made of it was made in slices."""
    async with telling_chain() as telling:
        await telling.make_blocks(2)
        answers, states = telling.answers, telling.answers.states
        feeds = feed.EventFeed(answers, telling.watch)
        ways: dict[str, Callable[[], Iterable[object]]] = {
            "results": lambda: answers.block_results(2),
            "JSON": lambda: answers.block_results_json(2),
            "blocks": lambda: answers.streamed(2, with_results=True),
            "events": lambda: feeds._of_block(2, 0, EventFilter()),
        }

        def slices(way: str) -> int:
            states._last_read = None
            return len([step for step in ways[way]() if step is None])

        at_once = {way: slices(way) for way in ways}
        monkeypatch.setattr(wire, "SLICE_BYTES", 1)
        stored = states.load_stored(2)
        assert stored is not None
        fields = len(stored.events) + len(stored.tx_results) + 1
        assert fields > 2
        assert {way: slices(way) - at_once[way] >= fields - 1 for way in ways} == dict.fromkeys(ways, True)


async def test_a_blocks_results_are_told_by_every_door() -> None:
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(2)
        power = f"val:{'07' * 32}=3"
        telling.chain.pool.add(power.encode())
        await telling.chain.reach(4)
        results = await client.block_results(4)
        response = telling.answers.states.load_response(4)
        assert response is not None
        assert (results.height, results.app_hash) == (4, response.app_hash)
        assert [(update.pub_key.ed25519, update.power) for update in results.validator_updates] == [(b"\x07" * 32, 3)]
        saved = [entry for entry in telling.saved() if entry[0].height == 4]
        assert [event.type for result in results.results for event in result.events] == ["pair"]
        assert [event.type for event in results.events] == ["pairs"]
        assert [result.hash for result in results.results] == [saved[0][1]]
        async with contextlib.aclosing(client.stream_blocks(4, with_results=True)) as stream:
            block = await anext(stream)
        assert (list(block.results), list(block.events)) == (list(results.results), list(results.events))
        found = await client.tx(saved[0][1])
        assert list(found.events) == list(results.results[0].events)
        assert list(telling.answers.committed(saved[0][1]).events) == list(found.events)
        shown = await telling.get("/chain/block-results?height=4")
        assert shown["validator_updates"] == [{"pub_key": {"type": "ed25519", "value": "07" * 32}, "power": 3}]
        assert [(tx["hash"], tx["events"][0]["type"]) for tx in shown["txs"]] == [(saved[0][1].hex(), "pair")]
        assert (shown["height"], shown["app_hash"]) == (4, response.app_hash.hex().upper())
        assert (await telling.get("/chain/block-results"))["height"] == telling.answers.height
        assert "height is 'x'" in (await telling.get("/chain/block-results?height=x", 400))["error"]
        assert (
            "block 9 is not there yet: the latest is 4"
            in (await telling.get("/chain/block-results?height=9", 404))["error"]
        )


# ------------------------------------------------------------------------------------------------------- HTTP pages


@pytest.mark.parametrize("limit", [1, 2, 4, 100])
async def test_pages_follow_each_other_without_gap_or_repeat(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failure 12, for who can only poll: the cursor of a page is where the next begins, at the tip too."""
    monkeypatch.setattr(feed, "PAGE_BLOCKS_MAX", 2)
    async with telling_chain() as telling:
        await telling.make_blocks(4)
        want = [str(cursor) for cursor, _, _ in telling.saved()]
        seen: list[str] = []
        page = await telling.get(f"/chain/events?limit={limit}")
        while True:
            assert len(page["events"]) <= limit
            seen += [placed["cursor"] for placed in page["events"]]
            assert seen == want[: len(seen)]
            if not page["has_more"]:
                break
            page = await telling.get(f"/chain/events?limit={limit}&after={page['cursor']}")
        assert seen == want
        again = await telling.get(f"/chain/events?after={page['cursor']}")
        assert again == {"events": [], "cursor": str(Cursor.of_end(5)), "has_more": False}
        await telling.make_blocks(1)
        page = await telling.get(f"/chain/events?after={again['cursor']}")
        assert [placed["cursor"] for placed in page["events"]] == ["6:0", "6:1", "6:2"]


async def test_what_a_page_shows() -> None:
    async with telling_chain() as telling:
        await telling.make_blocks(1)
        page = await telling.get("/chain/events?from_height=2&type=pair&type=pairs&where=key=k2-1")
        ((cursor, tx_hash, _),) = [e for e in telling.saved() if ("key", "k2-1") in [a[:2] for a in e[2].attributes]]
        assert page["events"] == [
            {
                "cursor": str(cursor),
                "height": 2,
                "index": 1,
                "tx_hash": tx_hash.hex(),
                "tx_index": 1,
                "type": "pair",
                "attributes": [{"key": "key", "value": "k2-1"}, {"key": "value", "value": "1"}],
            }
        ]
        (own,) = (await telling.get("/chain/events?type=pairs&limit=1"))["events"]
        assert (own["tx_hash"], own["tx_index"], own["cursor"]) == (None, None, "1:0")


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("after=x", 400, "allowed: HEIGHT:INDEX"),
        ("after=1:0&from_height=1", 400, "allowed: one of them"),
        ("limit=0", 400, "limit is '0'; allowed: 1 to 1000"),
        ("limit=1001", 400, "allowed: 1 to 1000"),
        ("from_height=-1", 400, "from_height is '-1'"),
        (f"from_height={'9' * 30}", 400, "from_height is '999"),
        ("type=", 400, "type has 0 characters"),
        ("where=x", 400, "allowed: key=value"),
        ("&".join(["type=a"] * 17), 400, "allowed: up to 16"),
        ("after=1:0", 404, "this node has 2 to "),
    ],
)
async def test_pages_that_are_refused(query: str, status: int, says: str) -> None:
    async with telling_chain(retain_blocks=2) as telling:
        await telling.make_blocks(3)
        assert says in (await telling.get(f"/chain/events?{query}", status))["error"]
