"""The address book: what may enter, buckets and eviction, choosing, and the file."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from consensus.p2p.addrbook import BUCKET_ENTRIES, AddressBook, _read_time, _write_time
from consensus.p2p.conn.address import NodeAddress, parse_address
from consensus.p2p.conn.errors import BadAddress

HOUR_NS = 3600 * 10**9
START_NS = 1_700_000_000 * 10**9


class Clock:
    def __init__(self) -> None:
        self.now_ns = START_NS

    def __call__(self) -> int:
        return self.now_ns


def address(number: int, host: str = "") -> NodeAddress:
    return NodeAddress(f"{number:040x}", host or f"{11 + number % 80}.{number // 80 % 250}.1.1", 26656)


SOURCE = address(9_999_999, "9.9.9.9")


def make(path: Path | None = None, *, strict: bool = True, clock: Clock | None = None) -> AddressBook:
    return AddressBook(path, strict=strict, clock=clock or Clock(), rng=random.Random(1))


def check(book: AddressBook) -> None:
    """What holds in every book."""
    for entry in book._entries.values():
        buckets = book._old if entry.is_old else book._new
        assert 1 <= len(entry.buckets) <= (1 if entry.is_old else 4)
        for number in entry.buckets:
            assert buckets[number][entry.address.id] is entry
    for bucket in (*book._new, *book._old):
        assert len(bucket) <= BUCKET_ENTRIES
        assert all(book._entries[id] is entry for id, entry in bucket.items())


def test_known_addresses_are_not_added_twice_and_ids_keep_their_place() -> None:
    book = make()
    assert book.add(address(1), SOURCE)
    assert not book.add(address(1), SOURCE)
    assert len(book) == 1
    book.add(address(1, "7.7.7.7"), SOURCE)
    assert book.pick(100) == address(1)  # hearsay moves nobody
    assert book.add(address(1, "7.7.7.7"), address(1, "7.7.7.7"), proven=True)
    assert book.pick(100) == address(1, "7.7.7.7")
    check(book)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (NodeAddress("", "8.8.8.8", 1), "valid"),
        (address(1, "0.0.0.0"), "valid"),
        (address(1, "a.name"), "valid"),
        (NodeAddress(address(1).id, "8.8.8.8", 0), "valid"),
        (address(1, "10.0.0.1"), "routable"),
        (address(1, "127.0.0.1"), "routable"),
        (address(2), "own"),
        (address(1, "5.5.5.5"), "own"),
        (address(3), "private"),
        (address(4), "banned"),
    ],
)
def test_what_may_not_enter(entry: NodeAddress, why: str) -> None:
    book = make()
    book.add_own(address(2))
    book.add_own(NodeAddress("", "5.5.5.5", 26656))
    book.private_ids = frozenset({address(3).id})
    book.is_banned = lambda peer_id: peer_id == address(4).id
    with pytest.raises(BadAddress, match=why):
        book.add(entry, SOURCE)
    with pytest.raises(BadAddress, match="private"):
        book.add(address(5), address(3))
    assert len(book) == 0


def test_a_book_that_is_not_strict_takes_local_addresses() -> None:
    assert make(strict=False).add(address(1, "127.0.0.1"), SOURCE)


def test_our_own_address_leaves_the_book_when_it_is_found_out() -> None:
    book = make()
    book.add(address(1), SOURCE)
    book.add_own(address(1))
    assert len(book) == 0
    check(book)


def test_one_source_fills_few_buckets() -> None:
    """Eclipse: a peer that sends thousands of addresses of one group gets one bucket of 64."""
    book = make()
    for number in range(1, 2000):
        book.add(address(number, f"77.1.{number // 250}.{number % 250}"), SOURCE)
    assert len(book) == BUCKET_ENTRIES
    for number in range(3000, 8000):
        book.add(address(number), SOURCE)
    assert sum(bool(bucket) for bucket in book._new) <= 32
    check(book)


def test_bad_entries_are_evicted_first() -> None:
    clock = Clock()
    book = make(clock=clock)
    for number in range(BUCKET_ENTRIES):
        book.add(address(number + 1, f"77.1.1.{number}"), SOURCE)
    for _ in range(3):
        book.mark_attempt(address(30).id)
    clock.now_ns += HOUR_NS
    book.add(address(1000, "77.1.2.1"), SOURCE)
    assert address(30).id not in book
    assert address(1000).id in book
    check(book)


def test_good_addresses_move_to_the_old_and_back_when_there_are_too_many() -> None:
    clock = Clock()
    book = make(clock=clock)
    for number in range(1, 1200):
        clock.now_ns += 1
        book.add(
            address(number, f"77.1.{number // 250}.{number % 250}"),
            address(number, f"{11 + number % 80}.{number // 80}.3.3"),
        )
        book.mark_good(address(number).id)
    assert 0 < book.old_count <= 4 * BUCKET_ENTRIES  # one group reaches four old buckets
    assert len(book) > book.old_count  # the oldest went back
    check(book)
    assert not book.add(next(e.address for e in book._entries.values() if e.is_old), SOURCE)


def test_more_sources_give_more_buckets_but_four_at_most() -> None:
    book = make()
    for source in range(2000):
        book.add(address(1), address(source + 10_000, f"{11 + source % 80}.{source // 80}.1.1"))
    entry = book.get(address(1).id)
    assert entry is not None
    assert len(entry.buckets) == 4
    check(book)


def test_picking_follows_the_bias() -> None:
    book = make()
    for number in range(1, 201):
        book.add(address(number), address(number + 500))
        if number <= 100:
            book.mark_good(address(number).id)
    for bias, low, high in ((0, 0, 0), (50, 350, 650), (100, 1000, 1000)):
        picked = [book.pick(bias) for _ in range(1000)]
        new = sum(not entry.is_old for a in picked if a is not None and (entry := book.get(a.id)) is not None)
        assert low <= new <= high, bias
    assert make().pick(50) is None


def test_banned_addresses_are_neither_picked_nor_told() -> None:
    book = make()
    book.add(address(1), SOURCE)
    book.is_banned = lambda peer_id: True
    assert book.pick(50) is None
    assert book.selection() == []
    book.is_banned = lambda peer_id: False
    assert book.selection() == [address(1)]


@pytest.mark.parametrize(("size", "told"), [(0, 0), (5, 5), (32, 32), (100, 32), (500, 115), (2000, 250)])
def test_an_answer_has_a_size(size: int, told: int) -> None:
    book = make()
    number = 0
    while len(book) < size:
        number += 1
        book.add(address(number), address(number + 100_000, f"{11 + number % 80}.{number % 240}.3.3"))
    selection = book.selection()
    assert len(selection) == told == len(set(selection))
    assert len(book.selection(new_percent=30)) == told


def test_the_file_survives_and_is_cometbfts(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "addrbook.json"
    book = make(path, clock=clock)
    for number in range(1, 301):
        book.add(address(number), address(number + 500))
    book.add(address(999, "2607:f8b0::1"), SOURCE)
    book.mark_attempt(address(7).id)
    book.mark_good(address(9).id)
    book.pins["1.2.3.4:5"] = address(9).id
    book.write(book.snapshot(bans={address(8).id: START_NS + 1}))
    assert path.stat().st_mode & 0o777 == 0o600
    document = json.loads(path.read_text())
    row = next(row for row in document["addrs"] if row["addr"]["id"] == address(9).id)
    assert row["addr"] == {"id": address(9).id, "ip": address(9).host, "port": 26656}
    assert (row["bucket_type"], row["attempts"], row["last_success"]) == (2, 0, "2023-11-14T22:13:20Z")
    assert row["last_ban_time"] == "0001-01-01T00:00:00Z"
    assert len(document["key"]) == 24
    again = make(path, clock=clock)
    again.load()
    check(again)
    assert again._entries == book._entries
    assert (again.pins, again.bans) == (book.pins, {address(8).id: START_NS + 1})
    assert again._new_bucket(address(1), SOURCE) == book._new_bucket(address(1), SOURCE)


def test_times_of_a_clock_that_was_ahead_are_of_now(tmp_path: Path) -> None:
    """Else nothing of then could be evicted for decades."""
    clock, path = Clock(), tmp_path / "addrbook.json"
    book = make(path, clock=clock)
    book.add(address(1), SOURCE)
    clock.now_ns += 20 * 366 * 86_400 * 10**9
    for _ in range(10):
        book.mark_attempt(address(1).id)
    book.write(book.snapshot(bans={}))
    clock.now_ns -= 20 * 366 * 86_400 * 10**9
    (entry,) = book._entries.values()
    assert entry.is_bad(clock.now_ns)
    again = make(path, clock=clock)
    again.load()
    (entry,) = again._entries.values()
    assert entry.last_attempt_ns == clock.now_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"key": "k"}',
        '{"key": "k", "addrs": [{}]}',
        '{"key": "k", "addrs": [{"addr": {"id": "x", "ip": "1.1.1.1", "port": 1}}]}',
        '{"key": "k", "addrs": null, "bans": {"%s": Infinity}}' % ("a" * 40),
        '{"key":' * 20_000,  # SDK 2024-012: a node that was given such a book did not start
    ],
)
def test_a_broken_file_is_set_aside(tmp_path: Path, text: str) -> None:
    path = tmp_path / "addrbook.json"
    path.write_text(text)
    book = make(path)
    book.load()
    assert len(book) == 0
    assert (tmp_path / "addrbook.broken").read_text() == text
    book.write(book.snapshot(bans={}))
    make(path).load()


def test_a_save_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "addrbook.json"
    book = make(path)
    book.write(book.snapshot(bans={}))
    before = path.read_text()
    book.add(address(1), SOURCE)

    def full(document: Any, file: Any, indent: str) -> None:
        file.write("{")
        raise OSError("no space left on device")

    monkeypatch.setattr("consensus.p2p.addrbook.json.dump", full)
    with pytest.raises(OSError, match="no space"):
        book.write(book.snapshot(bans={}))
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("0001-01-01T00:00:00Z", 0),
        ("2023-11-14T22:13:20Z", START_NS),
        ("2023-11-14T22:13:20.000000001Z", START_NS + 1),
        ("2023-11-15T00:13:20.5+02:00", START_NS + 500_000_000),
    ],
)
def test_times_of_the_file(text: str, time_ns: int) -> None:
    assert _read_time(text) == time_ns
    if text.endswith("Z"):
        assert _write_time(time_ns) == text


def test_addresses_in_the_file_may_be_ipv6() -> None:
    book = make()
    assert book.add(parse_address(f"{1:040x}@[2607:f8b0::1]:5"), SOURCE)
