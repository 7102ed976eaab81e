"""Gossip of transactions between real pools over a network in memory; time is the test's."""

from __future__ import annotations

import random

import pytest

from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionMessage, decode, encode
from consensus.channels.peer_messages import MEMPOOL_CHANNEL, decode_txs, encode_txs
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.reactor import BATCH_BYTES, TXS_PER_MESSAGE_MAX
from consensus.p2p.conn.base import PeerFault
from crypto.hash import sha256
from tests.support.gossip.network import FakePeer
from tests.support.mempool.pool import PayingApp, ok
from tests.support.mempool.reactor import OURS, STOCK, TxMesh, mesh, some_txs

__all__ = ["mesh"]


async def test_in_a_full_mesh_a_transaction_travels_once_to_each_node(mesh: TxMesh) -> None:
    """Failure 2: announce, pull, target redundancy; design section 5: at most 1.2 copies."""
    mesh.add(4)
    mesh.network.full_mesh()
    for node in range(4):
        await mesh.submit(node, some_txs(50, f"n{node}"))
    await mesh.advance(0.1)
    assert mesh.sizes() == [200] * 4
    assert mesh.copies_per_tx(200) == 1.0
    # 12 messages of neighbours as the links came up, and nothing announced
    assert sum(node.reactor.metrics.announced for node in mesh.nodes) == 0


async def test_a_batch_goes_in_few_messages(mesh: TxMesh) -> None:
    mesh.add(4)
    mesh.network.full_mesh()
    await mesh.submit(0, some_txs(1_000))
    await mesh.advance(0.1)
    assert mesh.sizes() == [1_000] * 4
    assert mesh.network.carried[MEMPOOL_CHANNEL] == 3


async def test_a_lone_transaction_goes_at_once_and_a_flow_of_them_in_a_message_each_20_ms(mesh: TxMesh) -> None:
    mesh.add(2)
    mesh.link(0, 1)
    sent = [0]
    for number in range(41):  # one each millisecond
        await mesh.submit(0, some_txs(1, f"n{number}"))
        await mesh.advance(0.001)
        sent.append(mesh.network.carried[MEMPOOL_CHANNEL])
    assert [at for at in range(1, 42) if sent[at] > sent[at - 1]] == [6, 26]  # a millisecond on the way
    await mesh.advance(0.1)
    assert mesh.sizes() == [41, 41]
    before = mesh.network.carried[MEMPOOL_CHANNEL]
    await mesh.submit(0, some_txs(1, "alone"))
    await mesh.advance(0.006)
    assert mesh.network.carried[MEMPOOL_CHANNEL] == before + 1


async def test_along_a_line_hashes_are_announced_and_bodies_fetched_once(mesh: TxMesh) -> None:
    mesh.add(5)
    for index in range(4):
        mesh.link(index, index + 1)
    await mesh.submit(0, some_txs(20))
    await mesh.advance(0.2)
    assert mesh.sizes() == [20] * 5
    assert mesh.copies_per_tx(20) == 1.0


@pytest.mark.parametrize("seed", range(4))
async def test_in_a_sparse_random_network_copies_stay_below_the_target(mesh: TxMesh, seed: int) -> None:
    mesh.add(12)
    chooser = random.Random(seed)
    pairs = {(index, (index + 1) % 12) for index in range(12)}
    pairs |= {tuple(sorted(chooser.sample(range(12), 2))) for _ in range(14)}  # type: ignore[misc]
    for first, second in sorted({(min(pair), max(pair)) for pair in pairs}):
        mesh.link(first, second)
    for node in range(12):
        await mesh.submit(node, some_txs(10, f"n{node}"))
    await mesh.advance(3)
    assert mesh.sizes() == [120] * 12
    assert mesh.copies_per_tx(120) <= 1.2


async def test_large_transactions_are_announced_first(mesh: TxMesh) -> None:
    mesh.add(2)
    mesh.link(0, 1)
    await mesh.submit(0, [b"big:0:fill=" + b"x" * 20_000, b"small:0"])
    await mesh.advance(0.1)
    assert mesh.sizes() == [2, 2]
    assert mesh.nodes[0].reactor.metrics.announced == 1


async def test_who_connects_later_hears_of_all_that_waits(mesh: TxMesh) -> None:
    mesh.add(2)
    mesh.add(1, ours=False)
    await mesh.submit(0, some_txs(30))
    mesh.link(0, 1)
    mesh.link(0, 2)
    await mesh.advance(0.1)
    assert mesh.sizes() == [30, 30, 30]
    assert mesh.nodes[0].reactor.metrics.announced == 30  # to ours; the stock peer got bodies
    assert mesh.nodes[1].reactor.metrics.duplicates == 0


async def test_a_stock_peer_gets_and_gives_bodies(mesh: TxMesh) -> None:
    mesh.add(3)
    mesh.add(1, ours=False)
    mesh.network.full_mesh()
    await mesh.submit(3, some_txs(5, "stock"))
    await mesh.submit(0, some_txs(5, "ours"))
    await mesh.advance(1)
    assert mesh.sizes() == [10] * 4
    # what is ours is relayed to the stock peer by those who did not make it only after a wait: never again here
    assert mesh.nodes[3].reactor.metrics.received <= 5 * 3


async def test_an_announcer_that_stays_silent_is_replaced_by_the_next(mesh: TxMesh) -> None:
    mesh.add(1)
    node, clock = mesh.nodes[0], mesh.clock
    liar, honest = FakePeer("a" * 40, OURS), FakePeer("b" * 40, OURS)
    for peer in (liar, honest):
        node.extension.add_peer(peer)
        node.reactor.add_peer(peer)
    tx = b"s:0"
    announcement = encode(ExtensionMessage(have_txs=(sha256(tx),)))
    for peer in (liar, honest):
        peer.take()
        node.extension.receive(EXTENSION_CHANNEL, peer, announcement)
    assert [decode(message).want_txs for message in liar.take(EXTENSION_CHANNEL)] == [(sha256(tx),)]
    assert honest.take(EXTENSION_CHANNEL) == []
    clock.advance(0.6)
    assert [decode(message).want_txs for message in honest.take(EXTENSION_CHANNEL)] == [(sha256(tx),)]
    node.reactor.receive(MEMPOOL_CHANNEL, honest, encode_txs([tx]))
    await mesh.advance(0.6)
    assert mesh.sizes() == [1]
    assert node.reactor.metrics.want_timeouts == 1


async def test_an_announcer_that_leaves_is_replaced_at_once(mesh: TxMesh) -> None:
    mesh.add(1)
    node = mesh.nodes[0]
    peers = [FakePeer(letter * 40, OURS) for letter in "ab"]
    for peer in peers:
        node.extension.add_peer(peer)
        node.reactor.add_peer(peer)
        node.extension.receive(EXTENSION_CHANNEL, peer, encode(ExtensionMessage(have_txs=(bytes(32),))))
    peers[1].take()
    node.reactor.remove_peer(peers[0], "gone")
    assert [decode(message).want_txs for message in peers[1].take(EXTENSION_CHANNEL)] == [(bytes(32),)]
    node.reactor.remove_peer(peers[1], "gone")
    assert len(node.reactor.wants) == 0


async def test_nothing_is_asked_for_that_finds_no_room(mesh: TxMesh) -> None:
    mesh.add(1, config=PoolConfig(txs_max=10))
    node = mesh.nodes[0]
    peer = FakePeer("a" * 40, OURS)
    node.extension.add_peer(peer)
    node.reactor.add_peer(peer)
    peer.take()
    hashes = tuple(sha256(b"%d" % number) for number in range(30))
    node.extension.receive(EXTENSION_CHANNEL, peer, encode(ExtensionMessage(have_txs=hashes)))
    assert [len(decode(message).want_txs) for message in peer.take(EXTENSION_CHANNEL)] == [7]  # its share
    await mesh.submit(0, some_txs(10))
    node.reactor.receive(MEMPOOL_CHANNEL, peer, encode_txs([b"late:0"]))
    assert node.reactor.metrics.dropped_full == 1


async def test_a_slow_peers_queue_is_filled_again_when_it_has_room(mesh: TxMesh) -> None:
    mesh.add(1)
    node = mesh.nodes[0]
    peer = FakePeer("a" * 40, STOCK, room=1)
    node.reactor.add_peer(peer)
    big = [b"b%d:0:fill=" % index + b"x" * 16_000 for index in range(12)]
    await mesh.submit(0, big)
    await mesh.advance(0.1)
    got: list[bytes] = []
    while messages := peer.take():
        assert len(messages) == 1
        assert len(messages[0]) <= BATCH_BYTES + 100
        got += decode_txs(messages[0], bytes_max=10**6)
        node.reactor.writable(MEMPOOL_CHANNEL, peer)
    assert got == big


async def test_a_message_of_tiny_transactions_is_bounded_by_their_number_too(mesh: TxMesh) -> None:
    """audit 10: 16,384 of a few bytes held the loop for 60 to 77 ms."""
    mesh.add(1, config=PoolConfig(wait_ms_max=0))
    node = mesh.nodes[0]
    tiny = some_txs(1_100)
    with pytest.raises(PeerFault, match="1100 transactions in one message"):
        node.reactor.receive(MEMPOOL_CHANNEL, FakePeer("b" * 40, STOCK), encode_txs(tiny))
    assert node.pool.queued == 0
    at_once, later = FakePeer("a" * 40, STOCK), FakePeer("c" * 40, STOCK)
    node.reactor.add_peer(at_once)
    await mesh.submit(0, tiny)
    await mesh.advance(0.1)
    node.reactor.add_peer(later)
    for peer in (at_once, later):  # what goes out keeps to it
        sent = [list(decode_txs(message, bytes_max=10**6)) for message in peer.take()]
        assert [len(txs) for txs in sent] == [1_024, 76]
        assert [tx for txs in sent for tx in txs] == tiny


async def test_what_was_committed_meanwhile_is_not_sent(mesh: TxMesh) -> None:
    mesh.add(1)
    node = mesh.nodes[0]
    peer = FakePeer("a" * 40, OURS)
    node.extension.add_peer(peer)
    node.reactor.add_peer(peer)
    peer.take()
    await mesh.submit(0, [b"s:0"])
    node.pool.update(1, [b"s:0"], ok(1), frozenset())
    await mesh.advance(1)
    assert peer.take() == []


@pytest.mark.parametrize(
    "message", [b"\xff", b"", encode_txs([b""] * (TXS_PER_MESSAGE_MAX + 1)), b"\x12\x00"], ids=range(4)
)
async def test_messages_that_cost_the_peer(mesh: TxMesh, message: bytes) -> None:
    mesh.add(1)
    with pytest.raises(PeerFault):
        mesh.nodes[0].reactor.receive(MEMPOOL_CHANNEL, FakePeer("a" * 40, STOCK), message)


async def test_bad_transactions_cost_nobody_the_connection(mesh: TxMesh) -> None:
    mesh.add(2)
    mesh.link(0, 1)
    link = mesh.nodes[0].host.links[mesh.nodes[1].host.id]
    link.try_send(MEMPOOL_CHANNEL, encode_txs([b"malformed", b"", b"s:5", b"t:0"]))
    await mesh.advance(0.1)
    assert mesh.sizes() == [0, 1]
    assert not mesh.nodes[1].host.dropped


async def test_while_syncing_peers_transactions_are_ignored(mesh: TxMesh) -> None:
    mesh.add(2)
    mesh.nodes[1].reactor.set_receiving(False)
    mesh.link(0, 1)
    await mesh.submit(0, some_txs(3))
    await mesh.advance(1)
    assert mesh.sizes() == [3, 0]
    assert mesh.nodes[1].reactor.metrics.received == 0


@pytest.mark.parametrize("first_hand", [True, False], ids=["pushed", "announced"])
async def test_after_syncing_it_asks_for_what_it_missed(mesh: TxMesh, *, first_hand: bool) -> None:
    """Who sent it once does not again: at a node that never proposes it would wait for ever."""
    mesh.add(2)
    mesh.nodes[1].reactor.set_receiving(False)
    if first_hand:
        mesh.link(0, 1)
    await mesh.submit(0, some_txs(3))
    await mesh.advance(1)
    if not first_hand:
        mesh.link(0, 1)
        await mesh.advance(1)
    assert mesh.sizes() == [3, 0]
    mesh.nodes[1].reactor.set_receiving(True)
    await mesh.advance(0.1)
    assert mesh.sizes() == [3, 3]


async def test_a_replacement_reaches_every_node_and_the_replaced_one_stays_nowhere(mesh: TxMesh) -> None:
    for _ in range(4):
        mesh.add(1, app=PayingApp())
    for first, second in ((0, 1), (1, 2), (2, 3), (3, 0)):
        mesh.link(first, second)
    await mesh.submit(0, [b"a:0:pays=10", b"a:1:pays=10"])
    await mesh.advance(2.0)
    assert mesh.sizes() == [2, 2, 2, 2]
    await mesh.submit(2, [b"a:0:pays=20"])
    await mesh.advance(2.0)
    want = [b"a:0:pays=20", b"a:1:pays=10"]
    assert [[entry.tx for entry in node.pool.entries()] for node in mesh.nodes] == [want] * 4
    await mesh.advance(60.0)  # what waits is offered again, what was replaced is not
    assert [[entry.tx for entry in node.pool.entries()] for node in mesh.nodes] == [want] * 4


async def test_nodes_that_meet_two_of_a_place_in_other_orders_keep_the_same(mesh: TxMesh) -> None:
    for _ in range(4):
        mesh.add(1, app=PayingApp())
    for first, second in ((0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3)):
        mesh.link(first, second)
    await mesh.submit(0, [b"a:0:pays=10"])
    await mesh.submit(2, [b"a:0:pays=20"])
    await mesh.advance(3.0)
    assert [[entry.tx for entry in node.pool.entries()] for node in mesh.nodes] == [[b"a:0:pays=20"]] * 4
