"""Searches without heights, over a long past: an index of a million heights, made by itself in a folder that goes.

    python -m benchmarks.rpc.search [--heights 1000000] [--json FILE]

Each fourth height has a payment of a hundred accounts in turn, so ten entries; a rare account was paid ten times. The
index is the product's (`consensus/stores/event_index.py`), so is the walk; no blocks are there, since equalities are
answered by the index alone. Told are CPU time, what was looked at, and the longest slice: how long the loop is held.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from consensus.abci.interface import FinalizeBlockResponse
from consensus.queries.syntax import parse
from consensus.search.errors import SearchTooWide
from consensus.search.pages import counted, page
from consensus.search.plan import TRANSACTIONS, plan
from consensus.search.walk import Place, Walk
from consensus.state.results import Event, EventAttribute, ExecTxResult
from consensus.stores.block_store import BlockStore
from consensus.stores.event_index import entries_of
from consensus.stores.state_store import StateStore
from dchat.config.models import IndexSection
from storage.kv import Write
from storage.leveldb import LevelStore

EACH: Final = 4  # heights to a payment
ACCOUNTS: Final = 100
RARE_TIMES: Final = 10
BATCH: Final = 20_000  # entries written at once
PAGE: Final = 30
FREQUENT, RARE, NOBODY = "transfer.sender='a0'", "transfer.recipient='rare'", "transfer.recipient='nobody'"


def paid(sender: str, recipient: str) -> FinalizeBlockResponse:
    attributes = (("sender", sender), ("recipient", recipient), ("amount", "5udchat"))
    event = Event("transfer", tuple(EventAttribute(key, value, True) for key, value in attributes))
    fee = Event("tx", (EventAttribute("fee_payer", sender, True), EventAttribute("fee", "1udchat", True)))
    return FinalizeBlockResponse((ExecTxResult(events=(event, fee)),), b"")


def build(db: LevelStore, heights: int) -> int:
    """Returns how many entries there are."""
    batch: list[Write] = []
    count = 0
    rare = {heights * (2 * number + 1) // (2 * RARE_TIMES) // EACH * EACH for number in range(RARE_TIMES)}
    for height in range(EACH, heights + 1, EACH):
        number = height // EACH
        recipient = "rare" if height in rare else f"a{(number + 1) % ACCOUNTS}"
        batch += entries_of(height, paid(f"a{number % ACCOUNTS}", recipient))
        if len(batch) >= BATCH:
            db.write(batch)
            count += len(batch)
            batch = []
    db.write(batch)
    return count + len(batch)


def measured(name: str, run: Callable[[], Any], walk: Walk) -> dict[str, Any]:
    """Drive a search's slices, as the readers' share of the loop does."""
    slices = run()
    longest = slices_count = 0
    began = time.thread_time_ns()
    outcome = ""
    while True:
        at = time.thread_time_ns()
        try:
            next(slices)
        except StopIteration as done:
            told = done.value
            total = f" of {told.total}" if hasattr(told, "total") else ""
            outcome = f"{len(told.places)} found{total}{', cut' if getattr(told, 'is_cut', False) else ''}"
            break
        except SearchTooWide as error:
            outcome = f"refused at height {error.height}"
            break
        finally:
            longest, slices_count = max(longest, time.thread_time_ns() - at), slices_count + 1
    cpu_ms = (time.thread_time_ns() - began) / 1e6
    return {
        "name": name, "outcome": outcome, "cpu_ms": cpu_ms, "work": walk.work, "slices": slices_count,
        "longest_slice_ms": longest / 1e6, "us_per_work": 1e3 * cpu_ms / max(1, walk.work),
    }  # fmt: skip


def searches(db: LevelStore, blocks: BlockStore, heights: int) -> list[dict[str, Any]]:
    states, work_max = StateStore(db), IndexSection().work_max
    rows = []
    both = f"{FREQUENT} AND {RARE}"
    asked: list[tuple[str, str, Callable[[Walk], Any]]] = [
        ("rare, newest page", RARE, lambda walk: page(walk, limit=PAGE, is_descending=True)),
        ("rare, counted (tx_search)", RARE, lambda walk: counted(walk, skip=0, limit=PAGE)),
        ("rare beside frequent, counted", both, lambda walk: counted(walk, skip=0, limit=PAGE)),
        ("nobody, counted", NOBODY, lambda walk: counted(walk, skip=0, limit=PAGE)),
        ("frequent, newest page", FREQUENT, lambda walk: page(walk, limit=PAGE, is_descending=True)),
        ("frequent, page in the middle by a cursor", FREQUENT,
         lambda walk: page(walk, limit=PAGE, is_descending=True, after=Place(heights // 2, 0))),
        ("frequent, counted (tx_search), page 1", FREQUENT, lambda walk: counted(walk, skip=0, limit=PAGE)),
        ("frequent, counted, page 80", FREQUENT, lambda walk: counted(walk, skip=79 * PAGE, limit=PAGE)),
        ("in all payments, newest page", "transfer.amount='5udchat'",
         lambda walk: page(walk, limit=PAGE, is_descending=True)),
        ("in all payments, counted", "transfer.amount='5udchat'", lambda walk: counted(walk, skip=0, limit=PAGE)),
    ]  # fmt: skip
    for name, query, run in asked:
        made = plan(parse(query, bytes_max=512), TRANSACTIONS)
        walk = Walk(made, blocks, states, 1, heights, work_max)
        rows.append(measured(name, lambda run=run, walk=walk: run(walk), walk))  # type: ignore[misc]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--heights", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="also write the result here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dchat-search-") as folder:
        db, of_blocks = LevelStore(f"{folder}/state"), LevelStore(f"{folder}/blocks")
        began = time.monotonic()
        entries = build(db, arguments.heights)
        took_s = time.monotonic() - began
        size = db.size_bytes(b"e", b"f")
        print(f"{arguments.heights} heights, {entries} entries, {size / 1e6:.0f} MB, made in {took_s:.0f} s")
        rows = searches(db, BlockStore(of_blocks), arguments.heights)
        db.close()
        of_blocks.close()
    for row in rows:
        print(
            f"{row['name']:42} {row['cpu_ms']:8.1f} ms  {row['work']:7} looked at, {row['slices']:5} slices, longest "
            f"{row['longest_slice_ms']:5.2f} ms  {row['outcome']}"
        )
    result = {"heights": arguments.heights, "entries": entries, "bytes": size, "searches": rows}
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
