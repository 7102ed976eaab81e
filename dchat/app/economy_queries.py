"""Reading calls about stake, rewards and punishment, over one saved version, as dchat.v1 messages.

Lists are bounded; what comes after a name reads past everything before it, so call lists in a thread.
Source: proto/dchat/v1/staking_service.proto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.currency.ledger import bank, dec
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import slashing_of
from chain.currency.ledger.stake_records import (
    BY_DELEGATOR,
    BY_MOVER,
    BY_OPERATOR,
    CONSENSUS_KEY,
    DELEGATION,
    MINTER,
    REASON_NAMES,
    REDELEGATIONS,
    REWARDS,
    SLASHES,
    UNBONDINGS,
    VALIDATOR,
    Validator,
)
from chain.currency.rewards import distribution
from chain.currency.staking import rotation, signing, stake
from chain.currency.staking.signing import SigningInfo
from chain.currency.staking.valset import active_of
from chain.kernel.branch import Base
from chain.tx.codec import height_bytes
from crypto.hash import ADDRESS_BYTES as SIZE
from dchat.app.queries import Queries
from proto.dchat.v1 import staking_service_pb2 as pb

ROWS_MAX: Final = 100


class EconomyQueries:
    """height: 0 is the latest. Raises, in every call: VersionUnavailable."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def _open(self, height: int) -> tuple[int, Base]:
        view = self._queries.view(height)
        return view.version, self._queries.base_of(view)

    def validator(
        self, *, operator: bytes = b"", consensus_address: bytes = b"", height: int = 0
    ) -> pb.GetStakingValidatorResponse:
        """One of the two names it, also by a key that it had before; none of that name: an answer without it."""
        version, base = self._open(height)
        found = operator or base.get(CONSENSUS_KEY + rotation.current(base, consensus_address))
        validator = stake.validator_of(base, found) if found else None
        answer = pb.GetStakingValidatorResponse(height=version)
        if validator is not None:
            answer.validator.CopyFrom(_validator(base, validator, version))
        return answer

    def validators(
        self, *, status: int = 0, after: bytes = b"", limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListStakingValidatorsResponse:
        version, base = self._open(height)
        answer = pb.ListStakingValidatorsResponse(height=version)
        for _, validator in base.scan(VALIDATOR, _behind(VALIDATOR, after)):
            if status in (0, validator.status):
                answer.validators.append(_validator(base, validator, version))
                if len(answer.validators) == limit:
                    break
        return answer

    def delegations(
        self, *, delegator: bytes = b"", operator: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX,
        height: int = 0,
    ) -> pb.ListDelegationsResponse:  # fmt: skip
        """Of a delegator, or of a validator, or the one of both."""
        version, base = self._open(height)
        answer = pb.ListDelegationsResponse(height=version)
        for who, whom in _pairs(base, delegator, operator, after, by_delegator=DELEGATION, by_operator=BY_OPERATOR):
            delegation = stake.delegation_of(base, who, whom)
            validator = stake.validator_of(base, whom)
            if delegation is None or validator is None:
                continue
            worth = validator.tokens_of_trunc(delegation.shares) // ONE
            answer.delegations.add(delegator=who, operator=whom, shares=dec.text(delegation.shares), amount=worth)
            if len(answer.delegations) == limit:
                break
        return answer

    def unbondings(
        self, *, delegator: bytes = b"", operator: bytes = b"", after: bytes = b"", limit: int = ROWS_MAX,
        height: int = 0,
    ) -> pb.ListUnbondingsResponse:  # fmt: skip
        """Of a delegator, or of a validator, or the one of both."""
        version, base = self._open(height)
        answer = pb.ListUnbondingsResponse(height=version)
        for who, whom in _pairs(base, delegator, operator, after, by_delegator=BY_DELEGATOR, by_operator=UNBONDINGS):
            waiting = base.get(UNBONDINGS + whom + who)
            if waiting is None:
                continue
            row = answer.unbondings.add(delegator=who, operator=whom)
            for entry in waiting.entries:
                row.entries.add(
                    creation_height=entry.creation_height, completion_time_ns=entry.completion_ns,
                    initial_balance=entry.initial_balance, balance=entry.balance,
                )  # fmt: skip
            if len(answer.unbondings) == limit:
                break
        return answer

    def redelegations(
        self, delegator: bytes, *, limit: int = ROWS_MAX, height: int = 0
    ) -> pb.ListRedelegationsResponse:
        version, base = self._open(height)
        answer = pb.ListRedelegationsResponse(height=version)
        prefix = BY_MOVER + delegator
        for key, _ in base.scan(prefix):
            destination, source = key[len(prefix) : -SIZE], key[-SIZE:]
            waiting = base.get(REDELEGATIONS + source + delegator + destination)
            assert waiting is not None, "what a mover is known by stands beside the record"
            for entry in waiting.entries:
                answer.redelegations.add(
                    delegator=delegator, source=source, destination=destination,
                    creation_height=entry.creation_height, completion_time_ns=entry.completion_ns,
                    initial_balance=entry.initial_balance, shares_dst=dec.text(entry.shares_dst),
                )  # fmt: skip
            if len(answer.redelegations) >= limit:
                break
        return answer

    def rewards(self, delegator: bytes, *, operator: bytes = b"", height: int = 0) -> pb.GetRewardsResponse:
        """What a withdrawal now would be cut from."""
        version, base = self._open(height)
        withdraw_address = distribution.withdraw_address(base, delegator)
        answer = pb.GetRewardsResponse(height=version, withdraw_address=withdraw_address)
        for key, delegation in base.scan(DELEGATION + delegator + operator):
            validator = stake.require_validator(base, key[-SIZE:])
            earned = distribution.earned(base, validator, delegation)
            answer.rewards.add(operator=validator.operator, amount=dec.text(earned))
            if len(answer.rewards) == ROWS_MAX:
                break
        return answer

    def slashes(self, operator: bytes, *, limit: int = ROWS_MAX, height: int = 0) -> pb.ListSlashesResponse:
        """The latest, newest first."""
        version, base = self._open(height)
        answer = pb.ListSlashesResponse(height=version)
        record = base.get(REWARDS + operator)
        count = record.slash_count if record is not None else 0
        for number in range(count - 1, max(-1, count - 1 - limit), -1):
            event = base.get(SLASHES + operator + height_bytes(number))
            answer.slashes.add(
                height=event.height, reason=REASON_NAMES[event.reason], fraction=dec.text(event.fraction),
                burned=event.burned,
            )  # fmt: skip
        return answer

    def pools(self, height: int = 0) -> pb.GetStakingPoolsResponse:
        version, base = self._open(height)
        minter = base.get(MINTER)
        assert minter is not None, "a chain with an economy has one"
        pulse = distribution.pulse_of(base)
        return pb.GetStakingPoolsResponse(
            height=version,
            bonded=bank.held(base, bank.BONDED_POOL),
            not_bonded=bank.held(base, bank.NOT_BONDED_POOL),
            supply=distribution.total_supply(base),
            community_pool=dec.text(distribution.pool_of(base).amount),
            distribution_balance=distribution.balance(base),
            inflation=dec.text(pulse.inflation),
            minted=str(minter.minted + pulse.minted),
            burned=str(minter.burned + pulse.burned),
            active_validators=len(active_of(base).members),
        )


def _validator(base: Base, validator: Validator, height: int) -> pb.ValidatorInfo:
    rewards = distribution.settled(base, validator)
    shown = pb.ValidatorInfo(
        operator=validator.operator, consensus_address=validator.address, consensus_key=validator.consensus_key,
        moniker=validator.moniker, status=validator.status,  # type: ignore[arg-type]  # the enum's number
        jailed=validator.jailed, tokens=validator.tokens, shares=dec.text(validator.shares), power=validator.power,
        commission_rate=dec.text(validator.rate), commission_max_rate=dec.text(validator.max_rate),
        commission_max_change_rate=dec.text(validator.max_change_rate),
        commission_time_ns=validator.commission_time_ns, min_self_delegation=validator.min_self_delegation,
        unbonding_height=validator.unbonding_height, unbonding_time_ns=validator.unbonding_time_ns,
        commission=dec.text(rewards.commission), outstanding=dec.text(rewards.outstanding),
        slashes_waiting=validator.slashes_waiting,
    )  # fmt: skip
    for one in rotation.rotations_of(base, validator.operator):
        shown.rotations.add(address=one.address, height=one.height, time_ns=one.time_ns)
    info = signing.info_of(base, validator.address)
    if info is not None:
        shown.signing.CopyFrom(_signing(base, info, height))
    return shown


def _signing(base: Base, info: SigningInfo, height: int) -> pb.SigningState:
    params = slashing_of(base)
    at = info.offset_at(height) if 0 < info.counted_since <= height else info.offset - 1
    return pb.SigningState(
        start_height=info.start_height,
        missed_in_window=info.missed(at, params.missed_blocks_window),
        window=params.missed_blocks_window,
        missed_max=params.missed_max,
        missed_total=info.total_at(height),
        tombstoned=info.tombstoned,
        jailed_until_time_ns=info.jailed_until_ns,
    )


def _pairs(
    base: Base, delegator: bytes, operator: bytes, after: bytes, *, by_delegator: bytes, by_operator: bytes
) -> Iterator[tuple[bytes, bytes]]:
    """(delegator, operator), in order of the one that is not given, above `after`; of both, the one that they name."""
    if operator and delegator:
        if delegator > after and any(True for _ in base.scan(by_operator + operator + delegator)):
            yield delegator, operator
        return
    prefix = by_operator + operator if operator else by_delegator + delegator
    for key, _ in base.scan(prefix, _behind(prefix, after)):
        found = key[len(prefix) :]
        yield (found, operator) if operator else (delegator, found)


def _behind(prefix: bytes, after: bytes) -> bytes:
    """Where a list goes on: the least key above; what is before it is not read again for each page."""
    return prefix + after + b"\x00" if after else b""


__all__ = ["ROWS_MAX", "EconomyQueries"]
