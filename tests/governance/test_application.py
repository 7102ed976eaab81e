"""Governance in the application: signed transactions, both lanes, the order of a block, restarts, the engine."""

from __future__ import annotations

from typing import Any

import pytest

from chain.chat import ballots as chat
from chain.chat.ballots import STATUS_NAMES
from chain.currency.staking.valset import active_of
from chain.state import proofs
from chain.state.store import Stores
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.messages import LANE_BRIDGE, RegisterIdentity
from chain.tx.messages.economy import Delegate, FundCommunityPool, Undelegate
from chain.tx.messages.governance import (
    ABSTAIN,
    NO,
    WHOLE,
    YES,
    AddDeposit,
    CancelProposal,
    ChangeParams,
    ParamChange,
    SpendTreasury,
    SubmitProposal,
    Vote,
    VoteWeighted,
)
from chain.tx.messages.upgrade import SoftwareUpgrade
from chain.upgrade.plan import PLAN
from consensus.abci.interface import BlockRequest
from dchat.app.app import DchatApplication
from dchat.app.governance_queries import GovernanceQueries
from governance import module as governance
from proto.dchat.v1 import governance_pb2 as pb
from proto.dchat.v1 import state_pb2
from tests.support.economy.world import UNIT, World

DAY = 86_400
MIN = 10**7


def started(**options: Any) -> World:
    world = World(
        {"v1": 40 * UNIT, "v2": 30 * UNIT, "v3": 20 * UNIT},
        {"ann": 50 * UNIT, "bob": 5 * UNIT, "v1": UNIT, "v2": UNIT},
        gas_price=100_000, **options,
    )  # fmt: skip
    world.do("ann", Delegate(world.address("ann"), world.address("v1"), 10 * UNIT))
    return world


def propose(world: World, *actions: Any, who: str = "ann", deposit: int = MIN, expedited: bool = False) -> int:
    message = SubmitProposal(world.address(who), "title", "why", expedited, deposit, actions)
    result = world.do(who, message)
    number: int = state_pb2.Receipt.FromString(result.data).legs[0].index
    return number


def vote(world: World, who: str, message: Vote | VoteWeighted) -> None:
    """In the bridge's lane: a fee instead of an identity."""
    result = world.block(world.tx(who, message, lane=LANE_BRIDGE)).tx_results[0]
    assert result.code == 0, result.log


def status(world: World, number: int) -> str:
    return STATUS_NAMES[chat.require_proposal(world.state, number).status]


def pass_it(world: World, number: int) -> None:
    for who in ("v1", "v2"):
        vote(world, who, Vote(world.address(who), number, YES))
    world.block(seconds=DAY)
    assert status(world, number) == "tallying"
    world.blocks(3)


def test_a_vote_in_each_lane_and_its_proof() -> None:
    """Votes pay by allowance in the chat lane, in udchat in the bridge's; a proposal and a vote are proved."""
    world = started()
    ann, bob = world.address("ann"), world.address("bob")
    number = propose(world, deposit=MIN // 2)
    world.do("bob", AddDeposit(bob, number, MIN // 2))
    world.do("ann", RegisterIdentity(ann, "ann", ""))
    balance = world.balance("ann")
    world.do("ann", Vote(ann, number, ABSTAIN))
    assert world.balance("ann") == balance  # the allowance paid
    vote(world, "v1", VoteWeighted(world.address("v1"), number, ((YES, WHOLE // 4), (NO, WHOLE - WHOLE // 4))))
    queries = GovernanceQueries(world.app.queries)
    standing = queries.standing(number)
    assert standing is not None
    assert (standing.is_complete, standing.verdict.has_quorum, standing.verdict.passes) == (True, True, False)
    assert standing.result[:5] == (10 * UNIT, 10 * UNIT, 30 * UNIT, 0, 100 * UNIT)
    assert [voter for voter, _ in queries.votes(number, limit=10)] == sorted([ann, world.address("v1")])
    assert queries.deposits(number, limit=1, after=b"")[0][0] == min(ann, bob)
    assert queries.held(number) == MIN

    root = world.app.stores.app_hash
    found = queries.proposal(number, with_proof=True)
    assert found.value is not None
    proofs.verify(found.ops, root, store="chat", key=found.key, value=found.value)
    assert pb.Proposal.FromString(found.value).status == pb.PROPOSAL_STATUS_VOTING
    found = queries.vote(number, ann, with_proof=True)
    assert found.value is not None
    proofs.verify(found.ops, root, store="chat", key=found.key, value=found.value)
    assert pb.VoteRecord.FromString(found.value).options[0].option == pb.VOTE_OPTION_ABSTAIN
    absent = queries.vote(number, bob, with_proof=True)
    proofs.verify(absent.ops, root, store="chat", key=absent.key, value=None)

    world.block(seconds=DAY)
    world.blocks(3)
    standing = queries.standing(number)
    assert standing is not None
    assert (STATUS_NAMES[standing.status], standing.is_complete, standing.result[:4]) == (
        "rejected", True, (10 * UNIT, 10 * UNIT, 30 * UNIT, 0),
    )  # fmt: skip
    assert queries.held(number) == 0


def test_without_an_identity_a_vote_in_the_chat_lane_is_refused() -> None:
    world = started()
    number = propose(world)
    assert "identity is registered" in world.check(world.tx("bob", Vote(world.address("bob"), number, YES))).log


def test_lists_say_where_to_go_on() -> None:
    world = started()
    numbers = [propose(world) for _ in range(5)]
    world.do("ann", CancelProposal(world.address("ann"), numbers[1]))
    queries = GovernanceQueries(world.app.queries)
    found, following = queries.proposals(limit=2)
    assert [pb.Proposal.FromString(one).id for one in found] == [1, 3]
    assert following == 3
    found, following = queries.proposals(limit=2, after=3)
    assert ([pb.Proposal.FromString(one).id for one in found], following) == ([4, 5], 0)
    assert queries.proposals(limit=2, status=chat.PASSED) == ([], 0)


def test_what_passed_holds_from_that_blocks_end_on() -> None:
    """validators_max of 2: the block that carries it out tells the engine who leaves."""
    world = started()
    number = propose(world, ChangeParams((ParamChange("staking", "validators_max", "2"),)))
    for who in ("v1", "v2"):
        vote(world, who, Vote(world.address(who), number, YES))
    world.block(seconds=DAY)
    response = world.block()
    assert status(world, number) == "passed"
    assert [update.power for update in response.validator_updates] == [0]
    assert len(active_of(world.state).members) == 2
    assert world.names(world.height + 2) == {"v1", "v2"}


def test_block_params_reach_the_engine_and_the_next_block_goes_by_them() -> None:
    world = started()
    assert world.app.queries.params_json().count("max_gas") == 1
    number = propose(world, ChangeParams((ParamChange("block", "max_gas", "10000000"),)))
    vote(world, "v1", Vote(world.address("v1"), number, YES))
    world.block(seconds=DAY)
    response = world.block()
    assert response.consensus_param_updates is not None
    assert response.consensus_param_updates.block.max_gas == 10_000_000
    assert response.touched is None  # all that waits is checked again
    delegate = Delegate(world.address("ann"), world.address("v2"), UNIT)
    heavy = world.tx("ann", delegate, gas_limit=10_000_001, sequence=world.sequences["ann", "currency"])
    assert "fits in a block" in world.propose(heavy)
    assert "fits in a block" in world.check(heavy).log
    world.do("ann", delegate)


def test_treasury_and_upgrade_end_to_end() -> None:
    world = started()
    world.do("bob", FundCommunityPool(world.address("bob"), 3 * UNIT))
    before = world.balance("bob")
    number = propose(
        world,
        SpendTreasury(world.address("bob"), 2 * UNIT),
        SoftwareUpgrade(GOVERNANCE_ADDRESS, "next", 10_000, "info"),
    )
    pass_it(world, number)
    assert (status(world, number), world.balance("bob") - before) == ("passed", 2 * UNIT)
    assert world.state.get(PLAN).name == "next"


def test_stake_that_leaves_during_the_count_counts_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undelegated, by a transaction, while the count goes on: the pinned block's stake decides."""
    monkeypatch.setattr("governance.module.units_per_block", lambda gas: 4)
    world = started()
    ann = world.address("ann")
    number = propose(world)
    vote(world, "ann", Vote(ann, number, NO))
    world.block(seconds=DAY)
    world.do("ann", Undelegate(ann, world.address("v1"), 10 * UNIT))
    world.blocks(10)
    result = chat.require_proposal(world.state, number).result
    assert result is not None
    assert (result.no, result.bonded) == (10 * UNIT, 100 * UNIT)


def test_a_node_that_restarts_during_a_count_goes_on_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes; one is opened anew, and its old versions pruned, after every block: the app hashes stay equal."""
    monkeypatch.setattr("governance.module.units_per_block", lambda gas: 6)
    worlds = [started(), started()]
    for world in worlds:
        number = propose(world)
        vote(world, "ann", Vote(world.address("ann"), number, NO))
        for who in ("v1", "v2"):
            vote(world, who, Vote(world.address(who), number, YES))
        world.block(seconds=DAY)
    for round_number in range(8):
        for world in worlds:
            if round_number == 1:
                world.block(world.tx("ann", Undelegate(world.address("ann"), world.address("v1"), 10 * UNIT)))
            else:
                world.block()
        stay, restarted = worlds
        assert stay.app.stores.app_hash == restarted.app.stores.app_hash
        restarted.app.stores.prune(restarted.height)
        restarted.app = DchatApplication(Stores(restarted.db))
    assert status(worlds[1], 1) == "passed"


def test_a_long_count_gives_the_loop_back() -> None:
    """Slices: a block that counts many votes yields at least once for each hundred units."""
    world = started()
    number = propose(world)
    prefix = chat.votes_prefix(number, 0)
    many = {prefix + index.to_bytes(20, "big"): chat.CastVote(((YES, WHOLE),), 1) for index in range(500)}
    pending = world.app.stores.prepare(
        world.height + 1, {"chat": {key[1:]: vote.encode() for key, vote in many.items()}}
    )
    world.app.stores.commit(pending)
    world.app = DchatApplication(Stores(world.db))
    world.height += 1
    world.sets[world.height + 2] = world.sets[world.height + 1]
    world.check_laws = False
    world.block(seconds=DAY)
    request: BlockRequest = world.request(())
    steps = world.app.finalize_block(request)
    slices = 0
    try:
        while True:
            next(steps)
            slices += 1
    except StopIteration:
        pass
    assert slices >= 1_500 // governance.UNITS_PER_SLICE - 1
