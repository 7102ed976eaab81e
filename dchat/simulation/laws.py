"""The laws that every run of the simulator of nodes is held to, judged from outside the nodes.

The judge hears of every signature when the signer gives it out (from then on it may reach others), of every block when
a node has saved it, of every start and stop. What it writes down is the trace: protocol events only, so that two runs
of a seed have equal hashes whatever the process around them does.
Source: arXiv:1807.04938, section 2; design sections 3 and 6.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from hashlib import sha256

from consensus.formats.units import NS_PER_MS
from consensus.simulation.clock import START_NS
from consensus.stores.block_store import BlockStore
from consensus.types.block import Block
from consensus.types.evidence import DuplicateVoteEvidence

EVENTS_SHOWN = 40
LIES_SHOWN = 12
TIME_SLACK_NS = 10**9  # for votes that follow a block's time, and for what was drawn a moment ago


class SimulationError(Exception):
    """A simulated run did not hold."""


class LawBroken(SimulationError):
    """A run broke a law: which, and by whom."""

    def __init__(self, law: str, what: str) -> None:
        super().__init__(f"{law}: {what}")
        self.law, self.what = law, what


class Judge:
    """Watches one run. The first broken law is kept in `broken`.

    liars: the addresses whose keys sign what they like. clocks_ns: how far the right clocks were ever off, at least and
    at most.
    """

    def __init__(
        self, now_ms: Callable[[], int], liars: frozenset[bytes], clocks_ns: Callable[[], tuple[int, int]] | None = None
    ) -> None:
        self._now_ms, self.liars, self._clocks_ns = now_ms, liars, clocks_ns
        self.broken: LawBroken | None = None
        self.last: deque[str] = deque(maxlen=EVENTS_SHOWN)
        self.lies: deque[str] = deque(maxlen=LIES_SHOWN)
        self.events = 0
        self._trace = sha256()
        self.chain: dict[int, tuple[bytes, bytes, str]] = {}  # height -> block, application after it, who said so first
        self._saved_ms: dict[int, int] = {}  # when a height was saved first
        self.tops: dict[str, int] = {}  # node -> the highest that it has saved
        self.committed: dict[bytes, int] = {}  # transaction -> height
        self.good: set[bytes] = set()  # transactions that may be in a block
        self.promised: dict[bytes, str] = {}  # transactions that a journal keeps -> the node
        self._restored: dict[str, int] = {}  # node -> the height at which it joined by a snapshot
        self._signed: dict[tuple[bytes, str, int, int], tuple[str, str]] = {}

    @property
    def trace(self) -> str:
        return self._trace.hexdigest()

    @property
    def height(self) -> int:
        return max(self.tops.values(), default=0)

    def note(self, text: str) -> None:
        self.last.append(self._traced(text))

    def lied(self, text: str) -> None:
        """A lie is an event as well; the last ones are shown apart from what others did."""
        self.lies.append(self._traced(text))

    def _traced(self, text: str) -> str:
        line = f"{self._now_ms():>8} {text}"
        self._trace.update(line.encode() + b"\n")
        self.events += 1
        return line

    def breaks(self, law: str, what: str) -> None:
        """Told from inside a node's calls, where raising would be the node's own failure."""
        if self.broken is None:
            self.broken = LawBroken(law, what)
            self.note(f"BROKEN {law}")

    # ------------------------------------------------------------------------------------------------ signatures

    def signed(self, node: str, address: bytes, *, kind: str, height: int, round: int, content: str) -> None:
        """content: everything but the time."""
        self.note(f"{node} signed {kind} {height}/{round} {content[:16]}")
        before, by = self._signed.setdefault((address, kind, height, round), (content, node))
        if before != content and address not in self.liars:
            self.breaks("no key signs twice", f"{by} and then {node} signed two {kind}s at {height}/{round}")

    # ---------------------------------------------------------------------------------------------------- blocks

    def saved(self, node: str, block: Block, app_hash: bytes) -> None:
        """`node` has saved a block, and app_hash is the application's after it."""
        height, digest = block.height, block.hash
        self.note(f"{node} saved {height} {digest.hex()[:8]} {app_hash.hex()[:8]} txs={len(block.txs)}")
        if height != self.tops.get(node, 0) + 1:
            self.breaks("heights rise by one", f"{node} saved {height} after {self.tops.get(node, 0)}")
        self.tops[node] = height
        if height not in self.chain:
            self.chain[height] = (digest, app_hash, node)
            self._saved_ms[height] = self._now_ms()
            self._check_time(block)
            self._check_block(block)
            return
        known, known_app, by = self.chain[height]
        if known != digest:
            self.breaks("agreement", f"height {height}: {by} has {known.hex()[:8]}, {node} has {digest.hex()[:8]}")
        elif known_app != app_hash:
            self.breaks("equal app hashes", f"height {height}: {by} {known_app.hex()[:8]}, {node} {app_hash.hex()[:8]}")

    def _check_time(self, block: Block) -> None:
        """Its time is the median of precommits that were signed after the last height but one was saved."""
        if self._clocks_ns is None or block.height <= 1:
            return
        low_ns, high_ns = self._clocks_ns()
        since_start_ns = block.header.time_ns - START_NS
        earliest_ns = self._saved_ms.get(block.height - 2, 0) * NS_PER_MS + low_ns
        latest_ns = self._now_ms() * NS_PER_MS + high_ns
        if not earliest_ns - TIME_SLACK_NS <= since_start_ns <= latest_ns + TIME_SLACK_NS:
            said = f"block {block.height} is of {since_start_ns / 1e9:.3f} s"
            self.breaks(
                "a block's time is within those of right clocks",
                f"{said}, right clocks say {earliest_ns / 1e9:.3f} to {latest_ns / 1e9:.3f}",
            )

    def _check_block(self, block: Block) -> None:
        height = block.height
        if height - 1 in self.chain:
            before, app_hash, _ = self.chain[height - 1]
            if block.header.last_block_id.hash != before or block.header.app_hash != app_hash:
                self.breaks("blocks follow each other", f"block {height} does not name the block or the state before")
        for item in block.evidence:
            if not isinstance(item, DuplicateVoteEvidence) or item.vote_a.validator_address not in self.liars:
                self.breaks("the innocent are not accused", f"block {height} has {item}")
        for tx in block.txs:
            if tx not in self.good:
                self.breaks("only valid transactions", f"block {height} has {sha256(tx).hexdigest()[:8]}")
            first = self.committed.setdefault(tx, height)
            if first != height:
                self.breaks("a transaction at most once", f"{sha256(tx).hexdigest()[:8]} is in {first} and in {height}")

    # ---------------------------------------------------------------------------------------------------- starts

    def joined(self, node: str, height: int, app_hash: bytes) -> None:
        """`node` was restored from a snapshot of `height`: what is there is what the chain had."""
        self.note(f"{node} joined at {height}")
        if height in self.chain and self.chain[height][1] == app_hash and self.tops.get(node, 0) <= height:
            self.tops[node] = height
            self._restored[node] = height
            return
        self.breaks("a snapshot is of the chain", f"{node} restored {app_hash.hex()[:8]} at {height}")

    def started(self, node: str, blocks: BlockStore, height: int, app_hash: bytes) -> None:
        """After the handshake: what `node` had saved is there, and its databases are at one height."""
        self.note(f"{node} started at {height}")
        top = self.tops.get(node, 0)
        has_all = blocks.height == height or (not blocks.height and self._restored.get(node) == height)
        if not has_all or height < top:
            self.breaks("what was saved stays", f"{node}: {top} was saved, {height} and {blocks.height} came back")
        for missing in range(top + 1, height + 1):  # decided before the stop, applied by the handshake
            block = blocks.load_block(missing)
            if block is not None:
                self.saved(node, block, app_hash if missing == height else self._app_hash(missing))
        if height and height in self.chain and self.chain[height][1] != app_hash:
            self.breaks("equal app hashes", f"{node} came back at {height} with {app_hash.hex()[:8]}")

    def _app_hash(self, height: int) -> bytes:
        return self.chain[height][1] if height in self.chain else b""

    # -------------------------------------------------------------------------------------------------- the end

    def check_store(self, node: str, blocks: BlockStore) -> None:
        """The whole chain of a node is the one chain; one that was restored and has no block yet has none of it."""
        top = self.tops.get(node, 0)
        for height in range(blocks.base if blocks.height else top + 1, top + 1):
            meta = blocks.load_meta(height)
            if meta is None or meta.block_id.hash != self.chain[height][0] or blocks.load_block(height) is None:
                self.breaks("chains are whole", f"{node} lacks or has another block {height}")
