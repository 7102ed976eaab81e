"""Every alert is caused in a network of four processes, seen by a real Prometheus, and its page is carried out.

The rules are the shipped ones with all times divided (tests/support/runbooks/rules.py). For each alert: the fault, the
alert fires, what docs/operators/runbooks.md says to type is typed, the alert is over, all four validators vote. With
--write the table goes into docs/operators/alerts.md. Needs gcc, the right to mount, and Debian's package prometheus.

    scripts/campaign runbooks [--alert NAME]... [--write]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from dchat.devnet.processes import end_as_by_interrupt
from tests.campaigns.harness import folder_of, say
from tests.support.interop.tools import deb_tool
from tests.support.runbooks.carry import Row, carry_out
from tests.support.runbooks.cases import CASES, Case
from tests.support.runbooks.table import write
from tests.support.runbooks.world import NotAsTold, World


def campaign(
    cases: Sequence[Case], keep: Callable[[list[Row]], None] = lambda rows: None
) -> tuple[list[Row], list[str]]:
    """The rows, and the alerts that were not as told. After such a one the others have a new network. keep: is given
    the rows so far, after each fault."""
    program = deb_tool("prometheus", "prometheus")
    left, rows, failed = list(cases), list[Row](), list[str]()
    while left:
        with folder_of("runbooks") as folder, World(folder, program) as world:
            while left:
                case = left.pop(0)
                try:
                    rows += carry_out(world, case, say)
                    keep(rows)
                except (NotAsTold, AssertionError) as error:
                    failed += case.alerts
                    say(f"FAILED {', '.join(case.alerts)}: {error}")
                    break
    return rows, failed


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/campaign runbooks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = {name for case in CASES for name in case.alerts}
    parser.add_argument("--alert", choices=sorted(known), action="append", help="only the faults that these come of")
    parser.add_argument("--write", action="store_true", help="write the table")
    options = parser.parse_args()
    wanted = set(options.alert or known)
    end_as_by_interrupt()
    chosen = [case for case in CASES if wanted.intersection(case.alerts)]
    rows, failed = campaign(chosen, write if options.write else lambda rows: None)
    for row in rows:
        say(f"{row.alert}: fired after {row.fired_s:.1f} s, over {row.cleared_s:.1f} s after the remedy began")
    say(f"{len(rows)} alerts as told; not as told: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
