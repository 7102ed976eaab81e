"""Must be shown 2: the pace of a calm network.

100 blocks at the default setting without load: 3 s ± 0.3 s apart, equal app hashes on all nodes; then transactions sent
one at a time into the calm, from send to commit, p95 within 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from itertools import pairwise

from consensus.formats.timestamps import parse_rfc3339
from dchat.client.client import Client
from dchat.client.wallet import Session
from dchat.devnet.load import Sender
from dchat.home import identity
from tests.campaigns.harness import CampaignFailed, Testnet, folder_of, run_campaign, say, until

TOLERANCE_S = 0.3
COMMIT_P95_S = 1.0


async def intervals(net: Testnet, blocks: int, expected_s: float) -> None:
    busy = await net.height(1)

    async def calm() -> bool:
        return await net.height(1) >= busy + 2  # the last payment's block is followed by the one that proves it

    await until("the calm", calm, timeout_s=3 * expected_s + 10)
    first = await net.height(1)

    async def enough() -> bool:
        return await net.height(1) >= first + blocks

    await until(f"{blocks} calm blocks", enough, timeout_s=blocks * expected_s * 1.5 + 30, poll_s=1.0)
    listed = (await asyncio.to_thread(net.get, 1, f"/chain/blocks?limit={min(100, blocks)}"))["blocks"]
    times = sorted(parse_rfc3339(block["time"]) / 1e9 for block in listed)
    gaps = sorted(b - a for a, b in pairwise(times))
    outside = [gap for gap in gaps if abs(gap - expected_s) > TOLERANCE_S]
    say(
        f"interval over {len(gaps)} gaps: min {gaps[0]:.3f} median {statistics.median(gaps):.3f} max {gaps[-1]:.3f} s; "
        f"outside {expected_s} ± {TOLERANCE_S} s: {len(outside)}"
    )
    if outside:
        raise CampaignFailed(f"{len(outside)} of {len(gaps)} intervals are outside {expected_s} ± {TOLERANCE_S} s")
    compared = await net.check_agreement(min(100, blocks))
    say(f"app hashes equal on {len(net.nodes)} nodes at {compared} heights")


async def latency(net: Testnet, count: int) -> None:
    """One payment at a time, at another moment of the calm each time."""
    async with Client(net.grpc(1)) as client:
        alice = identity.load(net.home / net.network.accounts["alice"]).wallet
        bob = identity.load(net.home / net.network.accounts["bob"]).wallet
        facts = await Session(client, alice).facts()
        sender = await Sender.of(client, alice)
        taken = []
        for number in range(count):
            tx = sender.pay(bob.address, 1, chain_id=facts.chain_id, gas_price=facts.gas_price)
            await client.wait_for_height((await client.status()).latest_block_height + 1)
            await asyncio.sleep(2.5 * (number % 10) / 10)  # a moment of the calm, chosen: not a wait for something
            started = time.monotonic()
            answer = await client.broadcast(tx, wait_commit=True)
            taken.append(time.monotonic() - started)
            if answer.code:
                raise CampaignFailed(f"a payment was refused: {answer.log}")
    taken.sort()
    p95 = taken[min(len(taken) - 1, int(len(taken) * 0.95))]
    say(f"send to commit, {count} payments into the calm: median {statistics.median(taken):.3f} p95 {p95:.3f} s")
    if p95 > COMMIT_P95_S:
        raise CampaignFailed(f"p95 is {p95:.3f} s; allowed: {COMMIT_P95_S}")


async def main(arguments: argparse.Namespace) -> None:
    with folder_of("pace") as folder, Testnet(folder / "net") as net:

        async def first_block() -> bool:
            return await net.height(1) >= 3

        await until("the first blocks", first_block, timeout_s=60)
        await latency(net, arguments.payments)
        await intervals(net, arguments.blocks, 3.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=100)
    parser.add_argument("--payments", type=int, default=40)
    run_campaign(main(parser.parse_args()))
