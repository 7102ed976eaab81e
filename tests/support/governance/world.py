"""Governance on both machines' records without an application around them: blocks of messages over a dict.

What a block wrote goes through its stored bytes, so that every record is encoded and decoded on the way.
"""

from __future__ import annotations

import bisect
import copy
from collections.abc import Iterator
from typing import Any

from bridge.records import PARAMS as BRIDGE_PARAMS
from bridge.records import BridgeParams
from chain.app_state.governance_params import GovernanceParams
from chain.chat import ballots as chat
from chain.chat.ballots import Proposal, Result
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.chat.ledger.records import ChatParams
from chain.currency import machine as currency
from chain.currency.ledger import economic_params as economic
from chain.currency.ledger.bank import DISTRIBUTION
from chain.currency.ledger.dec import ONE
from chain.currency.ledger.records import ACCOUNT, Account, CurrencyParams
from chain.currency.ledger.stake_records import (
    ACTIVE,
    BONDED,
    DELEGATES,
    DELEGATION,
    MINTER,
    POOL,
    POWER_UNIT,
    UNBONDED,
    VALIDATOR,
    ActiveSet,
    CommunityPool,
    Delegation,
    Minter,
    Validator,
)
from chain.currency.ledger.stake_records import DECODERS as STAKING_DECODERS
from chain.kernel.branch import Branch
from chain.kernel.context import Context, Leg
from chain.kernel.modules import BlockContext
from chain.tx.errors import TxError
from chain.tx.messages.governance import AddDeposit, CancelProposal, SubmitProposal, Vote, VoteWeighted
from chain.upgrade.chain_record import CHAIN, ChainRecord
from chain.upgrade.plan import CONSENSUS_PARAMS
from consensus.abci.interface import CommitInfo
from consensus.types.params import ConsensusParams
from crypto.hash import sha256
from dchat.app.composition import compose
from governance import module as governance
from governance import records

DCHAT = 10**6
SECOND = 10**9
MODULES = compose()
DECODERS = {**economic.DECODERS, **STAKING_DECODERS, **MODULES.decoders}
MIN = 10 * DCHAT  # the default minimum deposit


def address(name: str) -> bytes:
    return sha256(b"who " + name.encode())[:20]


class World:
    """`height` and `time_ns` are the last block's."""

    def __init__(self, params: GovernanceParams | None = None, *, balance: int = 10**6 * DCHAT) -> None:
        self.state: dict[bytes, Any] = {}
        self._keys: list[bytes] | None = None
        self.height, self.time_ns = 10, 1_000 * SECOND
        self.reads = 0
        self.params = params or GovernanceParams()
        self.consensus_params: ConsensusParams | None = None
        self._balance = balance
        branch = Branch(self.state.get)
        currency.genesis(branch, CurrencyParams(100_000, 1_000), {address("dora"): balance})
        branch.set(CHAT_PARAMS, ChatParams(16_384, 1_000, 104_858))
        branch.set(BRIDGE_PARAMS, BridgeParams(100, 262_144, 1_000, 1_048_576, 100_000, 1_000, 250_000))
        branch.set(CHAIN, ChainRecord("chain", 1, bytes(32), 1 << 20, -1, 1))
        branch.set(CONSENSUS_PARAMS, ConsensusParams())
        branch.set(MINTER, Minter(0, 0, balance))
        economic.set_all(branch, {name: kind() for name, (_, kind) in economic.MODULES.items()})
        governance.genesis(branch, self.params)
        self._merge(branch)

    # ------------------------------------------------------------------------------ stake

    def fund(self, name: str, amount: int = 10**6 * DCHAT) -> None:
        """Out of nothing, with the supply told."""
        before = currency.supply_of(self)
        found = currency.account_of(self, address(name))
        self.put(ACCOUNT + address(name), Account(address(name), amount + (found.balance if found else 0)))
        self.put(b"us", type(before)(before.total + amount, before.collected_fees))

    def fill_treasury(self, amount: int) -> None:
        self.fund("treasurer", amount)
        self.put(ACCOUNT + address("treasurer"), None)
        self.put(ACCOUNT + DISTRIBUTION, Account(DISTRIBUTION, amount))
        self.put(POOL, CommunityPool(amount * ONE))

    def validator(
        self, name: str, power: int, *, own: int | None = None, status: int = BONDED, tokens: int | None = None
    ) -> None:
        """power, own: in units; the operator's own delegation is all of it unless said otherwise."""
        shares = power * POWER_UNIT * ONE
        made = Validator(
            address(name), sha256(name.encode()), name, False, status,
            power * POWER_UNIT if tokens is None else tokens, shares, 0, 0, 0, 0, 0, 0, 1,
        )  # fmt: skip
        self.put(VALIDATOR + address(name), made)
        self.delegate(name, name, power if own is None else own)
        active: ActiveSet = self.get(ACTIVE) or ActiveSet(())
        if status == BONDED:
            self.put(ACTIVE, ActiveSet((*active.members, (address(name), power))))

    def delegate(self, who: str, to: str, units: int) -> None:
        """Set a delegation to so many units; the validator's shares and tokens are left as they are."""
        key = DELEGATION + address(who) + address(to)
        self.put(key, Delegation(units * POWER_UNIT * ONE) if units else None)
        self.has_say(who, units > 0)

    def has_say(self, who: str, has: bool = True) -> None:
        """That it delegates to somebody: asked when it votes."""
        self.put(DELEGATES + address(who), bytes((0, 0, 0, 1)) if has else None)

    def unbond_validator(self, name: str) -> None:
        found = self.get(VALIDATOR + address(name))
        self.put(VALIDATOR + address(name), found._replace(status=UNBONDED))
        active = self.get(ACTIVE)
        self.put(ACTIVE, ActiveSet(tuple(m for m in active.members if m[0] != address(name))))

    # ------------------------------------------------------------------------------ state

    def get(self, key: bytes) -> Any:
        self.reads += 1
        return self.state.get(key)

    def put(self, key: bytes, value: Any) -> None:
        """As if the last block had written it."""
        self.state[key] = value
        if value is None:
            del self.state[key]
        self._keys = None

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
        self.reads += 1
        if self._keys is None:
            self._keys = sorted(self.state)
        keys = self._keys
        at = bisect.bisect_left(keys, start or prefix)
        while at < len(keys) and keys[at].startswith(prefix):
            self.reads += 1
            yield keys[at], self.state[keys[at]]
            at += 1

    def _merge(self, branch: Branch) -> None:
        for key, value in branch.writes.items():
            if value is None:
                self.state.pop(key, None)
            elif isinstance(value, bytes):
                assert value
                self.state[key] = value
            else:
                stored = value.encode()
                assert 0 < len(stored) <= 65_536, (key, len(stored))
                decode = DECODERS.get(key[:2])
                assert decode is not None, key
                self.state[key] = decode(stored)
                assert self.state[key].encode() == stored, key
        self._keys = None

    def copy(self) -> World:
        """As it is now, to try something on."""
        twin = copy.copy(self)
        twin.state = dict(self.state)
        return twin

    # ------------------------------------------------------------------------------ blocks

    def block(
        self, *messages: Any, seconds: int = 1, changes: dict[bytes, Any] | None = None, upgraded: str = ""
    ) -> list[Leg]:
        """A block of messages, all of which must succeed; `changes`: what else it writes, as staking would."""
        self.height += 1
        self.time_ns += seconds * SECOND
        branch = Branch(self.get)
        ctx = BlockContext(
            branch, self.scan, self.height, self.time_ns, CommitInfo(0, ()), (), committed=self.get, upgraded=upgraded
        )  # fmt: skip
        legs = [self._run(branch, message) for message in messages]
        for key, value in (changes or {}).items():
            branch.set(key, value)
        for _ in governance.count_votes(ctx):
            pass
        for _ in governance.close(ctx):
            pass
        self._merge(branch)
        if ctx.consensus_params is not None:
            self.consensus_params = ctx.consensus_params
        return legs

    def _run(self, block: Branch, message: Any) -> Leg:
        ctx = Context(Branch(block.get), height=self.height, time_ns=self.time_ns)
        ctx.gas_limit = 1 << 40
        leg = MODULES.handlers[type(message)](ctx, message)
        block.writes.update(ctx.branch.writes)
        return leg

    def refused(self, message: Any, *, seconds: int = 0) -> type[TxError] | None:
        """Why the next block would not execute it; None: it would. Changes nothing."""
        self.height += 1
        self.time_ns += seconds * SECOND
        try:
            self._run(Branch(self.get), message)
        except TxError as error:
            return type(error)
        finally:
            self.height -= 1
            self.time_ns -= seconds * SECOND
        return None

    def settle(self, blocks: int = 60) -> None:
        """Empty blocks, until nothing is counted or cleared away any more."""
        for _ in range(blocks):
            self.block(seconds=0)
            if self.state.get(records.TALLIES) is None and self.state.get(records.JOB_COUNT) is None:
                return
        raise AssertionError(f"still at work after {blocks} blocks")

    # ------------------------------------------------------------------------------ governance

    def propose(self, *actions: Any, who: str = "dora", deposit: int = MIN, expedited: bool = False) -> int:
        """A block with a proposal; its number."""
        message = SubmitProposal(address(who), "a title", "why", expedited, deposit, tuple(actions))
        return self.block(message)[0].index

    def deposit(self, who: str, number: int, amount: int) -> AddDeposit:
        return AddDeposit(address(who), number, amount)

    def vote(self, who: str, number: int, option: int) -> Vote:
        return Vote(address(who), number, option)

    def weighted(self, who: str, number: int, *options: tuple[int, int]) -> VoteWeighted:
        return VoteWeighted(address(who), number, options)

    def cancel(self, who: str, number: int) -> CancelProposal:
        return CancelProposal(address(who), number)

    def proposal(self, number: int) -> Proposal:
        return chat.require_proposal(self, number)

    def status(self, number: int) -> str:
        found = chat.proposal_of(self, number)
        return "gone" if found is None else chat.STATUS_NAMES[found.status]

    def finish(self, number: int) -> Proposal:
        """Let its voting end, be counted and settled."""
        left = self.proposal(number).voting_end_time_ns - self.time_ns
        self.block(seconds=max(0, left // SECOND))
        self.settle()
        return self.proposal(number)

    def result(self, number: int) -> Result:
        found = self.proposal(number).result
        assert found is not None
        return found

    def balance(self, name: str | bytes) -> int:
        return currency.balance_of(self, address(name) if isinstance(name, str) else name)

    def check_invariants(self) -> None:
        for name, holds, detail in governance.invariants(self, self.scan):
            assert holds, (name, detail, self.height)
