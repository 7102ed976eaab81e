"""Burners: identities that end by themselves, and leave nothing behind but what they said.

From its time on a burner signs nothing in the chat lane and no bundle, whether it waits to be taken away or not; its
memberships end with it, by their own entries of the queue. At the end of that block it goes, with its name, profile,
prekeys and devices; whom it blocked goes before, in slices. It owns no channel and has no conversation of two: these
last. Its name is free at once: an identity is its address, and whoever looks at a burner sees that it ends.
Replay: the address may register anew, and then its keys must not begin where they did. A burner's sequences begin at
its registration's height times SEQUENCES_PER_BLOCK, more than any key can use in a block: so each life of an address
begins above all that was signed in an earlier one, and nothing need be kept. A lasting identity begins at 0, far below.
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
from chain.kernel.branch import Branch, Readable, Scan
from chain.kernel.event_text import Event, account, some
from chain.kernel.modules import BlockContext
from chain.tx.gas import BLOCK_GAS_MAX, GAS_LEAST_TX

SEQUENCES_PER_BLOCK: Final = 1 << 20
BLOCKED_PER_TURN: Final = 20  # each was paid for as a leaf that stays

assert SEQUENCES_PER_BLOCK > BLOCK_GAS_MAX // GAS_LEAST_TX, "one key could sign more in a block"


def first_sequences(height: int) -> Sequences:
    """Of a burner that registers in this block."""
    return ((b"", height * SEQUENCES_PER_BLOCK),)


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
    ctx.doubted.add(IDENTITY + address)
    branch.emit(Event.of("identity_ended", address=account(address), name=found.name))


WORKS: Final[dict[bytes, due.Work]] = {due.IDENTITY: end_identity}


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    at = len(due.QUEUE) + due.TIME_BYTES
    waits = {key[at + 1 :] for key in due.waiting(scan) if key[at : at + 1] == due.IDENTITY}
    burners = {identity.address for _, identity in scan(IDENTITY) if identity.expiry_ns}
    missing = [address.hex() for address in sorted(burners ^ waits)]
    yield "identities: each burner waits for its end", not missing, f"{len(burners)} burners, amiss: {some(missing)}"
