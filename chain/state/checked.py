"""Does what the disk gave back fit the tree whose root the chain signed? Pure: records come from a callback.

A page fits when its root is what the page above has in its slot (the store's root for the uppermost), and its quarters
follow from its slots. A value fits when the tree's leaf of its key is its leaf; an absent one when there is none. So an
older record in the place of a newer one, or one that is gone, is found where it is read, and not by the hash of a block
that is executed with it.
Source: docs/decisions/0003.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from chain.state import layout as rec
from chain.state import smt
from chain.state.errors import CorruptState
from crypto import native
from storage.kv import Reader

Read: TypeAlias = Callable[[bytes], rec.Record | None]  # a record by its key; a page that it gives was checked


def fault(read: Read, root: bytes, key: bytes, record: rec.Record | None) -> str:
    """Why the value or page `record` under `key` does not fit a tree of `root`; empty: it does."""
    store, rest = key[1:2], key[2:]
    if key[:1] == rec.PAGE:
        return _page_fault(read, root, store, rest[1:].decode(), record)
    node = _node_at(read, store, smt.path_of(rest))
    return "a page of the tree above it is missing" if node is None else value_fault(node, key, record)


def value_fault(node: smt.Node, key: bytes, record: rec.Record | None) -> str:
    """As `fault`, of a value. node: what the tree has in the slot where its key would be."""
    rest = key[2:]
    value = None if record is None else record[rec.VERSION_BYTES :]
    if value is None:
        return "it is missing, and the tree has it" if node[smt.HASH_BYTES :] == rest and node else ""
    if node != smt.leaf_hash(rest, value) + rest:
        return "its value is not the one that the tree has"
    return ""


def _node_at(read: Read, store: bytes, path: str) -> smt.Node | None:
    """What is in the slot where the path ends; None: a page is missing."""
    for depth, digit in enumerate(path):
        page = read(rec.page_key(store, path[:depth]))
        if page is None:
            return None if depth else b""
        node = smt.slot_of(page[rec.VERSION_BYTES :], digit)
        if len(node) != smt.HASH_BYTES:
            return node
    return None


def _page_fault(read: Read, root: bytes, store: bytes, name: str, record: rec.Record | None) -> str:
    expected = root
    if name:
        above = read(rec.page_key(store, name[:-1]))
        node = b"" if above is None else smt.slot_of(above[rec.VERSION_BYTES :], name[-1])
        expected = node if len(node) == smt.HASH_BYTES else smt.EMPTY_HASH
    if record is None:
        return "" if expected == smt.EMPTY_HASH else f"page {name or '(root)'} of the tree is missing"
    content = record[rec.VERSION_BYTES :]
    try:
        got, is_exact = check_page(content)
    except CorruptState as error:
        return f"page {name or '(root)'} of the tree cannot be read: {error}"
    if got != expected:
        return f"page {name or '(root)'} of the tree hashes to {got.hex()}, and the one above it says {expected.hex()}"
    if not is_exact:
        return f"page {name or '(root)'} of the tree contradicts itself"
    return ""


def check_page(content: bytes) -> tuple[bytes, bool]:
    """(root, whether this is what `encode_page` makes of the page) of a page's record. Raises CorruptState."""
    if native.is_used():
        try:
            return native.check_page(content)
        except ValueError as error:
            raise CorruptState(str(error)) from None
    page = smt.decode_page(content)
    page[: smt.QUARTERS] = [None] * smt.QUARTERS
    got = smt.hash_of(smt.page_root(page))
    return got, smt.encode_page(page) == content


def whole_fault(reader: Reader, root: bytes, key: bytes) -> str:
    """As `fault`, of what one snapshot has under `key`, with every page above it checked again."""
    pages: dict[bytes, rec.Record | None] = {}

    def read(page_key: bytes) -> rec.Record | None:
        if page_key not in pages:
            record = reader.get(page_key)
            pages[page_key] = record if not fault(read, root, page_key, record) else None
        return pages[page_key]

    return fault(read, root, key, reader.get(key))
