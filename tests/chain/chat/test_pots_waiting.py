"""What waits for a channel's allowance to pay it: who can hold it back, and what makes it be checked again."""

from __future__ import annotations

from typing import Any

import pytest

from chain.chat.channels.pots import POT
from chain.chat.channels.records import member_key
from chain.kernel.proposals import select
from chain.tx import allowance_errors as ae
from chain.tx import errors as e
from chain.tx.envelope.tx import decode
from chain.tx.messages import JoinChannel, PostMessage
from chain.tx.messages.allowance import EndChannelAllowance, GrantChannelAllowance
from chain.tx.messages.chat import EditChannel, LeaveChannel
from chain.tx.messages.chat.devices import AddDevice
from chain.tx.messages.kinds import ROLE_POST
from consensus.abci.interface import CheckTxResponse
from consensus.mempool.admission.entry import Entry, data_bytes
from consensus.mempool.admission.index import Index
from consensus.mempool.fill import fill
from tests.support.chain.allowances import (
    ROOM,
    Rooms,
    by_channel,
    next_day,
    people,
    posts,
    recheck,
)
from tests.support.chain.harness import wallet

GAS = 100_000_000  # of a block


def members(messages: int = 100, member: int = 50) -> Rooms:
    """bob, carl and dora, for whose posts ann sets some aside."""
    rooms = people()
    for name in ("bob", "carl", "dora"):
        rooms.ok(name, JoinChannel(rooms.address(name), ROOM))
    rooms.ok("ann", GrantChannelAllowance(rooms.ann, ROOM, messages, 10**7, member, 10**6))
    next_day(rooms)
    return rooms


def waiting(rooms: Rooms, name: str, count: int = 1, **options: Any) -> list[bytes]:
    """Posts that the channel pays for, admitted."""
    found = [by_channel(rooms, name, *posts(rooms.address(name)), **options) for _ in range(count)]
    assert [rooms.check(raw).code for raw in found] == [0] * count
    return found


def facts_of(rooms: Rooms, raw: bytes) -> CheckTxResponse:
    facts: CheckTxResponse = rooms.app.identify_tx(raw)
    return facts


def pooled(rooms: Rooms, *txs: bytes) -> Index:
    index = Index()
    for number, raw in enumerate(txs):
        facts = facts_of(rooms, raw)
        index.insert(Entry(bytes([number]) * 32, raw, "", rooms.height, facts, 0, "", data_bytes(len(raw)), 0))
    return index


def is_asked_again(rooms: Rooms, raw: bytes) -> bool:
    """Whether the pool has it checked again after the last block."""
    return not (rooms.recheck or frozenset()).isdisjoint(facts_of(rooms, raw).touches)


@pytest.mark.parametrize("paid_by", ["herself", "the channel"])
def test_who_takes_a_whole_block_holds_back_nobody_elses_posts(paid_by: str) -> None:
    """Who names a channel, or is paid by it, stands in nobody's way, for a proposer or in the pool. Audit 37."""
    rooms = members()
    if paid_by == "herself":
        big = rooms.tx("dora", EndChannelAllowance(rooms.dora, ROOM), gas_limit=GAS)
    else:
        big = by_channel(rooms, "dora", *posts(rooms.dora), gas_limit=GAS)
    first = rooms.tx("ann", PostMessage(rooms.ann, ROOM, b"ordinary", 0))
    others = [by_channel(rooms, name, *posts(rooms.address(name))) for name in ("bob", "carl")]
    others.append(rooms.tx("bob", PostMessage(rooms.bob, ROOM, b"pays itself", 0)))
    chosen = select([decode(raw) for raw in (first, big, *others)], bytes_max=1 << 20, gas_max=GAS)
    assert [tx.raw for tx in chosen] == [first, *others]
    index = pooled(rooms, first, big, *others)
    assert fill(index, first=None, bytes_max=1 << 20, gas_max=GAS) == ([first, *others], 1)


def test_a_strangers_word_about_a_pot_has_nothing_checked_again() -> None:
    rooms = members()
    posted = waiting(rooms, "bob", 3)
    evil = rooms.tx("dora", EndChannelAllowance(rooms.dora, ROOM))
    assert rooms.check(evil).code == 0
    assert rooms.block(evil).tx_results[0].code == e.NotPermitted.code
    assert not any(is_asked_again(rooms, raw) for raw in posted)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda rooms: EndChannelAllowance(rooms.ann, ROOM), ae.NoChannelAllowance),
        (lambda rooms: GrantChannelAllowance(rooms.ann, ROOM, 0, 0, 1, 1), ae.MemberShareUsed),
        (lambda rooms: EditChannel(rooms.ann, ROOM, archived=True), e.ChannelArchived),
    ],
    ids=["it ends", "other terms", "the channel is archived"],
)
def test_a_change_of_the_pot_has_all_that_it_pays_checked_again(change: Any, error: type[e.TxError]) -> None:
    """Also where its members' records are as they were, and with others' posts in the block."""
    rooms = members()
    bobs, carls = waiting(rooms, "bob", 2), waiting(rooms, "carl")
    change_tx = rooms.tx("ann", change(rooms))
    assert rooms.check(change_tx).code == 0
    results = rooms.block(bobs[0], change_tx).tx_results
    assert [result.code for result in results] == [0, 0]
    for raw in (bobs[1], *carls):
        assert is_asked_again(rooms, raw)
        assert recheck(rooms, raw) == error.code


def test_what_one_member_does_has_nobody_elses_posts_checked_again() -> None:
    """A device, an expiry, a post that this node had not seen: its own are asked, and count once; others wait on."""
    rooms = members(messages=7)
    bobs, carls = waiting(rooms, "bob", 2), waiting(rooms, "carl", 2)
    rooms.sequences["bob", "chat"] -= 2
    device = rooms.tx("bob", AddDevice(rooms.bob, wallet("phone").policy[-32:], ROLE_POST, 600))
    rooms.sequences["bob", "chat"] += 1
    assert rooms.block(device).tx_results[0].code == 0
    assert [is_asked_again(rooms, raw) for raw in (*bobs, *carls)] == [True, True, False, False]
    assert [recheck(rooms, raw) for raw in bobs] == [e.WrongSequence.code, 0]
    (soon,) = waiting(rooms, "bob", expiry_height=rooms.height + 1)
    rooms.block()
    assert [is_asked_again(rooms, raw) for raw in (bobs[1], soon, *carls)] == [True, True, False, False]
    assert recheck(rooms, bobs[1]) == 0
    rooms.sequences["bob", "chat"] -= 1
    unseen = by_channel(rooms, "dora", *posts(rooms.dora))
    assert rooms.block(unseen).tx_results[0].code == 0
    assert not any(is_asked_again(rooms, raw) for raw in carls)
    waiting(rooms, "bob", 3)  # with dora's one, bob's one and carl's two: 7. What went is not counted any more
    assert rooms.check(by_channel(rooms, "bob", *posts(rooms.bob))).code == ae.ChannelAllowanceEmpty.code
    assert rooms.block(*carls).tx_results[1].code == 0


def test_who_leaves_and_comes_back_in_one_transaction_is_checked_again() -> None:
    """With a post in the same block, so that the share is settled: its membership began anew."""
    rooms = members()
    bobs = waiting(rooms, "bob", 2)
    again = rooms.tx("bob", LeaveChannel(rooms.bob, ROOM), JoinChannel(rooms.bob, ROOM), lane=3)
    assert [result.code for result in rooms.block(bobs[0], again).tx_results] == [0, 0]
    assert member_key(ROOM, rooms.bob) in (rooms.recheck or ())
    assert POT + ROOM not in (rooms.recheck or ())
    assert recheck(rooms, bobs[1]) == ae.JoinedThisPeriod.code
