"""Does everything in the state database fit the roots that the chain signed? Walks all of it; for an operator who asks.

From each store's root down: every page hashes to what the page above says, every leaf to its flat value, and there is
no flat value beside these. Then the history: each older version has its roots, and its undo runs can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from chain.state import checked, smt
from chain.state import layout as rec
from chain.state.errors import CorruptState
from chain.state.roots import STORE_NAMES
from chain.state.view import View
from storage.kv import Reader


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the record of `key`."""

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


def audit(reader: Reader) -> Iterator[Fault | None]:
    """Each fault, and None for each record that is right. reader: a snapshot."""
    if reader.get(rec.LATEST_KEY) is None:
        return
    try:
        roots = View(reader, None).roots
    except CorruptState as error:
        yield Fault("the state's versions", error.why)
        return
    for number, name in enumerate(STORE_NAMES):
        yield from _audit_store(reader, bytes([number]), name, roots[name])
    yield from _audit_history(reader)


def _audit_store(reader: Reader, store: bytes, name: str, root: bytes) -> Iterator[Fault | None]:
    leaves = faults = 0
    for found in _walk(reader, store, root):
        leaves += not isinstance(found, Fault)
        faults += isinstance(found, Fault)
        yield Fault(f"store {name}, {found.where}", found.why) if isinstance(found, Fault) else None
    prefix = rec.VALUE + store
    values = sum(1 for _ in reader.scan(prefix, rec.prefix_end(prefix)))
    if values == leaves or faults:
        return
    for key, _ in reader.scan(prefix, rec.prefix_end(prefix)):
        if why := checked.fault(reader.get, root, key, reader.get(key)):
            yield Fault(f"store {name}, key {key.hex()}", why)


def _walk(reader: Reader, store: bytes, root: bytes) -> Iterator[Fault | None]:
    """None for each leaf whose value is right."""
    todo: list[str] = [""]
    while todo:
        name = todo.pop()
        key = rec.page_key(store, name)
        record = reader.get(key)
        if why := checked.fault(reader.get, root, key, record):
            yield Fault(f"key {key.hex()}", why)
            continue
        if record is None:
            continue
        for digit, node in zip(smt.DIGITS, smt.slots_of(smt.decode_page(record[rec.VERSION_BYTES :])), strict=True):
            if smt.is_leaf(node):
                yield _leaf_fault(reader, store, node)
            elif node:
                todo.append(name + digit)


def _leaf_fault(reader: Reader, store: bytes, node: smt.Node) -> Fault | None:
    key = node[smt.HASH_BYTES :]
    full_key = rec.VALUE + store + key
    record = reader.get(full_key)
    if record is None:
        return Fault(f"key {full_key.hex()}", "it is missing, and the tree has it")
    if smt.leaf_hash(key, record[rec.VERSION_BYTES :]) != node[: smt.HASH_BYTES]:
        return Fault(f"key {full_key.hex()}", "its value is not the one that the tree has")
    return None


def _audit_history(reader: Reader) -> Iterator[Fault | None]:
    latest, earliest = reader.get(rec.LATEST_KEY), reader.get(rec.EARLIEST_KEY)
    assert latest is not None  # a view was made of them
    assert earliest is not None
    for version in range(rec.version_of(earliest), rec.version_of(latest) + 1):
        try:
            View(reader, version)
        except CorruptState as error:
            yield Fault(f"version {version}", error.why)
        undone = rec.UNDO + rec.pack_version(version)
        for key, run in reader.scan(undone, rec.prefix_end(undone)):
            try:
                yield None if sum(1 for _ in rec.unpack_run(run)) else Fault(f"key {key.hex()}", "an empty undo run")
            except (ValueError, IndexError, ArithmeticError) as error:
                yield Fault(f"key {key.hex()}", f"an undo run that cannot be read: {error}")
