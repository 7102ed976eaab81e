"""Burners: identities that end by themselves, and leave nothing behind but what they said.

From its time on a burner signs nothing in the chat lane and no bundle, whether it waits to be taken away or not; its
memberships end with it, by their own entries of the queue. At the end of that block it goes, with its name, profile,
prekeys and devices; whom it blocked goes before, in slices. It owns no channel and has no conversation of two: these
last. Its name is free at once: an identity is its address, and whoever looks at a burner sees that it ends.
Replay: the address may register anew, and then its keys must not begin where they did. A burner's sequences begin at
its registration's height times SEQUENCES_PER_BLOCK, more than any key can use in a block: so each life of an address
begins above all that was signed in an earlier one, and nothing need be kept. A lasting identity begins at 0, far below.
What has no sequence (unordered, bundles) ran or expires: of a burner stays in which block it ended, as long as what it
signed until then could run, and the address's next identity takes nothing that may be of the one before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from chain.chat.channels import due
from chain.chat.identities import names
from chain.chat.identities.devices import DEVICE
from chain.chat.identities.prekeys import PREKEY
from chain.chat.identities.profiles import BLOCK, PROFILE
from chain.chat.ledger.records import IDENTITY, IDENTITY_NAME
from chain.kernel.auth import Sequences
from chain.kernel.branch import Branch, Key, Readable, Scan
from chain.kernel.event_text import Event, account, some
from chain.kernel.modules import BlockContext
from chain.tx.codec import height_bytes
from chain.tx.gas import BLOCK_GAS_MAX, GAS_LEAST_TX
from consensus.formats.units import NS_PER_S

SEQUENCES_PER_BLOCK: Final = 1 << 20
BLOCKED_PER_TURN: Final = 4  # with the records of the identity itself this is the work that GAS_LATER pays

ENDED: Final = Key.of(b"Ce", bytes)  # side: ‖ address -> the height at which its last burner ended
KEPT_BLOCKS: Final = 100_000  # no lane's unordered_expiry_blocks_max is more
HEIGHT_BYTES: Final = 8

assert SEQUENCES_PER_BLOCK > BLOCK_GAS_MAX // GAS_LEAST_TX, "one key could sign more in a block"


def first_sequences(height: int) -> Sequences:
    """Of a burner that registers in this block."""
    return ((b"", height * SEQUENCES_PER_BLOCK),)


def last_end(state: Readable, address: bytes, height: int) -> int:
    """The block in which the address's last identity ended, if what it signed may not have expired; 0: none did."""
    ended = int.from_bytes(state.get(ENDED + address) or b"", "big")
    return ended if ended + KEPT_BLOCKS >= height else 0


def forget_end(branch: Branch, item: bytes, ctx: BlockContext) -> None:
    """Once all has expired that it signed. The queue goes by time: a block a second, again where they take longer."""
    ended, address = item[:HEIGHT_BYTES], item[HEIGHT_BYTES:]
    if branch.get(ENDED + address) != ended:
        return  # another ended since, and waits by itself
    left = int.from_bytes(ended, "big") + KEPT_BLOCKS - ctx.height
    if left < 0:
        branch.set(ENDED + address, None)
    else:
        due.wait(branch, ctx.time_ns + (left + 1) * NS_PER_S, due.ENDED, item)


def end_identity(branch: Branch, address: bytes, ctx: BlockContext) -> None:
    found = branch.get(IDENTITY + address)
    if found is None or not 0 < found.expiry_ns <= ctx.time_ns:
        return
    blocks = list(islice(ctx.scan(BLOCK + address), BLOCKED_PER_TURN + 1))
    for key, _ in blocks[:BLOCKED_PER_TURN]:
        branch.set(key, None)
    if len(blocks) > BLOCKED_PER_TURN:
        due.wait(branch, ctx.time_ns + 1, due.IDENTITY, address)
        return
    for kind in (PROFILE, PREKEY, DEVICE):
        if branch.get(kind + address) is not None:
            branch.set(kind + address, None)
    names.release(branch, found.name)
    branch.set(IDENTITY_NAME + found.name.encode(), None)
    branch.set(IDENTITY + address, None)
    ended = height_bytes(ctx.height)
    branch.set(ENDED + address, ended)
    due.wait(branch, ctx.time_ns + KEPT_BLOCKS * NS_PER_S, due.ENDED, ended + address)
    ctx.doubted.add(IDENTITY + address)
    branch.emit(Event.of("identity_ended", address=account(address), name=found.name))


WORKS: Final[dict[bytes, due.Work]] = {due.IDENTITY: end_identity, due.ENDED: forget_end}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    at = len(due.QUEUE) + due.TIME_BYTES
    waiting = due.waiting(scan)
    waits = {key[at + 1 :] for key in waiting if key[at : at + 1] == due.IDENTITY}
    burners = {identity.address for _, identity in scan(IDENTITY) if identity.expiry_ns}
    missing = [address.hex() for address in sorted(burners ^ waits)]
    yield "identities: each burner waits for its end", not missing, f"{len(burners)} burners, amiss: {some(missing)}"
    waits = {key[at + 1 :] for key in waiting if key[at : at + 1] == due.ENDED}
    ends = {key[len(ENDED) :]: ended for key, ended in scan(ENDED)}
    right = {ended + address for address, ended in ends.items()} <= waits
    # What waits of an earlier end than the address's last does nothing; of one that is not known nothing can wait.
    right = right and all(ends.get(item[HEIGHT_BYTES:], b"") >= item[:HEIGHT_BYTES] for item in waits)
    yield "identities: the end of a burner is forgotten in time", right, f"{len(ends)} ends, {len(waits)} wait"
