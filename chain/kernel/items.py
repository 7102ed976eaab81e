"""Items of a block's queues: each runs in a branch of its own, and a fault in one is recorded, never raised.

What waits for its time or its turn (what matured, a proposal whose voting ended, a refund) is nobody's transaction: a
fault in one item must neither stop the chain nor leave half of its work behind, and the items after it must run
(ISA-2025-002: an error at the end of a block stopped the chain). Such an item leaves its queue and lies in its
machine's store, under the tree, with the number of its error; an invariant says so. Only other code can cure it, so the
block that carries out an upgrade puts all of them back into their queues.
Faults of the store are none of these: they stop the node.
Source: docs/decisions/0008.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Final, NamedTuple, TypeAlias

import structlog

from chain.kernel.branch import Branch, Key, Scan, check_records
from chain.kernel.event_text import Event
from chain.tx.codec import bytes_field, uint32_field, uint_field
from chain.tx.errors import ActionPanicked, TxError
from proto.dchat.v1 import state_pb2 as pb

# What a fault in code raises, on every node alike.
PANICS: Final = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)

QUEUE_BYTES: Final = 2  # of a queue's key: its space and one letter

log = structlog.get_logger()

Work: TypeAlias = Callable[[Branch], Generator[None, None, None] | None]  # yields, if at all, between slices


class Failed(NamedTuple):
    """An item that could not be worked off. code: its error's number; value: what the queue kept with it."""

    height: int
    code: int
    value: bytes

    def encode(self) -> bytes:
        return uint_field(b"\x08", self.height) + uint32_field(b"\x10", self.code) + bytes_field(b"\x1a", self.value)

    @staticmethod
    def decode(stored: bytes) -> Failed:
        record = pb.FailedItem.FromString(stored)
        return Failed(record.height, record.code, record.value)


class FailedItems:
    """Those of one machine. Lie under `prefix` ‖ the queue's key, 2 bytes ‖ the item."""

    __slots__ = ("prefix",)

    def __init__(self, prefix: bytes) -> None:
        self.prefix = Key.of(prefix, Failed)

    def run(
        self, branch: Branch, work: Work, *, queue: bytes, item: bytes, height: int, value: bytes = b""
    ) -> Generator[None, None, bool]:
        """Do the work over a branch that is merged when it is done, and dropped when it fails. Whether it was done.

        The caller takes the item out of its queue, whether it was done or not, unless what was done is only a part.
        """
        trial = Branch(branch.get)
        try:
            yield from work(trial) or ()
            check_records(trial.writes)
        except (TxError, *PANICS) as error:
            code = error.code if isinstance(error, TxError) else ActionPanicked.code
            branch.set(self.prefix + queue + item, Failed(height, code, value))
            branch.emit(Event.of("queue_item_failed", queue=queue.decode(), item=item.hex(), code=str(code)))
            log.error("an item of a queue failed", queue=queue.decode(), item=item.hex(), height=height, exc_info=True)
            return False
        branch.take(trial)
        return True

    def take_back(self, branch: Branch, scan: Scan) -> Iterator[tuple[bytes, bytes, Failed]]:
        """(queue, item, what is known of it) of each, which is forgotten: for the caller to put into its queue."""
        at = len(self.prefix)
        for key, _ in scan(self.prefix):
            failed = branch.get(key)
            if failed is not None:
                branch.set(key, None)
                yield key[at : at + QUEUE_BYTES], key[at + QUEUE_BYTES :], failed

    def invariant(self, name: str, scan: Scan) -> tuple[str, bool, str]:
        """name: of the machine or module."""
        found = [f"{key[len(self.prefix) :].hex()} (code {failed.code})" for key, failed in scan(self.prefix)]
        return f"{name}: no item of a queue failed", not found, f"{len(found)}: {found[:3]}" if found else "none"
