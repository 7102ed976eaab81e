"""Every param at both ends of what governance may set: the chain goes on, and another vote rights it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chain.app_state.governance_params import GovernanceParams
from chain.chat import ballots as chat
from chain.currency.ledger import dec
from chain.currency.machine import params_of
from chain.tx.errors import InvalidProposal
from chain.tx.messages import LANE_BRIDGE, CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from chain.tx.messages.economy import Delegate, Undelegate
from chain.tx.messages.governance import YES, ChangeParams, ParamChange, SubmitProposal, Vote
from consensus.types.params import ConsensusParams
from governance.actions import ranges
from tests.support.economy.world import SECOND_NS, UNIT, World

ENDS = [(module, name, end) for module, names in ranges().items() for name in names for end in (0, 1)]
TEN_YEARS = "315360000"

# What has to change along, because it must hold together: (module, name, end) -> more.
TOGETHER = {
    ("staking", "unbonding_s", 0): {"slashing.evidence_age_s_max": "1"},
    ("slashing", "evidence_age_s_max", 1): {"staking.unbonding_s": TEN_YEARS},
    ("mint", "inflation_min", 1): {"mint.inflation_max": "1"},
    ("bridge", "starter_messages", 1): {
        "bridge.registration_price": "1000000000", "bridge.messages_per_dchat": "1000000000",
    },
    ("bridge", "starter_bytes", 1): {
        "bridge.registration_price": "1000000000", "bridge.bytes_per_dchat": "1000000000000",
    },
    ("bridge", "messages_per_dchat", 0): {"bridge.starter_messages": "0"},
    ("bridge", "bytes_per_dchat", 0): {"bridge.starter_bytes": "0"},
    ("bridge", "registration_price", 0): {"bridge.starter_messages": "0", "bridge.starter_bytes": "0"},
    ("chat", "refill_period_s", 1): {"chat.unlock_delay_s": "5184000"},
    ("chat", "unlock_delay_s", 0): {"chat.refill_period_s": "10"},
    ("chat", "free_messages", 1): {
        "bridge.registration_price": "1000000000", "bridge.messages_per_dchat": "1000000000",
    },
    ("chat", "free_bytes", 1): {
        "bridge.registration_price": "1000000000", "bridge.bytes_per_dchat": "1000000000000",
    },
    ("governance", "min_deposit", 1): {"governance.expedited_min_deposit": "100000000000"},
    ("governance", "expedited_min_deposit", 0): {"governance.min_deposit": "1"},
    ("governance", "voting_period_s", 0): {"governance.expedited_voting_period_s": "3600"},
    ("governance", "expedited_voting_period_s", 1): {"governance.voting_period_s": "2592000"},
    ("governance", "threshold", 1): {"governance.expedited_threshold": "0.9"},
    ("governance", "expedited_threshold", 0): {"governance.threshold": "0.5"},
}  # fmt: skip


def started() -> World:
    world = World(
        {"v1": 40 * UNIT, "v2": 30 * UNIT, "v3": 20 * UNIT},
        {"ann": 20_000_000 * UNIT, "bob": 5 * UNIT, "v1": UNIT, "v2": UNIT},
        gas_price=100_000, check=False, governance=GovernanceParams(),
    )  # fmt: skip
    world.blocks(3)
    return world


def change(world: World, changes: dict[str, str]) -> SubmitProposal:
    params: GovernanceParams = world.state.get(b"bG")
    made = tuple(ParamChange(*name.split("."), value) for name, value in sorted(changes.items()))
    return SubmitProposal(world.address("ann"), "t", "", False, params.min_deposit, (ChangeParams(made),))


def set_by_vote(world: World, changes: dict[str, str]) -> None:
    """Propose, vote, wait, with the fees that are asked then; and it must have passed."""
    world.gas_price = params_of(world.state).gas_price
    number = chat.next_number(world.state)
    world.do("ann", change(world, changes))
    votes = [world.tx(who, Vote(world.address(who), number, YES), lane=LANE_BRIDGE) for who in ("v1", "v2")]
    assert [result.code for result in world.block(*votes, seconds=0).tx_results] == [0, 0]
    waits_ns = chat.require_proposal(world.state, number).voting_end_time_ns - world.time_ns
    world.block(seconds=-(-waits_ns // SECOND_NS))
    world.blocks(3)
    decided = chat.require_proposal(world.state, number)
    assert decided.status == chat.PASSED, (changes, decided)


def traffic(world: World, label: str) -> None:
    """Blocks with transactions of each machine; of the chat's, what is admitted."""
    world.gas_price = params_of(world.state).gas_price
    ann, v3 = world.address("ann"), world.address("v3")
    world.do("ann", Payment(ann, world.address("bob"), 1), Delegate(ann, v3, 2 * UNIT), Undelegate(ann, v3, UNIT))
    if label == "before":
        world.do("ann", RegisterIdentity(ann, "ann", ""))
    for message in (CreateChannel(ann, label, 0, ""), PostMessage(ann, channel_id(label), b"x", 0)):
        kept = dict(world.sequences)
        tx = world.tx("ann", message)
        if world.check(tx).code:
            world.sequences = kept
        else:
            world.block(tx)
    world.blocks(2, seconds=30)


@pytest.mark.parametrize(("module", "name", "end"), ENDS, ids=["-".join(map(str, one)) for one in ENDS])
def test_a_param_at_an_end_can_be_set_back(module: str, name: str, end: int) -> None:
    """audit 17; cometbft#5984: nothing that governance may set ends the chain or keeps the next vote out."""
    world = started()
    traffic(world, "before")
    before = json.loads(world.app.queries.params_json())
    extreme = {f"{module}.{name}": ranges()[module][name][end]}
    more = TOGETHER.get((module, name, end), {})
    set_by_vote(world, {**extreme, **more})
    params: ConsensusParams = world.state.get(b"bx")
    params.validate()
    assert params.evidence.max_bytes <= max(params.block_bytes_max // 4, 262_144)
    traffic(world, "meanwhile")
    back = {}
    for full in (*extreme, *more):
        of, at = full.split(".")
        back[full] = before[of]["params"][at]
    if module == "block":  # a genesis may state no limit; a vote always states one
        back = {f"{module}.{name}": "20000000"}
    set_by_vote(world, back)
    traffic(world, "after")
    world.assert_invariants()
    world.restart()
    world.block()


def beyond(module: str, name: str, end: int) -> str:
    text = ranges()[module][name][end]
    if "." in text or "." in ranges()[module][name][1 - end] or text in "01":
        unit = 1 if "." in text + ranges()[module][name][1 - end] else dec.ONE
        value = dec.parse(text) + (unit if end else -unit)
        return dec.text(value)
    return str(int(text) + (1 if end else -1))


@pytest.fixture(scope="module")
def world() -> World:
    return started()


@pytest.mark.parametrize(("module", "name", "end"), ENDS, ids=["-".join(map(str, one)) for one in ENDS])
def test_a_param_beyond_an_end_cannot_be_proposed(module: str, name: str, end: int, world: World) -> None:
    """audit 17: the least and the greatest are where it ends, exactly."""
    more = TOGETHER.get((module, name, end), {})
    result = world.run("ann", change(world, {**more, f"{module}.{name}": beyond(module, name, end)}))
    assert result.code == InvalidProposal.code, result.log


@pytest.mark.parametrize("value", ["-1", "9" * 19, str(2**63), str(2**64), "9" * 40])
@pytest.mark.parametrize("param", ["block.max_gas", "block.max_bytes", "currency.gas_price"])
def test_numbers_that_no_field_holds_cannot_be_proposed(param: str, value: str, world: World) -> None:
    """audit 15 and 17: 19 nines fit into no int64, and ended the block that was to set them."""
    assert world.run("ann", change(world, {param: value})).code == InvalidProposal.code


def test_a_minimum_deposit_is_one_that_somebody_has() -> None:
    """audit 17: with a minimum above what there is, no proposal would ever be voted on again."""
    world = World({"v1": 40 * UNIT}, {"ann": 50 * UNIT}, gas_price=100_000)
    for name in ("min_deposit", "expedited_min_deposit"):
        refused = world.run(
            "ann", change(world, {f"governance.{name}": str(UNIT), "governance.expedited_min_deposit": str(UNIT)})
        )
        assert (refused.code, "a hundredth" in refused.log) == (InvalidProposal.code, True), refused.log


@pytest.mark.parametrize("began_with", [4, 86_400])
def test_no_vote_makes_votes_shorter_than_anybody_can_hear_of(began_with: int) -> None:
    """audit 17: with a voting period of a second no vote passes any more, so none would ever right it. A network that
    began with a shorter one, for tests, keeps it, and goes no lower."""
    names = ("voting_period_s", "expedited_voting_period_s")
    periods = GovernanceParams().shortened(began_with)._replace(expedited_voting_period_s=began_with)
    world = World({"v1": 40 * UNIT}, {"ann": 50_000 * UNIT}, gas_price=100_000, governance=periods)
    least = min(began_with, 3_600)
    for value, is_refused in ((1, True), (least - 1, True), (least, False), (2_592_000, False)):
        result = world.run("ann", change(world, {f"governance.{name}": str(value) for name in names}))
        assert (result.code == InvalidProposal.code) is is_refused, (value, result)


def test_what_clients_ask_for_by_themselves_is_always_taken() -> None:
    """audit 17: a proposal from the command line, a node's own stake: under every legal bound of expiry."""
    from dchat.client import wallet
    from dchat.node import own_tx

    for module in ("currency", "chat", "bridge"):
        least = int(ranges()[module]["unordered_expiry_blocks_max"][0])
        assert max(own_tx.EXPIRY_BLOCKS, wallet.EXPIRY_BLOCKS) <= least


def test_the_ends_are_told() -> None:
    """docs/governance.md lists them."""
    text = (Path(__file__).parents[2] / "docs" / "governance.md").read_text()
    for module, names in ranges().items():
        for name, (low, high) in names.items():
            assert f"| `{module}.{name}` | {low} | {high} |" in text, (module, name, low, high)
