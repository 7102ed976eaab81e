"""Random histories of staking, slashing and rewards, all invariants after every block.

Delegations, unbondings, redelegations, cancellations, new validators, withdrawals, absences, double signs, jumps of
time, changes of params, by real transactions through the application. A slice runs in CI; the campaign:

    python -m tests.chain.currency.test_machine --steps 10000 [--seed 1]
"""

from __future__ import annotations

import argparse
import sys
import time

import pytest

from tests.support.economy.machine import STEPS_IN_CI, run


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_laws_hold_after_each_step(seed: int) -> None:
    history = run(STEPS_IN_CI, seed)
    history.close()
    assert history.codes[0] > STEPS_IN_CI // 3, history.codes


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.monotonic()
    history = run(args.steps, args.seed)
    history.close()
    took = time.monotonic() - started
    sys.stdout.write(
        f"{args.steps} steps, seed {args.seed}: every law held after each, {took:.0f} s; "
        f"states {sorted(history.seen)}; "
        f"results by code {dict(sorted(history.codes.items()))}\n"
    )


if __name__ == "__main__":
    main()
