"""The table of states of an upgrade, row by row, first as a function, then on a chain (known failure 16)."""

from __future__ import annotations

import pytest

from chain.upgrade.plan import Action, Done, Plan, decide
from consensus.abci.interface import HaltReason, HaltRequested
from tests.support.chain.harness import drain
from tests.support.upgrade.chains import V2, V3, new_chain, ok, plan, to_height

AT_10 = Plan("v2", 10, "see docs")
NO_INFO = Plan("v2", 10)
LAST = Done("v1", 4, 7, ())

NEEDED = 'UPGRADE "v2" NEEDED at height: 10: see docs'
EARLY = 'BINARY UPDATED BEFORE TRIGGER! UPGRADE "v2" - in binary but not executed on chain. Downgrade your binary'
MISSING = "wrong app version 7, upgrade handler is missing for v1 upgrade plan"


@pytest.mark.parametrize(
    ("height", "stored", "last", "handlers", "skip", "action", "message"),
    [
        pytest.param(5, None, None, "", "", Action.GO_ON, "", id="no plan"),
        pytest.param(5, None, None, "v2", "", Action.GO_ON, "", id="no plan, a handler that waits for one"),
        pytest.param(9, AT_10, None, "", "", Action.GO_ON, "", id="not due, no handler"),
        pytest.param(10, AT_10, None, "", "", Action.NEEDED, NEEDED, id="due, no handler"),
        pytest.param(11, AT_10, None, "", "", Action.NEEDED, NEEDED, id="past due: names the plan's height"),
        pytest.param(10, NO_INFO, None, "", "", Action.NEEDED, 'UPGRADE "v2" NEEDED at height: 10: ', id="no info"),
        pytest.param(10, AT_10, None, "v2", "", Action.APPLY, 'applying upgrade "v2" at height: 10', id="due, handler"),
        pytest.param(9, AT_10, None, "v2", "", Action.TOO_EARLY, EARLY, id="not due, handler"),
        pytest.param(10, AT_10, None, "", "10", Action.SKIP, 'UPGRADE "v2" SKIPPED at 10: see docs', id="skip height"),
        pytest.param(10, NO_INFO, None, "v2", "10", Action.SKIP, 'UPGRADE "v2" SKIPPED at 10: ', id="skip both"),
        pytest.param(10, AT_10, None, "", "9", Action.NEEDED, NEEDED, id="another height is skipped"),
        pytest.param(5, None, LAST, "", "", Action.MISSING, MISSING, id="start: last done lacks its handler"),
        pytest.param(9, AT_10, LAST, "v2", "", Action.MISSING, MISSING, id="not due: last done lacks its handler"),
        pytest.param(10, AT_10, LAST, "", "10", Action.MISSING, MISSING, id="skipped: last done lacks its handler"),
        pytest.param(10, AT_10, LAST, "v2", "", Action.APPLY, 'applying upgrade "v2" at height: 10', id="due"),
        pytest.param(5, None, LAST, "v1", "", Action.GO_ON, "", id="start: last done has its handler"),
    ],
)  # fmt: skip
def test_row(
    height: int, stored: Plan | None, last: Done | None, handlers: str, skip: str, action: Action, message: str
) -> None:
    """Sheet, section 6."""
    decision = decide(
        stored, last, height=height, handlers=set(handlers.split()), skip_heights={int(one) for one in skip.split()}
    )
    assert (decision.action, decision.message) == (action, message)


def test_due_without_handler_halts_before_the_block_and_leaves_no_trace() -> None:
    chain = new_chain()
    ok(chain, plan(chain, 5, info="see docs"))
    to_height(chain, 4)
    message = 'UPGRADE "v2" NEEDED at height: 5: see docs'
    halt = chain.app.halt_before(5)
    assert halt is not None
    assert (str(halt), halt.reason, halt.height) == (message, HaltReason.UPGRADE_NEEDED, 5)
    before = chain.app.stores.app_hash
    for propose in (True, False):
        with pytest.raises(HaltRequested) as stopped:
            chain.block(propose=propose)
        assert str(stopped.value) == message
    chain.restart()  # the old build may start: it serves what it has
    assert (chain.app.last_height, chain.app.stores.app_hash) == (4, before)
    assert str(chain.app.halt_before(5)) == message


def test_handler_before_the_height_is_refused_at_start_and_at_the_block() -> None:
    chain = new_chain()
    ok(chain, plan(chain, 9))
    with pytest.raises(HaltRequested, match="BINARY UPDATED BEFORE TRIGGER") as stopped:
        chain.restart(upgrades=(V2,))
    assert stopped.value.reason is HaltReason.WRONG_BINARY
    fresh = new_chain()
    fresh.restart(upgrades=(V3,))  # no plan yet, and no module that differs
    with pytest.raises(HaltRequested, match="BINARY UPDATED BEFORE TRIGGER"):
        ok(fresh, plan(fresh, 9, "v3"))
        ok(fresh)


def test_the_build_before_is_refused_after_the_upgrade() -> None:
    chain = new_chain()
    ok(chain, plan(chain, 4))
    to_height(chain, 3)
    chain.restart(upgrades=(V2,))
    ok(chain)
    with pytest.raises(
        HaltRequested, match="wrong app version 2, upgrade handler is missing for v2 upgrade plan"
    ) as stopped:
        chain.restart()
    assert stopped.value.reason is HaltReason.WRONG_BINARY


def test_a_newer_store_and_a_newer_build_are_refused() -> None:
    from chain.upgrade.migrations import Migration, Upgrade

    chain = new_chain()
    with pytest.raises(HaltRequested, match="module chat is at version 1 in the store and 3 in this build"):
        chain.restart(upgrades=(V2,))  # nothing is planned: its code would mean other blocks
    ok(chain, plan(chain, 4))
    to_height(chain, 3)
    chain.restart(upgrades=(V2,))
    ok(chain)
    steps = [step for step in V2.migrations if step != max(V2.migrations, key=lambda step: step.to_version)]
    older = Upgrade("v2", tuple(Migration(*step) for step in steps))
    with pytest.raises(HaltRequested, match=r"module chat is at version 3 in the store.*newer version"):
        chain.restart(upgrades=(older,))


def test_skip_height_clears_the_plan_and_the_build_goes_on() -> None:
    from chain.upgrade.module import UpgradeOptions

    chain = new_chain()
    ok(chain, plan(chain, 5))
    to_height(chain, 4)
    chain.restart(upgrade_options=UpgradeOptions(skip_heights=frozenset((5,))))
    assert chain.app.halt_before(5) is None
    to_height(chain, 7)
    chain.restart()  # without the flag: nothing is planned any more
    to_height(chain, 8)
    assert chain.app.base.get(b"bu") is None
    ok(chain, plan(chain, 20))  # it was not done: the name is free


@pytest.mark.parametrize(
    ("halt_height", "halt_time_s", "last"),
    [
        pytest.param(10, 0, 9, id="halt-height 10 leaves 9 committed"),
        pytest.param(0, 6, 5, id="halt-time 6: block 6 has that time"),
        pytest.param(10, 4, 3, id="whichever is first"),
    ],
)
def test_halt_as_configured(halt_height: int, halt_time_s: int, last: int) -> None:
    """Blocks of this harness have their height as time in seconds."""
    from chain.upgrade.module import UpgradeOptions

    chain = new_chain()
    chain.restart(upgrade_options=UpgradeOptions(halt_height=halt_height, halt_time_s=halt_time_s))
    message = f"halt per configuration height {halt_height} time {halt_time_s}"
    with pytest.raises(HaltRequested) as stopped:
        to_height(chain, 20)
    assert (str(stopped.value), stopped.value.reason) == (message, HaltReason.CONFIGURED)
    assert chain.height == chain.app.last_height == last
    ahead = chain.app.halt_before(last + 1)
    assert (ahead is not None) == (last + 1 == halt_height)


def test_a_plan_set_in_a_block_for_that_block_runs_in_the_next() -> None:
    chain = new_chain()
    ok(chain, plan(chain, 2))
    assert chain.height == 2
    halt = chain.app.halt_before(3)
    assert str(halt) == 'UPGRADE "v2" NEEDED at height: 2: '
    chain.restart(upgrades=(V2,))
    ok(chain)
    assert chain.app.base.get(b"bl").height == 3


def test_a_proposal_at_the_upgrades_height_is_empty() -> None:
    """What was admitted by the rules before is checked by the new ones first."""
    from chain.tx.messages import Payment

    chain = new_chain()
    ok(chain, plan(chain, 4))
    to_height(chain, 3)
    chain.restart(upgrades=(V2,))
    tx = chain.tx("bob", Payment(chain.address("bob"), chain.address("ann"), 5))
    assert chain.check(tx).code == 0
    assert chain.prepare(tx) == ()
    response = ok(chain)
    assert response.touched is None  # everything is checked again
    assert chain.check(tx).code == 0
    assert chain.prepare(tx) == (tx,)
    ok(chain, tx)


def test_executing_twice_gives_one_outcome() -> None:
    """A proposal of the upgrade's block is executed in a branch; dropped, nothing of it stays."""
    chain = new_chain()
    ok(chain, plan(chain, 4))
    to_height(chain, 3)
    chain.restart(upgrades=(V2,))
    before = chain.app.stores.app_hash
    first = drain(chain.app.finalize_block(chain.request([], salt=b"one")))
    second = drain(chain.app.finalize_block(chain.request([], salt=b"two")))
    assert first.app_hash == second.app_hash != before
    assert chain.app.stores.app_hash == before


def test_a_swap_that_no_plan_names_happens_at_the_operators_height() -> None:
    """`--upgrade-height` alone: new code, the same rules. A plan of that name on the chain counts before it."""
    from chain.upgrade.module import UpgradeOptions

    options = UpgradeOptions(swap=("v3", 6))
    chain = new_chain()
    chain.restart(upgrade_options=options)
    to_height(chain, 5)
    halt = chain.app.halt_before(6)
    assert halt is not None
    assert (halt.reason, halt.wanted) == (HaltReason.SWAP, "v3")
    planned = new_chain()
    ok(planned, plan(planned, 9, "v3"))
    planned.restart(upgrade_options=options)
    to_height(planned, 8)  # passes 6
    halt = planned.app.halt_before(9)
    assert halt is not None
    assert (halt.reason, halt.wanted) == (HaltReason.UPGRADE_NEEDED, "v3")
