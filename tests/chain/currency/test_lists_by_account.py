"""What an account grants, lets others do and promises, and what others grant, let and promise it: in pages, at any kept
height, and gone from both lists when it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chain.currency.grants import authorisations, fee_grants
from chain.currency.vesting import vesting
from chain.tx.messages.grants import Authorise, GrantFees, RevokeAuthorisation, RevokeFeeGrant
from chain.tx.messages.payments import ClaimVested, ClawBack, CreateVesting
from dchat.app.payment_queries import PaymentQueries
from tests.support.chain.harness import SECOND_NS
from tests.support.economy.world import DCHAT, UNIT, World

KINDS = ("payment", "tip", "vote")
KEYS = {
    fee_grants: (fee_grants.FEE_GRANT, fee_grants.BY_GRANTEE),
    authorisations: (authorisations.AUTHORISATION, authorisations.BY_GRANTEE),
    vesting: (vesting.VESTINGS, vesting.BY_FUNDER),
}


@pytest.fixture
def world() -> World:
    """ann and bob let, grant and promise each other and carl all that there is."""
    made = World({"v1": 1000 * UNIT}, dict.fromkeys(("ann", "bob", "carl", "dora"), 100 * DCHAT))
    made.blocks(2)
    who = made.address
    until = made.time_ns + 1_000 * SECOND_NS
    for one, other in (("ann", "bob"), ("ann", "carl"), ("bob", "ann"), ("bob", "carl")):
        made.do(one, GrantFees(who(one), who(other), 5, until))
        for kind in KINDS:
            made.do(one, Authorise(who(one), who(other), kind, until, 7 if kind != "vote" else 0))
        for number in (0, 3):
            made.do(one, CreateVesting(who(one), who(other), number, 9, 0, True, True, ((100, 9),)))
    return made


def paged(ask: Callable[..., Any], rows: str, limit: int, **asked: Any) -> list[Any]:
    found, after = [], b""
    while True:
        answer = ask(**asked, after=after, limit=limit)
        page = list(getattr(answer, rows))
        assert len(page) <= limit
        found += page
        if not answer.next:
            return found
        after = answer.next


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
def test_each_is_found_by_either_account(world: World, limit: int) -> None:
    queries, names = PaymentQueries(world.app.queries), {world.address(name): name for name in world.wallets}

    def told(call: str, rows: str, fields: tuple[str, str], extra: str, **asked: str) -> set[tuple[Any, ...]]:
        whose = {name: world.address(value) for name, value in asked.items()}
        found = paged(getattr(queries, call), rows, limit, **whose)
        listed = [
            (*[names[getattr(row, field)] for field in fields], *([getattr(row, extra)] if extra else []))
            for row in found
        ]
        assert len(set(listed)) == len(listed)
        return set(listed)

    pairs = {("ann", "bob"), ("ann", "carl"), ("bob", "ann"), ("bob", "carl")}
    for name in ("ann", "bob", "carl", "dora"):
        given, got = {pair for pair in pairs if pair[0] == name}, {pair for pair in pairs if pair[1] == name}
        grants = ("fee_grants", "grants", ("granter", "grantee"), "")
        assert (told(*grants, granter=name), told(*grants, grantee=name)) == (given, got)
        lets = ("authorisations", "authorisations", ("granter", "grantee"), "kind")
        assert told(*lets, granter=name) == {(*pair, kind) for pair in given for kind in KINDS}
        assert told(*lets, grantee=name) == {(*pair, kind) for pair in got for kind in KINDS}
        vests = ("vestings", "vestings", ("funder", "recipient"), "number")
        assert told(*vests, funder=name) == {(*pair, number) for pair in given for number in (0, 3)}
        assert told(*vests, recipient=name) == {(*pair, number) for pair in got for number in (0, 3)}


def test_a_row_holds_the_record(world: World) -> None:
    queries, ann, bob = PaymentQueries(world.app.queries), world.address("ann"), world.address("bob")
    assert queries.fee_grants(grantee=bob).grants[0].grant.left == 5
    assert [row.authorisation.left for row in queries.authorisations(grantee=bob).authorisations] == [7, 7, 0]
    (first, second) = queries.vestings(funder=bob).vestings[:2]
    assert {first.recipient, second.recipient} <= {ann, world.address("carl")}
    assert first.vesting.amount == 9


def test_what_ends_leaves_both_lists_and_stays_in_the_past(world: World) -> None:
    who, queries, before = world.address, PaymentQueries(world.app.queries), world.height
    world.do("ann", RevokeFeeGrant(who("ann"), who("bob")))
    world.do("ann", RevokeAuthorisation(who("ann"), who("bob"), "tip"))
    world.do("ann", ClawBack(who("ann"), who("bob"), 0))
    world.do("carl", ClaimVested(who("carl"), who("bob"), who("ann"), 3), seconds=200)
    for height, count in ((before, 1), (world.height, 0)):
        assert len(queries.fee_grants(grantee=who("bob"), height=height).grants) == count
        left = [row.kind for row in queries.authorisations(grantee=who("bob"), height=height).authorisations]
        assert ("tip" in left) == bool(count)
        ours = [
            row for row in queries.vestings(funder=who("ann"), height=height).vestings if row.recipient == who("bob")
        ]
        assert len(ours) == 2 * count
    world.block(seconds=2_000)
    for module in KEYS:
        index = KEYS[module][1]
        assert sum(1 for _ in world.state.scan(index)) == (6 if module is vesting else 0)


@pytest.mark.parametrize("module", KEYS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_what_is_out_of_place_is_seen(world: World, module: Any) -> None:
    record, index = KEYS[module]

    def broken(without: bytes, only: int) -> int:
        def scan(prefix: bytes, start: bytes = b"") -> Any:
            rows = list(world.state.scan(prefix))
            return iter(rows[only:] if prefix == without else rows)

        return sum(not holds for _, holds, _ in module.invariants(world.state, scan))

    assert broken(b"", 0) == 0
    assert broken(index, 1) == 1
    assert broken(record, 1) >= 1
