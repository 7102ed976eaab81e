"""A block as steps: what its begin, each of its transactions and its end wrote, with a running hash of each store.

Two nodes that executed one block alike have equal steps. Where they did not, the first step that differs names the
transaction, and its writes the keys. The hash of a store after a step is SHA-256 over its hash after the step before
and each write to it, ascending by key (`hashes_after`): not the root of its tree, which is computed once a block.

Pure. Source: docs/autopsy.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from chain.kernel.branch import SPACES
from chain.kernel.execution import Trail
from chain.state.roots import STORE_NAMES
from consensus.state.results import ExecTxResult
from crypto.hash import sha256

NO_HASH: Final = bytes(32)  # of a store before the first step
STORE_OF: Final = {tag: STORE_NAMES.index(store) for tag, (store, _) in SPACES.items()}  # by a key's first byte

Writes: TypeAlias = Mapping[bytes, bytes | None]  # key with its tag -> stored bytes; None: it was deleted


class Step(NamedTuple):
    """tx: its hash; empty: the block's begin or its end. code, gas_used: of a transaction's result.

    result: hash over what of the result every node must have alike; of the end: over what it tells the engine.
    stores: the running hashes, in the order of STORE_NAMES. writes: empty where it was not asked for.
    """

    tx: bytes
    code: int
    gas_used: int
    result: bytes
    stores: tuple[bytes, ...]
    writes: Writes

    def same(self, other: Step) -> bool:
        """Whether both did the same, and all before them too."""
        return self[:5] == other[:5]


@dataclass(frozen=True, slots=True)
class BlockTrail:
    """One executed block. app_hash, roots: after it. again: made by a second execution, not as the first one went."""

    height: int
    block_hash: bytes
    app_hash: bytes
    roots: Mapping[str, bytes]
    steps: Sequence[Step]
    again: bool = field(default=False, compare=False)

    def place(self, index: int) -> str:
        """What the step is, for people."""
        last = len(self.steps) - 1
        if index in (0, last):
            return "the begin of the block" if index == 0 else "the end of the block"
        return f"transaction {index - 1}"


def stored(value: Any) -> bytes | None:
    return value if value is None or type(value) is bytes else value.encode()


def trail_writes(trail: Trail, written: Mapping[bytes, Any], txs: int) -> Iterator[dict[bytes, bytes | None]]:
    """Of the begin, each of so many transactions, and the end. written: by the whole block, the last of each key."""
    last: dict[bytes, Any] = dict(trail.begin)
    yield {key: stored(value) for key, value in trail.begin.items()}
    index = 0
    for ran, before, rest in trail.parts:
        for _ in range(index, ran):
            yield {}  # its ante part failed, or it does not decode
        index = ran + 1
        both = {**before, **rest}
        last.update(both)
        yield {key: stored(value) for key, value in both.items()}
    for _ in range(index, txs):
        yield {}
    end: dict[bytes, bytes | None] = {}
    for key, value in written.items():
        known = last.get(key, last)
        if known is not value and (known is last or stored(known) != stored(value)):
            end[key] = stored(value)
    yield end


def steps_of(
    writes: Iterator[dict[bytes, bytes | None]], txs: Sequence[bytes], results: Sequence[ExecTxResult], told: bytes
) -> Iterator[Step]:
    """txs: the transactions' hashes. told: what the block's end tells the engine, encoded."""
    hashes: tuple[bytes, ...] = (NO_HASH,) * len(STORE_NAMES)
    last = len(txs) + 1
    for index, written in enumerate(writes):
        hashes = hashes_after(hashes, written)
        if index == 0:
            yield Step(b"", 0, 0, b"", hashes, written)
        elif index == last:
            yield Step(b"", 0, 0, sha256(told), hashes, written)
        else:
            result = results[index - 1]
            leaf = sha256(result.deterministic_bytes())
            yield Step(txs[index - 1], result.code, result.gas_used, leaf, hashes, written)


def hashes_after(hashes: tuple[bytes, ...], writes: Writes) -> tuple[bytes, ...]:
    parts: list[list[bytes]] = [[] for _ in hashes]
    for key in sorted(writes):
        value = writes[key]
        size = b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big")
        parts[STORE_OF[key[0]]] += (len(key).to_bytes(2, "big"), key, size, value or b"")
    return tuple([sha256(b"".join((known, *new))) if new else known for known, new in zip(hashes, parts, strict=True)])
