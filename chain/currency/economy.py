"""The currency machine's economics as the application uses them: its part of a block, its genesis, its records.

A block begins with what the last one earned (mint, distribution), then punishes (liveness, evidence); it ends with the
set's changes and what matured. The order is part of the rules (Cosmos SDK v0.50, x/staking/README.md, End-Block).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from chain.currency.ledger import bank
from chain.currency.ledger import economic_params as params
from chain.currency.ledger import stake_records as records
from chain.currency.ledger.bank import BONDED_POOL, DISTRIBUTION, NOT_BONDED_POOL
from chain.currency.ledger.economic_params import STAKING, EconomicParams, StakingParams
from chain.currency.ledger.records import ACCOUNT, SUPPLY, Account, Supply
from chain.currency.ledger.stake_records import ACTIVE, BONDED, MINTER, ActiveSet, Minter, Now, Pulse
from chain.currency.rewards import distribution, mint
from chain.currency.staking import rotation, signing, slash, slashing, stake, valset
from chain.currency.staking.handlers import handlers, new_validator
from chain.currency.staking.invariants import invariants
from chain.kernel.branch import Branch, Decoders, Readable, Scan, State
from consensus.abci.interface import CommitInfo, Misbehavior, ValidatorUpdate

DECODERS: Final[Decoders] = {
    **params.DECODERS,
    **records.DECODERS,
    **distribution.DECODERS,
    **signing.DECODERS,
}
MODULE_ADDRESSES: Final = bank.MODULE_ADDRESSES
PUNISHED_PER_SLICE: Final = 10


class GenesisStake(NamedTuple):
    """A validator from the beginning, with what its operator delegates to it beside its balance. Rates are Decs."""

    operator: bytes
    consensus_key: bytes
    tokens: int
    moniker: str = ""
    commission_rate: int = 10**17
    commission_max_rate: int = 2 * 10**17
    commission_max_change_rate: int = 10**16
    min_self_delegation: int = 1

    @property
    def power(self) -> int:
        return self.tokens // records.POWER_UNIT


class Economy:
    """One for each application: it remembers the members of the last commit from block to block."""

    def __init__(self) -> None:
        self._members = slashing.Members()

    def begin_block(
        self, branch: Branch, scan: Scan, now: Now, *,
        last_commit: CommitInfo, misbehavior: Sequence[Misbehavior], proposer: bytes, items_max: int,
    ) -> Iterator[None]:  # fmt: skip
        """In slices. items_max: of those whom slashes reach."""
        votes = rotation.current_votes(branch, last_commit.votes)
        proposer = rotation.current(branch, proposer)
        self._members.follow(branch, votes, now)
        amount = mint.begin_block(branch, now) if votes else 0  # the initial height has no last commit
        distribution.begin_block(branch, votes, proposer, amount)
        begun: Counter[bytes] = Counter()
        yield from slashing.begin_block(branch, scan, votes, now, begun)
        for number, found in enumerate(misbehavior, start=1):
            slashing.punish(branch, found, now, begun)
            if number % PUNISHED_PER_SLICE == 0:
                yield
        yield from slash.go_on(branch, scan, now, items_max=items_max)

    def end_block(
        self, branch: Branch, scan: Scan, now: Now, *, upgraded: bool, items_max: int
    ) -> Generator[None, None, list[ValidatorUpdate]]:
        """What the engine must be told; in slices. upgraded: this block carried out an upgrade. items_max: of each
        queue."""
        slashing.params_changed(branch)
        if STAKING in branch.writes:
            yield from valset.raise_commissions(branch, scan, now)
        if upgraded:
            valset.retry_failed(branch, scan)
        return (yield from valset.end_block(branch, scan, now, items_max=items_max))


def leave_commit(branch: Branch, now: Now) -> None:
    """A chain ends, and another goes on from its state, maybe some heights later: nobody is in a commit until that has
    one, so that no height that never was counts as signed or missed. now: of the height after the last one."""
    slashing.Members().follow(branch, (), now)


def is_validator(state: Readable, address: bytes) -> bool:
    """Whether a validator, bonded or not, has that consensus address."""
    return state.get(records.CONSENSUS_KEY + address) is not None


def genesis(
    state: State, chosen: Mapping[str, EconomicParams], inflation: int, stakes: Sequence[GenesisStake], now: Now
) -> None:
    """The first state, after balances. stakes: checked. now: one before the first height."""
    params.set_all(state, chosen)
    supply = state.get(SUPPLY)
    total = sum(entry.tokens for entry in stakes)
    state.set(SUPPLY, Supply(supply.total + total, supply.collected_fees))
    state.set(MINTER, Minter(inflation, now.time_ns, supply.total + total))
    distribution.set_pulse(state, Pulse(inflation=inflation, last_time_ns=now.time_ns))
    for address, amount in ((BONDED_POOL, total), (NOT_BONDED_POOL, 0), (DISTRIBUTION, 0)):
        state.set(ACCOUNT + address, Account(address, amount))
    for entry in sorted(stakes):
        if state.get(ACCOUNT + entry.operator) is None:
            state.set(ACCOUNT + entry.operator, Account(entry.operator, 0))  # so that it can sign
        validator = new_validator(
            state, operator=entry.operator, consensus_key=entry.consensus_key, moniker=entry.moniker,
            rate=entry.commission_rate, max_rate=entry.commission_max_rate,
            max_change_rate=entry.commission_max_change_rate, min_self_delegation=entry.min_self_delegation, now=now,
        )  # fmt: skip
        stake.delegate(state, validator, delegator=entry.operator, amount=entry.tokens, now=now)
        validator = stake.require_validator(state, entry.operator)
        stake.put_validator(state, validator, validator._replace(status=BONDED))
        signing.bonded(state, validator.address, now.height)
    ranked = sorted((-entry.power, entry.operator) for entry in stakes)
    if ranked:
        state.set(ACTIVE, ActiveSet(tuple((operator, -power) for power, operator in ranked)))


__all__ = [
    "DECODERS",
    "MODULE_ADDRESSES",
    "Economy",
    "GenesisStake",
    "StakingParams",
    "genesis",
    "handlers",
    "invariants",
    "is_validator",
    "leave_commit",
]
