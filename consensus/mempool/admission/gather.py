"""One answer per transaction of several that are handed in together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from consensus.abci.interface import CheckTxResponse

Done = Callable[[CheckTxResponse], None]
Offer = Callable[[Sequence[Done]], list[CheckTxResponse | None]]


async def gather(count: int, offer: Offer) -> list[CheckTxResponse]:
    """In order. offer: answers at once, or says None and calls back in a later turn of the loop."""
    left = count
    all_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(index: int, response: CheckTxResponse) -> None:
        nonlocal left
        answers[index] = response
        left -= 1
        if not left and not all_done.done():
            all_done.set_result(None)

    answers = offer([partial(finish, index) for index in range(count)])
    left -= count - answers.count(None)
    if left:
        await all_done
    return [answer for answer in answers if answer is not None]
