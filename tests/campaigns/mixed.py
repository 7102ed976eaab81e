"""One network of two implementations under load: validators of ours beside CometBFT nodes with our application.

First two of each kind, undisturbed for `--minutes`: all that is admitted is committed, no peer is dropped, every header
and app hash, and the set with its priorities, is the same on all. Then networks drawn from the seed, as CometBFT's
end-to-end generator does: which validator is of which kind, how much load, and who is killed, stopped, paused or loses
its application, one after the other; whoever was away catches up, and all agree.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from chain.tx.messages import Payment
from crypto.hash import sha256
from tests.campaigns.harness import CampaignFailed, folder_of, run_campaign, say, until
from tests.support.interop.mixed import OURS, PACE, THEIRS, MixedNetwork, MixedNode, TheirNode

VALIDATORS = 4
EXPIRY_BLOCKS = 100
SETTLE_S = 180.0
DROPPED = {OURS: "lost a peer", THEIRS: "Stopping peer for error"}  # as their logs say it
BROKEN = ("CONSENSUS FAILURE", "consensus failed", "cannot vote for a block")
LOST_APPLICATION = "app.sock"  # CometBFT's failure where it is the application that was killed
SAMPLE = 200  # transactions of a network that all nodes are asked for
PERTURBATIONS = ("kill", "restart", "pause", "application")


@dataclass(frozen=True)
class Manifest:
    """One network. disturbed: (what, whom: a validator's number from 1, for so many seconds)."""

    kinds: tuple[str, ...]
    rate: float  # payments a second
    disturbed: tuple[tuple[str, int, float], ...]


def manifest_of(rng: random.Random) -> Manifest:
    """At least one of each kind; what only CometBFT's have, an application of its own, only they lose."""
    theirs = rng.randint(1, VALIDATORS - 1)
    kinds = [THEIRS] * theirs + [OURS] * (VALIDATORS - theirs)
    rng.shuffle(kinds)
    disturbed = []
    for _ in range(rng.randint(2, 4)):
        what = rng.choice(PERTURBATIONS)
        able = [n for n, kind in enumerate(kinds, start=1) if what != "application" or kind == THEIRS]
        disturbed.append((what, rng.choice(able), round(rng.uniform(1, 6), 1)))
    return Manifest(tuple(kinds), float(rng.choice((2, 5, 10, 20))), tuple(disturbed))


@dataclass
class Load:
    """Unordered payments through every node that answers, in turn."""

    net: MixedNetwork
    rate: float
    rng: random.Random
    admitted: dict[bytes, float] = field(default_factory=dict)  # transaction -> when
    refused: Counter[str] = field(default_factory=Counter)
    _height: int = 0

    async def begin(self) -> None:
        """The accounts' first payments, which bring their policies."""
        names = list(self.net.wallets)
        for name, other in pairwise([*names, names[0]]):
            tx = self.net.payment(1_000, sender=name, recipient=other)
            await self.net.send(self.net.nodes[0], tx)
            await self.net.committed(tx)

    @contextlib.asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        number, began = 0, time.monotonic()
        names = list(self.net.wallets)
        while True:
            await asyncio.sleep(max(0.0, number / self.rate - (time.monotonic() - began)))
            if number % 20 == 0:
                self._height = max(self._height, *await self.net.heights())
            number += 1
            node = self.net.nodes[number % len(self.net.nodes)]
            sender, recipient = self.rng.sample(names, 2)
            await self._pay(node, sender, recipient, number)

    async def _pay(self, node: MixedNode, sender: str, recipient: str, number: int) -> None:
        message = Payment(self.net.wallets[sender].address, self.net.wallets[recipient].address, 1 + number)
        tx = self.net.unordered(sender, message, expiry_height=self._height + EXPIRY_BLOCKS, memo=str(number))
        try:
            told = await self.net.rpc(node, f"broadcast_tx_sync?tx=0x{tx.hex()}")
        except (OSError, LookupError) as error:
            self.refused[f"{node.kind}: {type(error).__name__}"] += 1
            return
        if told["code"]:
            self.refused[f"{node.kind}: {told['log']}"[:120]] += 1
        else:
            self.admitted[tx] = time.monotonic()


async def committed_of(net: MixedNetwork, txs: list[bytes]) -> int:
    """How many of them are in blocks, in the same place on all."""
    found = 0
    for tx in txs:
        places: set[tuple[str, int, int] | None] = set()
        for node in net.alive:
            try:
                told = await net.rpc(node, f"tx?hash=0x{sha256(tx).hex()}")
                places.add((told["height"], told["index"], told["tx_result"]["code"]))
            except LookupError:
                places.add(None)
        if len(places) != 1:
            raise CampaignFailed(f"a transaction has different places: {places}")
        found += places != {None}
    return found


def rounds_above_0(net: MixedNetwork) -> int:
    """Blocks that took more than one, as one of ours says."""
    return len(re.findall(r"event=committed height=\d+ round=[1-9]", net.of(OURS)[0].log))


def dropped(net: MixedNetwork) -> int:
    return sum(node.log.count(DROPPED[node.kind]) for node in net.nodes)


def check_logs(net: MixedNetwork) -> None:
    """Raises CampaignFailed."""
    for node in net.nodes:
        told = [line for line in node.log.splitlines() if any(word in line for word in BROKEN)]
        if told := [line for line in told if LOST_APPLICATION not in line]:
            raise CampaignFailed(f"{node.entry.name} ({node.kind}) says {told[0][:500]}")


async def agree(net: MixedNetwork, load: Load, *, first: int = 1) -> dict[str, Any]:
    """When the load is over: wait for one height, compare everything. Raises CampaignFailed, AssertionError."""
    await net.wait_height(await net.top() + 2)
    metas = await net.agreement(first)
    last = max(metas)
    await net.same_sets(last - 3)
    await net.wait_peers()
    check_logs(net)
    by = net.proposers(metas)
    sample = load.rng.sample(sorted(load.admitted), min(SAMPLE, len(load.admitted)))
    return {
        "blocks": len(metas),
        "app_hashes": len({meta["header"]["app_hash"] for meta in metas.values()}),
        "proposed": {f"{node.entry.index} {node.kind}": by[node.entry.index] for node in net.nodes},
        "rounds_above_0": rounds_above_0(net),
        "transactions": sum(int(meta["num_txs"]) for meta in metas.values()),
        "admitted": len(load.admitted),
        "committed_of_sample": f"{await committed_of(net, sample)} of {len(sample)}",
        "refused": dict(load.refused),
    }


async def steady(folder: Path, seconds: float, rate: float, rng: random.Random) -> dict[str, Any]:
    """Two and two, undisturbed."""
    net = MixedNetwork(folder, (OURS, THEIRS, OURS, THEIRS), pace=PACE)
    load = Load(net, rate, rng)
    async with net.running():
        await net.wait_height(2)
        await net.wait_peers()
        await load.begin()
        before, began = dropped(net), time.monotonic()
        async with load.going_on():
            while (left := seconds - (time.monotonic() - began)) > 0:
                await asyncio.sleep(min(10.0, left))
                if len(net.alive) < VALIDATORS:
                    raise CampaignFailed("a node ended")
                for node in net.nodes:
                    if len(await net.peers(node)) != VALIDATORS - 1:
                        raise CampaignFailed(f"{node.entry.name} ({node.kind}) has other than {VALIDATORS - 1} peers")
        await all_committed(net, load)
        result = await agree(net, load)
        result |= {"seconds": round(time.monotonic() - began), "dropped_peers": dropped(net) - before}
        if result["dropped_peers"]:
            raise CampaignFailed(f"{result['dropped_peers']} peers were dropped")
    return result


async def all_committed(net: MixedNetwork, load: Load) -> None:
    """Nothing that was admitted by a network at peace is lost."""
    last = list(load.admitted)[-SAMPLE:]

    async def there() -> bool:
        try:
            return await committed_of(net, last) == len(last)
        except CampaignFailed:  # one node has a block that another is about to have
            return False

    await until("admitted payments are committed", there, timeout_s=SETTLE_S)


async def disturb(net: MixedNetwork, what: str, node: MixedNode, seconds: float) -> None:
    """And back: returns when it has what the others have."""
    match what:
        case "pause":
            node.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            node.signal(signal.SIGCONT)
        case "application":
            assert isinstance(node, TheirNode)
            await node.app.end(signal.SIGKILL)
            await asyncio.sleep(seconds)
            await node.comet.end(signal.SIGKILL)  # it ends by itself, or hangs at that
            await node.start()
        case _:
            await node.end(signal.SIGKILL if what == "kill" else signal.SIGTERM)
            await asyncio.sleep(seconds)
            await node.start()
    began, at = time.monotonic(), await net.top()
    await net.wait_height(at + 1, node)
    say(f"  {what} of {node.entry.name} ({node.kind}) for {seconds} s: back {time.monotonic() - began:.1f} s later")


async def drawn(folder: Path, manifest: Manifest, rng: random.Random) -> dict[str, Any]:
    net = MixedNetwork(folder, manifest.kinds, pace=PACE)
    load = Load(net, manifest.rate, rng)
    async with net.running():
        await net.wait_height(2)
        await net.wait_peers()
        await load.begin()
        async with load.going_on():
            for what, index, seconds in manifest.disturbed:
                await disturb(net, what, net.nodes[index - 1], seconds)
        return await agree(net, load)


async def run(folder: Path, *, minutes: float, manifests: int, seed: int, rate: float) -> dict[str, Any]:
    rng = random.Random(seed)
    plans = [manifest_of(rng) for _ in range(manifests)]
    result: dict[str, Any] = {"seed": seed, "minutes": minutes, "rate": rate}
    if minutes:
        result["steady"] = await steady(folder / "steady", minutes * 60, rate, rng)
        say(f"steady: {json.dumps(result['steady'])}")
    result["manifests"] = []
    for number, plan in enumerate(plans, start=1):
        say(f"network {number} of {manifests}: {', '.join(plan.kinds)}; {plan.rate:g} payments a second")
        told = asdict(plan) | await drawn(folder / f"network{number}", plan, rng)
        say(f"  {json.dumps(told)}")
        result["manifests"].append(told)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="undisturbed, under load; 0: none")
    parser.add_argument("--manifests", type=int, default=10, help="networks drawn from the seed")
    parser.add_argument("--rate", type=float, default=20.0, help="payments a second while undisturbed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--json", type=Path, help="also write the result here")
    said = parser.parse_args()
    say(f"seed {said.seed}")
    with folder_of("mixed") as folder:
        work = run(folder, minutes=said.minutes, manifests=said.manifests, seed=said.seed, rate=said.rate)
        result = run_campaign(work)
    if said.json:
        said.json.write_text(json.dumps(result, indent=2) + "\n")
    say("all networks agree")


if __name__ == "__main__":
    main()
