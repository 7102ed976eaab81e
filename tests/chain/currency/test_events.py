"""What the machines tell of what they did: the kinds and attributes that the sheet names, in results of real blocks.

Staking sheet, sections 1 to 5, "Events". That every change of a balance is told is checked after each block of `World`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from chain.app_state.governance_params import GovernanceParams
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams
from chain.kernel.event_text import account
from chain.tx.messages import LANE_BRIDGE, Payment
from chain.tx.messages.economy import (
    CancelUnbonding,
    CreateValidator,
    Delegate,
    EditValidator,
    FundCommunityPool,
    Redelegate,
    SetWithdrawAddress,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
)
from chain.tx.messages.governance import YES, AddDeposit, CancelProposal, SubmitProposal, Vote
from consensus.abci.interface import FinalizeBlockResponse
from consensus.state.results import Event
from tests.support.economy.world import DCHAT, UNIT, World, consensus_key, possession

ROOT = Path(__file__).parents[3]
MIN = 10 * DCHAT


def said(events: Iterable[Event], kind: str) -> dict[str, str]:
    """The attributes of the only event of that kind."""
    found = [event for event in events if event.type == kind]
    assert len(found) == 1, (kind, [event.type for event in events])
    return {key: value for key, value, _ in found[0].attributes}


def kinds(response: FinalizeBlockResponse) -> set[str]:
    return {event.type for event in response.events}


@pytest.fixture
def world() -> World:
    return World(
        {"v1": 1000 * UNIT, "v2": 900 * UNIT, "v3": 800 * UNIT},
        {"ann": 500 * UNIT, "new": 200 * UNIT, "v1": UNIT, "v2": UNIT},
        gas_price=100_000, distribution=DistributionParams(), mint=MintParams(), inflation=ONE // 10,
        rates={"v1": ONE // 10},
    )  # fmt: skip


def test_staking(world: World) -> None:
    ann, v1, v2 = (world.address(name) for name in ("ann", "v1", "v2"))
    pair = {"validator": account(v1), "delegator": account(ann)}
    world.blocks(2)
    done = world.do("ann", Delegate(ann, v1, 5 * UNIT))
    assert said(done.events, "delegate") == {**pair, "amount": f"{5 * UNIT}udchat", "new_shares": str(5 * UNIT)}
    done = world.do("ann", Undelegate(ann, v1, 2 * UNIT))
    height = world.height
    told = said(done.events, "unbond")
    assert told.pop("completion_time").endswith("Z")
    assert told == {**pair, "amount": f"{2 * UNIT}udchat"}
    told = said(world.do("ann", CancelUnbonding(ann, v1, UNIT, height)).events, "cancel_unbonding_delegation")
    assert told == {**pair, "amount": f"{UNIT}udchat", "creation_height": str(height)}
    told = said(world.do("ann", Redelegate(ann, v1, v2, UNIT)).events, "redelegate")
    assert (told["source_validator"], told["destination_validator"]) == (account(v1), account(v2))
    matured = world.block(seconds=1_100)
    assert said(matured.events, "complete_unbonding") == {**pair, "amount": f"{UNIT}udchat"}
    assert said(matured.events, "complete_redelegation")["amount"] == f"{UNIT}udchat"
    new = CreateValidator(
        world.address("new"), consensus_key("new").bytes, "new", 0, ONE, ONE, UNIT, 100 * UNIT,
        possession("new", world.address("new")),
    )  # fmt: skip
    world.keys["new"] = consensus_key("new")
    made = world.block(world.tx("new", new))
    told = said(made.tx_results[0].events, "create_validator")
    assert told["consensus_address"] == consensus_key("new").address.hex().upper()
    assert said(made.events, "validator_status")["status"] == "bonded"
    edited = world.do("new", EditValidator(world.address("new"), "newer", None, None))
    assert said(edited.events, "edit_validator")["moniker"] == "newer"


def test_rewards(world: World) -> None:
    ann, v1 = world.address("ann"), world.address("v1")
    world.blocks(2)
    world.do("ann", Delegate(ann, v1, 5 * UNIT))
    assert "mint" in kinds(world.block(seconds=3_000))
    world.do("ann", SetWithdrawAddress(ann, v1))
    before = world.balance("v1")
    done = world.do("ann", WithdrawRewards(ann, v1))
    paid = world.balance("v1") - before
    assert paid > 0
    assert said(done.events, "withdraw_rewards")["amount"] == f"{paid}udchat"
    assert said(done.events, "transfer")["recipient"] == account(v1)
    assert float(said(done.events, "rewards")["amount"].removesuffix("udchat")) > paid
    told = said(world.do("v1", WithdrawCommission(v1)).events, "withdraw_commission")
    assert told["validator"] == account(v1)
    told = said(world.do("ann", FundCommunityPool(ann, 7)).events, "fund_community_pool")
    assert told == {"depositor": account(ann), "amount": "7udchat"}


def test_punishments(world: World) -> None:
    address = world.keys["v2"].address.hex().upper()
    world.blocks(2)
    began = world.block(absent=["v2"])
    assert said(began.events, "liveness") == {"address": address, "missed_blocks": "1", "height": str(world.height)}
    ended = world.block()
    assert said(ended.events, "liveness")["missed_blocks"] == "1"
    power = world.validator("v2").power
    while not world.validator("v2").jailed:
        punished = world.block(absent=["v2"])
    told = said(punished.events, "slash")
    burned = 900 * UNIT - world.validator("v2").tokens
    assert told == {
        "address": address, "power": str(power), "reason": "missing_signature", "jailed": address,
        "burned_coins": f"{burned}udchat",
    }  # fmt: skip
    assert said(punished.events, "burn")["amount"] == f"{burned}udchat"
    assert said(punished.events, "jail")["validator"] == account(world.address("v2"))
    assert said(punished.events, "validator_status")["status"] == "unbonding"
    world.block(seconds=100)
    double = world.block(misbehavior=[world.double_sign("v1")])
    assert said(double.events, "slash")["reason"] == "double_sign"


def test_unjail(world: World) -> None:
    world.blocks(2)
    while not world.validator("v2").jailed:
        world.block(absent=["v2"])
    world.blocks(2, seconds=100)
    done = world.do("v2", Unjail(world.address("v2")))
    assert said(done.events, "unjail")["address"] == world.keys["v2"].address.hex().upper()


def test_governance() -> None:
    world = World(
        {"v1": 1000 * UNIT}, {"ann": 500 * UNIT, "v1": UNIT},
        governance=GovernanceParams()._replace(voting_period_s=60, expedited_voting_period_s=30),
    )  # fmt: skip
    ann, v1 = world.address("ann"), world.address("v1")
    done = world.do("ann", SubmitProposal(ann, "t", "s", False, MIN // 2, ()))
    assert said(done.events, "submit_proposal") == {"proposal_id": "1", "proposer": account(ann), "actions": "0"}
    assert said(done.events, "proposal_deposit")["amount"] == f"{MIN // 2}udchat"
    done = world.do("ann", AddDeposit(ann, 1, MIN // 2))
    assert said(done.events, "voting_period_start")["proposal_id"] == "1"
    done = world.block(world.tx("v1", Vote(v1, 1, YES), lane=LANE_BRIDGE)).tx_results[0]
    told = said(done.events, "proposal_vote")
    assert told == {"proposal_id": "1", "voter": account(v1), "option": "yes=1.000000000000000000"}
    world.block(seconds=100)
    counted = world.block()
    assert said(counted.events, "active_proposal") == {"proposal_id": "1", "proposal_result": "proposal_passed"}
    refunded = world.block()
    assert said(refunded.events, "transfer")["amount"] == f"{MIN}udchat"
    world.do("ann", SubmitProposal(ann, "t", "s", False, MIN // 2, ()))
    dropped = world.block(seconds=200_000)
    assert said(dropped.events, "inactive_proposal")["proposal_result"] == "proposal_dropped"
    world.do("ann", SubmitProposal(ann, "t", "s", False, MIN // 2, ()))
    done = world.do("ann", CancelProposal(ann, 3))
    assert said(done.events, "cancel_proposal") == {"proposal_id": "3", "sender": account(ann)}


def test_what_is_dropped_tells_nothing(world: World) -> None:
    """A failed transaction keeps its fee, and the events of its messages go with what they did."""
    ann, v1 = world.address("ann"), world.address("v1")
    world.block()
    done = world.run("ann", Payment(ann, v1, 1), Payment(ann, v1, 10**18))
    assert done.code != 0
    assert done.events == ()


def test_the_page_names_every_event() -> None:
    """docs/events.md lists what the code emits, and nothing else."""
    emitted: set[str] = set()
    for folder in ("chain", "bridge", "governance"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                is_event = isinstance(node, ast.Call) and ast.unparse(node.func) in ("Event.of", "Event.kind")
                if is_event and isinstance(node.args[0], ast.Constant):  # type: ignore[attr-defined]
                    emitted.add(node.args[0].value)  # type: ignore[attr-defined]
    emitted |= {"rewards", "commission"}  # by one call
    table = (ROOT / "docs" / "events.md").read_text().partition("## What is emitted")[2]
    listed = {row.split("`")[1] for row in table.splitlines() if row.startswith("| `")}
    assert listed == emitted
