"""The economics alone, on a branch over nothing: for the sheet's examples, in whatever numbers they have.

Nothing here is a transaction: the functions of the machine are called as blocks and handlers call them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chain.currency import economy
from chain.currency import machine as currency
from chain.currency.economy import GenesisStake
from chain.currency.ledger import bank
from chain.currency.ledger import economic_params as params
from chain.currency.ledger.bank import BONDED_POOL, DISTRIBUTION, NOT_BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams, SlashingParams, StakingParams
from chain.currency.ledger.records import SUPPLY, CurrencyParams, Supply
from chain.currency.ledger.stake_records import (
    MINTER,
    REASON_DOWNTIME,
    UNBONDINGS,
    Delegation,
    Now,
    Unbonding,
    Validator,
)
from chain.currency.rewards import distribution
from chain.currency.staking import signing, slash, stake, valset
from chain.currency.staking.valset import active_of
from chain.kernel.branch import Branch
from consensus.abci.interface import ValidatorUpdate, VoteInfo
from crypto.hash import ADDRESS_BYTES, sha256
from tests.support.chain.harness import drain


def address(name: str) -> bytes:
    return sha256(name.encode())[:ADDRESS_BYTES]


class Sandbox:
    """validators: name -> tokens. Heights and times as the test sets them; a block's end is `end`."""

    def __init__(
        self,
        validators: Mapping[str, int],
        *,
        rates: Mapping[str, int] | None = None,
        tax: int = 0,
        slashing: SlashingParams | None = None,
        staking: StakingParams | None = None,
    ) -> None:
        self.branch = Branch(lambda key: None)
        currency.genesis(self.branch, CurrencyParams(0, 100), {address("bank"): 10**18})
        stakes = [
            GenesisStake(address(name), sha256(name.encode()), tokens, name, (rates or {}).get(name, 0), ONE, ONE, 1)
            for name, tokens in validators.items()
        ]
        chosen: dict[str, Any] = {
            "staking": staking or StakingParams(min_stake=1, min_self_delegation=1, unbonding_s=1_000),
            "slashing": slashing or SlashingParams(),
            "distribution": DistributionParams(tax, 0, 0, 0),
            "mint": MintParams(),
        }
        self.now = Now(0, 0)
        economy.genesis(self.branch, chosen, 0, stakes, self.now)

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        """What a block's begin would see: everything so far is saved."""
        writes = self.branch.writes
        found = [key for key in sorted(writes) if key.startswith(prefix) and key >= start and writes[key] is not None]
        return iter([(key, writes[key]) for key in found])

    def at(self, height: int, time_s: int | None = None) -> None:
        self.now = Now(height, (height if time_s is None else time_s) * 10**9)

    def end(self) -> list[ValidatorUpdate]:
        return drain(valset.end_block(self.branch, self.scan, self.now))  # type: ignore[no-any-return]

    def laws(self) -> None:
        for name, holds, detail in economy.invariants(self.branch, self.scan):
            assert holds, (name, detail)
        for name, holds, detail in currency.invariants(self.branch, self.scan):
            assert holds, (name, detail)

    def laws_but_the_set(self) -> None:
        """Within a block: the set follows at its end."""
        for name, holds, detail in economy.invariants(self.branch, self.scan):
            assert holds or name.startswith("staking: the set"), (name, detail)

    # ------------------------------------------------------------------ acts

    def fund(self, pool: bytes, amount: int) -> None:
        """Out of nothing, and counted."""
        supply: Supply = self.branch.get(SUPPLY)
        self.branch.set(SUPPLY, Supply(supply.total + amount, supply.collected_fees))
        bank.credit(self.branch, pool, amount)
        bank.count(self.branch, minted=amount)

    def delegate(self, delegator: str, name: str, amount: int) -> int:
        validator = self.validator(name)
        bank.move(self.branch, sender=address("bank"), recipient=stake.pool_of_status(validator.status), amount=amount)
        return stake.delegate(self.branch, validator, delegator=address(delegator), amount=amount, now=self.now)

    def undelegate(self, delegator: str, name: str, amount: int) -> int:
        tokens, _ = stake.undelegate(
            self.branch, delegator=address(delegator), operator=address(name), amount=amount, now=self.now
        )
        return tokens

    def redelegate(self, delegator: str, source: str, destination: str, amount: int) -> int:
        tokens, _ = stake.redelegate(
            self.branch, delegator=address(delegator), source=address(source), destination=address(destination),
            amount=amount, now=self.now,
        )  # fmt: skip
        return tokens

    def slash(self, name: str, *, height: int, power: int, fraction: int) -> int:
        """Returns what was burned of its own tokens."""
        before = self.begin_slash(name, height=height, power=power, fraction=fraction)
        self.go_on(100)
        return before.tokens - self.validator(name).tokens

    def begin_slash(self, name: str, *, height: int, power: int, fraction: int) -> Validator:
        return slash.begin(
            self.branch, self.validator(name), height=height, power=power, fraction=fraction, reason=REASON_DOWNTIME,
            now=self.now,
        )  # fmt: skip

    def go_on(self, items_max: int) -> None:
        """Let the slash be done in as many blocks as it takes."""
        while slash.line_of(self.branch) is not None:
            drain(slash.go_on(self.branch, self.scan, self.now, items_max=items_max))

    def votes(self, **powers: int) -> list[VoteInfo]:
        return [VoteInfo(self.validator(name).address, power, 2) for name, power in powers.items()]

    def allocate(self, fees: int, **powers: int) -> int:
        """Fees to the last commit's members; what is left goes to the pool, as in a block. Returns the pool, a Dec."""
        votes = self.votes(**powers)
        known = distribution.slots_of(self.branch).index
        joined = [vote.address for vote in votes if vote.address not in known]
        if joined:
            distribution.change_slots(self.branch, joined=joined, left=frozenset())
            for one in joined:
                signing.begin_counting(self.branch, one, max(1, self.now.height))
        supply: Supply = self.branch.get(SUPPLY)
        self.branch.set(SUPPLY, Supply(supply.total + fees, supply.collected_fees))
        bank.count(self.branch, minted=fees)
        distribution.begin_block(self.branch, votes, b"", fees)
        return distribution.pool_of(self.branch).amount

    def withdraw(self, delegator: str, name: str) -> int:
        validator = self.validator(name)
        delegation = self.delegation(delegator, name)
        assert delegation is not None
        paid = distribution.withdraw(self.branch, validator, address(delegator), delegation)
        again = distribution.start(self.branch, validator, delegation.shares, self.now)
        stake.put_delegation(self.branch, address(delegator), address(name), again)
        return paid

    # ------------------------------------------------------------------ reading

    def validator(self, name: str) -> Validator:
        return stake.require_validator(self.branch, address(name))

    def delegation(self, delegator: str, name: str) -> Delegation | None:
        return stake.delegation_of(self.branch, address(delegator), address(name))

    def earned(self, delegator: str, name: str) -> int:
        delegation = self.delegation(delegator, name)
        assert delegation is not None
        return distribution.earned(self.branch, self.validator(name), delegation)

    def rewards(self, name: str) -> Any:
        return distribution.settled(self.branch, self.validator(name))

    def unbonding(self, delegator: str, name: str) -> list[int]:
        """The entries' balances."""
        found: Unbonding | None = self.branch.get(UNBONDINGS + address(name) + address(delegator))
        return [entry.balance for entry in found.entries] if found is not None else []

    @property
    def pools(self) -> tuple[int, int]:
        """(bonded, not bonded)."""
        return bank.held(self.branch, BONDED_POOL), bank.held(self.branch, NOT_BONDED_POOL)

    def set_params(self, **changes: Mapping[str, str]) -> None:
        """module -> name -> text, as governance would."""
        params.set_all(self.branch, params.changed(self.branch, changes))


__all__ = ["DISTRIBUTION", "MINTER", "Sandbox", "active_of", "address"]
