"""The messages of staking, slashing and rewards as plain tuples, decoded, with what each may say by itself.

Source: proto/dchat/v1/tx.proto.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from chain.tx import gas
from chain.tx.errors import InvalidField
from chain.tx.messages.kinds import CURRENCY, Kind
from chain.tx.messages.kinds.fields import check_address, check_amount, check_consensus_key
from crypto.hash import sha256
from crypto.keys import PubKey
from proto.dchat.v1 import tx_pb2 as pb

MONIKER_BYTES_MAX: Final = 70
RATE_ONE: Final = 10**18
POSSESSION_DOMAIN: Final = b"dchat/validator-key/v1"


class ConsensusSigner(Protocol):
    """What holds a consensus key: the home's file, or a signer elsewhere. `sign` may block."""

    @property
    def pub_key(self) -> PubKey: ...

    def sign(self, message: bytes) -> bytes: ...


def possession_hash(chain_id: str, operator: bytes) -> bytes:
    """What a consensus key signs to become the validator of `operator`: 32 bytes, so never a vote's sign-bytes.

    Bound to both, so that nobody else can register the key with it, here or on another chain.
    """
    return sha256(POSSESSION_DOMAIN + chain_id.encode() + b"\x00" + operator)


def prove_possession(signer: ConsensusSigner, chain_id: str, operator: bytes) -> bytes:
    """CreateValidator.possession."""
    return signer.sign(possession_hash(chain_id, operator))


class CreateValidator(NamedTuple):
    """Rates in units of 10^-18, amounts udchat. possession: `prove_possession` by the consensus key."""

    operator: bytes
    consensus_key: bytes
    moniker: str
    commission_rate: int
    commission_max_rate: int
    commission_max_change_rate: int
    min_self_delegation: int
    amount: int
    possession: bytes


class EditValidator(NamedTuple):
    """None: as it is."""

    operator: bytes
    moniker: str | None = None
    commission_rate: int | None = None
    min_self_delegation: int | None = None


class RotateConsensusKey(NamedTuple):
    """possession: `prove_possession` by the new key."""

    operator: bytes
    consensus_key: bytes
    possession: bytes


class Delegate(NamedTuple):
    delegator: bytes
    operator: bytes
    amount: int


class Undelegate(NamedTuple):
    delegator: bytes
    operator: bytes
    amount: int


class CancelUnbonding(NamedTuple):
    delegator: bytes
    operator: bytes
    amount: int
    creation_height: int


class Redelegate(NamedTuple):
    delegator: bytes
    source: bytes
    destination: bytes
    amount: int


class Unjail(NamedTuple):
    operator: bytes


class WithdrawRewards(NamedTuple):
    delegator: bytes
    operator: bytes


class WithdrawCommission(NamedTuple):
    operator: bytes


class SetWithdrawAddress(NamedTuple):
    delegator: bytes
    withdraw_address: bytes


class FundCommunityPool(NamedTuple):
    sender: bytes
    amount: int


EconomyMessage = (
    CreateValidator | EditValidator | Delegate | Undelegate | CancelUnbonding | Redelegate | Unjail
    | WithdrawRewards | WithdrawCommission | SetWithdrawAddress | FundCommunityPool | RotateConsensusKey
)  # fmt: skip


def create_validator(m: pb.CreateValidator) -> CreateValidator:
    check_address("create_validator.operator", m.operator)
    _possessed("create_validator", m)
    _moniker("create_validator", m.moniker)
    if not m.commission_rate <= m.commission_max_rate <= RATE_ONE:
        raise InvalidField("create_validator: commission_rate is at most commission_max_rate, which is at most 1")
    if m.commission_max_change_rate > m.commission_max_rate:
        raise InvalidField("create_validator: commission_max_change_rate is at most commission_max_rate")
    if not 1 <= m.min_self_delegation <= m.amount:
        raise InvalidField("create_validator: min_self_delegation is 1 or more, and at most the amount")
    return CreateValidator(
        m.operator, m.consensus_key, m.moniker, m.commission_rate, m.commission_max_rate,
        m.commission_max_change_rate, m.min_self_delegation, m.amount, m.possession,
    )  # fmt: skip


def rotate_consensus_key(m: pb.RotateConsensusKey) -> RotateConsensusKey:
    check_address("rotate_consensus_key.operator", m.operator)
    _possessed("rotate_consensus_key", m)
    return RotateConsensusKey(m.operator, m.consensus_key, m.possession)


def edit_validator(m: pb.EditValidator) -> EditValidator:
    check_address("edit_validator.operator", m.operator)
    moniker = m.moniker if m.HasField("moniker") else None
    rate = m.commission_rate if m.HasField("commission_rate") else None
    minimum = m.min_self_delegation if m.HasField("min_self_delegation") else None
    if moniker is None and rate is None and minimum is None:
        raise InvalidField("edit_validator: nothing to change")
    if moniker is not None:
        _moniker("edit_validator", moniker)
    if rate is not None and rate > RATE_ONE:
        raise InvalidField("edit_validator.commission_rate: above 1")
    if minimum is not None and minimum < 1:
        raise InvalidField("edit_validator.min_self_delegation: 1 or more")
    return EditValidator(m.operator, moniker, rate, minimum)


def delegate(m: pb.Delegate) -> Delegate:
    return Delegate(*_stake("delegate", m.delegator, m.operator, m.amount))


def undelegate(m: pb.Undelegate) -> Undelegate:
    return Undelegate(*_stake("undelegate", m.delegator, m.operator, m.amount))


def cancel_unbonding(m: pb.CancelUnbonding) -> CancelUnbonding:
    return CancelUnbonding(*_stake("cancel_unbonding", m.delegator, m.operator, m.amount), m.creation_height)


def redelegate(m: pb.Redelegate) -> Redelegate:
    delegator, source, amount = _stake("redelegate", m.delegator, m.source, m.amount)
    check_address("redelegate.destination", m.destination)
    if source == m.destination:
        raise InvalidField("redelegate: source and destination are the same validator")
    return Redelegate(delegator, source, m.destination, amount)


def unjail(m: pb.Unjail) -> Unjail:
    check_address("unjail.operator", m.operator)
    return Unjail(m.operator)


def withdraw_rewards(m: pb.WithdrawRewards) -> WithdrawRewards:
    check_address("withdraw_rewards.delegator", m.delegator)
    check_address("withdraw_rewards.operator", m.operator)
    return WithdrawRewards(m.delegator, m.operator)


def withdraw_commission(m: pb.WithdrawCommission) -> WithdrawCommission:
    check_address("withdraw_commission.operator", m.operator)
    return WithdrawCommission(m.operator)


def set_withdraw_address(m: pb.SetWithdrawAddress) -> SetWithdrawAddress:
    check_address("set_withdraw_address.delegator", m.delegator)
    check_address("set_withdraw_address.withdraw_address", m.withdraw_address)
    return SetWithdrawAddress(m.delegator, m.withdraw_address)


def fund_community_pool(m: pb.FundCommunityPool) -> FundCommunityPool:
    check_address("fund_community_pool.sender", m.sender)
    check_amount("fund_community_pool", m.amount)
    return FundCommunityPool(m.sender, m.amount)


def _stake(where: str, delegator: bytes, operator: bytes, amount: int) -> tuple[bytes, bytes, int]:
    check_address(f"{where}.delegator", delegator)
    check_address(f"{where}: the validator's operator", operator)
    check_amount(where, amount)
    return delegator, operator, amount


def _possessed(where: str, m: pb.CreateValidator | pb.RotateConsensusKey) -> None:
    check_consensus_key(where, m.consensus_key, m.possession, signed="possession")


def _moniker(where: str, moniker: str) -> None:
    if not 1 <= len(moniker.encode()) <= MONIKER_BYTES_MAX:
        raise InvalidField(f"{where}.moniker: 1 to {MONIKER_BYTES_MAX} bytes of UTF-8")


KINDS: Final = (
    Kind(
        "create_validator",
        create_validator,
        CreateValidator,
        CURRENCY,
        gas.GAS_VALIDATOR,
        consensus_key=lambda message: message.consensus_key,
    ),
    Kind("edit_validator", edit_validator, EditValidator, CURRENCY, gas.GAS_MESSAGE),
    Kind("delegate", delegate, Delegate, CURRENCY, gas.GAS_STAKE),
    Kind("undelegate", undelegate, Undelegate, CURRENCY, gas.GAS_STAKE + gas.GAS_LATER),
    Kind("cancel_unbonding", cancel_unbonding, CancelUnbonding, CURRENCY, gas.GAS_STAKE),
    Kind("redelegate", redelegate, Redelegate, CURRENCY, 2 * gas.GAS_STAKE + gas.GAS_LATER),
    Kind("unjail", unjail, Unjail, CURRENCY, gas.GAS_MESSAGE + 2 * gas.GAS_NEW_LEAF),
    Kind("withdraw_rewards", withdraw_rewards, WithdrawRewards, CURRENCY, gas.GAS_REWARDS),
    Kind("withdraw_commission", withdraw_commission, WithdrawCommission, CURRENCY, gas.GAS_REWARDS),
    Kind(
        "set_withdraw_address", set_withdraw_address, SetWithdrawAddress, CURRENCY, gas.GAS_MESSAGE + gas.GAS_NEW_LEAF
    ),
    Kind("fund_community_pool", fund_community_pool, FundCommunityPool, CURRENCY, 3 * gas.GAS_MESSAGE),
    Kind(
        "rotate_consensus_key",
        rotate_consensus_key,
        RotateConsensusKey,
        CURRENCY,
        gas.GAS_ROTATION,
        consensus_key=lambda message: message.consensus_key,
    ),
)
