"""Which header is believed: ways along headers, the root, age, clocks, providers that fail, and the cost of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from consensus.formats.units import NS_PER_S
from consensus.types.light import LightBlock
from crypto.hash import sha256
from light import LightClient, Options, Root
from light.errors import (
    BadAnswer,
    HeightTooHigh,
    InvalidOptions,
    LightError,
    NoAnswer,
    NoBlock,
    NotVerified,
    NoWitness,
    PrioritiesDiffer,
    RootDisputed,
    TrustExpired,
)
from light.provider import HEIGHT_MAX
from light.rules import BACK_MAX
from light.store import MemoryTrustStore
from light.walk import WAITING_MAX
from tests.support.light.chains import BLOCK_NS, Chain, Teller, fork, keys_of, make_chain, set_of, sign

SIX = dict.fromkeys("abcdef", 10)


@cache
def steady() -> Chain:
    """100 blocks of one set."""
    return make_chain([SIX] * 101)


@cache
def turning() -> Chain:
    """64 blocks, in each of which another sixth of the set is exchanged."""
    names = [f"n{number}" for number in range(80)]
    return make_chain([dict.fromkeys(names[at : at + 6], 10) for at in range(65)])


def client_of(chain: Chain, *witnesses: Teller, primary: Teller | None = None, at: int = 1, **how: Any) -> LightClient:
    root = Root(at, chain.blocks[at].hash)
    how.setdefault("now_ns", lambda: chain.now_ns)
    return LightClient(root, primary or Teller(chain), witnesses, **how)


def primary_of(client: LightClient) -> Teller:
    assert isinstance(client.primary, Teller)
    return client.primary


# ---------------------------------------------------------------------------------------------------------- ways


async def test_one_set_is_skipped_in_one_step() -> None:
    client = client_of(steady())
    assert await client.verify_at(100) == steady().blocks[100]
    assert primary_of(client).asked == [1, 100]
    assert await client.verify_at(100) == steady().blocks[100]  # known now
    assert primary_of(client).asked == [1, 100]


async def test_changing_sets_are_halved_and_what_was_verified_is_used_again() -> None:
    client = client_of(turning())
    assert await client.verify_at(64) == turning().blocks[64]
    asked = primary_of(client).asked
    assert len(asked) < 40
    assert len(set(asked)) == len(asked)
    for height in range(2, 64):
        assert await client.verify_at(height) == turning().blocks[height]
    assert sorted(primary_of(client).asked) == list(range(1, 65))  # each once


async def test_sequentially_every_header_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("light.client.SEQUENCE_MAX", 16)
    client = client_of(steady(), options=Options(sequential=True))
    assert await client.verify_at(100) == steady().blocks[100]
    assert sorted(primary_of(client).asked) == list(range(1, 101))


async def test_below_the_root_it_goes_back_by_hashes_and_not_for_ever() -> None:
    client = client_of(steady(), at=50)
    assert await client.verify_at(40) == steady().blocks[40]
    assert primary_of(client).asked == [50, 40, *range(49, 40, -1)]
    far = client_of(steady(), at=50, primary=(teller := Teller(steady())))
    teller.lies[BACK_MAX + 60] = replace_height(steady().blocks[50], BACK_MAX + 60)
    store = MemoryTrustStore()
    store.save([teller.lies[BACK_MAX + 60]], root=BACK_MAX + 60)
    far = LightClient(None, teller, store=store, now_ns=lambda: steady().now_ns)
    with pytest.raises(LightError, match="1020 below the trusted 1060; allowed: 1000"):
        await far.verify_at(40)


def replace_height(block: LightBlock, height: int) -> LightBlock:
    return sign(replace(block.header, height=height), block.validators, keys_of("abcdef"))


async def test_what_came_with_an_answer_is_not_asked_for() -> None:
    client = client_of(steady())
    await client.verify_at(70, given=steady().blocks[70])
    assert primary_of(client).asked == [1]
    with pytest.raises(NotVerified, match="asked for header 71, got 70"):
        await client.verify_at(71, given=steady().blocks[70])
    with pytest.raises(NotVerified, match="not the one that was verified"):
        await client.verify_at(70, given=fork(steady(), 70, to=70, signers="abcdef").blocks[70])


async def test_update_follows_the_latest_and_never_goes_back() -> None:
    teller = Teller(steady(), latest=60)
    client = client_of(steady(), primary=teller)
    assert (await client.update()).height == 60
    teller.latest = 61
    assert (await client.update()).height == 61
    teller.latest = 30
    assert (await client.update()).height == 61
    assert (await client.newest()).height == 61


# ------------------------------------------------------------------------------------------ the root, age, clocks


@pytest.mark.parametrize(
    ("root", "says"),
    [
        (Root(1, sha256(b"another")), "trusted is"),
        (Root(1, validators=set_of({"z": 1})), "the genesis' to"),
    ],
)
async def test_the_root_must_be_what_was_given(root: Root, says: str) -> None:
    client = LightClient(root, Teller(steady()), chain_id="light-chain", now_ns=lambda: steady().now_ns)
    with pytest.raises(NotVerified, match=says):
        await client.verify_at(5)


async def test_a_genesis_set_is_a_root_and_the_chain_id_must_be_told_with_it() -> None:
    root = Root(1, validators=steady().sets[0])
    client = LightClient(root, Teller(steady()), chain_id="light-chain", now_ns=lambda: steady().now_ns)
    assert (await client.verify_at(9)).height == 9
    other = LightClient(root, Teller(steady()), chain_id="other", now_ns=lambda: steady().now_ns)
    with pytest.raises(BadAnswer, match="is of chain 'light-chain', not 'other'"):
        await other.verify_at(9)


async def test_witnesses_must_agree_with_the_root() -> None:
    liar = Teller(fork(steady(), 1, to=3, signers="abcdef"), "liar")
    with pytest.raises(RootDisputed, match="liar says that header 1 hashes to"):
        await client_of(steady(), liar).verify_at(5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Options(trust_level=(1, 4)),
        lambda: Options(trust_level=(3, 2)),
        lambda: Options(trust_level=(0, 1)),
        lambda: Options(trust_level=(1, 0)),
        lambda: Options(trusting_period_ns=0),
        lambda: Options(clock_drift_ns=-1),
        lambda: Root(0, sha256(b"")),
        lambda: Root(1, b"short"),
        lambda: Root(1),
    ],
)
def test_options_outside_their_range(wrong: Callable[[], object]) -> None:
    with pytest.raises(InvalidOptions, match=r"allowed|expected|one of them"):
        wrong()


async def test_trust_ends_with_its_period() -> None:
    """Seen from far on: what was verified stays known, below it hashes lead back, and nothing leads on."""
    late = steady().now_ns + 1_000 * BLOCK_NS
    client = client_of(steady(), options=Options(trusting_period_ns=1_000 * BLOCK_NS), now_ns=lambda: late)
    with pytest.raises(
        TrustExpired, match=r"the trusted header 1 is of .* allowed: the trusting period of 5000 s.*clock ahead"
    ):
        await client.verify_at(100)
    assert primary_of(client).asked == [1]  # nobody was asked for it
    clock = [steady().now_ns]
    client = client_of(steady(), options=Options(trusting_period_ns=1_000 * BLOCK_NS), now_ns=lambda: clock[0], at=40)
    await client.verify_at(90)
    clock[0] = late + 100 * BLOCK_NS
    assert (await client.verify_at(90)).height == 90
    assert (await client.verify_at(80)).height == 80
    with pytest.raises(TrustExpired):
        await client.verify_at(95)


@pytest.mark.parametrize(("ahead_s", "passes"), [(9, True), (10, False), (10_000, False)])
async def test_a_header_from_the_future_is_refused(ahead_s: int, passes: bool) -> None:
    now = steady().blocks[100].header.time_ns - ahead_s * NS_PER_S
    client = client_of(steady(), now_ns=lambda: now)
    if passes:
        assert (await client.verify_at(100)).height == 100
    else:
        with pytest.raises(NotVerified, match=r"header 100 is from the future: .* 10 s ahead\. Is that clock behind"):
            await client.verify_at(100)


async def test_the_trust_level_says_how_many_must_have_signed() -> None:
    """A third of the set has gone: with a level of 1/3 it is one step, with 2/3 more are asked for."""
    chain = make_chain([SIX] * 10 + [{**dict.fromkeys("abcd", 10), "y": 10, "z": 10}] * 11)
    for level, asked in (((1, 3), 2), ((2, 3), 3)):
        client = client_of(chain, options=Options(trust_level=level))
        await client.verify_at(20)
        assert (len(primary_of(client).asked) > 2) == (asked > 2), level


# ------------------------------------------------------------------------------------------------ who fails, and how


async def test_a_primary_that_does_not_answer_gives_its_place_and_stays_a_witness() -> None:
    primary, witness = Teller(steady()), Teller(steady(), "witness")
    client = client_of(steady(), witness, primary=primary)
    await client.verify_at(10)
    primary.fails = NoAnswer("primary", "gone")
    with pytest.raises(NoWitness, match="primary: gone"):  # nobody is left to compare with
        await client.verify_at(20)
    assert (client.primary, client.witnesses) == (witness, [primary])
    primary.fails = None
    assert (await client.verify_at(20)).height == 20


async def test_a_primary_that_lies_on_the_way_gives_its_place_for_good() -> None:
    primary, witness, other = (Teller(turning(), name) for name in ("primary", "witness", "other"))
    client = client_of(turning(), witness, other, primary=primary)
    primary.lies[37] = fork(turning(), 37, to=37, signers=["n37"]).blocks[37]  # too few signed; asked for on the way
    for height in range(2, 64):
        primary.lies.setdefault(height, fork(turning(), height, to=height, signers=[]).blocks[height])
    assert (await client.verify_at(64)).hash == turning().blocks[64].hash
    assert (client.primary, client.witnesses) == (witness, [other])


@pytest.mark.parametrize(
    ("height", "error"),
    [(101, HeightTooHigh), (HEIGHT_MAX, HeightTooHigh), (HEIGHT_MAX + 1, HeightTooHigh)],
)
async def test_a_height_that_is_not_there(height: int, error: type[LightError]) -> None:
    with pytest.raises(error):
        await client_of(steady()).verify_at(height)


async def test_a_pruned_primary_is_no_liar() -> None:
    pruned = Teller(Chain({h: block for h, block in turning().blocks.items() if h in (1, 64)}), "pruned")
    whole = Teller(turning(), "whole")
    client = client_of(turning(), whole, primary=pruned)
    with pytest.raises(NoBlock, match="has no header 40"):
        await client_of(turning(), primary=pruned).verify_at(40)
    assert (await client.verify_at(64)).height == 64
    assert (client.primary, client.witnesses) == (whole, [pruned])


async def test_a_primary_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("light.provider.ASK_TIMEOUT_S", 0.01)
    primary = Teller(steady())
    primary.is_silent = True
    with pytest.raises(NoAnswer, match="said nothing about header 1"):
        await client_of(steady(), primary=primary).verify_at(5)


class Invents(Teller):
    """Claims a chain of any length, in which nobody whom we trust has signed anything."""

    async def light_block(self, height: int) -> LightBlock:
        if height <= 1:
            return await super().light_block(height)
        self.asked.append(height)
        header = replace(self.chain.blocks[2].header, height=height, validators_hash=set_of({"liar": 1}).hash)
        return sign(header, set_of({"liar": 1}), keys_of(["liar"]))


async def test_an_endless_chain_costs_a_bounded_number_of_headers() -> None:
    """Each header that is asked for halves what is left, and few are kept meanwhile."""
    liar = Invents(steady())
    client = client_of(steady(), primary=liar)
    with pytest.raises(NotVerified, match="header 2: its set hashes to"):
        await client.verify_at(HEIGHT_MAX)
    assert len(liar.asked) < 130
    assert WAITING_MAX < 20


# --------------------------------------------------------------------------------------------------- witnesses


async def test_a_witness_that_is_behind_gets_time() -> None:
    slept: list[float] = []
    behind = Teller(steady(), "behind", latest=40)

    def waits(to: int) -> Callable[[float], Awaitable[None]]:
        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            behind.latest = to

        return sleep

    with pytest.raises(NoWitness, match="behind: is behind: its latest header is 49"):
        await client_of(steady(), behind, sleep=waits(49)).verify_at(50)
    behind.latest = 40
    assert (await client_of(steady(), behind, sleep=waits(50)).verify_at(50)).height == 50
    assert slept == [30, 30]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda teller: setattr(teller, "fails", NoAnswer("witness", "gone")), "witness: gone"),
        (lambda teller: setattr(teller, "fails", NoBlock("witness", "pruned")), "witness: pruned"),
        (lambda teller: teller.lies.update({50: teller.chain.blocks[49]}), "asked for header 50, got 49"),
        (lambda teller: teller.lies.update({50: fork(steady(), 50, to=50, signers="a").blocks[50]}), "needs more than"),
    ],
    ids=["gone", "pruned", "another height", "signed by too few"],
)
async def test_without_a_witness_that_confirms_nothing_is_believed(change: Callable[[Teller], None], says: str) -> None:
    witness = Teller(steady(), "witness")
    client = client_of(steady(), witness)
    await client.verify_at(2)
    change(witness)
    with pytest.raises(NoWitness, match=says):
        await client.verify_at(50)
    second = Teller(steady(), "second")
    client.witnesses.append(second)
    assert (await client.verify_at(50)).height == 50  # one that confirms suffices


async def test_priorities_that_no_hash_covers_must_agree() -> None:
    witness = Teller(steady(), "witness")
    block = steady().blocks[50]
    witness.lies[50] = LightBlock(block.signed_header, block.validators.increment(3))
    with pytest.raises(PrioritiesDiffer, match="witness and primary have the same header 50"):
        await client_of(steady(), witness).verify_at(50)


def test_what_is_raised_is_one_tree() -> None:
    kinds: Sequence[type[Exception]] = (TrustExpired, NotVerified, NoWitness, NoAnswer, RootDisputed, InvalidOptions)
    assert all(issubclass(kind, LightError) for kind in kinds)
