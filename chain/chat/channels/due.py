"""What waits for its time in the chat store: what ends of memberships, bans, invitations, reports and burners; bodies
that expire.

One queue beside the tree, by time; each entry was paid for (GAS_LATER) by who made it. A block takes those whose time
has come, oldest first, as many as a block can add; the rest carries over. What an entry is of may have gone or been
renewed meanwhile: then its work is to do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Final, TypeAlias

from chain.kernel.branch import Branch, Key, Readable, Scan, State
from chain.kernel.items import FailedItems
from chain.kernel.modules import BlockContext
from chain.tx import gas
from chain.tx.codec import height_bytes

QUEUE: Final = Key.of(b"Cd", bytes)  # side: ‖ time in ns ‖ kind ‖ what it is of
BACKLOG: Final = Key.of(b"cq", bytes)  # -> time ‖ kind ‖ what of the last that was taken; absent: none was
FAILED: Final = FailedItems(b"cF")
MARK: Final = b"\x01"
TIME_BYTES: Final = 8
PER_SLICE: Final = 50  # below a millisecond
UNITS: Final = {b"e": 10}  # by kind, of what is more work: a burner has ten records and a list to go through

MEMBERSHIP: Final = b"m"  # ‖ channel ‖ member
BAN: Final = b"b"  # ‖ channel ‖ member
INVITATION: Final = b"i"  # ‖ channel ‖ member
BODY: Final = b"x"  # ‖ channel ‖ index: of a message with a time to live
IDENTITY: Final = b"e"  # ‖ address: of a burner
ENDED: Final = b"n"  # ‖ height ‖ address: of a burner that ended
REPORT: Final = b"p"  # ‖ channel ‖ what it is about
REACTIONS: Final = b"r"  # ‖ channel ‖ index: of a message that was forgotten

Work: TypeAlias = Callable[[Branch, bytes, BlockContext], None]  # branch, what it is of, the block


def wait(state: State, time_ns: int, kind: bytes, item: bytes) -> None:
    """time_ns: later than the block's. What would stand where the queue was worked off, and never go, comes next."""
    last = state.get(BACKLOG)
    key = entry(time_ns, kind, item)
    if last is not None and key <= QUEUE + last:
        key = entry(int.from_bytes(last[:TIME_BYTES], "big") + 1, kind, item)
    state.set(key, MARK)


def entry(time_ns: int, kind: bytes, item: bytes) -> bytes:
    return QUEUE + height_bytes(time_ns) + kind + item


def work_off(ctx: BlockContext, works: Mapping[bytes, Work]) -> Iterator[None]:
    """At the end of a block. works: by kind."""
    branch, scan = ctx.branch, ctx.scan
    if ctx.upgraded:
        retry_failed(branch, scan, ctx.time_ns)
    start: bytes = branch.get(BACKLOG) or b""
    end, last = QUEUE + height_bytes(ctx.time_ns + 1), start
    budget, units = gas.most_of(gas.GAS_LATER, ctx.block_gas_max), 0
    for number, (key, _) in enumerate(scan(QUEUE, QUEUE + start if start else b""), start=1):
        if key >= end or number > budget:
            break
        branch.set(key, None)
        last = key[len(QUEUE) :]
        kind, item = last[TIME_BYTES : TIME_BYTES + 1], last[TIME_BYTES + 1 :]
        work = partial(_run, works[kind], item, ctx)
        yield from FAILED.run(branch, work, queue=bytes(QUEUE), item=last, height=ctx.height)
        units += UNITS.get(kind, 1)
        if units >= PER_SLICE:
            units = 0
            yield
    if last != start:
        branch.set(BACKLOG, last)


def _run(work: Work, item: bytes, ctx: BlockContext, branch: Branch) -> None:
    work(branch, item, ctx)


def retry_failed(branch: Branch, scan: Scan, time_ns: int) -> None:
    """Put what could not be worked off back into the queue, behind all that was taken: the code is another now."""
    for _, failed, _ in FAILED.take_back(branch, scan):
        wait(branch, time_ns + 1, failed[TIME_BYTES : TIME_BYTES + 1], failed[TIME_BYTES + 1 :])


def waiting(scan: Scan) -> set[bytes]:
    """The keys of all that waits, or failed: for invariants."""
    failed = {QUEUE + key[len(FAILED.prefix) + len(QUEUE) :] for key, _ in scan(FAILED.prefix)}
    return failed | {key for key, _ in scan(QUEUE)}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    last = state.get(BACKLOG) or b""
    behind = sum(key <= QUEUE + last for key, _ in scan(QUEUE)) if last else 0
    yield "chat: what waits for its time stands behind what was taken", not behind, f"{behind} would never go"
    yield FAILED.invariant("chat", scan)
