"""One answer per transaction of several that are handed in together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from consensus.abci import CheckTxResponse

Offer = Callable[[bytes, Callable[[CheckTxResponse], None]], CheckTxResponse | None]


async def gather(txs: Sequence[bytes], offer: Offer) -> list[CheckTxResponse]:
    """In order. offer: queues one, whose answer comes later; or answers at once."""
    answers: list[CheckTxResponse | None] = [None] * len(txs)
    left = len(txs)
    all_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(index: int, response: CheckTxResponse) -> None:
        nonlocal left
        answers[index] = response
        left -= 1
        if not left and not all_done.done():
            all_done.set_result(None)

    for index, tx in enumerate(txs):
        refused = offer(tx, lambda response, index=index: finish(index, response))  # type: ignore[misc]
        if refused is not None:
            finish(index, refused)
    if txs:
        await all_done
    return [answer for answer in answers if answer is not None]
