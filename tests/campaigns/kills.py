"""Must be shown 3: validators die, the network does not.

Under load, one validator at a time is killed with SIGKILL at random moments: the others never stop for longer than the
failed round's time-outs plus 1 s, and it is back within 2 heights of them 10 s after its start. Then two of four are
stopped (no block comes) and started (blocks go on). At the end: no two different signatures for one height, round and
step in all logs together, and equal hashes on all nodes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from itertools import pairwise

from dchat.client.client import Client, ClientError
from dchat.client.wallet import Session
from dchat.devnet.load import Sent, make_payments, make_senders, send_all
from dchat.home import identity
from tests.campaigns.harness import CampaignFailed, Testnet, folder_of, run_campaign, say, until
from tests.campaigns.logs import double_signatures

BACK_S = 10.0
BACK_HEIGHTS = 2
SLACK_S = 1.0
STALL_S = 8.0  # two of four are down for so long
SAMPLE_S = 0.05


@dataclass(frozen=True)
class TimeOuts:
    """Of the running network, in seconds."""

    propose: float
    prevote: float
    precommit: float
    block: float

    @property
    def failed_round(self) -> float:
        """A round whose proposer is dead: its proposal is waited for, then nil votes with their waits."""
        return self.propose + self.prevote + self.precommit


FAST = TimeOuts(0.5, 0.1, 0.1, 0.0)
DEFAULT = TimeOuts(3.0, 1.0, 1.0, 3.0)


@dataclass
class Watch:
    """Samples the height of the nodes that should be alive, to find the longest pause."""

    net: Testnet
    down: set[int] = field(default_factory=set)
    moments: list[tuple[float, int]] = field(default_factory=list)  # (when, highest height)

    async def run(self) -> None:
        while True:
            heights = await asyncio.gather(
                *(self.net.height(node.index) for node in self.net.nodes if node.index not in self.down)
            )
            best = max(heights, default=-1)
            if best >= 0 and (not self.moments or best > self.moments[-1][1]):
                self.moments.append((time.monotonic(), best))
            await asyncio.sleep(SAMPLE_S)

    def longest_pause(self, since: float) -> float:
        times = [when for when, _ in self.moments if when >= since]
        return max((b - a for a, b in pairwise([since, *times, time.monotonic()])), default=0.0)


async def keep_loading(net: Testnet, rate: float, sent: Sent) -> None:
    """Payments through whichever door answers, for ever."""
    purse = identity.load(net.home / net.network.accounts["carol"]).wallet
    async with Client(net.grpc(1)) as client:
        senders = await make_senders(client, purse, 40, label=str(time.time_ns()))
        facts = await Session(client, purse).facts()
    while True:
        txs = make_payments(senders, 400, chain_id=facts.chain_id, gas_price=facts.gas_price)
        for node in net.nodes:
            with contextlib.suppress(ClientError, TimeoutError):
                async with Client(net.grpc(node.index)) as client, asyncio.timeout(30):
                    await send_all(client, txs, sent, rate=rate)
                break
        # What was admitted by a node that died may be lost: the sequences are read anew.
        async with Client(net.grpc(node.index)) as client:
            for sender in senders:
                with contextlib.suppress(ClientError):
                    account = (await client.account(sender.wallet.address)).account
                    sender.sequence = next((entry.next for entry in account.sequences), sender.sequence)


async def one_kill(net: Testnet, watch: Watch, limits: TimeOuts, rng: random.Random) -> tuple[float, float, int]:
    """Kill, wait a moment, start. Returns (longest pause, seconds until back, heights behind after BACK_S)."""
    victim = rng.choice(net.nodes).index
    await asyncio.sleep(rng.uniform(0, 2))
    since = time.monotonic()
    watch.down.add(victim)
    await asyncio.to_thread(net.kill, victim)
    await asyncio.sleep(rng.uniform(0.5, 4))
    await asyncio.to_thread(net.start, victim)
    started = time.monotonic()
    back_after = float("inf")
    while (now := time.monotonic()) - started < BACK_S:
        mine, best = await net.height(victim), watch.moments[-1][1]
        if mine >= 0 and best - mine <= BACK_HEIGHTS and back_after == float("inf"):
            back_after = now - started
        await asyncio.sleep(SAMPLE_S)
    behind = max(0, watch.moments[-1][1] - await net.height(victim))
    watch.down.discard(victim)
    pause = watch.longest_pause(since)
    allowed = limits.failed_round + limits.block + SLACK_S
    returned = f"back after {back_after:.2f} s, {behind} behind"
    say(f"  validator {victim}: pause {pause:.2f} of {allowed:.1f} s; {returned}")
    if pause > allowed:
        raise CampaignFailed(f"the others paused for {pause:.2f} s; allowed: {allowed:.2f}")
    if behind > BACK_HEIGHTS:
        raise CampaignFailed(f"validator {victim} is {behind} heights behind {BACK_S} s after its start")
    return pause, back_after, behind


async def two_down(net: Testnet, watch: Watch) -> None:
    """Two of four stopped: no block. Back: blocks go on."""
    pair = [net.nodes[0].index, net.nodes[2].index]
    alive = net.nodes[1].index
    watch.down.update(pair)
    for index in pair:
        await asyncio.to_thread(net.stop, index)
    await asyncio.sleep(1.0)  # what was decided already is saved
    before = await net.height(alive)
    await asyncio.sleep(STALL_S)  # the silence itself is what is checked
    after = await net.height(alive)
    if after != before:
        raise CampaignFailed(f"two of four are down, and the height went from {before} to {after}")
    for index in pair:
        await asyncio.to_thread(net.start, index)

    async def goes_on() -> bool:
        return min([await net.height(node.index) for node in net.nodes]) >= before + 3

    took = await until("blocks after two came back", goes_on, timeout_s=60)
    watch.down.clear()
    say(f"two of four down for {STALL_S:g} s: no block; three more heights {took:.1f} s after their start")


async def main(arguments: argparse.Namespace) -> None:
    rng = random.Random(arguments.seed)
    flags, limits = (["--fast"], FAST) if arguments.fast else ([], DEFAULT)
    say(f"seed {arguments.seed}")
    with folder_of("kills") as folder, Testnet(folder / "net", *flags) as net:

        async def is_up() -> bool:
            return min([await net.height(node.index) for node in net.nodes]) >= 3

        await until("the first blocks", is_up, timeout_s=120)
        watch, sent = Watch(net), Sent()
        async with asyncio.TaskGroup() as tasks:
            others = [tasks.create_task(watch.run()), tasks.create_task(keep_loading(net, arguments.rate, sent))]
            await until("load", lambda: _admitted(sent), timeout_s=60)
            results = [await one_kill(net, watch, limits, rng) for _ in range(arguments.kills)]
            await two_down(net, watch)
            for task in others:
                task.cancel()
        say(
            f"{len(results)} kills: longest pause {max(r[0] for r in results):.2f} s, "
            f"slowest back {max(r[1] for r in results):.2f} s; {sent.admitted} payments admitted meanwhile"
        )
        compared = await net.check_agreement()
        homes = net.homes
        say(f"equal hashes on all nodes at {compared} heights")
        net.run("stop")
        slots, faults = double_signatures(homes)
        if faults:
            raise CampaignFailed("signed twice: " + "; ".join(faults[:5]))
        say(f"{slots} signatures in all logs together, no two for one height, round and step")


async def _admitted(sent: Sent) -> bool:
    return sent.admitted > 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--rate", type=float, default=100.0, help="payments a second")
    parser.add_argument("--fast", action="store_true", help="a network with --fast's time-outs")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
