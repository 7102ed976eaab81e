"""One network of two implementations under load: validators of ours beside CometBFT nodes with our application.

First two of each kind, undisturbed for `--minutes`: all that is admitted is committed, no peer is dropped, every header
and app hash, and the set with its priorities, is the same on all; and how often a part and a vote came that was needed
once. Then networks drawn from the seed, as CometBFT's end-to-end generator does: which validator is of which kind, how
much load, and who is killed, stopped, paused or loses its application, one after the other; whoever was away catches
up, and all agree.

At the end two tables; with --json all of it. A network that fails is named with the seed and the command that runs it
alone. Each has at most fifteen minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from chain.tx.messages import Payment
from crypto.hash import sha256
from tests.campaigns.harness import CampaignFailed, folder_of, run_campaign, say, until
from tests.support.interop.mixed import OURS, PACE, THEIRS, MixedNetwork, MixedNode, TheirNode
from tests.support.interop.traffic import arrived, copies

VALIDATORS = 4
EXPIRY_BLOCKS = 100
SETTLE_S = 180.0
DROPPED = {OURS: "lost a peer", THEIRS: "Stopping peer for error"}  # as their logs say it
BROKEN = ("CONSENSUS FAILURE", "consensus failed", "cannot vote for a block")
LOST_APPLICATION = "app.sock"  # CometBFT's failure where it is the application that was killed
NETWORK_S = 900.0  # of a drawn one, from its first process to the last; two minutes are usual
SAMPLE = 200  # transactions of a network that all nodes are asked for
PERTURBATIONS = ("kill", "restart", "pause", "application")

T = TypeVar("T")


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


def manifests_of(seed: int, count: int) -> list[Manifest]:
    """The first `count` networks of a seed."""
    rng = random.Random(seed)
    return [manifest_of(rng) for _ in range(count)]


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


async def rounds_above_0(net: MixedNetwork, heights: Iterable[int]) -> int:
    """Blocks that took more than one, as their commits say."""
    node, found = net.of(OURS)[0], 0
    for height in heights:
        told = await net.rpc(node, f"commit?height={height}")
        found += int(told["signed_header"]["commit"]["round"]) > 0
    return found


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
        "app_hashes_compared": len(metas) * len(net.alive),
        "app_hashes": len({meta["header"]["app_hash"] for meta in metas.values()}),
        "proposed": {f"{node.entry.index} {node.kind}": by[node.entry.index] for node in net.nodes},
        "rounds_above_0": await rounds_above_0(net, metas),
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
        first, came = await net.top() + 1, await arrived(net)
        async with load.going_on():
            while (left := seconds - (time.monotonic() - began)) > 0:
                await asyncio.sleep(min(10.0, left))
                if len(net.alive) < VALIDATORS:
                    raise CampaignFailed("a node ended")
                for node in net.nodes:
                    if len(await net.peers(node)) != VALIDATORS - 1:
                        raise CampaignFailed(f"{node.entry.name} ({node.kind}) has other than {VALIDATORS - 1} peers")
        last, now = await net.top(), await arrived(net)
        await all_committed(net, load)
        result = await agree(net, load)
        metas = await net.metas(net.nodes[0], first, last)
        result["copies"] = copies(net, {index: one.since(came[index]) for index, one in now.items()}, metas)
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


async def in_time(work: Awaitable[T]) -> T:
    """Raises CampaignFailed: it is cut off after NETWORK_S."""
    try:
        async with asyncio.timeout(NETWORK_S):
            return await work
    except TimeoutError as error:
        if str(error):  # its own
            raise
        raise CampaignFailed(f"the network was not done within {NETWORK_S:g} s") from None


@contextlib.contextmanager
def replayed_by(command: str) -> Iterator[None]:
    """What goes wrong within is said with the command that does the same again."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            say(f"FAILED: {str(error) or type(error).__name__}")
        say(f"replay: {command}")
        raise


async def run(
    folder: Path, result: dict[str, Any], *, minutes: float, manifests: int, seed: int, rate: float, only: int = 0
) -> None:
    """result: is filled as it goes. only: the number of the one drawn network that is run; 0: all."""
    plans = manifests_of(seed, manifests)
    command = f"scripts/campaign mixed --seed {seed}"
    if minutes:
        with replayed_by(f"{command} --minutes {minutes:g} --rate {rate:g} --manifests 0"):
            result["steady"] = await steady(folder / "steady", minutes * 60, rate, random.Random(f"{seed} load"))
        say(f"steady: {json.dumps(result['steady'])}")
    for number, plan in enumerate(plans, start=1):
        if only not in (0, number):
            continue
        say(f"network {number} of {manifests}: {', '.join(plan.kinds)}; {plan.rate:g} payments a second")
        with replayed_by(f"{command} --minutes 0 --manifests {manifests} --only {number}"):
            began = time.monotonic()
            work = drawn(folder / f"network{number}", plan, random.Random(f"{seed} load {number}"))
            told = await in_time(work)
        told = {"network": number} | asdict(plan) | told | {"seconds": round(time.monotonic() - began)}
        say(f"  {json.dumps(told)}")
        result["manifests"].append(told)


def tables(result: dict[str, Any]) -> str:
    """For people."""
    lines = []
    if steady := result.get("steady"):
        lines += [
            f"undisturbed {steady['seconds']} s at {result['rate']:g} payments a second: {steady['blocks']} blocks, "
            f"proposed by {_shares(steady['proposed'])}; {steady['rounds_above_0']} in rounds above 0; "
            f"{steady['dropped_peers']} peers dropped; {steady['app_hashes_compared']} headers with their app hashes "
            f"alike; {steady['transactions']} transactions, {steady['committed_of_sample']} asked for committed",
            "",
            f"{'arrives at':<12}{'what':<6}{'needed':>9}{'copies':>9}{'from unlike':>13}{'held already':>14}",
        ]
        for kind, rows in steady["copies"].items():
            for what, row in rows.items():
                shown = [row["needed"], row["copies"], row["of_them_from_the_other_kind"], row["held_already"]]
                lines.append(f"{kind:<12}{what:<6}" + "".join(
                    f"{one!s:>{width}}" for one, width in zip(shown, (9, 9, 13, 14), strict=True)
                ))  # fmt: skip
        lines.append("")
    if result["manifests"]:
        lines.append("network  kinds  rate  blocks  rounds>0  headers alike  transactions  seconds  disturbed")
    for one in result["manifests"]:
        kinds = "".join("o" if kind == OURS else "c" for kind in one["kinds"])
        disturbed = ", ".join(f"{what} {index} {seconds:g} s" for what, index, seconds in one["disturbed"])
        lines.append(
            f"{one['network']:>7}  {kinds:<5}  {one['rate']:>4g}  {one['blocks']:>6}  {one['rounds_above_0']:>8}  "
            f"{one['app_hashes_compared']:>13}  {one['transactions']:>12}  {one['seconds']:>7}  {disturbed}"
        )
    return "\n".join(lines)


def _shares(proposed: dict[str, int]) -> str:
    return ", ".join(f"{who}: {blocks}" for who, blocks in proposed.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="undisturbed, under load; 0: none")
    parser.add_argument("--manifests", type=int, default=10, help="networks drawn from the seed")
    parser.add_argument("--rate", type=float, default=20.0, help="payments a second while undisturbed")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--only", type=int, default=0, help="of the drawn networks only the one with this number")
    said = parser.parse_args()
    if not 0 <= said.only <= said.manifests:
        parser.error(f"--only {said.only}: allowed: 1 to {said.manifests}, the number of --manifests")
    say(f"seed {said.seed}")
    result: dict[str, Any] = {"seed": said.seed, "minutes": said.minutes, "rate": said.rate, "manifests": []}
    try:
        with folder_of("mixed") as folder:
            run_campaign(run(
                folder, result, minutes=said.minutes, manifests=said.manifests, seed=said.seed, rate=said.rate,
                only=said.only,
            ))  # fmt: skip
    finally:
        if said.json:  # also what was found before a failure
            said.json.write_text(json.dumps(result, indent=2) + "\n")
        say(tables(result))
    say("all networks agree")


if __name__ == "__main__":
    main()
