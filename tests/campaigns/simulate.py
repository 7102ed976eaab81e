"""Run simulated networks among faults, a seed each: scripts/simulate --seeds 2000 [--start N] [--jobs 2].

Without --engine the consensus cores alone run, thousands of seeds a minute. With it whole nodes run (engine, gossip,
network, application) on a simulated clock, network and disk, as in `dchat simulate`: some seconds a seed.

Exit code 0: every seed kept every law. A failing seed prints its law, its plan, the last events and the command that
replays it. With --engine the last line has a hash of all protocol events: equal for equal seeds and code. What is
simulated and which laws are checked: docs/simulation.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

from dchat.devnet.processes import end_as_by_interrupt
from dchat.simulation.plan import PROFILES
from dchat.simulation.runs import in_processes, joint_trace, run_seed
from tests.campaigns.harness import say
from tests.support.core import simulator as cores

SEEDS = {False: 2_000, True: 20}  # by --engine: a minute or so
TOLD_EVERY = {False: 200, True: 10}
AT_ONCE = {False: 8, True: 1}


def run_cores(seed: int) -> tuple[int, str, str]:
    """Return the seed, what went wrong ("" if nothing), and the hash of its events, where there is one."""
    try:
        cores.simulate(seed)
    except cores.SimulationFailed as error:
        return seed, str(error), ""
    return seed, "", ""


def run_nodes(profile: str, seed: int) -> tuple[int, str, str]:
    outcome = run_seed(profile, None, seed)
    return seed, outcome.text if outcome.law else "", outcome.trace


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/simulate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", action="store_true", help="whole nodes, not cores alone")
    parser.add_argument("--seeds", type=int, help="how many (default 2000, with --engine 20)")
    parser.add_argument("--start", type=int, default=0, help="the first (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="faults", help="of whole nodes (default faults)")
    options = parser.parse_args()
    if options.seeds is None:
        options.seeds = SEEDS[options.engine]
    return options


def main() -> int:
    options = read_options()
    seeds = range(options.start, options.start + options.seeds)
    run = partial(run_nodes, options.profile) if options.engine else run_cores
    began, failed, traces = time.monotonic(), [], []
    end_as_by_interrupt()
    with in_processes(run, seeds, jobs=options.jobs, at_once=AT_ONCE[options.engine]) as results:
        for done, (seed, error, trace) in enumerate(results, start=1):
            traces.append(trace)
            if error:
                failed.append(seed)
                say(error)
            if done % TOLD_EVERY[options.engine] == 0:
                say(f"{done} of {options.seeds} seeds, {len(failed)} failed")
    took_s = time.monotonic() - began
    trace = f", trace {joint_trace(traces)}" if options.engine else ""
    ran = f"ran {options.seeds} seeds from {options.start} in {took_s:.0f} s"
    say(f"{ran}: {len(failed)} failed {failed or ''}{trace}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
