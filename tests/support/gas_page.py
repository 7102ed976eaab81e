"""docs/gas.md, of what the code states: `python -m tests.support.gas_page` writes it, a test says when it is stale."""

from __future__ import annotations

import re
from pathlib import Path

from chain.tx import gas
from chain.tx.messages import KINDS, LANE_NAMES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gas.md"

HEAD = """# Gas

What a transaction may use is its gas limit, and what it pays goes by that limit, whatever it uses: in the currency
and the bridge lane `gas limit x gas_price / 1,000,000` udchat, rounded up; in the chat lane the same worth in allowance
(docs/economics.md). A gas is about 10 ns on the slowest machine that is supported, so that a block's limit bounds its
time. Costs depend on nothing that a node remembers. They are rules of the chain: a change is an upgrade.

Known from the transaction alone, and refused above the limit (`GasLimitTooLow`):

    GAS_TRANSACTION + GAS_BYTE x bytes + GAS_SIGNATURE x signatures
    + GAS_MARK if unordered + GAS_RECEIPT if in the bridge lane + GAS_GRANT with a fee granter
    + for each message its kind's

Metered while it runs (`OutOfGas`): GAS_NEW_LEAF for each account that a payment opens, GAS_STAYS for each identity
whose score was never touched. `dchat tx` estimates a limit that is enough; a result's `gas_used` tells what it was.

Written by `python -m tests.support.gas_page`. What each kind takes beside what it is charged: `python -m
benchmarks.gas`; the last measurement is in docs/performance.md.
"""


def constants() -> list[tuple[str, int, str]]:
    found = re.findall(
        r"^(GAS_[A-Z_]+): Final = (?!1_000|100_000)[^#\n]*(?:# (.*))?$", Path(gas.__file__).read_text(), re.M
    )
    return [(name, getattr(gas, name), why) for name, why in found if name not in ("GAS_PER_MS", "GAS_LEAST_TX")]


def render() -> str:
    lines = [HEAD, "| cost | gas | of what |", "|---|---|---|"]
    lines += [f"| {name} | {value:,} | {why} |" for name, value, why in constants()]
    lines += ["", "| message | lanes | gas |", "|---|---|---|"]
    for name, kind in KINDS.items():
        lanes = ", ".join(LANE_NAMES[lane] for lane in sorted(kind.lanes))
        more = f" and {kind.gas_each:,} for each that it lists" if kind.gas_each else ""
        more += ", and that one's own gas" if kind.within is not None else ""
        lines.append(f"| {name} | {lanes} | {kind.gas:,}{more} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render())
