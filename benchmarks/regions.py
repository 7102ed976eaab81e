"""Validators across ten regions of the world, in the simulator: how long until a block is final, and what that takes.

    python -m benchmarks.regions [--validators 4 32 100] [--heights 10] [--payments 0] [--peers 0] [--json FILE]

What is real in it, and what the limit is: dchat/simulation/regions.py. A hundred validators take minutes a block.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import structlog

from dchat.simulation.regions import measure

COLUMNS = {
    "validators": "validators", "peers": "peers", "payments_a_block": "payments", "limit_ms": "limit, ms",
    "finality_ms": "final, ms", "of_the_limit": "of limit", "p95_ms": "p95, ms", "interval_ms": "interval, ms",
    "rounds_above_0": "rounds > 0", "kib_sent": "KiB", "messages_sent": "messages", "copies_per_vote": "per vote",
    "copies_per_part": "per part", "cpu_ms": "CPU, ms",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--validators", type=int, nargs="+", default=[4, 32, 100], help="up to 250")
    parser.add_argument("--heights", type=int, default=10, help="blocks that count")
    parser.add_argument("--payments", type=int, default=0, help="sent for each block")
    parser.add_argument("--peers", type=int, default=0, help="of each validator, on average; 0: all others")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print("per block and node: KiB and messages sent, CPU")
    print("  ".join(COLUMNS.values()))
    rows = []
    for validators in options.validators:
        told = measure(validators, heights=options.heights, payments=options.payments, peers=options.peers)
        rows.append(told)
        print("  ".join(f"{told[key]:>{len(name)}}" for key, name in COLUMNS.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
