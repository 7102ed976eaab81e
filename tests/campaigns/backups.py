"""A backup every minute from a node under load: each restores to a node that catches up, a damaged one says so.

Four validators under payments. Validator 1 makes an encrypted backup each minute by its schedule, and one of validator
2 is made by command now and then. Each is restored into a new home, with keys of its own, which joins as a full node,
catches up, and has the network's app hashes. Then the newest one is tried with a wrong key, with flipped bits, and cut.
The table says how long each took; below it the chain's median gap between two blocks while a backup was made, while a
node was restored beside it on this machine, and else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.load import Sent
from dchat.devnet.network import NodeEntry, Pace, node_config
from dchat.home.home import Home, make_keys
from tests.campaigns.harness import ROOT, CampaignFailed, Testnet, folder_of, run_campaign, say, until
from tests.campaigns.kills import keep_loading

CATCH_UP_S = 300.0  # of a machine that does much else
MINUTE_S = 60
FIRST_FULL_NODE = 90  # index of the first restored node: none of the network's
FLIPS = 5


@dataclass(frozen=True)
class Row:
    by: str
    height: int
    bytes: int
    made_s: float
    restored_s: float
    caught_up_s: float

    def __str__(self) -> str:
        return (
            f"{self.by:<10} {self.height:>7} {self.bytes:>10} {self.made_s:>7.1f} {self.restored_s:>9.1f} "
            f"{self.caught_up_s:>11.1f}"
        )


@dataclass
class Course:
    """What happened when, in unix seconds, beside the chain's blocks."""

    spans: list[tuple[str, float, float]] = field(default_factory=list)
    blocks: dict[int, float] = field(default_factory=dict)  # height -> its time

    @contextlib.contextmanager
    def span(self, what: str) -> Iterator[None]:
        began = time.time()
        try:
            yield
        finally:
            self.spans.append((what, began, time.time()))

    def medians(self) -> dict[str, tuple[float, int]]:
        """Of the gaps between two blocks: what -> (median in s, how many gaps)."""
        gaps: dict[str, list[float]] = {}
        for (height, before), (after, at) in pairwise(sorted(self.blocks.items())):
            if after == height + 1:
                whats = {what for what, began, ended in self.spans if began <= at <= ended}
                gaps.setdefault(next((one for one in ("backup", "restore") if one in whats), "neither"), []).append(
                    at - before
                )
        return {what: (statistics.median(found), len(found)) for what, found in sorted(gaps.items())}

    async def follow(self, net: Testnet) -> None:
        while True:
            with contextlib.suppress(OSError):
                for block in (await asyncio.to_thread(net.get, 3, "/chain/blocks?limit=100", 10.0))["blocks"]:
                    self.blocks[block["height"]] = datetime.fromisoformat(block["time"]).timestamp()
            await asyncio.sleep(5)


def dchat(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`dchat ...` in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "dchat", *map(str, words)],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


async def done(*words: object) -> str:
    """Its output. Raises CampaignFailed: it did not end well."""
    ended = await asyncio.to_thread(dchat, *words)
    if ended.returncode:
        said = f"exit {ended.returncode}: {ended.stdout}{ended.stderr}"
        raise CampaignFailed(f"dchat {' '.join(map(str, words))}: {said}")
    return ended.stdout


def new_home(net: Testnet, index: int) -> NodeEntry:
    """A full node's, with new keys, beside the network's."""
    root = net.home / f"restored{index}"
    home = Home.of(root)
    make_keys(home)
    shutil.copy(net.homes[0] / "config" / "genesis.json", home.genesis)
    node = NodeEntry(index, root.name, root.name, "", "", free_ports(1)[0])
    (root / "validator-config.toml").write_text(node_config(net.network, node, Pace()))
    return node


def asked(node: NodeEntry, path: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{node.ports.http}{path}", timeout=10) as answer:
        return dict(json.load(answer))


async def restored(net: Testnet, index: int, backup: Path, *key: object) -> tuple[float, float, int]:
    """Restore into a new home and run it until it is where the others are, with their app hashes. Returns (seconds to
    restore, to catch up, the restored height). Raises CampaignFailed."""
    node = new_home(net, index)
    root = net.network.home_of(node)
    began = time.monotonic()
    told = await done("database", "restore", "--input", backup, *key, "--home", root)
    took, height = time.monotonic() - began, int(told.split("restored height ")[1].split()[0])
    began = time.monotonic()
    await asyncio.to_thread(processes.start, net.network, node)

    async def is_level() -> bool:
        try:
            own = (await asyncio.to_thread(asked, node, "/status"))["latest_block_height"]
        except OSError:
            return False
        return bool(own > height and own >= await net.height(1) - 1)

    try:
        await until(f"{root.name} catches up from {height}", is_level, timeout_s=CATCH_UP_S, poll_s=0.1)
        caught_up = time.monotonic() - began
        await check_hashes(net, node)
    finally:
        await asyncio.to_thread(processes.stop, net.network, (node,))
    shutil.rmtree(root)
    return took, caught_up, height


async def check_hashes(net: Testnet, node: NodeEntry) -> None:
    """Raises CampaignFailed."""
    blocks: list[dict[str, Any]] = []

    async def has_answered() -> bool:
        with contextlib.suppress(OSError):
            blocks.extend((await asyncio.to_thread(asked, node, "/chain/blocks?limit=50"))["blocks"])
        return bool(blocks)

    await until(f"{node.name} answers", has_answered, timeout_s=CATCH_UP_S, poll_s=0.5)
    own, theirs = {one["height"]: one["app_hash"] for one in blocks}, await net.app_hashes(1, 100)
    common = own.keys() & theirs.keys()
    if not common or any(own[one] != theirs[one] for one in common):
        raise CampaignFailed(f"{node.name}: not validator 1's app hashes, or none in common: {sorted(common)}")


def size_of(file: Path) -> int:
    return file.stat().st_size


def contents(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted((root / "data").rglob("*"))
        if path.is_file() and path.name not in ("validator.pid", "LOG", "LOG.old")
    }


def damaged(data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "cut in half", data[: len(data) // 2]
    yield "cut by a byte", data[:-1]
    for share in range(FLIPS):
        at = rng.randrange(len(data) * share // FLIPS, len(data) * (share + 1) // FLIPS)
        yield f"bit flipped at {at}", data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


async def check_damaged(net: Testnet, backup: Path, key: Path, rng: random.Random) -> list[str]:
    """What a wrong key, flipped bits and a cut say: exit code 1, a line, and nothing of a stopped node replaced."""
    root = net.network.home_of(new_home(net, FIRST_FULL_NODE - 1))
    await done("database", "restore", "--input", backup, "--key-file", key, "--home", root)
    before, data = await asyncio.to_thread(lambda: (contents(root), backup.read_bytes()))
    wrong, file, said = net.home / "wrong.key", net.home / "damaged.backup", []
    await done("database", "backup-key", "--output", wrong, "--home", root)
    tries: list[tuple[str, bytes, tuple[object, ...]]] = [
        ("a wrong key", data, ("--key-file", wrong)),
        ("no key", data, ()),
        *((what, content, ("--key-file", key)) for what, content in damaged(data, rng)),
    ]
    for what, content, words in tries:
        await asyncio.to_thread(file.write_bytes, content)
        ended = await asyncio.to_thread(dchat, "database", "restore", "--input", file, *words, "--home", root)
        if ended.returncode != 1 or not ended.stderr.startswith("dchat: "):
            raise CampaignFailed(f"{what}: exit {ended.returncode}, {ended.stdout}{ended.stderr}")
        if await asyncio.to_thread(contents, root) != before:
            raise CampaignFailed(f"{what}: something was replaced")
        said.append(f"{what}: exit 1, {ended.stderr.strip().removeprefix('dchat: ')[:110]}")
    return said


@dataclass
class Scheduled:
    """Hears of each that validator 1 makes by its schedule."""

    record: Path
    kept: Path
    made: list[tuple[Path, float]] = field(default_factory=list)  # (file, seconds)

    async def follow(self, course: Course) -> None:
        while True:
            told = await asyncio.to_thread(lambda: json.loads(self.record.read_text()))
            if told["made"] > len(self.made):
                course.spans.append(("backup", told["began_s"], told["ended_s"] + 1))
                self.made.append((self.kept / told["name"], told["ended_s"] - told["began_s"]))
            await asyncio.sleep(0.5)


async def by_command(net: Testnet, course: Course, output: Path) -> tuple[Path, float]:
    began = time.monotonic()
    with course.span("backup"):
        await done("database", "backup", "--gently", "--compress", "--output", output, "--home", net.homes[1])
    return output, time.monotonic() - began


async def switch_on(net: Testnet, kept: Path, key: Path) -> None:
    """Validator 1's schedule: a backup each minute."""
    await done("database", "backup-key", "--output", key, "--home", net.homes[0])
    await asyncio.to_thread(net.stop, 1)
    await asyncio.to_thread(_write_options, net.homes[0] / "validator-config.toml", kept, key)
    await asyncio.to_thread(net.start, 1)


def _write_options(file: Path, kept: Path, key: Path) -> None:
    public = key.with_suffix(".pub")
    public.write_text(key.read_text().split("public key: ")[1].splitlines()[0] + "\n")
    file.write_text(
        f'{file.read_text()}\n[backup]\nenable = true\nfolder = "{kept}"\nschedule = "* * * * *"\n'
        f'encryption = true\nencryption_key_file = "{public}"\n'
    )


async def keep_restoring(net: Testnet, course: Course, scheduled: Scheduled, key: Path, minutes: float) -> list[Row]:
    """Every scheduled one of so many minutes, and after every third one by command."""
    rows: list[Row] = []
    at, began = 0, time.monotonic()

    async def is_made() -> bool:
        return len(scheduled.made) > at

    async def restore(by: str, file: Path, took: float, *lock: object) -> None:
        with course.span("restore"):
            times = await restored(net, FIRST_FULL_NODE + len(rows), file, *lock)
        rows.append(Row(by, times[2], size_of(file), took, times[0], times[1]))
        say(str(rows[-1]))

    while at < minutes:
        await until("a backup by schedule", is_made, timeout_s=3 * MINUTE_S, poll_s=0.5)
        await restore("schedule", *scheduled.made[at], "--key-file", key)
        at += 1
        if at % 3 == 1:
            await restore("command", *await by_command(net, course, net.home / f"{at}.backup"))
    say(f"{at} by schedule in {(time.monotonic() - began) / MINUTE_S:.1f} minutes")
    return rows


async def main(arguments: argparse.Namespace) -> None:
    rng = random.Random(arguments.seed)
    say(f"seed {arguments.seed}")
    with folder_of("backups") as folder, Testnet(folder / "net", *(["--fast"] if arguments.fast else [])) as net:
        kept, key, course, sent = net.home / "kept", net.home / "backup.key", Course(), Sent()

        async def is_up() -> bool:
            return min([await net.height(node.index) for node in net.nodes]) >= 3

        await until("the first blocks", is_up, timeout_s=120)
        await switch_on(net, kept, key)
        scheduled = Scheduled(net.homes[0] / "data" / "backups.json", kept)
        await until("all four go on", is_up, timeout_s=120)
        await until("the schedule's record", lambda: asyncio.to_thread(scheduled.record.exists), timeout_s=60)
        say(f"{'by':<10} {'height':>7} {'bytes':>10} {'made s':>7} {'restore s':>9} {'catch up s':>11}")
        async with asyncio.TaskGroup() as tasks:
            beside = (keep_loading(net, arguments.rate, sent), course.follow(net), scheduled.follow(course))
            others = [tasks.create_task(one) for one in beside]
            rows = await keep_restoring(net, course, scheduled, key, arguments.minutes)
            for task in others:
                task.cancel()
        for line in await check_damaged(net, scheduled.made[-1][0], key, rng):
            say(line)
        say(f"{len(rows)} backups restored, each node caught up with equal app hashes")
        gaps = [f"{what} {gap:.2f} s ({count})" for what, (gap, count) in course.medians().items()]
        say(f"{sent.admitted} payments admitted; median gap between two blocks: {', '.join(gaps)}")
        failed = (await asyncio.to_thread(net.get, 1, "/status", 10.0))["storage"]["backups"]["failed"]
        say(f"equal hashes on all nodes at {await net.check_agreement()} heights; scheduled runs that failed: {failed}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10, help="so many backups by schedule")
    parser.add_argument("--rate", type=float, default=50.0, help="payments a second")
    parser.add_argument("--fast", action="store_true", help="a network with --fast's time-outs")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
