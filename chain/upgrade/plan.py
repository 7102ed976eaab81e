"""Plans, what was done, module versions and readiness: the records in the bridge store, and what a plan means at a
height.

`decide` is the whole table of states, a pure function of stored state, the build and the operator's skip heights; it
is asked ahead of each height, at the start of a node and while a block is executed, and says the same each time.
Source: Cosmos SDK v0.50, x/upgrade/README.md; docs/upgrades.md.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from chain.kernel.branch import Key, Readable
from chain.kernel.execution import Rules
from chain.tx.codec import height_bytes
from chain.tx.gas import limit_of
from chain.upgrade.chain_record import CHAIN
from consensus.types.params import ConsensusParams
from proto.dchat.v1 import state_pb2 as pb


class Plan(NamedTuple):
    """height: as it stands now. binary_sha256: of files that may be run; empty: any."""

    name: str
    height: int
    info: str = ""
    binary_sha256: tuple[bytes, ...] = ()
    ready_share_permyriad: int = 0
    postpone_blocks: int = 0
    postponed: int = 0

    def is_due(self, height: int) -> bool:
        return self.height <= height

    def encode(self) -> bytes:
        return pb.UpgradePlan(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Plan:
        r = pb.UpgradePlan.FromString(stored)
        return Plan(
            r.name, r.height, r.info, tuple(r.binary_sha256), r.ready_share_permyriad, r.postpone_blocks, r.postponed
        )


class Versions(NamedTuple):
    """Of every module of both machines and the bridge, ascending by name."""

    of: tuple[tuple[str, int], ...]

    def encode(self) -> bytes:
        return pb.ModuleVersions(versions=[_version(*pair) for pair in self.of]).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Versions:
        return Versions(tuple((v.module, v.version) for v in pb.ModuleVersions.FromString(stored).versions))


def _version(module: str, version: int) -> pb.ModuleVersion:
    return pb.ModuleVersion(module=module, version=version)


class Done(NamedTuple):
    """app_version: in force since then. migrated: the modules whose state it changed, and the versions they reached."""

    name: str
    height: int
    app_version: int
    migrated: tuple[tuple[str, int], ...]

    def encode(self) -> bytes:
        return pb.DoneUpgrade(
            name=self.name,
            height=self.height,
            app_version=self.app_version,
            migrated=[_version(*pair) for pair in self.migrated],
        ).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Done:
        r = pb.DoneUpgrade.FromString(stored)
        return Done(r.name, r.height, r.app_version, tuple((v.module, v.version) for v in r.migrated))


class Readiness(NamedTuple):
    """What a validator said that it can run. height: of the announcement."""

    consensus_key: bytes
    names: tuple[str, ...]
    software: str
    height: int

    def encode(self) -> bytes:
        return pb.Readiness(**self._asdict()).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> Readiness:
        r = pb.Readiness.FromString(stored)
        return Readiness(r.consensus_key, tuple(r.names), r.software, r.height)


class UpgradeParams(NamedTuple):
    """authority: who, beside governance, may set plans; empty: nobody."""

    authority: bytes

    def encode(self) -> bytes:
        return pb.UpgradeParams(authority=self.authority).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> UpgradeParams:
        return UpgradeParams(pb.UpgradeParams.FromString(stored).authority)


PLAN: Final = Key.of(b"bu", Plan)  # absent: none is set
DONE: Final = Key.of(b"bd", Done)  # ‖ height, of the upgrade at that height
DONE_NAME: Final = Key.of(b"bn", bytes)  # ‖ name -> 8 bytes of height
LAST_DONE: Final = Key.of(b"bl", Done)  # the latest
VERSIONS: Final = Key.sure(b"bv", Versions)
READINESS: Final = Key.of(b"ba", Readiness)  # ‖ consensus address
PARAMS: Final = Key.of(b"bw", UpgradeParams)
CONSENSUS_PARAMS: Final = Key.sure(b"bx", ConsensusParams)  # the engine's parameters as they were set last


def done_key(height: int) -> Key[Done | None]:
    return DONE + height_bytes(height)


# ------------------------------------------------------------------------------ the table of states


class Action(Enum):
    """What to do before a block is executed."""

    GO_ON = "go on"
    SKIP = "skip"  # clear the plan, then go on
    APPLY = "apply"  # migrate, then go on
    NEEDED = "needed"  # halt: another binary is wanted
    TOO_EARLY = "too early"  # halt: this binary is of a later time
    MISSING = "missing"  # halt: this binary is of an earlier time


HALTS: Final = frozenset((Action.NEEDED, Action.TOO_EARLY, Action.MISSING))


@dataclass(frozen=True, slots=True)
class Decision:
    """message: the one line that is logged; empty when there is nothing to say."""

    action: Action
    message: str = ""
    plan: Plan | None = None


def decide(
    plan: Plan | None,
    last_done: Done | None,
    *,
    height: int,
    handlers: Set[str],
    skip_heights: Set[int] = frozenset(),
) -> Decision:
    """What happens before block `height` is executed. handlers: names of the upgrades that this build knows."""
    due = plan is not None and plan.is_due(height)
    skipped = due and height in skip_heights
    if (not due or skipped) and last_done is not None and last_done.name not in handlers:
        return Decision(
            Action.MISSING,
            f"wrong app version {last_done.app_version}, upgrade handler is missing for {last_done.name} upgrade plan",
        )
    if plan is None:
        return Decision(Action.GO_ON)
    if skipped:
        return Decision(Action.SKIP, f'UPGRADE "{plan.name}" SKIPPED at {plan.height}: {plan.info}', plan)
    if due and plan.name in handlers:
        return Decision(Action.APPLY, f'applying upgrade "{plan.name}" at height: {plan.height}', plan)
    if due:
        return Decision(Action.NEEDED, f'UPGRADE "{plan.name}" NEEDED at height: {plan.height}: {plan.info}', plan)
    if plan.name in handlers:
        return Decision(
            Action.TOO_EARLY,
            f'BINARY UPDATED BEFORE TRIGGER! UPGRADE "{plan.name}" - in binary but not executed on chain. '
            "Downgrade your binary",
            plan,
        )
    return Decision(Action.GO_ON)


def rules_of(state: Readable) -> Rules:
    """What holds for the transactions of the next block."""
    chain = state.get(CHAIN)
    return Rules(chain.chain_id, limit_of(chain.block_gas_max), state.get(CONSENSUS_PARAMS).validator.pub_key_types)
