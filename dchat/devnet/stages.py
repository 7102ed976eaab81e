"""What a payment costs a validator, stage by stage, in microseconds of CPU on one thread, with the floor beside it.

The product's own code on a real database in a folder of its own, one stage at a time; what is not in it (sockets,
encryption, scheduling) is the difference to what a process used under load. Blocks hold BLOCK_TXS payments, so that
what a block costs is spread as it is under load.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from chain.state.store import Stores
from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Payment
from consensus.abci.interface import (
    BlockRequest,
    CheckTxRequest,
    CommitInfo,
    ExtendedCommitInfo,
    FinalizeBlockResponse,
    InitChainRequest,
    PrepareProposalRequest,
    Slices,
)
from consensus.channels.peer_messages import decode_txs, encode_txs
from consensus.formats.units import MIB
from consensus.state.results import results_hash
from consensus.stores.state_store import StateStore, encode_response
from consensus.types.block import Data
from consensus.types.params import ConsensusParams
from consensus.types.parts import PartSet
from crypto.hash import sha256
from crypto.keys import ed25519_verify
from dchat.app.app import DchatApplication
from genesis.app_state import build_app_state
from storage.open import open_store

CHAIN_ID = "benchmark"
ACCOUNTS = 1_000
BLOCK_TXS = 600
BLOCKS = 3
GOSSIP_TXS = 64  # a message
MESSAGE_BYTES_MAX = MIB

FLOOR = "Ed25519 verification (the floor)"
PROPOSER_ONLY = "prepare a proposal (the proposer's)"

T = TypeVar("T")


def drain(steps: Slices[T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            answer: T = stop.value
            return answer


class _Costs:
    """CPU seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def run(self, stage: str, work: Callable[[], T]) -> T:
        started = time.thread_time()
        answer = work()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.thread_time() - started
        return answer


def measure_stages(folder: Path) -> dict[str, float]:
    """Stage -> microseconds a payment. Leaves its databases in `folder`."""
    wallets = [Wallet.from_seed(sha256(b"stages" + n.to_bytes(4, "big"))) for n in range(ACCOUNTS)]
    database, states = open_store("leveldb", folder / "app"), StateStore(open_store("leveldb", folder / "state"))
    app = DchatApplication(Stores(database))
    state = json.dumps(build_app_state({wallet.address: 10**12 for wallet in wallets})).encode()
    app.init_chain(InitChainRequest(0, CHAIN_ID, ConsensusParams(), (), state, 1))
    txs = _payments(wallets, BLOCKS * BLOCK_TXS)
    costs = _Costs()
    for height in range(1, BLOCKS + 1):
        _block(app, states, costs, height, txs[(height - 1) * BLOCK_TXS : height * BLOCK_TXS])
    return {stage: 1e6 * seconds / len(txs) for stage, seconds in costs.seconds.items()}


def _payments(wallets: list[Wallet], count: int) -> list[bytes]:
    """From each account in turn to the next; the policy is given with the first."""
    sequences = [0] * len(wallets)
    txs = []
    for number in range(count):
        at = number % len(wallets)
        seat = Seat(wallets[at], sequences[at], with_policy=sequences[at] == 0)
        sequences[at] += 1
        message = Payment(wallets[at].address, wallets[(at + 1) % len(wallets)].address, 1 + number % 1_000)
        txs.append(build_tx(chain_id=CHAIN_ID, messages=[message], seats=[seat], gas_price=100_000))
    return txs


def _block(app: DchatApplication, states: StateStore, costs: _Costs, height: int, txs: list[bytes]) -> None:
    """A block's transactions, from a peer's message to disk."""
    batches = [txs[start : start + GOSSIP_TXS] for start in range(0, len(txs), GOSSIP_TXS)]
    messages = costs.run("gossip: encode a batch", lambda: [encode_txs(batch) for batch in batches])
    costs.run(
        "gossip: decode and hash a batch",
        lambda: [sha256(tx) for message in messages for tx in decode_txs(message, bytes_max=MESSAGE_BYTES_MAX)],
    )
    checks = costs.run("decode and check the form", lambda: app.signature_checks(txs))
    assert all(costs.run(FLOOR, lambda: [ed25519_verify(*check) for check in checks]))
    app.remember_verified(checks)
    answers = costs.run("admission (check_tx)", lambda: [app.check_tx(CheckTxRequest(tx)) for tx in txs])
    assert not any(answer.code for answer in answers), answers
    request = PrepareProposalRequest(
        1 << 24, tuple(txs), ExtendedCommitInfo(0, ()), (), height, height, bytes(32), bytes(20)
    )
    assert len(costs.run(PROPOSER_ONLY, lambda: drain(app.prepare_proposal(request))).txs) == len(txs)
    _decided(app, states, costs, height, txs)


def _decided(app: DchatApplication, states: StateStore, costs: _Costs, height: int, txs: list[bytes]) -> None:
    data = Data(tuple(txs))

    def parts() -> PartSet:
        assert data.hash
        return PartSet.from_bytes(data.encode())

    costs.run("block: hashes and parts", parts)
    block = BlockRequest(tuple(txs), CommitInfo(0, ()), (), sha256(b"%d" % height), height, height, b"", b"")
    assert costs.run("execution and the trees", lambda: drain(app.process_proposal(block))).accepted
    response: FinalizeBlockResponse = drain(app.finalize_block(block))
    assert not any(result.code for result in response.tx_results), response
    costs.run("results: their hash", lambda: results_hash(response.tx_results))
    encoded: Any = costs.run("results: encoding", lambda: drain(encode_response(response)))
    costs.run("results and index to disk", lambda: states.save_response(height, encoded, data.tx_hashes))
    costs.run("application's state to disk", app.write_commit)
    costs.run("commit: records and admission", app.commit)
