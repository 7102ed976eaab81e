"""`dchat tx gov` and `dchat query gov`: proposing, depositing, voting, and looking at all of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from chain.currency.ledger import dec
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.errors import InvalidField, UnknownIdentity
from chain.tx.messages import LANE_BRIDGE
from chain.tx.messages.governance import (
    NO,
    OPTION_NAMES,
    SUMMARY_BYTES_MAX,
    TITLE_BYTES_MAX,
    WHOLE,
    Action,
    AddDeposit,
    CancelProposal,
    ChangeParams,
    ParamChange,
    SpendTreasury,
    SubmitProposal,
    Vote,
    VoteWeighted,
    decode_submit_proposal,
    decode_vote_weighted,
    fill_submit_proposal,
    fill_vote_weighted,
)
from chain.tx.messages.upgrade import CancelUpgrade
from dchat.cli.commands.query_commands import ask, plain, proving
from dchat.cli.commands.tx_commands import Refused, send, sending
from dchat.cli.commands.upgrade_commands import PLAN_FIELDS, plan_of, plan_options
from dchat.cli.terminal.ask import Address, Amount, limit_option, node_option
from dchat.cli.terminal.base import Command, Exit, Group, InputFile, Refusal, read_input
from dchat.client.client import Client
from dchat.client.proved import Checked, Proved
from dchat.client.verify import ProofFailed
from proto.dchat.v1 import governance_pb2 as gov
from proto.dchat.v1 import governance_service_pb2 as pb

OPTIONS = {name: option for option, name in OPTION_NAMES.items()}
TALLY_DEADLINE_S = 60.0


@click.group("gov", cls=Group)
def tx_gov() -> None:
    """Propose, deposit and vote."""


def proposing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every proposal."""
    options = (
        click.option("--title", required=True, help=f"Up to {TITLE_BYTES_MAX} bytes."),
        click.option("--summary", default="", help=f"Why; up to {SUMMARY_BYTES_MAX} bytes."),
        click.option("--summary-file", type=InputFile(), help="Instead of --summary."),
        click.option("--deposit", type=Amount(), required=True, help="Voting begins when the minimum is reached."),
        click.option("--expedited", is_flag=True, help="A shorter voting, for a higher threshold and deposit."),
        sending,
    )
    for option in reversed(options):
        command = option(command)
    return command


def submit(options: dict[str, Any], *actions: Action) -> None:
    """Send a proposal. Raises Refusal, when it could be none."""
    title, deposit, expedited = (options.pop(name) for name in ("title", "deposit", "expedited"))
    summary, file = options.pop("summary"), options.pop("summary_file")
    if file is not None:
        if summary:
            raise Refusal("--summary and --summary-file: one of them", Exit.USAGE)
        summary = _text_of(file)
    message = SubmitProposal(bytes(20), title, summary, expedited, deposit, actions)
    checked = pb_of(gov.SubmitProposal(), fill_submit_proposal, message)
    try:
        decode_submit_proposal(checked)
    except InvalidField as error:
        raise Refusal(str(error), Exit.USAGE) from None
    send(lambda me: [message._replace(proposer=me)], options)


def _text_of(file: Path) -> str:
    """Raises Refusal."""
    try:
        return read_input(file, SUMMARY_BYTES_MAX).decode()
    except UnicodeDecodeError:
        raise Refusal(f"{file}: is no text in UTF-8", Exit.USAGE) from None


def pb_of(out: Any, fill: Callable[[Any, Any], None], message: Any) -> Any:
    fill(out, message)
    return out


@tx_gov.command("submit-text", cls=Command)
@proposing
def submit_text(**options: Any) -> None:
    """Propose something that people, not the chain, carry out."""
    submit(options)


@tx_gov.command("submit-params", cls=Command)
@click.option(
    "--set", "settings", multiple=True, required=True, metavar="MODULE.NAME=VALUE", help="Repeat for several."
)
@proposing
def submit_params(settings: tuple[str, ...], **options: Any) -> None:
    """Propose other parameters, by the names that `dchat query params` shows.

    \b
    dchat tx gov submit-params --title "Longer votes" --deposit 10 --set governance.voting_period_s=172800
    """
    submit(options, ChangeParams(tuple(map(parse_setting, settings))))


def parse_setting(text: str) -> ParamChange:
    """Raises Refusal."""
    path, equals, value = text.partition("=")
    module, point, name = path.partition(".")
    if not equals or not point or not module or not name:
        raise Refusal(f'"{text}"; expected MODULE.NAME=VALUE, like staking.validators_max=50', Exit.USAGE)
    return ParamChange(module.strip(), name.strip(), value.strip())


@tx_gov.command("submit-spend", cls=Command)
@click.option("--to", "recipient", type=Address(), required=True)
@click.option("--amount", type=Amount(least=1), required=True)
@proposing
def submit_spend(recipient: bytes, amount: int, **options: Any) -> None:
    """Propose to pay out of the community pool."""
    submit(options, SpendTreasury(recipient, amount))


@tx_gov.command("submit-upgrade", cls=Command)
@plan_options
@proposing
def submit_upgrade(**options: Any) -> None:
    """Propose the plan of an upgrade."""
    plan = plan_of(**{name: options.pop(name) for name in PLAN_FIELDS})
    submit(options, plan._replace(authority=GOVERNANCE_ADDRESS))


@tx_gov.command("submit-cancel-upgrade", cls=Command)
@proposing
def submit_cancel_upgrade(**options: Any) -> None:
    """Propose to clear the plan of an upgrade."""
    submit(options, CancelUpgrade(GOVERNANCE_ADDRESS))


@tx_gov.command("deposit", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def deposit_command(proposal: int, amount: int, **options: Any) -> None:
    """Add to a proposal's deposit."""
    send(lambda me: [AddDeposit(me, proposal, amount)], options)


@tx_gov.command("vote", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@click.argument("option", type=click.Choice(list(OPTIONS)))
@click.option("--pay-fee", is_flag=True, help="Pay in DCHAT, without a chat identity.")
@sending
def vote_command(proposal: int, option: str, pay_fee: bool, **options: Any) -> None:
    """Vote. The last vote of an account counts; it weighs what the account has delegated."""
    send_vote(lambda me: Vote(me, proposal, OPTIONS[option]), options, pay_fee=pay_fee)


def send_vote(make: Callable[[bytes], Vote | VoteWeighted], options: dict[str, Any], *, pay_fee: bool) -> None:
    """Raises Refusal, with what to do where the voter has no identity to pay from."""
    try:
        send(lambda me: [make(me)], options, lane=LANE_BRIDGE if pay_fee else None)
    except Refused as error:
        if (error.codespace, error.code) != (UnknownIdentity.codespace, UnknownIdentity.code):
            raise
        raise Refusal(f"{error.format_message()}; vote with --pay-fee, or begin with: dchat tx register") from None


@tx_gov.command("vote-weighted", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@click.argument("shares", nargs=-1, required=True, metavar="OPTION=SHARE...")
@click.option("--pay-fee", is_flag=True, help="Pay in DCHAT, without a chat identity.")
@sending
def vote_weighted(proposal: int, shares: tuple[str, ...], pay_fee: bool, **options: Any) -> None:
    """Split a vote; the shares are 1 together.

    \b
    dchat tx gov vote-weighted 3 yes=0.7 abstain=0.3
    """
    message = VoteWeighted(bytes(20), proposal, tuple(sorted(map(parse_share, shares))))
    try:
        decode_vote_weighted(pb_of(gov.VoteWeighted(), fill_vote_weighted, message))
    except InvalidField as error:
        raise Refusal(str(error), Exit.USAGE) from None
    send_vote(lambda me: message._replace(voter=me), options, pay_fee=pay_fee)


def parse_share(text: str) -> tuple[int, int]:
    """(option, weight). Raises Refusal."""
    name, _, share = text.partition("=")
    try:
        weight = dec.parse(share)
    except ValueError:
        weight = 0
    if name not in OPTIONS or not 0 < weight <= WHOLE:
        example = f"{OPTION_NAMES[NO]}=0.25"
        raise Refusal(f'"{text}"; expected OPTION=SHARE, like {example}, of {", ".join(OPTIONS)}', Exit.USAGE)
    return OPTIONS[name], weight


@tx_gov.command("cancel", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@sending
def cancel_command(proposal: int, **options: Any) -> None:
    """Cancel a proposal of your own. A share of its deposits is the price."""
    send(lambda me: [CancelProposal(me, proposal)], options)


# ------------------------------------------------------------------------------ queries


@click.group("gov", cls=Group)
def query_gov() -> None:
    """Proposals, votes, deposits, and how a vote stands."""


@query_gov.command("proposal", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@proving
def query_proposal(proposal: int, **how: Any) -> None:
    """A proposal, and what is deposited for it."""
    ask(lambda c, prove, at: get_proposal(c, proposal, prove, at), lambda p, a: p.proposal(a, proposal), **how)


async def get_proposal(client: Client, proposal: int, prove: bool, height: int) -> pb.GetProposalResponse:
    request = pb.GetProposalRequest(proposal_id=proposal, prove=prove, height=height)
    return await client.call(client.gov.GetProposal, request)


@query_gov.command("proposals", cls=Command)
@click.option("--status", type=click.Choice(["deposit", "voting", "tallying", "passed", "rejected", "failed"]))
@click.option("--after", type=click.IntRange(0), default=0, help="Proposals above this number.")
@limit_option(20)
@node_option
def query_proposals(status: str | None, after: int, limit: int, node: str | None) -> None:
    """Proposals by number."""
    wanted = f"PROPOSAL_STATUS_{status.upper()}" if status else None
    request = pb.ListProposalsRequest(after=after, limit=limit, status=wanted)
    plain(lambda c: c.call(c.gov.ListProposals, request), node)


@query_gov.command("vote", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@click.argument("voter", type=Address())
@proving
def query_vote(proposal: int, voter: bytes, **how: Any) -> None:
    """How an account voted."""
    found: list[pb.GetProposalResponse] = []

    async def look(client: Client, prove: bool, height: int) -> pb.GetVoteResponse:
        request = pb.GetVoteRequest(proposal_id=proposal, voter=voter, prove=prove, height=height)
        answer: pb.GetVoteResponse = await client.call(client.gov.GetVote, request)
        if prove:
            found.append(await get_proposal(client, proposal, True, answer.height))
        return answer

    async def check(proved: Proved, answer: pb.GetVoteResponse) -> Checked:
        if found[0].height != answer.height:  # of another time, when another ballot was the last
            raise ProofFailed(f"asked for the proposal after block {answer.height}, got it after {found[0].height}")
        await proved.proposal(found[0], proposal)  # it says which ballot is the last
        return await proved.vote(answer, proposal, found[0].proposal.ballot, voter)

    ask(look, check, **how)


@query_gov.command("votes", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@click.option("--after", type=Address(), help="Voters above this address.")
@limit_option(100)
@node_option
def query_votes(proposal: int, after: bytes | None, limit: int, node: str | None) -> None:
    """How everybody voted, by address."""
    request = pb.ListVotesRequest(proposal_id=proposal, after=after or b"", limit=limit)
    plain(lambda c: c.call(c.gov.ListVotes, request), node)


@query_gov.command("deposits", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@click.option("--after", type=Address(), help="Depositors above this address.")
@limit_option(100)
@node_option
def query_deposits(proposal: int, after: bytes | None, limit: int, node: str | None) -> None:
    """Who deposited what."""
    request = pb.ListDepositsRequest(proposal_id=proposal, after=after or b"", limit=limit)
    plain(lambda c: c.call(c.gov.ListDeposits, request), node)


@query_gov.command("tally", cls=Command)
@click.argument("proposal", type=click.IntRange(1))
@node_option
def query_tally(proposal: int, node: str | None) -> None:
    """How a vote stands: as if it closed now, as far as it is counted, or how it ended. Amounts are udchat of stake."""
    request = pb.GetTallyRequest(proposal_id=proposal)
    plain(lambda c: c.call(c.gov.GetTally, request, deadline_s=TALLY_DEADLINE_S), node)
