"""What the benchmark of the network relies on: transactions in an order that a chain takes, what it reads and draws."""

from __future__ import annotations

import re
from itertools import chain, islice
from xml.etree import ElementTree

import pytest

from benchmarks.doors.mix import KINDS, World, asks
from benchmarks.load import picture, watch
from benchmarks.load.stock import MIXES, Crowd, Stock
from chain.tx.envelope.tx import decode
from chain.tx.messages import PostMessage


@pytest.mark.parametrize("mix", MIXES)
def test_each_senders_sequences_follow_each_other_at_one_door(mix: str) -> None:
    crowd = Crowd("test", 6, mix)
    stock = Stock(crowd, doors=2)
    stock.fill(18)
    stock.fill(30)  # goes on where it was
    expected: dict[tuple[bytes, int], int] = {}
    doors: dict[bytes, int] = {}
    shares = stock.take(30)
    for door, txs in enumerate(shares):
        for raw in txs:
            tx = decode(raw)
            (signer,) = tx.signers
            assert doors.setdefault(signer.address, door) == door
            if not tx.unordered:
                key = signer.address, tx.lane
                assert signer.sequence == expected.get(key, 0)
                expected[key] = signer.sequence + 1
    every = list(chain.from_iterable(shares))
    assert len(set(every)) == len(every) == 30
    posts = [m for raw in every for m in decode(raw).messages if isinstance(m, PostMessage)]
    assert bool(posts) == crowd.chats


def test_the_picture_is_one_and_all_points_are_in_its_frame() -> None:
    drawn = picture.draw("some & others", [(50.0, 0.001, 0.1), (2_000.0, 0.5, 0.9), (20_000.0, 1.0, 60.0)])
    dots = [one for one in ElementTree.fromstring(drawn).iter() if one.tag.endswith("circle")]
    assert len(dots) == 6
    for dot in dots:
        assert picture.LEFT <= float(dot.attrib["cx"]) <= picture.WIDTH - picture.RIGHT
        assert picture.TOP <= float(dot.attrib["cy"]) <= picture.HEIGHT - picture.BOTTOM
    assert re.search(r"prefers-color-scheme: dark", drawn)


def test_stages_are_told_by_run_and_by_payment_and_validator() -> None:
    seconds, runs = (f'dchat_consensus_stage_{name}_total{{stage="apply"}}' for name in ("seconds", "runs"))
    before = [{seconds: 1.0, runs: 10.0}, {seconds: 2.0, runs: 10.0}]
    after = [{seconds: 2.0, runs: 20.0}, {seconds: 4.0, runs: 20.0}]
    assert watch.stages(before, after, committed=1_000)["apply"] == {"ms_a_run": 150.0, "us_a_payment": 1_500.0}


def test_readers_ask_for_the_same_again_and_for_a_thousand_shares() -> None:
    world = World(height=9, accounts=("ab" * 20,), files=(("/explorer/", '"tag"'),))
    assert sum(share for _, share, _, _ in KINDS) == 1_000
    first, again = (list(islice(asks(world, 7), 400)) for _ in range(2))
    assert first == again
    assert {ask.name for ask in islice(asks(world, 7), 20_000)} == {name for name, _, _, _ in KINDS}
    for ask in first:
        if ask.door != "grpc":
            head, _, body = ask.data.partition(b"\r\n\r\n")
            assert head.startswith((b"GET /", b"POST / "))
            assert (f"Content-Length: {len(body)}".encode() in head) == bool(body)
