"""Durable admission: what was promised is on disk before the answer, is admitted again, is forgotten when in a block.

Crashes are `kill -9` of a real process, and files cut at every byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.journal import TRIES_MAX, Journal, frame, frames
from consensus.mempool.pool import Pool
from consensus.simulation.disk import SimulatedDisk
from consensus.state.results import ExecTxResult
from consensus.system.clock import InlineWorkers, LoopClock, ThreadWorkers
from consensus.system.disk import OsDisk
from crypto.hash import sha256
from tests.support.mempool.pool import PayingApp, SequenceApp
from tests.support.node.machine import files_end_at
from tests.support.patience import PATIENCE_S

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
TXS = [b"ann:%d" % number for number in range(6)]


@contextlib.asynccontextmanager
async def journal_at(
    path: Path, *, txs_max: int = 100, app: SequenceApp | None = None
) -> AsyncIterator[tuple[Journal, Pool, SequenceApp]]:
    app, workers = app or SequenceApp(), ThreadWorkers()
    pool = Pool(app, LoopClock(), workers, PoolConfig(txs_max=txs_max))
    running = asyncio.create_task(pool.run())
    journal = Journal(OsDisk(), path, pool, workers)
    try:
        yield journal, pool, app
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await journal.close()
        workers.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0.01)


async def admit(journal: Journal, pool: Pool, *txs: bytes) -> None:
    for answer in await pool.submit_many(txs):
        assert answer.code == 0, answer
    await asyncio.gather(*map(journal.keep, txs))


async def test_what_is_kept_is_admitted_again_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with journal_at(path) as (journal, pool, _):
        await admit(journal, pool, *TXS)
        assert frames(path.read_bytes())[0] == TXS
    async with journal_at(path) as (journal, pool, _):
        assert await journal.restore() == len(TXS)
        assert [entry.tx for entry in pool.entries()] == TXS


async def test_a_loss_of_power_right_after_the_first_promise_loses_nothing() -> None:
    disk, workers, path = SimulatedDisk(), InlineWorkers(), Path("journal")
    pool = Pool(SequenceApp(), LoopClock(), workers)
    running = asyncio.create_task(pool.run())
    await admit(Journal(disk, path, pool, workers), pool, TXS[0])
    running.cancel()
    assert Journal(disk.crashed(), path, pool, workers).left == [TXS[0]]


async def test_blocks_that_come_before_the_restore_forget_nothing() -> None:
    """A node syncs blocks before it admits again, and may stop once more before that."""
    disk, workers, path = SimulatedDisk(), InlineWorkers(), Path("journal")
    pool = Pool(SequenceApp(), LoopClock(), workers)
    running = asyncio.create_task(pool.run())
    await admit(Journal(disk, path, pool, workers), pool, TXS[0])
    running.cancel()
    again = Journal(disk, path, Pool(SequenceApp(), LoopClock(), workers), workers)
    again.block_saved(1)
    await again.close()
    assert Journal(disk.crashed(), path, pool, workers).left == [TXS[0]]


@pytest.mark.parametrize("action", ["write", "sync", "rename", "sync_directory"])
@pytest.mark.parametrize("forgets", [False, True], ids=["append", "rewrite"])
async def test_after_an_error_of_the_disk_a_promise_is_refused_or_kept(action: str, *, forgets: bool) -> None:
    """A frame that was written in part hides those behind it; a file that could not be replaced is closed."""
    disk, workers, path, fails = SimulatedDisk(), InlineWorkers(), Path("journal"), [False]
    pool = Pool(SequenceApp(), LoopClock(), workers)
    running = asyncio.create_task(pool.run())
    journal = Journal(disk, path, pool, workers)

    def hook(now: str, at: Path) -> None:
        if fails[0] and now == action:
            fails[0] = False
            if now == "write":
                disk.files[at].data += b"torn"
            raise OSError(errno.ENOSPC, "no space left")

    disk.hook = hook
    await admit(journal, pool, TXS[0])
    if forgets:
        pool.update(1, TXS[:1], [ExecTxResult()], frozenset())
    fails[0] = True
    journal.block_saved(1)
    promised = [] if forgets else [TXS[0]]
    for tx in TXS[1:4]:
        await pool.submit(tx)
        with contextlib.suppress(OSError):
            await journal.keep(tx)
            promised.append(tx)
    running.cancel()
    assert set(promised) <= set(Journal(disk.crashed(), path, pool, workers).left)


async def test_promises_are_given_again_once_there_is_room(tmp_path: Path) -> None:
    """They were refused until a restart where nothing was kept: nothing had the file written anew."""
    async with journal_at(tmp_path / "journal") as (journal, pool, _):
        await pool.submit_many(TXS)
        with files_end_at(10):
            for tx in TXS[:2]:
                with pytest.raises(OSError, match="too large"):
                    await journal.keep(tx)
        for tx in TXS[2:]:
            await journal.keep(tx)
    left = Journal(OsDisk(), tmp_path / "journal", pool, InlineWorkers()).left
    assert left == TXS[2:]


async def test_those_that_come_together_share_a_sync(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "journal") as (journal, pool, _):
        syncs = 0
        sync = journal._file.sync

        def counted() -> None:
            nonlocal syncs
            syncs += 1
            sync()

        journal._file.sync = counted  # type: ignore[method-assign]
        await pool.submit_many(TXS)
        await asyncio.gather(*map(journal.keep, TXS))
        assert 1 <= syncs <= 2


async def test_a_committed_transaction_is_forgotten_and_not_run_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    async with journal_at(path) as (journal, pool, app):
        await admit(journal, pool, *TXS)
        touched = app.commit(TXS[:4])
        pool.update(1, TXS[:4], [ExecTxResult()] * 4, touched)
        journal.block_saved(1)
        assert len(journal) == 2
    async with journal_at(path) as (journal, pool, app):  # the file still has all six
        app.commit(TXS[:4])
        app.checking = dict(app.committed)
        assert len(journal) == 6
        journal.left = journal.left[4:] + journal.left[:4]  # whatever the order
        journal.left.sort()
        restored = asyncio.create_task(journal.restore())
        await until(lambda: pool.size == 2)
        await restored
        assert [entry.tx for entry in pool.entries()] == TXS[4:]
        assert len(journal) == 2
        pool.update(2, TXS[4:], [ExecTxResult()] * 2, app.commit(TXS[4:]))
        journal.block_saved(2)
        await until(lambda: not path.stat().st_size)


def test_a_file_cut_at_any_byte_keeps_every_whole_frame(tmp_path: Path) -> None:
    whole = b"".join(map(frame, TXS))
    ends = [sum(len(frame(tx)) for tx in TXS[:count]) for count in range(len(TXS) + 1)]
    for cut in range(len(whole) + 1):
        found, at = frames(whole[:cut])
        count = max(index for index, end in enumerate(ends) if end <= cut)
        assert (found, at) == (TXS[:count], ends[count])
    flipped = bytearray(whole)
    flipped[ends[2] + 9] ^= 1
    assert frames(bytes(flipped)) == (TXS[:2] + TXS[3:], ends[-1])  # what was promised behind it is kept
    path = tmp_path / "journal"
    path.write_bytes(whole + b"\x01\x02\x03")
    journal = Journal(OsDisk(), path, Pool(SequenceApp(), LoopClock(), InlineWorkers()), InlineWorkers())
    assert (journal.left, path.read_bytes()) == (TXS, whole)


async def test_a_full_pool_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    monkeypatch.setattr("consensus.mempool.journal.RETRY_S", 0.01)
    path.write_bytes(b"".join(map(frame, TXS)))
    async with journal_at(path, txs_max=4) as (journal, pool, app):
        restoring = asyncio.create_task(journal.restore())
        await until(lambda: pool.size == 4)
        pool.update(1, TXS[:4], [ExecTxResult()] * 4, app.commit(TXS[:4]))
        assert await restoring == 6
        assert [entry.tx for entry in pool.entries()] == TXS[4:]


async def test_however_often_a_promise_is_asked_for_it_is_written_once(tmp_path: Path) -> None:
    """audit 13: a client that hands in one waiting transaction again and again filled the disk: each was appended, and
    none of the copies was ever taken for forgotten."""
    path = tmp_path / "journal"
    async with journal_at(path) as (journal, pool, _):
        await admit(journal, pool, TXS[0])
        await asyncio.gather(*(journal.keep(tx) for _ in range(20) for tx in TXS[:1]))
        await pool.submit_many(TXS[1:])
        await asyncio.gather(*(journal.keep(tx) for _ in range(20) for tx in TXS))
        assert frames(path.read_bytes())[0] == TXS


async def test_who_leaves_takes_no_promise_from_others(tmp_path: Path) -> None:
    async with journal_at(tmp_path / "journal") as (journal, pool, _):
        await pool.submit_many(TXS)
        leaving, staying = (asyncio.create_task(journal.keep(TXS[0])) for _ in range(2))
        await asyncio.sleep(0)
        leaving.cancel()
        await staying
        assert len(journal) == 1


async def test_the_file_is_written_anew_while_promises_are_asked_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 13: it was written anew only when nobody waited for a promise, so it grew for as long as many asked."""
    monkeypatch.setattr("consensus.mempool.journal.DEAD_BYTES_MAX", 200)
    path, sizes = tmp_path / "journal", list[int]()
    async with journal_at(path) as (journal, pool, app):

        async def ask(sender: int) -> None:
            for number in range(40):
                tx = b"s%d:%d" % (sender, number)
                assert (await pool.submit(tx)).code == 0
                await journal.keep(tx)
                pool.update(number + 1, [tx], [ExecTxResult()], app.commit([tx]))
                journal.block_saved(number + 1)
                sizes.append(path.stat().st_size)

        await asyncio.gather(*map(ask, range(8)))
    assert max(sizes) < 600, "of 5 kB"


@pytest.mark.parametrize("size", [(1 << 20) + 1, 5 << 20])
def test_what_the_mempool_may_take_is_read_again(size: int) -> None:
    """audit 15: of a transaction above 1 MiB the promise was written, and at the start cut off with all behind it."""
    txs = [bytes(size), b"behind"]
    assert frames(b"".join(map(frame, txs)))[0] == txs


async def test_a_mempool_that_begins_anew_is_given_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 6: the mempool's task fails while promises are restored: they were given up, and from then on nothing that
    came was ever forgotten."""
    monkeypatch.setattr("consensus.mempool.journal.RETRY_S", 0.01)
    path = tmp_path / "journal"
    path.write_bytes(b"".join(map(frame, TXS)))
    app, workers = SequenceApp(), ThreadWorkers()
    pool = Pool(app, LoopClock(), workers)
    pool._stopped = True  # as its task leaves it
    journal = Journal(OsDisk(), path, pool, workers)
    restoring = asyncio.create_task(journal.restore())
    await asyncio.sleep(0.05)
    running = asyncio.create_task(pool.run())
    assert await restoring == len(TXS)
    pool.update(1, TXS, [ExecTxResult()] * len(TXS), app.commit(TXS))
    journal.block_saved(1)
    assert len(journal) == 0
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await journal.close()
    workers.close()


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.consensus.mempool.test_journal import admit, journal_at

async def main():
    async with journal_at(Path(sys.argv[1])) as (journal, pool, _):
        number = 0
        while True:
            await admit(journal, pool, b"ann:%d" % number)
            print(number, flush=True)
            number += 1

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["kept", "being written"])
async def test_what_the_mempool_loses_by_an_error_is_admitted_again(tmp_path: Path, when: str) -> None:
    """audit 43: an error of ours lets all go that waits. A promise outlives that as it does a crash."""
    path = tmp_path / "journal"
    async with journal_at(path, app=PayingApp()) as (journal, pool, _):
        running = asyncio.create_task(journal.run())
        if when == "kept":
            await admit(journal, pool, *TXS)
            pool.begin_anew(1, RuntimeError("planted"))
        else:
            await pool.submit_many(TXS)
            promises = [asyncio.create_task(journal.keep(tx)) for tx in TXS]
            await asyncio.sleep(0)
            pool.begin_anew(1, RuntimeError("planted"))
            await asyncio.gather(*promises)
        journal.block_saved(1)
        await until(lambda: [entry.tx for entry in pool.entries()] == TXS)
        journal.block_saved(2)
        assert len(journal) == len(TXS)
        assert frames(path.read_bytes())[0] == TXS
        running.cancel()


async def test_what_the_mempool_is_lost_with_again_and_again_is_forgotten(tmp_path: Path) -> None:
    """Else what it cannot bear, and was promised, would take all that waits for ever."""
    async with journal_at(tmp_path / "journal", app=PayingApp()) as (journal, pool, _):
        running = asyncio.create_task(journal.run())
        await admit(journal, pool, TXS[0])
        for height in range(1, TRIES_MAX + 1):
            pool.begin_anew(height, RuntimeError("planted"))
            journal.block_saved(height)
            await until(lambda: pool.has(sha256(TXS[0])))
        pool.begin_anew(TRIES_MAX + 1, RuntimeError("planted"))
        journal.block_saved(TRIES_MAX + 1)
        assert not len(journal)
        running.cancel()


async def test_kill_9_loses_no_promise(tmp_path: Path) -> None:
    """What the process answered for before SIGKILL is there afterwards."""
    path = tmp_path / "journal"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, path, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout is not None
    promised = -1
    async with asyncio.timeout(30):
        while promised < 40:
            promised = int(await child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        rest = (await child.stdout.read()).split()
        await child.wait()
    promised = max([promised, *map(int, rest)])
    found, _ = frames(path.read_bytes())
    assert found[: promised + 1] == [b"ann:%d" % number for number in range(promised + 1)]


async def test_what_was_replaced_leaves_the_file_and_the_order_stays(tmp_path: Path) -> None:
    """Else the cheaper one came back after a crash, and might be executed in the place of the dearer one."""
    path = tmp_path / "journal"
    old = [b"ann:%d:pays=10" % number for number in range(3)]
    async with journal_at(path, app=PayingApp()) as (journal, pool, _):
        await admit(journal, pool, *old)
        await admit(journal, pool, b"ann:0:pays=20")
        await until(lambda: set(frames(path.read_bytes())[0]) == {b"ann:0:pays=20", *old[1:]})
    async with journal_at(path, app=PayingApp()) as (journal, pool, _):
        assert await journal.restore() == 3
        assert [entry.tx for entry in pool.entries()] == [b"ann:0:pays=20", *old[1:]]


class Gated(InlineWorkers):
    """Its disk works when it is let: `let(1)` is one job."""

    def __init__(self) -> None:
        self.jobs = 0
        self._turns = asyncio.Semaphore(0)

    def let(self, jobs: int) -> None:
        for _ in range(jobs):
            self._turns.release()

    def run_disk(self, work: Callable[[], T]) -> Awaitable[T]:
        self.jobs += 1

        async def in_turn() -> T:
            await self._turns.acquire()
            return work()

        return in_turn()


@contextlib.asynccontextmanager
async def gated(path: Path, config: PoolConfig) -> AsyncIterator[tuple[Journal, Pool, Gated]]:
    workers = Gated()
    pool = Pool(PayingApp(), LoopClock(), workers, config)
    running = asyncio.create_task(pool.run())
    journal = Journal(OsDisk(), path, pool, workers)
    try:
        yield journal, pool, workers
    finally:
        running.cancel()
        workers.let(100)
        await asyncio.gather(running, return_exceptions=True)
        await journal.close()


@pytest.mark.parametrize(
    "new", [pytest.param(b"ann:0:pays=20", id="replaced"), pytest.param(b"new:0:pays=90", id="displaced")]
)
@pytest.mark.parametrize("when", ["waits", "is written", "is kept"])
async def test_what_gave_way_does_not_come_again_whenever_it_did(tmp_path: Path, new: bytes, when: str) -> None:
    """Audit 30: before its promise is written, too: it was in the file, and took the other's place after a crash."""
    path = tmp_path / "journal"
    others = [b"s%d:0:pays=50" % number for number in range(7)]
    async with gated(path, PoolConfig(txs_max=8, wait_ms_max=0)) as (journal, pool, workers):
        for tx in (b"ann:0:pays=10", *others):
            assert (await pool.submit(tx)).code == 0
        promises = [asyncio.create_task(journal.keep(others[0]))]
        if when != "waits":
            workers.let(1)
            await promises[0]
        promises.append(asyncio.create_task(journal.keep(b"ann:0:pays=10")))
        await until(lambda: workers.jobs == (1 if when == "waits" else 2))
        if when == "is kept":
            workers.let(1)
            await promises[1]
        assert (await pool.submit(new)).code == 0
        assert not pool.has(sha256(b"ann:0:pays=10"))
        workers.let(10)
        await asyncio.gather(*promises)
        await until(lambda: frames(path.read_bytes())[0] == others[:1])
        assert len(journal) == 1


async def test_a_trickle_of_replacements_keeps_nobody_waiting_for_his_promise(tmp_path: Path) -> None:
    """Audit 31: each asks for the file to be written anew, and what waits is in it."""
    async with gated(tmp_path / "journal", PoolConfig(wait_ms_max=0)) as (journal, pool, workers):
        kept = [b"s%d:0:pays=10" % number for number in range(12)]
        workers.let(1)
        await admit(journal, pool, *kept)
        assert (await pool.submit(b"ann:0:pays=10")).code == 0
        assert (await pool.submit(b"s0:0:pays=20")).code == 0
        await until(lambda: workers.jobs == 2)
        promise = asyncio.create_task(journal.keep(b"ann:0:pays=10"))
        for number in range(1, 12):  # one more replacement while each job runs
            assert (await pool.submit(b"s%d:0:pays=20" % number)).code == 0
            jobs = workers.jobs
            workers.let(1)
            await until(lambda: workers.jobs > jobs or promise.done())  # noqa: B023
            if promise.done():
                break
        assert workers.jobs <= 4
        workers.let(10)
        await promise
        assert b"ann:0:pays=10" in frames((tmp_path / "journal").read_bytes())[0]
