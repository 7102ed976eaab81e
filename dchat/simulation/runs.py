"""Many seeds, in processes, and what came of each.

Whoever ends the run, and however often, leaves no process behind. Outcomes come in the order of the seeds, whichever
is done first.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import TypeVar

from dchat.devnet.processes import undisturbed
from dchat.simulation.cluster import SimulationFailed, replay_command, simulate

TRACE_SHOWN = 16  # hex digits of a hash
AHEAD = 4  # parts of the seeds that wait for each process: the slowest of them holds up the order
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one seed. law: the one that was broken, "" when all held; the rest is of the one kind or of the other.

    what: who broke it, and how, in one line or more. report: the plan, the last events and errors. replay: the command
    that repeats it. trace: a hash of all events. height: the last that was decided. simulated_s: how long that took.
    """

    seed: int
    law: str = ""
    what: str = ""
    report: tuple[str, ...] = ()
    replay: str = ""
    trace: str = ""
    height: int = 0
    events: int = 0
    simulated_s: float = 0.0

    @property
    def line(self) -> str:
        """What broke, as one line; of a traceback whose it is and its end."""
        first, *more = self.what.strip().splitlines() or [""]
        whose = first.partition(":")[0]
        return f"{self.law}: {f'{whose}: {more[-1].strip()}' if more else first}"

    @property
    def text(self) -> str:
        """All that is known of a broken law."""
        return "\n".join([f"{self.law}: {self.what}", *self.report, f"replay: {self.replay}"])


def run_seed(profile: str, heights: int | None, seed: int) -> Outcome:
    """Run it here. An exception of the simulator itself is an outcome as well: other seeds go on.

    heights: how many each node must decide after the last fault; None: the profile's.
    """
    replay = replay_command(seed, profile, heights)
    try:
        cluster = simulate(seed, profile, heights=heights)
    except SimulationFailed as failed:
        return Outcome(seed, failed.law, failed.what, failed.report, replay)
    except Exception as error:
        report = tuple(traceback.format_exc().splitlines())
        return Outcome(seed, "the simulator does not fail", f"{type(error).__name__}: {error}", report, replay)
    judge = cluster.judge
    return Outcome(
        seed, trace=judge.trace, height=judge.height, events=judge.events, simulated_s=round(cluster.loop.now_s, 3)
    )


@contextlib.contextmanager
def in_processes(
    run: Callable[[int], T], seeds: Sequence[int], *, jobs: int, at_once: int = 1
) -> Iterator[Iterator[T]]:
    """run(seed) of each, in order; the processes are gone when the block is left.

    at_once: how many seeds a process is given at a time. Raises BrokenProcessPool where one of them was killed.
    """
    parts = (seeds[begin : begin + at_once] for begin in range(0, len(seeds), at_once))
    with ProcessPoolExecutor(jobs, initializer=_begin) as pool, _cutting(pool):
        with undisturbed():  # until each process has its own mind about interrupts
            begun = deque(pool.submit(_run_part, run, part) for part in islice(parts, AHEAD * jobs))

        def results() -> Iterator[T]:
            while begun:
                yield from begun.popleft().result()
                begun.extend(pool.submit(_run_part, run, part) for part in islice(parts, 1))

        yield results()


def _run_part(run: Callable[[int], T], seeds: Sequence[int]) -> list[T]:
    return [run(seed) for seed in seeds]


def joint_trace(traces: Iterable[str]) -> str:
    """One hash of all, as it is shown: equal for equal seeds and code."""
    joint = sha256()
    for trace in traces:
        joint.update(trace.encode())
    return joint.hexdigest()[:TRACE_SHOWN]


def _begin() -> None:
    """Ctrl-C, and the terminal's end, reach each of its processes; the first of them ends the others. What the process
    before had in memory is left as it is: to collect its garbage here would end what this process does not have, such
    as the threads of a gRPC client, and can wait for them for ever.
    """
    gc.freeze()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def _cutting(pool: ProcessPoolExecutor) -> Iterator[None]:
    """When interrupted, however often: the processes are cut, and what has not begun never is.

    No future is cancelled: the pool's thread would fail on it, with a traceback, once its processes are gone.
    """
    try:
        yield
    except BaseException:
        with undisturbed():
            for worker in multiprocessing.active_children():
                worker.kill()
            pool.shutdown()
        raise
