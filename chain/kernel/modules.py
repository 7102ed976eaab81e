"""What an application is made of: modules, each a machine with its handlers, its part of a block and its invariants.

A later module (staking, governance) is one more row where the application is composed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from chain.kernel.branch import Branch, Decoders, MakesEvent, Readable, Scan
from chain.kernel.context import Context, Handler, Leg
from chain.tx.envelope.tx import Tx
from chain.tx.gas import BLOCK_GAS_MAX
from chain.tx.messages import Message
from consensus.abci.interface import CommitInfo, Misbehavior, ValidatorUpdate
from consensus.types.params import ConsensusParams


def _nothing(key: bytes) -> Any:
    return None


@dataclass(slots=True)
class BlockContext:
    """What a module may see and do at a block's begin and end. scan, committed: as the last block left it."""

    branch: Branch
    scan: Scan
    height: int
    time_ns: int
    last_commit: CommitInfo
    misbehavior: Sequence[Misbehavior]
    proposer: bytes = b""  # this block's, by consensus address
    committed: Callable[[bytes], Any] = _nothing
    block_gas_max: int = BLOCK_GAS_MAX  # finite: what a queue may do in a block goes by it (`chain.tx.gas.most_of`)
    validator_updates: list[ValidatorUpdate] = field(default_factory=list)
    consensus_params: ConsensusParams | None = None  # set: in force from the next height on
    upgraded: str = ""  # the upgrade that was carried out in this block
    others: set[bytes] = field(default_factory=set)  # as `Context.others`: of what is done at its end
    doubted: set[bytes] = field(default_factory=set)  # as `Context.doubted`, likewise


Ante: TypeAlias = Callable[[Context, Tx], None]
Settle: TypeAlias = Callable[[Branch, Tx, bytes, int, bool], None]
# What a transaction's ante part writes, what its one message writes then, its leg and its event.
Short: TypeAlias = tuple[dict[bytes, Any], dict[bytes, Any], Leg, MakesEvent]
ShortWay: TypeAlias = Callable[[Callable[[bytes], Any], Tx, int, int], Short | None]  # reads; height, time_ns
Step: TypeAlias = Callable[[BlockContext], Iterator[None] | None]  # yields, if at all, between two slices of work
Invariants: TypeAlias = Callable[[Readable, Scan], Iterator[tuple[str, bool, str]]]


@dataclass(frozen=True, slots=True)
class Module:
    """One machine.

    version: the consensus version of what it stores and means; one more with each migration (chain.upgrade).
    lane: the lane whose transactions it authorises by `ante`; 0: none.
    short: a short way through those of its lane with one message of a kind that are ordinary, by what it reads: what
    ante part and handler do where they raise nothing and use no gas. None: these judge. Not beside a `settle`.
    settle: (branch, tx, receipt, height, executed): runs after a transaction of its lane, whatever became of it.
    """

    name: str
    decoders: Decoders
    handlers: Mapping[type[Message], Handler]
    lane: int = 0
    ante: Ante | None = None
    short: tuple[type[Message], ShortWay] | None = None
    settle: Settle | None = None
    begin_block: tuple[Step, ...] = ()
    end_block: tuple[Step, ...] = ()
    invariants: Invariants | None = None
    version: int = 1


class Modules:
    """All of an application's modules, indexed."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.all = tuple(modules)
        self.decoders: dict[bytes, Callable[[bytes], Any]] = {}
        self.handlers: dict[type[Message], Handler] = {}
        self.ante: dict[int, Ante] = {}
        self.short: dict[int, tuple[type[Message], Handler, ShortWay]] = {}
        self.settle: dict[int, Settle] = {}
        for module in modules:
            assert not self.decoders.keys() & module.decoders.keys(), module.name
            assert not self.handlers.keys() & module.handlers.keys(), module.name
            self.decoders |= module.decoders
            self.handlers |= module.handlers
            if module.ante is not None:
                self.ante[module.lane] = module.ante
            if module.short is not None:
                assert module.settle is None, module.name
                kind, way = module.short
                self.short[module.lane] = kind, module.handlers[kind], way
            if module.settle is not None:
                self.settle[module.lane] = module.settle

    def short_ways(self) -> dict[int, ShortWay]:
        """By lane. None stands for a handler that is not the module's own any more."""
        return {lane: way for lane, (kind, own, way) in self.short.items() if self.handlers.get(kind) is own}

    def check_invariants(self, state: Readable, scan: Scan) -> list[tuple[str, bool, str]]:
        """(name, whether it holds, the figures) of every module's."""
        return [row for module in self.all if module.invariants for row in module.invariants(state, scan)]
