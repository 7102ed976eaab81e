"""Where two providers tell different headers: to the height where they part, and to evidence that proves who did it.

Each side's way is walked beside the other's from a header that they share, and verified; where they part the one is
evidence against the other. Of a lie about the state (lunatic) it is told with the last shared height, whose set can be
judged; of headers that differ in what a correct chain may choose, with their own. Amnesia proves nobody's fault.
Source: CometBFT v0.38, spec/light-client/attacks, light/detector.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from consensus.types.evidence import LightClientAttackEvidence
from consensus.types.light import LightBlock
from light.errors import LightError
from light.provider import Provider
from light.walk import Walker


class Parting(NamedTuple):
    """way: the source's verified headers from the last shared one to its own; other: the one that differs from it."""

    way: list[LightBlock]
    other: LightBlock

    @property
    def common(self) -> LightBlock:
        return self.way[0]

    def evidence(self) -> LightClientAttackEvidence:
        """Against those who signed `other`."""
        return make_evidence(self.other, trusted=self.way[-1], common=self.common)


def make_evidence(other: LightBlock, *, trusted: LightBlock, common: LightBlock) -> LightClientAttackEvidence:
    """trusted: what stands in the place of `other` on the chain, or short of it; common: the last that both share."""
    bare = LightClientAttackEvidence(other, common.height)
    of = common if bare.is_lunatic(trusted.header) else trusted
    return replace(
        bare,
        common_height=of.height,
        byzantine_validators=bare.offenders(common.validators, trusted.signed_header),
        total_voting_power=of.validators.total_power,
        timestamp_ns=of.header.time_ns,
    )


async def find_parting(walker: Walker, trace: Sequence[LightBlock], source: Provider, target: LightBlock) -> Parting:
    """Where `source`, whose own header is `target`, parts from a verified trace of somebody else.

    Raises ProviderFailed, LightError: it cannot show its own, so it is not to be believed.
    """
    shared = trace[0]
    if target.height < shared.height:
        raise LightError(f"{source.name} has no header at the shared {shared.height}")
    first = await walker.fetch(source, shared.height)
    if first.hash != shared.hash:
        raise LightError(f"{source.name} has another header {shared.height} than the one that is trusted")
    for block in trace[1:]:
        if block.height > target.height:  # lies ahead of the chain: a header later in height and not in time
            if block.header.time_ns > target.header.time_ns:
                raise LightError(f"{source.name} is behind: its latest is {target.height}")
            way = await walker.skip(source, shared, target) if target.height > shared.height else [shared]
            return Parting(way, block)
        own = target if block.height == target.height else await walker.fetch(source, block.height)
        way = await walker.skip(source, shared, own)
        if own.hash != block.hash:
            return Parting(way, block)
        shared = own
    raise LightError(f"{source.name} has all the headers that it seemed to differ in")
