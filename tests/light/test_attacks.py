"""Attacks on light clients: each kind is found, nothing of it is kept, and the evidence convicts who signed it alone.

Judged as a node judges it: `verify_evidence` over what an honest node has stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest

from consensus.formats.errors import InvalidData
from consensus.types.evidence import LightClientAttackEvidence, decode_evidence, verify_evidence
from consensus.types.header import Header
from consensus.types.light import LightBlock, SignedHeader
from consensus.types.params import EvidenceParams
from consensus.types.validators import ValidatorSet
from light import LightClient, Root
from light.errors import AttackDetected, NoAnswer, NoWitness
from light.store import MemoryTrustStore
from tests.support.light.chains import Chain, Teller, fork, keys_of, make_chain, other_block, sign
from tests.support.types.builders import key

FOUR = dict.fromkeys("abcd", 10)
LATER = dict.fromkeys("cdef", 10)


@cache
def honest() -> Chain:
    """Until 20 of a, b, c and d, then of c, d, e and f."""
    return make_chain([FOUR] * 20 + [LATER] * 21)


@dataclass
class Stored:
    """What a node of the chain has: consensus.types.evidence.EvidenceSource."""

    chain: Chain

    @property
    def latest_height(self) -> int:
        return self.chain.height

    def header(self, height: int) -> Header | None:
        found = self.chain.blocks.get(height)
        return found and found.header

    def signed_header(self, height: int) -> SignedHeader | None:
        found = self.chain.blocks.get(height)
        return found and found.signed_header

    def validators(self, height: int) -> ValidatorSet | None:
        found = self.chain.blocks.get(height)
        return found and found.validators


def judge(evidence: LightClientAttackEvidence, chain: Chain) -> set[str]:
    """Who is convicted by a node of `chain`, of what came over the wire. Raises InvalidData: nobody."""
    decoded = decode_evidence(evidence.encode_wrapped())
    decoded.validate()
    last = chain.blocks[chain.height].header
    verify_evidence(
        decoded,
        Stored(chain),
        chain_id=last.chain_id,
        last_height=last.height,
        last_time_ns=last.time_ns,
        params=EvidenceParams(),
    )
    return set(map(name_of, decoded.accused))


def name_of(address: bytes) -> str:
    keys = {key(name).pub_key.address: name for name in "abcdefxyz"}
    return keys[address]


async def attacked(lying: Chain, target: int, *, primary_lies: bool) -> tuple[AttackDetected, Teller, Teller]:
    """The error, the honest provider and the lying one."""
    good, bad = Teller(honest(), "good"), Teller(lying, "bad")
    primary, witness = (bad, good) if primary_lies else (good, bad)
    store = MemoryTrustStore()
    root = Root(1, honest().blocks[1].hash)
    client = LightClient(root, primary, [witness], store=store, now_ns=lambda: honest().now_ns)
    with pytest.raises(AttackDetected) as caught:
        await client.verify_at(target)
    assert list(store.heights) == [1]
    return caught.value, good, bad


@pytest.mark.parametrize("primary_lies", [True, False])
@pytest.mark.parametrize(
    ("lying", "target", "guilty", "common"),
    [
        pytest.param(lambda: fork(honest(), 10, to=40, signers="abc"), 15, "abc", 1, id="lunatic: another state"),
        pytest.param(
            lambda: fork(honest(), 30, to=40, signers="abxyz", members=dict.fromkeys("abxyz", 10)),
            40, "ab", 1, id="lunatic: another set, with two whom the root knows",
        ),
        pytest.param(
            lambda: Chain(honest().blocks | {15: other_block(honest().blocks[15], "bcd")}, honest().sets),
            15, "bcd", 15, id="equivocation",
        ),
    ],
)  # fmt: skip
async def test_an_attack_is_found_and_its_signers_are_convicted(
    lying: Callable[[], Chain], target: int, guilty: str, common: int, primary_lies: bool
) -> None:
    error, good, bad = await attacked(lying(), target, primary_lies=primary_lies)
    (against,) = good.handed
    assert isinstance(against, LightClientAttackEvidence)
    assert judge(against, honest()) == set(guilty)
    assert against.common_height == common
    assert "good" in error.handed
    assert set(guilty) <= {name_of(address) for item in error.evidence for address in item.accused}
    assert str(error).count("an attack: header") == 1
    for mirrored in bad.handed:  # what the liar was given accuses honest ones of its own lie: no honest node takes it
        assert isinstance(mirrored, LightClientAttackEvidence)
        with pytest.raises(InvalidData):
            judge(mirrored, honest())


async def test_amnesia_is_found_and_nobody_is_accused_of_it() -> None:
    """Two rounds' blocks, of whose signers it cannot be said who forgot: no node takes evidence of it."""
    lying = Chain(honest().blocks | {15: other_block(honest().blocks[15], "bcd", round=1)}, honest().sets)
    error, good, bad = await attacked(lying, 15, primary_lies=True)
    assert (good.handed, bad.handed, error.handed) == ([], [], ())
    assert "amnesia" in str(error)


async def test_a_header_ahead_of_the_chain_is_an_attack_once_the_chain_is_as_late() -> None:
    """A forward lunatic: of a height that is not there yet, with a time that has passed on the chain."""
    lying = fork(honest(), 15, to=30, signers="abcd", members=FOUR)
    behind = Chain({height: block for height, block in honest().blocks.items() if height <= 20}, honest().sets)
    lying.blocks[30] = _at_time(lying, 30, behind.blocks[20].header.time_ns - 1)
    good, bad = Teller(behind, "good"), Teller(lying, "bad")
    client = LightClient(Root(1, behind.blocks[1].hash), bad, [good], now_ns=lambda: behind.now_ns)
    with pytest.raises(AttackDetected):
        await client.verify_at(30)
    (against,) = good.handed
    assert isinstance(against, LightClientAttackEvidence)
    assert judge(against, behind) == set("abcd")
    assert against.conflicting_block.height == 30


def _at_time(chain: Chain, height: int, time_ns: int) -> LightBlock:
    block = chain.blocks[height]
    return sign(replace(block.header, time_ns=time_ns), block.validators, keys_of("abcd"))


async def test_a_witness_that_cannot_show_its_header_is_dropped_and_accuses_nobody() -> None:
    """Signed by members of an invented set, whom nobody trusts: a lie, and no attack."""
    liar = Teller(fork(honest(), 10, to=40, signers="xyz", members=dict.fromkeys("xyz", 10)), "liar")
    good = Teller(honest(), "good")
    root = Root(1, honest().blocks[1].hash)
    client = LightClient(root, Teller(honest()), [liar, good], now_ns=lambda: honest().now_ns)
    assert (await client.verify_at(19)).hash == honest().blocks[19].hash
    assert client.witnesses == [good]
    assert liar.handed == good.handed == []
    alone = LightClient(root, Teller(honest()), [liar], now_ns=lambda: honest().now_ns)
    with pytest.raises(NoWitness, match="header 10: its set hashes to"):
        await alone.verify_at(19)


async def test_evidence_that_nobody_takes_is_told_in_the_error() -> None:
    good, bad = Teller(honest(), "good"), Teller(fork(honest(), 10, to=40, signers="abc"), "bad")
    root = Root(1, honest().blocks[1].hash)

    async def refuse(evidence: object) -> None:
        raise NoAnswer("good", "full")

    good.report = bad.report = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(AttackDetected, match="no evidence could be handed in") as caught:
        await LightClient(root, bad, [good], now_ns=lambda: honest().now_ns).verify_at(15)
    assert judge(caught.value.evidence[0], honest()) == set("abc")  # whoever catches it has it
