"""A chain with validators and no engine: the application, driven as an engine would drive it.

Keeps what the engine keeps: each height's set (updates of block H hold from H+2), the votes of the last commit, block
time. After every block it checks all invariants, unless told not to.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chain.app_state.document import BridgeGenesis, ChatGenesis, CurrencyGenesis
from chain.app_state.economy import EconomicsGenesis
from chain.app_state.governance_params import GovernanceParams
from chain.currency.economy import GenesisStake
from chain.currency.ledger import economic_params as params
from chain.currency.ledger.bank import DISTRIBUTION
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.economic_params import DistributionParams, MintParams, SlashingParams, StakingParams
from chain.currency.ledger.records import ACCOUNT
from chain.currency.ledger.stake_records import UNBONDINGS, Delegation, Unbonding, Validator
from chain.currency.rewards import distribution
from chain.currency.staking import stake
from chain.kernel.event_text import account
from chain.state.store import Stores
from chain.tx.envelope.tx import TxCache
from chain.tx.messages.economy import RotateConsensusKey, prove_possession
from consensus.abci.interface import (
    BlockRequest,
    CommitInfo,
    FinalizeBlockResponse,
    InitChainRequest,
    Misbehavior,
    MisbehaviorType,
    ValidatorUpdate,
    VoteInfo,
)
from consensus.state.results import ExecTxResult
from consensus.types.params import ConsensusParams, EvidenceParams
from consensus.types.validators import ValidatorSet
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey, PubKey
from dchat.app.app import DchatApplication
from genesis.app_state import build_app_state
from proto.dchat.v1 import state_pb2
from storage.memory import MemoryStore
from tests.support.chain.harness import CHAIN_ID, SECOND_NS, Chain, wallet

DCHAT = 10**6
UNIT = 1_000 * DCHAT  # of power
START_NS = 1_700_000_000 * SECOND_NS

# Small numbers, so that a test sees a period end and a window fill. Nothing is minted, burned or taxed.
STAKING = StakingParams(unbonding_s=1_000, min_stake=UNIT, min_self_delegation=1)
SLASHING = SlashingParams(missed_blocks_window=10, downtime_jail_s=60, double_sign_jail_s=120)
NO_TAX = DistributionParams(0, 0, 0, 0)
NO_MINT = MintParams(inflation_change=0, inflation_max=0, inflation_min=0)


def private_key(name: str) -> Ed25519PrivKey:
    return Ed25519PrivKey.from_seed(sha256(b"consensus " + name.encode()))


def consensus_key(name: str) -> PubKey:
    return private_key(name).pub_key


def possession(name: str, operator: bytes) -> bytes:
    """That the key of `name` is to be the operator's."""
    return prove_possession(private_key(name), CHAIN_ID, operator)


def amount(result: ExecTxResult) -> int:
    """udchat that a transaction's one message moved, by its receipt."""
    moved: int = state_pb2.Receipt.FromString(result.data).legs[0].amount
    return moved


class World(Chain):
    """validators: name -> udchat staked at genesis. balances: name -> udchat beside. Fees are 0 unless priced."""

    def __init__(
        self,
        validators: Mapping[str, int],
        balances: Mapping[str, int] | None = None,
        *,
        staking: StakingParams = STAKING,
        slashing: SlashingParams = SLASHING,
        distribution: DistributionParams = NO_TAX,
        mint: MintParams = NO_MINT,
        inflation: int = 0,
        rates: Mapping[str, int] | None = None,
        gas_price: int = 0,
        initial_height: int = 1,
        evidence: EvidenceParams | None = None,
        stakes: Sequence[GenesisStake] | None = None,
        check: bool = True,
        names_of_document: bool = True,
        governance: GovernanceParams | None = None,
        currency: CurrencyGenesis | None = None,
        chat: ChatGenesis | None = None,
        bridge: BridgeGenesis | None = None,
        upgrade_authority: str = "",
    ) -> None:
        rates = rates or {}
        balances = balances or {"nobody": 1}
        self.wallets = {name: wallet(name) for name in (*validators, *balances)}
        self.keys = {name: consensus_key(name) for name in validators}
        self.former: dict[str, list[PubKey]] = {}  # keys that validators had before
        self.gas_price, self.check_laws, self.build = gas_price, check, {}
        if stakes is None:
            stakes = [
                GenesisStake(
                    self.address(name), self.keys[name].bytes, tokens, name, rates.get(name, 0), ONE, ONE, 1
                )
                for name, tokens in validators.items()
            ]  # fmt: skip
        economics = EconomicsGenesis(staking, slashing, distribution, mint, inflation, stakes)
        state = build_app_state(
            {self.address(name): amount for name, amount in balances.items() if amount},
            currency=currency or CurrencyGenesis(gas_price=gas_price), economics=economics, governance=governance,
            chat=chat, bridge=bridge,
            upgrade_authority=self.address(upgrade_authority) if upgrade_authority else b"",
        )  # fmt: skip
        self.db = MemoryStore()
        self.build = {}
        self.app = DchatApplication(Stores(self.db))
        given = tuple(ValidatorUpdate(self.keys[name], tokens // UNIT) for name, tokens in validators.items())
        consensus = ConsensusParams(evidence=evidence or EvidenceParams(max_age_duration_ns=500 * SECOND_NS))
        self.time_ns = START_NS
        self.init_request = InitChainRequest(
            self.time_ns, CHAIN_ID, consensus, given if names_of_document else (), json.dumps(state).encode(),
            initial_height,
        )  # fmt: skip
        response = self.app.init_chain(self.init_request)
        first = given if names_of_document else response.validators
        self.sets = {initial_height: ValidatorSet.new((update.pub_key, update.power) for update in first)}
        self.sets[initial_height + 1] = self.sets[initial_height]
        self.height = initial_height - 1
        self.initial_height = initial_height
        self.sequences = {}
        self.votes = ()
        self.param_changes: dict[int, Mapping[str, Mapping[str, str]]] = {}
        self._hook_params()
        self.misbehavior: tuple[Misbehavior, ...] = ()
        self.absent: frozenset[bytes] = frozenset()

    def _hook_params(self) -> None:
        """Before the end of a block, write the changes of params that are meant for it: as governance would."""
        module = next(module for module in self.app.modules.all if module.name == "economy")

        def change(ctx: Any) -> None:
            if ctx.height in self.param_changes:
                params.set_all(ctx.branch, params.changed(ctx.branch, self.param_changes[ctx.height]))

        object.__setattr__(module, "end_block", (change, *module.end_block))

    def prepare(self, *txs: bytes, max_tx_bytes: int = 1 << 20, time_ns: int = 0) -> tuple[bytes, ...]:
        return super().prepare(*txs, max_tx_bytes=max_tx_bytes, time_ns=time_ns or self.time_ns + SECOND_NS)

    def set_params(self, **changes: Mapping[str, str]) -> None:
        """module -> name -> text, in the next block."""
        self.param_changes[self.height + 1] = changes
        self.block()

    # ------------------------------------------------------------------ blocks

    def commit_info(self) -> CommitInfo:
        at = self.height
        if at < self.initial_height:
            return CommitInfo(0, ())
        votes = [
            VoteInfo(key.address, power, 1 if key.address in self.absent else 2)
            for key, power in zip(self.sets[at].pub_keys, self.sets[at].powers, strict=True)
        ]
        return CommitInfo(0, tuple(votes))

    def request(self, txs: Iterable[bytes], *, salt: bytes = b"", height: int | None = None) -> BlockRequest:
        plain = super().request(txs, salt=salt, height=height)
        current = self.sets[plain.height]
        proposer = current.pub_keys[plain.height % len(current)].address
        return BlockRequest(
            plain.txs, self.commit_info(), self.misbehavior, plain.hash, plain.height, self.time_ns, bytes(32), proposer
        )

    def block(  # type: ignore[override]
        self, *txs: bytes, absent: Iterable[str] = (), misbehavior: Sequence[Misbehavior] = (), seconds: int = 1,
        propose: bool = True,
    ) -> FinalizeBlockResponse:  # fmt: skip
        """absent: validators missing from the last commit. seconds: since the last block."""
        self.time_ns += seconds * SECOND_NS
        self.absent = frozenset(key.address for name in absent for key in self.keys_of(name))
        self.misbehavior = tuple(misbehavior)
        before = self.balances() if self.check_laws else {}
        response = super().block(*txs, propose=propose)
        changes = [(update.pub_key, update.power) for update in response.validator_updates]
        following = self.sets[self.height + 1].update(changes)
        self.sets[self.height + 2] = following.increment()
        if self.check_laws:
            self.assert_invariants()
            self.assert_told(before, txs, response)
        return response

    def balances(self) -> dict[str, int]:
        """udchat by address as events write it; but of the distribution account, which is credited lazily."""
        held = {account(record.address): record.balance for _, record in self.state.scan(ACCOUNT)}
        held.pop(account(DISTRIBUTION), None)
        return held

    def assert_told(self, before: Mapping[str, int], txs: Sequence[bytes], response: FinalizeBlockResponse) -> None:
        """Every change of a balance is in an event or is a fee: a wallet that reads events knows what it has."""
        told: Counter[str] = Counter(before)
        for event in (*response.events, *[event for result in response.tx_results for event in result.events]):
            said = {key: value for key, value, _ in event.attributes}
            moved = int(said["amount"].removesuffix("udchat")) if event.type in ("transfer", "burn") else 0
            if event.type == "transfer":
                told[said["sender"]] -= moved
                told[said["recipient"]] += moved
            elif event.type == "burn":
                told[said["burner"]] -= moved
            elif event.type == "pay_standing_order":
                told[said["owner"]] -= int(said["fee"].removesuffix("udchat"))
        for raw, result in zip(txs, response.tx_results, strict=True):
            if result.data:  # a receipt: the fee was taken
                tx = TxCache().get(raw)
                told[account(tx.fee_granter or tx.payer)] -= tx.fee
        del told[account(DISTRIBUTION)]
        after = self.balances()
        differing = {who: (told[who], after.get(who, 0)) for who in {*told, *after} if told[who] != after.get(who, 0)}
        assert not differing, (self.height, differing)

    def blocks(self, count: int, **options: Any) -> None:
        for _ in range(count):
            self.block(**options)

    def run(self, signer: str, *messages: Any, **options: Any) -> ExecTxResult:
        """One transaction in a block of its own."""
        return self.block(self.tx(signer, *messages), **options).tx_results[0]

    def do(self, signer: str, *messages: Any, **options: Any) -> ExecTxResult:
        """As `run`, and it must succeed."""
        result = self.run(signer, *messages, **options)
        assert result.code == 0, result.log
        return result

    def double_sign(self, name: str, *, height: int | None = None, age_s: int = 0) -> Misbehavior:
        at = self.height if height is None else height
        members = self.sets[at]
        key = next((key for key in self.keys_of(name) if members.index_of(key.address) is not None), self.keys[name])
        power = members.powers[members.index_of(key.address) or 0]
        return Misbehavior(
            MisbehaviorType.DUPLICATE_VOTE, key.address, power, at, self.time_ns - age_s * SECOND_NS,
            members.total_power,
        )  # fmt: skip

    # ------------------------------------------------------------------ reading

    @property
    def state(self) -> Any:
        return self.app.base

    def keys_of(self, name: str) -> list[PubKey]:
        """The key that it has, and those that it had."""
        return [self.keys[name], *self.former.get(name, ())]

    def rotation(self, name: str, label: str, *, proof: bytes | None = None) -> RotateConsensusKey:
        """To the key of `label`."""
        me = self.address(name)
        return RotateConsensusKey(me, consensus_key(label).bytes, possession(label, me) if proof is None else proof)

    def rotate(self, name: str, label: str, **options: Any) -> ExecTxResult:
        """In a block of its own; it must succeed."""
        result = self.do(name, self.rotation(name, label), **options)
        self.note_key(name, consensus_key(label))
        return result

    def note_key(self, name: str, key: PubKey) -> None:
        """It has this key now."""
        if key != self.keys[name]:
            self.former.setdefault(name, []).append(self.keys[name])
            self.keys[name] = key

    def validator(self, name: str) -> Validator:
        found = stake.validator_of(self.state, self.address(name))
        assert found is not None, name
        return found

    def delegation(self, delegator: str, name: str) -> Delegation | None:
        return stake.delegation_of(self.state, self.address(delegator), self.address(name))

    def unbonding(self, delegator: str, name: str) -> Unbonding:
        found: Unbonding | None = self.state.get(UNBONDINGS + self.address(name) + self.address(delegator))
        return found or Unbonding(())

    def earned(self, delegator: str, name: str) -> int:
        """A Dec."""
        delegation = self.delegation(delegator, name)
        assert delegation is not None
        return distribution.earned(self.state, self.validator(name), delegation)

    def names(self, height: int) -> set[str]:
        """Of the set of a height."""
        addresses = {key.address for key in self.sets[height].pub_keys}
        return {name for name in self.keys if any(key.address in addresses for key in self.keys_of(name))}

    def laws(self) -> dict[str, str]:
        """The invariants that do not hold."""
        return {name: detail for name, holds, detail in self.app.invariants() if not holds}
