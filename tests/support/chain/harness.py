"""A chain without an engine: an application on an in-memory database, driven block by block as an engine would."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from chain.app_state.document import BridgeGenesis, ChatGenesis, CurrencyGenesis
from chain.app_state.economy import EconomicsGenesis
from chain.app_state.governance_params import GovernanceParams
from chain.app_state.vesting import VestingGenesis
from chain.state.store import Stores
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Message
from chain.upgrade.migrations import Upgrade
from consensus.abci.interface import (
    BlockRequest,
    CheckTxRequest,
    CheckTxResponse,
    CommitInfo,
    ExtendedCommitInfo,
    FinalizeBlockResponse,
    InitChainRequest,
    PrepareProposalRequest,
    Slices,
    VoteInfo,
)
from consensus.types.params import BlockParams, ConsensusParams, EvidenceParams
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from genesis.app_state import build_app_state
from storage.memory import MemoryStore

CHAIN_ID = "chain-of-tests"
SECOND_NS = 10**9


def wallet(name: str) -> Wallet:
    return Wallet.from_seed(sha256(b"test wallet " + name.encode()))


def drain(steps: Slices[Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


class Chain:
    """`height` is the last block's."""

    skipped_ns: int = 0  # block times are that much later than a second a block

    def __init__(
        self,
        balances: dict[str, int],
        *,
        currency: CurrencyGenesis | None = None,
        chat: ChatGenesis | None = None,
        bridge: BridgeGenesis | None = None,
        governance: GovernanceParams | None = None,
        economics: EconomicsGenesis | None = None,
        evidence: EvidenceParams | None = None,
        max_gas: int = -1,
        initial_height: int = 1,
        upgrade_authority: str = "",
        vestings: Sequence[VestingGenesis] = (),
        upgrades: Sequence[Upgrade] | None = None,
    ) -> None:
        self.db = MemoryStore()
        self.build: dict[str, Any] = {} if upgrades is None else {"upgrades": upgrades}
        self.restart()
        self.gas_price = (currency or CurrencyGenesis()).gas_price
        self.wallets = {name: wallet(name) for name in balances}
        state = build_app_state(
            {self.wallets[name].address: amount for name, amount in balances.items() if amount},
            currency=currency, chat=chat, bridge=bridge, governance=governance, economics=economics,
            upgrade_authority=wallet(upgrade_authority).address if upgrade_authority else b"",
            vestings=vestings,
        )  # fmt: skip
        params = ConsensusParams(block=BlockParams(max_gas=max_gas), evidence=evidence or EvidenceParams())
        request = InitChainRequest(0, CHAIN_ID, params, (), json.dumps(state).encode(), initial_height)
        self.app.init_chain(request)
        self.height = initial_height - 1
        self.votes: tuple[VoteInfo, ...] = ()  # of the last commit
        self.sequences: dict[tuple[str, str], int] = {}
        self.recheck: frozenset[bytes] | None = None  # what the last commit said

    def address(self, name: str) -> bytes:
        return self.wallets[name].address

    def time_of(self, height: int) -> int:
        return height * SECOND_NS + self.skipped_ns

    def tx(self, signers: str | Sequence[str], *messages: Message, **options: Any) -> bytes:
        """Signed by each of `signers` with its next sequence, as counted here; a bridge transaction is unordered."""
        names = (signers,) if isinstance(signers, str) else tuple(signers)
        unordered = options.pop("unordered", None)
        options.setdefault("gas_price", self.gas_price)
        options.setdefault("chain_id", CHAIN_ID)
        from chain.tx.envelope.build import lane_of
        from chain.tx.messages import LANE_BRIDGE, LANE_NAMES

        lane = options.get("lane") or lane_of(messages)
        if unordered is None:
            unordered = lane == LANE_BRIDGE
        seats = []
        for name in names:
            sequence = None
            if not unordered:
                at = (name, LANE_NAMES.get(lane, ""))
                sequence = options.pop("sequence", None)
                if sequence is None:
                    sequence = self.sequences.get(at, 0)
                    self.sequences[at] = sequence + 1
            seats.append(Seat(self.wallets[name], sequence, with_policy=options.get("with_policy", True)))
        options.pop("with_policy", None)
        if unordered:
            options.setdefault("expiry_height", self.height + 10)
        return build_tx(messages=messages, seats=seats, **options)

    def restart(self, **options: Any) -> None:
        """Another application on the same database: another build, or other options. Raises HaltRequested.

        What is not said of the build is as in the beginning.
        """
        self.app = DchatApplication(Stores(self.db), **{**self.build, **options})

    def request(self, txs: Iterable[bytes], *, salt: bytes = b"", height: int | None = None) -> BlockRequest:
        txs = tuple(txs)
        at = self.height + 1 if height is None else height
        digest = sha256(salt + at.to_bytes(8, "big") + b"".join(sha256(tx) for tx in txs))
        return BlockRequest(txs, CommitInfo(0, self.votes), (), digest, at, self.time_of(at), bytes(32), bytes(20))

    def block(self, *txs: bytes, propose: bool = True) -> FinalizeBlockResponse:
        """Propose, decide and commit a block."""
        request = self.request(txs)
        if propose:
            answer = drain(self.app.process_proposal(request))
            assert answer.accepted, answer.reason
        response: FinalizeBlockResponse = drain(self.app.finalize_block(request))
        self.recheck = self.app.commit().recheck
        self.height = request.height
        return response

    def prepare(self, *txs: bytes, max_tx_bytes: int = 1 << 20, time_ns: int = 0) -> tuple[bytes, ...]:
        at = self.height + 1
        request = PrepareProposalRequest(
            max_tx_bytes, txs, ExtendedCommitInfo(0, ()), (), at, time_ns or self.time_of(at), bytes(32), bytes(20)
        )
        prepared: tuple[bytes, ...] = drain(self.app.prepare_proposal(request)).txs
        return prepared

    def propose(self, *txs: bytes) -> str:
        """Why a proposal of them is rejected; empty when it is accepted."""
        reason: str = drain(self.app.process_proposal(self.request(txs, salt=b"try"))).reason
        return reason

    def check(self, tx: bytes) -> CheckTxResponse:
        return self.app.check_tx(CheckTxRequest(tx))

    def balance(self, name: str) -> int:
        from chain.currency.machine import balance_of

        return balance_of(self.app.base, self.address(name))

    def assert_invariants(self) -> None:
        for name, holds, detail in self.app.invariants():
            assert holds, (name, detail, self.height)
