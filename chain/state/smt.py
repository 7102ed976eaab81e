"""The sparse Merkle tree of one store, in pages of four levels; pure: pages come from a callback, changes go back.

H is SHA-256. A leaf is H(00 ‖ H(key) ‖ H(value)) and sits at the shallowest depth where its path H(key) is alone; an
inner node is H(01 ‖ left ‖ right); an empty subtree is 32 zero bytes. The root follows from the pairs alone, never
from the order in which they came.

A page covers four levels below a path of whole hex digits (its name; the root page's is ""): 16 slots, each empty, a
leaf, or the hash of the page below. Its subtree holds two leaves or more, else the leaf is lifted into the slot above
and the page does not exist (the root page may hold one). A node is written as one `bytes`: b"" empty, 32 bytes an
inner hash, longer a leaf (hash ‖ key).

A page's record is 20 length bytes, then the 20 parts: the hashes two levels above the slots (empty where that is no
inner node), which spare most of the hashing when one slot changes, and the slots. A *delta* takes a page back to what
it was before an update: it holds the touched slots alone, and starts with a byte that no record starts with.
Source: docs/decisions/0003; ICS-23's SmtSpec.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from chain.state.errors import CorruptState

HASH_BYTES = 32
EMPTY_HASH = bytes(HASH_BYTES)  # the hash of an empty subtree
KEY_BYTES_MAX = 223  # a leaf's slot, hash ‖ key, has its length in one byte of the page's record
QUARTERS = 4
SLOTS = 16
PARTS = QUARTERS + SLOTS
DIGITS_MAX = 2 * HASH_BYTES  # of a path
PAGES_PER_SLICE = 32  # below 1 ms of work between two yields
SLOT_OF = {digit: QUARTERS + number for number, digit in enumerate("0123456789abcdef")}
DELTA_TAG = b"\xff"  # a record starts with a quarter's length, 0 or 32
DIGITS = "0123456789abcdef"

Node: TypeAlias = bytes  # b"", a hash, or hash ‖ key
Page: TypeAlias = list[bytes | None]  # 4 quarters (None: to be computed), then 16 slots
# (path: H(key) in hex, key, leaf hash: empty to delete); a plain tuple, which the garbage collector leaves alone
LeafChange: TypeAlias = tuple[str, bytes, bytes]
Load: TypeAlias = Callable[[str], bytes | None]  # the record of the page of that name


class TreeChange(NamedTuple):
    """The new root, and the record of each page that changed, ascending by (length, name); None deletes it.

    deltas: what takes a page back, for the pages that are there before and after.
    """

    root: bytes
    pages: dict[str, bytes | None]
    deltas: dict[str, bytes]


def path_of(key: bytes) -> str:
    """The leaf's path from the root, 64 hex digits."""
    return sha256(key).hexdigest()


def leaf_hash(key: bytes, value: bytes) -> bytes:
    return sha256(b"\x00" + sha256(key).digest() + sha256(value).digest()).digest()


def leaf_change(key: bytes, value: bytes | None) -> LeafChange:
    """The change that sets `key` to `value`, or deletes it (None)."""
    path = sha256(key).digest()
    if value is None:
        return path.hex(), key, b""
    return path.hex(), key, sha256(b"\x00" + path + sha256(value).digest()).digest()


def join(left: Node, right: Node) -> Node:
    """The node above two: empty over nothing, the leaf itself over a lone leaf, else an inner hash."""
    if not left:
        return right if len(right) != HASH_BYTES else sha256(b"\x01" + EMPTY_HASH + right).digest()
    if not right:
        return left if len(left) != HASH_BYTES else sha256(b"\x01" + left + EMPTY_HASH).digest()
    return sha256(b"\x01" + left[:HASH_BYTES] + right[:HASH_BYTES]).digest()


def hash_of(node: Node) -> bytes:
    """The node's 32-byte hash."""
    return node[:HASH_BYTES] if node else EMPTY_HASH


def is_leaf(node: Node) -> bool:
    return len(node) > HASH_BYTES


def decode_page(record: bytes) -> Page:
    """The page of a record that `encode_page` made."""
    page: Page = [b""] * PARTS
    at = PARTS
    for part, length in enumerate(record[:PARTS]):
        if length:
            page[part] = record[at : at + length]
            at += length
    for quarter in range(QUARTERS):
        if not page[quarter]:
            page[quarter] = None  # empty or a lifted leaf: no hash is spent on computing it again
    if at != len(record):
        raise CorruptState(f"a page of the tree has {len(record)} bytes, and says {at}")
    return page


def slot_of(record: bytes, digit: str) -> Node:
    """What the page of that record has in the slot, read without the rest."""
    slot = SLOT_OF[digit]
    at = PARTS + sum(record[:slot])
    return record[at : at + record[slot]]


def encode_page(page: Page) -> bytes:
    parts = [node if node is not None and len(node) == HASH_BYTES else b"" for node in page[:QUARTERS]]
    parts += page[QUARTERS:]  # type: ignore[arg-type]  # slots are never None
    return bytes(map(len, parts)) + b"".join(parts)


def _encode_delta(touched: list[tuple[int, Node]]) -> bytes:
    slots = [slot for slot, _ in touched]
    olds = [old for _, old in touched]
    return DELTA_TAG + bytes([len(slots)]) + bytes(slots) + bytes(map(len, olds)) + b"".join(olds)


def is_delta(content: bytes) -> bool:
    return content[:1] == DELTA_TAG


def apply_delta(record: bytes, delta: bytes) -> bytes:
    """The record that a page had before the update that left it with `record`."""
    page = decode_page(record)
    count = delta[1]
    at = 2 + 2 * count
    for slot, length in zip(delta[2 : 2 + count], delta[2 + count : at], strict=True):
        page[slot] = delta[at : at + length]
        page[slot - QUARTERS >> 2] = None
        at += length
    page_root(page)  # computes the quarters
    return encode_page(page)


def slots_of(page: Page) -> list[Node]:
    """The page's 16 slots."""
    return page[QUARTERS:]  # type: ignore[return-value]  # slots are never None


def page_root(page: Page) -> Node:
    """The node at the top of the page; computes the quarters that are missing."""
    for quarter in range(QUARTERS):
        if page[quarter] is None:
            at = QUARTERS + 4 * quarter
            page[quarter] = _join_four(page[at : at + 4])  # type: ignore[arg-type]
    return _join_four(page[:QUARTERS])  # type: ignore[arg-type]


def _join_four(nodes: list[Node]) -> Node:
    """The node two levels above four; `join` written out where it is called most."""
    a, b, c, d = nodes
    if a and b:
        left = sha256(b"\x01" + a[:HASH_BYTES] + b[:HASH_BYTES]).digest()
    elif a or b:
        left = join(a, b)
    else:
        left = b""
    if c and d:
        right = sha256(b"\x01" + c[:HASH_BYTES] + d[:HASH_BYTES]).digest()
    elif c or d:
        right = join(c, d)
    else:
        right = b""
    if len(left) == HASH_BYTES == len(right):
        return sha256(b"\x01" + left + right).digest()
    return join(left, right)


def update(load: Load, changes: Sequence[LeafChange]) -> TreeChange:
    """Apply one block's changes. See `update_steps`."""
    steps = update_steps(load, changes)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: TreeChange = stop.value
            return result


def update_steps(load: Load, changes: Sequence[LeafChange]) -> Generator[None, None, TreeChange]:
    """Apply `changes` (ascending by path, each path once) to the tree that `load` reads, yielding about each ms.

    An empty tree has no root page: whether a missing one means that is the caller's to know.
    Level by level: down, to bring each change to its slot; then up, to hash each touched page once.
    Raises: CorruptState (a page below the root's is missing).
    """
    levels: list[dict[str, Page]] = []
    existed: dict[str, list[tuple[int, Node]]] = {}  # stored pages -> the slots touched, and what they held
    todo: list[tuple[str, Sequence[LeafChange], bool]] = [("", changes, True)]
    worked = 0
    while todo:
        level: dict[str, Page] = {}
        below: list[tuple[str, Sequence[LeafChange], bool]] = []
        for name, items, stored in todo:
            record = load(name) if stored else None
            if record is not None:
                page = decode_page(record)
            elif stored and name:
                raise CorruptState(f"page {name} of the tree is missing")
            else:
                page = [b""] * PARTS
            level[name] = page
            touched = _place(page, name, items, below)
            if record is not None:
                existed[name] = touched
            worked += 1
            if worked % PAGES_PER_SLICE == 0:
                yield
        levels.append(level)
        todo = below
    return (yield from _hash_upwards(levels, existed))


def _place(
    page: Page, name: str, items: Sequence[LeafChange], below: list[tuple[str, Sequence[LeafChange], bool]]
) -> list[tuple[int, Node]]:
    """Put each change into its slot of `page`, or hand it to the page below; return the slots and what they held."""
    touched: list[tuple[int, Node]] = []
    depth = len(name)
    if depth == DIGITS_MAX:
        raise CorruptState(f"the tree has more than {DIGITS_MAX} levels of pages")
    at, count = 0, len(items)
    while at < count:
        digit = items[at][0][depth]
        end = at + 1
        while end < count and items[end][0][depth] == digit:
            end += 1
        slot = SLOT_OF[digit]
        page[slot - QUARTERS >> 2] = None
        old = page[slot]
        assert old is not None
        touched.append((slot, old))
        if len(old) == HASH_BYTES:
            below.append((name + digit, items[at:end], True))
        elif end - at == 1 and (not old or old[HASH_BYTES:] == items[at][1]):
            _, key, hash_ = items[at]
            page[slot] = hash_ + key if hash_ else b""
        else:
            group = _with_leaf(items[at:end], old)
            if len(group) > 1:
                below.append((name + digit, group, False))
            else:
                page[slot] = group[0][2] + group[0][1] if group else b""
        at = end
    return touched


def _with_leaf(items: Sequence[LeafChange], old: Node) -> list[LeafChange]:
    """The leaves that remain in a slot that held `old`, a leaf or nothing."""
    group = [item for item in items if item[2]]
    if old:
        key = old[HASH_BYTES:]
        if all(item[1] != key for item in items):
            group.append((path_of(key), key, old[:HASH_BYTES]))
            group.sort()
    return group


def _hash_upwards(
    levels: list[dict[str, Page]], existed: dict[str, list[tuple[int, Node]]]
) -> Generator[None, None, TreeChange]:
    """Hash each page once its slots are final, from the lowest level up."""
    deltas: dict[str, bytes] = {}
    changed: list[dict[str, bytes | None]] = []
    root: Node = b""
    worked = 0
    for depth in range(len(levels) - 1, -1, -1):
        records: dict[str, bytes | None] = {}
        above = levels[depth - 1] if depth else {}
        level = levels[depth]
        for name, page in level.items():
            root = page_root(page)
            level[name] = []  # pages and what they held are freed one by one: all at once would take milliseconds
            touched = existed.pop(name, None)
            if len(root) == HASH_BYTES or (root and not name):
                records[name] = encode_page(page)
                if touched is not None:
                    deltas[name] = _encode_delta(touched)
            elif touched is not None:
                records[name] = None
            if name:
                above[name[:-1]][SLOT_OF[name[-1]]] = root
            worked += 1
            if worked % PAGES_PER_SLICE == 0:
                yield
        changed.append(records)
    yield
    pages: dict[str, bytes | None] = {}
    for records in reversed(changed):
        pages.update(records)
    return TreeChange(hash_of(root), pages, deltas)
