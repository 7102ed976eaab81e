"""A new operator's whole path by docs/operators alone, on machines that share nothing but addresses.

Where this user may, each machine is a network namespace. Four begin a chain by a ceremony, and start; a Prometheus on
one of them has data for every query of every dashboard; a fifth joins and becomes a validator; its databases are
brought back from a backup, and once it votes again it changes both its keys; all five are handed over to new processes
and cross an upgrade that they voted for. What is typed is what the pages say, but for texts that wait for days
(QUICKER). It fails where a page says otherwise than what happens, where anybody signed twice, where two nodes had two
app hashes at one height, and where the key that was changed did not vote before the next one did. At its end it prints
what was done, section by section; with --write that, and how it ended, goes into docs/operators/README.md.

    scripts/campaign operator [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.campaigns.harness import CampaignFailed, folder_of, run_campaign, say
from tests.campaigns.logs import double_signatures
from tests.support.docs.machines import Machine, Part, World, world
from tests.support.docs.pages import BEGUN, CHANGED, DOCS
from tests.support.docs.votes import change_of_key, until_it_votes
from tests.support.interop.tools import deb_tool
from tests.support.upgrade.builds import SPRING, make_build

NAMES: Final = ("alpha", "beta", "gamma", "delta", "epsilon")
OPTIONS: Final = {"DCHAT_CONSENSUS__BLOCK_TIME": "6s", "DCHAT_CONSENSUS__TIMEOUT_COMMIT": "0"}  # leaves us the machine
VOTING_S: Final = 150  # all type a vote, on a machine that may be busy
LATER_BLOCKS: Final = 60  # more than come in that time, with those that votes start
TYPED_S: Final = 600.0  # of a command that is ours, not a page's
QUICKER: Final = {
    "dchat genesis collect ": f"dchat genesis collect --voting-period {VOTING_S}s ",
    "+ 57600": f"+ {LATER_BLOCKS}",
}
ASKED_FOR_S: Final = 1_200.0  # until the upgrade's height
LISTENS_S: Final = 600.0  # ten blocks after a restore, and what a busy machine adds
PAGE: Final = DOCS / "operators" / "README.md"
WRITTEN: Final = "\n## What one run typed\n\n"
HEAD: Final = "| page | section | commands | seconds | as it says |\n|---|---|---|---|---|\n"


def dashboards(machines: World, prometheus: Path) -> None:
    """Every query of every dashboard, asked of a Prometheus on the first machine."""
    with machines.part("Dashboards: each query is answered", "monitor.md") as part:
        targets = " ".join(f"{machines.machines[name].address}:9090" for name in machines.each)
        words = f"{sys.executable} -m tests.support.docs.dashboards {prometheus} {targets}"
        code, printed = machines.machines["alpha"].type(words, timeout_s=TYPED_S)
        if code:
            raise CampaignFailed(f"dashboards: {printed}")
        part.commands = int(printed.split()[0])
        say(f"dashboards: {printed.strip()}")


def votes_lacking(machines: World) -> dict[str, int]:
    """Blocks without the vote of each validator, by its moniker, as the first machine's node has counted them."""
    told = json.loads(machines.machines["alpha"].type("dchat query staking validators", timeout_s=TYPED_S)[1])
    return {row["moniker"]: int(row["signing"]["missed_total"]) for row in told["validators"]}


def walk(machines: World, prometheus: Path, build: Path) -> int:
    """The height from which epsilon's first key was seen to vote after its restore."""
    began = time.monotonic()

    def carry_out(page: str) -> None:
        machines.carry_out(page)
        say(f"{time.monotonic() - began:.0f} s: all of {page} was typed, and told what the page says")

    for page in BEGUN:
        carry_out(page)
        if page == "monitor.md":
            dashboards(machines, prometheus)
    for machine in machines.machines.values():
        shutil.copy(build, machine.folder / "dchat-spring")
    again = 0
    for page in CHANGED:
        if page == "keys.md":
            again = until_it_votes(machines.machines["epsilon"], machines.machines["alpha"], timeout_s=LISTENS_S)
            say(f"{time.monotonic() - began:.0f} s: epsilon votes again since its restore, at height {again}")
        before = votes_lacking(machines)
        carry_out(page)
        after = votes_lacking(machines)
        lacking = {name: after[name] - before.get(name, 0) for name in after}
        say(f"votes that blocks lack over {page}: {lacking}")
    known = machines.names.known
    if known["epsilon-id"] == known["epsilon-new-id"]:
        raise CampaignFailed("epsilon has the node key that it had")
    for name, machine in machines.machines.items():
        if "becoming the upgrade binary" not in machine.log:
            raise CampaignFailed(f"{name} did not start the new build: {machine.log[-2_000:]}")
    return again


def app_hashes(machine: Machine) -> dict[int, str]:
    """What this machine's processes said that the state after each height is. Raises CampaignFailed."""
    found: dict[int, str] = {}
    for line in machine.log.splitlines():
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "committed":
            height, app_hash = int(told["height"]), str(told["app_hash"])
            if found.setdefault(height, app_hash) != app_hash:
                raise CampaignFailed(f"{machine.name}: two app hashes at height {height}")
    return found


def agreed(machines: World) -> str:
    """That all came to one app hash at each height that they executed. Raises CampaignFailed."""
    told = {name: app_hashes(machine) for name, machine in machines.machines.items()}
    count: Counter[int] = Counter(height for of_one in told.values() for height in of_one)
    for height in sorted(count):
        said = {of_one[height] for of_one in told.values() if height in of_one}
        if len(said) != 1:
            raise CampaignFailed(f"height {height}: {[(name, of_one.get(height)) for name, of_one in told.items()]}")
    by_all = sum(many == len(told) for many in count.values())
    return f"one app hash at each of {len(count)} heights ({by_all} of them in all five logs)"


def rotated(machines: World, again: int) -> str:
    """That epsilon's first key voted from `again` on, and its next one after all that it signed. Raises
    CampaignFailed."""
    try:
        last, first = change_of_key(machines.machines["epsilon"], machines.machines["alpha"])
    except AssertionError as error:
        raise CampaignFailed(str(error)) from None
    if last < again:
        raise CampaignFailed(f"epsilon's first key signed up to {last}, and was seen to vote at {again}")
    return (
        f"After its restore\n`epsilon` voted again from height {again} on; by the log of `alpha` its first key signed "
        f"votes up to height {last}, its second from {first} on."
    )


def loud(machines: World) -> None:
    """What nodes logged as errors."""
    for name, machine in machines.machines.items():
        lines = (json.loads(line) for line in machine.log.splitlines() if line.startswith("{"))
        found = Counter(str(told["event"]) for told in lines if told.get("level") in ("error", "critical"))
        if found:
            say(f"errors in the log of {name}: {dict(found)}")


def table(parts: list[Part]) -> str:
    """Rows of markdown, one a section."""
    rows = [
        f"| [{part.page}]({part.page}) | {part.section} | {part.commands} | {part.seconds:.0f} | "
        f"{part.wrong.replace('|', '/') or 'yes'} |\n"
        for part in parts
    ]
    commands, seconds = sum(part.commands for part in parts), sum(part.seconds for part in parts)
    met = sum(not part.wrong for part in parts)
    return f"{HEAD}{''.join(rows)}| | all | {commands} | {seconds:.0f} | {met} of {len(parts)} |\n"


def write(told: str) -> None:
    """Puts the table, and what follows it, in the place of the one in the page, or at its end where there is none."""
    before, is_there, _ = PAGE.read_text().partition(HEAD)
    PAGE.write_text(f"{before}{'' if is_there else WRITTEN}{told}")


async def main(options: argparse.Namespace) -> None:
    prometheus = deb_tool("prometheus", "prometheus")
    with folder_of("operator") as folder:
        build = await asyncio.to_thread(make_build, folder / "build", plan=SPRING)
        (folder / "machines").mkdir()
        with world(folder / "machines", NAMES, each=4, options=OPTIONS, quicker=QUICKER, is_scraped=True) as machines:
            machines.asked_for_s = ASKED_FOR_S
            try:
                again = await asyncio.to_thread(walk, machines, prometheus, build)
            finally:
                say(table(machines.parts))
            homes = [machine.home for machine in machines.machines.values()]
        loud(machines)
        slots, twice = double_signatures(homes)
        if twice:
            raise CampaignFailed(f"signed twice: {twice}")
        signed = f"It ended with {slots:,} signatures of five validators, none twice, and"
        ended = f"{signed} {agreed(machines)}. {rotated(machines, again)}\n"
        say(ended)
    if options.write:
        write(f"{table(machines.parts)}\n{ended}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="scripts/campaign operator", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the table into docs/operators/README.md")
    run_campaign(main(parser.parse_args()))
