"""Migrations: how a build brings stored state of an earlier one to what its own code reads.

Every module has a consensus version: 1 at its first release, one more with each migration. A migration belongs to one
module and one version, runs once, in the pre-block of the upgrade's height and before anything else of that block,
in the order of modules and versions; what was reached is recorded. Its writes are a block's: they are in the app hash,
a proposal executes them in a branch, and a node that stops in between runs them again from the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from chain.kernel.branch import Branch, Scan

FIRST_VERSION: Final = 1
RECORDS_PER_SLICE: Final = 100  # about 1 ms of decoding and rewriting between two yields


@dataclass(slots=True)
class MigrationContext:
    """branch: the block's. scan: the pairs under a prefix as the last block left them, decoded by this build."""

    branch: Branch
    scan: Scan
    height: int
    time_ns: int

    def rewrite(self, prefix: bytes, change: Callable[[bytes, Any], Any]) -> Iterator[None]:
        """Give every record under `prefix` to `change` (key, record as this block has it) and keep what it returns.

        None deletes. What it returns unchanged (the same object) is not written.
        """
        for number, (key, _) in enumerate(self.scan(prefix)):
            before = self.branch.get(key)
            if before is not None:
                after = change(key, before)
                if after is not before:
                    self.branch.set(key, after)
            if number % RECORDS_PER_SLICE == RECORDS_PER_SLICE - 1:
                yield

    def rename(self, old: bytes, new: bytes) -> Iterator[None]:
        """Move everything under the prefix `old` to `new`, of the same store and kind (proven or beside)."""
        assert old[:1] == new[:1], (old, new)
        assert not new.startswith(old), (old, new)
        for number, (key, _) in enumerate(self.scan(old)):
            self.branch.set(new + key[len(old) :], self.branch.get(key))
            self.branch.set(key, None)
            if number % RECORDS_PER_SLICE == RECORDS_PER_SLICE - 1:
                yield

    def delete(self, prefix: bytes) -> Iterator[None]:
        """Delete everything under `prefix`."""
        return self.rewrite(prefix, lambda key, record: None)


Run: TypeAlias = Callable[[MigrationContext], Iterator[None]]  # a generator: yields about every millisecond


class Migration(NamedTuple):
    """Brings `module` from `to_version` - 1 to `to_version`."""

    module: str
    to_version: int
    run: Run


@dataclass(frozen=True)
class Upgrade:
    """What a build does when the plan of this name is due. Migrations may be empty: new code alone."""

    name: str
    migrations: tuple[Migration, ...] = field(default=())

    def is_reached(self, stored: Mapping[str, int]) -> bool:
        """Whether a store of these versions has all that it brings: a chain that a later build began. Not to be told
        of one that is new code alone."""
        steps = self.migrations
        return bool(steps) and all(stored.get(step.module, 0) >= step.to_version for step in steps)


class MigrationError(Exception):
    """A store and a build that do not fit together: no transaction and no peer is at fault."""


class MigrationGap(MigrationError):
    """A build that cannot bring a module from one version to the next: its author must mend it."""


class NewerStore(MigrationError):
    """The store was written by a later build: module, the store's version, this build's."""


def versions_of(modules: Mapping[str, int], upgrades: Sequence[Upgrade]) -> dict[str, int]:
    """Each module's consensus version in this build. modules: name -> the version that its own code states.

    Raises: MigrationGap (a migration of an unknown module, two to one version, or one that is missing).
    """
    reached: dict[str, set[int]] = {name: set() for name in sorted(modules)}
    for upgrade in upgrades:
        for migration in upgrade.migrations:
            if migration.module not in reached:
                raise MigrationGap(f"upgrade {upgrade.name} migrates {migration.module}, which is no module")
            if migration.to_version in reached[migration.module]:
                raise MigrationGap(f"two migrations bring {migration.module} to version {migration.to_version}")
            reached[migration.module].add(migration.to_version)
    versions = {}
    for name, steps in reached.items():
        top = max(steps, default=FIRST_VERSION)
        versions[name] = max(modules[name], top)
        missing = set(range(min(steps), versions[name] + 1)) - steps if steps else set()
        if missing:
            raise MigrationGap(f"no migration brings {name} to version {min(missing)}; the highest is {top}")
    return versions


def pending_migrations(
    stored: Mapping[str, int], wanted: Mapping[str, int], order: Sequence[str], upgrades: Sequence[Upgrade]
) -> list[Migration]:
    """What brings a store from its versions to `wanted`, in order of modules, then versions.

    A module that the store does not know is new: it begins at its version with what the upgrade itself writes.
    Raises: NewerStore, MigrationGap.
    """
    check_not_newer(stored, wanted)
    known = {(m.module, m.to_version): m for upgrade in upgrades for m in upgrade.migrations}
    steps = []
    for name in order:
        first = stored.get(name, wanted[name] - 1 if (name, wanted[name]) in known else wanted[name])
        for version in range(first + 1, wanted[name] + 1):
            if (name, version) not in known:
                raise MigrationGap(f"no migration brings {name} to version {version}; the store has {first}")
            steps.append(known[name, version])
    return steps


def check_not_newer(stored: Mapping[str, int], wanted: Mapping[str, int]) -> None:
    """Raises: NewerStore."""
    for name in sorted(stored):
        mine = wanted.get(name)
        if mine is None or stored[name] > mine:
            has = "does not know it" if mine is None else f"has version {mine}"
            raise NewerStore(
                f"module {name} is at version {stored[name]} in the store and this build {has}: "
                "the store is from a newer version; start the build that wrote it"
            )
