"""A block that is synced: each of its signatures, and each of the commit that proves it, is verified once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from chain.kernel import signatures as kernel
from consensus.state.validation import make_block
from consensus.sync.fetched import Fetched, prove
from consensus.types.block import Block, Commit, Data
from consensus.types.validators import ValidatorSet
from crypto import batch, keys
from crypto.keys import Ed25519PrivKey, ed25519_verify
from tests.support.sync.blocks import KEYS, commit_for
from tests.support.sync.payments import PAYMENTS, Counting, apply, begin, chain_of, executor_of, look_ahead, payments

BLOCKS = 5


@pytest.mark.parametrize("ahead", [pytest.param(3, id="three blocks ahead"), pytest.param(1, id="in its turn")])
async def test_each_signature_of_a_synced_block_is_verified_once(monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    chain = await chain_of(BLOCKS + ahead + 1)
    here: Counter[tuple[bytes, bytes, bytes]] = Counter()

    def counted(*check: Any) -> bool:
        here[check] += 1
        return ed25519_verify(*check)

    monkeypatch.setattr(kernel, "ed25519_verify", counted)
    monkeypatch.setattr(keys, "ed25519_verify", counted)
    monkeypatch.setattr(batch, "verify_ed25519", lambda checks: [counted(*check) for check in checks])
    beside = Counting()
    executor = executor_of(beside)
    state = await begin(executor)
    for number in range(ahead):
        await look_ahead(executor, state, chain, number)
    for number in range(BLOCKS):
        await look_ahead(executor, state, chain, number + ahead)
        first, second = chain[number], chain[number + 1]
        commit = prove(state, first, second, executor.signatures.verify_many)
        await executor.check(state, first.block, is_decided=True)
        state = await apply(executor, state, first.block, commit)
    assert here == Counter()  # nothing was left to execution, to the proof, or to the check of the block
    wanted = (BLOCKS + ahead) * (PAYMENTS + len(KEYS))
    assert (beside.seen.total(), set(beside.seen.values())) == (wanted, {1})
    results = [executor.states.load_response(height) for height in range(1, BLOCKS + 1)]
    assert all(result.code == 0 for found in results if found is not None for result in found.tx_results)


async def test_a_false_signature_is_found_in_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not remembered, so execution verifies it, as it does where nobody looked ahead."""
    executor, other = executor_of(Counting()), executor_of()
    state, again = await begin(executor), await begin(other)
    txs = list(payments(0))
    txs[3] = txs[3][:-1] + bytes([txs[3][-1] ^ 1])
    proposer = state.validators.proposer_of(0).address
    block = make_block(state, txs=tuple(txs), last_commit=Commit(), evidence=(), proposer_address=proposer)
    await executor.verify_ahead(state, block, block.block_id, commit_for(state, block))
    after = await apply(executor, state, block, commit_for(state, block))
    assert after == await apply(other, again, block, commit_for(state, block))
    response = executor.states.load_response(1)
    assert response is not None
    assert [result.code == 0 for result in response.tx_results][:4] == [True, True, True, False]


def lies(chain: list[Fetched]) -> dict[str, tuple[Fetched, Commit]]:
    first, commit = chain[0], chain[1].block.last_commit
    assert commit is not None
    other = make_block_like(first.block, chain[1].block.data.txs)
    forged = tuple(replace(slot, signature=bytes(64)) for slot in commit.signatures[:2])
    return {
        "another block's commit": (chain[1], commit),
        "too few of them": (first, replace(commit, signatures=commit.signatures[:-1])),
        "not theirs": (first, replace(commit, signatures=commit.signatures[::-1])),
        "false ones, and too little power": (first, replace(commit, signatures=(*forged, *commit.signatures[2:]))),
        "transactions of a liar under a true header's commit": (other, commit),
    }


def make_block_like(block: Block, txs: tuple[bytes, ...]) -> Fetched:
    changed = Block(block.header, Data(txs), block.evidence, block.last_commit)
    return Fetched("", changed, changed.part_set(), None)


@pytest.mark.parametrize("which", [0, 1, 2, 3, 4])
async def test_transactions_of_a_block_that_is_not_decided_are_not_verified_ahead(which: int) -> None:
    """What a liar costs is a commit's signatures."""
    beside = Counting()
    executor = executor_of(beside)
    state = await begin(executor)
    fetched, commit = list(lies(await chain_of(2)).values())[which]
    await executor.verify_ahead(state, fetched.block, fetched.block_id, commit)
    assert beside.seen.total() <= len(KEYS)


async def test_a_block_of_validators_that_are_not_known_here_is_left_to_its_turn() -> None:
    beside = Counting()
    executor = executor_of(beside)
    state = await begin(executor)
    chain = await chain_of(2)
    strangers = ValidatorSet.new((Ed25519PrivKey.from_seed(bytes([number]) * 32).pub_key, 10) for number in range(4))
    state = replace(state, validators=strangers, next_validators=strangers)
    await look_ahead(executor, state, chain, 0)
    assert beside.seen == Counter()
