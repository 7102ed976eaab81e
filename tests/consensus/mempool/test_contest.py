"""What pays more takes the place of its like and the room of the cheapest, and nobody else loses anything."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.abci.interface import CheckTxRequest, CheckTxResponse, CheckTxType
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.admission.errors import Refusal
from consensus.mempool.contest import BIDS_MAX, REPLACED_MAX, SENDER_REPLACED_MAX
from consensus.mempool.pool import Pool
from crypto.hash import sha256
from tests.support.counts import counted
from tests.support.mempool.pool import PayingApp, running

FULL = PoolConfig(txs_max=8, wait_ms_max=0)


def names(pool: Pool) -> list[str]:
    return [entry.tx.decode() for entry in pool.entries()]


async def give(pool: Pool, *txs: str, client: str = "") -> list[int]:
    return [answer.code for answer in await pool.submit_many([tx.encode() for tx in txs], client=client)]


# ---------------------------------------------------------------------------------------------------- replacing


@pytest.mark.parametrize(
    ("new", "code", "says"),
    [
        pytest.param("a:1:pays=110", 0, "", id="a tenth more"),
        pytest.param("a:1:pays=109", Refusal.UNDERPRICED, "pays 109, needs at least 110", id="not quite"),
        pytest.param("a:1:pays=100:fill=x", Refusal.UNDERPRICED, "needs at least 110", id="as much"),
        pytest.param("a:1:pays=300:poor=1", 9, "poor", id="it does not pass: the one before stays"),
        pytest.param("a:9:pays=300", 3, "sequence is 3", id="no place of anybody: by the rules"),
    ],
)
async def test_who_may_have_the_place_of_another(new: str, code: int, says: str) -> None:
    app = PayingApp()
    async with running(app) as pool:
        before = ["a:0:pays=100", "a:1:pays=100", "a:2:pays=100", "b:0:pays=100"]
        assert await give(pool, *before) == [0] * 4
        answer = await pool.submit(new.encode())
        assert answer.code == code
        assert says in answer.log
        want = ["a:0:pays=100", new, "a:2:pays=100", "b:0:pays=100"] if not code else before
        assert names(pool) == want
        assert [tx.decode() for tx in pool.reap(bytes_max=-1, gas_max=-1)][:2] == want[:2]
        assert app.checking[b"a"] == 3


async def test_who_waits_for_the_replaced_one_is_told_and_it_comes_in_no_more() -> None:
    dropped: list[tuple[bytes, CheckTxResponse]] = []
    async with running(PayingApp()) as pool:
        pool.on_dropped(lambda key, why: dropped.append((key, why)))
        assert await give(pool, "a:0:pays=10", "a:0:pays=20") == [0, 0]
        [(key, why)] = dropped
        assert (key, why.code) == (sha256(b"a:0:pays=10"), Refusal.REPLACED)
        assert sha256(b"a:0:pays=20").hex() in why.log
        assert await give(pool, "a:0:pays=10") == [Refusal.UNDERPRICED]
        assert (pool.size, pool.metrics.replaced, pool.metrics.underpriced) == (1, 1, 1)


async def test_replacing_has_a_bound_for_each_place_and_sender_in_one_blocks_time() -> None:
    """Each that is replaced was checked, and never pays."""
    app = PayingApp()
    async with running(app) as pool:
        assert await give(pool, *[f"a:{n}:pays=10" for n in range(30)]) == [0] * 30
        answers = [(await give(pool, f"a:0:pays={10 * 2**n}"))[0] for n in range(1, 5)]
        assert answers == [0] * REPLACED_MAX + [Refusal.FULL] * 2
        answers = [(await give(pool, f"a:{n}:pays=20"))[0] for n in range(1, 30)]
        assert answers.count(0) == SENDER_REPLACED_MAX - REPLACED_MAX
        assert sum(name.endswith("pays=10") for name in names(pool)) == 30 - 1 - answers.count(0)
        pool.update(1, [], [], frozenset())
        assert await give(pool, "a:0:pays=160", "b:0:pays=1") == [0, 0]


async def test_a_replacement_needs_no_room() -> None:
    async with running(PayingApp(), FULL) as pool:
        assert await give(pool, *[f"s{n}:0:pays=10" for n in range(8)]) == [0] * 8
        assert await give(pool, "s3:0:pays=11") == [0]
        assert pool.size == 8


# ---------------------------------------------------------------------------------------------------- displacing


async def test_a_full_pool_takes_who_pays_more_in_the_room_of_who_pays_least() -> None:
    app = PayingApp()
    dropped: list[CheckTxResponse] = []
    async with running(app, FULL) as pool:
        pool.on_dropped(lambda key, why: dropped.append(why))
        assert (
            await give(pool, "a:0:pays=30", "a:1:pays=10", "a:2:pays=30", *[f"s{n}:0:pays=20" for n in range(5)])
            == [0] * 8
        )
        assert await give(pool, "new:0:pays=10") == [Refusal.FULL]
        assert await give(pool, "new:0:pays=25") == [0]
        assert names(pool) == ["a:0:pays=30", *[f"s{n}:0:pays=20" for n in range(5)], "new:0:pays=25"]
        assert app.checking[b"a"] == 1  # its next may come again
        assert [why.code for why in dropped] == [Refusal.DISPLACED] * 2
        assert await give(pool, "a:1:pays=22", "other:0:pays=21") == [0, Refusal.FULL]
        assert pool.metrics.displaced == 2


async def test_what_stands_behind_one_that_waits_takes_nobodys_room() -> None:
    """The first may spend all that its sender has, by a message that admission does not run."""
    async with running(PayingApp(), FULL) as pool:
        assert await give(pool, "mal:0:pays=10", *[f"s{n}:0:pays=20" for n in range(7)]) == [0] * 8
        before = names(pool)
        answers = await pool.submit_many([f"mal:{n}:pays=9999".encode() for n in range(1, 6)])
        assert {answer.code for answer in answers} == {Refusal.FULL}
        assert "stands behind others that wait" in answers[0].log
        assert (names(pool), pool.metrics.displaced) == (before, 0)
        assert await give(pool, "mal:0:pays=30", "new:0:pays=25") == [0, 0]  # it may pay more for its first


async def test_nothing_but_the_place_changes_hands() -> None:
    """Many rest on one account that pays for them: who replaces its own moves nobody's, nor makes them young."""
    async with running(PayingApp()) as pool:
        await give(pool, *[f"s{who}:{n}:pays=10:with=granter" for n in range(2) for who in range(4)])
        pool.update(9, [], [], frozenset())
        before = names(pool)
        assert await give(pool, "s1:0:pays=11:with=granter", "late:0:pays=11") == [0, 0]
        assert names(pool) == [name.replace("s1:0:pays=10", "s1:0:pays=11") for name in before] + ["late:0:pays=11"]
        assert [entry.height for entry in pool.entries()] == [0] * 8 + [9]
        order = [tx.decode() for tx in pool.reap(bytes_max=-1, gas_max=-1)]
        assert order.index("s1:0:pays=11:with=granter") < order.index("s1:1:pays=10:with=granter")


async def test_one_that_another_senders_stands_behind_does_not_give_way() -> None:
    """It signed with that sender, whose next one would have a gap before it."""
    async with running(PayingApp(), FULL) as pool:
        assert await give(pool, "a:0:pays=10:with=b", "b:0:pays=50", *[f"s{n}:0:pays=20" for n in range(6)]) == [0] * 8
        assert await give(pool, "new:0:pays=60") == [0]
        assert names(pool)[:2] == ["a:0:pays=10:with=b", "b:0:pays=50"]


async def test_one_of_a_single_signer_does_not_give_way_where_he_signed_the_next_with_another_sender() -> None:
    """audit 46: that sender's was left with a gap before it, and never ran."""
    async with running(PayingApp(), FULL) as pool:
        first = ["b:0:pays=10", "b:1:pays=10", "a:0:pays=50:with=b"]
        assert await give(pool, *first, *[f"s{n}:0:pays=20" for n in range(5)]) == [0] * 8
        assert await give(pool, "new:0:pays=60") == [0]
        assert names(pool)[:3] == first


async def test_nor_where_one_behind_it_has_another_sender_behind_itself() -> None:
    """audit 46: what goes along with it was looked at by nobody."""
    async with running(PayingApp(), FULL) as pool:
        first = ["b:0:pays=10", "b:1:pays=50:with=c", "c:0:pays=50"]
        assert await give(pool, *first, *[f"s{n}:0:pays=20" for n in range(5)]) == [0] * 8
        assert await give(pool, "new:0:pays=60") == [0]
        assert names(pool)[:3] == first


async def test_a_co_signers_next_one_is_left_with_no_gap_before_it() -> None:
    async with running(PayingApp(), FULL) as pool:
        first = ["a:0:pays=10:with=b", "b:0:pays=50", "a:1:pays=10:with=b"]  # the last one is its sender's again
        assert await give(pool, *first, *[f"s{n}:0:pays=20" for n in range(5)]) == [0] * 8
        assert await give(pool, "new:0:pays=60") == [0]
        left = names(pool)
        assert left[:2] == first[:2]


async def test_junk_closes_a_full_pool_to_nobody() -> None:
    """Nor does what would pay too little: it costs its own source the looks that it may take."""
    async with running(PayingApp(), FULL) as pool:
        assert await give(pool, *[f"s{n}:0:pays=10" for n in range(8)]) == [0] * 8
        for name in range(64):
            junk = [f"junk{name}.{n}" if n % 2 else f"j{name}:{n}:pays=10" for n in range(BIDS_MAX + 2)]
            await give(pool, *junk, client=f"2001:db8::{name}")
        assert await give(pool, "good:0:pays=99", client="2001:db8::ffff") == [0]
        assert await give(pool, "own:0:pays=99") == [0]


async def test_those_of_each_origin_whose_signatures_are_verified_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that win give their bid back, those that do not pass are counted."""
    monkeypatch.setattr("consensus.mempool.contest.ALL_BIDS_MAX", 3)
    async with running(PayingApp(), PoolConfig(txs_max=64, wait_ms_max=0)) as pool:
        assert await give(pool, *[f"s{n}:0:pays=10" for n in range(64)]) == [0] * 64
        answers = [(await give(pool, f"p{n}:7:pays=99", client=f"c{n}"))[0] for n in range(5)]
        assert answers == [3] * 3 + [Refusal.FULL] * 2
        assert await give(pool, "own:0:pays=99", "own2:0:pays=99") == [0, 0]
        pool.update(1, [], [], frozenset())
        assert [(await give(pool, f"q{n}:0:pays=99", client=f"c{n}"))[0] for n in range(5)] == [0] * 5


async def test_a_cheap_flood_keeps_no_paying_ones_out_and_posts_lose_nothing() -> None:
    config = PoolConfig(txs_max=64, lanes=("chat", "currency"), wait_ms_max=0)
    async with running(PayingApp(), config) as pool:
        await give(pool, *[f"p{n}:0:lane=chat" for n in range(16)])
        await give(pool, *[f"s{n}:0:pays=10" for n in range(64)], client="flood")
        cheap, posts = pool.lane_sizes()["currency"], pool.lane_sizes()["chat"]
        pool.update(1, [], [], frozenset())  # else its bids are used up
        answers = [(await give(pool, f"rich{n}:0:pays=20", client="flood"))[0] for n in range(8)]
        assert answers.count(0) >= 4
        assert (pool.lane_sizes()["currency"], pool.lane_sizes()["chat"]) == (cheap, posts)
        assert sum(name.startswith("s") for name in names(pool)) == cheap - answers.count(0)


async def test_a_full_pool_reads_a_bounded_number_of_those_who_pay_no_more() -> None:
    app = PayingApp()
    async with running(app, FULL) as pool:
        assert await give(pool, *[f"s{n}:0:pays=10" for n in range(8)]) == [0] * 8
        app.identified = 0
        assert set(await give(pool, *[f"t{n}:0:pays=10" for n in range(500)])) == {Refusal.FULL}
        assert app.identified <= 2 * BIDS_MAX
        pool.update(1, [], [], frozenset())
        assert await give(pool, "rich:0:pays=99") == [0]


class ShowingApp(PayingApp):
    def lane_shown(self, tx: bytes) -> str:
        return "chat" if b":lane=chat" in tx else "currency"


async def test_a_full_lane_reads_a_bounded_number_of_those_who_pay_no_more() -> None:
    """At saturation a lane is full before the pool is: each that was told to try later had been read for that."""
    app = ShowingApp()
    async with running(app, PoolConfig(txs_max=96, lanes=("bridge", "chat", "currency"), wait_ms_max=0)) as pool:
        for client in ("flood", "a", "b"):
            codes = await give(pool, *[f"{client}{n}:0:pays=10" for n in range(22)], client=client)
        assert codes[-1] == Refusal.LANE_FULL
        app.identified = 0
        for call in range(100):
            codes = await give(pool, *[f"t{call}.{n}:0:pays=10" for n in range(3)], client="flood")
            assert codes == [Refusal.LANE_FULL] * 3
        assert app.identified <= 2 * BIDS_MAX
        assert await give(pool, "p0:0:lane=chat", client="flood") == [0], "another lane"
        assert await give(pool, "u0:0:pays=10", client="another") == [0], "who has few there"
        pool.update(1, [], [], frozenset())
        assert await give(pool, "rich:0:pays=99", client="flood") == [0], "a new block, and it pays more"


# ---------------------------------------------------------------------------------------------------- laws


_steps = st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3), st.integers(1, 40)), max_size=30)


@settings(max_examples=counted(40, whole=100), deadline=None)
@given(_steps)
def test_the_pool_is_the_naive_one(steps: list[tuple[int, int, int]]) -> None:
    """Model: a dict of places. A place goes to who is next in order, or pays a tenth more; in a full pool the cheapest
    and youngest gives way, with all behind it, but for who asks."""

    async def scenario() -> None:
        app, model = PayingApp(), {}
        config = PoolConfig(txs_max=6, sender_txs_max=100, wait_ms_max=0)
        async with running(app, config) as pool:
            pool._contest._gone_max = 100
            for count, (sender, asked, pays) in enumerate(steps):
                sequence = asked if asked >= 0 else sum(who == sender for who, _ in model)  # the next
                if count % REPLACED_MAX == 0:
                    pool.update(count + 1, [], [], frozenset())  # none of the bounds on what may leave is met
                code = (await give(pool, f"{sender}:{sequence}:pays={pays}"))[0]
                assert code == _naive(model, sender, sequence, pays), (model, sender, sequence, pays)
                assert {tuple(map(int, name.replace("pays=", "").split(":"))) for name in names(pool)} == {
                    (*place, paid) for place, paid in model.items()
                }
                for one in range(4):
                    mine = [name for name in names(pool) if name.startswith(f"{one}:")]
                    assert mine == sorted(mine, key=lambda name: int(name.split(":")[1]))
                    assert app.checking.get(b"%d" % one, 0) == len(mine)

    asyncio.run(scenario())


def _naive(model: dict[tuple[int, int], int], sender: int, sequence: int, pays: int) -> int:
    place, following = (sender, sequence), sum(who == sender for who, _ in model)
    if place in model:
        if model[place] == pays:
            return Refusal.ALREADY_HERE
        if pays * 10 < model[place] * 11:
            return Refusal.UNDERPRICED
        model[place] = pays
        return 0
    room: list[tuple[int, int]] = []
    if len(model) >= 6:
        found = [one for one in reversed(model) if pays * 10 >= model[one] * 11]
        if not found or following:
            return Refusal.FULL
        cheapest = min(found, key=lambda one: model[one])
        room = [one for one in model if one[0] == cheapest[0] and one[1] >= cheapest[1]]
    if sequence != following:
        return 3
    for one in room:
        del model[one]
    model[place] = pays
    return 0


@settings(max_examples=60, deadline=None)
@given(st.permutations(["a:0:pays=10", "a:0:pays=20", "a:0:pays=40", "b:0:pays=9", "b:0:pays=10"]))
def test_in_whatever_order_they_come_the_dearest_stays(order: list[str]) -> None:
    async def scenario() -> None:
        async with running(PayingApp()) as pool:
            for tx in order:
                await give(pool, tx)
            assert sorted(names(pool)) == ["a:0:pays=40", "b:0:pays=10"]

    asyncio.run(scenario())


def test_what_comes_after_stays_counted() -> None:
    """The application of these tests counts as a real one does."""
    app = PayingApp()
    for tx in (b"a:0:pays=10", b"a:1:pays=10"):
        assert app.check_tx(CheckTxRequest(tx, CheckTxType.NEW)).code == 0
    app.withdraw_txs([b"a:1:pays=10"])
    assert app.checking[b"a"] == 1
