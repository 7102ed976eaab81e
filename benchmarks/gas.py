"""What each kind of message is charged beside what it takes: a message that is cheap for its work slows the network.

    python -m benchmarks.gas [--blocks 6000] [--seed 7] [--json]

A chain lives by chance (`tests.support.economy.life`: all kinds, valid and not, time that jumps). Each first execution
of a transaction with one message is timed: authorisation, its signature's verification, the message; and for each
record that it changes its share of the block's update of the trees, with encoding. The charge is the gas used, at
10 ns. Failed ones stand apart. A kind that was seen fewer than ten times when the blocks are done makes the life
longer, to twice as many at most. `typical` is the median, `worst` the mean of the dearest twentieth, which a
neighbour's load only makes longer. Asked of the numbers: the prices (charged through taken) of all kinds that succeed
lie within a factor of 4, and no kind at its worst is charged less than a fourth of what is usual.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections import defaultdict
from typing import Any, NamedTuple

from chain.kernel.branch import encode_changes
from chain.kernel.execution import Executor
from chain.state.store import Stores
from chain.tx.envelope.tx import Tx
from chain.tx.gas import GAS_PER_MS
from chain.tx.messages import KIND_OF, KINDS
from consensus.state.results import ExecTxResult
from dchat.app import app as app_module
from tests.support.economy.life import Life

US_PER_GAS = 1_000 / GAS_PER_MS
SPREAD_MAX = 4.0
LEAST_SEEN = 10  # a kind that came seldomer has no typical
BLOCKS_FACTOR_MAX = 2  # of those that were asked for, until every kind was seen so often
WORST_SHARE = 20  # the dearest of so many


class Run(NamedTuple):
    gas: int
    us: float
    writes: int


class Meter:
    """Times what applications execute while it is installed, and what encoding and the trees take for each record."""

    def __init__(self) -> None:
        self.runs: dict[str, list[Run]] = defaultdict(list)
        self.records = 0
        self.records_us = 0.0

    @property
    def us_per_record(self) -> float:
        return self.records_us / max(1, self.records)

    def __enter__(self) -> Meter:
        self._kept = Executor.run, encode_changes, Stores.prepare_steps
        run, encode, prepare = self._kept
        meter = self

        def timed_run(executor: Executor, tx: Tx, index: int) -> ExecTxResult:
            writes, signatures = executor.block.writes, executor._signatures
            before, verified = dict(writes), signatures.verified
            began = time.thread_time_ns()
            result = run(executor, tx, index)
            took = time.thread_time_ns() - began
            changed = sum(before.get(key) is not value for key, value in writes.items())
            if len(tx.messages) == 1 and signatures.verified > verified:
                name = KIND_OF[type(tx.messages[0])].name + (" (fails)" if result.code else "")
                meter.runs[name].append(Run(result.gas_used, took / 1_000, changed))
            return result

        def timed_encode(writes: Any, *rest: Any) -> Any:
            meter.records += len(writes)
            return (yield from meter._timed(encode(writes, *rest)))

        def timed_prepare(stores: Stores, *rest: Any) -> Any:
            return (yield from meter._timed(prepare(stores, *rest)))

        for place, name, timed in (
            (Executor, "run", timed_run), (app_module, "encode_changes", timed_encode),
            (Stores, "prepare_steps", timed_prepare),
        ):  # fmt: skip
            setattr(place, name, timed)
        return self

    def __exit__(self, *_: object) -> None:
        run, encode, prepare = self._kept
        for place, name, kept in (
            (Executor, "run", run), (app_module, "encode_changes", encode), (Stores, "prepare_steps", prepare)
        ):  # fmt: skip
            setattr(place, name, kept)

    def _timed(self, steps: Any) -> Any:
        while True:
            began = time.thread_time_ns()
            try:
                next(steps)
            except StopIteration as stop:
                return stop.value
            finally:
                self.records_us += (time.thread_time_ns() - began) / 1_000
            yield


class Lived(Life):
    """A life without the checks that cost more than what is measured, in which no kind is rare."""

    favoured = 24

    def check(self, *_: Any) -> Any:
        return


class Row(NamedTuple):
    """typical, worst: us. price: charged through taken, of the typical one."""

    kind: str
    seen: int
    charged_us: float
    typical_us: float
    worst_us: float

    @property
    def price(self) -> float:
        return self.charged_us / self.typical_us

    @property
    def worst_price(self) -> float:
        return self.charged_us / self.worst_us


def rows_of(meter: Meter) -> list[Row]:
    rows = []
    for kind, runs in sorted(meter.runs.items()):
        if len(runs) < LEAST_SEEN:
            continue
        taken = sorted(run.us + run.writes * meter.us_per_record for run in runs)
        worst = taken[-max(1, len(taken) // WORST_SHARE) :]
        charged = statistics.median(run.gas for run in runs) * US_PER_GAS
        rows.append(Row(kind, len(runs), charged, statistics.median(taken), statistics.mean(worst)))
    return rows


def measure(seed: int, blocks: int) -> Meter:
    life = Lived(seed, twin=False)
    gc.collect()
    gc.freeze()
    with Meter() as meter:
        for number in range(BLOCKS_FACTOR_MAX * blocks):
            if number >= blocks and not too_seldom(meter):
                break
            life.step()
    return meter


def too_seldom(meter: Meter) -> list[str]:
    """Kinds of which too few succeeded to say what is typical."""
    return [name for name in sorted(KINDS) if len(meter.runs.get(name, ())) < LEAST_SEEN]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=6_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="One object instead of a table.")
    args = parser.parse_args()
    meter = measure(args.seed, args.blocks)
    rows = rows_of(meter)
    done = [row for row in rows if not row.kind.endswith("(fails)")]
    prices = [row.price for row in done]
    spread = max(prices) / min(prices)
    middle = statistics.median(prices)
    cheap = [row.kind for row in rows if row.worst_price < middle / SPREAD_MAX]
    if args.json:
        told = {row.kind: {**row._asdict(), "price": row.price, "worst_price": row.worst_price} for row in rows}
        print(json.dumps({"kinds": told, "spread": spread, "us_per_record": meter.us_per_record, "cheap": cheap}))
        return
    print(f"{'kind':32} {'seen':>6} {'charged us':>11} {'typical us':>11} {'worst us':>9} {'price':>6} {'at worst':>9}")
    for row in rows:
        print(
            f"{row.kind:32} {row.seen:6} {row.charged_us:11.0f} {row.typical_us:11.1f} {row.worst_us:9.1f} "
            f"{row.price:6.2f} {row.worst_price:9.2f}"
        )
    print(
        f"a record in the trees: {meter.us_per_record:.1f} us; the kinds' prices lie within {spread:.2f} of each other"
    )
    if rare := too_seldom(meter):
        print(f"seen too seldom: {', '.join(rare)}")
    if cheap:
        print(f"cheap for their work at their worst: {', '.join(cheap)}")


if __name__ == "__main__":
    main()
