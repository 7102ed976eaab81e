"""Makes the spans of transactions and heights, once a block is saved. It listens, reads clocks, and changes nothing.

Of a transaction: `dchat.tx`, told by the node to whose door it came, and `dchat.tx.node` of each node, from its arrival
until its block is saved, with `admission`, `pool`, `proposal`, `execute`, `prevote`, `precommit` and `commit` in it. It
hangs from that of the node from which it came; where it came in a block alone, from `dchat.tx`. Of a height:
`dchat.height`, told by the block's proposer, in it `dchat.height.node` of each node, with `propose`, `execute`,
`prevote`, `precommit`, `finalize` and `save`. A step that a node did not see, since the others had decided, is not
there.
Source: docs/tracing.md.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from consensus.abci.interface import CheckTxResponse
from consensus.engine.interfaces import RoundState, SavedBlock
from consensus.execution.metrics import EngineMetrics
from consensus.mempool.admission.entry import Entry
from consensus.system.clock import Clock
from dchat.tracing.spans import Kind, Sampler, Span, height_trace, span_id, tx_trace
from dchat.tracing.steps import Steps, Times

TX: Final = "dchat.tx"
TX_NODE: Final = "dchat.tx.node"
HEIGHT: Final = "dchat.height"
NODE: Final = "dchat.height.node"
WAYS_MAX: Final = 4_096  # sampled transactions that are under way; the oldest is forgotten
TXS_PER_BLOCK: Final = 64  # that are told of one block: some 2 ms of the loop
REASON_CHARS_MAX: Final = 200


@dataclass(slots=True)
class Way:
    """Of a sampled transaction, on this node. Monotonic. source: the peer from which it came; empty: by a door."""

    arrived_ns: int
    source: str
    admitted_ns: int = 0


@dataclass(frozen=True, kw_only=True)
class Who:
    """This node. address: of its consensus key."""

    node_id: str
    chain_id: str
    address: bytes


class Tracer:
    """Satisfies SavedListener; `steps` is its RoundListener; `arrived`, `admitted` and `dropped` are for the pool.
    offer: takes spans, and returns how many it did not. untold: transactions that one block had too many of."""

    def __init__(
        self, who: Who, sampler: Sampler, clock: Clock, state: RoundState, metrics: EngineMetrics,
        offer: Callable[[Sequence[Span]], None],
    ) -> None:  # fmt: skip
        self._who, self._sampler, self._clock, self._offer = who, sampler, clock, offer
        self._metrics = metrics
        self.steps = Steps(clock, state, metrics)
        self._ways: OrderedDict[bytes, Way] = OrderedDict()
        self.untold = 0

    # ----------------------------------------------------------------------------------------------- the pool's

    def arrived(self, key: bytes, source: str) -> None:
        """A transaction begins its way through admission."""
        if self._sampler.keeps(key) and key not in self._ways:
            if len(self._ways) >= WAYS_MAX:
                self._ways.popitem(last=False)
            self._ways[key] = Way(self._clock.monotonic_ns(), source)

    def admitted(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if self._sampler.keeps(entry.key) and (way := self._ways.get(entry.key)) is not None:
                way.admitted_ns = self._clock.monotonic_ns()

    def dropped(self, key: bytes, why: CheckTxResponse) -> None:
        """It was admitted, and leaves without a block."""
        way = self._ways.pop(key, None)
        if way is not None and way.admitted_ns:
            spans = self._tops(key, way, way.arrived_ns, self._clock.monotonic_ns())
            for span in spans:
                span.error = why.log[:REASON_CHARS_MAX]
            self._send(spans)

    # ----------------------------------------------------------------------------------------------- of a block

    def block_saved(self, saved: SavedBlock) -> None:
        times, now_ns = self.steps.take(saved.height), self._clock.monotonic_ns()
        kept = [key for key in saved.block.data.tx_hashes if self._sampler.keeps(key)]
        ways = [(key, self._ways.pop(key, None)) for key in kept]
        if times is None:
            return  # fetched: what is caught up with was told by those who decided it
        spans: list[Span] = []
        for key, way in ways[:TXS_PER_BLOCK]:
            spans += self._of_tx(key, way, saved, times, now_ns)
        self.untold += max(0, len(ways) - TXS_PER_BLOCK)
        trace = height_trace(self._who.chain_id, saved.height)
        if self._sampler.keeps(trace):
            spans += self._of_height(trace, saved, times, now_ns)
        if spans:
            self._send(spans)

    def _tops(self, key: bytes, way: Way | None, start_ns: int, end_ns: int) -> list[Span]:
        """This node's span, and before it the one of all, where it came to a door of ours."""
        trace, who = tx_trace(key), self._who
        root, ours = span_id(trace, "", TX), span_id(trace, who.node_id, TX_NODE)
        origin = "block" if way is None else "peer" if way.source else "door"
        attributes: dict[str, str | int | bool] = {"dchat.tx.hash": key.hex(), "dchat.tx.came_by": origin}
        spans, parent = [], root
        if way is not None and way.source:
            attributes["dchat.peer"] = way.source
            parent = span_id(trace, way.source, TX_NODE)
        elif way is not None:
            spans.append(Span(trace, root, b"", TX, start_ns, end_ns, Kind.SERVER, dict(attributes)))
        kind = Kind.CONSUMER if origin == "peer" else Kind.INTERNAL
        spans.append(Span(trace, ours, parent, TX_NODE, start_ns, end_ns, kind, attributes))
        return spans

    def _of_tx(self, key: bytes, way: Way | None, saved: SavedBlock, times: Times, now_ns: int) -> list[Span]:
        begins = way.arrived_ns if way is not None else times.proposal_ns or times.began_ns
        spans = self._tops(key, way, begins, now_ns)
        height = height_trace(self._who.chain_id, saved.height)
        for one in spans:
            one.attributes |= {"dchat.height": saved.height, "dchat.round": saved.commit.round}
            one.links = ((height, span_id(height, self._who.node_id, NODE)),)
        top = spans[-1]
        admitted_ns = way.admitted_ns if way is not None else 0
        if way is not None and admitted_ns:
            self._add(spans, top, "admission", way.arrived_ns, admitted_ns)
            self._add(spans, top, "pool", admitted_ns, times.round_ns)
        self._add(spans, top, "proposal", max(times.round_ns, begins, admitted_ns), times.block_ns)
        self._add(spans, top, "execute", *times.execution_ns)
        self._add(spans, top, "prevote", times.prevote_ns, times.precommit_ns)
        self._add(spans, top, "precommit", times.precommit_ns, times.decided_ns)
        self._add(spans, top, "commit", times.decided_ns, now_ns)
        return spans

    def _of_height(self, trace: bytes, saved: SavedBlock, times: Times, now_ns: int) -> list[Span]:
        header, who = saved.block.header, self._who
        attributes: dict[str, str | int | bool] = {
            "dchat.height": saved.height, "dchat.round": saved.commit.round, "dchat.txs": len(saved.block.txs),
            "dchat.proposer": header.proposer_address.hex().upper(),
        }  # fmt: skip
        root = span_id(trace, "", HEIGHT)
        spans = []
        if header.proposer_address == who.address:
            spans.append(Span(trace, root, b"", HEIGHT, times.began_ns, now_ns, attributes=dict(attributes)))
        top = Span(trace, span_id(trace, who.node_id, NODE), root, NODE, times.began_ns, now_ns, attributes=attributes)
        spans.append(top)
        for round, from_ns, to_ns in times.failed:
            self._add(spans, top, f"round {round}", from_ns, to_ns)
        self._add(spans, top, "propose", times.round_ns, times.prevote_ns)
        self._add(spans, top, "execute", *times.execution_ns)
        self._add(spans, top, "prevote", times.prevote_ns, times.precommit_ns)
        self._add(spans, top, "precommit", times.precommit_ns, times.decided_ns)
        finalized_ns = times.decided_ns + self._metrics.finalize.last_ns
        self._add(spans, top, "finalize", times.decided_ns, finalized_ns)
        self._add(spans, top, "save", finalized_ns, now_ns)
        return spans

    def _add(self, spans: list[Span], top: Span, name: str, start_ns: int, end_ns: int) -> None:
        """Where both ends were seen."""
        if start_ns and end_ns >= start_ns:
            ours = span_id(top.trace_id, self._who.node_id, name)
            spans.append(Span(top.trace_id, ours, top.span_id, name, start_ns, end_ns))

    def _send(self, spans: Sequence[Span]) -> None:
        """With times of the calendar: all of a block by one reading of both clocks."""
        ahead_ns = self._clock.now_ns() - self._clock.monotonic_ns()
        for span in spans:
            span.start_ns += ahead_ns
            span.end_ns += ahead_ns
        self._offer(spans)
