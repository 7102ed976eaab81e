"""What lies beside the trees no root covers: every kind has a law both ways, and what is of no kind is refused.

For each kind of entry, of lives that have it: one that is missing, one whose content is another, one more. Where a lie
passes, the table says why that is no harm.
"""

from __future__ import annotations

import bisect
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chain.currency.ledger.stake_records import TOLD, Validator
from chain.kernel.branch import SPACES, Base
from chain.state.errors import InvalidSnapshot
from dchat.app.snapshots.beside import FORMS, MARK, QUEUES
from dchat.app.snapshots.restorer import check_records
from tests.support.economy.life import Life
from tests.support.economy.world import UNIT, World, consensus_key

PAGE = Path(__file__).parents[4] / "docs" / "state.md"
LIVES = ((23, 60), (47, 60), (8, 120))  # seed, steps: together they have most kinds
MISSING, CHANGED, MORE = "missing", "changed", "more"

# What passes, and does nothing to who restores it.
HEAD = "a head that is before all that waits is right: it says from where to look; one behind it is refused"
STALE = "an entry whose membership, ban, invitation, body or report changed since does nothing when its time comes"
HEADS = (b"Uh", b"Ba", b"Be", b"Bg", b"BH", b"Bo")
HARMLESS = {
    **{(prefix, CHANGED): HEAD for prefix in HEADS},
    **{(prefix, what): f"of an empty queue: {HEAD}" for prefix in HEADS for what in (MISSING, MORE)},
    (b"Cd", MISSING): STALE,
    (b"Cd", MORE): STALE,
    (b"Cm", CHANGED): "of a forgotten message author, height and time are bounded by those beside it alone",
    (b"Bh", MISSING): "the end of deposits of a proposal that is voted on does nothing when it comes",
    (b"Bh", MORE): "the time of a proposal that was cancelled, and is gone, does nothing when it comes",
    (b"Uq", MORE): "the time of an unbonding that was cancelled does nothing when it comes",
}


class Kept:
    """The stores of one version, which a test changes. Satisfies chain.kernel.branch.StoreReader."""

    def __init__(self, life: World) -> None:
        view = life.app.stores.at()
        self.trees = {store: dict(view.scan(store)) for store in view.roots}
        self.beside = {store: dict(view.scan_side(store)) for store in view.roots}
        self._order = {store: sorted(tree) for store, tree in self.trees.items()}

    def get(self, store: str, key: bytes) -> bytes | None:
        return self.trees[store].get(key)

    def side(self, store: str, key: bytes) -> bytes | None:
        return self.beside[store].get(key)

    def scan(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        keys = self._order[store]
        for at in range(bisect.bisect_left(keys, max(prefix, start)), len(keys)):
            if not keys[at].startswith(prefix):
                return
            yield keys[at], self.trees[store][keys[at]]

    def scan_side(self, store: str, prefix: bytes = b"", start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        held = self.beside[store]
        yield from ((key, held[key]) for key in sorted(held) if key.startswith(prefix) and key >= start)

    def is_refused(self, life: World) -> bool:
        try:
            check_records(life.app.modules, Base(self, life.app.modules.decoders))
        except InvalidSnapshot:
            return True
        return False

    def is_refused_with(self, life: World, key: bytes, content: bytes) -> bool:
        """Of the currency store, beside its tree, for this once."""
        held = self.beside["currency"]
        before, self.beside["currency"] = held, {**held, key: content}
        try:
            return self.is_refused(life)
        finally:
            self.beside["currency"] = before


@pytest.fixture(scope="module")
def lives() -> list[tuple[Life, Kept]]:
    found = []
    for seed, steps in LIVES:
        life = Life(seed, twin=False)
        for _ in range(steps):
            life.step()
        found.append((life, Kept(life)))
    return found


def store_of(prefix: bytes) -> str:
    return SPACES[prefix[0]][0]


def lies(prefix: bytes, held: dict[bytes, bytes]) -> Iterator[tuple[str, bytes, bytes | None]]:
    """(what, key, content or None) of each, over the first, the middle and the last entry of the kind."""
    keys = sorted(key for key in held if key[:1] == prefix[1:])
    for key in {keys[0], keys[len(keys) // 2], keys[-1]} if keys else ():
        content = held[key]
        yield MISSING, key, None
        for other in (content[:-1] + bytes([content[-1] ^ 1]), content + b"\x00", content[:-1]):
            if other:  # no store holds an empty one
                yield CHANGED, key, other
        for more in (key + b"\x00", key[:-1], key[:-1] + bytes([key[-1] ^ 1]), key[:1] + bytes(len(key) - 1)):
            if more not in held and more != b"":
                yield MORE, more, content


def test_the_honest_are_taken(lives: list[tuple[Life, Kept]]) -> None:
    assert [kept.is_refused(life) for life, kept in lives] == [False] * len(LIVES)


@pytest.mark.parametrize("prefix", sorted(FORMS), ids=lambda prefix: prefix.decode())
def test_every_lie_about_what_lies_beside_the_trees_is_refused(lives: list[tuple[Life, Kept]], prefix: bytes) -> None:
    passed: set[str] = set()
    for life, kept in lives:
        held = kept.beside[store_of(prefix)]
        for what, key, content in lies(prefix, dict(held)):
            before = held.get(key)
            held.pop(key, None)
            if content:
                held[key] = content
            if not kept.is_refused(life):
                passed.add(what)
            held.pop(key, None)
            if before is not None:
                held[key] = before
    assert passed <= {what for of, what in HARMLESS if of == prefix}, prefix


@pytest.mark.parametrize("prefix", sorted(FORMS), ids=lambda prefix: prefix.decode())
def test_one_more_of_each_kind_is_refused(lives: list[tuple[Life, Kept]], prefix: bytes) -> None:
    """Of kinds that no life has, too: an entry in the right form that is of nothing."""
    (life, kept), form, rng = lives[0], FORMS[prefix], random.Random(prefix)
    held = kept.beside[store_of(prefix)]
    contents = (MARK, bytes(7) + MARK, rng.randbytes(4), rng.randbytes(20), rng.randbytes(32))
    content = next(content for content in contents if form.is_content(content))
    key = prefix[1:] + rng.randbytes(form.keys[0])
    if key in held:
        return  # there can be one only, and there is
    held[key] = content
    try:
        assert kept.is_refused(life) or (prefix, MORE) in HARMLESS
    finally:
        del held[key]


@pytest.mark.parametrize("store", ["bridge", "chat", "currency"])
def test_what_is_of_no_kind_is_refused(lives: list[tuple[Life, Kept]], store: str) -> None:
    life, kept = lives[0]
    known = {prefix[1:] for prefix in FORMS if store_of(prefix) == store}
    for letter in (*range(0, 256, 7), *b"QXZxyz"):
        key = bytes([letter]) + bytes(40)
        if key[:1] not in known:
            kept.beside[store][key] = MARK
            assert kept.is_refused(life), key
            del kept.beside[store][key]


def test_a_head_behind_what_waits_or_of_no_queue_is_refused(lives: list[tuple[Life, Kept]]) -> None:
    tried = 0
    for life, kept in lives:
        held = kept.beside["currency"]
        for queue in sorted(QUEUES):
            key, waiting = b"h" + queue, [one for one in held if one[:1] == queue[1:]]
            if not waiting:
                continue
            before = held.pop(key)
            assert kept.is_refused(life), queue
            held[key] = b"\xff" * 8
            assert kept.is_refused(life), queue
            held[key], tried = before, tried + 1
        held[b"hUx"] = bytes(8)
        assert kept.is_refused(life)
        del held[b"hUx"]
    assert tried > 5


def test_a_key_that_the_engine_was_not_told_of_lies_beside_the_trees_with_one_that_was_given_up() -> None:
    """The last validator of all changed its key in jail: that lasts beyond the block, and may be in a snapshot."""
    world = World({"only": 100 * UNIT}, {"only": 50 * UNIT, "new": 500 * UNIT})
    world.set_params(slashing={"tombstone": "0"})
    world.block(misbehavior=[world.double_sign("only")])
    world.rotate("only", "later")
    kept = Kept(world)
    held = kept.beside["currency"]
    key = TOLD[1:] + world.address("only")
    told = Validator.decode(held[key])
    assert not kept.is_refused(world)
    for other in (
        told._replace(operator=world.address("new")),
        told._replace(consensus_key=consensus_key("later").bytes),
        told._replace(consensus_key=consensus_key("another").bytes),
    ):
        assert kept.is_refused_with(world, key, other.encode())
    assert kept.is_refused_with(world, key, b"\xff")
    for more in (key + b"\x00", key[:-1], TOLD[1:] + world.address("new")):
        assert kept.is_refused_with(world, more, held[key])


def test_the_table_has_the_kinds_that_the_page_names() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {one for row in rows for one in re.findall(r"`([BCU][a-zA-Z])`", row.split("|")[1])}
    assert {prefix.decode() for prefix in FORMS} == named
