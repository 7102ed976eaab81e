"""Signatures verified beside the loop: all ways give one answer, and a helper that fails costs nothing but time."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
from collections.abc import AsyncIterator
from functools import lru_cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from consensus.execution import verifiers
from consensus.execution.verifiers import BATCH_CHECKS, Helper, HelperFailed, HelperVerifiers, ThreadVerifiers
from consensus.execution.verifying import HEAD_BYTES, encode_request, serve
from consensus.system.clock import ThreadWorkers
from crypto.keys import Ed25519PrivKey, ed25519_verify
from tests.support.node.running import until

Check = tuple[bytes, bytes, bytes]
IDENTITY = bytes([1]) + bytes(31)  # a point of small order: libsodium refuses it, ZIP-215 does not


@lru_cache(maxsize=1)
def checks() -> tuple[list[Check], list[bool]]:
    """More than two batches, with what each should be answered."""
    key = Ed25519PrivKey.from_seed(bytes(32))
    found: list[Check] = []
    for number in range(2 * BATCH_CHECKS + 40):
        message = number.to_bytes(4, "big") * (number % 50)
        found.append((key.pub_key.bytes, message, key.sign(message)))
    for at in (0, 5, BATCH_CHECKS, len(found) - 1):
        found[at] = (found[at][0], b"another message", found[at][2])
    found[7] = (IDENTITY, b"any", IDENTITY + bytes(32))
    found[9] = (b"\xff" * 32, b"any", bytes(64))  # no point
    return found, [ed25519_verify(*check) for check in found]


@pytest.fixture
async def workers() -> AsyncIterator[ThreadWorkers]:
    made = ThreadWorkers()
    yield made
    made.close()


@pytest.fixture
async def helpers(workers: ThreadWorkers) -> AsyncIterator[HelperVerifiers]:
    made = HelperVerifiers(workers, helpers=2)
    yield made
    made.end()


def pids(helpers: HelperVerifiers) -> list[int]:
    return [helper.process.pid for helper in helpers._helpers]


async def test_all_ways_give_one_answer(helpers: HelperVerifiers, workers: ThreadWorkers) -> None:
    asked, want = checks()
    assert want.count(False) == 5
    assert want[7]
    assert await ThreadVerifiers(workers).verify(asked) == want
    assert await helpers.verify(asked) == want
    assert pids(helpers) == []  # nobody said that there is much to do
    helpers.begin()
    assert await helpers.verify(asked) == want
    assert len(pids(helpers)) == 2
    both = await asyncio.gather(helpers.verify(asked[:300]), helpers.verify(asked[100:400]), helpers.verify([]))
    assert both == [want[:300], want[100:400], []]


async def test_helpers_live_from_begin_to_end(helpers: HelperVerifiers) -> None:
    asked, want = checks()
    helpers.begin()
    await helpers.verify(asked)
    ended = [helper.process for helper in helpers._helpers]
    helpers.end()
    await until(lambda: all(process.returncode == -signal.SIGKILL for process in ended))
    assert await helpers.verify(asked) == want
    assert pids(helpers) == []


async def test_a_helper_that_is_killed_is_replaced_by_threads(helpers: HelperVerifiers) -> None:
    asked, want = checks()
    helpers.begin()
    await helpers.verify(asked)
    with capture_logs() as said:
        for pid in pids(helpers):
            os.kill(pid, signal.SIGKILL)
        assert await helpers.verify(asked) == want
    assert [line["event"] for line in said if line["log_level"] == "warning"][:1] == [
        "a process that verifies signatures failed; threads go on in its place"
    ]
    helpers.begin()  # not again while the same goes on
    assert await helpers.verify(asked) == want
    assert pids(helpers) == []
    helpers.end()
    helpers.begin()
    assert await helpers.verify(asked) == want
    assert len(pids(helpers)) == 2


async def test_a_helper_that_stands_still_is_given_up(workers: ThreadWorkers, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, _ = checks()
    helper = await Helper.start(workers)
    await helper.verify(asked[:10])
    monkeypatch.setattr(verifiers, "ANSWER_S", 0.05)
    os.kill(helper.process.pid, signal.SIGSTOP)
    with pytest.raises(HelperFailed, match="TimeoutError"):
        await helper.verify(asked[:10])
    await until(lambda: helper.process.returncode == -signal.SIGKILL)


async def test_who_stops_waiting_does_not_leave_its_answer_to_the_next(helpers: HelperVerifiers) -> None:
    asked, want = checks()
    helpers.begin()
    await helpers.verify(asked)
    waiting = asyncio.create_task(helpers.verify(asked))
    await asyncio.sleep(0)
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert await helpers.verify(asked[::-1]) == want[::-1]


async def test_no_process_can_be_started(helpers: HelperVerifiers, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, want = checks()
    monkeypatch.setattr(verifiers.sys, "executable", "/nowhere/python")
    helpers.begin()
    with capture_logs() as said:
        assert await helpers.verify(asked) == want
    assert "FileNotFoundError" in said[0]["why"]


async def test_a_helper_ends_with_who_started_it(workers: ThreadWorkers) -> None:
    helper = await Helper.start(workers)
    asked, want = checks()
    assert await helper.verify(asked[:20]) == want[:20]
    os.kill(helper.process.pid, signal.SIGINT)  # of the terminal's Ctrl-C
    assert await helper.verify(asked[:20]) == want[:20]
    helper._requests.close()
    await until(lambda: helper.process.poll() is not None)
    assert helper.process.returncode == 0


@given(st.lists(st.tuples(st.binary(min_size=32, max_size=32), st.binary(), st.binary(min_size=64, max_size=64))))
def test_what_is_asked_is_read_as_it_was_meant(asked: list[Check]) -> None:
    answers = io.BytesIO()
    serve(io.BytesIO(encode_request(asked) * 2 + b"cut"[:HEAD_BYTES]), answers)
    assert answers.getvalue() == 2 * bytes(ed25519_verify(*check) for check in asked)
