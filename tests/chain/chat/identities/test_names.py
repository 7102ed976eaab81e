"""Names that look like a taken one are refused: the attack, the table, and names of before the rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.chat.identities import names
from chain.chat.identities.names import LOOKS, NAMES_PER_SLICE, SKELETON, index_names, looks_like, skeleton
from chain.chat.ledger.records import IDENTITY_NAME
from chain.kernel.branch import Branch
from chain.tx.errors import NameLooksAlike, NameTaken, UpgradeAlreadyDone
from chain.tx.messages import RegisterIdentity
from chain.upgrade.plan import LAST_DONE
from dchat.app.build_plan import UPGRADES
from tests.support.chain.harness import Chain, drain
from tests.support.upgrade import chains as upgraded

PAGE = Path(__file__).parents[4] / "docs" / "identities.md"
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789_-"
TEXTS = st.text(ALPHABET, min_size=3, max_size=32)


def new_chain() -> Chain:
    chain = Chain({"ann": 10**9, "eve": 10**9, "bob": 10**9})
    assert register(chain, "ann", "modern-alice") == 0
    return chain


def register(chain: Chain, who: str, name: str) -> int:
    """What became of it."""
    result = chain.block(chain.tx(who, RegisterIdentity(chain.address(who), name, ""))).tx_results[0]
    chain.assert_invariants()
    return result.code


ATTACK = ("modern-a1ice", "modern-allce", "m0dern-alice", "rnodern-alice", "mociern-alice", "mode_rn-alice",
          "modernalice", "-modern--alice-", "rn0clern_a11ce", "rnoc1ernal1ce")  # fmt: skip


@pytest.mark.parametrize("name", ATTACK)
def test_what_looks_like_a_taken_name_is_refused(name: str) -> None:
    chain = new_chain()
    assert register(chain, "eve", name) == NameLooksAlike.code
    assert chain.app.base.get(b"ci" + chain.address("eve")) is None
    assert register(chain, "eve", "modern-alicia") == 0, "and nothing else is"


def test_the_refusal_names_the_taken_one_and_the_same_name_is_taken() -> None:
    chain = new_chain()
    tx = chain.tx("eve", RegisterIdentity(chain.address("eve"), "modern-a1ice", ""))
    assert "modern-a1ice, like modern-alice" in chain.block(tx).tx_results[0].log
    assert register(chain, "eve", "modern-alice") == NameTaken.code


def test_two_in_one_block() -> None:
    chain = new_chain()
    first, second = (
        chain.tx(who, RegisterIdentity(chain.address(who), name, "")) for who, name in (("eve", "vvvx"), ("bob", "wvx"))
    )
    assert [result.code for result in chain.block(first, second).tx_results] == [0, NameLooksAlike.code]


@given(TEXTS)
def test_a_skeleton_is_its_own_and_has_no_character_that_is_replaced(name: str) -> None:
    seen = skeleton(name)
    assert skeleton(seen) == seen
    assert not set(seen) & LOOKS.keys()
    assert len(seen) <= 2 * len(name)


@given(st.lists(st.sampled_from("0123456789"), min_size=3, max_size=12), st.data())
def test_numbers_stay_apart(digits: list[str], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.sampled_from("0123456789"), min_size=3, max_size=12))
    assert (skeleton("".join(digits)) == skeleton("".join(other))) == (digits == other)


def test_the_page_has_the_table() -> None:
    rows = re.findall(r"^\| `(.)` \| (?:`(\w+)`|nothing) \|$", PAGE.read_text(), re.MULTILINE)
    assert dict(rows) == LOOKS


def test_names_of_before_the_rule_stay_and_are_indexed_by_a_migration() -> None:
    chain = new_chain()
    assert register(chain, "bob", "bob") == 0
    base = chain.app.base
    base.merge({SKELETON + skeleton(name).encode(): None for name in ("modern-alice", "bob")})
    assert looks_like(base, "modern-a1ice") is None, "as before the rule"
    assert looks_like(base, "b-ob") == "bob", "what is its own skeleton is known by its name"
    branch = Branch(base.get)
    drain(index_names(branch, base.scan))
    assert looks_like(branch, "modern-a1ice") == "modern-alice"
    assert looks_like(branch, "modern-alice") is None
    assert len(branch.writes) == 2


def test_the_upgrade_indexes_a_chain_that_began_before_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = upgraded.new_chain(upgrades=())
    owners = {"modern": "ann", "rnoclern": "bob", "dora": "v1"}  # the first two look alike, and stay
    with monkeypatch.context() as before:
        before.setattr(names, "take", lambda state, name: None)
        for name, who in owners.items():
            upgraded.ok(chain, chain.tx(who, RegisterIdentity(chain.address(who), name, "")))
    assert not list(chain.app.base.scan(SKELETON))
    assert looks_like(chain.app.base, "d0ra") is None, "nothing knows the old names"
    upgraded.ok(chain, upgraded.plan(chain, chain.height + 3, "look-alikes"))
    upgraded.to_height(chain, chain.height + 1)
    chain.restart(upgrades=UPGRADES[:1])
    upgraded.ok(chain)
    base = chain.app.base
    assert dict(base.scan(SKELETON)) == {SKELETON + b"clora": b"dora", SKELETON + b"rnoclern": b"modern"}
    assert base.get(LAST_DONE).migrated == (("chat", 2),)
    assert {name: base.get(IDENTITY_NAME + name.encode()) for name in owners} == {
        name: chain.address(who) for name, who in owners.items()
    }
    for name, wanted in (("d0ra", NameLooksAlike.code), ("m0dern", NameLooksAlike.code), ("erin", 0)):
        answer = chain.block(chain.tx("v2", RegisterIdentity(chain.address("v2"), name, "")))
        assert answer.tx_results[0].code == wanted, name
    chain.assert_invariants()


def test_a_slice_of_the_migration_is_bounded() -> None:
    taken = {IDENTITY_NAME + b"name-%d" % number: bytes(20) for number in range(2 * NAMES_PER_SLICE + 1)}
    branch = Branch(taken.get)
    written = [len(branch.writes) for _ in index_names(branch, lambda prefix, start=b"": iter(taken.items()))]
    assert written == [NAMES_PER_SLICE, 2 * NAMES_PER_SLICE]
    assert len(branch.writes) == len(taken)


def test_a_chain_that_this_build_begins_has_nothing_to_upgrade() -> None:
    chain = upgraded.new_chain(upgrades=UPGRADES)
    for upgrade in UPGRADES:
        assert upgrade.is_reached(chain.app.module_versions)
        result = chain.block(upgraded.plan(chain, chain.height + 3, upgrade.name)).tx_results[0]
        assert result.code == UpgradeAlreadyDone.code
    chain.restart()
    upgraded.to_height(chain, chain.height + 2)
