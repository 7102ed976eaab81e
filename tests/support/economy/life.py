"""A chain's life by chance: people delegate, vote, pay, chat and agree; validators fail and cheat; time jumps.

Each step is a block. After it all invariants are checked, the models of `tests.support.economy.shadow` are compared,
and a twin (another application, on its own database, started anew now and then, which only ever executes what was
decided) must have the same app hash. Everything follows from the seed.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any, Final

from bridge.guardians import recoveries_of
from chain.app_state.document import BridgeGenesis, ChatGenesis, CurrencyGenesis
from chain.app_state.governance_params import GovernanceParams
from chain.chat.ballots import DEPOSIT, PROPOSAL, STATUS_NAMES, VOTING, Proposal
from chain.chat.channels.records import CHANNEL
from chain.chat.identities.devices import DEVICE
from chain.chat.identities.prekeys import PREKEY
from chain.chat.identities.profiles import BLOCK
from chain.chat.ledger.records import IDENTITY
from chain.currency import machine as currency
from chain.currency.grants.authorisations import AUTHORISATION
from chain.currency.grants.fee_grants import FEE_GRANT
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams, SlashingParams, StakingParams
from chain.currency.ledger.stake_records import CONSENSUS_KEY, DELEGATION, UNBONDINGS, VALIDATOR, Validator
from chain.currency.staking import stake
from chain.currency.staking.rotation import current
from chain.currency.staking.valset import active_of
from chain.currency.vesting.vesting import VESTINGS
from chain.state.store import Stores
from chain.tx.envelope.build import Shared, lane_of
from chain.tx.messages import (
    KIND_OF,
    KINDS,
    LANE_BRIDGE,
    LANE_CHAT,
    LANE_NAMES,
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Message,
    Output,
    PayMany,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterBurner,
    RegisterIdentity,
    Tip,
    channel_id,
    kinds_of,
)
from chain.tx.messages.chat import (
    AddDevice,
    BlockIdentity,
    ClaimPrekey,
    PublishPrekeys,
    RevokeDevice,
    SetProfile,
    UnblockIdentity,
)
from chain.tx.messages.economy import (
    CancelUnbonding,
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
)
from chain.tx.messages.governance import (
    OPTIONS,
    WHOLE,
    AddDeposit,
    CancelProposal,
    ChangeParams,
    ParamChange,
    SpendTreasury,
    SubmitProposal,
    Vote,
    VoteWeighted,
)
from chain.tx.messages.grants import (
    INNER,
    INNER_OF,
    SPENDING,
    Authorise,
    Exec,
    GrantFees,
    RevokeAuthorisation,
    RevokeFeeGrant,
)
from chain.tx.messages.keys import RotateKeys
from chain.tx.messages.payments import ClaimVested, ClawBack, CreateVesting
from consensus.abci.interface import BlockRequest, FinalizeBlockResponse, Misbehavior, MisbehaviorType
from crypto.hash import ADDRESS_BYTES as SIZE
from dchat.app.app import DchatApplication
from storage.memory import MemoryStore
from tests.support.chain.harness import SECOND_NS, drain, wallet
from tests.support.chain.identities import published
from tests.support.chain.keys import rotation, shared, signed
from tests.support.economy.allowances import about_allowance, paying_channel
from tests.support.economy.channels import about_channel
from tests.support.economy.deals import about_deals
from tests.support.economy.guards import about_guardians
from tests.support.economy.judged import about_reputation
from tests.support.economy.money import about_denominations, about_orders, about_requests
from tests.support.economy.shadow import Differs, Shadow
from tests.support.economy.upgrades import about_upgrades
from tests.support.economy.world import DCHAT, UNIT, World, consensus_key, possession

OPERATORS: Final = tuple(f"v{number}" for number in range(5))
PEOPLE: Final = tuple(f"p{number}" for number in range(9))
NAMES: Final = (*OPERATORS, *PEOPLE)
AUTHORITY: Final = "authority"  # sets upgrade plans, and does nothing else
EVIDENCE_AGE_S: Final = 400

STAKING = StakingParams(unbonding_s=600, validators_max=5, entries_max=3, min_stake=UNIT, min_self_delegation=DCHAT)
SLASHING = SlashingParams(
    missed_blocks_window=12, downtime_jail_s=40, double_sign_jail_s=90, tombstone=0, evidence_age_s_max=EVIDENCE_AGE_S
)
MINT = MintParams(blocks_per_year=200_000)
GOVERNANCE = GovernanceParams(
    min_deposit=DCHAT, expedited_min_deposit=3 * DCHAT, deposit_period_s=60, voting_period_s=45,
    expedited_voting_period_s=20, quorum=ONE // 5, votes_kept_s=100,
)  # fmt: skip

# What a passed proposal may set; each valid by itself or refused when it is proposed.
CHANGES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("staking", "validators_max"): ("3", "5", "6"),
    ("staking", "unbonding_s"): ("450", "600", "1200"),
    ("staking", "entries_max"): ("1", "3", "7"),
    ("slashing", "missed_blocks_window"): ("5", "12", "30"),
    ("slashing", "min_signed_per_window"): ("0.5", "0.25", "0.9"),
    ("slashing", "slash_double_sign"): ("0.05", "0.333333333333333333", "0.9"),
    ("slashing", "slash_downtime"): ("0.01", "0.000000000000000001", "0.1"),
    ("slashing", "tombstone"): ("0", "1"),
    ("distribution", "community_tax"): ("0.02", "0", "0.1"),
    ("distribution", "fee_burn"): ("0.2", "0", "1"),
    ("distribution", "bonus_proposer_reward"): ("0.04", "0"),
    ("mint", "inflation_max"): ("0.2", "0.5"),
    ("governance", "quorum"): ("0.2", "0.05"),
    ("chat", "lent_messages"): ("2000", "0", "1000000"),
    ("chat", "refill_period_s"): ("60", "10"),
}
CHANNELS_MAX: Final = 30  # there are ever more, or a long life would create none
BLOCKS_A_CHANNEL: Final = 80
LONG_BLOCKS: Final = 990  # until what is unordered expires: nearly the longest
FAILS_FOR_ONE: Final = 8  # what fails so often counts as seen once, or what cannot be would be all that is tried


class Life(World):
    """`step` lives through one block. tried: (kind of message, "ok" or the error) -> how often; of a transaction that
    failed, under its last kind. favoured: of so many that come to mind it does half the time what it saw least."""

    favoured = 8

    def __init__(self, seed: int, *, twin: bool = True) -> None:
        self.rng = random.Random(seed)
        rng = self.rng
        super().__init__(
            {name: rng.randrange(2, 30) * UNIT + rng.randrange(UNIT) for name in OPERATORS},
            {name: rng.randrange(1, 20) * UNIT + rng.randrange(UNIT) for name in (*NAMES, AUTHORITY)},
            staking=STAKING, slashing=SLASHING, distribution=DistributionParams(), mint=MINT, inflation=ONE // 5,
            rates={"v0": ONE // 10, "v1": ONE // 3, "v2": ONE}, check=False, governance=GOVERNANCE,
            currency=CurrencyGenesis(gas_price=100_000),
            bridge=BridgeGenesis(receipt_blocks=50), gas_price=100_000,
            chat=ChatGenesis(refill_period_s=60, unlock_delay_s=60), upgrade_authority=AUTHORITY,
        )  # fmt: skip
        self.tried: Counter[tuple[str, str]] = Counter()
        self.seen: Counter[str] = Counter()
        self._shown: Counter[str] = Counter()  # kind -> how often, in eighths: see FAILS_FOR_ONE
        self.down: dict[str, int] = {}  # key's label -> last height that it misses
        self._used: set[tuple[str, int]] = set()  # evidence that was committed
        self._policies: dict[bytes, tuple[int, list[str]]] = {}  # that somebody changed to: who signs, and how many
        self._times: dict[int, int] = {}  # height -> block time
        self._last_request: BlockRequest | None = None
        self._shadow = Shadow(self.app)
        self._twin_db = MemoryStore() if twin else None
        if self._twin_db is not None:
            self._twin = DchatApplication(Stores(self._twin_db))
            self._twin.init_chain(self.init_request)

    # ------------------------------------------------------------------ a block

    def request(self, txs: Any, **options: Any) -> BlockRequest:
        self._last_request = super().request(txs, **options)
        return self._last_request

    def step(self) -> None:
        rng = self.rng
        seconds = rng.choice((0, 1, 1, 2, 3)) if rng.random() < 0.93 else rng.choice((30, 95, 500, 1_300))
        txs = self._transactions()
        evidence = self._evidence(seconds)
        before = self.balances()
        response = self.block(
            *self.prepare(*[raw for raw, _ in txs], time_ns=self.time_ns + seconds * SECOND_NS),
            absent=self._absent(),
            misbehavior=evidence,
            seconds=seconds,
        )
        kinds = dict(txs)
        request = self._last_request
        assert request is not None
        for raw, result in zip(request.txs, response.tx_results, strict=True):
            names = kinds[raw].split("+")
            for name in names[-1:] if result.code else names:
                self.told(name, f"{result.codespace} {result.code}" if result.code else "ok")
        self.seen["refused before the block"] += len(txs) - len(request.txs)
        self.seen["evidence"] += len(evidence)
        self.seen["updates of the set"] += len(response.validator_updates)
        self._times[self.height] = self.time_ns
        self.assert_told(before, request.txs, response)
        self.check(request, response)

    def told(self, name: str, verdict: str) -> None:
        """name: of a kind."""
        self.tried[name, verdict] += 1
        self._shown[name] += FAILS_FOR_ONE if verdict == "ok" else 1

    @property
    def succeeded(self) -> set[str]:
        """Kinds of messages."""
        return {name for name, verdict in self.tried if verdict == "ok"}

    @property
    def proposals_decided(self) -> dict[str, int]:
        """Status -> how many."""
        return dict(Counter(STATUS_NAMES[status] for status in self._shadow.ballots.decided.values()))

    def check(self, request: BlockRequest, response: FinalizeBlockResponse) -> None:
        """Raises Differs."""
        if broken := self.laws():
            raise Differs(f"height {self.height}: {broken}")
        self._shadow.block(request)
        self.seen["jailed for misses"] += len(self._shadow.misses.jailed)
        following = self.sets[self.height + 2]
        active = {
            self.state.get(CONSENSUS_KEY + current(self.state, key.address)): power
            for key, power in zip(following.pub_keys, following.powers, strict=True)
        }
        if active != dict(active_of(self.state).members):
            raise Differs(f"height {self.height}: the engine's set is not the machine's")
        if self._twin_db is not None:
            self._follow(request, response)

    def _follow(self, request: BlockRequest, response: FinalizeBlockResponse) -> None:
        assert self._twin_db is not None
        if self.rng.random() < 0.05:
            self._twin = DchatApplication(Stores(self._twin_db))
            self.seen["restarts of the twin"] += 1
        theirs = drain(self._twin.finalize_block(request))
        self._twin.commit()
        if (theirs.tx_results, theirs.events) != (response.tx_results, response.events):
            raise Differs(f"height {self.height}: the twin has other results or events")
        if self._twin.stores.app_hash != self.app.stores.app_hash:
            raise Differs(f"height {self.height}: the twin has another app hash")
        if self.height % 20 == 0:
            for stores in (self.app.stores, self._twin.stores):
                stores.prune(self.height - 5)

    def _absent(self) -> list[str]:
        """Labels of keys. Some are away for a block, some for many; never those of two thirds."""
        rng = self.rng
        for label in sorted(self.names(max(1, self.height))):
            if label not in self.down and rng.random() < 0.03:
                self.down[label] = self.height + rng.choice((1, 1, 3, 8, 14, 40))
        self.down = {label: until for label, until in self.down.items() if until > self.height}
        return sorted(self.down)

    def _evidence(self, seconds: int) -> list[Misbehavior]:
        rng = self.rng
        found = []
        while rng.random() < 0.012 and self.height > 2:
            height = max(1, self.height - rng.choice((0, 0, 1, 2, 5, 20)))
            label = rng.choice(sorted(self.names(height)))
            age_s = (self.time_ns - self._times[height]) // SECOND_NS
            if (label, height) in self._used or age_s + seconds > EVIDENCE_AGE_S:
                break
            self._used.add((label, height))
            made = self.double_sign(label, height=height, age_s=age_s)
            if rng.random() < 0.3:
                made = replace(made, type=MisbehaviorType.LIGHT_CLIENT_ATTACK)
            found.append(made)
        return found

    # ------------------------------------------------------------------ what people do

    def _transactions(self) -> list[tuple[bytes, str]]:
        """(transaction, its messages' names), at most one a person: each with its sequence from the state."""
        rng = self.rng
        people = rng.sample(NAMES, rng.choice((0, 1, 2, 3, 5)))
        found = []
        for name in filter(self.is_free, people):
            alone = (1, 1, 1, 2) if self._identity(name) is not None else (1, 1, 1, 1, 1, 1, 1, 2)
            messages = [self._message(name) for _ in range(rng.choice(alone))]
            chosen = [message for message in messages if message is not None]
            if chosen and len({type(message) for message in chosen}) == len(chosen) and _fit(chosen):
                found.append((self._sign(name, chosen), "+".join(KIND_OF[type(m)].name for m in chosen)))
        if rng.random() < 0.02 and self.is_free(AUTHORITY):
            plan = about_upgrades(self, AUTHORITY, NAMES)
            found.append((self._sign(AUTHORITY, [plan]), KIND_OF[type(plan)].name))
        return found

    def is_free(self, name: str) -> bool:
        """Whether they do something in the next block."""
        return True

    def _sign(self, name: str, messages: list[Message]) -> bytes:
        lane = lane_of(messages)
        address = self.address(name)
        record = self._identity(name) if lane == LANE_CHAT else currency.account_of(self.state, address)
        sequences = dict(record.sequences) if record is not None else {}
        granter = self._granter(name) if lane != LANE_CHAT else paying_channel(self, messages)
        until = self._expiry(name) if lane == LANE_BRIDGE else {}
        if record is not None and record.policy in self._policies:
            needed, holders = self._policies[record.policy]
            mine = Shared(record.policy, wallet(self.rng.choice(holders)).public_key, address)
            following = sequences.get(mine.public_key, sequences.get(b"", 0)) if lane != LANE_BRIDGE else None
            by = " ".join(self.rng.sample(holders, needed))
            return signed(
                self, mine, by, *messages, sequence=following, with_policy=False, lane=lane, fee_granter=granter,
                **until,
            )  # fmt: skip
        key = self.wallets[name].public_key
        self.sequences[name, LANE_NAMES[lane]] = sequences.get(key, sequences.get(b"", 0))
        return self.tx(
            name, *messages, lane=lane if lane != LANE_BRIDGE else None, with_policy=b"" not in sequences,
            fee_granter=granter, **until,
        )  # fmt: skip

    def _expiry(self, name: str) -> dict[str, int]:
        """Whose burner ended lately signs for longer, or is refused: it might have signed before."""
        again = (identity := self._identity(name)) is not None and identity.before_height
        return {"expiry_height": self.height + LONG_BLOCKS} if again and self.rng.random() < 0.9 else {}

    def rotation_of(self, name: str) -> RotateKeys:
        """To one key or several, new or known, its first one too; now and then to what it has, or unproved."""
        rng, address = self.rng, self.address(name)
        holders = rng.sample([name, *[f"{name}:{number}" for number in range(3)]], rng.choice((1, 1, 2, 3)))
        needed = rng.randrange(1, len(holders) + 1)
        policy = wallet(holders[0]).policy if len(holders) == 1 else shared(needed, *holders).policy
        self._policies[policy] = needed, holders
        message = rotation(address, policy, holders)
        return message if rng.random() < 0.9 else message._replace(possessions=(bytes(64),) * len(holders))

    def _identity(self, name: str) -> Any:
        return self.state.get(IDENTITY + self.address(name))

    def _message(self, name: str) -> Message | None:
        if self.rng.random() < 0.5:
            return self._any_message(name)
        drawn = [self._any_message(name) for _ in range(self.favoured)]
        return min(filter(None, drawn), key=lambda one: self._shown[KIND_OF[type(one)].name], default=None)

    def _any_message(self, name: str) -> Message | None:
        message = self._plain_message(name)
        if message is not None and type(message) in INNER_OF and self.rng.random() < 0.1:
            return self._in_anothers_name(name, message)
        return message

    def _in_anothers_name(self, name: str, own: Message) -> Message:
        """The like of `own`, of somebody who authorised `name`, where there is one; else an authorisation for it."""
        rng, who = self.rng, self.address(name)
        every = [key[len(AUTHORISATION) :] for key, _ in self.state.scan(AUTHORISATION)]
        let = [at for at in every if at[SIZE : 2 * SIZE] == who]
        if let and rng.random() < 0.8:
            at = rng.choice(let)
            granter, kind = at[:SIZE], INNER[at[2 * SIZE :].decode()]
            theirs = next(other for other in NAMES if self.address(other) == granter)
            made = [self._plain_message(theirs) for _ in range(40)]
            fitting = [message for message in made if message is not None and KIND_OF[type(message)] is kind]
            if fitting:
                return Exec(who, granter, tuple(fitting[: rng.choice((1, 2))]))
        other = self.address(rng.choice([other for other in NAMES if other != name]))
        mine = [at[SIZE:] for at in every if at[:SIZE] == who]
        if mine and rng.random() < 0.3:
            at = rng.choice(mine)
            return RevokeAuthorisation(who, at[:SIZE], at[SIZE:].decode())
        name_of_kind = KIND_OF[type(own)].name
        limit = rng.choice((DCHAT, UNIT)) if name_of_kind in SPENDING else 0
        return Authorise(who, other, name_of_kind, self.time_ns + rng.choice((20, 5_000)) * SECOND_NS, limit)

    def _plain_message(self, name: str) -> Message | None:
        rng = self.rng
        if self._identity(name) is None and rng.random() < 0.3:
            return self._about_chat(name)
        if recoveries_of(self.state, self.address(name)) and rng.random() < 0.2:
            return about_guardians(self, name, NAMES)
        if rng.random() < 0.3 and (found := about_channel(self, self.address(name), NAMES)) is not None:
            return found
        if rng.random() < 0.1 and (found := about_allowance(self, self.address(name))) is not None:
            return found
        if rng.random() < 0.08 and (found := about_reputation(self, self.address(name))) is not None:
            return found
        if rng.random() < 0.06:
            return self._about_chat(name)
        if rng.random() < 0.01:
            return about_upgrades(self, name, NAMES)
        draw = rng.random()
        if draw < 0.39:
            return self._about_stake(name)
        if draw < 0.56:
            return self._about_governance(name)
        if draw < 0.64:
            return self._about_vesting(name) if rng.random() < 0.4 else self._about_grants(name)
        if draw < 0.82:
            units, asked, orders = self._about_denominations, self._about_requests, self._about_orders
            return rng.choice((self._payment, units, units, asked, asked, orders, orders))(name)
        if draw < 0.90:
            return about_deals(self, name, NAMES)
        if draw < 0.94:
            return about_guardians(self, name, NAMES)
        return self._about_chat(name)

    def _about_denominations(self, name: str) -> Message:
        return about_denominations(self, name, NAMES)

    def _about_requests(self, name: str) -> Message:
        return about_requests(self, name, NAMES)

    def _about_orders(self, name: str) -> Message:
        return about_orders(self, name, NAMES)

    def _payment(self, name: str) -> Message:
        rng = self.rng
        others = rng.sample([other for other in NAMES if other != name], rng.choice((1, 1, 2, 5)))
        amounts = [self._amount(self.balance(name)) for _ in others]
        if len(others) == 1:
            return Payment(self.address(name), self.address(others[0]), amounts[0])
        outputs = tuple(Output(self.address(other), amount) for other, amount in zip(others, amounts, strict=True))
        return PayMany(self.address(name), outputs, sum(amounts))

    def _amount(self, all_of_it: int) -> int:
        """From nothing worth to more than there is."""
        rng = self.rng
        choices = (1, 3, rng.randrange(1, 1_000), rng.randrange(1, UNIT), rng.randrange(1, 4) * UNIT,
                   rng.randrange(1, max(2, all_of_it)), all_of_it // 2, all_of_it, all_of_it + 1)  # fmt: skip
        return max(1, rng.choice(choices))

    def _validator_somewhere(self) -> Validator:
        found: list[Validator] = [validator for _, validator in self.state.scan(VALIDATOR)]
        return self.rng.choice(found)

    def _about_stake(self, name: str) -> Message | None:
        rng, who = self.rng, self.address(name)
        owned = [key[-SIZE:] for key, _ in self.state.scan(DELEGATION + who)]
        own = stake.validator_of(self.state, who)
        draw = rng.random()
        if own is not None and own.jailed and draw < 0.35:
            return Unjail(who)
        if own is None and draw < 0.12:
            return self._new_validator(name)
        if own is not None and draw < 0.10:
            rate = rng.choice((None, 0, ONE // 20, ONE // 2))
            return EditValidator(
                who, rng.choice((None, "a new name")), rate, None if rate is not None else own.tokens // 9 + 1
            )
        if own is not None and draw < 0.13:
            return self._rotation(name)
        if draw < 0.38 or not owned:
            return Delegate(who, self._validator_somewhere().operator, self._amount(self.balance(name)))
        operator = rng.choice(owned)
        validator = stake.require_validator(self.state, operator)
        delegation = stake.require_delegation(self.state, who, operator)
        worth = validator.tokens_of(delegation.shares) // ONE
        if draw < 0.55:
            leaving = validator.jailed and operator != who
            return Undelegate(who, operator, max(1, worth) if leaving else self._amount(worth))
        if draw < 0.67:
            target = self._validator_somewhere().operator
            return Redelegate(who, operator, target, self._amount(worth)) if target != operator else None
        if draw < 0.78:
            return self._cancel(who)
        if draw < 0.90:
            return WithdrawRewards(who, operator)
        if draw < 0.94 and own is not None:
            return WithdrawCommission(who)
        if draw < 0.97:
            return SetWithdrawAddress(who, self.address(rng.choice(NAMES)))
        return FundCommunityPool(who, self._amount(self.balance(name) // 100))

    def _new_validator(self, name: str) -> CreateValidator:
        label = self.rng.choice([f"{name}#{self.height}", *[key for key in sorted(self.keys) if key[:2] == name]])
        self.keys[label] = consensus_key(label)
        rng, balance = self.rng, self.balance(name)
        rate = rng.choice((0, ONE // 10, ONE))
        amount = rng.choice((UNIT - 1, UNIT, max(UNIT, balance // 2), max(UNIT, balance - 10 * DCHAT)))
        operator = self.address(name)
        proof = possession(label, operator)
        return CreateValidator(operator, self.keys[label].bytes, name, rate, ONE, ONE, DCHAT, amount, proof)

    def _rotation(self, name: str) -> RotateConsensusKey:
        """To a key of its own, which may be another validator's, or one that was given up; most are new."""
        label = self.rng.choice([*[f"{name}#{self.height}"] * 4, self.rng.choice(sorted(self.keys))])
        self.keys[label] = consensus_key(label)
        return self.rotation(name, label)

    def _cancel(self, who: bytes) -> Message | None:
        found = [
            (key[len(UNBONDINGS) : -SIZE], entry)
            for key, waiting in self.state.scan(UNBONDINGS)
            if key[-SIZE:] == who
            for entry in waiting.entries
        ]
        jailed = {validator.operator for _, validator in self.state.scan(VALIDATOR) if validator.jailed}
        if self.rng.random() < 0.9:
            found = [(operator, entry) for operator, entry in found if operator not in jailed]
        if not found:
            return None
        operator, entry = self.rng.choice(found)
        part = self.rng.choice((entry.balance, max(1, entry.balance // 2), self._amount(entry.balance)))
        return CancelUnbonding(who, operator, part, entry.creation_height)

    def _about_governance(self, name: str) -> Message | None:
        rng, who = self.rng, self.address(name)
        proposals: list[Proposal] = [found for _, found in self.state.scan(PROPOSAL)]
        voting = [found.id for found in proposals if found.status == VOTING]
        collecting = [found.id for found in proposals if found.status == DEPOSIT]
        if voting and rng.random() < 0.75:
            if rng.random() < 0.2:
                part = rng.randrange(1, WHOLE)
                return VoteWeighted(who, rng.choice(voting), ((1, part), (rng.choice(OPTIONS[1:]), WHOLE - part)))
            return Vote(who, rng.choice(voting), rng.choice((1, 1, 1, 1, 2, 3, 4)))
        if collecting and rng.random() < 0.4:
            return AddDeposit(who, rng.choice(collecting), rng.choice((1, DCHAT // 2, DCHAT)))
        mine = [found.id for found in proposals if found.proposer == who and found.status in (DEPOSIT, VOTING)]
        if mine and rng.random() < 0.3:
            return CancelProposal(who, rng.choice(mine))
        if len(voting) + len(collecting) >= 4:
            return None
        actions: tuple[Any, ...] = ()
        draw = rng.random()
        if draw < 0.6:
            (module, param), values = rng.choice(sorted(CHANGES.items()))
            actions = (ChangeParams((ParamChange(module, param, rng.choice(values)),)),)
        elif draw < 0.8:
            actions = (SpendTreasury(self.address(rng.choice(NAMES)), rng.randrange(1, 10 * DCHAT)),)
        deposit = rng.choice((DCHAT // 2, DCHAT, 3 * DCHAT))
        return SubmitProposal(who, "a change", "", rng.random() < 0.3, deposit, actions)

    def _about_vesting(self, name: str) -> Message:
        rng, who = self.rng, self.address(name)
        found = [(key[len(VESTINGS) :], vesting) for key, vesting in self.state.scan(VESTINGS)]
        if (mine := [at for at, _ in found if at[SIZE : 2 * SIZE] == who]) and rng.random() < 0.4:
            at = rng.choice(mine)
            return ClawBack(who, at[:SIZE], int.from_bytes(at[2 * SIZE :], "big"))
        if found and rng.random() < 0.5:
            at, _ = rng.choice(found)
            return ClaimVested(who, at[:SIZE], at[SIZE : 2 * SIZE], int.from_bytes(at[2 * SIZE :], "big"))
        linear = rng.random() < 0.5
        parts = tuple((rng.choice((5, 60, 900)), rng.randrange(1, DCHAT)) for _ in range(1 if linear else 3))
        start_ns = rng.choice((0, 0, self.time_ns + 30 * SECOND_NS))
        total, other = sum(part for _, part in parts), self.address(rng.choice(NAMES))
        return CreateVesting(who, other, rng.randrange(3), total, start_ns, linear, rng.random() < 0.8, parts)

    def _about_grants(self, name: str) -> Message:
        rng, who = self.rng, self.address(name)
        other = self.address(rng.choice([other for other in NAMES if other != name]))
        if rng.random() < 0.5 and (made := [key[-SIZE:] for key, _ in self.state.scan(FEE_GRANT + who)]):
            return RevokeFeeGrant(who, rng.choice(made))
        limit, period = rng.choice((5_000, DCHAT)), rng.choice((0, 0, 30))
        kinds = tuple(sorted(rng.sample(sorted(KINDS), 16))) if rng.random() < 0.3 else ()
        expiry_ns = self.time_ns + rng.choice((1, 200, 5_000)) * SECOND_NS
        return GrantFees(who, other, limit, expiry_ns, period, limit // 2 if period else 0, kinds)

    def _granter(self, name: str) -> bytes:
        """Somebody who pays the fees of `name`, now and then."""
        who = self.address(name)
        found = [key[-2 * SIZE : -SIZE] for key, _ in self.state.scan(FEE_GRANT) if key[-SIZE:] == who]
        return self.rng.choice(found) if found and self.rng.random() < 0.7 else b""

    def _about_chat(self, name: str) -> Message | None:
        rng, who = self.rng, self.address(name)
        if self._identity(name) is None:
            if rng.random() < 0.7:
                return RegisterBurner(who, f"name-{name}", "", rng.choice((60, 60, 90, 400)))
            return RegisterIdentity(who, f"name-{name}", "")
        if rng.random() < 0.1:
            return self.rotation_of(name)
        if rng.random() < 0.45:
            return self._about_identity(name)
        title = f"channel {rng.randrange(min(5 + self.height // BLOCKS_A_CHANNEL, CHANNELS_MAX))}"
        channel = channel_id(title)
        if self.state.get(CHANNEL + channel) is None:
            price, access = rng.choice((0, DCHAT)), rng.choice((0, 0, 1))
            terms = (access, rng.choice((0, 60, 500)), rng.choice((0, 0, 5)), rng.choice((0, 0, 1)))
            return CreateChannel(who, title, price, "", *terms, encrypted=bool(price or access) and rng.random() < 0.5)
        return rng.choice(
            (
                JoinChannel(who, channel), PayToJoin(who, channel, DCHAT, rng.choice((0, 60))),
                PostMessage(who, channel, b"hello", 0), PostMessage(who, channel, b"again", 0),
                Tip(who, channel, 0, self._amount(DCHAT)),
                Tip(who, channel, 0, 7),
                BuyAllowance(who, rng.randrange(1, DCHAT)),
            )
        )  # fmt: skip

    def _about_identity(self, name: str) -> Message:
        """Prekeys come as they go: some run out, others are too many; signed by a key that may be another's."""
        rng, who = self.rng, self.address(name)
        other = self.address(rng.choice([other for other in NAMES if other != name]))
        draw = rng.random()
        blocked = [key[-SIZE:] for key, _ in self.state.scan(BLOCK + who)]
        if blocked and rng.random() < 0.4:
            return UnblockIdentity(who, rng.choice(blocked))
        if rng.random() < (0.25 if self.state.get(DEVICE + who) is None else 0.6):
            return self._about_devices(who)
        if draw < 0.12:
            return SetProfile(who, *rng.choice((("hello", "", b""), ("", "", b""), ("", "https://x.y", bytes(32)))))
        if draw < 0.4:
            return UnblockIdentity(who, other) if rng.random() < 0.1 else BlockIdentity(who, other)
        stocked = [key[-SIZE:] for key, _ in self.state.scan(PREKEY) if key[-SIZE:] != who]
        if draw < 0.7 and (stocked or draw < 0.45):
            return ClaimPrekey(who, rng.choice(stocked) if stocked else other)
        holder = self._policies.get(self._identity(name).policy, (1, [name]))[1][0]
        signed, last = (
            published(wallet(holder), who, use, rng.randbytes(32)) if rng.random() < 0.8 else None for use in (1, 2)
        )
        one_time = tuple([rng.randbytes(32) for _ in range(rng.choice((1, 2, 60)))])
        return PublishPrekeys(who, signed, last, one_time, rng.random() < 0.1)

    def _about_devices(self, who: bytes) -> Message:
        rng = self.rng
        known = self.state.get(DEVICE + who)
        key = rng.choice(known.of).public_key if known is not None and rng.random() < 0.9 else rng.randbytes(32)
        if known is not None and rng.random() < 0.8:
            return RevokeDevice(who, key)
        return AddDevice(who, key, rng.randrange(1, 4), rng.choice((5, 60, 10_000)))


def _fit(messages: list[Message]) -> bool:
    """Whether one transaction carries them."""
    return bool(frozenset.intersection(*(kind.lanes for message in messages for kind, _ in kinds_of(message))))
