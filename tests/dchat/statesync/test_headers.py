"""Whose headers a restored state is held against: pairs of peers, of which some lie; one's own nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from consensus.statesync.syncer import HeaderUnknown, StateSyncFailed
from consensus.types.light import LightBlock
from consensus.types.validators import ValidatorSet
from dchat.statesync.headers import VerifiedHeaders, root_of_text
from light import Root
from light.errors import NoAnswer
from light.provider import Provider
from tests.support.light.chains import CHAIN_ID, Teller, make_chain
from tests.support.p2p.peers import simulate

CHAIN = make_chain([{"a": 10, "b": 10, "c": 10, "d": 10}] * 20)
ROOT = Root(2, CHAIN.blocks[2].hash)


def other_priorities(block: LightBlock) -> LightBlock:
    """The same header and the same members: no hash covers who proposes next."""
    members = list(block.validators)
    priorities = [member.proposer_priority for member in members][::-1]
    changed = [replace(m, proposer_priority=p) for m, p in zip(members, priorities, strict=True)]
    return replace(block, validators=ValidatorSet.from_existing(changed))


def headers(*tellers: Teller, root: Root = ROOT, period_ns: int = 0, now_ns: int = 0) -> VerifiedHeaders:
    def chosen(attempt: int) -> list[Provider]:
        start = attempt % len(tellers)
        both: list[Any] = [*tellers[start:], *tellers[:start]]
        return both[:2]

    return VerifiedHeaders(
        root, chosen, chain_id=CHAIN_ID, trust_period_ns=period_ns, now_ns=lambda: now_ns or CHAIN.now_ns
    )


async def found(source: VerifiedHeaders, height: int, *, attempts: int) -> tuple[LightBlock | None, int]:
    for attempt in range(attempts):
        try:
            return await source.verify_at(height), attempt
        except HeaderUnknown:
            continue
    return None, attempts


def test_two_that_agree_are_enough() -> None:
    async def scenario(_: Any) -> None:
        assert await found(headers(Teller(CHAIN), Teller(CHAIN)), 15, attempts=1) == (CHAIN.blocks[15], 0)

    simulate(scenario)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_priorities_that_one_peer_invents_are_not_taken(place: int) -> None:
    """ASA-2024-009: a state sync that trusts them proposes when nobody else thinks so."""

    async def scenario(_: Any) -> None:
        tellers = [Teller(CHAIN, f"peer {number}") for number in range(3)]
        tellers[place].lies = {height: other_priorities(block) for height, block in CHAIN.blocks.items() if height > 2}
        block, attempt = await found(headers(*tellers), 15, attempts=6)
        assert block is not None
        assert block.validators.encode() == CHAIN.blocks[15].validators.encode()
        assert attempt <= 2

    simulate(scenario)


def test_peers_that_do_not_answer_are_left_for_the_next_pair() -> None:
    async def scenario(_: Any) -> None:
        dead = Teller(CHAIN, "dead")
        dead.fails = NoAnswer("dead", "gone")
        assert (await found(headers(dead, dead, Teller(CHAIN), Teller(CHAIN)), 9, attempts=4))[0] == CHAIN.blocks[9]

    simulate(scenario)


def test_a_root_that_is_not_the_chains_is_told() -> None:
    async def scenario(_: Any) -> None:
        source = headers(Teller(CHAIN), Teller(CHAIN), root=root_of_text(f"2:{'AB' * 32}"))
        with pytest.raises(HeaderUnknown, match="trusted is abab"):
            await source.verify_at(9)

    simulate(scenario)


def test_trust_that_is_too_old_ends_it() -> None:
    async def scenario(_: Any) -> None:
        source = headers(Teller(CHAIN), Teller(CHAIN), period_ns=10, now_ns=CHAIN.now_ns + 10**12)
        with pytest.raises(StateSyncFailed, match="trusting period"):
            await source.verify_at(9)

    simulate(scenario)


def test_nobody_is_there() -> None:
    async def scenario(_: Any) -> None:
        source = VerifiedHeaders(ROOT, lambda attempt: [], chain_id=CHAIN_ID, trust_period_ns=0)
        with pytest.raises(HeaderUnknown, match="nobody"):
            await source.verify_at(9)

    simulate(scenario)
