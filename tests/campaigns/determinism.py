"""The same blocks in processes that differ in all that must not count: every app hash, results hash, validator update
and event, and the whole state that they leave, is compared.

The blocks are a storm's (`tests.campaigns.storm`), or those of a file that one recorded (`storm --record FILE`), or of
lives in this process (`--lives STEPS`). They are executed under other hash seeds, another locale and time zone, without
assertions or the native part, and on each Python that is named: `--python PATH`, whose environment is made from
requirements.lock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from crypto.native import VARIABLE
from tests.campaigns.harness import ROOT, CampaignFailed, be_quiet, folder_of, run_campaign, say
from tests.campaigns.storm import network_of, report, storm_on
from tests.support.chain.recorded import Recording
from tests.support.economy.life import Life

AT_ONCE = 2
TIMEOUT_S = 3_600
ELSEWHERE = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Kathmandu"}


class Place(NamedTuple):
    """Where blocks are executed."""

    name: str
    seed: str = "0"
    environment: dict[str, str] = {}  # noqa: RUF012  # never written
    flags: tuple[str, ...] = ()
    python: str = sys.executable


HERE = (
    Place("hash seed 0"),
    Place("hash seed 1", "1"),
    Place("hash seed random", "random"),
    Place("locale POSIX, time zone Asia/Kathmandu", "2", ELSEWHERE),
    Place("without assertions (-O)", "3", {}, ("-O",)),
    Place("without the native part", "4", {VARIABLE: "off"}),
)


class Verdict(NamedTuple):
    blocks: int
    txs: int
    updates: int  # blocks that changed the validators
    records: int


def version_of(python: str) -> str:
    """Raises CampaignFailed: it does not run."""
    try:
        done = subprocess.run([python, "-V"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise CampaignFailed(f"{python}: {error}") from error
    return done.stdout.strip()


def environment_of(python: str, folder: Path) -> str:
    """The Python of an environment, in `folder`, that has what a node needs. Raises CampaignFailed."""
    done = subprocess.run(
        [str(ROOT / "scripts" / "env"), "--in", str(folder)],
        env={**os.environ, "PYTHON": python}, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    if done.returncode:
        raise CampaignFailed(f"no environment for {python}: {done.stderr.strip()}")
    return done.stdout.strip().splitlines()[-1]


def places_of(python: str) -> list[Place]:
    """On another Python. Raises CampaignFailed."""
    version = version_of(python)
    inside = environment_of(python, ROOT / ".cache" / version.lower().replace(" ", "-"))
    return [Place(f"{version}, hash seed {seed}", seed, {}, (), inside) for seed in ("0", "random")]


def execute(place: Place, blocks: Path) -> tuple[list[str], float]:
    """What it says, and in how many seconds. Raises CampaignFailed."""
    started = time.monotonic()
    keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [place.python, *place.flags, "-m", "tests.support.chain.recorded", str(blocks)],
        cwd=ROOT, env={**keep, "PYTHONHASHSEED": place.seed, **place.environment}, capture_output=True, text=True,
        check=False, timeout=TIMEOUT_S,
    )  # fmt: skip
    if done.returncode:
        raise CampaignFailed(f"{place.name}: exit {done.returncode}\n{done.stderr}")
    said = [line for line in done.stdout.splitlines() if line.startswith(("block ", "state "))]
    return said, time.monotonic() - started


def compare(places: Sequence[Place], blocks: Path) -> Verdict:
    """Raises CampaignFailed with the first block, or kind of record, that differs, and where."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        all_said = list(pool.map(lambda place: execute(place, blocks), places))
    first, _ = all_said[0]
    for place, (said, seconds) in zip(places, all_said, strict=True):
        for ours, theirs in zip(first, said, strict=False):
            if ours != theirs:
                raise CampaignFailed(f"{places[0].name}: {ours}\n{place.name}: {theirs}")
        if len(said) != len(first):
            raise CampaignFailed(f"{place.name}: {len(said)} lines; {places[0].name}: {len(first)}")
        say(f"  {place.name:42} {seconds:6.1f} s, all the same")
    decided = [line for line in first if line.startswith("block ")]
    return Verdict(
        len(decided),
        sum(int(line.rpartition("txs=")[2]) for line in decided),
        sum("updates=none" not in line for line in decided),
        sum(int(line.split("count=")[1].split()[0]) for line in first if line.startswith("state ")),
    )


def record_lives(path: Path, *, seed: int, steps: int) -> None:
    with path.open("w", encoding="ascii") as file:
        life = Life(seed, twin=False)
        recording = Recording.of_request(file, life.init_request)
        for _ in range(steps):
            life.step()
            assert life._last_request is not None
            recording.add(life._last_request)


async def main(arguments: argparse.Namespace) -> None:
    be_quiet()
    places = [*HERE]
    for python in arguments.python:
        places += places_of(python)
    with folder_of("determinism") as folder:
        blocks = arguments.file or folder / "blocks.jsonl"
        if arguments.file is None:
            say(f"seed {arguments.seed}")
            if arguments.lives:
                record_lives(blocks, seed=arguments.seed, steps=arguments.lives)
            else:
                with network_of(folder / "network") as net:
                    report(await storm_on(net, seed=arguments.seed, txs=arguments.txs, record=blocks))
        verdict = await asyncio.to_thread(compare, places, blocks)
    say(
        f"{verdict.blocks} blocks of {verdict.txs} transactions, {verdict.updates} of them with changes of validators, "
        f"and {verdict.records} records at the end: the same in {len(places)} processes"
    )
    if not arguments.python:
        say("on one Python only: --python PATH names another")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--txs", type=int, default=2_000)
    parser.add_argument("--lives", type=int, default=0, metavar="STEPS", help="blocks of lives here, and no network")
    parser.add_argument("--file", type=Path, help="blocks that were recorded")
    parser.add_argument("--python", action="append", default=[], metavar="PATH", help="another Python; repeat")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
