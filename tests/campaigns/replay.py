"""What happened on a network, block by block: a stopped node's blocks run again on a fresh application.

Each block's app hash is compared with the one that the network agreed on, so what is read of the fresh application at
a height is what every validator had there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from chain.currency.ledger.records import ACCOUNT, SUPPLY
from chain.currency.ledger.stake_records import CONSENSUS_KEY, MINTER, Validator
from chain.currency.rewards import distribution
from chain.currency.staking import stake
from chain.kernel.branch import Base
from chain.state.store import Stores
from consensus.abci.interface import BlockRequest, FinalizeBlockResponse, InitChainRequest, ValidatorUpdate
from consensus.abci.requests import block_request
from consensus.documents.genesis import GenesisDoc
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.types.validators import EMPTY_SET, ValidatorSet
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from dchat.config import Config
from dchat.home.home import Home, load_genesis
from dchat.node.runtime import Databases
from storage.memory import MemoryStore
from tests.campaigns.harness import CampaignFailed, say
from tests.support.chain.harness import drain


class Trial:
    """A state with a block's writes over it."""

    def __init__(self, base: Base, writes: Mapping[bytes, Any]) -> None:
        self._base, self._writes = base, writes

    def get(self, key: bytes) -> Any:
        return self._writes[key] if key in self._writes else self._base.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Any]]:
        keys = {key for key, _ in self._base.scan(prefix)} | {key for key in self._writes if key.startswith(prefix)}
        return iter([(key, value) for key in sorted(keys) if (value := self.get(key)) is not None])


class Money(NamedTuple):
    """udchat since genesis, but the pool: a Dec; fees: collected and not yet shared out."""

    minted: int
    burned: int
    pool: int
    fees: int


def money_of(state: Any) -> Money:
    minter, pulse = state.get(MINTER), distribution.pulse_of(state)
    minted, burned = minter.minted + pulse.minted, minter.burned + pulse.burned
    return Money(minted, burned, distribution.pool_of(state).amount, state.get(SUPPLY).collected_fees)


class Replay:
    """The home of a node that has stopped. Use as `with Replay(home) as story:`."""

    def __init__(self, home: Path) -> None:
        self.home = Home.of(home)
        self.genesis: GenesisDoc = load_genesis(self.home)

    def __enter__(self) -> Replay:
        self._databases = Databases.open(self.home.databases, Config())
        self.blocks, self.states = BlockStore(self._databases.blocks), StateStore(self._databases.state)
        state = self.states.load()
        assert state is not None, self.home.root
        self.height = state.last_block_height
        self._last_app_hash = state.app_hash
        self.app = DchatApplication(Stores(MemoryStore()))
        self.app.init_chain(
            InitChainRequest(
                self.genesis.genesis_time_ns, self.genesis.chain_id, self.genesis.consensus_params,
                tuple(ValidatorUpdate(v.pub_key, v.power) for v in self.genesis.validators), self.genesis.app_state,
                self.genesis.initial_height,
            )
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._databases.close()

    def validators(self, height: int) -> ValidatorSet:
        found = self.states.load_validators(height)
        assert found is not None, height
        return found

    def requests(self) -> Iterator[BlockRequest]:
        """Each block, before it is executed: `execute` it before the next."""
        first = self.genesis.initial_height
        for height in range(first, self.height + 1):
            block = self.blocks.load_block(height)
            assert block is not None, height
            yield block_request(block, self.validators(height - 1) if height > first else EMPTY_SET)

    def execute(self, request: BlockRequest) -> FinalizeBlockResponse:
        """Raises CampaignFailed when the network had another app hash after it."""
        response: FinalizeBlockResponse = drain(self.app.finalize_block(request))
        self.app.commit()
        if response.app_hash != self.app_hash(request.height):
            raise CampaignFailed(f"replayed block {request.height} has another app hash than the network's")
        return response

    def without_transactions(self, request: BlockRequest) -> Trial:
        """What the block would have left without its transactions: what its begin and end do. Changes nothing."""
        empty = replace(request, txs=(), hash=sha256(request.hash))
        drain(self.app.finalize_block(empty))
        return Trial(self.state, self.app._outcomes[empty.hash].executed.writes)

    def app_hash(self, height: int) -> bytes:
        """After that block, as the network agreed."""
        if height == self.height:
            return self._last_app_hash
        meta = self.blocks.load_meta(height + 1)
        assert meta is not None, height
        return meta.header.app_hash

    @property
    def state(self) -> Base:
        """After the last block that was executed."""
        return self.app.base

    def validator(self, address: bytes) -> Validator:
        """By its consensus address."""
        return stake.require_validator(self.state, self.state.get(CONSENSUS_KEY + address))


class Kept(NamedTuple):
    """What a stopped node has on disk."""

    name: str
    height: int
    roots: dict[str, bytes]
    balances: dict[bytes, int]  # address -> udchat, of every account
    broken: list[str]  # invariants that do not hold


def kept_at(homes: list[Path]) -> list[Kept]:
    """Of several stopped nodes at the highest height that all have."""
    opened: list[tuple[Path, Databases, DchatApplication]] = []
    try:
        for home in homes:
            databases = Databases.open(Home.of(home).databases, Config())
            opened.append((home, databases, DchatApplication(Stores(databases.app))))
        height = min(app.last_height for _, _, app in opened)
        return [_read(home.name, app, height) for home, _, app in opened]
    finally:
        for _, databases, _ in opened:
            databases.close()


def _read(name: str, app: DchatApplication, height: int) -> Kept:
    view: Any = app.queries.view(height)
    base = Base(view, app.modules.decoders)
    balances = {key[len(ACCOUNT) :]: account.balance for key, account in base.scan(ACCOUNT)}
    broken = [f"{law}: {detail}" for law, holds, detail in app.invariants(height) if not holds]
    return Kept(name, height, dict(view.roots), balances, broken)


def check_same(kept: list[Kept]) -> None:
    """Raises CampaignFailed: two nodes differ, or a law is broken."""
    first = kept[0]
    for other in kept:
        if (other.roots, other.balances) != (first.roots, first.balances):
            differing = {
                address.hex(): (first.balances.get(address), other.balances.get(address))
                for address in first.balances.keys() | other.balances.keys()
                if first.balances.get(address) != other.balances.get(address)
            }
            raise CampaignFailed(f"{first.name} and {other.name} differ at height {first.height}: {differing}")
        if other.broken:
            raise CampaignFailed(f"{other.name} at height {other.height}: {other.broken}")


def say_all_have_the_same(homes: list[Path]) -> None:
    """Of stopped nodes: balances, roots, every law. Raises CampaignFailed."""
    kept = kept_at(homes)
    check_same(kept)
    say(f"{len(kept)} nodes have the same {len(kept[0].balances)} balances and roots at height {kept[0].height}")
    say("every invariant holds on each")
