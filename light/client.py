"""The light client: which header is the chain's at a height, by the word of nobody but two thirds of its validators.

It goes along one provider's headers (the primary's) from what it trusts, asks every witness whether its header of the
height is the same, and keeps what was verified only then. Where a witness has another one that is signed by enough,
somebody attacks: it ends with AttackDetected and hands the evidence to both sides. A primary that fails is replaced by
a witness. Without witnesses nothing is compared: two thirds of one set's signatures are all that is known.
Source: CometBFT v0.38, spec/light-client, light/client.go, light/detector.go.
"""

from __future__ import annotations

import asyncio
import bisect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from consensus.formats.units import NS_PER_S
from consensus.types.evidence import LightClientAttackEvidence
from consensus.types.light import LightBlock
from light.attack import Parting, find_parting
from light.errors import (
    AttackDetected,
    BadAnswer,
    HeightTooHigh,
    LightError,
    NoBlock,
    NotVerified,
    NoWitness,
    PrioritiesDiffer,
    ProviderFailed,
    RootDisputed,
)
from light.provider import REPORT_TIMEOUT_S, Provider, ask
from light.rules import BACK_MAX, Options, Root, check_live, is_expired
from light.store import MemoryTrustStore, TrustStore
from light.walk import Walker

WITNESSES_MAX: Final = 32  # each is asked for every header
SEQUENCE_MAX: Final = 500  # headers in a row, held until the last of them was compared


class LightClient:
    """Use from one event loop; calls wait for each other.

    root None: the store has one. on_kept: called with what was verified, compared and kept. chain_id empty: the root's
    header says it, whose hash covers it (not of a set).
    """

    def __init__(
        self,
        root: Root | None,
        primary: Provider,
        witnesses: Sequence[Provider] = (),
        *,
        chain_id: str = "",
        options: Options | None = None,
        store: TrustStore | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_kept: Callable[[Sequence[LightBlock]], None] | None = None,
    ) -> None:
        assert chain_id or root is None or root.hash is not None
        assert len(witnesses) <= WITNESSES_MAX, len(witnesses)
        self.options = options or Options()
        self.primary, self.witnesses = primary, list(witnesses)
        self._compares = bool(witnesses)
        self._root, self._root_height = root, 0
        self._store: TrustStore = store if store is not None else MemoryTrustStore()
        self._walker = Walker(chain_id, self.options, now_ns)
        self._now_ns, self._sleep, self._on_kept = now_ns, sleep, on_kept
        self._turn = asyncio.Lock()
        self._replaced = 0  # how often a primary that did not answer became a witness: bounded, so searches end

    @property
    def chain_id(self) -> str:
        """Empty until the root of trust was read."""
        return self._walker.chain_id

    async def verify_at(self, height: int, *, given: LightBlock | None = None) -> LightBlock:
        """The chain's light block of `height`. given: what the primary told of it already, to save asking.

        Raises NotVerified (a header does not follow), ProviderFailed (the primary, and no witness in its place),
        TrustExpired, AttackDetected, NoWitness, PrioritiesDiffer, RootDisputed, TrustStoreDamaged; LightError.
        """
        async with self._turn:
            await self._begin()
            return await self._at(height, given)

    async def update(self) -> LightBlock:
        """The primary's latest, or the newest trusted where it has nothing newer. Raises as `verify_at`."""
        async with self._turn:
            await self._begin()
            latest = await self._primary_block(0)
            newest = self._trusted(self._store.heights[-1])
            return newest if latest.height < newest.height else await self._at(latest.height, latest)

    async def newest(self) -> LightBlock:
        """The newest that is trusted already. Raises as `verify_at`."""
        async with self._turn:
            await self._begin()
            return self._trusted(self._store.heights[-1])

    # --------------------------------------------------------------------------------------------------- the root

    async def _begin(self) -> None:
        """The store has the root: kept from before, or asked for now."""
        if self._root_height:
            return
        root, heights = self._root, self._store.heights
        if root is None:
            if not heights:
                raise LightError("there is nothing to begin trust with: no root is given and none is stored")
            self._take_chain(self._trusted(heights[0]))
            self._root_height = heights[0]
            return
        stored = self._store.load(root.height)
        if stored is not None and root.is_of(stored):
            self._take_chain(stored)
        else:
            block = await self._root_block(root)
            await self._compare_root(block)
            self._store.clear()  # what was verified from another root
            self._keep([block], root=block.height)
        self._root_height = root.height

    async def _root_block(self, root: Root) -> LightBlock:
        """Of the primary, or of the witness that takes its place since it does not answer."""
        while True:
            try:
                return await self._walker.begin(self.primary, root)
            except NoBlock:
                raise
            except ProviderFailed as error:
                if not await self._replace_primary(root.height, None, keep=not isinstance(error, BadAnswer)):
                    raise

    def _take_chain(self, stored: LightBlock) -> None:
        chain_id = stored.header.chain_id
        if self._walker.chain_id not in ("", chain_id):
            raise RootDisputed(f"the stored root is of chain {chain_id!r}, not {self._walker.chain_id!r}")
        self._walker.chain_id = chain_id

    async def _compare_root(self, block: LightBlock) -> None:
        for witness, answer in await self._ask_all(block.height):
            if isinstance(answer, BadAnswer):
                self.witnesses.remove(witness)
            elif isinstance(answer, LightBlock) and answer.hash != block.hash:
                raise RootDisputed(
                    f"{witness.name} says that header {block.height} hashes to {answer.hash.hex()}, trust begins with "
                    f"{block.hash.hex()}: it is of another chain, or the root is forged"
                )

    def _trusted(self, height: int) -> LightBlock:
        block = self._store.load(height)
        assert block is not None, height
        return block

    # ------------------------------------------------------------------------------------------------------- ways

    async def _at(self, height: int, given: LightBlock | None) -> LightBlock:
        known = self._store.load(height)
        if known is None:
            return await self._verify(height, given)
        if given is not None and given.hash != known.hash:
            raise NotVerified(height, self.primary.name, f"header {height} is not the one that was verified")
        return known

    async def _verify(self, height: int, given: LightBlock | None) -> LightBlock:
        heights = self._store.heights
        at = bisect.bisect_left(heights, height)
        below = self._trusted(heights[at - 1]) if at else None
        above = heights[at] if at < len(heights) else 0
        is_near = 0 < above - height <= BACK_MAX  # the hashes go back from it, whatever the age
        if below is not None and not (is_near and is_expired(below, self.options, self._now_ns())):
            check_live(below, self.options, self._now_ns())  # before anybody is asked
            while self.options.sequential and height - below.height > SEQUENCE_MAX:
                below = await self._forward(below, await self._primary_block(below.height + SEQUENCE_MAX))
            target = given or await self._primary_block(height)
            self._check_asked(target, height)
            return await self._forward(below, target)
        target = given or await self._primary_block(height)
        self._check_asked(target, height)
        way = await self._walker.back(self.primary, self._trusted(above), target)
        self._keep(way[:-1][::-1], root=self._root_height)  # the target last
        return target

    def _check_asked(self, block: LightBlock, height: int) -> None:
        if block.height != height:
            raise NotVerified(height, self.primary.name, f"asked for header {height}, got {block.height}")

    async def _forward(self, trusted: LightBlock, target: LightBlock) -> LightBlock:
        """Verify, compare, keep. A primary whose way there does not hold is replaced where a witness has the target."""
        while True:
            try:
                way = await self._walker.forward(self.primary, trusted, target)
            except NotVerified as error:
                if error.height == target.height or not await self._replace_primary(target.height, target):
                    raise
            except ProviderFailed as error:
                if not await self._replace_primary(target.height, target, keep=not isinstance(error, BadAnswer)):
                    raise
            else:
                break
        if self._compares:
            await self._compare(way)
        self._keep(way[1:], root=self._root_height)
        return target

    def _keep(self, blocks: Sequence[LightBlock], *, root: int) -> None:
        self._store.save(blocks, root=root)
        if self._on_kept is not None:
            self._on_kept(blocks)

    async def _primary_block(self, height: int) -> LightBlock:
        """Of the primary, or of the witness that takes its place since it does not answer. Raises ProviderFailed."""
        while True:
            try:
                return await self._walker.fetch(self.primary, height)
            except NoBlock:
                raise  # it answers: no other need be asked
            except ProviderFailed as error:
                if not await self._replace_primary(height, None, keep=not isinstance(error, BadAnswer)):
                    raise

    async def _replace_primary(self, height: int, target: LightBlock | None, *, keep: bool = False) -> bool:
        """By the first witness that has the height (of `target`: the same header). keep: the old one as a witness."""
        for witness, answer in await self._ask_all(height):
            if isinstance(answer, LightBlock) and (target is None or answer.hash == target.hash):
                old, self.primary = self.primary, witness
                self.witnesses.remove(witness)
                if keep and self._replaced < WITNESSES_MAX:
                    self._replaced += 1
                    self.witnesses.append(old)
                return True
        return False

    # ------------------------------------------------------------------------------------------------- comparison

    async def _ask_all(self, height: int) -> list[tuple[Provider, LightBlock | ProviderFailed]]:
        """Every witness at once, in their order."""

        async def one(witness: Provider) -> LightBlock | ProviderFailed:
            try:
                return await ask(witness, height, chain_id=self.chain_id)
            except ProviderFailed as error:
                return error

        asked = list(self.witnesses)
        return list(zip(asked, await asyncio.gather(*map(one, asked)), strict=True))

    async def _compare(self, way: Sequence[LightBlock]) -> None:
        """One witness must have the same header; one that has another, and can show it, proves an attack."""
        target, confirmed, failures = way[-1], 0, []
        for witness, answer in await self._ask_all(target.height):
            found = answer
            if isinstance(found, HeightTooHigh):
                found = await self._wait_for(witness, target)
            if isinstance(found, BadAnswer):
                self.witnesses.remove(witness)
                failures.append(str(found))
            elif isinstance(found, ProviderFailed):
                failures.append(str(found))
            elif found.hash == target.hash:
                self._compare_priorities(witness, found, target)
                confirmed += 1
            else:
                failures.append(await self._part(way, witness, found))
        if not confirmed:
            why = "; ".join(failures) or "all were dropped for what they said before"
            raise NoWitness(f"no witness confirmed header {target.height} of {self.primary.name}: {why}")

    def _compare_priorities(self, witness: Provider, found: LightBlock, target: LightBlock) -> None:
        if found.validators.priorities != target.validators.priorities:
            raise PrioritiesDiffer(
                f"{witness.name} and {self.primary.name} have the same header {target.height} and other priorities of "
                "its validators, which no hash covers: ask a third node"
            )

    async def _wait_for(self, witness: Provider, target: LightBlock) -> LightBlock | ProviderFailed:
        """One that has not got so far: a latest header that is not earlier contradicts; else it gets a little time."""
        try:
            for attempt in range(2):
                latest = await ask(witness, 0, chain_id=self.chain_id)
                if latest.height >= target.height:
                    return await ask(witness, target.height, chain_id=self.chain_id)
                if latest.header.time_ns >= target.header.time_ns:
                    return latest
                if not attempt:
                    await self._sleep((2 * self.options.clock_drift_ns + self.options.block_lag_ns) / NS_PER_S)
        except ProviderFailed as error:
            return error
        return HeightTooHigh(witness.name, f"is behind: its latest header is {latest.height}")

    async def _part(self, way: Sequence[LightBlock], witness: Provider, found: LightBlock) -> str:
        """Raises AttackDetected. Returns why the witness, which is dropped, has shown nothing."""
        try:
            theirs = await find_parting(self._walker, way, witness, found)
        except LightError as error:
            self.witnesses.remove(witness)
            return str(error)
        sides: list[tuple[Provider, LightClientAttackEvidence]] = [(witness, theirs.evidence())]
        ours = await self._mirrored(theirs)
        if ours is not None:
            sides.append((self.primary, ours.evidence()))
        handed = [to.name for to, evidence in sides if evidence.accused and await self._hand_in(to, evidence)]
        raise AttackDetected(
            height=theirs.other.height,
            common_height=theirs.common.height,
            primary=self.primary.name,
            witness=witness.name,
            evidence=[evidence for _, evidence in sides],
            handed=handed,
        )

    async def _mirrored(self, theirs: Parting) -> Parting | None:
        """The same from the other side: which of both lies is for the chain to say."""
        try:
            return await find_parting(self._walker, theirs.way, self.primary, theirs.other)
        except LightError:
            return None

    async def _hand_in(self, to: Provider, evidence: LightClientAttackEvidence) -> bool:
        try:
            async with asyncio.timeout(REPORT_TIMEOUT_S):
                await to.report(evidence)
        except (ProviderFailed, TimeoutError):
            return False
        return True
