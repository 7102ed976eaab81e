"""From two signatures to the slash: evidence pool, block, misbehaviour and machine, all of the product.

One node executes what four keys sign; votes that conflict are reported as the engine does, an attack on light clients
comes as from a peer.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from chain.currency.ledger.stake_records import CONSENSUS_KEY, UNBONDING, Validator
from chain.currency.staking import stake
from chain.currency.staking.signing import info_of
from chain.state.store import Stores
from chain.tx.units import UDCHAT_PER_DCHAT
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor
from consensus.execution.handshake import handshake
from consensus.formats.errors import InvalidEvidence
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.types.block import Block
from consensus.types.commits import commit_from_votes, extended_commit_from_votes
from consensus.types.evidence import DuplicateVoteEvidence, Evidence, LightClientAttackEvidence
from consensus.types.header import Header
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, PREVOTE, Vote
from crypto.hash import sha256
from dchat.app.app import DchatApplication
from genesis.build import build_genesis, stake_of
from storage.memory import MemoryStore
from tests.campaigns.rules import slash
from tests.support.chain.harness import wallet
from tests.support.economy.world import START_NS
from tests.support.engine.kvapp import ListPool
from tests.support.types.builders import key

CHAIN = "evidence-chain"
NAMES = ("a", "b", "c", "d")
STAKES = dict(zip(NAMES, (2_000_000, 2_100_000, 2_200_500, 2_300_999), strict=True))  # DCHAT
KEYS = {key(name).pub_key.address: key(name) for name in NAMES}


class OneNode:
    """`grow` makes a block that everybody signs, and applies it."""

    def __init__(self) -> None:
        self.genesis = build_genesis(
            chain_id=CHAIN, time_ns=START_NS, balances={wallet("ann").address: 10**12},
            stakes=[
                stake_of(wallet(name).address, key(name).pub_key.bytes, dchat, moniker=name)
                for name, dchat in STAKES.items()
            ],
        )  # fmt: skip
        self.app = DchatApplication(Stores(MemoryStore()))
        self.blocks, self.states = BlockStore(MemoryStore()), StateStore(MemoryStore())
        self.evidence = EvidencePool(MemoryStore(), self.blocks, self.states)
        self.executor = BlockExecutor(
            self.app, self.blocks, self.states, pool=ListPool(), evidence=self.evidence,  # type: ignore[arg-type]
            workers=InlineWorkers(), clock=LoopClock(),
        )  # fmt: skip
        self.state: State
        self._votes: list[Vote | None] = []
        self._last: BlockID

    async def begin(self) -> OneNode:
        self.state = await handshake(self.genesis, self.executor, software="test")
        return self

    @property
    def height(self) -> int:
        return self.state.last_block_height

    def vote(
        self, name: str, block_id: BlockID, *, height: int, kind: int = PRECOMMIT, members: ValidatorSet | None = None
    ) -> Vote:
        address, at = key(name).pub_key.address, members or self.state.validators
        index = at.index_of(address)
        assert index is not None
        vote = Vote(kind, height, 0, block_id, START_NS + height * 10**9, address, index)
        return vote.signed(KEYS[address].sign(vote.sign_bytes(CHAIN)))

    async def build(self) -> Block:
        commit = extended_commit_from_votes(self.height, 0, self._last, self._votes) if self.height else None
        return await self.executor.build(self.state, commit, self.state.validators.proposer_of(0).address)

    async def grow(self, block: Block | None = None) -> Block:
        block = block or await self.build()
        assert (await self.executor.validate(self.state, block)).invalid == ""
        block_id, members = block.block_id, self.state.validators
        names = {key(name).pub_key.address: name for name in NAMES}
        votes: list[Vote | None] = [
            self.vote(names[member.address], block_id, height=block.height) for member in members.pub_keys
        ]
        commit = commit_from_votes(block.height, 0, block_id, votes)
        self.state = await self.executor.apply(
            self.state, block, block_id, save=lambda: self.blocks.save(block, block.part_set(), commit)
        )
        self._votes, self._last = votes, block_id
        return block

    async def grow_to(self, height: int) -> None:
        while self.height < height:
            await self.grow()

    def validator(self, name: str) -> Validator:
        operator = self.app.base.get(CONSENSUS_KEY + key(name).pub_key.address)
        return stake.require_validator(self.app.base, operator)

    def tombstoned(self, name: str) -> bool:
        info = info_of(self.app.base, key(name).pub_key.address)
        return info is not None and info.tombstoned

    def assert_punished(self, name: str, evidence_height: int) -> None:
        power = STAKES[name] // 1_000
        expected = slash(
            power=power, fraction=Fraction(1, 20), height=evidence_height - 1, now_ns=0,
            tokens=STAKES[name] * UDCHAT_PER_DCHAT,
        )  # fmt: skip
        found = self.validator(name)
        assert found.tokens == STAKES[name] * UDCHAT_PER_DCHAT - expected.own
        assert (found.jailed, found.status, self.tombstoned(name)) == (True, UNBONDING, True)
        assert [law for law, holds, _ in self.app.invariants() if not holds] == []


def other_block(name: str) -> BlockID:
    return BlockID(sha256(name.encode()), PartSetHeader(1, sha256(name.encode())))


@pytest.mark.parametrize("kind", [PREVOTE, PRECOMMIT])
async def test_two_votes_reported_by_the_engine_cost_a_twentieth(kind: int) -> None:
    node = await OneNode().begin()
    await node.grow_to(3)
    votes = [node.vote("c", other_block(name), height=4, kind=kind) for name in ("one", "two")]
    node.evidence.report_conflicting_votes(votes[0], votes[1])  # the height runs: it waits for its block
    assert not (await node.grow()).evidence
    block = await node.grow()
    (item,) = block.evidence
    assert isinstance(item, DuplicateVoteEvidence)
    assert (item.height, item.validator_power, block.height) == (4, 2_200, 5)
    node.assert_punished("c", 4)
    address = key("c").pub_key.address
    assert [address in members for members in (node.state.validators, node.state.next_validators)] == [True, False]
    tokens = node.validator("c").tokens
    again = [node.vote("c", other_block(name), height=5, members=node.state.last_validators) for name in ("x", "y")]
    node.evidence.report_conflicting_votes(again[0], again[1])
    assert (await node.grow()).evidence
    assert node.validator("c").tokens == tokens  # tombstoned: one slash a key
    assert node.evidence.size == 0


def light_attack(node: OneNode, header: Header, names: tuple[str, ...], *, common: int) -> LightClientAttackEvidence:
    """A header that is not the chain's, signed by these. common: the last height of which no one lied."""
    members = node.states.load_validators(header.height)
    assert members is not None
    block_id = BlockID(header.hash, PartSetHeader(1, bytes(32)))
    by_address = {key(name).pub_key.address: name for name in names}
    votes = [
        node.vote(by_address[member.address], block_id, height=header.height, members=members)
        if member.address in by_address
        else None
        for member in members.pub_keys
    ]
    signed = SignedHeader(header, commit_from_votes(header.height, 0, block_id, votes))
    meta, commit = node.blocks.load_meta(header.height), node.blocks.load_commit(header.height)
    agreed, known = node.blocks.load_meta(common), node.states.load_validators(common)
    assert meta is not None
    assert agreed is not None
    assert known is not None
    assert commit is not None
    evidence = LightClientAttackEvidence(
        LightBlock(signed, members), common, (), known.total_power, agreed.header.time_ns
    )
    trusted = SignedHeader(meta.header, commit)
    return replace(evidence, byzantine_validators=evidence.offenders(known, trusted))


@pytest.mark.parametrize(("field", "common"), [("app_hash", 2), ("data_hash", 3)], ids=["lunatic", "equivocation"])
async def test_an_attack_on_light_clients_costs_all_who_signed_it(field: str, common: int) -> None:
    node = await OneNode().begin()
    await node.grow_to(4)
    meta = node.blocks.load_meta(3)
    assert meta is not None
    lie = replace(meta.header, **{field: sha256(b"a lie")})  # type: ignore[arg-type]
    item = light_attack(node, lie, ("b", "c", "d"), common=common)
    assert len(item.byzantine_validators) == 3
    assert node.evidence.add(item)
    assert not node.evidence.add(item)  # counts once
    block = await node.grow()
    assert [found.hash for found in block.evidence] == [item.hash]
    for name in ("b", "c", "d"):
        node.assert_punished(name, common)
    assert not node.validator("a").jailed
    assert node.validator("a").tokens == STAKES["a"] * UDCHAT_PER_DCHAT
    await node.grow()
    assert node.evidence.size == 0


async def test_false_evidence_costs_nobody() -> None:
    node = await OneNode().begin()
    await node.grow_to(4)
    votes = [node.vote("c", other_block(name), height=3) for name in ("one", "two")]
    members = node.states.load_validators(3)
    meta = node.blocks.load_meta(3)
    assert members is not None
    assert meta is not None
    good = DuplicateVoteEvidence.from_votes(votes[0], votes[1], validators=members, time_ns=meta.header.time_ns)
    forged = replace(good.vote_a, signature=bytes(64))
    false: list[Evidence] = [
        replace(good, validator_power=good.validator_power + 1),
        replace(good, timestamp_ns=good.timestamp_ns + 1),
        replace(good, vote_a=forged),
    ]
    honest = await node.build()
    for item in false:
        with pytest.raises(InvalidEvidence):
            node.evidence.add(item)
    assert not honest.evidence
    assert not (await node.grow(honest)).evidence
    assert all(node.validator(name).tokens == dchat * UDCHAT_PER_DCHAT for name, dchat in STAKES.items())
    assert node.evidence.add(good)  # and the true one is taken
    await node.grow()
    node.assert_punished("c", 3)
