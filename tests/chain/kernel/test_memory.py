"""What the application remembers is bounded by what it takes, not by how many there are of it."""

from __future__ import annotations

import gc
import string
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chain.kernel import branch
from chain.kernel.branch import CACHED_BYTES, Base
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.envelope.tx import TxCache, decode
from chain.tx.errors import InvalidField
from chain.tx.messages import (
    BuyAllowance,
    CreateChannel,
    Message,
    Payment,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from chain.tx.messages.governance import CHANGES_MAX, ChangeParams, ParamChange, SubmitProposal, VoteWeighted
from tests.support.chain.harness import Chain

WALLETS = [Wallet.from_seed(bytes([number]) * 32) for number in range(8)]
ME, OTHER = WALLETS[0].address, bytes(20)
NAMES = [first + second for first in string.ascii_letters for second in string.ascii_letters]
DCHAT = 10**6


def proposal(changes: int, first: int = 0) -> SubmitProposal:
    """With as many of the shortest changes, in actions of 64."""
    made = [ParamChange("", name, "") for name in NAMES[first : first + changes]]
    actions = tuple(ChangeParams(tuple(made[at : at + 64])) for at in range(0, changes, 64))
    return SubmitProposal(ME, "t", "", False, 1, actions)


QUARTERS = tuple((option, 25 * 10**16) for option in (1, 2, 3, 4))
TXS: dict[str, tuple[list[Message], int]] = {  # messages, signers
    "a payment": ([Payment(ME, OTHER, 1 << 40)], 1),
    "32 payments": ([Payment(ME, OTHER, 1 << 40)] * 32, 1),
    "8 signers": ([Payment(wallet.address, OTHER, 1 << 40) for wallet in WALLETS], 8),
    "32 weighted votes": ([VoteWeighted(ME, 5_000, QUARTERS)] * 32, 1),
    "changes of params": ([proposal(CHANGES_MAX, first=CHANGES_MAX * n) for n in range(20)], 1),
}


def made(messages: list[Message], signers: int, number: int) -> bytes:
    seats = [Seat(wallet, None, True) for wallet in WALLETS[:signers]]
    return build_tx(chain_id="c", messages=messages, seats=seats, expiry_height=100 + number)


@pytest.mark.parametrize("name", TXS)
def test_a_decoded_transaction_counts_for_what_it_takes(name: str) -> None:
    """audit 25: 20,000 refused transactions of 3 kB, of nobody who has an account, held 1.5 GB: 22 times as much."""
    messages, signers = TXS[name]
    cache = TxCache()
    raws = [made(messages, signers, number) for number in range(20)]
    cache.get(raws[0])
    gc.collect()
    before, counted = traced(), cache._bytes
    for raw in raws[1:]:
        cache.get(raw)
    gc.collect()
    took = traced() - before + sum(map(len, raws[1:]))
    tracemalloc.stop()
    assert cache._bytes - counted >= took * 9 // 10
    for raw in raws:
        cache.drop(raw)
    assert not cache._bytes


def traced() -> int:
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    return tracemalloc.get_traced_memory()[0]


def test_a_proposal_names_each_param_once_and_no_more() -> None:
    """audit 25: 512 changes in 3 kB took 68 kB and a millisecond for whoever read the proposal."""
    assert decode(made([proposal(CHANGES_MAX)], 1, 0))
    for many in (CHANGES_MAX + 1, 512):
        with pytest.raises(InvalidField, match="changes in all actions, allowed: 64"):
            decode(made([proposal(many)], 1, 0))


def test_what_blocks_wrote_is_not_held_for_ever() -> None:
    """audit 25: each message that was posted stayed in memory until 200,000 records had come after it: gigabytes."""
    chain = Chain({"alice": 10**7 * DCHAT, "bob": DCHAT})
    alice, size = chain.address("alice"), 16_384
    chain.block(
        chain.tx("alice", RegisterIdentity(alice, "alice", "")),
        chain.tx("bob", RegisterIdentity(chain.address("bob"), "bob", "")),
    )
    chain.block(
        chain.tx("alice", BuyAllowance(alice, 10**6 * DCHAT)), chain.tx("alice", CreateChannel(alice, "c", 0, ""))
    )
    held = held_bytes(chain.app.base)
    for _ in range(5):
        posts = [PostMessage(alice, channel_id("c"), bytes(size), 0)] * 12
        assert not any(result.code for result in chain.block(*[chain.tx("alice", post) for post in posts]).tx_results)
    assert held_bytes(chain.app.base) - held < size
    tip = chain.tx("bob", Tip(chain.address("bob"), channel_id("c"), 59, 1))  # what is read again is found again
    assert not chain.block(tip).tx_results[0].code
    chain.assert_invariants()


def held_bytes(base: Base) -> int:
    return sum(len(value) for value in base._young.values() if isinstance(value, bytes))


class Store:
    """Any key has a value of `size` bytes. Counts reads."""

    def __init__(self, size: int) -> None:
        self.size, self.reads = size, 0

    def get(self, store: str, key: bytes) -> bytes:
        self.reads += 1
        return bytes(self.size)

    side = get

    def scan(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        raise AssertionError("a cache reads by key alone")

    scan_side = scan


def made_of(stored: bytes) -> list[bytes]:
    return [stored]


DECODERS: dict[bytes, Callable[[bytes], Any]] = {b"co": made_of}


@pytest.mark.parametrize("space", [b"Cm", b"co"], ids=["bytes", "a record"])
def test_large_records_count_by_their_size(monkeypatch: pytest.MonkeyPatch, space: bytes) -> None:
    """audit 25: the bound was of their number."""
    bound = 1_000_000
    monkeypatch.setattr(branch, "CACHE_GENERATION_BYTES", bound)
    store = Store(10_000)
    base = Base(store, DECODERS)
    base.get(space + b"hot")
    for number in range(300):
        base.get(space + number.to_bytes(4, "big"))
        base.get(space + b"hot")
        held = sum(len(value[0] if isinstance(value, list) else value) for value in all_of(base))
        assert held <= counted(base) <= 2 * bound + 100_000
    assert store.reads == 301  # what is read again stays
    base.merge(
        {b"co" + bytes([n]): [bytes(10_000)] for n in range(200)}, {b"co" + bytes([n]): 10_000 for n in range(200)}
    )
    base.merge({b"co" + bytes([n]): None for n in range(200)})
    assert counted(base) <= 2 * bound + 100_000


def counted(base: Base) -> int:
    """Bytes, as the cache estimates what it holds: the large die at once."""
    held = len(base._young) + len(base._old) + sum(map(len, base._dying))
    return held * CACHED_BYTES + base._large_bytes + sum(base._old_large.values())


def all_of(base: Base) -> list[Any]:
    return [value for part in (base._young, base._old, *base._dying) for value in part.values() if value is not None]


def test_what_is_forgotten_is_freed_little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 25: 200,000 accounts at once were freed on the loop."""
    monkeypatch.setattr(branch, "CACHE_GENERATION_BYTES", 300 * CACHED_BYTES)
    base = Base(Store(1), {})
    before = 0
    for number in range(2_000):
        base.get(b"ua" + number.to_bytes(4, "big"))
        held = len(all_of(base))
        assert held >= before - branch.FREED_PER_RECORD
        assert held <= 903
        before = held
