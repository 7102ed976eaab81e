"""The home of a node that does not run, as a witness of its blocks (`dchat.autopsy.search`), and against itself.

Everything is read from a copy: what is examined stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from chain.kernel.branch import encode_changes
from chain.state import audit
from chain.state.audit import Fault
from chain.state.errors import StateError
from chain.state.store import Stores
from chain.state.view import View
from chain.trail.steps import BlockTrail, Writes
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from dchat.autopsy.again import execute_again
from dchat.autopsy.errors import AutopsyError, NoTrail
from dchat.autopsy.files import TrailFiles
from dchat.autopsy.own import OwnTrails
from dchat.autopsy.stored import StoredDifference, stored_differences
from dchat.home.home import Home
from dchat.upkeep.copies import Copy
from storage.errors import StorageError

T = TypeVar("T")
AGAIN = "this build, executing it again"


class HomeWitness:
    """name: what it is called in the answer. Raises AutopsyError."""

    def __init__(self, name: str, copy: Copy, home: Home) -> None:
        self.name, self.copy = name, copy
        self.files = TrailFiles(home.trails)
        self._stores = self.asked(lambda: Stores(copy.app))
        states = self.asked(lambda: StateStore(copy.state))
        self.own = OwnTrails(self.asked(lambda: BlockStore(copy.blocks)), states, self._stores, files=self.files)

    async def bounds(self) -> tuple[int, int]:
        if self.own.highest < 1:
            raise NoTrail("it has executed no block yet")
        return self.own.lowest, self.own.highest

    async def head(self, height: int) -> BlockTrail:
        return self.asked(lambda: self.own.head(height))

    async def steps(self, height: int) -> BlockTrail:
        """As it was executed where the node has saved that, else executed again here."""
        return self.asked(lambda: self.own.trail(height))

    async def writes(self, trail: BlockTrail, index: int) -> Writes:
        return trail.steps[index].writes

    def remembers(self, height: int) -> bool:
        return height in self.files.heights()

    def stored(self, height: int) -> list[StoredDifference]:
        """Its state after the block against what this build makes of it."""
        return self.asked(lambda: self._stored(height))

    def _stored(self, height: int) -> list[StoredDifference]:
        trail, before = self.own.again(height), self.own.before(height)
        return stored_differences(trail, before, self._stores.at(height), name=self.name, again=AGAIN)

    def hash_again(self, height: int) -> bytes:
        """The app hash after the block as this build executes it. Takes the copy back: nothing is asked after it."""
        return self.asked(lambda: self._hash_again(height))

    def _hash_again(self, height: int) -> bytes:
        block, last_validators = self.own.block(height)
        _, executed = execute_again(block, last_validators, self.own.before(height))
        self._stores.rollback(height - 1)
        encoding = encode_changes(executed.writes)
        while True:
            try:
                next(encoding)
            except StopIteration as done:
                proven, beside = done.value
                return self._stores.prepare(height, proven, beside).app_hash

    def version(self, height: int) -> View:
        return self.asked(lambda: self._stores.at(height))

    def faults(self) -> Iterator[Fault]:
        """Of values and pages that do not fit their tree, in the order of the walk."""
        try:
            yield from (found for found in audit.audit(self.copy.app.snapshot()) if found is not None)
        except StorageError as error:
            yield Fault("the application's database", str(error))

    def asked(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except (StateError, StorageError) as error:
            raise AutopsyError(str(error)) from error


class Again:
    """A home's block as this build executes it: asked of the block alone."""

    def __init__(self, home: HomeWitness) -> None:
        self._home, self.name = home, AGAIN

    async def bounds(self) -> tuple[int, int]:
        return await self._home.bounds()

    async def head(self, height: int) -> BlockTrail:
        return await self._home.head(height)

    async def steps(self, height: int) -> BlockTrail:
        return self._home.asked(lambda: self._home.own.again(height))

    async def writes(self, trail: BlockTrail, index: int) -> Writes:
        return trail.steps[index].writes
