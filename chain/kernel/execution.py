"""Executing a block: transactions over branches of the state, in a written order, in slices.

A transaction has two parts. The ante part (authorisation, replay mark, fee or allowance) is merged before the messages
run; when it fails, nothing is changed and a proposal that contains it is rejected. The messages run in a branch that
is merged or dropped whole; when they fail, fee and mark stay, and the receipt says why. Only a TxError fails a
transaction: anything else passes through and stops the node.
Source: docs/decisions/0005.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from chain.kernel.branch import Base, Branch, check_records
from chain.kernel.context import Context, Leg
from chain.kernel.modules import BlockContext, Modules, Short
from chain.kernel.receipts import encode_receipt
from chain.kernel.signatures import Signatures
from chain.tx.envelope.tx import Tx, TxCache
from chain.tx.errors import Expired, GasLimitTooHigh, KeyTypeNotAllowed, TxError, WrongChain
from chain.tx.gas import GAS_BYTE, GAS_LEAST_TX
from consensus.abci.interface import BlockRequest, Slices, ValidatorUpdate
from consensus.formats.units import NS_PER_S
from consensus.state.results import Event, ExecTxResult
from consensus.types.params import ConsensusParams
from crypto.keys import ED25519

TIME_NS_MAX: Final = (1 << 63) - 1 - 40 * 366 * 86_400 * NS_PER_S  # in 2222: with the longest period it is an int64

_new: Final = tuple.__new__  # what a NamedTuple's constructor calls, without its frame

PreBlock: TypeAlias = Callable[[BlockContext], Slices[None]]

GAS_PER_UNIT: Final = 10_000  # of what it used beside its bytes and what any uses: 32 messages of stake are some 150
GAS_OF_ONE_UNIT: Final = GAS_LEAST_TX + GAS_PER_UNIT  # whoever used less has no more than one, whatever its bytes
SLICE_UNITS: Final = 40  # between two yields; a unit is about 25 us: a payment whose signature is known
SIGNATURE_UNITS: Final = 3  # of one that is verified here
BYTES_PER_UNIT: Final = 1_024  # of decoding and hashing a large transaction


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all transactions of a block. block_gas_max: always finite (`chain.tx.gas.limit_of`).

    key_types: that consensus keys may have, by the chain's parameters.
    """

    chain_id: str
    block_gas_max: int
    key_types: tuple[str, ...] = (ED25519,)


@dataclass(frozen=True, slots=True)
class Trail:
    """What each part of a block wrote: references to what was made anyway, neither encoded nor hashed.

    begin: what came before its transactions. parts: of each transaction that ran (its index, what its ante part wrote,
    what the rest did). What the end of the block wrote is what of the block's writes is in none of them.
    """

    begin: Mapping[bytes, Any] = field(default_factory=dict)
    parts: list[tuple[int, Mapping[bytes, Any], Mapping[bytes, Any]]] = field(default_factory=list)


@dataclass(slots=True)
class Executed:
    """A block's outcome, not yet under a tree. writes: keys and records; rejected: why a proposal of it is."""

    results: list[ExecTxResult]
    writes: dict[bytes, object]
    validator_updates: tuple[ValidatorUpdate, ...]
    txs: list[Tx]
    rejected: str = ""
    consensus_params: ConsensusParams | None = None
    upgraded: str = ""  # the upgrade that the block carried out
    events: tuple[Event, ...] = ()  # the block's own, of its begin and its end
    others: frozenset[bytes] = frozenset()  # keys beside what its transactions touch: `Context.others`
    doubted: frozenset[bytes] = frozenset()  # keys whose waiting transactions are checked again: `Context.doubted`
    trail: Trail = field(default_factory=Trail)

    @property
    def begins_anew(self) -> bool:
        """Whether what was admitted has to be checked again, by other rules."""
        return bool(self.upgraded) or self.consensus_params is not None


def machine_time(time_ns: int) -> int:
    """A block's time as the machines see it: what they make of it (the end of a period, a key of a queue) fits into its
    64 bits, whatever the validators' clocks said."""
    return min(max(time_ns, 0), TIME_NS_MAX)


class Executor:
    """Runs transactions one by one over one block's branch. tells: whether somebody will read the events.

    parts: see `Trail`.
    """

    __slots__ = ("_ctx", "_handlers", "_modules", "_rules", "_short", "_signatures", "_tells", "block", "parts")

    def __init__(
        self, modules: Modules, signatures: Signatures, rules: Rules, block: Branch, *, height: int, time_ns: int,
        tells: bool = True,
    ) -> None:  # fmt: skip
        self._modules, self._signatures, self._rules, self._tells = modules, signatures, rules, tells
        self._handlers, self._short = modules.handlers, modules.short_ways()
        self.block = block
        self.parts: list[tuple[int, Mapping[bytes, Any], Mapping[bytes, Any]]] = []
        self._ctx = Context(Branch(block.get), height=height, time_ns=machine_time(time_ns), chain_id=rules.chain_id)

    def ante(self, tx: Tx) -> Context:
        """The first part, in the context's branch, not merged. Raises: TxError, and then the branch must be dropped."""
        self._allow(tx)
        ctx = self._ctx
        ctx.gas_used, ctx.gas_limit, ctx.payer = tx.intrinsic_gas, tx.gas_limit, tx.payer
        self._modules.ante[tx.lane](ctx, tx)
        self._signatures.require(tx)
        return ctx

    def short(self, tx: Tx) -> Short | None:
        """Both parts of an ordinary transaction, of which nothing is written yet; None: `ante` and `messages` judge it.

        Raises: TxError, as the ante part does.
        """
        way, ctx = self._short.get(tx.lane), self._ctx
        if way is None or (done := way(self.block.get, tx, ctx.height, ctx.time_ns)) is None:
            return None
        self._allow(tx)
        self._signatures.require(tx)
        return done

    def _allow(self, tx: Tx) -> None:
        """What needs no record. Raises: TxError."""
        ctx, rules = self._ctx, self._rules
        if tx.chain_id != rules.chain_id:
            raise WrongChain(f"{tx.chain_id!r}, expected {rules.chain_id!r}")
        if tx.expiry_height and ctx.height > tx.expiry_height:
            raise Expired(f"after {tx.expiry_height}, this is {ctx.height}")
        if tx.gas_limit > rules.block_gas_max:
            raise GasLimitTooHigh(f"{tx.gas_limit}, allowed: {rules.block_gas_max}")
        for name in tx.key_types:  # here, so that no block has one: who does not know the type could not decode it
            if name not in rules.key_types:
                raise KeyTypeNotAllowed(f"{name}, allowed: {', '.join(rules.key_types)}")

    def messages(self, tx: Tx) -> list[Leg]:
        """The second part, in the context's branch, not merged. Raises: TxError, likewise."""
        ctx, handlers = self._ctx, self._handlers
        return [handlers[type(message)](ctx, message) for message in tx.messages]

    def drop(self) -> None:
        self._ctx.branch.drop()

    @property
    def others(self) -> frozenset[bytes]:
        """See `Context.others`."""
        return frozenset(self._ctx.others)

    @property
    def doubted(self) -> frozenset[bytes]:
        """See `Context.doubted`."""
        return frozenset(self._ctx.doubted)

    def _events(self) -> tuple[Event, ...]:
        branch = self._ctx.branch
        if self._tells:
            return branch.pop_events()
        branch.events = []
        return ()

    def run(self, tx: Tx, index: int) -> ExecTxResult:
        """Execute `tx` as the block's `index`th. Raises: TxError from the ante part; then nothing has changed."""
        if (done := self.short(tx)) is not None:
            return self._run_short(tx, index, done)
        ctx = self._ctx
        branch, writes = ctx.branch, self.block.writes
        try:
            self.ante(tx)
        except TxError:
            branch.drop()
            raise
        before = branch.writes
        writes.update(before)
        branch.writes = {}
        events = self._events()
        legs: list[Leg] = []
        ctx.legs = legs
        failure: TxError | None = None
        failed_leg = 0
        handlers = self._handlers
        try:
            for message in tx.messages:
                legs.append(handlers[type(message)](ctx, message))
            check_records(branch.writes)
        except TxError as error:
            failure, failed_leg, legs = error, len(legs) + 1, []
            branch.drop()
            gas_used = min(ctx.gas_used, tx.gas_limit)
        else:
            gas_used = ctx.gas_used
        receipt = encode_receipt(
            tx, height=ctx.height, tx_index=index, legs=legs, failure=failure, failed_leg=failed_leg, gas_used=gas_used
        )
        settle = self._modules.settle.get(tx.lane)
        if settle is not None:
            settle(branch, tx, receipt, ctx.height, failure is None)
        writes.update(branch.writes)
        self.parts.append((index, before, branch.writes))
        branch.writes = {}
        events += self._events()
        if failure is None:
            return ExecTxResult(0, receipt, "", "", tx.gas_limit, gas_used, events)
        return failed_result(
            failure, tx, gas_used=gas_used, data=receipt, where=f"message {failed_leg}: ", events=events
        )

    def _run_short(self, tx: Tx, index: int, done: Short) -> ExecTxResult:
        before, rest, leg, event = done
        writes, gas_used = self.block.writes, tx.intrinsic_gas
        writes.update(before)
        writes.update(rest)
        self.parts.append((index, before, rest))
        receipt = encode_receipt(
            tx, height=self._ctx.height, tx_index=index, legs=(leg,), failure=None, failed_leg=0, gas_used=gas_used
        )
        events = (event(),) if self._tells else ()
        return _new(ExecTxResult, (0, receipt, "", "", tx.gas_limit, gas_used, events, ""))


def failed_result(
    error: TxError, tx: Tx | None, *, gas_used: int = 0, data: bytes = b"", where: str = "",
    events: tuple[Event, ...] = (),
) -> ExecTxResult:  # fmt: skip
    return ExecTxResult(
        error.code,
        data,
        where + error.log,
        gas_wanted=tx.gas_limit if tx else 0,
        gas_used=gas_used,
        events=events,
        codespace=error.codespace,
    )


def units_of(raw: bytes, verified: int, gas_used: int) -> int:
    """Of work that a transaction was, for slices: by what it held and used, so the same everywhere. verified: of its
    signatures, those that were not known.
    """
    more = max(0, gas_used - GAS_LEAST_TX - GAS_BYTE * len(raw))
    return 1 + len(raw) // BYTES_PER_UNIT + SIGNATURE_UNITS * verified + more // GAS_PER_UNIT


class BlockRun:
    """One block's execution over a branch: `begin`, its transactions by `run` one after the other, then `end`.

    Changes nothing durable. request.txs is not read: whoever runs it says which ones, in the block's order.
    """

    def __init__(
        self, request: BlockRequest, *, base: Base, modules: Modules, signatures: Signatures, rules: Rules
    ) -> None:
        self._modules, self._signatures, self._block = modules, signatures, Branch(base.get)
        self._context = BlockContext(
            self._block, base.scan, request.height, machine_time(request.time_ns), request.last_commit,
            request.misbehavior, request.proposer_address,
            committed=base.get, block_gas_max=rules.block_gas_max,
        )  # fmt: skip
        self._executor = Executor(
            modules, signatures, rules, self._block, height=request.height, time_ns=request.time_ns
        )
        self._begun: dict[bytes, Any] = {}
        self._units = 0  # of work since the last slice ended
        self.results: list[ExecTxResult] = []
        self.txs: list[Tx] = []

    def begin(self, pre_block: PreBlock | None) -> Slices[None]:
        if pre_block is not None:
            yield from pre_block(self._context)
        for module in self._modules.all:
            for step in module.begin_block:
                yield from step(self._context) or ()
        self._begun = dict(self._block.writes)

    def run(self, tx: Tx) -> bool:
        """Execute the next one. Returns whether a slice of work is done. Raises TxError, of the ante part: then it
        changed nothing, and has no result."""
        verified, signatures = self._signatures.verified, self._signatures
        try:
            result = self._executor.run(tx, len(self.results))
        except TxError:
            self._units += units_of(tx.raw, signatures.verified - verified, 0)
            raise
        self.results.append(result)
        self.txs.append(tx)
        if signatures.verified == verified and 0 < result.gas_used < GAS_OF_ONE_UNIT:
            self._units += 1
        else:
            self._units += units_of(tx.raw, signatures.verified - verified, result.gas_used)
        return self.is_slice_over()

    def failed(self, error: TxError, raw: bytes, tx: Tx | None) -> None:
        """A decided block has one that cannot be run: its result says why."""
        self.results.append(failed_result(error, tx))
        if tx is None:  # else `run` has counted it
            self._units += units_of(raw, 0, 0)

    def is_slice_over(self) -> bool:
        """Whether the loop is to be given back now; asked once a slice."""
        if self._units < SLICE_UNITS:
            return False
        self._units = 0
        return True

    def end(self) -> Slices[Executed]:
        context, executor = self._context, self._executor
        for module in self._modules.all:
            for step in module.end_block:
                yield from step(context) or ()
        return Executed(
            self.results, self._block.writes, tuple(context.validator_updates), self.txs,
            consensus_params=context.consensus_params, upgraded=context.upgraded, events=self._block.pop_events(),
            others=executor.others | context.others, doubted=executor.doubted | context.doubted,
            trail=Trail(self._begun, executor.parts),
        )  # fmt: skip

    def rejected(self, why: str) -> Executed:
        """It is a proposal, and this speaks against it."""
        return Executed(self.results, {}, (), self.txs, why)


def execute_block(
    request: BlockRequest,
    *,
    base: Base,
    modules: Modules,
    signatures: Signatures,
    cache: TxCache,
    rules: Rules,
    strict: bool,
    pre_block: PreBlock | None = None,
) -> Slices[Executed]:
    """The whole block, in the written order. strict: a proposal; the first fault ends it and says why.

    Not strict, a block that was decided is executed whatever it holds: a transaction whose ante part fails, or that
    does not decode, has a failed result and changes nothing.
    """
    block = BlockRun(request, base=base, modules=modules, signatures=signatures, rules=rules)
    yield from block.begin(pre_block)
    gas_wanted = 0
    for index, raw in enumerate(request.txs):
        tx: Tx | None = None
        try:
            tx = cache.get(raw)
            gas_wanted += tx.gas_limit
            if strict and gas_wanted > rules.block_gas_max:
                fault = GasLimitTooHigh(f"the block's {gas_wanted}, allowed: {rules.block_gas_max}")
                return block.rejected(f"transaction {index}: {fault.log}")
            if block.run(tx):
                yield
        except TxError as error:
            if strict:
                return block.rejected(f"transaction {index}: {error.log}")
            block.failed(error, raw, tx)
            if block.is_slice_over():
                yield
    return (yield from block.end())
