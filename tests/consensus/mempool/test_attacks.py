"""One peer, or a few, that send what keeps others out: shares of the pool, turns in admission, what is remembered.

Everything comes in as from the network, through the reactor's `receive`, to real pools. Work is counted, not timed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.abci.interface import CheckTxRequest, CheckTxResponse, SignatureCheck
from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionMessage, decode, encode
from consensus.channels.peer_messages import MEMPOOL_CHANNEL, decode_txs, encode_txs
from consensus.mempool.admission.entry import Origin, PoolConfig
from consensus.mempool.admission.errors import Refusal
from consensus.mempool.admission.pace import FLOOR_TXS
from consensus.mempool.admission.shares import Shares
from consensus.mempool.reactor import TXS_PER_MESSAGE_MAX
from crypto.hash import sha256
from tests.support.gossip.network import FakePeer
from tests.support.mempool.attacks import ForgeableApp, app, connect, node_of
from tests.support.mempool.pool import IdentifyingApp, SequenceApp, ok
from tests.support.mempool.reactor import OURS, STOCK, TxMesh, TxNode, mesh, some_txs
from tests.support.patience import PATIENCE_S

__all__ = ["mesh", "app"]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - plain data
            await asyncio.sleep(0)


def announce(node: TxNode, peer: FakePeer, keys: Sequence[bytes]) -> None:
    for start in range(0, len(keys), 4_096):
        message = ExtensionMessage(have_txs=tuple(keys[start : start + 4_096]))
        node.extension.receive(EXTENSION_CHANNEL, peer, encode(message))


def asked(peer: FakePeer) -> list[bytes]:
    return [key for message in peer.take(EXTENSION_CHANNEL) for key in decode(message).want_txs]


def forged(tag: str, count: int) -> list[bytes]:
    return [f"{tag}{index}:0:sig=bad".encode() for index in range(count)]


def signed(tag: str, count: int) -> list[bytes]:
    return [f"{tag}{index}:0:sig=good".encode() for index in range(count)]


def send(node: TxNode, peer: FakePeer, txs: list[bytes]) -> None:
    """In as few messages as they fit in."""
    for start in range(0, len(txs), TXS_PER_MESSAGE_MAX):
        node.reactor.receive(MEMPOOL_CHANNEL, peer, encode_txs(txs[start : start + TXS_PER_MESSAGE_MAX]))


# ------------------------------------------------------------------------------------------------ forged ones


async def test_one_peers_forged_transactions_keep_nobody_out(mesh: TxMesh, app: ForgeableApp) -> None:
    """audit 11, cometbft#623: 5,000 bad signatures wait; before, the next 100 submissions heard "mempool is full"."""
    async with node_of(app, mesh) as node:
        liar = connect(node, "a")
        for _ in range(10):
            node.reactor.receive(MEMPOOL_CHANNEL, liar, encode_txs(forged(f"x{_}-", 1_000)))
        submitted = asyncio.gather(*(node.pool.submit(tx) for tx in signed("door", 50)))
        honest = connect(node, "b")
        node.reactor.receive(MEMPOOL_CHANNEL, honest, encode_txs(signed("peer", 50)))
        await mesh.advance(1)
        assert {answer.code for answer in await submitted} == {0}
        assert node.pool.size == 100
        assert sum(liar.useless_by_kind.values()) >= 3_000
        assert not honest.useless_by_kind


async def test_admission_takes_turns_between_sources(mesh: TxMesh, app: ForgeableApp) -> None:
    """audit 11: what an honest source sends is looked at after a bounded number of the others'."""
    async with node_of(app, mesh) as node:
        for letter in "abcde":
            node.reactor.receive(MEMPOOL_CHANNEL, connect(node, letter), encode_txs(forged(letter, 500)))
        done = asyncio.ensure_future(node.pool.submit(b"door:0:sig=good"))
        honest = connect(node, "f")
        node.reactor.receive(MEMPOOL_CHANNEL, honest, encode_txs([b"peer:0:sig=good"]))
        await until(lambda: done.done() and node.pool.get(sha256(b"peer:0:sig=good")) is not None)
        assert app.verified.total() < 1_000


async def test_what_was_found_bad_is_refused_unseen(mesh: TxMesh, app: ForgeableApp) -> None:
    """audit 11: before, each copy of a bad transaction was read, verified and checked again."""
    async with node_of(app, mesh) as node:
        junk = [*forged("x", 200), *(b"malformed %d" % index for index in range(200))]
        peers = [connect(node, letter) for letter in "abc"]
        for peer in peers:
            node.reactor.receive(MEMPOOL_CHANNEL, peer, encode_txs(junk))
            await mesh.advance(0.1)
        assert app.verified.total() == 200
        assert all(sum(peer.useless_by_kind.values()) == 400 for peer in peers)
        announce(node, peers[0], [sha256(tx) for tx in junk])
        assert asked(peers[0]) == []


async def test_what_is_remembered_of_bad_ones_is_bounded(mesh: TxMesh, app: ForgeableApp) -> None:
    async with node_of(app, mesh, seen_max=100) as node:
        node.reactor.receive(MEMPOOL_CHANNEL, connect(node, "a"), encode_txs(forged("x", 1_000)))
        await mesh.advance(1)
        assert sum(node.pool.knows(sha256(tx)) for tx in forged("x", 1_000)) == 100


async def test_a_bad_signature_is_verified_once_and_work_is_charged(mesh: TxMesh, app: ForgeableApp) -> None:
    """cometbft#623: before, what a thread had found bad was verified a second time on the loop."""
    async with node_of(app, mesh) as node:
        liar = connect(node, "a")
        node.reactor.receive(MEMPOOL_CHANNEL, liar, encode_txs(forged("x", 300)))
        await mesh.advance(1)
        assert app.calls == []
        assert set(app.verified.values()) == {1}
        assert liar.cpu_ns >= 300 * 50_000


async def test_work_is_charged_by_what_it_takes_and_not_by_how_busy_the_machine_is(
    mesh: TxMesh, app: ForgeableApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 14, sibling: what came to nothing cost its sender as much as the others who had the core meanwhile."""
    ticks = itertools.count(step=50_000_000)
    monkeypatch.setattr(mesh.clock, "monotonic_ns", lambda: next(ticks))
    monkeypatch.setattr(mesh.clock, "work_ns", lambda: 0)
    async with node_of(app, mesh) as node:
        liar = connect(node, "a")
        node.reactor.receive(MEMPOOL_CHANNEL, liar, encode_txs(forged("x", 64)))
        await until(lambda: app.verified.total() == 64 and not node.pool.queued)
        await until(lambda: liar.cpu_ns)
        assert liar.cpu_ns == 64 * 50_000, "for the signatures alone"


async def test_who_leaves_with_work_undone_pays_for_what_is_done_and_the_rest_is_not(
    mesh: TxMesh, app: ForgeableApp
) -> None:
    """audit 8: junk and an end of the connection in one breath: all of it was verified, charged to nobody."""
    async with node_of(app, mesh) as node:
        liar = connect(node, "a")
        node.reactor.receive(MEMPOOL_CHANNEL, liar, encode_txs(forged("x", 1_000)))
        node.reactor.remove_peer(liar, "left")
        assert app.verified.total() == 0
        await mesh.advance(1)
        assert 0 < app.verified.total() <= 128
        assert liar.cpu_ns >= app.verified.total() * 50_000
        assert node.pool.queued == 0


async def test_a_batch_that_fails_is_charged(mesh: TxMesh, app: ForgeableApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 8: the charge stood behind all that may fail."""
    async with node_of(app, mesh) as node:
        liar = connect(node, "a")

        def fails(checks: Sequence[SignatureCheck]) -> None:
            raise OSError("injected")

        monkeypatch.setattr(node.pool, "_check_slice", lambda *_: fails([]))
        node.reactor.receive(MEMPOOL_CHANNEL, liar, encode_txs([*forged("x", 5), *signed("fine", 1)]))
        await mesh.advance(0.1)
        assert liar.cpu_ns >= 6 * 50_000


async def test_a_copy_by_a_liar_does_not_delay_or_lose_the_honest_ones(mesh: TxMesh, app: ForgeableApp) -> None:
    """audit 11, sibling: the liar sends an honest transaction behind much of its own, then is dropped."""
    async with node_of(app, mesh) as node:
        liar = connect(node, "a")
        fine = signed("fine", 2)
        send(node, liar, [*forged("x", 2_000), *fine])
        honest = connect(node, "b")
        node.reactor.receive(MEMPOOL_CHANNEL, honest, encode_txs(fine[:1]))
        done = asyncio.ensure_future(node.pool.submit(fine[1]))
        await until(lambda: app.verified.total() >= 700)
        node.reactor.remove_peer(liar, "useless")
        assert (await done).code == 0
        await mesh.advance(1)
        assert [node.pool.get(sha256(tx)) is not None for tx in fine] == [True, True]
        assert app.verified.total() < 1_000  # what the liar had sent last was not looked at
        entry = node.pool.get(sha256(fine[1]))
        assert entry is not None
        assert entry.source == ""  # ours: it goes out at once


async def test_forged_copies_of_ones_own_take_none_of_ones_places(mesh: TxMesh, app: ForgeableApp) -> None:
    """audit 11, sibling: per-sender bounds and replay ids count what was verified alone."""
    async with node_of(app, mesh, sender_txs_max=4) as node:
        liar = connect(node, "a")
        junk = [f"victim:{index % 4}:replay=r{index % 4}:n={index}:sig=bad".encode() for index in range(500)]
        node.reactor.receive(MEMPOOL_CHANNEL, liar, encode_txs(junk))
        own = [f"victim:{index}:replay=r{index}:sig=good".encode() for index in range(4)]
        assert [answer.code for answer in await node.pool.submit_many(own)] == [0] * 4


# ------------------------------------------------------------------------------------------------ true, but many


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1_000, 6_000),
    st.integers(1, 8),
    st.lists(st.tuples(st.sampled_from(["door x", "door y", "a", "b", "c"]), st.integers(1, 6_000)), max_size=8),
)
def test_a_newcomer_always_finds_room(txs_max: int, slowness: int, bursts: list[tuple[str, int]]) -> None:
    """audit 11: whatever any sources took before, a peer, a door's client and the node itself may add some."""
    shares, wait_txs_max = Shares(PoolConfig(txs_max=txs_max)), max(FLOOR_TXS, txs_max // slowness)

    def origin(name: str) -> int:
        return Origin.OWN if not name else Origin.DOOR if name.startswith("door") else Origin.PEER

    def may_add(name: str) -> bool:
        return shares.refusal(origin(name), name, 100, wait_txs_max=wait_txs_max) is None

    for name, count in sorted(
        bursts, key=lambda burst: burst[0].startswith("door")
    ):  # a door opens with the next block
        for _ in range(count):
            if not may_add(name):
                break
            shares.add(origin(name), name, 100)
    assert shares.count <= txs_max
    assert [may_add(name) for name in ("d", "door z", "")] == [True] * 3


async def test_a_peer_with_much_to_send_closes_no_door(mesh: TxMesh) -> None:
    """audit 11: before, doors said "busy" as soon as peers had sent what blocks take in two seconds."""
    async with node_of(IdentifyingApp(), mesh) as node:
        send(node, connect(node, "a"), some_txs(5_000, "a"))
        await mesh.advance(1)
        answers = await asyncio.gather(*(node.pool.submit(tx, client="1.2.3.4") for tx in some_txs(100, "d")))
        assert {answer.code for answer in answers} == {0}
        node.reactor.receive(MEMPOOL_CHANNEL, connect(node, "b"), encode_txs(some_txs(100, "b")))
        await mesh.advance(1)
        assert sum(entry.source == "b" * 40 for entry in node.pool.entries()) == 100


async def test_one_client_of_a_door_leaves_room_for_others(mesh: TxMesh) -> None:
    async with node_of(IdentifyingApp(), mesh) as node:
        answers = await node.pool.submit_many(some_txs(3_000, "much"), client="1.1.1.1")
        assert sum(answer.code == 0 for answer in answers) == node.pool.door_txs_max
        assert {answer.code for answer in answers} == {0, Refusal.FULL}
        few = await node.pool.submit_many(some_txs(50, "few"), client="2.2.2.2")
        assert {answer.code for answer in few} == {0}
        own = await node.pool.submit_many(some_txs(50, "own"))
        assert {answer.code for answer in own} == {0}


# ------------------------------------------------------------------------------------------------ announcements


async def test_invented_hashes_keep_no_announcement_out(mesh: TxMesh) -> None:
    """audit 11: before, 5,000 invented hashes took all the room, and honest announcements were not asked for."""
    mesh.add(1)
    node = mesh.nodes[0]
    liar, honest = connect(node, "a"), connect(node, "b")
    for round in range(6):
        announce(node, liar, [sha256(b"%d %d" % (round, index)) for index in range(5_000)])
        fine = some_txs(50, f"r{round}-")
        announce(node, honest, [sha256(tx) for tx in fine])
        assert set(asked(honest)) == {sha256(tx) for tx in fine}
        node.reactor.receive(MEMPOOL_CHANNEL, honest, encode_txs(fine))
        mesh.clock.advance(0.6)
    await mesh.advance(0.1)
    assert node.pool.size == 300
    assert node.reactor.wants.offered("a" * 40) <= 5_000 + 1_024
    liar.take()
    announce(node, liar, [sha256(b"more %d" % index) for index in range(5_000)])
    mesh.clock.advance(0.6)
    assert len(asked(liar)) <= 64  # its window has closed
    assert liar.useless_by_kind.total() > 0
    assert honest.useless_by_kind.total() == 0


async def test_silent_announcers_of_a_true_hash_are_passed_by(mesh: TxMesh) -> None:
    """audit 11, sibling: before, eight were remembered per hash; the honest ninth was not, and never asked."""
    mesh.add(1)
    node = mesh.nodes[0]
    tx = b"s:0"
    liars = [connect(node, letter) for letter in "abcdef012345"]
    for peer in liars:
        announce(node, peer, [sha256(tx)])
    honest = connect(node, "9")
    announce(node, honest, [sha256(tx)])
    for _ in range(20):
        mesh.clock.advance(0.6)
        if sha256(tx) in asked(honest):
            break
    else:
        pytest.fail("the honest one was never asked")
    assert len(node.reactor.wants) == 1


async def test_what_nobody_delivers_is_forgotten(mesh: TxMesh) -> None:
    mesh.add(1)
    node = mesh.nodes[0]
    peers = [connect(node, letter) for letter in "abc"]
    for peer in peers:
        announce(node, peer, [bytes(32)])
    mesh.clock.advance(5)
    assert [asked(peer).count(bytes(32)) for peer in peers] == [1, 1, 1]
    assert len(node.reactor.wants) == 0
    assert [node.reactor.wants.offered(peer.id) for peer in peers] == [0, 0, 0]


class CountedKeys(dict[bytes, None]):
    looks = 0

    def __contains__(self, key: object) -> bool:
        CountedKeys.looks += 1
        return super().__contains__(key)

    def pop(self, key: bytes, *default: None) -> None:  # type: ignore[override]
        CountedKeys.looks += 1
        return super().pop(key, *default)


async def test_many_silent_peers_cost_what_they_were_asked_and_a_turn_each(
    mesh: TxMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """audit 11: what each of forty had been asked for was looked for at each of the others, all in one turn of the
    loop: 90 ms, and twice that with each half more."""
    mesh.add(1)
    node, count, keys_each = mesh.nodes[0], 30, 100
    monkeypatch.setattr(CountedKeys, "looks", 0)
    peers = []
    for number in range(count):
        peer = FakePeer(f"{number:040x}", OURS, room=1_000)
        node.extension.add_peer(peer)
        node.reactor.add_peer(peer)
        node.reactor.wants._peers[peer.id].elsewhere = CountedKeys()
        announce(node, peer, [sha256(b"%d of %d" % (key, number)) for key in range(keys_each)])
        peers.append(peer)
    assert len(node.reactor.wants) == count * keys_each
    silent: list[int] = []
    while node.reactor.wants and mesh.clock.fire_next(mesh.clock.monotonic_ns() + 10**9):
        silent.append(sum(bool(peer.useless_by_kind) for peer in peers))
    assert silent[-1] == count
    assert max(after - before for before, after in zip([0, *silent], silent, strict=False)) == 1
    assert CountedKeys.looks <= 4 * count * keys_each


async def test_a_slow_peer_is_not_taken_for_a_silent_one(mesh: TxMesh) -> None:
    """Whoever delivers, however slowly, is asked no other's and loses no trust."""
    mesh.add(1)
    node = mesh.nodes[0]
    slow, other = connect(node, "a"), connect(node, "b")
    fine = some_txs(20)
    for peer in (slow, other):
        announce(node, peer, [sha256(tx) for tx in fine])
    for tx in fine:
        mesh.clock.advance(0.4)
        node.reactor.receive(MEMPOOL_CHANNEL, slow, encode_txs([tx]))
    assert asked(other) == []
    assert node.reactor.metrics.want_timeouts == 0


async def test_asking_again_and_again_for_a_large_one_is_bounded(mesh: TxMesh) -> None:
    """audit 11, sibling: 36 bytes that make us send a megabyte, as often as one likes."""
    mesh.add(1)
    node = mesh.nodes[0]
    big = b"big:0:fill=" + b"x" * 1_000_000
    await mesh.submit(0, [big])
    await mesh.advance(0.1)
    peer = connect(node, "a")
    for _ in range(100):
        want = ExtensionMessage(want_txs=(sha256(big),) * 50)
        node.extension.receive(EXTENSION_CHANNEL, peer, encode(want))
    assert len(peer.take(MEMPOOL_CHANNEL)) <= 4
    assert peer.useless_by_kind.total() > 90
    mesh.clock.advance(20)
    node.extension.receive(EXTENSION_CHANNEL, peer, encode(ExtensionMessage(want_txs=(sha256(big),))))
    assert len(peer.take(MEMPOOL_CHANNEL)) >= 1  # it may have had no room before


# ------------------------------------------------------------------------------------------------ offered again


class OrderedApp(IdentifyingApp):
    """Tells the order of a sender's transactions, and that one before its time may pass later."""

    def identify_tx(self, tx: bytes) -> CheckTxResponse:
        facts = super().identify_tx(tx)
        if facts.code:
            return facts
        sender, sequence, _ = self.read(tx)
        return CheckTxResponse(sender=sender, lane=facts.lane, order_key=sender, order=sequence)

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        answer = super().check_tx(request)
        sender, sequence, _ = self.read(request.tx)
        if answer.code == 3:
            later = sequence > self.checking.get(sender, 0)
            return CheckTxResponse(code=3, log=answer.log, may_pass_later=later)
        return CheckTxResponse(
            sender=sender, lane=answer.lane, touches=answer.touches, order_key=sender, order=sequence
        )


async def test_small_ones_behind_a_large_one_arrive(mesh: TxMesh) -> None:
    """celestia-core#2497: the large one is fetched, the small ones are pushed and come first."""
    for _ in range(4):
        mesh.add(1, app=OrderedApp())
    mesh.network.full_mesh()
    batch = [b"s:0:fill=" + b"x" * 20_000, *(b"s:%d" % index for index in range(1, 30))]
    await mesh.submit(0, batch)
    await mesh.advance(0.3)
    assert mesh.sizes() == [30] * 4
    for node in mesh.nodes:
        assert [entry.tx for entry in node.pool.entries()] == batch


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(40)), st.integers(1, 4))
def test_any_order_of_arrival_is_mended(order: list[int], peers: int) -> None:
    """celestia-core#2497: whatever overtakes what, by whatever way, all are admitted, in order, with bounded work."""

    async def scenario() -> None:
        mesh, app = TxMesh(), OrderedApp()
        mesh.add(1, app=app)
        node = mesh.nodes[0]
        senders = [connect(node, letter, STOCK) for letter in "abcd"[:peers]]
        for position, index in enumerate(order):
            node.reactor.receive(MEMPOOL_CHANNEL, senders[position % peers], encode_txs([b"s:%d" % index]))
        await mesh.advance(0.1)
        assert [entry.tx for entry in node.pool.entries()] == [b"s:%d" % index for index in range(40)]
        assert len(app.calls) <= 3 * 40
        assert not any(peer.useless_by_kind for peer in senders)
        mesh.close()

    asyncio.run(scenario())


async def test_what_is_before_its_time_is_held_for_some_blocks_and_bounded(mesh: TxMesh) -> None:
    mesh.add(1, app=OrderedApp())
    node = mesh.nodes[0]
    peer = connect(node, "a", STOCK)
    junk = [f"j{index}:7".encode() for index in range(4_000)]
    send(node, peer, junk)
    await mesh.advance(1)
    assert 0 < node.pool.held <= 5_000 // 16
    other = connect(node, "b", STOCK)
    node.reactor.receive(MEMPOOL_CHANNEL, other, encode_txs([b"s:1", b"s:0"]))
    await mesh.advance(0.1)
    assert node.pool.size == 2
    for height in range(1, 30):
        node.pool.update(height, [], [], frozenset())
        await mesh.advance(0.1)
    assert node.pool.held == 0


async def test_what_was_funded_by_the_next_block_passes_then(mesh: TxMesh) -> None:
    """celestia-core#2497, sibling: what is missing may come in a block instead of the mempool."""
    app = OrderedApp()
    mesh.add(1, app=app)
    node = mesh.nodes[0]
    node.reactor.receive(MEMPOOL_CHANNEL, connect(node, "a", STOCK), encode_txs([b"s:1"]))
    await mesh.advance(0.1)
    assert (node.pool.size, node.pool.held) == (0, 1)
    node.pool.update(1, [b"s:0"], ok(1), app.commit([b"s:0"]))
    await mesh.advance(0.1)
    assert (node.pool.size, node.pool.held) == (1, 0)


async def test_what_fails_its_recheck_for_order_alone_comes_back(mesh: TxMesh) -> None:
    """One of a sender's expires; its later ones wait for the one that takes its place."""
    app = OrderedApp()
    mesh.add(1, app=app)
    node = mesh.nodes[0]
    await mesh.submit(0, [b"s:0", b"s:1", b"s:2"])
    app.checking[b"s"] = 0
    node.pool._remove(sha256(b"s:0"))
    node.pool.update(1, [], [], None)
    await mesh.advance(0.1)
    assert (node.pool.size, node.pool.held) == (0, 2)
    await mesh.submit(0, [b"s:0:again=1"])
    await mesh.advance(0.1)
    assert node.pool.size == 3


@pytest.mark.parametrize("ours", [True, False])
async def test_what_found_no_room_is_offered_when_there_is_some(mesh: TxMesh, *, ours: bool) -> None:
    """tendermint#7723: pools full, ten more come in at a full node, then a block empties the validators' pools."""
    mesh.add(3, config=PoolConfig(txs_max=100), ours=ours)
    mesh.add(1, config=PoolConfig(txs_max=5_000))
    mesh.network.full_mesh()
    fill = some_txs(75, "fill")
    await mesh.submit(3, fill)
    await mesh.advance(0.3)
    await mesh.submit(3, some_txs(10, "late"))
    await mesh.advance(2)
    assert all(size < 85 for size in mesh.sizes()[:3])
    for node in mesh.nodes:
        app = node.pool._app
        assert isinstance(app, SequenceApp)
        node.pool.update(1, fill, ok(75), app.commit(fill))
    await mesh.advance(0.2 if ours else 25)
    assert mesh.sizes() == [10] * 4


async def test_what_waits_for_long_is_offered_again_ever_more_rarely(mesh: TxMesh) -> None:
    """tendermint#7723, sibling: a peer that forgot what it was offered hears of it once more."""
    mesh.add(1)
    node = mesh.nodes[0]
    ours, stock = connect(node, "a"), connect(node, "b", STOCK)
    await mesh.submit(0, some_txs(3))
    await mesh.advance(1)
    assert len(ours.take()) == len(stock.take()) == 1
    await mesh.advance(1_000)
    announced = [len(decode(message).have_txs) for message in ours.take(EXTENSION_CHANNEL)]
    sent = [len(decode_txs(message, bytes_max=10**6)) for message in stock.take(MEMPOOL_CHANNEL)]
    assert announced == sent
    assert 5 <= len(announced) <= 10
    assert set(announced) == {3}


# ------------------------------------------------------------------------------------------------ faults of ours


class BrittleApp(IdentifyingApp):
    def identify_tx(self, tx: bytes) -> CheckTxResponse:
        if b"raise=read" in tx:
            raise ZeroDivisionError("injected")
        return super().identify_tx(tx)

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        if b"raise=check" in request.tx:
            raise ZeroDivisionError("injected")
        return super().check_tx(request)


@pytest.mark.parametrize("where", ["read", "check"])
async def test_a_transaction_that_breaks_us_ends_no_admission(mesh: TxMesh, where: str) -> None:
    """audit 6: before, the mempool's loop ended with it, and nothing was admitted any more."""
    async with node_of(BrittleApp(), mesh) as node:
        told: list[Exception] = []
        node.pool.on_failure(told.append)
        poison = f"p:0:raise={where}".encode()
        async with asyncio.timeout(10):
            assert (await node.pool.submit(poison)).code == Refusal.FAILED
            assert (await node.pool.submit(b"s:0")).code == 0
        peer = connect(node, "a")
        for _ in range(5):
            node.reactor.receive(MEMPOOL_CHANNEL, peer, encode_txs([poison]))
            await mesh.advance(0.1)
        assert 1 <= len(told) <= 2  # the copies are refused unseen until the next block
        assert not peer.useless_by_kind  # it is our fault
        assert node.pool.metrics.failed == len(told)
        assert (await node.pool.submit(b"s:1")).code == 0


# ------------------------------------------------------------------------------------------------ more of the kind


async def test_those_who_fill_a_lane_do_not_close_it_to_others(mesh: TxMesh) -> None:
    """audit 11, sibling: a lane's bound is not one source's to use up."""
    mesh.add(1, app=IdentifyingApp(), config=PoolConfig(txs_max=1_000, wait_ms_max=0, lanes=("chat", "currency")))
    node = mesh.nodes[0]
    for letter in "abc":
        node.reactor.receive(MEMPOOL_CHANNEL, connect(node, letter), encode_txs(some_txs(1_000, letter)))
        await mesh.advance(0.2)
    full = node.pool.size
    assert full > 600
    assert (await node.pool.submit(b"late:0", client="1.2.3.4")).code == 0
    node.reactor.receive(MEMPOOL_CHANNEL, connect(node, "d"), encode_txs(some_txs(5, "late")))
    await mesh.advance(0.2)
    assert node.pool.size == full + 6


async def test_who_waits_for_a_dropped_one_is_told(mesh: TxMesh) -> None:
    """Before, a client that waited for the commit of what had expired waited for its whole time-out."""
    app = SequenceApp()
    mesh.add(1, app=app)
    node = mesh.nodes[0]
    told: dict[bytes, int] = {}
    node.pool.on_dropped(lambda key, why: told.update({key: why.code}))
    await mesh.submit(0, [b"a:0:expiry=2", b"b:0", b"c:0"])
    node.pool.update(1, [b"c:0"], ok(1), app.commit([b"c:0"]))
    app.committed[b"b"] = app.checking[b"b"] = 7
    node.pool.update(2, [], [], None)
    await mesh.advance(0.1)
    assert told == {sha256(b"a:0:expiry=2"): Refusal.EXPIRED, sha256(b"b:0"): 3}


async def test_who_waits_for_one_that_fits_no_block_any_more_is_told(mesh: TxMesh) -> None:
    """audit 17: governance lowers a block's limit: what left the pool for it was dropped without a word."""
    mesh.add(1, app=SequenceApp())
    node = mesh.nodes[0]
    told: dict[bytes, int] = {}
    node.pool.on_dropped(lambda key, why: told.update({key: why.code}))
    node.pool.set_block_limits(data_bytes_max=1_000, gas_max=100)
    large = b"a:0:fill=" + b"x" * 300
    await mesh.submit(0, [large, b"b:0:gas=50", b"c:0"])
    node.pool.set_block_limits(data_bytes_max=200, gas_max=20)
    assert told == {sha256(large): Refusal.TOO_LARGE, sha256(b"b:0:gas=50"): Refusal.TOO_LARGE}
    assert node.pool.size == 1


async def test_honest_traffic_is_not_charged(mesh: TxMesh, app: ForgeableApp) -> None:
    """What is admitted pays for itself; copies and lost races cost nobody the connection."""
    async with node_of(app, mesh) as node:
        peers = [connect(node, letter, STOCK) for letter in "abc"]
        fine = signed("fine", 900)
        for height in range(1, 4):
            batch = fine[300 * (height - 1) : 300 * height]
            for peer in peers:  # as CometBFT's gossip does
                node.reactor.receive(MEMPOOL_CHANNEL, peer, encode_txs(batch))
                await mesh.advance(0.1)
            node.pool.update(height, batch, ok(300), app.commit(batch))
            for peer in peers:
                node.reactor.receive(MEMPOOL_CHANNEL, peer, encode_txs(batch[:50]))
            await mesh.advance(0.1)
        assert [(peer.cpu_ns, peer.useless_by_kind.total()) for peer in peers] == [(0, 0)] * 3
        assert set(app.verified.values()) == {1}
