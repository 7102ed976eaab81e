"""What nodes say of a network that stands, and what is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dchat.client.stall import Asked, Stall, diagnose

ADDRESSES = [letter * 40 for letter in "ABCD"]
NAMES = {address: f"v{number}" for number, address in enumerate(ADDRESSES, start=1)}
BLOCK = "F" * 64
Votes = dict[str, tuple[str | None, str | None]]


def asked(
    name: str, votes: Votes, *, height: int = 9, round: int = 2, status: dict[str, Any] | None = None,
    consensus: dict[str, Any] | None = None, skew_s: float | None = 0.0, earlier: Votes | None = None,
) -> Asked:  # fmt: skip
    def told(votes: Votes, round: int) -> dict[str, Any]:
        rows = [
            {"validator_address": one, "voting_power": 10, "prevote": votes.get(one, (None, None))[0],
             "precommit": votes.get(one, (None, None))[1]}
            for one in ADDRESSES
        ]  # fmt: skip
        return {"round": round, "votes": rows}

    return Asked(
        f"http://{name}",
        {
            "moniker": name, "chain_id": "chain", "latest_block_height": height - 1, "latest_block_hash": "AA",
            "latest_app_hash": "BB", "version": "1", "mempool_size": 0, "upgrade": {"plan": None, "halted": None},
            "peers": [{"moniker": peer} for peer in NAMES.values() if peer != name], **(status or {}),
        },
        {
            "height": height, "step": "prevote", "proposer": ADDRESSES[0], "earlier_rounds": [told(earlier or {}, 1)],
            **told(votes, round), **(consensus or {}),
        },
        skew_s,
    )  # fmt: skip


def of(*nodes: Asked, since_s: float | None = 99.0, waits_for_txs: bool = False, own_is_away: bool = False) -> Stall:
    return diagnose(nodes, NAMES, since_s=since_s, after_s=30.0, waits_for_txs=waits_for_txs, own_is_away=own_is_away)


ALL: Votes = dict.fromkeys(ADDRESSES, (BLOCK, None))
NIL: Votes = dict.fromkeys(ADDRESSES, ("nil", "nil"))
HALF: Votes = dict.fromkeys(ADDRESSES[:2], (BLOCK, None))


def test_who_is_missing_and_how_much_power_is_asked_for() -> None:
    stall = of(asked("v1", {ADDRESSES[0]: (BLOCK, None)}, earlier={ADDRESSES[1]: (None, "nil")}))
    assert (stall.total, stall.needed, stall.there, stall.has_quorum) == (40, 27, 20, False)
    assert [seat.moniker for seat in stall.missing] == ["v3", "v4"]
    assert stall.causes[0] == "validators with power 20 of 40 vote, and a block needs 27: 7 more"
    assert stall.advice[0] == "start these, or others with as much power: v3 (power 10)"
    assert stall.seats[1].votes == ((2, None, None), (1, None, "nil"))


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        pytest.param([asked("v1", HALF), asked("v2", ALL, height=12)], "goes on without this node: v2 is", id="behind"),
        pytest.param(
            [asked("v1", HALF), asked("v3", dict.fromkeys(ADDRESSES[2:], (BLOCK, None)))],
            "votes of v1 reached v1 and not v3: the network is cut between them", id="cut",
        ),
        pytest.param(
            [asked("v1", ALL), asked("v2", ALL, status={"latest_app_hash": "CC"})],
            "at height 8 v2 has another state (CC) than this node (BB)", id="another app hash",
        ),
        pytest.param(
            [asked("v1", ALL), asked("v2", ALL, status={"latest_block_hash": "CC"})], "v2 has another block (CC)",
            id="another block",
        ),
        pytest.param([asked("v1", ALL), asked("v2", ALL, skew_s=-40.0)], "clock of v2 is 40 s behind", id="a clock"),
        pytest.param(
            [asked("v1", ALL), asked("v2", ALL, status={"version": "2"})], "builds differ: 1 on v1, 2 on", id="builds"
        ),
        pytest.param(
            [asked("v1", HALF, status={"upgrade": {"plan": {"name": "v2", "height": 9}, "halted": None}})],
            "the upgrade 'v2' is due at this height", id="an upgrade is due",
        ),
        pytest.param(
            [asked("v1", HALF, status={"upgrade": {"plan": None, "halted": "UPGRADE NEEDED"}})],
            "this node left consensus for an upgrade: UPGRADE NEEDED", id="halted",
        ),
        pytest.param([asked("v1", HALF, status={"peers": []})], "this node has no peers", id="alone"),
        pytest.param(
            [asked("v1", NIL, consensus={"nil_votes": {"no_polka": 1, "no_proposal": 5}})],
            "votes are for nil: the proposers' proposals did not arrive in time", id="nil",
        ),
        pytest.param([asked("v1", ALL)], "+2/3 vote, and no block comes of it", id="nothing known"),
    ],
)  # fmt: skip
def test_likely_causes_are_said(nodes: list[Asked], said: str) -> None:
    assert any(said in cause for cause in of(*nodes).causes), of(*nodes).causes


def test_who_speaks_for_an_own_node_that_is_away_is_named() -> None:
    stands = of(asked("v2", HALF, status={"peers": []}), own_is_away=True)
    assert any(cause.startswith("v2 has no peers") for cause in stands.causes), stands.causes
    assert not any("this node" in text for text in (*stands.causes, *stands.advice)), stands
    assert stands.advice[0] == "start this home's own node, which does not answer"


@pytest.mark.parametrize(
    ("since_s", "waits", "stands"),
    [(1.0, False, False), (29.9, False, False), (30.0, False, True), (None, False, True), (99.0, True, False)],
)
def test_what_is_no_stall(since_s: float | None, waits: bool, stands: bool) -> None:
    """A chain that makes blocks for transactions alone stands still when none waits."""
    calm = asked("v1", {}, round=0)
    assert of(calm, since_s=since_s, waits_for_txs=waits).is_stalled is stands
    busy = replace(calm, status={**calm.status, "mempool_size": 3})
    assert of(busy, since_s=99.0, waits_for_txs=True).is_stalled


def test_a_block_that_is_late_by_the_nodes_word_is_a_stall_before_the_time_is_over() -> None:
    half = asked("v1", HALF)
    assert not diagnose([half], NAMES, since_s=14.0, after_s=30.0, waits_for_txs=False).is_stalled
    late = diagnose([half], NAMES, since_s=14.0, after_s=30.0, waits_for_txs=False, is_late=True)
    assert late.causes[0] == "validators with power 20 of 40 vote, and a block needs 27: 7 more"


def test_between_two_blocks_the_last_ones_votes_are_counted() -> None:
    """A calm network of four that vote is not one of none, and a stalled one has nobody but who votes now."""
    told = {"last_commit_votes": 4}
    calm = of(asked("v1", {}, round=0, consensus=told), since_s=2.0)
    assert (calm.is_between, calm.voters, calm.there) == (True, 4, 0)
    voting = of(asked("v1", HALF, round=0, consensus=told), since_s=2.0)
    assert (voting.is_between, voting.voters, voting.there) == (False, 4, 20)
    stands = of(asked("v1", HALF, consensus=told))
    assert (stands.is_between, stands.voters) == (False, 2)


ANYTHING: list[Any] = [
    None, True, -1, 1 << 80, 1.5, float("nan"), "x" * 100_000, [], [1, None], [{}], [[]], [{"votes": 3}], {},
    [{"votes": [{"validator_address": 7, "prevote": {}, "precommit": []}], "round": "1"}], {"plan": 1, "halted": []},
    {"plan": {"height": "9", "name": {}}}, [{"validator_address": ADDRESSES[0], "voting_power": -5}] * 2_000,
]  # fmt: skip
FIELDS = (
    "height",
    "round",
    "votes",
    "earlier_rounds",
    "peers",
    "upgrade",
    "nil_votes",
    "latest_block_height",
    "version",
)


@pytest.mark.parametrize("field", FIELDS)
def test_a_node_may_say_anything(field: str) -> None:
    own = asked("v1", HALF)
    for value in ANYTHING:
        other = replace(own, status={**own.status, field: value}, consensus={**own.consensus, field: value})
        of(other, own)
        of(own, other)
