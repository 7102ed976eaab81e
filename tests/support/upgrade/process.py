"""A plan, and what is known of a process that meets it."""

from __future__ import annotations

from typing import Any

from chain.tx.messages.upgrade import SoftwareUpgrade
from dchat.client.wallet import Session
from dchat.devnet.network import Pace
from dchat.home import identity
from tests.support.upgrade.builds import Daemon

QUICK = Pace(block_time=150, timeout_propose=1_000, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)


async def plan_in(one: Daemon, blocks: int, info: str = "see docs", **fields: Any) -> int:
    """Set the plan so many blocks ahead; returns its height."""
    await one.reach(2)
    alice = identity.load(one.network.folder / one.network.accounts["alice"])
    async with one.client as client:
        height = (await client.status()).latest_block_height + blocks
        plan = SoftwareUpgrade(alice.address, "spring", height, info, **fields)
        await Session(client, alice.wallet).send([plan])
    return height


async def height_of(one: Daemon) -> int:
    async with one.client as client:
        return (await client.status()).latest_block_height
