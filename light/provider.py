"""Whom a light client asks: anything that has a chain's light blocks and takes evidence.

`ask` is how the rest of this room asks one: with a deadline, and what comes is whole, of the chain, and of the height.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from consensus.formats.errors import InvalidData
from consensus.types.evidence import Evidence
from consensus.types.light import LightBlock
from light.errors import BadAnswer, HeightTooHigh, NoAnswer

HEIGHT_MAX: Final = 1 << 62  # above it no word is a height: the next one still fits its field
ASK_TIMEOUT_S: Final = 30.0  # of one light block of the largest set, over a slow line
REPORT_TIMEOUT_S: Final = 10.0


class Provider(Protocol):
    """One node. What it says is believed in nothing."""

    @property
    def name(self) -> str:
        """For errors: its address."""
        ...

    async def light_block(self, height: int) -> LightBlock:
        """Of `height`; 0: its latest. Sizes are bounded before they are read.

        Raises NoAnswer, NoBlock, HeightTooHigh, BadAnswer.
        """
        ...

    async def report(self, evidence: Evidence) -> None:
        """Hand evidence in. Raises ProviderFailed: it was not taken."""
        ...


async def ask(provider: Provider, height: int, *, chain_id: str) -> LightBlock:
    """A light block of `height` (0: the latest). chain_id: empty where the root of trust is to say it.

    Raises NoAnswer, NoBlock, HeightTooHigh, BadAnswer.
    """
    if not 0 <= height <= HEIGHT_MAX:
        raise HeightTooHigh(provider.name, f"no header has the height {height}; allowed: 1 to {HEIGHT_MAX}")
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            block = await provider.light_block(height)
    except TimeoutError:
        raise NoAnswer(provider.name, f"said nothing about header {height} for {ASK_TIMEOUT_S:g} s") from None
    except InvalidData as error:
        raise BadAnswer(provider.name, error) from error
    if (height and block.height != height) or not 0 < block.height <= HEIGHT_MAX:
        raise BadAnswer(provider.name, f"asked for header {height or '(the latest)'}, got {block.height}")
    try:
        block.validate(chain_id or block.header.chain_id)
    except InvalidData as error:
        raise BadAnswer(provider.name, error) from error
    return block
