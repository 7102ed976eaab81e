"""`dchat tx stake` and `dchat query staking`: validators, delegations, rewards, punishments."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from chain.currency.ledger import dec
from chain.currency.ledger.economic_params import StakingParams
from chain.tx.codec import UINT64_MAX
from chain.tx.messages.economy import (
    CancelUnbonding,
    ConsensusSigner,
    CreateValidator,
    Delegate,
    EditValidator,
    FundCommunityPool,
    Redelegate,
    RotateConsensusKey,
    SetWithdrawAddress,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
    prove_possession,
)
from consensus.documents.files import parse_validator_key
from consensus.formats.errors import InvalidData, InvalidFile
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES, PrivKey
from dchat.cli.commands.query_commands import plain, query
from dchat.cli.commands.tx_commands import send, sending, tx
from dchat.cli.terminal.ask import (
    OF_VALIDATORS,
    Address,
    Amount,
    ChainId,
    height_option,
    limit_option,
    node_option,
    run,
)
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, read_input, show_json
from dchat.cli.terminal.own_key import OwnKey, own_key, own_next_key
from dchat.cli.terminal.trust import signing_facts
from dchat.client.client import Client, whole_param
from dchat.home.errors import HomeError
from proto.dchat.v1 import staking_service_pb2 as pb
from proto.dchat.v1 import state_pb2

KEY_FILE_BYTES_MAX = 65_536  # some hundred bytes; whatever is larger is another file
USUAL_MINIMUM = StakingParams().min_self_delegation
STATUSES = ("bonded", "unbonding", "unbonded")


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """A share between 0 and 1 as a decimal: 0.05."""

    name = "RATE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            rate = dec.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if rate > dec.ONE:
            self.fail(f"{value} is above 1", param, ctx)
        return rate


OPERATOR = Address(otherwise=OF_VALIDATORS)
validator_option = click.option(
    "--validator",
    "operator",
    type=OPERATOR,
    required=True,
    help="Its operator's address, or identity file.",
)
amount_option = click.option("--amount", type=Amount(least=1), required=True)


@tx.group("stake", cls=Group)
def stake() -> None:
    """Validate, delegate, and take rewards. A validator is named by its operator's address."""


def consensus_key(
    text: str | None, option: str = "--consensus-key", own: Callable[[], OwnKey] = own_key
) -> ConsensusSigner | bytes:
    """From base64 or hex (a public key alone), a priv_validator_key.json, or the home's key. Raises Refusal."""
    if text is None:
        try:
            return own()
        except HomeError as error:
            raise Refusal(f"no consensus key: give {option}, or --home with one ({error})") from None
    if text.endswith(".json"):
        return _key_in(Path(text), option)
    try:
        found = bytes.fromhex(text) if len(text) == 2 * ED25519_KEY_BYTES else base64.b64decode(text, validate=True)
    except ValueError:
        found = b""
    if len(found) != ED25519_KEY_BYTES:
        raise Refusal(
            f"{option} {text!r}: no key of {ED25519_KEY_BYTES} bytes; allowed: base64, hex, or the path of a "
            "priv_validator_key.json",
            Exit.USAGE,
        )
    return found


def _key_in(path: Path, option: str) -> PrivKey:
    """Of a priv_validator_key.json. Raises Refusal."""
    try:
        return parse_validator_key(read_input(path, KEY_FILE_BYTES_MAX))
    except OSError as error:
        raise Refusal(f"{option} {path}: {error.strerror}", Exit.USAGE) from None
    except (InvalidData, InvalidFile) as error:
        raise Refusal(f"{option} {path}: is no priv_validator_key.json: {error}", Exit.USAGE) from None


class Possession(click.ParamType):  # type: ignore[type-arg]  # generic in the stubs alone
    """What `prove-key` printed: a signature in hex."""

    name = "HEX"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        try:
            found = value if isinstance(value, bytes) else bytes.fromhex(str(value))
        except ValueError:
            found = b""
        if len(found) != SIGNATURE_BYTES:
            self.fail(f"expected {2 * SIGNATURE_BYTES} hex characters, as prove-key prints them", param, ctx)
        return found


def chain_minimum(node: str | None) -> int:
    """The least self-delegation that the chain asks of a validator now, udchat, by the node's word.

    Raises Refusal: the node asks for more than chains usually do.
    """

    async def ask(client: Client) -> int:
        return whole_param(await client.params(), "staking", "min_self_delegation", most=UINT64_MAX)

    least = run(ask, node)
    if least > USUAL_MINIMUM:  # signed for good: it can only rise, and stake below it jails
        raise Refusal(
            f"the node says that the chain's minimum self-delegation is {least} udchat, usual is {USUAL_MINIMUM}. If "
            f"it is right (ask another node: dchat query params), say it yourself: --min-self-delegation {least}udchat"
        )
    return least


@stake.command("create-validator", cls=Command)
@amount_option
@click.option("--moniker", required=True, help="1 to 70 bytes, public.")
@click.option("--consensus-key", "key", help="Base64, hex, or a priv_validator_key.json. Default: the home's.")
@click.option(
    "--possession", type=Possession(), help="The key's signature, of `prove-key`: when the key itself is not here."
)
@click.option("--commission-rate", type=Rate(), default="0.1", show_default=True)
@click.option("--commission-max-rate", type=Rate(), default="0.2", show_default=True, help="For good.")
@click.option("--commission-max-change-rate", type=Rate(), default="0.01", show_default=True, help="A day; for good.")
@click.option("--min-self-delegation", type=Amount(), help="Default: the chain's own minimum.")
@sending
def create_validator(
    amount: int, moniker: str, key: str | None, possession: bytes | None, commission_rate: int,
    commission_max_rate: int, commission_max_change_rate: int, min_self_delegation: int | None, **options: Any,
) -> None:  # fmt: skip
    """Make a validator of your account and a consensus key; the amount is your own stake in it.

    The key signs that it is to be yours: with a key that lies elsewhere, give what `prove-key` printed there.
    """
    signer = consensus_key(key)
    if isinstance(signer, bytes) and possession is None:
        raise Refusal(
            "--consensus-key is a public key alone; give --possession too: `dchat tx stake prove-key`, where it is",
            Exit.USAGE,
        )
    facts = signing_facts(options)
    least = chain_minimum(options["node"]) if min_self_delegation is None else min_self_delegation
    if min_self_delegation is None and amount < least:
        raise Refusal(f"--amount is {amount} udchat; allowed: the chain's minimum, {least}, and more", Exit.USAGE)

    def message(me: bytes) -> CreateValidator:
        public = signer if isinstance(signer, bytes) else signer.pub_key.bytes
        proof = possession
        if proof is None:
            assert not isinstance(signer, bytes)
            proof = prove_possession(signer, facts.chain_id, me)
        return CreateValidator(
            me, public, moniker, commission_rate, commission_max_rate, commission_max_change_rate, least, amount, proof
        )

    send(lambda me: [message(me)], options, rare=True)


@stake.command("prove-key", cls=Command)
@click.option("--operator", type=Address(), required=True, help="The account that is to operate the validator.")
@click.option("--chain-id", type=ChainId(), required=True)
@click.option("--consensus-key", "key", help="A priv_validator_key.json. Default: the home's.")
def prove_key(operator: bytes, chain_id: str, key: str | None) -> None:
    """Print a consensus key with its signature for one operator and chain: for create-validator elsewhere.

    Needs no node, and makes nobody a validator. A signer of another kind signs, with the key, the 32 bytes
    SHA-256("dchat/validator-key/v1" + chain id + a zero byte + the operator's 20 bytes).
    """
    signer = consensus_key(key)
    if isinstance(signer, bytes):
        raise Refusal("--consensus-key: a priv_validator_key.json is expected: a public key cannot sign", Exit.USAGE)
    proof = prove_possession(signer, chain_id, operator)
    show_json({"consensus_key": signer.pub_key.bytes.hex(), "possession": proof.hex()})


@stake.command("rotate-key", cls=Command)
@click.option(
    "--new-key", help="Base64, hex, or a priv_validator_key.json. Default: the home's next one, of signer next-key."
)
@click.option(
    "--possession", type=Possession(), help="The key's signature, of `prove-key`: when the key itself is not here."
)
@sending
def rotate_key(new_key: str | None, possession: bytes | None, **options: Any) -> None:
    """Give your validator another consensus key. It stays in the set, and what the old key signed is still its own.

    Costs the chain's staking.key_rotation_fee, and goes so often in an unbonding time as key_rotations_max says. The
    new key signs from the second block after this one's on: have it where the validator runs before you send this.
    What the node says would be refused is not sent (at a terminal: you are asked).
    """
    signer = consensus_key(new_key, "--new-key", own_next_key)
    if isinstance(signer, bytes) and possession is None:
        raise Refusal(
            "--new-key is a public key alone; give --possession too: `dchat tx stake prove-key`, where it is",
            Exit.USAGE,
        )
    facts = signing_facts(options)

    def message(me: bytes) -> RotateConsensusKey:
        if isinstance(signer, bytes):
            assert possession is not None
            return RotateConsensusKey(me, signer, possession)
        proof = prove_possession(signer, facts.chain_id, me) if possession is None else possession
        return RotateConsensusKey(me, signer.pub_key.bytes, proof)

    send(lambda me: [message(me)], options, rare=True)


@stake.command("edit-validator", cls=Command)
@click.option("--moniker")
@click.option("--commission-rate", type=Rate(), help="At most once in 24 hours.")
@click.option("--min-self-delegation", type=Amount(), help="It can only rise.")
@sending
def edit_validator(
    moniker: str | None, commission_rate: int | None, min_self_delegation: int | None, **options: Any
) -> None:
    """Change your validator. What is not given stays."""
    send(lambda me: [EditValidator(me, moniker, commission_rate, min_self_delegation)], options, rare=True)


@stake.command("delegate", cls=Command)
@validator_option
@amount_option
@sending
def delegate(operator: bytes, amount: int, **options: Any) -> None:
    """Stake with a validator."""
    send(lambda me: [Delegate(me, operator, amount)], options)


@stake.command("undelegate", cls=Command)
@validator_option
@amount_option
@sending
def undelegate(operator: bytes, amount: int, **options: Any) -> None:
    """Take stake back; it is paid after the unbonding time, and can be slashed until then."""
    send(lambda me: [Undelegate(me, operator, amount)], options)


@stake.command("cancel-unbonding", cls=Command)
@validator_option
@amount_option
@click.option(
    "--creation-height",
    type=click.IntRange(1),
    required=True,
    help="When it began: see `dchat query staking unbondings`.",
)
@sending
def cancel_unbonding(operator: bytes, amount: int, creation_height: int, **options: Any) -> None:
    """Delegate again what is unbonding."""
    send(lambda me: [CancelUnbonding(me, operator, amount, creation_height)], options)


@stake.command("redelegate", cls=Command)
@click.option("--source", type=OPERATOR, required=True)
@click.option("--destination", type=OPERATOR, required=True)
@amount_option
@sending
def redelegate(source: bytes, destination: bytes, amount: int, **options: Any) -> None:
    """Move stake from one validator to another at once."""
    send(lambda me: [Redelegate(me, source, destination, amount)], options)


@stake.command("unjail", cls=Command)
@sending
def unjail(**options: Any) -> None:
    """Bring your jailed validator back, when its time has passed."""
    send(lambda me: [Unjail(me)], options, rare=True)


@stake.command("withdraw", cls=Command)
@click.option(
    "--validator",
    "operator",
    type=OPERATOR,
    help="Where you delegate. Needed unless --commission.",
)
@click.option("--commission", is_flag=True, help="Your own validator's commission, instead or as well.")
@sending
def withdraw(operator: bytes | None, commission: bool, **options: Any) -> None:
    """Take rewards, commission, or both."""
    if operator is None and not commission:
        raise Refusal("say --validator ADDRESS, --commission or both", Exit.USAGE)

    def make(me: bytes) -> list[Any]:
        rewards = [WithdrawRewards(me, operator)] if operator is not None else []
        return [*rewards, *([WithdrawCommission(me)] if commission else [])]

    send(make, options)


@stake.command("set-withdraw", cls=Command)
@click.option("--to", "recipient", type=Address(), required=True)
@sending
def set_withdraw(recipient: bytes, **options: Any) -> None:
    """Send your rewards to another account from now on."""
    send(lambda me: [SetWithdrawAddress(me, recipient)], options)


@stake.command("fund-community-pool", cls=Command)
@amount_option
@sending
def fund_community_pool(amount: int, **options: Any) -> None:
    """Give to the community pool."""
    send(lambda me: [FundCommunityPool(me, amount)], options)


# ------------------------------------------------------------------------------ queries


@query.group("staking", cls=Group)
def staking() -> None:
    """Validators, delegations, rewards, punishments. A validator is named by its operator's address."""


def _show(method: Callable[[Client], Any], request: Any, node: str | None) -> None:
    plain(lambda client: client.call(method(client), request), node)


@staking.command("validators", cls=Command)
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--after", type=OPERATOR, help="Go on behind this operator.")
@limit_option(100)
@height_option
@node_option
def query_validators(status: str | None, after: bytes | None, limit: int, height: int, node: str | None) -> None:
    """All validators, or those of a status, ascending by operator."""
    number = state_pb2.BondStatus.Value(f"BOND_STATUS_{status.upper()}") if status else 0
    request = pb.ListStakingValidatorsRequest(status=number, after=after or b"", limit=limit, height=height)  # type: ignore[arg-type]
    _show(lambda client: client.staking.ListStakingValidators, request, node)


@staking.command("validator", cls=Command)
@click.argument("who")
@height_option
@node_option
def query_validator(who: str, height: int, node: str | None) -> None:
    """A validator by its operator, or by its consensus address (40 hex characters), with its signing info."""
    request = pb.GetStakingValidatorRequest(height=height)
    if len(who) == 40 and not who.startswith("dchat1"):
        try:
            request.consensus_address = bytes.fromhex(who)
        except ValueError:
            raise Refusal(f"{who!r} is neither an operator nor a consensus address", Exit.USAGE) from None
    else:
        request.operator = OPERATOR.convert(who, None, None)
    _show(lambda client: client.staking.GetStakingValidator, request, node)


def of_whom(command: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--delegator", type=Address()),
        click.option("--validator", "operator", type=OPERATOR),
        click.option("--after", type=Address(), help="Go on behind this validator, or delegator."),
        limit_option(100),
        height_option,
        node_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _whom(delegator: bytes | None, operator: bytes | None) -> tuple[bytes, bytes]:
    if delegator is None and operator is None:
        raise Refusal("say --delegator, --validator or both", Exit.USAGE)
    return delegator or b"", operator or b""


@staking.command("delegations", cls=Command)
@of_whom
def query_delegations(
    delegator: bytes | None, operator: bytes | None, after: bytes | None, limit: int, height: int, node: str | None
) -> None:
    """Of a delegator, or to a validator, and what they are worth."""
    who, whom = _whom(delegator, operator)
    request = pb.ListDelegationsRequest(delegator=who, operator=whom, after=after or b"", limit=limit, height=height)
    _show(lambda client: client.staking.ListDelegations, request, node)


@staking.command("unbondings", cls=Command)
@of_whom
def query_unbondings(
    delegator: bytes | None, operator: bytes | None, after: bytes | None, limit: int, height: int, node: str | None
) -> None:
    """Of a delegator, or from a validator, and when they are paid."""
    who, whom = _whom(delegator, operator)
    request = pb.ListUnbondingsRequest(delegator=who, operator=whom, after=after or b"", limit=limit, height=height)
    _show(lambda client: client.staking.ListUnbondings, request, node)


@staking.command("redelegations", cls=Command)
@click.option("--delegator", type=Address(), required=True)
@limit_option(100)
@height_option
@node_option
def query_redelegations(delegator: bytes, limit: int, height: int, node: str | None) -> None:
    """Of a delegator, as long as slashes of the source reach them."""
    request = pb.ListRedelegationsRequest(delegator=delegator, limit=limit, height=height)
    _show(lambda client: client.staking.ListRedelegations, request, node)


@staking.command("rewards", cls=Command)
@click.option("--delegator", type=Address(), required=True)
@click.option("--validator", "operator", type=OPERATOR, help="Default: all its delegations.")
@height_option
@node_option
def query_rewards(delegator: bytes, operator: bytes | None, height: int, node: str | None) -> None:
    """What a delegator could withdraw now, and where it goes."""
    request = pb.GetRewardsRequest(delegator=delegator, operator=operator or b"", height=height)
    _show(lambda client: client.staking.GetRewards, request, node)


@staking.command("slashes", cls=Command)
@click.argument("operator", type=OPERATOR)
@limit_option(100)
@height_option
@node_option
def query_slashes(operator: bytes, limit: int, height: int, node: str | None) -> None:
    """A validator's punishments, newest first."""
    request = pb.ListSlashesRequest(operator=operator, limit=limit, height=height)
    _show(lambda client: client.staking.ListSlashes, request, node)


@staking.command("pools", cls=Command)
@height_option
@node_option
def query_pools(height: int, node: str | None) -> None:
    """What is bonded and what is not, supply, inflation, the community pool."""
    _show(lambda client: client.staking.GetStakingPools, pb.GetStakingPoolsRequest(height=height), node)
