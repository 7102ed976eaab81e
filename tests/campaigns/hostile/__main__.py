"""`scripts/campaign hostile`: every case, a group of them, or one.

Each case: the calm pace, the pace under attack, what it left behind, the pace afterwards; then SIGTERM while the
attack goes on. docs/hostile.md says what each case does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from pathlib import Path

from tests.campaigns.harness import ROOT, CampaignFailed, be_quiet, folder_of, run_campaign, say
from tests.campaigns.hostile.cases import CASES, Case, chosen
from tests.campaigns.hostile.homes import hold_homes
from tests.campaigns.hostile.run import PACE_MIN, Result, Rules, arena, table


async def run_all(
    cases: list[Case], rules: Rules, folder: Path, results_file: Path | None, *, brief: bool
) -> list[Result]:
    results: list[Result] = []

    def done(result: Result) -> None:
        results.append(result)
        for line in table([result]):
            say(line)
        if results_file is not None:
            with results_file.open("a") as file:
                file.write(json.dumps(result.row()) + "\n")

    for case in cases:
        if case.needs == "homes":
            done(await asyncio.to_thread(hold_homes, case, rules, folder))
    for case in cases:
        if case.needs == "validator":
            async with arena(rules, folder, needs="validator") as made:
                done(await made.run(case))
    left = [case for case in cases if case.needs == "network"]
    while left and brief:
        async with arena(rules, folder, needs="network") as made:
            left = left[len(await made.run_briefly(left, done)) :]
    while left:
        async with arena(rules, folder, needs="network") as made:
            while left and made.well:
                done(await made.run(left.pop(0)))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", default=[], help="a case, a group, or a number; repeat for more")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each of calm, attack, calm")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 20))
    parser.add_argument("--list", action="store_true", help="say which cases there are")
    parser.add_argument("--no-stop", action="store_true", help="leave out SIGTERM under attack")
    parser.add_argument("--results", type=Path, help="append a line of JSON for each case")
    parser.add_argument("--product", type=Path, default=ROOT, help="the repository whose nodes are attacked")
    parser.add_argument("--brief", action="store_true", help="one load and stranger for all, no comparison, one stop")
    parser.add_argument("--fast", action="store_true", help="blocks without a pause: the calm takes the whole machine")
    parser.add_argument("--pace-min", type=float, default=PACE_MIN, help="of the calm pace")
    arguments = parser.parse_args()
    if arguments.list:
        for case in CASES:
            say(f"{case.group:12} {case.name:22} {case.what}")
        return
    try:
        cases = chosen(arguments.case)
    except KeyError as error:
        parser.error(f"there is no case, group or number {error}; --list names them")
    be_quiet()
    say(f"seed {arguments.seed}, {len(cases)} cases")
    rules = Rules(
        arguments.seconds, arguments.seed, arguments.pace_min, stop=not arguments.no_stop, root=arguments.product,
        block_ms=0 if arguments.fast else Rules.block_ms,
    )  # fmt: skip
    with folder_of("hostile") as folder:
        results = run_campaign(run_all(cases, rules, folder, arguments.results, brief=arguments.brief))
        bad = [result for result in results if result.failures]
        say(f"{len(results) - len(bad)} of {len(results)} cases went well")
        if bad:
            raise CampaignFailed(f"failed: {', '.join(result.case.name for result in bad)}")


if __name__ == "__main__":
    main()
