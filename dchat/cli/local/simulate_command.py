"""`dchat simulate`: whole nodes on simulated machines, among faults and liars, each run drawn from a seed.

No home, socket or clock is touched. A seed and a profile give one run, as long as the code is the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from dchat.cli.terminal.base import Command, Refusal, echo, show_json
from dchat.devnet.processes import end_as_by_interrupt
from dchat.shown.text import safe_line
from dchat.simulation.plan import PROFILES
from dchat.simulation.runs import Outcome, in_processes, joint_trace, run_seed

SEEDS = 20  # a minute or less
JOBS_MAX = 256
INTERRUPTED = 130  # as a shell says it: 128 and the signal

HELP = f"""Run networks of whole nodes on simulated clocks, disks and networks, and judge them.

Each seed draws a network, its faults and its liars. Nodes may never disagree; once the faults end, the network must go
on, have kept what it promised, and have punished who signed twice. A seed gives the same run each time, so a failure
comes with the command that repeats it.

What goes wrong, by --profile:

\b
{chr(10).join(f"  {name:<12} {profile.what}" for name, profile in PROFILES.items())}

Exit codes: 0 every law held; 1 a seed broke one; 2 wrong usage; 130 ended by Ctrl-C, and what was run until then is
told. The laws: docs/simulation.md.
"""


@click.command(cls=Command, help=HELP)
@click.option(
    "--profile", type=click.Choice(list(PROFILES)), default="faults", show_default=True, help="What goes wrong."
)
@click.option("--seed", "first", type=click.IntRange(0), help="The first seed. Default: 0.")
@click.option("--seeds", type=click.IntRange(1), help=f"How many. Default: 1 where --seed is given, else {SEEDS}.")
@click.option(
    "--heights", type=click.IntRange(1, 10_000),
    help="Blocks that each node must add after the last fault. Default: a few, as the profile says.",
)  # fmt: skip
@click.option("--jobs", type=click.IntRange(1, JOBS_MAX), default=1, show_default=True, help="Processes at a time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of words.")
def simulate(profile: str, first: int | None, seeds: int | None, heights: int | None, jobs: int, as_json: bool) -> None:
    start = 0 if first is None else first
    count = seeds or (SEEDS if first is None else 1)
    began = time.monotonic()
    end_as_by_interrupt()
    outcomes: list[Outcome] = []
    try:
        _run(range(start, start + count), profile, heights, min(jobs, count), outcomes)
    except BrokenProcessPool:
        raise Refusal("a process ended before its seed did: somebody killed it, or memory ran out") from None
    except KeyboardInterrupt:
        if as_json:
            show_json(_document(profile, heights, outcomes, joint_trace(outcome.trace for outcome in outcomes)))
        echo(_interrupted(outcomes, start, count), err=True)
        sys.exit(INTERRUPTED)
    trace = joint_trace(outcome.trace for outcome in outcomes)
    failed = [outcome for outcome in outcomes if outcome.law]
    if as_json:
        show_json(_document(profile, heights, outcomes, trace))
    elif failed and count == 1:
        echo("\n".join(failed[0].report))
    elif not failed:
        took = f"{sum(outcome.simulated_s for outcome in outcomes):.0f} simulated seconds in {_since(began)}"
        blocks = sum(outcome.height for outcome in outcomes)
        echo(f"{_seeds(start, count)} of {profile}: every law held; {blocks} blocks, {took}, trace {trace}")
    if failed:
        raise _failure(failed, count)


def _run(seeds: range, profile: str, heights: int | None, jobs: int, outcomes: list[Outcome]) -> None:
    """Adds to `outcomes`. Failures are told as they come, where more than one seed runs."""
    run = partial(run_seed, profile, heights)
    with in_processes(run, seeds, jobs=jobs) as results, _progress(len(seeds), profile) as advance:
        for outcome in results:
            outcomes.append(outcome)
            if outcome.law and len(seeds) > 1:
                echo(_line(outcome), err=True)
            advance()


@contextmanager
def _progress(count: int, profile: str) -> Iterator[Any]:
    """A bar on a terminal, which is gone when it is done; else nothing."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("seeds"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, redirect_stdout=False, disable=not sys.stderr.isatty()
    ) as bar:
        task = bar.add_task(f"simulating {profile}", total=count)
        yield partial(bar.advance, task)


def _line(outcome: Outcome) -> str:
    return safe_line(f"seed {outcome.seed} broke a law: {outcome.line}; repeat it: {outcome.replay}")


def _failure(failed: list[Outcome], count: int) -> Refusal:
    if count == 1:
        return Refusal(_line(failed[0]))
    broken = " ".join(str(outcome.seed) for outcome in failed)
    return Refusal(f"{len(failed)} of {count} seeds broke a law: {broken}; repeated alone, one shows its last events")


def _interrupted(outcomes: list[Outcome], start: int, count: int) -> str:
    broken = [str(outcome.seed) for outcome in outcomes if outcome.law]
    held = f"; {len(broken)} broke a law: {' '.join(broken)}" if broken else "; every law held in these"
    done = f"{_seeds(start, len(outcomes))} of {count} were run{held}" if outcomes else "no seed was done"
    return f"stopped: {done}"


def _seeds(start: int, count: int) -> str:
    return f"seed {start}" if count == 1 else f"seeds {start} to {start + count - 1}"


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def _document(profile: str, heights: int | None, outcomes: list[Outcome], trace: str) -> dict[str, Any]:
    return {
        "profile": profile,
        "heights": heights,
        "seeds": len(outcomes),
        "failed": [outcome.seed for outcome in outcomes if outcome.law],
        "trace": trace,
        "runs": [_run_json(outcome) for outcome in outcomes],
    }


def _run_json(outcome: Outcome) -> dict[str, Any]:
    if outcome.law:
        said = {"law": outcome.law, "what": outcome.what, "replay": outcome.replay, "report": outcome.report}
        return {"seed": outcome.seed, **said}
    return {
        "seed": outcome.seed,
        "height": outcome.height,
        "events": outcome.events,
        "simulated_s": outcome.simulated_s,
        "trace": outcome.trace,
    }
