"""A chain of payments, as a peer sends it, and executors of the product's application that sync it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from chain.state.store import Stores
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Payment
from consensus.channels.peer_messages import BlockResponse
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor, save_decided
from consensus.execution.handshake import handshake
from consensus.execution.verifiers import ThreadVerifiers
from consensus.state.state import State
from consensus.state.validation import make_block
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.sync.fetched import Fetched, decode_fetched
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.system.failpoints import no_fail_point
from consensus.types.block import Block, BlockBounds, Commit
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from genesis.build import build_genesis, stake_of
from storage.memory import MemoryStore
from tests.support.engine.kvapp import ListPool
from tests.support.sync.blocks import CHAIN_ID, KEYS, commit_for

WALLETS = [Wallet.from_seed(sha256(b"ahead %d" % number)) for number in range(8)]
PAYMENTS = 24


class Counting(ThreadVerifiers):
    """What is verified beside the loop."""

    def __init__(self) -> None:
        super().__init__(InlineWorkers())
        self.seen: Counter[tuple[bytes, bytes, bytes]] = Counter()

    async def verify(self, checks: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
        self.seen.update(checks)
        return await super().verify(checks)


def executor_of(verifiers: ThreadVerifiers | None = None) -> BlockExecutor:
    blocks, states = BlockStore(MemoryStore()), StateStore(store := MemoryStore())
    evidence = EvidencePool(store, blocks, states)
    return BlockExecutor(
        DchatApplication(Stores(MemoryStore())), blocks, states, pool=ListPool(), evidence=evidence,
        workers=InlineWorkers(), clock=LoopClock(), signatures=evidence.signatures, verifiers=verifiers,
    )  # fmt: skip


async def begin(executor: BlockExecutor) -> State:
    stakes = [
        stake_of(wallet.address, key.pub_key.bytes, 1_000_000, moniker="one")
        for wallet, key in zip(WALLETS, KEYS, strict=False)
    ]
    balances = {wallet.address: 10**15 for wallet in WALLETS}
    document = build_genesis(chain_id=CHAIN_ID, time_ns=1_700_000_000 * 10**9, stakes=stakes, balances=balances)
    return await handshake(document, executor, software="test")


def payments(sequence: int) -> tuple[bytes, ...]:
    txs = []
    for number in range(PAYMENTS):
        wallet, other = WALLETS[number % len(WALLETS)], WALLETS[(number + 1) % len(WALLETS)]
        at = sequence + number // len(WALLETS)
        seat = Seat(wallet, at, with_policy=at == 0)
        message = Payment(wallet.address, other.address, 1 + number)
        txs.append(build_tx(chain_id=CHAIN_ID, messages=[message], seats=[seat], gas_price=100_000))
    return tuple(txs)


async def apply(executor: BlockExecutor, state: State, block: Block, commit: Commit) -> State:
    save = save_decided(
        executor.blocks, None, no_fail_point, block=block, parts=block.part_set(), commit=commit, extended=None
    )
    return await executor.apply(state, block, block.block_id, save=save)


async def chain_of(count: int) -> list[Fetched]:
    """As a peer sends it."""
    executor = executor_of()
    state, commit, found = await begin(executor), Commit(), []
    for number in range(count):
        txs = payments(number * PAYMENTS // len(WALLETS))
        proposer = state.validators.proposer_of(0).address
        block = make_block(state, txs=txs, last_commit=commit, evidence=(), proposer_address=proposer)
        commit = commit_for(state, block)
        state = await apply(executor, state, block, commit)
        found.append(decode_fetched("", BlockResponse(block.encode(), b""), BlockBounds(1_000, len(KEYS), 1)))
    return found


async def look_ahead(executor: BlockExecutor, state: State, chain: list[Fetched], number: int) -> None:
    commit = chain[number + 1].block.last_commit
    assert commit is not None
    await executor.verify_ahead(state, chain[number].block, chain[number].block_id, commit)
