"""Checks asked beforehand, of an application that is elsewhere: the pool then has each answer when it wants it.

Of one that is here nothing is asked. An answer from before a block counts no more after it: the rest of a batch is then
asked again, as the application's check state began anew.
Source: CometBFT v0.38, mempool/clist_mempool.go (CheckTxAsync, recheckTxs).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from consensus.abci.interface import ChecksAhead, CheckTxRequest, CheckTxType
from consensus.mempool.admission.entry import Entry, Waiting
from consensus.mempool.admission.interfaces import Checks

AGAIN_MAX: Final = 64  # rechecks asked at once


class Ahead:
    def __init__(self, app: Checks) -> None:
        self._app = app if isinstance(app, ChecksAhead) else None
        self._asked: tuple[int, int] = (0, -1)  # the batch that was asked last, and at which height

    async def new(self, batch: Sequence[Waiting], position: int, height: int) -> None:
        """What `batch` holds from `position` on; once, as long as no block comes. height: of the last block."""
        asked = (id(batch), height)
        if self._app is None or asked == self._asked:
            return
        await self._app.check_ahead([CheckTxRequest(one.tx) for one in batch[position:]])
        self._asked = asked

    async def again(self, due: Mapping[bytes, None], entries: Mapping[bytes, Entry]) -> int:
        """The first that are `due`; how many may be checked now."""
        if self._app is None:
            return len(due)
        requests = [CheckTxRequest(entries[key].tx, CheckTxType.RECHECK) for key in islice(due, AGAIN_MAX)]
        await self._app.check_ahead(requests)
        return len(requests)
