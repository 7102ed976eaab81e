"""`dchat query events` and `dchat query block-results` against a chain that tells of events."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consensus.state.cursors import Cursor
from dchat.cli.commands.event_commands import Reading
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Exit
from dchat.client.client import ClientError
from tests.support.node.running import until
from tests.support.node.telling import Telling, telling_chain


async def call(telling: Telling, *arguments: object) -> Result:
    line = ["query", *map(str, arguments), "--node", f"127.0.0.1:{telling.grpc.port}"]
    return await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    printed = result.stdout.splitlines()
    return [json.loads(line) for line in printed if line[0] == "{"]  # the node's log lands between them, in one process


async def test_events_are_printed_a_line_each_and_gone_on_from() -> None:
    """Failure 12: what stands on standard error is where the next call begins."""
    async with telling_chain() as telling:
        await telling.make_blocks(2)
        all_of = [str(cursor) for cursor, _, _ in telling.saved()]
        first = await call(telling, "events", "--limit", 3)
        shown = lines(first)
        assert shown[0] == {
            "cursor": "1:0",
            "height": 1,
            "index": 0,
            "tx_hash": None,
            "tx_index": None,
            "type": "pairs",
            "attributes": [{"key": "count", "value": "0"}],
        }
        after = first.stderr.strip().removeprefix("to go on: --after ")
        rest = await call(telling, "events", "--after", after)
        assert [line["cursor"] for line in shown + lines(rest)] == all_of
        assert rest.stderr == "to go on: --after 3:4294967295\n"
        assert lines(await call(telling, "events", "--after", "3:4294967295")) == []
        assert [line["height"] for line in lines(await call(telling, "events", "--from-height", 3))] == [3, 3, 3]
        own = lines(await call(telling, "events", "--type", "pairs", "--where", "count=4"))
        assert [line["cursor"] for line in own] == ["3:2"]


async def test_following_goes_on_with_new_blocks() -> None:
    async with telling_chain() as telling:
        await telling.make_blocks(1)
        following = asyncio.create_task(call(telling, "events", "--follow", "--limit", 6))
        await until(lambda: telling.grpc.guard.waits.used == 1)
        await telling.make_blocks(2)
        assert [line["height"] for line in lines(await following)] == [3, 3, 3, 4, 4, 4]


async def test_who_ends_following_is_told_where_to_go_on() -> None:
    """Ctrl-C is how it ends."""
    async with telling_chain() as telling:
        await telling.make_blocks(2)
        line = [sys.executable, "-m", "dchat", "query", "events", "--from-height", "2", "--follow", "--node"]
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit it ignored
        try:
            process = await asyncio.create_subprocess_exec(
                *line, f"127.0.0.1:{telling.grpc.port}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        finally:
            signal.signal(signal.SIGINT, before)
        try:
            assert process.stdout is not None
            last = [json.loads(await process.stdout.readline()) for _ in range(6)][-1]
            process.send_signal(signal.SIGINT)
            said = (await process.communicate())[1].decode()
        finally:
            if process.returncode is None:
                process.kill()
        assert (process.returncode, said) == (0, f"to go on: --after {last['cursor']}\n")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--after", "7"), Exit.USAGE, "allowed: HEIGHT:INDEX"),
        (("--where", "x"), Exit.USAGE, "allowed: key=value"),
        (("--from-height", 0), Exit.USAGE, "0"),
        (("--after", "1:0", "--from-height", 1), Exit.USAGE, "allowed: one of them"),
        (("--type", "x" * 300), Exit.FAILED, "type has 300 characters; allowed: 1 to 256"),
        (("--from-height", 1), Exit.FAILED, "what block 1 did is not kept any more: this node has 2 to "),
        (("--after", "1:0"), Exit.FAILED, "what block 1 did is not kept any more: this node has 2 to "),
    ],
)
async def test_what_is_refused(arguments: tuple[object, ...], code: Exit, says: str) -> None:
    async with telling_chain(retain_blocks=2) as telling:
        await telling.make_blocks(3)
        result = await call(telling, "events", *arguments)
        assert (result.exit_code, says in result.stderr) == (code, True), result.stderr


async def test_when_the_node_goes_it_says_where_to_go_on() -> None:
    """Failure 12: a stream that breaks ends with the cursor to resume from."""
    async with telling_chain() as telling, telling.client() as client:
        await telling.make_blocks(1)
        reading = Reading(None, 1, (), (), follow=True, limit=0)
        following = asyncio.create_task(reading.read(client))
        await until(lambda: reading.after == Cursor(2, 2))
        await telling.grpc.stop(0.0)
        with pytest.raises(ClientError, match=r"; go on with --after 2:2$"):
            await following


async def test_a_transaction_and_a_block_show_their_events() -> None:
    async with telling_chain() as telling:
        await telling.make_blocks(1)
        _, tx_hash, _ = telling.saved()[1]
        pair = {"type": "pair", "attributes": [{"key": "key", "value": "k2-0"}, {"key": "value", "value": "0"}]}
        tx = json.loads((await call(telling, "tx", tx_hash.hex())).stdout)
        assert (tx["height"], tx["events"]) == (2, [pair])
        for height in ((), (2,)):
            results = json.loads((await call(telling, "block-results", *height)).stdout)
            assert (results["height"], results["results"][0]["events"]) == (2, [pair])
            assert [event["type"] for event in results["events"]] == ["pairs"]
