"""The life of a proposal: deposits, periods, cancelling, expedited ones, what passing does, every refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bridge.records import ESCROW_ADDRESS
from chain.app_state.governance_params import GovernanceParams, changed, check, to_text
from chain.chat import ballots as chat
from chain.chat.ballots import VOTE
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.currency import machine as currency
from chain.currency.ledger import economic_params as economic
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import InvalidParam
from chain.currency.rewards import distribution
from chain.tx import errors as e
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.errors import TxError
from chain.tx.messages.governance import (
    NO,
    NO_WITH_VETO,
    WHOLE,
    YES,
    ChangeParams,
    ParamChange,
    SpendTreasury,
    SubmitProposal,
    decode_submit_proposal,
    decode_vote,
    decode_vote_weighted,
    fill_submit_proposal,
)
from chain.tx.messages.upgrade import CancelUpgrade, SoftwareUpgrade
from chain.upgrade.chain_record import CHAIN
from chain.upgrade.plan import PLAN, Plan
from governance import actions, records
from governance import module as governance
from governance.actions import governance_params_of
from proto.dchat.v1 import governance_pb2 as pb
from tests.support.governance.rules import voters
from tests.support.governance.world import DCHAT, MIN, SECOND, World, address

DAY = 86_400


def passed(world: World, *changes: Any, **options: Any) -> int:
    """A proposal that everybody is for, after its count."""
    number = world.propose(*changes, **options)
    world.block(world.vote("v0", number, YES), world.vote("v1", number, YES))
    world.finish(number)
    world.check_invariants()
    return number


def param(module: str, name: str, value: str) -> ChangeParams:
    return ChangeParams((ParamChange(module, name, value),))


# ------------------------------------------------------------------------------ deposits and periods


def test_numbers_of_the_sheet_and_the_issue() -> None:
    params = GovernanceParams()
    assert (params.min_deposit, params.expedited_min_deposit) == (10**7, 5 * 10**7)
    assert (params.deposit_period_s, params.voting_period_s) == (2 * DAY, DAY)  # the notice of 24 hours
    shares = (params.quorum, params.threshold, params.expedited_threshold, params.veto_threshold)
    assert shares == (334 * 10**15, 500 * 10**15, 667 * 10**15, 334 * 10**15)
    assert (params.min_deposit_ratio, params.cancel_ratio) == (ONE // 100, ONE // 2)
    assert (params.burn_vetoed, params.burn_without_quorum, params.burn_without_deposit) == (1, 0, 0)
    assert GOVERNANCE_ADDRESS.hex() == "7b5fe22b5446f7c62ea27b8bd71cef94e03f3df2"


def test_voting_opens_at_the_minimum_and_not_before() -> None:
    world = voters()
    world.fund("eve")
    number = world.propose(deposit=MIN // 100)
    assert world.status(number) == "deposit"
    assert world.refused(world.vote("v0", number, YES)) is e.VotingClosed
    world.block(world.deposit("eve", number, MIN - MIN // 100 - 1_000_000))
    assert world.status(number) == "deposit"
    world.block(world.deposit("eve", number, 1_000_000))
    assert world.status(number) == "voting"
    proposal = world.proposal(number)
    assert proposal.voting_start_time_ns == world.time_ns
    assert proposal.voting_end_time_ns == world.time_ns + DAY * SECOND
    world.block(world.deposit("eve", number, MIN))  # more is taken while voting is open, and paid back
    assert world.balance(GOVERNANCE_ADDRESS) == 2 * MIN
    before = world.balance("eve"), world.balance("dora")
    world.finish(number)
    assert (world.balance("eve"), world.balance("dora")) == (before[0] + 2 * MIN - MIN // 100, before[1] + MIN // 100)
    assert world.balance(GOVERNANCE_ADDRESS) == 0
    world.check_invariants()


@pytest.mark.parametrize("burns", [0, 1])
def test_without_its_deposit_a_proposal_is_gone_after_the_period(burns: int) -> None:
    world = voters(GovernanceParams(burn_without_deposit=burns))
    before = world.balance("dora")
    number = world.propose(deposit=MIN - 1)
    world.block(seconds=2 * DAY - 1)
    assert world.status(number) == "deposit"
    world.block(world.deposit("dora", number, MIN // 100 - 1 + 1), seconds=0)  # still in time; it opens the voting
    assert world.status(number) == "voting"
    other = world.propose(deposit=MIN - 1)
    world.block(seconds=2 * DAY)
    assert world.status(other) == "gone"
    world.settle()
    world.check_invariants()
    assert world.balance("dora") == before - burns * (MIN - 1)
    supply = currency.supply_of(world)
    assert supply.total == sum(found.balance for _, found in world.scan(b"ua"))


def test_only_who_has_stake_votes() -> None:
    """audit 14: votes of nobody's stake were counted like others, and delayed every result."""
    world = voters()
    number = world.propose()
    assert world.refused(world.vote("eve", number, YES)) is e.NoStake
    for name in ("v0", "w0"):  # an operator without a delegation of its own still decides for its delegators
        if name == "w0":
            world.has_say(name)
        assert world.refused(world.vote(name, number, YES)) is None
    world.has_say("w0", False)
    assert world.refused(world.vote("w0", number, YES)) is e.NoStake


def test_votes_of_the_block_in_which_voting_ends_count() -> None:
    world = voters()
    number = world.propose()
    world.block(world.vote("v0", number, YES), seconds=DAY)
    assert world.status(number) == "tallying"
    assert world.refused(world.vote("v1", number, NO)) is e.VotingClosed
    assert world.refused(world.deposit("dora", number, MIN)) is e.DepositsClosed
    assert world.refused(world.cancel("dora", number)) is e.NotCancellable
    world.settle()
    assert world.status(number) == "passed"


@pytest.mark.parametrize(("params", "votes", "burned"), [
    (GovernanceParams(), (), 0),
    (GovernanceParams(burn_without_quorum=1), (), MIN),
    (GovernanceParams(), (("v0", NO_WITH_VETO),), MIN),
    (GovernanceParams(burn_vetoed=0), (("v0", NO_WITH_VETO),), 0),
    (GovernanceParams(burn_without_quorum=1), (("v0", NO),), 0),
    (GovernanceParams(burn_without_quorum=1), (("v0", YES),), 0),
])  # fmt: skip
def test_what_burns_the_deposits(params: GovernanceParams, votes: tuple[tuple[str, int], ...], burned: int) -> None:
    world = voters(params)
    before, supply = world.balance("dora"), currency.supply_of(world).total
    number = world.propose()
    world.block(*[world.vote(who, number, option) for who, option in votes])
    world.finish(number)
    assert world.balance("dora") == before - burned
    assert currency.supply_of(world).total == supply - burned
    world.check_invariants()


# ------------------------------------------------------------------------------ cancelling


@pytest.mark.parametrize("to_treasury", [0, 1])
def test_cancelling_costs_half_and_leaves_nothing(to_treasury: int) -> None:
    """#16162: no votes stay behind. Each deposit loses its half, cut; the rest is paid back."""
    world = voters(GovernanceParams(cancel_to_treasury=to_treasury))
    world.fund("eve", 100 * DCHAT)
    world.has_say("eve")
    before, supply = world.balance("dora"), currency.supply_of(world).total
    number = world.propose()
    world.block(world.deposit("eve", number, 10**5 + 1), world.vote("v0", number, YES), world.vote("eve", number, NO))
    assert world.refused(world.cancel("eve", number)) is e.NotProposer
    world.block(world.cancel("dora", number))
    assert world.status(number) == "gone"
    assert world.refused(world.vote("v0", number, YES)) is e.UnknownProposal
    world.settle()
    world.check_invariants()
    assert not list(world.scan(VOTE))
    assert world.balance("dora") == before - MIN // 2
    assert world.balance("eve") == 100 * DCHAT - 50_000
    lost = MIN // 2 + 50_000
    assert currency.supply_of(world).total == supply - (0 if to_treasury else lost)
    assert distribution.pool_of(world).amount == (lost * ONE if to_treasury else 0)
    assert world.refused(world.cancel("dora", number)) is e.UnknownProposal


def test_numbers_are_never_used_again() -> None:
    world = voters()
    first = world.propose()
    world.block(world.cancel("dora", first))
    world.settle()
    assert world.propose() == first + 1


# ------------------------------------------------------------------------------ expedited


def test_an_expedited_proposal_needs_more_and_is_faster() -> None:
    world = voters()
    number = world.propose(deposit=MIN, expedited=True)
    assert world.status(number) == "deposit"
    world.block(world.deposit("dora", number, 4 * MIN))
    assert world.proposal(number).voting_end_time_ns == world.time_ns + DAY // 2 * SECOND
    world.block(world.vote("v0", number, YES), world.vote("v1", number, NO))  # 10 of 15 is not above 0.667
    world.block(world.vote("v1", number, YES))
    world.finish(number)
    assert world.status(number) == "passed"


def test_an_expedited_proposal_that_fails_turns_regular_without_its_votes() -> None:
    world = voters()
    before = world.balance("dora")
    number = world.propose(deposit=5 * MIN, expedited=True)
    start = world.time_ns
    world.block(world.vote("v0", number, YES), world.vote("v1", number, NO_WITH_VETO))
    world.finish(number)
    proposal = world.proposal(number)
    assert (world.status(number), proposal.expedited, proposal.ballot) == ("voting", False, 1)
    assert proposal.voting_end_time_ns == start + DAY * SECOND
    assert world.balance(GOVERNANCE_ADDRESS) == 5 * MIN
    assert not list(world.scan(VOTE))  # erased
    world.check_invariants()
    world.block(world.vote("v0", number, YES))
    world.finish(number)
    assert (world.status(number), world.result(number).votes, world.result(number).no_with_veto) == ("passed", 1, 0)
    assert world.balance("dora") == before


def test_the_second_ballot_is_counted_without_what_the_first_deducted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing of the first is cleared away yet."""
    monkeypatch.setattr("governance.clearing.swept_per_block", lambda gas: 0)
    world = voters()
    world.delegate("dan", "v0", 4)
    number = world.propose(deposit=5 * MIN, expedited=True)
    world.block(world.vote("dan", number, NO))
    world.block(seconds=DAY // 2)
    world.block(seconds=0)
    assert world.proposal(number).ballot == 1
    world.block(world.vote("v0", number, YES))
    world.block(seconds=DAY)
    world.block(seconds=0)
    assert world.result(number).yes == 10 * 10**9


def test_a_second_ballot_has_time_even_when_counting_took_long() -> None:
    world = voters()
    number = world.propose(deposit=5 * MIN, expedited=True)
    world.block(seconds=DAY // 2)
    world.block(seconds=3 * DAY)  # counted only now
    assert world.proposal(number).voting_end_time_ns == world.time_ns + DAY // 4 * SECOND
    assert world.status(number) == "voting"


def test_cancelling_the_second_ballot_clears_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """#16162 again, while the first ballot is still being erased."""
    monkeypatch.setattr("governance.clearing.swept_per_block", lambda gas: 2)
    world = voters()
    number = world.propose(deposit=5 * MIN, expedited=True)
    for i in range(9):
        world.has_say(f"w{i}")
    world.block(*[world.vote(f"w{i}", number, NO) for i in range(9)])
    world.block(seconds=DAY // 2)
    while world.status(number) != "voting":
        world.block(seconds=0)
    world.block(*[world.vote(f"w{i}", number, NO) for i in range(5)], seconds=0)
    world.block(world.cancel("dora", number), seconds=0)
    assert list(world.scan(VOTE))
    world.settle()
    assert not list(world.scan(VOTE))
    world.check_invariants()


# ------------------------------------------------------------------------------ what passes is carried out


def test_text() -> None:
    world = voters()
    number = passed(world)
    assert (world.status(number), world.proposal(number).decided_time_ns) == ("passed", world.time_ns)


@pytest.mark.parametrize(("module", "name", "value", "read"), [
    ("staking", "validators_max", "7", lambda w: economic.staking_of(w).validators_max == 7),
    ("slashing", "slash_downtime", "0.02", lambda w: economic.slashing_of(w).slash_downtime == ONE // 50),
    ("distribution", "community_tax", "0.1", lambda w: w.get(economic.DISTRIBUTION).community_tax == ONE // 10),
    ("mint", "goal_bonded", "0.5", lambda w: w.get(economic.MINT).goal_bonded == ONE // 2),
    ("currency", "gas_price", "0", lambda w: currency.params_of(w).gas_price == 0),
    ("chat", "message_bytes_max", "99", lambda w: w.get(CHAT_PARAMS).message_bytes_max == 99),
    ("bridge", "messages_per_dchat", "5000", lambda w: w.get(b"bp").messages_per_dchat == 5_000),
    ("governance", "voting_period_s", "50000", lambda w: governance_params_of(w).voting_period_s == 50_000),
    ("block", "max_gas", "90000000", lambda w: w.get(CHAIN).block_gas_max == 90_000_000),
    ("block", "max_bytes", "4000000", lambda w: w.consensus_params.block.max_bytes == 4_000_000),
    ("slashing", "evidence_age_blocks_max", "77", lambda w: w.consensus_params.evidence.max_age_num_blocks == 77),
])  # fmt: skip
def test_params_of_any_module(module: str, name: str, value: str, read: Callable[[World], bool]) -> None:
    world = voters()
    assert not read(world) if world.consensus_params else True
    number = passed(world, param(module, name, value))
    assert (world.status(number), world.proposal(number).failed_code) == ("passed", 0)
    assert read(world)
    if module not in ("block", "slashing") or name == "slash_downtime":
        assert world.consensus_params is None  # the engine is told of what is its own alone


@pytest.mark.parametrize(("changes", "rule"), [
    ([("nothing", "x", "1")], "no module"),
    ([("staking", "nothing", "1")], "unknown"),
    ([("chat", "nothing", "1")], "unknown"),
    ([("governance", "nothing", "1")], "unknown"),
    ([("block", "nothing", "1")], "unknown"),
    ([("staking", "validators_max", "0")], "allowed"),
    ([("staking", "validators_max", "x")], "allowed"),
    ([("staking", "validators_max", "-1")], "allowed"),
    ([("bridge", "messages_per_dchat", "0")], "allowed"),
    ([("bridge", "starter_messages", "1000000")], "registration_price"),
    ([("chat", "bytes_per_mgas", "1")], "is unknown"),
    ([("chat", "message_bytes_max", "01")], "digits"),
    ([("currency", "gas_price", "1.5")], "digits"),
    ([("governance", "quorum", "1.1")], "allowed"),
    ([("governance", "threshold", "0")], "allowed"),
    ([("governance", "voting_period_s", "100")], "expedited_voting_period_s"),
    ([("governance", "threshold", "0.7")], "expedited_threshold"),
    ([("governance", "min_deposit", "990000000")], "expedited_min_deposit"),
    ([("block", "max_gas", "5")], "allowed"),
    ([("block", "max_bytes", "-2")], "digits"),
    ([("block", "max_bytes", "999999999999")], "max_bytes"),
    ([("staking", "unbonding_s", "100")], "evidence_age_s_max"),  # valid together with what stays
    ([("distribution", "community_tax", "0.96")], "together"),
    ([("mint", "inflation_min", "0.3")], "inflation_max"),
    ([("staking", "validators_max", "9"), ("mint", "goal_bonded", "0")], "goal_bonded"),
])  # fmt: skip
def test_params_are_validated_before_they_can_be_proposed(changes: list[tuple[str, str, str]], rule: str) -> None:
    world = voters()
    action = ChangeParams(tuple(ParamChange(*change) for change in changes))
    message = SubmitProposal(address("dora"), "t", "", False, MIN, (action,))
    assert world.refused(message) is e.InvalidProposal
    with pytest.raises(e.InvalidProposal, match=rule):
        world.block(message)


def test_what_was_valid_when_proposed_may_fail_when_it_passes() -> None:
    """Two proposals that only together break a rule: the second fails, and writes nothing."""
    world = voters()
    world.fill_treasury(DCHAT)
    first = world.propose(param("staking", "unbonding_s", "200000"))
    second = world.propose(
        SpendTreasury(address("eve"), 5), param("slashing", "evidence_age_s_max", "300000")
    )  # fmt: skip
    for number in (first, second):
        world.block(world.vote("v0", number, YES))
    world.finish(first)
    world.finish(second)
    assert (world.status(first), world.status(second)) == ("passed", "failed")
    proposal = world.proposal(second)
    assert (proposal.failed_code, proposal.failed_action) == (e.InvalidProposal.code, 2)
    assert world.balance("eve") == 0
    assert economic.slashing_of(world).evidence_age_s_max == 172_800
    assert distribution.pool_of(world).amount == DCHAT * ONE
    assert world.balance(GOVERNANCE_ADDRESS) == 0  # a failed proposal's deposits go back
    world.check_invariants()


def test_an_action_that_breaks_fails_the_proposal_and_not_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    world = voters()
    world.fill_treasury(DCHAT)
    number = world.propose(SpendTreasury(address("eve"), 5), CancelUpgrade(GOVERNANCE_ADDRESS))
    world.block(world.vote("v0", number, YES))

    def broken(ctx: object, message: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("chain.upgrade.module.cancel_upgrade", broken)
    world.finish(number)
    proposal = world.proposal(number)
    assert (world.status(number), proposal.failed_code, proposal.failed_action) == ("failed", e.ActionPanicked.code, 2)
    assert world.balance("eve") == 0
    world.check_invariants()


def test_treasury() -> None:
    world = voters()
    world.fill_treasury(100)
    number = passed(world, SpendTreasury(address("eve"), 60))
    assert (world.status(number), world.balance("eve")) == ("passed", 60)
    assert distribution.pool_of(world).amount == 40 * ONE
    number = passed(world, SpendTreasury(address("eve"), 30), SpendTreasury(address("eve"), 11))
    assert world.status(number) == "failed"
    assert world.proposal(number).failed_code == e.TreasuryTooSmall.code
    assert world.balance("eve") == 60


@pytest.mark.parametrize("recipient", [GOVERNANCE_ADDRESS, ESCROW_ADDRESS, *sorted(actions.MODULE_ADDRESSES)])
def test_the_treasury_pays_no_account_of_the_chain_itself(recipient: bytes) -> None:
    world = voters()
    message = SubmitProposal(address("dora"), "t", "", False, MIN, (SpendTreasury(recipient, 1),))
    assert world.refused(message) is e.RecipientRefused


def test_upgrade_and_its_cancelling() -> None:
    world = voters()
    plan = SoftwareUpgrade(GOVERNANCE_ADDRESS, "next", 500, "info", (bytes(32),), 6_667, 20)
    number = passed(world, plan)
    assert (world.status(number), world.get(PLAN)) == ("passed", Plan("next", 500, "info", (bytes(32),), 6_667, 20))
    number = passed(world, CancelUpgrade(GOVERNANCE_ADDRESS))
    assert (world.status(number), world.get(PLAN)) == ("passed", None)
    late = SoftwareUpgrade(GOVERNANCE_ADDRESS, "next", world.height)
    assert world.refused(SubmitProposal(address("dora"), "t", "", False, MIN, (late,))) is e.PlanInThePast
    near = SoftwareUpgrade(GOVERNANCE_ADDRESS, "next", world.height + 2)  # passed by the time it is decided
    number = passed(world, near)
    assert (world.status(number), world.proposal(number).failed_code) == ("failed", e.PlanInThePast.code)
    assert world.get(PLAN) is None


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(("make", "rule"), [
    (lambda w: SubmitProposal(address("dora"), "t", "", False, MIN // 100 - 1, ()), e.DepositTooSmall),
    (lambda w: SubmitProposal(address("dora"), "t", "", True, 5 * MIN // 100 - 1, ()), e.DepositTooSmall),
    (lambda w: SubmitProposal(address("poor"), "t", "", False, MIN, ()), e.UnknownAccount),
    (lambda w: SubmitProposal(address("dora"), "t", "", False, 10**18, ()), e.Overspend),
    (lambda w: w.deposit("dora", 1, MIN // 100 - 1), e.DepositTooSmall),
    (lambda w: w.deposit("poor", 1, MIN), e.UnknownAccount),
    (lambda w: w.deposit("dora", 9, MIN), e.UnknownProposal),
    (lambda w: w.vote("v0", 9, YES), e.UnknownProposal),
    (lambda w: w.weighted("v0", 9, (YES, WHOLE)), e.UnknownProposal),
    (lambda w: w.cancel("dora", 9), e.UnknownProposal),
    (lambda w: w.cancel("v0", 1), e.NotProposer),
])  # fmt: skip
def test_refusals(make: Callable[[World], Any], rule: type[TxError]) -> None:
    world = voters()
    world.propose(deposit=MIN // 100)
    assert world.refused(make(world)) is rule


def submission(**change: Any) -> pb.SubmitProposal:
    made = pb.SubmitProposal(proposer=bytes(20), title="t", deposit=1)
    for name, value in change.items():
        field = getattr(made, name)
        if isinstance(value, list):
            field.extend(value)
        else:
            setattr(made, name, value)
    return made


def changes(*triples: tuple[str, str, str]) -> pb.ProposalAction:
    action = pb.ProposalAction()
    action.change_params.SetInParent()
    for module, name, value in triples:
        action.change_params.changes.add(module=module, name=name, value=value)
    return action


@pytest.mark.parametrize(("message", "field"), [
    (submission(proposer=b"x"), "proposer"),
    (submission(title=""), "title"),
    (submission(title="é" * 71), "title"),
    (submission(summary="x" * 10_001), "summary"),
    (submission(deposit=0), "deposit"),
    (submission(actions=[pb.ProposalAction()]), "actions"),
    (submission(actions=[pb.ProposalAction(drop_upgrade=pb.DropUpgrade())] * 9), "actions"),
    (submission(actions=[changes()]), "changes"),
    (submission(actions=[changes(("a", "b", "1"), ("a", "b", "2"))]), "twice"),
    (submission(actions=[changes(("a", "b", "1" * 129))]), "bytes"),
    (submission(actions=[pb.ProposalAction(spend_treasury=pb.SpendTreasury(recipient=b"", amount=1))]), "recipient"),
    (submission(actions=[pb.ProposalAction(spend_treasury=pb.SpendTreasury(recipient=bytes(20)))]), "amount"),
    (submission(actions=[pb.ProposalAction(plan_upgrade=pb.PlanUpgrade(name="", height=9))]), "name"),
    (submission(
        summary="x" * 10_000,
        actions=[changes(*[(f"m{i}", "n" * 100, "v" * 100) for i in range(64)])] * 4,
    ), "49152"),
])  # fmt: skip
def test_malformed_proposals(message: pb.SubmitProposal, field: str) -> None:
    with pytest.raises(e.InvalidField, match=field):
        decode_submit_proposal(message)


def weighted(*options: tuple[int, int]) -> pb.VoteWeighted:
    made = pb.VoteWeighted(voter=bytes(20), proposal_id=1)
    for option, weight in options:
        made.options.add(option=option, weight=weight)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(("options", "why"), [
    ((), "1 to 4"),
    (((0, WHOLE),), "1 to 4"),
    (((5, WHOLE),), "1 to 4"),
    (((YES, WHOLE - 1),), "not 1 together"),
    (((YES, WHOLE), (NO, 1)), "not 1 together"),
    (((YES, 0), (NO, WHOLE)), "above 0"),
    (((YES, WHOLE // 2), (YES, WHOLE // 2)), "twice"),
    (((NO, WHOLE // 2), (YES, WHOLE // 2)), "ascending"),
])  # fmt: skip
def test_malformed_votes(options: tuple[tuple[int, int], ...], why: str) -> None:
    with pytest.raises(e.InvalidField, match=why):
        decode_vote_weighted(weighted(*options))


def test_malformed_single_votes() -> None:
    for bad in (pb.Vote(voter=bytes(20), proposal_id=1), pb.Vote(voter=bytes(20), option=pb.VOTE_OPTION_YES),
                pb.Vote(voter=bytes(20), proposal_id=1, option=9), pb.Vote(proposal_id=1, option=1)):  # type: ignore[arg-type]  # fmt: skip
        with pytest.raises(e.InvalidField):
            decode_vote(bad)


def test_a_proposal_survives_its_encodings() -> None:
    actions_ = (
        param("chat", "message_bytes_max", "99"),
        SpendTreasury(address("eve"), 1),
        SoftwareUpgrade(GOVERNANCE_ADDRESS, "n", 5, "i", (bytes(32),), 1, 1),
        CancelUpgrade(GOVERNANCE_ADDRESS),
    )
    message = SubmitProposal(address("dora"), "tïtle", "summary", True, 5, actions_)
    out = pb.SubmitProposal()
    fill_submit_proposal(out, message)
    assert decode_submit_proposal(pb.SubmitProposal.FromString(out.SerializeToString())) == message
    proposal = chat.Proposal(
        1, address("dora"), "t", "s", actions_, chat.FAILED, True, 2, 3, 4, 5, 6, 1,
        chat.Result(1, 2, 3, 4, 5, 6, 7), 8, 9, 10, 11,
    )  # fmt: skip
    assert chat.Proposal.decode(proposal.encode()) == proposal


# ------------------------------------------------------------------------------ params, and what is kept


def test_params_as_text_and_back() -> None:
    params = GovernanceParams()
    assert to_text(params)["quorum"] == "0.334"
    assert to_text(params)["voting_period_s"] == "86400"
    assert changed(params, to_text(params)) == params
    assert GovernanceParams.decode(params.encode()) == params
    for bad in ({"quorum": 1}, {"quorum": ""}, {"quorum": "0.3341234567890123456789"}, {"voting_period_s": "1e5"},
                {"burn_vetoed": "2"}, {"min_deposit": "٣"}):  # fmt: skip
        with pytest.raises(InvalidParam):
            changed(params, bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidParam):
        check(params._replace(votes_kept_s=-1))


def test_votes_can_be_looked_up_for_their_time_and_then_go() -> None:
    world = voters()
    number = passed(world)
    assert len(list(world.scan(VOTE))) == 2
    world.block(seconds=30 * DAY - 1)
    world.settle()
    assert len(list(world.scan(VOTE))) == 2
    world.block(seconds=1)
    world.settle()
    assert not list(world.scan(VOTE))
    assert world.result(number).votes == 2
    world.check_invariants()


# ------------------------------------------------------------------------------ cost


def busiest(world: World, blocks: int = 400) -> int:
    """The most reads that a block made, until all is counted and cleared away."""
    most = 0
    for _ in range(blocks):
        world.reads = 0
        world.block(seconds=0)
        most = max(most, world.reads)
        if world.state.get(records.TALLIES) is None and world.state.get(records.JOB_COUNT) is None:
            return most
    raise AssertionError("it does not end")


@pytest.mark.parametrize("voters_count", [50, 500, 2_000])
def test_a_block_costs_the_same_however_many_votes_there_are(
    voters_count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """#3270, cosmos/gaia#2910, sei-protocol/sei-chain#4000: to count, pay back and erase stays in its budget."""
    monkeypatch.setattr("governance.module.units_per_block", lambda gas: 200)
    monkeypatch.setattr("governance.clearing.swept_per_block", lambda gas: 40)
    world = voters(GovernanceParams(votes_kept_s=0))
    number = world.propose()
    for index in range(voters_count):
        name = f"d{index}"
        world.delegate(name, "v0", 1)
        if index % 4 == 0:
            world.fund(name, DCHAT)
    world.block(*[world.vote(f"d{index}", number, NO) for index in range(voters_count)])
    world.block(*[world.deposit(f"d{index}", number, DCHAT // 10) for index in range(0, voters_count, 4)])
    world.block(seconds=DAY)
    assert busiest(world) < 700
    assert world.result(number).votes == voters_count
    assert world.balance(GOVERNANCE_ADDRESS) == 0
    assert not list(world.scan(VOTE))
    world.check_invariants()


def test_many_proposals_that_end_together_are_closed_within_a_budget() -> None:
    """They wait for each other; none is forgotten, and votes are open until the block that closes each."""
    world = voters()
    numbers = []
    for _ in range(450):
        numbers.append(chat.next_number(world))
        world.block(SubmitProposal(address("dora"), "t", "", False, MIN, ()), seconds=0)
    world.block(*[world.vote("v0", number, YES) for number in numbers], seconds=0)
    world.block(seconds=DAY)
    world.check_invariants()
    assert [world.status(number) for number in numbers].count("voting") == 450 - governance.COUNTS_MAX
    world.settle(200)
    assert {world.status(number) for number in numbers} == {"passed"}
    world.check_invariants()


def test_every_refusal_is_tried_here() -> None:
    tried = {
        e.UnknownProposal, e.VotingClosed, e.DepositTooSmall, e.DepositsClosed, e.NotProposer, e.NotCancellable,
        e.InvalidProposal, e.TreasuryTooSmall, e.ActionPanicked, e.NoStake,
    }  # fmt: skip
    assert tried == {error for error in e.declared_errors() if error.codespace == "governance"}
