"""What an upgrade does to stored state: once each, in order, recorded, the same on every node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest

from chain.chat.ledger.records import IDENTITY
from chain.currency.ledger import bank
from chain.currency.ledger.bank import NOT_BONDED_POOL
from chain.currency.ledger.economic_params import StakingParams
from chain.currency.ledger.records import PARAMS as CURRENCY_PARAMS
from chain.currency.ledger.stake_records import FAILED
from chain.kernel.branch import Branch
from chain.tx.errors import AnnouncerUnknown, UpgradeAlreadyDone
from chain.tx.messages import CreateChannel, RegisterIdentity, channel_id
from chain.tx.messages.economy import Delegate, Undelegate
from chain.tx.messages.upgrade import CancelUpgrade
from chain.upgrade.migrations import (
    Migration,
    MigrationContext,
    MigrationGap,
    NewerStore,
    Upgrade,
    pending_migrations,
    versions_of,
)
from chain.upgrade.plan import CONSENSUS_PARAMS, LAST_DONE, PLAN, VERSIONS
from consensus.abci.interface import VoteInfo
from consensus.types.params import EvidenceParams
from crypto.hash import sha256
from dchat.app.build_plan import UPGRADES
from tests.support.chain.harness import SECOND_NS, Chain
from tests.support.upgrade.chains import DCHAT, V2, V3, VALIDATORS, new_chain, ok, plan, ready, to_height
from tests.support.upgrade.plans import spring


def nothing(ctx: MigrationContext) -> Iterator[None]:
    yield


def at_the_height() -> Chain:
    """A chain with an identity and a channel, whose next block is the upgrade's."""
    chain = new_chain()
    ann = chain.address("ann")
    ok(chain, chain.tx("ann", RegisterIdentity(ann, "ann", "")), plan(chain, 6))
    ok(chain, chain.tx("ann", CreateChannel(ann, "room", 0, "topic")))
    to_height(chain, 5)
    return chain


def test_state_of_both_machines_changes_once_and_is_recorded() -> None:
    chain = at_the_height()
    price = chain.app.base.get(CURRENCY_PARAMS).gas_price
    assert dict(chain.app.base.get(VERSIONS).of)["chat"] == 1
    chain.restart(upgrades=(V2,))
    response = ok(chain)
    base = chain.app.base
    assert base.get(CURRENCY_PARAMS).gas_price == price // 2
    assert base.get(IDENTITY + chain.address("ann")).allowance.messages == 100 - 1 + 7
    assert base.get(b"cc" + channel_id("room")).topic == "topic!"
    versions = dict(base.get(VERSIONS).of)
    assert (versions["chat"], versions["currency"], versions["bridge"]) == (3, 2, 1)
    done = base.get(LAST_DONE)
    assert (done.name, done.height, done.app_version) == ("v2", 6, 2)
    assert done.migrated == (("currency", 2), ("chat", 2), ("chat", 3))  # in the order of modules and versions
    assert response.consensus_param_updates.version.app == 2 == base.get(CONSENSUS_PARAMS).version.app
    assert base.get(PLAN) is None
    from consensus.abci.interface import InfoRequest

    assert chain.app.info(InfoRequest("", 0, 0)).app_version == 2
    chain.restart(upgrades=(V2,))
    chain.gas_price = price // 2
    ok(chain)
    assert base.get(IDENTITY + chain.address("ann")).allowance.messages == 100 - 1 + 7
    tx = plan(chain, 20)
    assert chain.block(tx).tx_results[0].code == UpgradeAlreadyDone.code


def test_all_nodes_agree_and_a_later_upgrade_without_migrations_follows() -> None:
    hashes = set()
    for at in (6, 7):  # one node starts the build at the height; the other's stop and start fall between two tries
        chain = at_the_height()
        chain.restart(upgrades=(V2,))
        if at == 7:
            from tests.support.chain.harness import drain

            drain(chain.app.process_proposal(chain.request([])))
            chain.restart(upgrades=(V2,))
        hashes.add(ok(chain).app_hash)
    assert len(hashes) == 1
    chain.gas_price //= 2
    ok(chain, plan(chain, 9, "v3"))
    to_height(chain, 8)
    chain.restart(upgrades=(V2, V3))
    ok(chain)
    assert chain.app.base.get(LAST_DONE).name == "v3"
    assert chain.app.base.get(LAST_DONE).migrated == ()
    chain.restart(upgrades=(V2, V3))


def test_a_new_plan_replaces_and_cancelling_is_always_allowed() -> None:
    chain = new_chain()
    ann = chain.address("ann")
    ok(chain, plan(chain, 5))
    ok(chain, plan(chain, 50, "other"))
    assert chain.app.base.get(PLAN).name == "other"
    ok(chain, chain.tx("ann", CancelUpgrade(ann)))
    assert chain.app.base.get(PLAN) is None
    ok(chain, chain.tx("ann", CancelUpgrade(ann), memo="no plan: ok"))
    to_height(chain, 8)


STEPS = (Migration("a", 2, nothing), Migration("a", 3, nothing), Migration("b", 2, nothing))
KNOWN = (Upgrade("one", STEPS[:1]), Upgrade("two", STEPS[1:]))


@pytest.mark.parametrize(
    ("modules", "upgrades", "want"),
    [
        pytest.param({"a": 1, "b": 1}, KNOWN, {"a": 3, "b": 2}, id="migrations say the version"),
        pytest.param({"a": 3, "b": 2}, KNOWN, {"a": 3, "b": 2}, id="and so may the module"),
        pytest.param({"a": 4, "b": 2}, KNOWN, "no migration brings a to version 4", id="a step is missing at the end"),
        pytest.param({"a": 1}, (Upgrade("x", (STEPS[0], Migration("a", 4, nothing))),),
                     "no migration brings a to version 3", id="a step is missing between"),
        pytest.param({"a": 1}, KNOWN, "migrates b, which is no module", id="unknown module"),
        pytest.param({"a": 1, "b": 1}, (*KNOWN, KNOWN[0]), "two migrations bring a", id="twice"),
        pytest.param({"a": 5}, (), {"a": 5}, id="a release that cannot come from before 5"),
    ],
)  # fmt: skip
def test_versions_of_a_build(
    modules: Mapping[str, int], upgrades: tuple[Upgrade, ...], want: dict[str, int] | str
) -> None:
    if isinstance(want, str):
        with pytest.raises(MigrationGap, match=want):
            versions_of(modules, upgrades)
    else:
        assert versions_of(modules, upgrades) == want


@pytest.mark.parametrize(
    ("stored", "want"),
    [
        pytest.param({"a": 1, "b": 1}, ["a2", "a3", "b2"], id="from the first"),
        pytest.param({"a": 2, "b": 1}, ["a3", "b2"], id="one was done by an earlier upgrade"),
        pytest.param({"a": 3, "b": 2}, [], id="nothing to do"),
        pytest.param({"a": 3}, ["b2"], id="a module new to the store"),
        pytest.param({"a": 4, "b": 1}, NewerStore, id="the store is newer"),
        pytest.param({"a": 1, "b": 1, "c": 1}, NewerStore, id="the store has a module that the build lacks"),
    ],
)
def test_what_is_pending(stored: dict[str, int], want: list[str] | type[Exception]) -> None:
    wanted = {"a": 3, "b": 2}
    if isinstance(want, type):
        with pytest.raises(want):
            pending_migrations(stored, wanted, ("a", "b"), KNOWN)
    else:
        steps = pending_migrations(stored, wanted, ("a", "b"), KNOWN)
        assert [f"{step.module}{step.to_version}" for step in steps] == want


def test_rename_and_delete_move_and_remove_a_space() -> None:
    stored = {b"ux1": b"one", b"ux2": b"two", b"uy": b"stays"}
    branch = Branch(stored.get)
    ctx = MigrationContext(
        branch, lambda prefix: iter([(k, v) for k, v in stored.items() if k.startswith(prefix)]), 1, 1
    )
    list(ctx.rename(b"ux", b"uz"))
    assert branch.writes == {b"ux1": None, b"uz1": b"one", b"ux2": None, b"uz2": b"two"}
    branch.drop()
    list(ctx.delete(b"ux"))
    assert branch.writes == {b"ux1": None, b"ux2": None}


# ------------------------------------------------------------------------------ readiness


def with_votes(chain: Chain, powers: tuple[int, ...] = (10, 10, 10, 10)) -> None:
    chain.votes = tuple(
        VoteInfo(sha256(chain.wallets[name].public_key)[:20], power, 2)
        for name, power in zip(VALIDATORS, powers, strict=True)
    )


@pytest.mark.parametrize(
    ("powers", "who", "share", "is_due"),
    [
        pytest.param((10, 10, 10, 10), "v1 v2 v3", 7_500, True, id="exactly the share"),
        pytest.param((10, 10, 10, 9), "v2 v3 v4", 7_500, False, id="a little less"),
        pytest.param((97, 1, 1, 1), "v1", 6_700, True, id="power counts, not heads"),
        pytest.param((10, 10, 10, 10), "", 1, False, id="nobody"),
        pytest.param((10, 10, 10, 10), "", 0, True, id="no share is asked for"),
    ],
)
def test_a_plan_that_is_not_ready_postpones_itself(powers: tuple[int, ...], who: str, share: int, is_due: bool) -> None:
    """Known failure 16: a height where the power is not there would stop the chain."""
    chain = new_chain()
    with_votes(chain, powers)
    ok(chain, plan(chain, 6, ready_share_permyriad=share, postpone_blocks=4 if share else 0))
    ok(chain, *[ready(chain, name, "v2") for name in who.split()])
    to_height(chain, 5)
    halt = chain.app.halt_before(6)
    assert (halt is not None) == is_due
    if not is_due:
        moved = chain.app.base.get(PLAN)
        assert (moved.height, moved.postponed) == (10, 1)
        to_height(chain, 8)
        ok(chain, *[ready(chain, name, "v2") for name in VALIDATORS])  # block 9 counts what is announced in it
        assert chain.app.halt_before(10) is not None
        chain.restart(upgrades=(V2,))
        ok(chain)
        assert chain.app.base.get(LAST_DONE).height == 10


def test_an_announcement_replaces_and_withdraws() -> None:
    chain = new_chain()
    at = b"ba" + sha256(chain.wallets["v1"].public_key)[:20]
    ok(chain, ready(chain, "v1", "v2", "v3"))
    assert chain.app.base.get(at).names == ("v2", "v3")
    ok(chain, ready(chain, "v1", "v3", software="0.3.0"))
    assert (chain.app.base.get(at).names, chain.app.base.get(at).software) == (("v3",), "0.3.0")
    ok(chain, ready(chain, "v1"))
    assert chain.app.base.get(at) is None


def test_only_a_validators_key_announces() -> None:
    """Anybody else could grow the state for a fee."""
    chain = new_chain()
    (result,) = chain.block(ready(chain, "bob", "v2")).tx_results
    assert (result.codespace, result.code) == (AnnouncerUnknown.codespace, AnnouncerUnknown.code)


def test_what_is_told_of_readiness_is_of_those_who_are_asked_for() -> None:
    """Validators that left may have announced, so an answer must cost with the set, not with the announcements."""
    chain = new_chain()
    ok(chain, ready(chain, "v1", "v2"), ready(chain, "v3", "v2"), ready(chain, "v4", "v2"))
    addresses = [sha256(chain.wallets[name].public_key)[:20] for name in ("v2", "v1")]
    told = chain.app.queries.upgrade(of=addresses).validators
    assert [(row.address, list(row.names), row.software, row.announced_height) for row in told] == [
        (addresses[0], [], "", 0),
        (addresses[1], ["v2"], "0.2.0", chain.height),
    ]


def test_items_that_failed_run_again_in_the_block_after_an_upgrade() -> None:
    """Design section 7: what one build could not work off, the next one can. Here builds break a pool and mend it."""
    pool, thief = NOT_BONDED_POOL, sha256(b"thief")[:20]

    def moving(sender: bytes, recipient: bytes) -> Callable[[MigrationContext], Iterator[None]]:
        def move(ctx: MigrationContext) -> Iterator[None]:
            bank.move(ctx.branch, sender=sender, recipient=recipient, amount=DCHAT)
            yield

        return move

    breaks = Upgrade("breaks", (Migration("currency", 2, moving(pool, thief)),))
    mends = Upgrade("mends", (Migration("currency", 3, moving(thief, pool)),))
    unbonding = StakingParams(unbonding_s=5, min_stake=1, min_self_delegation=1)
    chain = new_chain(staking=unbonding, evidence=EvidenceParams(max_age_duration_ns=5 * SECOND_NS))
    ann, v1 = chain.address("ann"), chain.address("v1")
    ok(chain, chain.tx("ann", Delegate(ann, v1, 2 * DCHAT)), plan(chain, chain.height + 3, "breaks"))
    ok(chain, chain.tx("ann", Undelegate(ann, v1, 2 * DCHAT)))
    before = chain.balance("ann")
    chain.restart(upgrades=(breaks,))
    while not list(chain.app.base.scan(FAILED.prefix)):
        assert chain.height < 20
        chain.block()
    assert chain.balance("ann") == before
    assert "economy: no item of a queue failed" in [name for name, holds, _ in chain.app.invariants() if not holds]
    chain.block(plan(chain, chain.height + 2, "mends"))
    chain.restart(upgrades=(breaks, mends))
    chain.block()
    ok(chain)
    assert chain.balance("ann") >= before + 2 * DCHAT - 10_000  # but for the fee of the plan
    assert not list(chain.app.base.scan(FAILED.prefix))


def test_what_the_build_that_begins_a_chain_knows_is_behind_it_new_code_alone_too() -> None:
    """Else a plan of its name would stop every node. A build without it begins another chain, as is seen at once."""
    chain = new_chain(upgrades=(V3,))
    result = chain.block(plan(chain, chain.height + 3, V3.name)).tx_results[0]
    assert result.code == UpgradeAlreadyDone.code
    to_height(chain, chain.height + 5)
    chain.restart()
    assert new_chain(upgrades=(V3,)).app.stores.app_hash != new_chain(upgrades=()).app.stores.app_hash
    chain.assert_invariants()


def test_the_second_build_of_the_tests_can_open_what_this_tree_began() -> None:
    """A version that this tree's plan reaches and spring's does not: else every swap to it ends in NewerStore."""
    reached, known = (
        {(m.module, m.to_version) for u in plans for m in u.migrations} for plans in (UPGRADES, spring.UPGRADES)
    )
    assert reached <= known
