"""The upgrade module: its handlers and end of block, and `Upgrader`, which runs before everything else in a block.

Setting, postponing and cancelling plans is the chain's; halting is a node's own: a binary that lacks the handler of a
due plan, or has one before its time, does not execute the block. Migrations run as part of the block, so all that
they write is in its app hash.
Source: Cosmos SDK v0.50, x/upgrade/README.md; docs/upgrades.md; known failure 16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TypeAlias

import structlog

from chain.kernel.branch import Branch, Readable, Scan, State, decoders_of
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import Event, account, consensus
from chain.kernel.modules import BlockContext, Modules
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.codec import height_bytes
from chain.tx.errors import (
    AnnouncementExpired,
    AnnouncerUnknown,
    BadAnnouncement,
    NotUpgradeAuthority,
    PlanInThePast,
    UpgradeAlreadyDone,
)
from chain.tx.messages.kinds.fields import consensus_key_of
from chain.tx.messages.upgrade import (
    HEIGHT_MAX,
    PERMYRIAD,
    AnnounceReadiness,
    CancelUpgrade,
    SoftwareUpgrade,
    readiness_hash,
)
from chain.upgrade.chain_record import CHAIN
from chain.upgrade.migrations import (
    Migration,
    MigrationContext,
    NewerStore,
    Upgrade,
    check_not_newer,
    pending_migrations,
    versions_of,
)
from chain.upgrade.plan import (
    CONSENSUS_PARAMS,
    DONE,
    DONE_NAME,
    HALTS,
    LAST_DONE,
    PARAMS,
    PLAN,
    READINESS,
    VERSIONS,
    Action,
    Decision,
    Done,
    Plan,
    Readiness,
    UpgradeParams,
    Versions,
    decide,
    done_key,
)
from consensus.abci.interface import HaltReason, HaltRequested, Slices, VoteInfo
from consensus.formats.units import NS_PER_S
from consensus.types.params import ConsensusParams, VersionParams
from crypto.hash import ADDRESS_BYTES, sha256

POSTPONED_MAX: Final = (1 << 32) - 1  # it is only told
READINESS_PER_SLICE: Final = 100  # about a millisecond

IsValidator: TypeAlias = Callable[[Readable, bytes], bool]  # whether a validator has that consensus address
Current: TypeAlias = Callable[[Readable, bytes], bytes]  # the address that who had this one has now, or this one

DECODERS: Final = decoders_of(PLAN, DONE, LAST_DONE, VERSIONS, READINESS, PARAMS, CONSENSUS_PARAMS)

log = structlog.get_logger()


# ------------------------------------------------------------------------------ plans


def schedule(state: State, plan: Plan, *, height: int) -> None:
    """Set the plan, in place of another. height: of this block. Raises: UpgradeAlreadyDone, PlanInThePast."""
    if state.get(DONE_NAME + plan.name.encode()) is not None:
        raise UpgradeAlreadyDone(plan.name)
    if plan.height < height:
        raise PlanInThePast(f"height {plan.height}, this is {height}")
    state.set(PLAN, plan)
    state.emit(Event.of("plan_upgrade", name=plan.name, height=str(plan.height)))


def cancel(state: State) -> None:
    """Clear the plan, if there is one."""
    plan = state.get(PLAN)
    if plan is not None:
        state.set(PLAN, None)
        state.emit(Event.of("cancel_upgrade", name=plan.name, height=str(plan.height)))


def software_upgrade(ctx: Context, message: SoftwareUpgrade) -> Leg:
    _require_authority(ctx.branch, message.authority)
    ctx.new_leaf()
    plan = Plan(
        message.name, message.height, message.info, message.binary_sha256, message.ready_share_permyriad,
        message.postpone_blocks,
    )  # fmt: skip
    schedule(ctx.branch, plan, height=ctx.height)
    return Leg("software_upgrade", 0, message.name.encode(), message.height)


def cancel_upgrade(ctx: Context, message: CancelUpgrade) -> Leg:
    _require_authority(ctx.branch, message.authority)
    plan = ctx.branch.get(PLAN)
    cancel(ctx.branch)
    return Leg("cancel_upgrade", 0, plan.name.encode() if plan else b"", plan.height if plan else 0)


def _require_authority(state: Readable, authority: bytes) -> None:
    params = state.get(PARAMS)
    if authority != GOVERNANCE_ADDRESS and (params is None or authority != params.authority):
        raise NotUpgradeAuthority(account(authority))


# ------------------------------------------------------------------------------ readiness


def announce_readiness(is_validator: IsValidator, ctx: Context, message: AnnounceReadiness) -> Leg:
    """Keep what a validator can run, in place of what it said before; with no name, nothing.

    Raises: AnnouncementExpired, BadAnnouncement, AnnouncerUnknown.
    """
    chain = ctx.branch.get(CHAIN)
    if ctx.height > message.expiry_height:
        raise AnnouncementExpired(f"after {message.expiry_height}, this is {ctx.height}")
    digest = readiness_hash(chain.chain_id, message)
    if not consensus_key_of(message.consensus_key).verify(digest, message.signature):
        raise BadAnnouncement(f"by the key {message.consensus_key.hex()}")
    address = sha256(message.consensus_key)[:ADDRESS_BYTES]
    if not is_validator(ctx.branch, address):  # what is kept for ever is bounded by those who have a stake
        raise AnnouncerUnknown(f"consensus address {consensus(address)}")
    key = READINESS + address
    if ctx.branch.get(key) is None:
        ctx.new_leaf()
    ready = Readiness(message.consensus_key, message.names, message.software, ctx.height)
    ctx.branch.set(key, ready if message.names else None)
    told = {"address": consensus(address), "names": ",".join(message.names), "software": message.software}
    ctx.branch.emit(Event.of("announce_readiness", **told))
    return Leg("announce_readiness", 0, address)


def follow_key(state: State, old: bytes, key: bytes) -> None:
    """A validator has another consensus key: what it said that it can run is true all the same. old: its address."""
    said = state.get(READINESS + old)
    if said is not None:
        state.set(READINESS + old, None)
        state.set(READINESS + sha256(key)[:ADDRESS_BYTES], said._replace(consensus_key=key))


def ready_power(state: Readable, name: str, votes: Sequence[VoteInfo], current: Current) -> tuple[int, int]:
    """(power that announced that it can run `name`, total power) of a validator set. A commit may name a validator by
    the key that it had before."""
    ready = total = 0
    for vote in votes:
        total += vote.power
        said = state.get(READINESS + current(state, vote.address))
        if said is not None and name in said.names:
            ready += vote.power
    return ready, total


def end_block(current: Current, ctx: BlockContext) -> None:
    """A plan that would be due in the next block and is not ready is postponed here, by the build before it.

    So the block at its height never has two meanings: there the plan has moved, or it is due for everybody.
    Must run after everything that can set a plan.
    """
    plan = ctx.branch.get(PLAN)
    if plan is None or not plan.ready_share_permyriad or not plan.is_due(ctx.height + 1):
        return
    ready, total = ready_power(ctx.branch, plan.name, ctx.last_commit.votes, current)
    if total and ready * PERMYRIAD >= plan.ready_share_permyriad * total:
        return
    later = min(max(plan.height, ctx.height + 1) + plan.postpone_blocks, HEIGHT_MAX)
    ctx.branch.set(PLAN, plan._replace(height=later, postponed=min(plan.postponed + 1, POSTPONED_MAX)))
    told = {"height": str(later), "ready_power": str(ready), "total_power": str(total)}
    ctx.branch.emit(Event.of("postpone_upgrade", name=plan.name, **told))
    log.info(
        "postponed an upgrade that too little power is ready for",
        name=plan.name, height=plan.height, until=later, ready=ready, total=total,
    )  # fmt: skip


def handlers(is_validator: IsValidator) -> dict[type[Any], Handler]:
    return {
        SoftwareUpgrade: software_upgrade,
        CancelUpgrade: cancel_upgrade,
        AnnounceReadiness: partial(announce_readiness, is_validator),
    }


def invariants(state: Readable, scan: Scan) -> Iterator[tuple[str, bool, str]]:
    """(name, whether it holds, the figures)."""
    plan = state.get(PLAN)
    again = plan is not None and state.get(DONE_NAME + plan.name.encode()) is not None
    yield "upgrade: the plan is of an upgrade to come", not again, plan.name if plan else "none"
    done = [record for _, record in scan(DONE)]
    named = all(state.get(DONE_NAME + one.name.encode()) == height_bytes(one.height) for one in done)
    last = state.get(LAST_DONE)
    yield "upgrade: what was done is recorded once", named and last == (done[-1] if done else None), f"{len(done)} done"
    wrong = sum(key[len(READINESS) :] != sha256(said.consensus_key)[:ADDRESS_BYTES] for key, said in scan(READINESS))
    yield "upgrade: readiness is kept by consensus address", not wrong, f"{wrong} are not"
    of = state.get(VERSIONS).of
    names = [name for name, _ in of]
    yield "upgrade: each module has one version", names == sorted(set(names)), f"{len(of)} modules"


# ------------------------------------------------------------------------------ a node's part


@dataclass(frozen=True, slots=True)
class UpgradeOptions:
    """The operator's. skip_heights: plans due there are cleared; halt_*: 0 is off, time in unix seconds.

    swap: (name, height): another build takes over there, unless the chain has a plan of that name, which then counts.
    """

    skip_heights: frozenset[int] = field(default=frozenset())
    halt_height: int = 0
    halt_time_s: int = 0
    swap: tuple[str, int] | None = None


class Upgrader:
    """What this build does before each block. Reads state, changes it only inside of a block's branch.

    upgrades: what the build knows, oldest first. Raises: MigrationGap, when they do not lead to its modules' versions.
    """

    def __init__(self, modules: Modules, upgrades: Sequence[Upgrade], options: UpgradeOptions | None = None) -> None:
        self.upgrades = tuple(upgrades)
        self.handlers = frozenset(upgrade.name for upgrade in upgrades)
        self.options = options or UpgradeOptions()
        self._order = tuple(module.name for module in modules.all)
        self.versions: Mapping[str, int] = versions_of({m.name: m.version for m in modules.all}, self.upgrades)

    def genesis(self, state: State, *, authority: bytes, params: ConsensusParams) -> None:
        """A new chain begins with this build's versions: what this build knows is behind it, and never planned.

        New code alone too, which has no version: a plan of its name would stop every node of this build, and a build
        without it means other blocks, which its first app hash shows at once.
        """
        state.set(VERSIONS, Versions(tuple(sorted(self.versions.items()))))
        for upgrade in self.upgrades:
            state.set(DONE_NAME + upgrade.name.encode(), height_bytes(0))
        if authority:
            state.set(PARAMS, UpgradeParams(authority))
        state.set(CONSENSUS_PARAMS, params)

    def decision(self, state: Readable, height: int) -> Decision:
        """What happens before block `height`, the next one of `state`."""
        return decide(
            state.get(PLAN),
            state.get(LAST_DONE),
            height=height,
            handlers=self.handlers,
            skip_heights=self.options.skip_heights,
        )

    def halt_before(self, state: Readable, height: int) -> HaltRequested | None:
        """Whether this node stops before block `height`, the next one of `state`."""
        halt = self.options.halt_height
        if halt and height >= halt:
            return self._configured(height)
        decision = self.decision(state, height)
        if decision.action in HALTS:
            return _halt_of(decision, height, state.get(LAST_DONE))
        return self._swap(state, height)

    def _swap(self, state: Readable, height: int) -> HaltRequested | None:
        swap, plan = self.options.swap, state.get(PLAN)
        if swap is None or swap[1] != height or (plan is not None and plan.name == swap[0]):
            return None
        text = f'height {height} is where the operator wants "{swap[0]}"; the chain has no plan of that name'
        return HaltRequested(text, height=height, reason=HaltReason.SWAP, wanted=swap[0])

    def check_start(self, state: Readable, height: int) -> None:
        """At a node's start. height: of the block that is next. Raises: HaltRequested, when this is the wrong build.

        A plan that needs another build does not keep a node from starting: it serves what it has.
        """
        decision = self.decision(state, height)
        if decision.action in HALTS and decision.action is not Action.NEEDED:
            raise _halt_of(decision, height, state.get(LAST_DONE))
        stored = dict(state.get(VERSIONS).of)
        try:
            check_not_newer(stored, self.versions)
        except NewerStore as error:
            raise HaltRequested(str(error), height=height, reason=HaltReason.WRONG_BINARY) from error
        if decision.action is Action.APPLY:
            return
        for name in sorted(self.versions):
            if stored.get(name) != self.versions[name]:
                raise HaltRequested(
                    f"module {name} is at version {stored.get(name, 0)} in the store and {self.versions[name]} in this "
                    f"build, and no upgrade that this build knows is due at height {height}: start the build before it",
                    height=height,
                    reason=HaltReason.WRONG_BINARY,
                )

    def pre_block(self, ctx: BlockContext) -> Slices[None]:
        """The first thing in a block. Raises: HaltRequested: this build must not execute it."""
        options = self.options
        if options.halt_height and ctx.height >= options.halt_height:
            raise self._configured(ctx.height)
        if options.halt_time_s and ctx.time_ns >= options.halt_time_s * NS_PER_S:
            raise self._configured(ctx.height)
        decision = self.decision(ctx.branch, ctx.height)
        if decision.action in HALTS:
            raise _halt_of(decision, ctx.height, ctx.branch.get(LAST_DONE))
        if decision.action is Action.SKIP:
            log.info(decision.message)
            cancel(ctx.branch)
        elif decision.action is Action.APPLY:
            assert decision.plan is not None
            log.info(decision.message)
            yield from self._apply(ctx, decision.plan)

    def _configured(self, height: int) -> HaltRequested:
        options = self.options
        text = f"halt per configuration height {options.halt_height} time {options.halt_time_s}"
        return HaltRequested(text, height=height, reason=HaltReason.CONFIGURED)

    def steps_from(self, stored: Mapping[str, int]) -> list[Migration]:
        """What this build does to a store of these module versions. Raises: NewerStore, MigrationGap."""
        return pending_migrations(stored, self.versions, self._order, self.upgrades)

    def _apply(self, ctx: BlockContext, plan: Plan) -> Slices[None]:
        branch = ctx.branch
        steps = self.steps_from(dict(branch.get(VERSIONS).of))
        context = MigrationContext(branch, ctx.scan, ctx.height, ctx.time_ns)
        for step in steps:
            log.info("migrating a module", module=step.module, to_version=step.to_version)
            yield from step.run(context)
        branch.set(VERSIONS, Versions(tuple(sorted(self.versions.items()))))
        chain = branch.get(CHAIN)
        version = chain.app_version + 1
        branch.set(CHAIN, replace(chain, app_version=version))
        params = branch.get(CONSENSUS_PARAMS)
        ctx.consensus_params = replace(params, version=VersionParams(version))
        branch.set(CONSENSUS_PARAMS, ctx.consensus_params)
        done = Done(plan.name, ctx.height, version, tuple((step.module, step.to_version) for step in steps))
        branch.set(PLAN, None)
        branch.set(done_key(ctx.height), done)
        branch.set(DONE_NAME + plan.name.encode(), height_bytes(ctx.height))
        branch.set(LAST_DONE, done)
        yield from _forget_readiness(branch, ctx.scan, plan.name)
        ctx.upgraded = plan.name
        branch.emit(Event.of("apply_upgrade", name=plan.name, height=str(ctx.height), app_version=str(version)))


def _halt_of(decision: Decision, height: int, last_done: Done | None) -> HaltRequested:
    """Another build is wanted for a due plan, and, where the last upgrade's handler is missing, for that one."""
    action, wanted = decision.action, ""
    if action is Action.NEEDED and decision.plan is not None:
        wanted = decision.plan.name
    elif action is Action.MISSING and last_done is not None:
        wanted = last_done.name
    reason = HaltReason.UPGRADE_NEEDED if action is Action.NEEDED else HaltReason.WRONG_BINARY
    return HaltRequested(decision.message, height=height, reason=reason, wanted=wanted)


def _forget_readiness(branch: Branch, scan: Scan, name: str) -> Slices[None]:
    for number, (key, said) in enumerate(scan(READINESS), start=1):
        left = tuple(other for other in said.names if other != name)
        branch.set(key, said._replace(names=left) if left else None)
        if number % READINESS_PER_SLICE == 0:
            yield
