"""Faults are injected into one validator of four, again and again, and `dchat why`'s judgement is held against them.

The nodes are the product, on a simulated clock, network and disk (tests/support/why): a seed is a run. Asked is the
first height at which the validator missed something; where the fault cost no vote, that is counted apart. It fails
where fewer than 95 of 100 answers name the cause that was injected. The last lines are the table of docs/why.md.

    scripts/campaign why [--runs 20] [--start 0] [--jobs 2] [--fault NAME]...
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial

from dchat.devnet.processes import end_as_by_interrupt
from dchat.simulation.runs import in_processes
from tests.campaigns.harness import say
from tests.support.why.injected import FAULTS, Told, run

RIGHT_PERCENT = 95


def one(names: tuple[str, ...], number: int) -> Told:
    """number: seeds and faults counted through, so that all faults come on alike."""
    name = names[number % len(names)]
    try:
        return run(number // len(names), name)
    except Exception as error:  # other runs go on
        return Told(name, number // len(names), False, None, False, f"{type(error).__name__}: {error}")


def table(told: list[Told]) -> list[str]:
    """Rows of Markdown, and the sum."""
    rows = [
        "| fault | what happens to the validator | runs | nothing missed | named rightly |",
        "|---|---|---|---|---|",
    ]
    asked = right = 0
    for name, fault in FAULTS.items():
        of = [one for one in told if one.fault == name]
        if not of:
            continue
        counted = [one for one in of if one.is_asked]
        good = sum(one.is_right for one in counted)
        asked, right = asked + len(counted), right + good
        idle = sum(not one.missed for one in of)
        rows.append(f"| `{name}` | {fault.what} | {len(of)} | {idle} | {good} of {len(counted)} |")
    share = 100 * right / asked if asked else 0.0
    return [*rows, f"| all | | {len(told)} | | {right} of {asked}: {share:.1f} % |"]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/campaign why", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="of each fault (default 20)")
    parser.add_argument("--start", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--fault", choices=sorted(FAULTS), action="append", help="only these")
    options = parser.parse_args()
    names = tuple(options.fault or FAULTS)
    numbers = range(options.start * len(names), (options.start + options.runs) * len(names))
    told: list[Told] = []
    end_as_by_interrupt()
    with in_processes(partial(one, names), numbers, jobs=options.jobs) as results:
        for done in results:
            told.append(done)
            if done.is_asked and not done.is_right:
                say(f"not named rightly: {done}")
            if len(told) % 10 == 0:
                say(f"{len(told)} of {len(numbers)} runs")
    for line in table(told):
        say(line)
    wrong = Counter(one.fault for one in told if one.is_asked and not one.is_right)
    asked = sum(one.is_asked for one in told)
    return 1 if 100 * wrong.total() > (100 - RIGHT_PERCENT) * asked else 0


if __name__ == "__main__":
    sys.exit(main())
