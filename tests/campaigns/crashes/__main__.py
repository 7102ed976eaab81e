"""`scripts/campaign crashes`: the power goes at every write of a validator, and of what its operator does.

A validator that is a chain of its own runs under load, with pruning, snapshots and a restart; then each of `dchat
database backup`, `rollback`, `migrate`, `prune` and `restore`, and a new node that joins by a snapshot. A recorder
under the process notes every write, sync and name in their order. For every one of these steps a disk is drawn that a
loss of power there may leave (unsynced writes lost, torn, out of order), and a node is started on it, which must come
back: to a state that the chain had, with everything that was told as committed, and without a second signature. Every
fortieth also makes blocks.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from tests.campaigns.crashes.matrix import FAILURES_SHOWN, Place, Tally, places_of, run
from tests.campaigns.crashes.run import OPERATOR, load_all, record_all
from tests.campaigns.harness import CampaignFailed, be_quiet, folder_of, say
from tests.support.power import PROFILES, find_compiler


def told(name: str, tally: Tally, took_s: float) -> str:
    disks = " ".join(f"{profile} {tally.disks[profile]}" for profile in PROFILES)
    total = tally.disks.total()
    return (
        f"{name:9} {tally.steps:7} steps, {tally.reached:7} reached, {total:7} disks ({disks}), {tally.went_on:5} made "
        f"blocks, {total - len(tally.failures):7} came back, {len(tally.failures):5} did not; {took_s:.0f} s"
    )


def judge_all(folder: Path, arguments: argparse.Namespace) -> None:
    """Raises CampaignFailed."""
    failures = 0
    for phase in load_all(folder):
        if arguments.at:
            places = [place for place in arguments.at if place.phase == phase.name]
        else:
            places = places_of(phase, random.Random(arguments.seed), arguments.points)
        if not places or (arguments.phase and phase.name not in arguments.phase):
            continue
        began = time.monotonic()
        tally = run(phase, places, arguments.seed)
        say(told(phase.name, tally, time.monotonic() - began))
        for failure in tally.failures[:FAILURES_SHOWN]:
            say(f"  {failure.told()}")
            say(f"    again: scripts/campaign crashes --seed {arguments.seed} --folder {folder} --at {failure.place}")
        failures += len(tally.failures)
    if failures:
        raise CampaignFailed(f"{failures} disks from which a node did not come back as it should")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--points", type=int, help="disks of each phase, drawn; default: every step")
    parser.add_argument("--phase", action="append", default=[], choices=["blocks", *OPERATOR], help="repeat for more")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    parser.add_argument("--folder", type=Path, help="what an earlier run recorded, as it said when it failed")
    parser.add_argument("--at", type=Place.parse, action="append", default=[], help="PHASE:STEP:PROFILE; repeat")
    arguments = parser.parse_args()
    if find_compiler() is None:
        say("skipped: there is no C compiler (cc or gcc) here to make the recorder with")
        return
    be_quiet()
    say(f"seed {arguments.seed}")
    if arguments.folder is not None:
        judge_all(arguments.folder, arguments)
        return
    with folder_of("crashes") as folder:
        began = time.monotonic()
        operator = [name for name in OPERATOR if not arguments.phase or name in arguments.phase]
        record_all(folder, blocks=arguments.blocks, operator=operator)
        say(f"recorded {arguments.blocks} blocks and what follows in {time.monotonic() - began:.0f} s")
        judge_all(folder, arguments)


if __name__ == "__main__":
    main()
