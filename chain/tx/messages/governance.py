"""What people say to governance: proposals with what they would do, deposits, votes. Decoding and each one's own rules.

Stateless, and known to both sides: the chat machine keeps proposals and votes, the bridge deposits and counts.
Source: proto/dchat/v1/governance.proto; Cosmos SDK v0.50, x/gov/README.md.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx import gas
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import BRIDGE, CHAT, ROLE_ROOT, Kind
from chain.tx.messages.kinds.fields import check_address
from chain.tx.messages.upgrade import CancelUpgrade, SoftwareUpgrade, check_plan
from proto.dchat.v1 import governance_pb2 as pb

WHOLE: Final = 10**18  # the weights of one vote together; and a share of 1

YES: Final = 1
ABSTAIN: Final = 2
NO: Final = 3
NO_WITH_VETO: Final = 4
OPTIONS: Final = (YES, ABSTAIN, NO, NO_WITH_VETO)
OPTION_NAMES: Final = {YES: "yes", ABSTAIN: "abstain", NO: "no", NO_WITH_VETO: "no-with-veto"}

TITLE_BYTES_MAX: Final = 140
SUMMARY_BYTES_MAX: Final = 10_000
ACTIONS_MAX: Final = 8  # somebody has to understand all of it before voting
CHANGES_MAX: Final = 64  # of params, in all actions together: there are fewer params
CHANGE_BYTES_MAX: Final = 128  # of a module's name, a param's name or a value
CONTENT_BYTES_MAX: Final = 49_152  # a proposal is one value in the store, with room for the rest of its record
ID_MAX: Final = (1 << 63) - 1

GAS_DEPOSIT: Final = 2 * gas.GAS_MESSAGE + gas.GAS_NEW_LEAF + gas.GAS_LATER
GAS_VOTE: Final = gas.GAS_NEW_LEAF + 3 * gas.GAS_MESSAGE  # written now, counted later and removed in the end

WeightedOptions: TypeAlias = tuple[tuple[int, int], ...]  # (option, weight), ascending by option


class ParamChange(NamedTuple):
    module: str
    name: str
    value: str


class ChangeParams(NamedTuple):
    changes: tuple[ParamChange, ...]


class SpendTreasury(NamedTuple):
    recipient: bytes
    amount: int  # udchat


Action: TypeAlias = ChangeParams | SpendTreasury | SoftwareUpgrade | CancelUpgrade


class SubmitProposal(NamedTuple):
    proposer: bytes
    title: str
    summary: str
    expedited: bool
    deposit: int  # udchat
    actions: tuple[Action, ...]


class AddDeposit(NamedTuple):
    depositor: bytes
    proposal_id: int
    amount: int  # udchat


class Vote(NamedTuple):
    voter: bytes
    proposal_id: int
    option: int


class VoteWeighted(NamedTuple):
    voter: bytes
    proposal_id: int
    options: WeightedOptions


class CancelProposal(NamedTuple):
    proposer: bytes
    proposal_id: int


# ------------------------------------------------------------------------------ decoding


GovernanceMessage: TypeAlias = SubmitProposal | AddDeposit | Vote | VoteWeighted | CancelProposal


def decode_submit_proposal(m: pb.SubmitProposal) -> SubmitProposal:
    check_address("submit_proposal.proposer", m.proposer)
    title = m.title
    if not 1 <= len(title.encode()) <= TITLE_BYTES_MAX:
        raise InvalidField(f"submit_proposal.title: 1 to {TITLE_BYTES_MAX} bytes of UTF-8")
    if len(m.summary.encode()) > SUMMARY_BYTES_MAX:
        raise InvalidField(f"submit_proposal.summary: above {SUMMARY_BYTES_MAX} bytes of UTF-8")
    if not m.deposit:
        raise InvalidField("submit_proposal.deposit: 0, allowed: 1 and more")
    if len(m.actions) > ACTIONS_MAX:
        raise InvalidField(f"submit_proposal.actions: {len(m.actions)}, allowed: {ACTIONS_MAX}")
    if m.ByteSize() > CONTENT_BYTES_MAX:
        raise InvalidField(f"submit_proposal: {m.ByteSize()} bytes, allowed: {CONTENT_BYTES_MAX}")
    actions = read_actions(m.actions)
    changes = sum(len(action.changes) for action in actions if isinstance(action, ChangeParams))
    if changes > CHANGES_MAX:
        raise InvalidField(f"change_params: {changes} changes in all actions, allowed: {CHANGES_MAX}")
    return SubmitProposal(m.proposer, title, m.summary, m.expedited, m.deposit, actions)


def read_actions(actions: Iterable[pb.ProposalAction]) -> tuple[Action, ...]:
    """Raises: InvalidField."""
    return tuple([_read_action(action) for action in actions])


def _read_action(m: pb.ProposalAction) -> Action:
    match m.WhichOneof("kind"):
        case "change_params":
            return read_changes(m.change_params)
        case "spend_treasury":
            spend = m.spend_treasury
            check_address("spend_treasury.recipient", spend.recipient)
            if not spend.amount:
                raise InvalidField("spend_treasury.amount: 0, allowed: 1 and more")
            return SpendTreasury(spend.recipient, spend.amount)
        case "plan_upgrade":
            p = m.plan_upgrade
            plan = SoftwareUpgrade(
                GOVERNANCE_ADDRESS, p.name, p.height, p.info, tuple(p.binary_sha256), p.ready_share_permyriad,
                p.postpone_blocks,
            )  # fmt: skip
            check_plan(plan)
            return plan
        case "drop_upgrade":
            return CancelUpgrade(GOVERNANCE_ADDRESS)
    raise InvalidField("submit_proposal.actions: one is empty or of an unknown kind")


def read_changes(m: pb.ChangeParams) -> ChangeParams:
    if not 1 <= len(m.changes) <= CHANGES_MAX:
        raise InvalidField(f"change_params: {len(m.changes)} changes, allowed: 1 to {CHANGES_MAX}")
    changes = tuple([ParamChange(change.module, change.name, change.value) for change in m.changes])
    if len({change[:2] for change in changes}) != len(changes):
        raise InvalidField("change_params: a param is named twice")
    if any(len(text.encode()) > CHANGE_BYTES_MAX for change in changes for text in change):
        raise InvalidField(f"change_params: a name or value is above {CHANGE_BYTES_MAX} bytes")
    return ChangeParams(changes)


def decode_add_deposit(m: pb.AddDeposit) -> AddDeposit:
    check_address("add_deposit.depositor", m.depositor)
    if not m.amount:
        raise InvalidField("add_deposit.amount: 0, allowed: 1 and more")
    return AddDeposit(m.depositor, _proposal("add_deposit", m.proposal_id), m.amount)


def decode_vote(m: pb.Vote) -> Vote:
    check_address("vote.voter", m.voter)
    if m.option not in OPTION_NAMES:
        raise InvalidField(f"vote.option: {m.option}, allowed: 1 to 4")
    return Vote(m.voter, _proposal("vote", m.proposal_id), int(m.option))


def decode_vote_weighted(m: pb.VoteWeighted) -> VoteWeighted:
    check_address("vote_weighted.voter", m.voter)
    return VoteWeighted(m.voter, _proposal("vote_weighted", m.proposal_id), _read_options(m.options))


def _read_options(options: Collection[pb.WeightedOption]) -> WeightedOptions:
    """Raises: InvalidField, unless each option is there at most once, with a weight above 0, and 1 together."""
    if len(options) > len(OPTION_NAMES):
        raise InvalidField(f"vote_weighted.options: {len(options)}, allowed: 1 to {len(OPTION_NAMES)}")
    found = tuple([(int(option.option), option.weight) for option in options])
    names = [option for option, _ in found]
    if not found or any(option not in OPTION_NAMES for option in names):
        raise InvalidField("vote_weighted.options: 1 to 4 of yes, abstain, no, no-with-veto")
    if names != sorted(set(names)):
        raise InvalidField("vote_weighted.options: not ascending, or an option twice")
    if any(weight <= 0 for _, weight in found):
        raise InvalidField("vote_weighted.options: a weight of 0, allowed: above 0")
    if sum(weight for _, weight in found) != WHOLE:
        raise InvalidField("vote_weighted.options: the weights are not 1 together")
    return found


def decode_cancel_proposal(m: pb.CancelProposal) -> CancelProposal:
    check_address("cancel_proposal.proposer", m.proposer)
    return CancelProposal(m.proposer, _proposal("cancel_proposal", m.proposal_id))


def _proposal(where: str, number: int) -> int:
    if not 1 <= number <= ID_MAX:
        raise InvalidField(f"{where}.proposal_id: {number}, allowed: 1 to {ID_MAX}")
    return number


# ------------------------------------------------------------------------------ encoding


def write_actions(out: Any, actions: Iterable[Action]) -> None:
    """out: a repeated ProposalAction."""
    for action in actions:
        match action:
            case ChangeParams(changes):
                made = out.add().change_params
                for module, name, value in changes:
                    made.changes.add(module=module, name=name, value=value)
            case SpendTreasury(recipient, amount):
                out.add(spend_treasury=pb.SpendTreasury(recipient=recipient, amount=amount))
            case SoftwareUpgrade():
                fields = action._asdict()
                del fields["authority"]
                out.add(plan_upgrade=pb.PlanUpgrade(**fields))
            case CancelUpgrade():
                out.add(drop_upgrade=pb.DropUpgrade())


def write_options(out: Any, options: WeightedOptions) -> None:
    """out: a repeated WeightedOption."""
    for option, weight in options:
        out.add(option=option, weight=weight)


def fill_submit_proposal(out: Any, message: SubmitProposal) -> None:
    out.proposer, out.title, out.summary = message.proposer, message.title, message.summary
    out.expedited, out.deposit = message.expedited, message.deposit
    write_actions(out.actions, message.actions)


def fill_vote_weighted(out: Any, message: VoteWeighted) -> None:
    out.voter, out.proposal_id = message.voter, message.proposal_id
    write_options(out.options, message.options)


def _changes(message: SubmitProposal) -> int:
    return sum(len(action.changes) if isinstance(action, ChangeParams) else 1 for action in message.actions)


def _options(message: VoteWeighted) -> int:
    return len(message.options)


KINDS: Final = (
    Kind(
        "submit_proposal", decode_submit_proposal, SubmitProposal, BRIDGE,
        4 * gas.GAS_MESSAGE + 3 * gas.GAS_NEW_LEAF + gas.GAS_STAYS + 4 * gas.GAS_LATER, fill_submit_proposal, _changes,
    ),
    Kind("add_deposit", decode_add_deposit, AddDeposit, BRIDGE, GAS_DEPOSIT),
    Kind("vote", decode_vote, Vote, CHAT, GAS_VOTE, role=ROLE_ROOT),
    Kind(
        "vote_weighted", decode_vote_weighted, VoteWeighted, CHAT, GAS_VOTE, fill_vote_weighted, _options,
        role=ROLE_ROOT,
    ),
    Kind("cancel_proposal", decode_cancel_proposal, CancelProposal, BRIDGE, 3 * gas.GAS_MESSAGE),
)  # fmt: skip
