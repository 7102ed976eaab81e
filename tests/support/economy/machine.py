"""Random histories of staking, slashing and rewards, all invariants after every block."""

from __future__ import annotations

import random
import sys
from typing import Any

from chain.currency.ledger.bank import BONDED_POOL, DISTRIBUTION, NOT_BONDED_POOL
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams
from chain.currency.ledger.records import ACCOUNT
from chain.currency.ledger.stake_records import DELEGATION, STATUS_NAMES, UNBONDINGS
from chain.currency.rewards import distribution
from chain.tx.messages.economy import (
    CancelUnbonding,
    CreateValidator,
    Delegate,
    EditValidator,
    FundCommunityPool,
    Redelegate,
    SetWithdrawAddress,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
)
from crypto.keys import Ed25519PubKey
from tests.support.economy.world import SLASHING, STAKING, UNIT, World, consensus_key, possession

VALIDATORS = tuple(f"v{number}" for number in range(8))


AT_GENESIS = VALIDATORS[:5]


PEOPLE = ("ann", "bob", "carl", "dora")


STEPS_IN_CI = 250


PARAMS = (
    {"staking": {"unbonding_s": "600"}},
    {"staking": {"unbonding_s": "1500"}},
    {"staking": {"validators_max": "3"}},
    {"staking": {"validators_max": "6"}},
    {"staking": {"key_rotations_max": "0"}},
    {"staking": {"key_rotations_max": "3"}},
    {"slashing": {"missed_blocks_window": "6"}},
    {"slashing": {"missed_blocks_window": "14"}},
    {"slashing": {"min_signed_per_window": "0.3"}},
    {"slashing": {"slash_downtime": "0.033333333333333333"}},
    {"slashing": {"slash_double_sign": "0.777777777777777777"}},
    {"slashing": {"tombstone": "0"}},
    {"slashing": {"tombstone": "1"}},
    {"distribution": {"community_tax": "0.1", "fee_burn": "0.5"}},
    {"mint": {"inflation_min": "0", "inflation_max": "0"}},
    {"mint": {"inflation_max": "0.9", "inflation_min": "0.5"}},
)


class History:
    """One chain, and the random things that happen to it. chance: a generator of our own."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.world = World(
            {name: (90 + 7 * number) * UNIT + number for number, name in enumerate(AT_GENESIS)},
            {**dict.fromkeys(PEOPLE, 500 * UNIT + 3), **dict.fromkeys(VALIDATORS, 200 * UNIT)},
            staking=STAKING._replace(entries_max=3, validators_max=5, min_stake=UNIT),
            slashing=SLASHING._replace(missed_blocks_window=8),
            distribution=DistributionParams(), mint=MintParams(), inflation=ONE // 5,
            rates={"v0": ONE // 10, "v1": ONE, "v2": ONE // 3}, gas_price=100_000,
        )  # fmt: skip
        for name in VALIDATORS:
            self.world.keys.setdefault(name, consensus_key(name))
        self.codes: dict[int, int] = {}
        self.away: set[str] = set()
        self.seen: set[str] = set()

    # ------------------------------------------------------------------ one step

    def step(self) -> None:
        """A block with up to three transactions, and whatever else happens in it."""
        chance, world = self.chance, self.world
        txs = []
        for _ in range(chance.choice((0, 1, 1, 2, 3))):
            signer, message = chance.choice(self.MESSAGES)(self)
            txs.append(world.tx(signer, message))
        if chance.random() < 0.15:
            self.away = set(chance.sample(VALIDATORS, chance.randrange(3)))
        misbehavior = []
        if chance.random() < 0.03 and world.height > world.initial_height + 3:
            at = chance.randrange(max(world.initial_height, world.height - 8), world.height + 1)
            names = sorted(world.names(at))
            if names:
                misbehavior.append(world.double_sign(chance.choice(names), height=at, age_s=chance.choice((0, 5, 400))))
        if chance.random() < 0.04:
            world.param_changes[world.height + 1] = chance.choice(PARAMS)
        seconds = chance.choice((1, 1, 1, 3, 60, 700)) if chance.random() < 0.4 else 1
        before = self.total()
        response = world.block(*txs, absent=self.away, misbehavior=misbehavior, seconds=seconds)
        for result in response.tx_results:
            self.codes[result.code] = self.codes.get(result.code, 0) + 1
        self.check(before)

    def total(self) -> int:
        return distribution.total_supply(self.world.state)

    def check(self, before: int) -> None:
        """What the invariants do not say: nothing stays for ever in a pool that nobody owns, and the set is no more
        than allowed; the engine took every update (World would have raised)."""
        world = self.world
        current = world.sets[world.height + 2]
        assert len(current) >= 1
        for name in VALIDATORS:
            found = world.state.get(b"uv" + world.address(name))
            if found is not None:
                world.note_key(name, Ed25519PubKey(found.consensus_key))
                self.seen.add(STATUS_NAMES[found.status] + (" jailed" if found.jailed else ""))
        assert before > 0
        for pool in (BONDED_POOL, NOT_BONDED_POOL, DISTRIBUTION):
            assert world.state.get(ACCOUNT + pool).balance >= 0

    # ------------------------------------------------------------------ messages

    def person(self) -> tuple[str, bytes]:
        name = self.chance.choice((*PEOPLE, *PEOPLE, *VALIDATORS))
        return name, self.world.address(name)

    def operator(self) -> bytes:
        return self.world.address(self.chance.choice(VALIDATORS))

    def amount(self) -> int:
        return self.chance.choice((1, 2, 3, 7, 999, UNIT // 3, UNIT, 7 * UNIT + 1, 60 * UNIT))

    def held(self) -> tuple[str, bytes, bytes, int]:
        """A delegation that exists, and what it is worth: (who, address, operator, udchat)."""
        pairs = [key[len(DELEGATION) :] for key, _ in self.world.state.scan(DELEGATION)]
        pair = self.chance.choice(pairs)
        delegator, operator = pair[:20], pair[20:]
        name = next(name for name in self.world.wallets if self.world.address(name) == delegator)
        validator = self.world.state.get(b"uv" + operator)
        delegation = self.world.state.get(DELEGATION + pair)
        return name, delegator, operator, max(1, validator.tokens_of_trunc(delegation.shares) // ONE)

    def part(self, worth: int) -> int:
        return max(1, self.chance.choice((worth, worth, worth - 1, worth // 2, worth // 3, 1, self.amount())))

    def delegate(self) -> Any:
        name, me = self.person()
        return name, Delegate(me, self.operator(), self.amount())

    def undelegate(self) -> Any:
        name, me, operator, worth = self.held()
        return name, Undelegate(me, operator, self.part(worth))

    def redelegate(self) -> Any:
        name, me, operator, worth = self.held()
        others = [self.world.address(v) for v in VALIDATORS if self.world.address(v) != operator]
        return name, Redelegate(me, operator, self.chance.choice(others), self.part(worth))

    def cancel(self) -> Any:
        waiting = list(self.world.state.scan(UNBONDINGS))
        if not waiting:
            return self.delegate()
        key, record = self.chance.choice(waiting)
        operator, me = key[len(UNBONDINGS) : -20], key[-20:]
        name = next(name for name in self.world.wallets if self.world.address(name) == me)
        entry = self.chance.choice(record.entries)
        return name, CancelUnbonding(me, operator, self.part(max(1, entry.balance)), entry.creation_height)

    def create(self) -> Any:
        name = self.chance.choice(VALIDATORS)
        key = self.chance.choice((f"{name} {self.world.height}", name, self.chance.choice(VALIDATORS)))
        message = CreateValidator(
            self.world.address(name), consensus_key(key).bytes, name, ONE // 10, ONE, ONE, UNIT // 2,
            self.chance.choice((UNIT, 50 * UNIT, 110 * UNIT)), possession(key, self.world.address(name)),
        )  # fmt: skip
        return name, message

    def edit(self) -> Any:
        name = self.chance.choice(VALIDATORS)
        rate = self.chance.choice((0, ONE // 7, ONE))
        return name, EditValidator(self.world.address(name), commission_rate=rate)

    def rotate(self) -> Any:
        name = self.chance.choice(VALIDATORS)
        key = self.chance.choice((f"{name} {self.world.height}", f"{name} {self.world.height}", name, "v0 changed"))
        return name, self.world.rotation(name, key)

    def unjail(self) -> Any:
        name = self.chance.choice(VALIDATORS)
        return name, Unjail(self.world.address(name))

    def withdraw(self) -> Any:
        name, me, operator, _ = self.held()
        return name, WithdrawRewards(me, operator)

    def commission(self) -> Any:
        name = self.chance.choice(VALIDATORS)
        return name, WithdrawCommission(self.world.address(name))

    def address_set(self) -> Any:
        name, me = self.person()
        return name, SetWithdrawAddress(me, self.person()[1])

    def fund(self) -> Any:
        name, me = self.person()
        return name, FundCommunityPool(me, self.amount())

    MESSAGES = (
        delegate, delegate, delegate, undelegate, undelegate, undelegate, redelegate, redelegate, cancel, create,
        edit, rotate, rotate, unjail, unjail, withdraw, withdraw, commission, address_set, fund,
    )  # fmt: skip

    def close(self) -> None:
        """In the end everybody takes everything out; what is left is the pool's and dust."""
        world = self.world
        self.away = set()
        for _ in range(4):
            for key, _ in list(world.state.scan(DELEGATION)):
                me, operator = key[len(DELEGATION) : -20], key[-20:]
                name = next(name for name in world.wallets if world.address(name) == me)
                world.run(name, WithdrawRewards(me, operator))
            world.block(seconds=2_000)
        owed = sum(distribution.settled(world.state, validator).outstanding for _, validator in world.state.scan(b"uv"))
        commissions = sum(
            distribution.settled(world.state, validator).commission for _, validator in world.state.scan(b"uv")
        )
        assert owed - commissions < 10**9 * ONE


def run(steps: int, seed: int) -> History:
    history = History(seed)
    for step in range(steps):
        try:
            history.step()
        except BaseException:
            replay = f"python -m tests.support.economy.machine --steps {step + 1} --seed {seed}"
            sys.stdout.write(f"failed at step {step}; replay: {replay}\n")
            raise
    return history
