"""Light blocks made for tests: a chain whose validators change as told, others that part from it, their tellers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from consensus.formats.units import NS_PER_S
from consensus.types.commit import Commit
from consensus.types.commits import commit_from_votes
from consensus.types.evidence import Evidence
from consensus.types.header import Header, Version
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.validators import ValidatorSet
from consensus.types.vote import PRECOMMIT, Vote
from crypto.hash import sha256
from crypto.keys import PrivKey
from light.errors import HeightTooHigh, NoAnswer, NoBlock, ProviderFailed
from tests.support.types.builders import key

CHAIN_ID = "light-chain"
START_NS = 1_700_000_000 * NS_PER_S
BLOCK_NS = 5 * NS_PER_S
BLOCK_PROTOCOL = 11

Members = Mapping[str, int]  # names of keys, and their powers


@dataclass
class Chain:
    """blocks: by height, from 1. sets: who signs each height, from 1 on, one more than there are blocks."""

    blocks: dict[int, LightBlock] = field(default_factory=dict)
    sets: list[ValidatorSet] = field(default_factory=list)

    @property
    def height(self) -> int:
        return max(self.blocks)

    @property
    def now_ns(self) -> int:
        return self.blocks[self.height].header.time_ns + NS_PER_S


def set_of(members: Members) -> ValidatorSet:
    return ValidatorSet.new((key(name).pub_key, power) for name, power in members.items())


def keys_of(names: Sequence[str]) -> dict[bytes, PrivKey]:
    return {key(name).pub_key.address: key(name) for name in names}


def sign(header: Header, validators: ValidatorSet, signers: Mapping[bytes, PrivKey], *, round: int = 0) -> LightBlock:
    """signers: by address; others are absent."""
    target = BlockID(header.hash, PartSetHeader(1, sha256(b"parts")))
    votes: list[Vote | None] = []
    for index, member in enumerate(validators):
        signer = signers.get(member.address)
        if signer is None:
            votes.append(None)
            continue
        vote = Vote(PRECOMMIT, header.height, round, target, header.time_ns + index, member.address, index)
        votes.append(vote.signed(signer.sign(vote.sign_bytes(header.chain_id))))
    commit: Commit = commit_from_votes(header.height, round, target, votes)
    return LightBlock(SignedHeader(header, commit), validators)


def header_at(
    height: int, *, before: LightBlock | None, validators: ValidatorSet, following: ValidatorSet, app_hash: bytes = b""
) -> Header:
    return Header(
        Version(BLOCK_PROTOCOL, 0),
        CHAIN_ID,
        height,
        START_NS + height * BLOCK_NS,
        BlockID() if before is None else before.commit.block_id,
        sha256(b""), sha256(b""), validators.hash, following.hash, sha256(b"params"),
        app_hash or sha256(b"app %d" % height), sha256(b""), sha256(b""), validators[0].address,
    )  # fmt: skip


def make_chain(sets: Sequence[Members], *, names: Sequence[str] = ()) -> Chain:
    """One block for each set but the last, signed by all. names: of all keys that are ever used."""
    known = keys_of(sorted({name for members in sets for name in members} | set(names)))
    made = Chain(sets=[set_of(members) for members in sets])
    for height in range(1, len(sets)):
        validators, following = made.sets[height - 1], made.sets[height]
        header = header_at(height, before=made.blocks.get(height - 1), validators=validators, following=following)
        made.blocks[height] = sign(header, validators, known)
    return made


def fork(chain: Chain, height: int, *, to: int, signers: Sequence[str], members: Members | None = None) -> Chain:
    """Another chain that parts at `height`: other app hashes, signed by `signers`. members: another set from there on.

    With members it is what liars invent (the set that must have followed is not asked); without, the chain's own sets.
    """
    made = Chain({h: block for h, block in chain.blocks.items() if h < height}, list(chain.sets))
    known = keys_of(signers)
    for at in range(height, to + 1):
        own = set_of(members) if members is not None else chain.sets[at - 1]
        following = set_of(members) if members is not None else chain.sets[at]
        header = header_at(
            at, before=made.blocks.get(at - 1), validators=own, following=following, app_hash=sha256(b"lie %d" % at)
        )
        made.blocks[at] = sign(header, own, known)
    return made


def other_block(block: LightBlock, signers: Sequence[str], *, round: int = 0) -> LightBlock:
    """Another block that a correct execution could have made too: other transactions, the same state before."""
    header = replace(block.header, data_hash=sha256(b"other transactions"))
    return sign(header, block.validators, keys_of(signers), round=round)


class Teller:
    """A provider of a chain's blocks. What it was handed is in `handed`; what it was asked for in `asked`."""

    def __init__(self, chain: Chain, name: str = "primary", *, latest: int = 0) -> None:
        self.name, self.chain, self.latest = name, chain, latest or chain.height
        self.handed: list[Evidence] = []
        self.asked: list[int] = []
        self.fails: ProviderFailed | None = None
        self.is_silent = False
        self.lies: dict[int, LightBlock] = {}

    async def light_block(self, height: int) -> LightBlock:
        self.asked.append(height)
        if self.is_silent:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        at = height or self.latest
        if at in self.lies:
            return self.lies[at]
        if at > self.latest:
            raise HeightTooHigh(self.name, f"its latest is {self.latest}")
        if at not in self.chain.blocks:
            raise NoBlock(self.name, f"has no header {at}")
        return self.chain.blocks[at]

    async def report(self, evidence: Evidence) -> None:
        if self.fails is not None:
            raise NoAnswer(self.name, "gone")
        self.handed.append(evidence)
