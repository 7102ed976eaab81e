"""A new operator's whole path by docs/operators alone, on machines that share nothing but addresses.

Where this user may, each machine is a network namespace. Four begin a chain by a ceremony, a fifth joins and becomes a
validator; a Prometheus on one of them has data for every query of every dashboard; the fifth's databases are brought
back from a backup, and it changes its key; all five are handed over to new processes and cross an upgrade that they
voted for. What is typed is what the pages say, but for texts that wait for days (QUICKER). It fails where a page says
otherwise than what happens, and where anybody signed twice.

    scripts/campaign operator
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from tests.campaigns.harness import CampaignFailed, folder_of, run_campaign, say
from tests.campaigns.logs import double_signatures
from tests.support.docs.machines import World, world
from tests.support.docs.pages import BEGUN, CHANGED
from tests.support.interop.tools import deb_tool
from tests.support.upgrade.builds import SPRING, make_build

NAMES: Final = ("alpha", "beta", "gamma", "delta", "epsilon")
OPTIONS: Final = {"DCHAT_CONSENSUS__BLOCK_TIME": "1s", "DCHAT_CONSENSUS__TIMEOUT_COMMIT": "0"}
VOTING_S: Final = 180  # all type a vote, on a machine that may be busy
LATER_BLOCKS: Final = 300
QUICKER: Final = {
    "dchat genesis collect ": f"dchat genesis collect --voting-period {VOTING_S}s ",
    "+ 57600": f"+ {LATER_BLOCKS}",
}
ASKED_FOR_S: Final = 1_200.0  # until the upgrade's height


def dashboards(machines: World, prometheus: Path) -> None:
    """Every query of every dashboard, asked of a Prometheus on the first machine."""
    targets = " ".join(f"{machine.address}:9090" for machine in machines.machines.values())
    words = f"{sys.executable} -m tests.support.docs.dashboards {prometheus} {targets}"
    code, printed = machines.machines["alpha"].type(words, timeout_s=300)
    if code:
        raise CampaignFailed(f"dashboards: {printed}")
    say(f"dashboards: {printed.strip()}")


def votes_lacking(machines: World) -> dict[str, int]:
    """Blocks without the vote of each validator, by its moniker, as the first machine's node has counted them."""
    told = json.loads(machines.machines["alpha"].type("dchat query staking validators")[1])
    return {row["moniker"]: int(row["signing"]["missed_total"]) for row in told["validators"]}


def walk(machines: World, prometheus: Path, build: Path) -> None:
    began = time.monotonic()

    def carry_out(page: str) -> None:
        machines.carry_out(page)
        say(f"{time.monotonic() - began:.0f} s: all of {page} was typed, and told what the page says")

    for page in BEGUN:
        carry_out(page)
    dashboards(machines, prometheus)
    for machine in machines.machines.values():
        shutil.copy(build, machine.folder / "dchat-spring")
    for page in CHANGED[:-1]:
        carry_out(page)
    before = votes_lacking(machines)
    carry_out(CHANGED[-1])
    after = votes_lacking(machines)
    lacking = {name: after[name] - before.get(name, 0) for name in after}
    say(f"votes that blocks lack over hand-overs and upgrade: {lacking}")
    for name, machine in machines.machines.items():
        if "becoming the upgrade binary" not in machine.log:
            raise CampaignFailed(f"{name} did not start the new build: {machine.log[-2_000:]}")


async def main(options: argparse.Namespace) -> None:
    prometheus = deb_tool("prometheus", "prometheus")
    with folder_of("operator") as folder:
        build = await asyncio.to_thread(make_build, folder / "build", plan=SPRING)
        (folder / "machines").mkdir()
        with world(folder / "machines", NAMES, each=4, options=OPTIONS, quicker=QUICKER) as machines:
            machines.asked_for_s = ASKED_FOR_S
            await asyncio.to_thread(walk, machines, prometheus, build)
            homes = [machine.home for machine in machines.machines.values()]
        slots, twice = double_signatures(homes)
    if twice:
        raise CampaignFailed(f"signed twice: {twice}")
    say(f"{slots} signatures of {len(NAMES)} validators, none twice")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="scripts/campaign operator", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run_campaign(main(parser.parse_args()))
