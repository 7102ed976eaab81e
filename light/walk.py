"""Ways along headers of one provider: as few as the sets allow, all of them, or backwards by their hashes.

A way is a list of light blocks, ascending, from what is trusted to what was asked for. What a provider can make of it
is bounded: each header that is fetched between two others halves what is left, or the way ends by an error; of headers
that wait for a nearer one only a few are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from consensus.formats.errors import InvalidData
from consensus.types.light import LightBlock
from crypto.batch import SignatureCache
from light.errors import CannotSkip, LightError, NotVerified
from light.provider import Provider, ask
from light.rules import BACK_MAX, Options, Root, pivot_between, verify_back, verify_root, verify_step

ASIDE_SLOTS: Final = 64  # a commit of more is verified in a thread: 3 ms of the event loop
SIGNATURES_MAX: Final = 20_000  # remembered: those of two commits of the largest set
WAITING_MAX: Final = (
    8  # light blocks kept until a nearer one is verified, 8 MB each at most; others are asked for again
)

T = TypeVar("T")


class Walker:
    """Verifies ways. chain_id: empty until the root of trust says it."""

    def __init__(self, chain_id: str, options: Options, now_ns: Callable[[], int]) -> None:
        self.chain_id, self.options, self.now_ns = chain_id, options, now_ns
        self._signatures = SignatureCache(SIGNATURES_MAX)  # one that skips is judged by two sets

    async def fetch(self, source: Provider, height: int) -> LightBlock:
        """Raises ProviderFailed."""
        return await ask(source, height, chain_id=self.chain_id)

    async def begin(self, source: Provider, root: Root) -> LightBlock:
        """The root's block. Raises ProviderFailed, NotVerified."""
        block = await self.fetch(source, root.height)
        chain_id = self.chain_id or block.header.chain_id  # which the hash covers
        verify = self._signatures.verify_many
        await self._judge(source, block, lambda: verify_root(block, root, chain_id=chain_id, verifier=verify))
        self.chain_id = chain_id
        return block

    async def forward(self, source: Provider, trusted: LightBlock, target: LightBlock) -> list[LightBlock]:
        """From `trusted` to `target`, which is above it. Raises ProviderFailed, NotVerified, TrustExpired."""
        if self.options.sequential:
            return await self._each(source, trusted, target)
        return await self.skip(source, trusted, target)

    async def _each(self, source: Provider, trusted: LightBlock, target: LightBlock) -> list[LightBlock]:
        way = [trusted]
        for height in range(trusted.height + 1, target.height + 1):
            block = target if height == target.height else await self.fetch(source, height)
            await self._step(source, way[-1], block)
            way.append(block)
        return way

    async def skip(self, source: Provider, trusted: LightBlock, target: LightBlock) -> list[LightBlock]:
        """By as few headers as the sets allow: whenever none of those at hand can be reached, one nearer is fetched."""
        way, wanted = [trusted], [target.height]
        kept = {target.height: target}
        while wanted:
            at = await self._reach(source, way, wanted, kept)
            if at is not None:
                del wanted[at:]
                continue
            pivot = pivot_between(way[-1].height, wanted[-1])
            for height in wanted[1 : max(1, len(wanted) - WAITING_MAX + 2)]:
                kept.pop(height, None)
            wanted.append(pivot)
            kept[pivot] = await self.fetch(source, pivot)
        return way

    async def _reach(
        self, source: Provider, way: list[LightBlock], wanted: list[int], kept: dict[int, LightBlock]
    ) -> int | None:
        """Append the furthest of `wanted` (descending) that the way's end vouches for; its place, None: none."""
        for at, height in enumerate(wanted):
            block = kept.get(height)
            if block is None and at == len(wanted) - 1:  # forgotten for want of room, and next in turn
                block = kept[height] = await self.fetch(source, height)
            if block is None:
                continue
            try:
                await self._step(source, way[-1], block)
            except CannotSkip:
                continue
            way.append(block)
            return at
        return None

    async def back(self, source: Provider, trusted: LightBlock, target: LightBlock) -> list[LightBlock]:
        """From `target` to `trusted`, verified downwards. Raises ProviderFailed, NotVerified, LightError (too far)."""
        if trusted.height - target.height > BACK_MAX:
            raise LightError(
                f"height {target.height} is {trusted.height - target.height} below the trusted {trusted.height}; "
                f"allowed: {BACK_MAX}. Trust an earlier header, or the genesis"
            )
        way = [trusted]
        while way[-1].height > target.height:
            above = way[-1]
            block = target if above.height == target.height + 1 else await self.fetch(source, above.height - 1)
            await self._judge(source, block, self._below(above, block))
            way.append(block)
        return way[::-1]

    def _below(self, above: LightBlock, block: LightBlock) -> Callable[[], None]:
        return lambda: verify_back(above, block, chain_id=self.chain_id)

    async def _step(self, source: Provider, trusted: LightBlock, block: LightBlock) -> None:
        def judge() -> None:
            verify_step(
                trusted,
                block,
                chain_id=self.chain_id,
                now_ns=self.now_ns(),
                options=self.options,
                verifier=self._signatures.verify_many,
            )

        await self._judge(source, block, judge)

    async def _judge(self, source: Provider, block: LightBlock, judge: Callable[[], None]) -> None:
        """What breaks a rule is told with whose word it was. Raises NotVerified, and what else `judge` does."""
        try:
            if len(block.validators) > ASIDE_SLOTS:
                await asyncio.to_thread(judge)
            else:
                judge()
        except InvalidData as error:
            raise NotVerified(block.height, source.name, error) from error
