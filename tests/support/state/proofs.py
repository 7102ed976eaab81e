"""A state that holds something, with its proofs."""

from __future__ import annotations

from chain.state import proofs
from chain.state.roots import CHAT, CURRENCY
from chain.state.store import Stores
from storage.memory import MemoryStore

KEYS = [b"key %d" % number for number in range(40)]


def stores_of(keys: list[bytes]) -> Stores:
    stores = Stores(MemoryStore())
    stores.commit(stores.prepare(0, {CHAT: {key: b"of " + key for key in keys}, CURRENCY: {b"c": b"1"}}))
    return stores


VIEW = stores_of(KEYS[:20]).at()


PRESENT, MISSING = KEYS[4], KEYS[33]


HELD = proofs.prove(VIEW, CHAT, PRESENT)
