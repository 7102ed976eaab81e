"""Who the neighbours are, on channel 0x70: what strangers who come and go may cost all others."""

from __future__ import annotations

from consensus.channels.extension import (
    EXTENSION_CHANNEL,
    TELL_BURST,
    TELL_EVERY_NS,
    ExtensionReactor,
    decode,
)
from consensus.formats.units import NS_PER_S
from tests.support.gossip.network import FakePeer, ManualClock

CHANNELS = frozenset({EXTENSION_CHANNEL})


def some(count: int, first: int = 0) -> list[FakePeer]:
    return [FakePeer(f"{first + number:040x}", CHANNELS) for number in range(count)]


def last_list(peer: FakePeer) -> frozenset[str] | None:
    """Of what it was sent since the last look; None: nothing."""
    told = [decode(message).neighbours for message in peer.take()]
    return told[-1] if told else None


def test_the_first_peers_are_told_at_once() -> None:
    reactor = ExtensionReactor(ManualClock())
    peers = some(TELL_BURST)
    for peer in peers:
        reactor.add_peer(peer)
    for peer in peers:
        assert last_list(peer) == {other.id for other in peers} - {peer.id}


def test_strangers_that_come_and_go_cost_each_peer_a_few_lists_a_second() -> None:
    """audit 8: each connection and each end of one was a list for every peer: 60 x 60 a second, charged to nobody."""
    clock = ManualClock()
    reactor = ExtensionReactor(clock)
    peers = some(20)
    for peer in peers:
        reactor.add_peer(peer)
    clock.advance(10)
    before = sum(peer.count_sent.total() for peer in peers)
    seconds, per_second = 10, 60
    stays = []
    for number in range(seconds * per_second):
        (stranger,) = some(1, first=1_000 + number)
        reactor.add_peer(stranger)
        if number % 2:
            reactor.remove_peer(stranger, "left")
        else:
            stays.append(stranger)
        clock.advance(1 / per_second)
    lists = sum(peer.count_sent.total() for peer in peers) - before
    assert lists <= len(peers) * (seconds * NS_PER_S // TELL_EVERY_NS + TELL_BURST + 1)
    clock.advance(1)
    ids = {peer.id for peer in [*peers, *stays]}
    assert all(last_list(peer) == ids - {peer.id} for peer in [*peers, stays[-1]]), "and in the end all know all"


def test_who_was_told_the_same_is_not_told_again() -> None:
    clock = ManualClock()
    reactor = ExtensionReactor(clock)
    first, second = some(2)
    for peer in (first, second):
        reactor.add_peer(peer)
    clock.advance(60)
    for _ in range(TELL_BURST):
        reactor.add_peer(passing := some(1, first=9)[0])
        reactor.remove_peer(passing, "left")
    assert last_list(first) == {second.id}
    sent = first.count_sent.total()
    reactor.add_peer(passing)
    reactor.remove_peer(passing, "left")
    clock.advance(1)
    assert first.count_sent.total() == sent
    reactor.stop()


def test_a_full_queue_is_told_when_it_has_room() -> None:
    clock = ManualClock()
    reactor = ExtensionReactor(clock)
    full, other = some(2)
    full.room = 0
    for peer in (full, other):
        reactor.add_peer(peer)
    assert last_list(full) is None
    full.room = 10
    reactor.writable(EXTENSION_CHANNEL, full)
    assert last_list(full) == {other.id}
