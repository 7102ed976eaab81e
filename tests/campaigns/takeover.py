"""A validator of four is handed over from process to process under load, again and again.

No two signatures of one height, round and step, ever; each new process takes part; the votes that the others' blocks
lack are counted, and how long nobody voted. It fails at a double signature, at a process that does not take over, and
where more votes are missed than --missed allows.

    scripts/campaign takeover [--times 100] [--rate 20] [--missed 0] [--fast] [--host 127.0.0.9]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from dchat.client.client import Client, ClientError
from dchat.devnet.live import metrics_of
from dchat.devnet.load import Sent
from tests.campaigns.harness import CampaignFailed, Testnet, folder_of, run_campaign, say
from tests.campaigns.kills import keep_loading
from tests.campaigns.logs import double_signatures

TAKES_S = 180.0  # of a busy machine: the program is loaded, a block is waited for, it takes part
POLL_S = 0.1
STAGES = ("away_ms", "closing_ms", "opening_ms")
TOOK = re.compile(r'event="took over".*' + "".join(f" {stage}=([0-9]+)" for stage in STAGES))


@dataclass
class Handed:
    """What was seen. took: of each hand-over, how long from leaving consensus to being in it, and of that for the first
    process to close and the second to open what is there. missed: votes that blocks lack."""

    took: list[tuple[int, ...]] = field(default_factory=list)
    heights: int = 0
    missed: int = 0
    others: int = 0  # votes of another validator that blocks lack, which nobody handed over: the machine's part

    def __str__(self) -> str:
        away, closing, opening = (sorted(ms) for ms in zip(*self.took, strict=True))
        p95 = away[min(len(away) - 1, int(0.95 * len(away)))]
        return (
            f"{len(away)} hand-overs in {self.heights} heights: {self.missed} votes missed ({self.others} by another); "
            f"away {min(away)} to {max(away)} ms, median {statistics.median(away):.0f}, p95 {p95} "
            f"(closing {statistics.median(closing):.0f}, opening {statistics.median(opening):.0f})"
        )


def hand_over(home: Path, log: Path) -> tuple[int, ...]:
    """To a new process; returns how many milliseconds each of STAGES took. Raises CampaignFailed."""
    with log.open("wb") as out:
        words = [sys.executable, "-m", "dchat", "validator", "--takeover", "--home", str(home)]
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    end = time.monotonic() + TAKES_S
    while (found := TOOK.search(log.read_text())) is None:
        if process.poll() is not None or time.monotonic() > end:
            raise CampaignFailed(f"it did not take over: {log.read_text()[-2_000:]}")
        time.sleep(POLL_S)
    return tuple(map(int, found.groups()))


def missed_of(net: Testnet, index: int = 1) -> float:
    """Votes of a validator that blocks lack, as validator 2 saw them."""
    http = f"{net.network.host}:{net.network.node(2).ports.http}"
    labels = f'{{validator="{net.network.node(index).address}"}}'
    return metrics_of(http).get(f"dchat_chain_validator_missed_blocks_total{labels}", 0.0)


async def in_step(net: Testnet, blocks: int) -> int:
    """Validator 1 has as many more blocks, so that what it missed before is in the others' blocks."""
    target = await net.height(2) + blocks
    end = time.monotonic() + TAKES_S
    while min(await net.height(1), await net.height(2)) < target:
        if time.monotonic() > end:
            raise CampaignFailed(f"no {target} on validators 1 and 2")
        await asyncio.sleep(POLL_S)
    return target


async def hand_over_again_and_again(net: Testnet, *, times: int, rate: float) -> Handed:
    handed = Handed()
    await in_step(net, 3)
    begun, before = await net.height(2), await asyncio.to_thread(missed_of, net)
    others = await asyncio.to_thread(missed_of, net, 3)
    load = asyncio.create_task(keep_loading(net, rate, Sent()))
    try:
        for number in range(1, times + 1):
            log = net.home / f"takeover-{number}.log"
            handed.took.append(await asyncio.to_thread(hand_over, net.homes[0], log))
            handed.heights = await in_step(net, 3) - begun
            missed, handed.missed = handed.missed, int(await asyncio.to_thread(missed_of, net) - before)
            handed.others = int(await asyncio.to_thread(missed_of, net, 3) - others)
            say(f"{number} of {times}: {handed.took[-1]} ms; {handed}")
            if handed.missed > missed:
                say(f"missed here: {log}, from height {begun} on")
    finally:
        load.cancel()
        with contextlib.suppress(asyncio.CancelledError, ClientError):
            await load
    return handed


async def main(options: argparse.Namespace) -> None:
    with folder_of("takeover") as folder:
        home = folder / "network"
        flags = [*(["--fast"] if options.fast else []), *(["--host", options.host] if options.host else [])]
        with Testnet(home, *flags) as net:
            handed = await hand_over_again_and_again(net, times=options.times, rate=options.rate)
            await net.check_agreement()
            async with Client(net.grpc(1)) as client:
                height = (await client.status()).latest_block_height
        slots, twice = double_signatures(net.homes)
        if twice:
            raise CampaignFailed(f"signed twice: {twice}")
        say(f"{slots} signatures in {height} heights, none twice; {handed}")
        if handed.missed > options.missed:
            raise CampaignFailed(f"{handed.missed} votes missed; allowed: {options.missed}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="scripts/campaign takeover", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=100, help="hand-overs (default 100)")
    parser.add_argument("--rate", type=float, default=20.0, help="payments a second (default 20)")
    parser.add_argument("--missed", type=int, default=0, help="votes that may be missed in all (default 0)")
    parser.add_argument("--host", help="where the network listens, as 127.0.0.9, beside others on this machine")
    parser.add_argument("--fast", action="store_true", help="blocks as fast as they come")
    run_campaign(main(parser.parse_args()))
