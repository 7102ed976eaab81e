"""The journal of durable admission: transactions that this node promised to remember over a crash.

A transaction that a client asked to be durable is written here after it was admitted, and the answer follows the sync;
those that arrive while a sync runs share the next one. It is forgotten once the pool has let it go: it is then in a
saved block, or no block may hold it any more. What is left at the start is admitted again, in order, and so is what the
pool lost by an error of its own. A torn tail, which nobody was promised, is cut.

Frame: CRC-32C of the rest (4 bytes), length (4), the transaction; numbers are big-endian.
Source: docs/clients.md, Signed once (admission is no promise).
"""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import structlog
from crc32c import crc32c

from consensus.abci.interface import CheckTxResponse
from consensus.formats.units import MIB
from consensus.mempool.admission.errors import CODESPACE, TRY_LATER, Refusal
from consensus.mempool.pool import Pool
from consensus.system.clock import Workers
from consensus.system.disk import AppendFile, Disk
from crypto.hash import sha256

HEAD_BYTES: Final = 8
TX_BYTES_MAX: Final = 100 * MIB  # a block's, whatever the mempool takes: a longer length is a torn or foreign frame
DEAD_BYTES_MAX: Final = 4 * MIB  # of forgotten transactions; then the file is written anew
RETRY_S: Final = 1.0  # at the start: the pool may have no room yet, or lack the last blocks
GAVE_WAY: Final = frozenset({Refusal.REPLACED, Refusal.DISPLACED})
TRIES_MAX: Final = 5  # of what the application refuses, or the pool is lost with, before it is forgotten

log = structlog.get_logger(__name__)


class Journal:
    """Open it, `run` it, then `keep` from the loop. `block_saved` is told of each saved height.

    Raises OSError.
    """

    def __init__(self, disk: Disk, path: Path, pool: Pool, workers: Workers) -> None:
        self._disk, self._path, self._pool, self._workers = disk, path, pool, workers
        self._kept: dict[bytes, bytes] = {}  # by SHA-256, in order
        self._waiting: list[tuple[bytes, bytes]] = []  # (SHA-256, transaction), to be written next
        self._promises: dict[bytes, asyncio.Future[None]] = {}  # of these and of those being written
        self._left_early: set[bytes] = set()  # of the promises: what gave way before it was written
        self._lost: set[bytes] = set()  # what the pool lost by an error, to be admitted again
        self._losses: Counter[bytes] = Counter()  # how often, of what is still promised
        self._has_lost = asyncio.Event()
        self._is_due = False  # that the file is written anew
        self._writing: asyncio.Task[None] | None = None
        self._dead_bytes = 0
        self.left = self._read()
        self._restoring = bool(self.left)  # until `restore` is done, the pool lacks what is promised
        self._file: AppendFile = disk.open_append(path)
        pool.on_dropped(self._dropped)
        disk.sync_directory(path.parent)  # a new file's name: without it a loss of power takes the file

    def __len__(self) -> int:
        """Transactions that would be admitted again."""
        return len(self._kept)

    def _read(self) -> list[bytes]:
        """What the last process left, without the torn tail."""
        data = self._disk.read(self._path) if self._disk.size(self._path) else b""
        found, at = frames(data)
        if at < len(data):
            log.warning("cut the torn tail of the journal", file=str(self._path), bytes=len(data) - at)
            self._disk.truncate(self._path, at)
        self._kept = {sha256(tx): tx for tx in found}
        return list(self._kept.values())

    # ------------------------------------------------------------------------------------------------ at the start

    async def run(self) -> None:
        """`restore`, and as long as the node runs whatever the pool loses."""
        await self.restore()
        while True:
            await self._has_lost.wait()
            self._has_lost.clear()
            found = {key: tx for key, tx in self._kept.items() if key in self._lost}
            self._lost -= found.keys()
            self.left, self._restoring = list(found.values()), bool(found)
            await self.restore()

    async def restore(self) -> int:
        """Admit again what is left, once this node has caught up; returns how many were.

        What the application refuses again and again is forgotten: a block holds it, or none ever may.
        """
        admitted = tries = 0
        todo = self.left
        while todo:
            answers = await self._pool.submit_many(todo)
            later = []
            for tx, answer in zip(todo, answers, strict=True):
                refused = answer.codespace == CODESPACE and answer.code
                if not answer.code or refused == Refusal.ALREADY_HERE:
                    admitted += 1
                elif (
                    refused in TRY_LATER
                    or refused == Refusal.STOPPED
                    or (refused in {0, Refusal.FAILED} and tries < TRIES_MAX)
                ):
                    later.append(tx)
            todo, tries = later, tries + 1
            if todo:
                await asyncio.sleep(RETRY_S)
        self._restoring = False
        if self.left:
            log.info("admitted again what was promised", admitted=admitted, of=len(self.left))
        self.left = []
        self._forget()
        return admitted

    # ------------------------------------------------------------------------------------------------ keeping

    async def keep(self, tx: bytes) -> None:
        """Return when `tx`, which the pool has admitted, would outlive a crash. Raises OSError.

        However often it is asked for, it is written once.
        """
        key = sha256(tx)
        if key in self._kept or not self._pool.has(key):
            return  # it was written before, or is in a saved block already
        written = self._promises.get(key)
        if written is None:
            written = self._promises[key] = asyncio.get_running_loop().create_future()
            written.add_done_callback(_look)
            self._waiting.append((key, tx))
            self._wake()
        await asyncio.shield(written)  # others may wait for the same

    def _wake(self) -> None:
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._work(), name="journal")

    async def _work(self) -> None:
        """All that is to be written, one after the other. The file is written anew as soon as that is due, or it would
        grow as long as promises are asked for; what waits is in the new file, or it would wait as long as that is due
        again and again."""
        try:
            while self._is_due or self._waiting:
                batch, self._waiting = self._waiting, []
                txs = [tx for _, tx in batch]
                failure: Exception | None = None
                try:
                    if self._is_due or isinstance(self._file, _Failed):  # there may be room again
                        self._is_due = False
                        await self._rewrite(txs)
                    else:
                        await self._workers.run_disk(partial(self._append, txs))
                except Exception as error:
                    failure = error
                self._written(batch, failure)
        finally:
            self._writing = None

    def _written(self, batch: Sequence[tuple[bytes, bytes]], failure: Exception | None) -> None:
        """One sync for all that came while the last one ran: who asked for it is told."""
        for key, tx in batch:
            written = self._promises.pop(key)
            has_left = key in self._left_early
            self._left_early.discard(key)
            if failure is not None:
                self._lost.discard(key)
                written.set_exception(failure)
                continue
            self._kept[key] = tx
            written.set_result(None)
            if key in self._lost:
                self._has_lost.set()
            if has_left and not self._pool.has(key):  # else it came again meanwhile, and is promised
                self._leaves(key)

    def _append(self, txs: Sequence[bytes]) -> None:
        file, self._file = self._file, _Failed()
        file.write(b"".join(map(frame, txs)))
        file.sync()
        self._file = file

    # ------------------------------------------------------------------------------------------------ forgetting

    def block_saved(self, height: int) -> None:
        """Forget what the pool let go."""
        if self._kept and not self._restoring:
            self._forget()

    def _dropped(self, key: bytes, why: CheckTxResponse) -> None:
        """What another has the place or the room of shall not come again and take it: its sender was told that it is
        gone, and may have signed another. It leaves the file as soon as may be.

        What left by an error of ours comes again: nobody was told that it is gone."""
        if why.codespace != CODESPACE:
            return
        if why.code == Refusal.FAILED and (key in self._kept or key in self._promises):
            self._loses(key)
        if why.code not in GAVE_WAY:
            return
        if key in self._kept:
            self._leaves(key)
            self._wake()
        elif key in self._promises:
            self._left_early.add(key)

    def _loses(self, key: bytes) -> None:
        """What the pool is lost with again and again may be what it cannot bear."""
        self._losses[key] += 1
        if self._losses[key] > TRIES_MAX:
            log.error("forgot what was promised: the mempool failed too often with it", tx=key.hex())
            return
        self._lost.add(key)
        self._has_lost.set()

    def _leaves(self, key: bytes) -> None:
        del self._losses[key]
        self._dead_bytes += HEAD_BYTES + len(self._kept.pop(key))
        self._is_due = True

    def _forget(self) -> None:
        gone = [key for key in self._kept if key not in self._lost and not self._pool.has(key)]
        for key in gone:
            del self._losses[key]
            self._dead_bytes += HEAD_BYTES + len(self._kept.pop(key))
        if self._dead_bytes > (DEAD_BYTES_MAX if self._kept else 0):
            self._is_due = True
            self._wake()

    async def _rewrite(self, new: Sequence[bytes]) -> None:
        """The file with what is still kept and what is `new` alone, in the pool's order; a crash leaves the old or the
        new one. Raises OSError."""
        places = {entry.key: place for place, entry in enumerate(self._pool.entries())}
        all_txs = {**self._kept, **{sha256(tx): tx for tx in new}}
        txs = [tx for _, tx in sorted(all_txs.items(), key=lambda pair: places.get(pair[0], len(places)))]
        dead_bytes = self._dead_bytes
        try:
            await self._workers.run_disk(lambda: self._replace(txs))
            self._dead_bytes -= dead_bytes
        except Exception as error:
            log.error("failed to write the journal anew", file=str(self._path), error=repr(error))
            raise

    def _replace(self, txs: Sequence[bytes]) -> None:
        content = b"".join(map(frame, txs))
        self._file.close()
        self._file = _Failed()
        self._disk.replace(self._path, content)
        self._file = self._disk.open_append(self._path)

    async def close(self) -> None:
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        self._file.close()


class _Failed:
    """In the place of the file after an error of the disk: nothing more is promised until it could be written anew.

    Behind a frame that was written in part no other would be read again, and the number of a closed file may be
    another file's by now.
    """

    def write(self, data: bytes) -> None:
        raise OSError(errno.EIO, "the journal failed before: nothing is promised until it could be written anew")

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass


def _look(written: asyncio.Future[None]) -> None:
    """Who asked may have left: an error that nobody waits for is nobody's."""
    if not written.cancelled():
        written.exception()


def frame(tx: bytes) -> bytes:
    body = len(tx).to_bytes(4, "big") + tx
    return crc32c(body).to_bytes(4, "big") + body


def _is_frame(data: bytes, at: int) -> bool:
    """Whether a whole frame begins there: then what is before it is damaged, and not torn."""
    end = at + HEAD_BYTES + int.from_bytes(data[at + 4 : at + HEAD_BYTES], "big")
    return at + HEAD_BYTES < end <= len(data) and crc32c(data[at + 4 : end]) == int.from_bytes(data[at : at + 4], "big")


def frames(data: bytes) -> tuple[list[bytes], int]:
    """The transactions of all whole frames, and where the first torn one begins."""
    found, at = [], 0
    while at + HEAD_BYTES <= len(data):
        size = int.from_bytes(data[at + 4 : at + HEAD_BYTES], "big")
        end = at + HEAD_BYTES + size
        if not 0 < size <= TX_BYTES_MAX or end > len(data):
            break
        if crc32c(data[at + 4 : end]) != int.from_bytes(data[at : at + 4], "big"):
            if not _is_frame(data, end):
                break
            log.error("left out a damaged transaction of the journal: the disk lied", offset=at, bytes=size)
            at = end
            continue
        found.append(data[at + HEAD_BYTES : end])
        at = end
    return found, at
