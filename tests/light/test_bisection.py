"""Whatever the validators do, the chain is followed; and no liar is believed while the honest are what we assume.

Chains by chance: members that come, go and change power. A liar has the keys of less than a third of every set, and of
all validators that were not honest at any time; it tells what it can sign. Hypothesis shrinks a case to the sets.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.types.light import LightBlock
from light import LightClient, Options, Root
from light.errors import AttackDetected, LightError
from tests.support.light.chains import Chain, Members, Teller, fork, header_at, keys_of, make_chain, set_of, sign

HONEST = [f"h{number}" for number in range(12)]
LIARS = [f"l{number}" for number in range(4)]

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def histories(draw: st.DrawFn, *, liars: bool = False) -> list[Members]:
    """Sets of some heights, one more than blocks; each follows from the one before by a few changes."""
    members: dict[str, int] = {name: draw(st.integers(5, 50)) for name in HONEST[: draw(st.integers(1, 6))]}
    sets: list[Members] = []
    for _ in range(draw(st.integers(4, 40))):
        for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
            name = draw(st.sampled_from(HONEST))
            if name not in members:
                members[name] = draw(st.integers(5, 50))
            elif len(members) > 1 and draw(st.booleans()):
                del members[name]
            else:
                members[name] = draw(st.integers(5, 50))
        made = dict(members)
        if liars:  # of each set less than a third
            left = (sum(made.values()) - 1) // 2
            for name in LIARS:
                if power := draw(st.integers(0, left)):
                    made[name], left = power, left - power
        sets.append(made)
    return sets


@quick
@given(histories(), st.data())
async def test_every_header_is_reached_from_any_root(sets: list[Members], data: st.DataObject) -> None:
    chain = make_chain(sets)
    begin = data.draw(st.integers(1, chain.height), "root")
    sequential = data.draw(st.booleans(), "sequential")
    level = data.draw(st.sampled_from([(1, 3), (1, 2), (2, 3), (1, 1)]), "level")
    primary, witness = Teller(chain), Teller(chain, "witness")
    client = LightClient(
        Root(begin, chain.blocks[begin].hash),
        primary,
        [witness],
        options=Options(level, sequential=sequential),
        now_ns=lambda: chain.now_ns,
    )
    for _ in range(4):
        height = data.draw(st.integers(1, chain.height), "height")
        assert (await client.verify_at(height)) == chain.blocks[height]
    assert len(primary.asked) <= 3 * chain.height + 8


class Liar(Teller):
    """Tells, of each height that chance chooses, another header: signed by the liars, of the chain's set or theirs."""

    def __init__(self, chain: Chain, lies: dict[int, str]) -> None:
        super().__init__(chain, "liar")
        for height, kind in lies.items():
            self.lies[height] = self._lie(height, kind)

    def _lie(self, height: int, kind: str) -> LightBlock:
        before = self.lies.get(height - 1) or self.chain.blocks.get(height - 1)
        real = self.chain.blocks[height]
        own = set_of(dict.fromkeys(LIARS, 100))
        validators = own if kind == "own set" else real.validators
        following = own if kind == "own set" else self.chain.sets[height]
        header = header_at(height, before=before, validators=validators, following=following, app_hash=bytes(32))
        if kind == "stolen commit":  # the honest ones' signatures, of another block
            made = sign(header, validators, keys_of(LIARS))
            slots = real.commit.signatures
            commit = made.commit.__class__(height, 0, made.commit.block_id, slots)
            return LightBlock(made.signed_header.__class__(header, commit), validators)
        return sign(header, validators, keys_of(LIARS))


@quick
@given(histories(liars=True), st.data())
async def test_a_liar_is_never_believed(sets: list[Members], data: st.DataObject) -> None:
    """With less than a third of each set it is refused or of no use, and no more; nor does anybody else suffer."""
    chain = make_chain(sets)
    kinds = st.sampled_from(["own set", "real set", "stolen commit"])
    lies = data.draw(st.dictionaries(st.integers(2, chain.height), kinds, min_size=1, max_size=6), "lies")
    liar, honest = Liar(chain, dict(sorted(lies.items()))), Teller(chain, "honest")
    lying_primary = data.draw(st.booleans(), "the primary lies")
    primary, witness = (liar, honest) if lying_primary else (honest, liar)
    with_witness = data.draw(st.booleans(), "with a witness")
    client = LightClient(
        Root(1, chain.blocks[1].hash),
        primary,
        [witness] if with_witness else [],
        options=Options(sequential=data.draw(st.booleans(), "sequential")),
        now_ns=lambda: chain.now_ns,
    )
    for _ in range(3):
        height = data.draw(st.integers(2, chain.height), "height")
        try:
            found = await client.verify_at(height)
        except AttackDetected:
            raise  # nobody signed enough for that
        except LightError:
            continue
        assert found.hash == chain.blocks[height].hash
    assert honest.handed == []


@quick
@given(histories(), st.data())
async def test_two_thirds_that_lie_are_found_by_one_honest_witness(sets: list[Members], data: st.DataObject) -> None:
    """Whoever signed it; without a witness they would be believed."""
    chain = make_chain(sets)
    at = data.draw(st.integers(2, chain.height), "parts at")
    lying = fork(chain, at, to=chain.height, signers=HONEST)
    primary, witness = Teller(lying, "liar"), Teller(chain, "witness")
    client = LightClient(Root(1, chain.blocks[1].hash), primary, [witness], now_ns=lambda: chain.now_ns)
    target = data.draw(st.integers(at, chain.height), "target")
    with pytest.raises(AttackDetected) as caught:
        await client.verify_at(target)
    assert all(item.accused for item in caught.value.evidence)
    assert witness.handed == [caught.value.evidence[0]]
    alone = LightClient(Root(1, chain.blocks[1].hash), primary, now_ns=lambda: chain.now_ns)
    assert (await alone.verify_at(target)).hash == lying.blocks[target].hash
