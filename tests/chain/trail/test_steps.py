"""Blocks as steps: the same on every node, whole, and different exactly from where something was done otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.currency.ledger.records import ACCOUNT
from chain.kernel.execution import Trail
from chain.state.store import Stores
from chain.trail.kept import KeptBlock, KeptTrails
from chain.trail.steps import NO_HASH, BlockTrail, hashes_after, stored
from chain.tx.messages import KINDS, Payment
from dchat.app.app import DchatApplication
from dchat.autopsy.search import Finding, examine
from storage.memory import MemoryStore
from tests.support.chain.harness import Chain, drain
from tests.support.chain.trails import Told, keep, plant, trail_of
from tests.support.economy.life import Life

NAMES = ("ann", "ben", "cat")


def test_two_that_live_one_life_have_equal_steps_and_no_write_is_missing() -> None:
    life = Life(3, twin=False)
    twin = DchatApplication(Stores(MemoryStore()))
    twin.init_chain(life.init_request)
    apps = life.app, twin
    kept = [keep(app, 1) for app in apps]
    for _ in range(120):
        life.step()
        request = life._last_request
        assert request is not None
        response = drain(twin.finalize_block(request))
        twin.commit()
        found = [one.get(request.height) for one in kept]
        trails = [trail_of(one, request.txs, response) for one in found if one is not None]
        assert trails[0] == trails[1]
        assert trails[0].app_hash == life.app.stores.app_hash
        assert len(trails[0].steps) == len(request.txs) + 2
        last = {key: value for step in trails[0].steps for key, value in step.writes.items()}
        assert found[0] is not None
        assert last == {key: stored(value) for key, value in found[0].writes.items()}
    assert len(life.succeeded) > len(KINDS) // 2


class Twins:
    """Two chains with one history; the second has something planted."""

    def __init__(self, planted: int) -> None:
        self.chains = [Chain(dict.fromkeys(NAMES, 10**12)) for _ in range(2)]
        self.kept = [keep(chain.app) for chain in self.chains]
        plant(self.chains[1].app, lambda message: message.amount == planted)
        self.trails: list[dict[int, BlockTrail]] = [{}, {}]

    def block(self, payments: Sequence[tuple[str, str, int]]) -> None:
        first = self.chains[0]
        paid = [(one, Payment(first.address(one), first.address(to), amount)) for one, to, amount in payments]
        txs = tuple([first.tx(one, payment) for one, payment in paid])
        for chain, kept, trails in zip(self.chains, self.kept, self.trails, strict=True):
            request = chain.request(txs)
            response = drain(chain.app.finalize_block(request))
            chain.app.commit()
            chain.height = request.height
            found = kept.get(request.height)
            assert found is not None
            trails[request.height] = trail_of(found, txs, response)


@st.composite
def histories(draw: Any) -> tuple[list[list[tuple[str, str, int]]], int, int]:
    """Blocks of payments, each of another amount; and where the planted one is: height, transaction."""
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any))
    amounts = iter(range(1_000, 2_000))
    pairs = st.sampled_from([(one, to) for one in NAMES for to in NAMES if one != to])
    blocks = [[(*draw(pairs), next(amounts)) for _ in range(size)] for size in sizes]
    height, index = draw(st.sampled_from([(h, i) for h, size in enumerate(sizes, 1) for i in range(size)]))
    return blocks, height, index


@settings(max_examples=25, deadline=None)
@given(histories(), st.integers(1, 3))
def test_one_planted_difference_is_named(made: tuple[list[list[tuple[str, str, int]]], int, int], good: int) -> None:
    blocks, height, index = made
    _, recipient, amount = blocks[height - 1][index]
    twins = Twins(amount)
    for block in blocks:
        twins.block(block)
    witnesses = [Told(f"good {number}", twins.trails[0]) for number in range(good)] + [Told("other", twins.trails[1])]
    finding: Finding = asyncio.run(examine(witnesses))
    assert (finding.height, finding.is_fork) == (height, False)
    assert finding.step is not None
    assert finding.step.index == index + 1
    assert finding.step.alone == (("other",) if good > 1 else ())
    [key] = finding.keys
    assert key.key == ACCOUNT + twins.chains[0].address(recipient)
    assert finding.notes == []


def test_what_a_hash_of_a_store_is_made_of() -> None:
    nothing = (NO_HASH,) * 3
    assert hashes_after(nothing, {}) == nothing
    some = hashes_after(nothing, {b"ua1": b"x", b"Ua1": b"y"})
    assert some[:2] == nothing[:2]
    assert some[2] != NO_HASH
    others = [{b"ua1": b"x"}, {b"ua1": b"x", b"Ua1": None}, {b"ua1": b"y", b"Ua1": b"x"}, {b"ca1": b"x", b"Ua1": b"y"}]
    assert len({some, *[hashes_after(nothing, other) for other in others]}) == 1 + len(others)


def block(height: int, txs: int = 1, large_bytes: int = 0) -> KeptBlock:
    parts: list[Any] = [(number, {}, {}) for number in range(txs)]
    return KeptBlock(height, bytes(32), bytes(32), {}, Trail({}, parts), {}, large_bytes)


def test_long_bodies_count_for_more_than_one_write() -> None:
    """Blocks of 190 messages of 48 KiB: a hundred of them would hold a gigabyte."""
    trails = KeptTrails(100)
    for height in range(1, 101):
        trails.keep(block(height, 190, 190 * 49_152))
    assert len(trails.heights()) * 190 * 49_152 < 101 << 20
    trails.keep(block(trails.heights()[0]))
    assert trails.writes == 4


@pytest.mark.parametrize(
    ("heights_max", "writes_max", "kept"),
    [
        pytest.param(3, 1_000, [8, 9, 10], id="so many heights"),
        pytest.param(100, 12, [8, 9, 10], id="so many writes"),
        pytest.param(100, 1, [10], id="the newest, whatever it has"),
        pytest.param(0, 1_000, [], id="none"),
    ],
)
def test_what_is_kept_is_bounded(heights_max: int, writes_max: int, kept: list[int]) -> None:
    trails = KeptTrails(heights_max, writes_max=writes_max)
    for height in range(1, 11):
        trails.keep(block(height))
    assert trails.heights() == kept
    assert trails.writes == 4 * len(kept)
    trails.keep(block(9))
    assert trails.heights() == [height for height in kept if height < 9] + ([9] if kept else [])


def test_who_reads_a_block_that_goes_has_it_whole() -> None:
    trails = KeptTrails(1)
    trails.keep(block(1, txs=5))
    held = trails.get(1)
    trails.keep(block(2))
    assert held is not None
    assert len(held.trail.parts) == 5
    assert trails.get(1) is None
