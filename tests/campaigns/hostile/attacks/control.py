"""What an attack is compared with: the same CPU burned and nothing sent; and an honest stranger, who must stay."""

from __future__ import annotations

import asyncio
import contextlib
import time
from hashlib import sha256
from typing import IO

from consensus.channels import peer_messages as messages
from consensus.p2p.conn.node_key import NodeKey
from tests.campaigns.hostile.wire import STOCK_CHANNELS, Target, Wire, faults, packets, plain_info
from tests.campaigns.hostile.world import World, attack, together

SLICE_S = 0.02
RECORDED_BYTES_MAX = 70_000  # a part and its proof


@attack
async def burn(world: World) -> None:
    """cpu: the share of one core, above 1 never needed."""
    share = min(1.0, float(world.args["cpu"]))
    block = bytes(4_096)
    while True:
        ends = time.process_time() + SLICE_S * share
        while time.process_time() < ends:
            sha256(block).digest()
        world.count["slices"] += 1
        await asyncio.sleep(SLICE_S * (1 - share))


@attack
async def observe(world: World) -> None:
    """An honest stranger: listens on every stock channel, answers pings, says that it is where the others are.

    args: seed (hex, of its key), record (a file, or nothing). Never dropped for anything; if it is, that counts.
    """
    key = NodeKey.from_seed(bytes.fromhex(str(world.args["seed"])))
    record = str(world.args.get("record") or "")
    with open(record, "w") if record else contextlib.nullcontext() as file:  # noqa: ASYNC230
        await together(_observe(world, target, key, file) for target in world.targets)


async def _observe(world: World, target: Target, key: NodeKey, file: IO[str] | None) -> None:
    while True:
        wire = Wire(key)
        try:
            await wire.open(
                target,
                plain_info(key, world.chain_id, channels=STOCK_CHANNELS, moniker="observer"),
                source=world.source(),
            )
            world.count["connected"] += 1
            follow(wire, file)
            await wire.closed.wait()
            world.count[f"dropped by {target.name}"] += 1
        except faults():
            world.count[f"refused by {target.name}"] += 1
        finally:
            wire.close()
        await asyncio.sleep(1.0)


def follow(wire: Wire, file: IO[str] | None) -> None:
    """Say each height and round after the other side, so that it sends us what belongs there."""
    at = (0, 0)

    def take(channel: int, message: bytes) -> None:
        nonlocal at
        if file is not None and len(message) < RECORDED_BYTES_MAX:
            file.write(f"{channel:02x} {message.hex()}\n")
        if channel == messages.STATE_CHANNEL and message[:1] == b"\x0a":
            told = messages.decode_consensus(message)
            if isinstance(told, messages.NewRoundStep) and (told.height, told.round) > at and file is not None:
                at = (told.height, told.round)
                step = messages.NewRoundStep(told.height, told.round, 1, 0, told.last_commit_round)
                wire.stream(packets(messages.STATE_CHANNEL, step.encode()))

    wire.listen(take)
