"""Consensus gossip: how often things travel, how those who are behind catch up, and what liars achieve."""

from __future__ import annotations

import pytest

from consensus.channels import peer_messages as m
from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionMessage, HasPart, HasVotes, encode
from consensus.core.events import Step, VoteKind
from consensus.formats.bits import BitArray
from consensus.p2p.conn.base import PeerFault
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.parts import PART_BYTES, PartSet
from consensus.types.vote import Proposal, Vote
from tests.support.gossip.fakes import ConsensusMesh
from tests.support.gossip.network import FakePeer

STOCK = frozenset({0x20, 0x21, 0x22, 0x23})
OURS = STOCK | {EXTENSION_CHANNEL}
SOME_ID = BlockID(b"h" * 32, PartSetHeader(1, b"p" * 32))


@pytest.mark.parametrize("parts", [1, 9])
def test_in_a_full_mesh_of_four_parts_and_votes_travel_once(parts: int) -> None:
    """Failure 1; design section 5: at most 1.2 copies received per part."""
    mesh = ConsensusMesh(block_bytes=parts * PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(20)
    heights, others = 20, 3
    assert mesh.total("parts_received") == heights * parts * others
    assert mesh.total("parts_duplicate") == 0
    votes_needed = heights * 2 * 4 * others
    assert mesh.total("votes_received") <= votes_needed * 1.05
    assert mesh.total("proposals_received") == heights * others
    assert mesh.total("parts_relayed") == 0


def test_across_the_world_votes_and_parts_still_travel_once() -> None:
    """Where a peer's word of what it holds took longer than a vote was kept back, everybody sent it to everybody."""
    mesh = ConsensusMesh(10, block_bytes=3 * PART_BYTES)
    mesh.network.way_ns = lambda source, target: 200_000 + 18 * 10**6 * abs(int(source, 16) - int(target, 16))
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(5)
    assert mesh.total("votes_received") <= 5 * 2 * 10 * 9 * 1.05
    assert mesh.total("parts_duplicate") <= 0.05 * mesh.total("parts_received")


def test_copies_of_when_distances_were_unknown_do_not_ask_for_more_announcements_later() -> None:
    """A hundred validators told each other 19 times a block what they hold, for fifty heights after they began."""
    mesh = ConsensusMesh(16, block_bytes=3 * PART_BYTES)
    mesh.network.way_ns = lambda source, target: 200_000 + 30 * 10**6 * abs(int(source, 16) - int(target, 16))
    mesh.network.full_mesh()
    links = [link for host in mesh.network.hosts.values() for link in host.links.values()]
    known = [link.round_trip_s for link in links]
    for link in links:
        link.round_trip_s = 0.0
    mesh.start()
    mesh.run_to(6)
    assert mesh.total("votes_duplicate") > 6 * 9 * 16 * 15, "without distances everybody sends everything"
    for link, round_trip_s in zip(links, known, strict=True):
        link.round_trip_s = round_trip_s
    mesh.run_to(11)  # all went by them when these heights began
    copies, told = mesh.total("votes_duplicate"), mesh.total("announcements_sent")
    mesh.run_to(21)
    assert mesh.total("votes_duplicate") - copies <= 0.05 * 10 * 2 * 16 * 15
    assert mesh.total("announcements_sent") - told <= 10 * 16 * 15 * 5, "five a peer and height"


def test_what_a_height_costs_in_messages() -> None:
    """Two votes to each of three peers, a step, the proposal's share: the budget of --fast is 25 ms of CPU a block."""
    mesh = ConsensusMesh()
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(5)
    before = sum(mesh.network.carried.values())
    mesh.run_to(25)
    per_node_and_height = (sum(mesh.network.carried.values()) - before) / 20 / 4
    assert per_node_and_height <= 13


def test_parts_go_to_different_peers_in_different_order() -> None:
    mesh = ConsensusMesh(block_bytes=8 * PART_BYTES)
    node = mesh.nodes[1]  # the proposer of height 1
    peers = [FakePeer(letter * 40, OURS, room=3) for letter in "abcd"]
    for peer in peers:
        node.extension.add_peer(peer)
        node.reactor.add_peer(peer)
    node.driver.begin(1)
    node.reactor.start()
    firsts = []
    for peer in peers:
        peer.sent.clear()
        node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
        parts = [m.decode_consensus(message) for message in peer.take(0x21)]
        firsts.append(next(part.part.index for part in parts if isinstance(part, m.BlockPart)))
    assert len(set(firsts)) == 4


@pytest.mark.parametrize("seed", range(3))
def test_in_a_sparse_network_everything_arrives_and_rarely_twice(seed: int) -> None:
    import random

    mesh = ConsensusMesh(10, block_bytes=3 * PART_BYTES)
    chooser = random.Random(seed)
    pairs = {(index, index + 1) for index in range(9)} | {(0, 9)}
    while len(pairs) < 20:
        first, second = sorted(chooser.sample(range(10), 2))
        pairs.add((first, second))
    for first, second in sorted(pairs):
        mesh.link(first, second)
    mesh.start()
    mesh.run_to(3)  # who sent a copy is told sooner from then on
    before = mesh.total("parts_received")
    mesh.run_to(13)
    assert mesh.total("parts_received") - before <= 1.2 * 10 * 3 * 9 + 27  # of the last height some may be on their way


@pytest.mark.parametrize("ours", [0, 1, 3])
def test_with_stock_peers_heights_are_decided(ours: int) -> None:
    mesh = ConsensusMesh(ours=ours, block_bytes=2 * PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(5)
    # relays wait 5 to 20 ms, which is longer than a height takes here
    assert mesh.total("parts_duplicate") == 0


@pytest.mark.parametrize("what", ["parts", "votes"])
def test_what_travels_between_unlike_nodes_is_counted_by_itself(what: str) -> None:
    mesh = ConsensusMesh(ours=2, block_bytes=2 * PART_BYTES)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(8)
    told = [node.reactor.metrics for node in mesh.nodes]

    def shares(way: str) -> list[float]:
        return [getattr(one, f"{what}_{way}_unlike") / getattr(one, f"{what}_{way}") for one in told]

    for way in ("received", "sent"):
        ours, stock = shares(way)[:2], shares(way)[2:]
        assert all(0.5 < share < 0.8 for share in ours), "from and to two of three"
        assert stock == [1.0, 1.0], "who lacks our channel takes nobody for one of us"


def test_a_peer_that_connects_during_a_height_gets_all_it_lacks() -> None:
    mesh = ConsensusMesh()
    for first, second in ((0, 1), (0, 2), (1, 2)):
        mesh.link(first, second)
    mesh.nodes[2].driver.paused = True
    mesh.start()
    mesh.clock.advance(1)
    assert mesh.nodes[0].height == 1
    assert mesh.nodes[3].driver.round_state.proposal is None
    mesh.link(0, 3)
    mesh.run_to(1)


@pytest.mark.parametrize("ours", [4, 0])
def test_a_node_that_was_away_catches_up_by_heights_without_help(ours: int) -> None:
    mesh = ConsensusMesh(ours=ours, block_bytes=2 * PART_BYTES)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        mesh.link(first, second)
    mesh.vals = mesh.vals
    for node in mesh.nodes[:3]:
        node.driver.vals = mesh.vals
    mesh.start(0, 1, 2)
    # three of four decide; node 3 would propose at height 3, so another height's proposer must not be it
    mesh.run_to(2, nodes=(0, 1, 2))
    assert mesh.nodes[3].height == 0
    for node in mesh.nodes[:3]:
        mesh.network.connect(node.host.id, mesh.nodes[3].host.id)
    mesh.start(3)
    mesh.run_to(6, seconds=30)
    assert mesh.total("catch_up_votes_sent") > 0


@pytest.mark.parametrize("ours", [2, 0])
def test_one_old_height_costs_a_commit_and_its_parts(ours: int) -> None:
    """A node far behind is served commit, then parts as it asks for them; then the next height."""
    mesh = ConsensusMesh(2, ours=ours, block_bytes=3 * PART_BYTES)
    ahead, behind = mesh.nodes
    full, solo = mesh.vals, ConsensusMesh(1).vals
    # the first alone is the whole set: it decides by itself
    for node in mesh.nodes:
        node.driver.vals = solo
    behind.driver.index = 5  # an observer
    behind.driver.paused = True
    ahead.driver.heights_max = 30
    ahead.driver.begin(1)
    ahead.reactor.start()
    assert ahead.height == 31
    mesh.link(0, 1)
    behind.driver.begin(1)
    behind.reactor.start()
    mesh.clock.advance(30)
    assert behind.height == 31
    assert len(full) == 2
    assert ahead.reactor.metrics.catch_up_votes_sent <= 31
    assert ahead.reactor.metrics.catch_up_parts_sent == 30 * 3
    assert behind.reactor.metrics.parts_duplicate == 0


def test_a_node_behind_by_rounds_gets_the_votes_of_its_round_and_of_ours() -> None:
    mesh = ConsensusMesh(2)
    node, other = mesh.nodes
    for each in mesh.nodes:
        each.driver.paused = True
    mesh.start()
    for round in range(3):
        node.driver.enter(round, Step.PREVOTE)
        node.driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
        node.driver.enter(round, Step.PRECOMMIT)
        node.driver.vote(VoteKind.PRECOMMIT, NIL_BLOCK_ID)
    mesh.link(0, 1)
    mesh.clock.advance(0.1)
    held = [
        (kind, round)
        for round in range(3)
        for kind in VoteKind
        if other.driver.round_state.votes(kind, round) is not None
    ]
    assert held == [(kind, round) for round in (0, 2) for kind in VoteKind]


def test_a_stock_peer_behind_by_rounds_gets_its_own_rounds_votes() -> None:
    mesh = ConsensusMesh(1)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    node.driver.paused = True
    mesh.start()
    for round in range(3):
        node.driver.enter(round, Step.PREVOTE)
        node.driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
    node.reactor.add_peer(peer)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 1, 3, 0, -1).encode())
    sent = [m.decode_consensus(message) for message in peer.take(0x22)]
    assert [message.vote.round for message in sent if isinstance(message, m.VoteMessage)] == [1]


def test_a_polka_goes_with_a_proposal_that_names_it() -> None:
    mesh = ConsensusMesh(1)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    node.driver.paused = True
    mesh.start()
    node.driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
    node.driver.enter(1, Step.PROPOSE)
    node.driver.add_proposal(Proposal(1, 1, 0, SOME_ID, 0, b"s"), "")
    node.reactor.add_peer(peer)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 1, 3, 0, -1).encode())
    sent = [m.decode_consensus(message) for message in peer.take(0x21)]
    assert [type(message) for message in sent] == [m.ProposalMessage, m.ProposalPol]
    votes = [m.decode_consensus(message) for message in peer.take(0x22)]
    assert [message.vote.round for message in votes if isinstance(message, m.VoteMessage)] == [0]


def test_late_precommits_reach_a_peer_in_the_next_height() -> None:
    mesh = ConsensusMesh()
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(3)
    mesh.clock.advance(1)
    for node in mesh.nodes:
        last = node.driver.round_state.last_commit
        assert last is not None
        assert last.is_full


@pytest.mark.parametrize(
    ("channels", "step", "is_sent"),
    [(OURS, 1, True), (OURS, 2, True), (OURS, 3, False), (STOCK, 1, True), (STOCK, 2, False)],
)
def test_the_last_precommits_go_to_who_came_while_a_height_waited_to_begin(
    channels: frozenset[int], step: int, is_sent: bool
) -> None:
    """Who takes over from another process is new to all, and one of ours still counts them then."""
    mesh = ConsensusMesh(2)
    mesh.network.full_mesh()
    node, peer = mesh.nodes[0], FakePeer("a" * 40, channels)
    mesh.start()
    mesh.run_to(1)
    node.extension.add_peer(peer)
    node.reactor.add_peer(peer)
    node.reactor.receive(0x20, peer, m.NewRoundStep(2, 0, step, 0, 0).encode())
    sent = [m.decode_consensus(message) for message in peer.take(0x22)]
    assert {one.vote.height for one in sent if isinstance(one, m.VoteMessage)} == ({1} if is_sent else set())


def test_a_message_that_was_lost_is_asked_for_after_a_stall() -> None:
    """The inbox was full as parts and votes came: peers believe that they arrived."""
    mesh = ConsensusMesh(block_bytes=3 * PART_BYTES)
    mesh.network.full_mesh()
    mesh.nodes[3].driver.inbox_room = 0
    mesh.nodes[2].driver.paused = True
    mesh.start()
    mesh.clock.advance(1)
    assert mesh.nodes[3].reactor.metrics.inbox_full > 0
    mesh.nodes[3].driver.inbox_room = 1_000
    mesh.run_to(1, seconds=20)


def test_a_full_queue_is_filled_again_when_it_has_room() -> None:
    mesh = ConsensusMesh(block_bytes=7 * PART_BYTES)
    node, peer = mesh.nodes[1], FakePeer("a" * 40, STOCK, room=2)
    node.reactor.add_peer(peer)
    mesh.start(1)
    peer.sent.clear()
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    got: list[int] = []
    while messages := peer.take():
        for message in map(m.decode_consensus, messages):
            if isinstance(message, m.BlockPart):
                got.append(message.part.index)
        node.reactor.writable(0x21, peer)
    assert sorted(got) == list(range(7))


# ---------------------------------------------------------------------------------------------- stock protocol


def _node_with_peer(channels: frozenset[int] = STOCK, *, active: bool = True):  # type: ignore[no-untyped-def]
    mesh = ConsensusMesh(4)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, channels)
    node.driver.paused = True
    if active:
        mesh.start(0)
        mesh.clock.advance(0.001)
    node.extension.add_peer(peer)
    node.reactor.add_peer(peer)
    return mesh, node, peer


def _decoded(peer: FakePeer, channel: int) -> list[m.ConsensusMessage]:
    return [m.decode_consensus(message) for message in peer.take(channel)]


def test_a_step_is_said_on_connect_and_at_each_change() -> None:
    mesh, node, peer = _node_with_peer()
    assert _decoded(peer, 0x20) == [m.NewRoundStep(1, 0, 3, node.reactor._step_message().seconds_since_start_time, -1)]
    node.driver.enter(0, Step.PREVOTE)
    mesh.clock.advance(0.001)
    assert [message.step for message in _decoded(peer, 0x20) if isinstance(message, m.NewRoundStep)] == [4]


def test_has_vote_is_said_to_stock_peers_and_not_to_ours() -> None:
    for channels, want in ((STOCK, 1), (OURS, 0)):
        _, node, peer = _node_with_peer(channels)
        node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
        peer.take()
        node.driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
        assert len([message for message in _decoded(peer, 0x20) if isinstance(message, m.HasVote)]) == want


def test_a_claimed_majority_is_answered_with_our_votes_for_it() -> None:
    _, node, peer = _node_with_peer()
    node.driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
    node.reactor.receive(0x20, peer, m.VoteSetMaj23(1, 0, VoteKind.PREVOTE, NIL_BLOCK_ID).encode())
    node.reactor.receive(0x20, peer, m.VoteSetMaj23(1, 0, VoteKind.PRECOMMIT, SOME_ID).encode())
    assert _decoded(peer, 0x23) == [
        m.VoteSetBits(1, 0, VoteKind.PREVOTE, NIL_BLOCK_ID, BitArray(4, 1)),
        m.VoteSetBits(1, 0, VoteKind.PRECOMMIT, SOME_ID, BitArray(0)),
    ]
    assert node.driver.claims == [
        (VoteKind.PREVOTE, 1, 0, None, peer.id),
        (VoteKind.PRECOMMIT, 1, 0, SOME_ID, peer.id),
    ]


def test_vote_set_bits_make_us_send_what_the_peer_lacks_after_all() -> None:
    _, node, peer = _node_with_peer()
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 4, 0, -1).encode())
    node.driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
    assert len(_decoded(peer, 0x22)) == 1
    node.reactor.writable(0x22, peer)
    assert _decoded(peer, 0x22) == []
    answer = m.VoteSetBits(1, 0, VoteKind.PREVOTE, NIL_BLOCK_ID, BitArray(4, 0))
    node.reactor.receive(0x23, peer, answer.encode())
    assert len(_decoded(peer, 0x22)) == 1


def test_vote_set_bits_of_an_old_height_make_us_send_its_commit_after_all() -> None:
    """The peer holds another vote of an equivocator, whose vote for the block its commit needs."""
    mesh = ConsensusMesh(1)
    node, peer = mesh.nodes[0], FakePeer("a" * 40, STOCK)
    node.driver.heights_max = 3
    mesh.start(0)
    assert node.height == 4
    node.extension.add_peer(peer)
    node.reactor.add_peer(peer)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 6, 0, -1).encode())
    node.reactor.receive(0x20, peer, m.HasVote(1, 0, VoteKind.PRECOMMIT, 0).encode())
    mesh.clock.advance(1)
    assert _decoded(peer, 0x22) == []
    answer = m.VoteSetBits(1, 0, VoteKind.PRECOMMIT, node.driver.blocks.saved[1][0], BitArray(1, 0))
    node.reactor.receive(0x23, peer, answer.encode())
    mesh.clock.advance(1)
    assert [(message.vote.height, message.vote.type) for message in _decoded(peer, 0x22)] == [(1, 2)]  # type: ignore[union-attr]


def test_majorities_are_claimed_when_a_height_stalls() -> None:
    mesh = ConsensusMesh(4)
    mesh.network.full_mesh()
    mesh.nodes[0].driver.paused = mesh.nodes[1].driver.paused = True  # no precommit majority
    mesh.start()
    for node in mesh.nodes[:2]:
        node.driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
    mesh.nodes[2].driver.vote(VoteKind.PREVOTE, NIL_BLOCK_ID)
    mesh.clock.advance(5)
    assert (VoteKind.PREVOTE, 1, 0, None, mesh.nodes[0].host.id) in mesh.nodes[3].driver.claims


def test_new_valid_block_replaces_what_we_believe_of_a_peers_parts() -> None:
    mesh = ConsensusMesh(4, block_bytes=3 * PART_BYTES)
    node, peer = mesh.nodes[1], FakePeer("a" * 40, STOCK)
    node.reactor.add_peer(peer)
    mesh.start(1)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    peer.take()
    parts = node.driver.round_state.parts
    assert parts is not None
    lost = m.NewValidBlock(1, 0, parts.header, BitArray(3, 0b101), False)
    node.reactor.receive(0x20, peer, lost.encode())
    sent = _decoded(peer, 0x21)
    assert [message.part.index for message in sent if isinstance(message, m.BlockPart)] == [1]


# -------------------------------------------------------------------------------------------------------- liars


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        pytest.param(0x20, b"\xff", id="no protobuf"),
        pytest.param(0x20, m.NewRoundStep(1, 0, 3, 0, 0).encode(), id="last commit round at the initial height"),
        pytest.param(
            0x21,
            m.ProposalMessage(
                Proposal(1, 0, -1, BlockID(b"h" * 32, PartSetHeader(1_602, b"p" * 32)), 0, b"s")
            ).encode(),
            id="a proposal of more parts than any block has",
        ),
        pytest.param(0x22, m.VoteMessage(Vote(1, 1, 0, SOME_ID, 0, b"a" * 19, 0, b"s")).encode(), id="bad vote"),
    ],
)
def test_what_costs_the_peer(channel: int, message: bytes) -> None:
    _, node, peer = _node_with_peer()
    with pytest.raises(PeerFault):
        node.reactor.receive(channel, peer, message)


def test_two_majorities_for_one_set_cost_the_peer() -> None:
    _, node, peer = _node_with_peer()
    node.reactor.receive(0x20, peer, m.VoteSetMaj23(1, 0, VoteKind.PREVOTE, SOME_ID).encode())
    node.reactor.receive(0x20, peer, m.VoteSetMaj23(1, 0, VoteKind.PREVOTE, SOME_ID).encode())
    with pytest.raises(PeerFault, match="two majorities"):
        node.reactor.receive(0x20, peer, m.VoteSetMaj23(1, 0, VoteKind.PREVOTE, NIL_BLOCK_ID).encode())


def test_a_known_message_on_the_wrong_channel_is_ignored() -> None:
    _, node, peer = _node_with_peer()
    vote = Vote(1, 1, 0, SOME_ID, 0, b"a" * 20, 1, b"s")
    node.reactor.receive(0x20, peer, m.VoteMessage(vote).encode())
    assert node.driver.round_state.votes(VoteKind.PREVOTE, 0) is None


def test_while_syncing_only_steps_are_heard() -> None:
    _, node, peer = _node_with_peer(active=False)
    assert peer.take() == []
    node.reactor.receive(0x20, peer, m.NewRoundStep(7, 0, 3, 0, 0).encode())
    node.reactor.receive(0x22, peer, b"\xff")  # not even decoded
    assert node.reactor.peer_heights == {peer.id: (7, 0, 3)}


def test_what_a_peer_writes_cannot_make_us_remember_without_bound() -> None:
    """ASA-2024-011 and its kin: an index or a round is a number that a peer wrote."""
    _, node, peer = _node_with_peer(OURS)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 3, 0, -1).encode())
    state = node.reactor._peers[peer.id]
    node.reactor.receive(0x20, peer, m.HasVote(1, 0, VoteKind.PREVOTE, 2**31 - 1).encode())
    for round in range(2_000):
        node.reactor.receive(0x20, peer, m.HasVote(1, round, VoteKind.PREVOTE, 9_999).encode())
        node.reactor.receive(0x20, peer, m.HasVote(round + 3, 0, VoteKind.PREVOTE, 0).encode())
        header = PartSetHeader(1, round.to_bytes(32, "big"))
        announcement = ExtensionMessage(
            has_parts=(HasPart(1, round, header, 1),), has_votes=(HasVotes(1, round, VoteKind.PRECOMMIT, 1),)
        )
        node.reactor.receive_extension(peer, announcement)
        node.extension.receive(EXTENSION_CHANNEL, peer, encode(announcement))
    assert len(state._votes) <= 128
    assert len(state._masks) <= 8
    assert all(mask.bit_length() <= 10_000 for mask in state._votes.values())


def test_a_peer_that_goes_back_in_height_is_not_believed() -> None:
    """ASA-2025-001: a peer lowers its height."""
    _, node, peer = _node_with_peer()
    node.reactor.receive(0x20, peer, m.NewRoundStep(9, 2, 3, 0, 0).encode())
    node.reactor.receive(0x20, peer, m.NewRoundStep(9, 1, 8, 0, 0).encode())
    node.reactor.receive(0x20, peer, m.NewRoundStep(3, 0, 3, 0, 0).encode())
    assert node.reactor.peer_heights == {peer.id: (9, 2, 3)}


def test_a_byzantine_proposer_that_serves_one_peer_does_not_keep_the_block_from_the_others() -> None:
    """The others wait for the proposer, their common neighbour, and then help each other."""
    mesh = ConsensusMesh(4, block_bytes=2 * PART_BYTES)
    mesh.network.full_mesh()
    liar, victim = mesh.nodes[1], mesh.nodes[0]
    mesh.start(0, 2, 3)
    block = PartSet.from_bytes(b"z" * PART_BYTES * 2)
    block_id = BlockID(b"h" * 32, block.header)
    link = liar.host.links[victim.host.id]
    link.try_send(0x21, m.ProposalMessage(Proposal(1, 0, -1, block_id, 0, b"s")).encode())
    for index in range(2):
        part = block.get(index)
        assert part is not None
        link.try_send(0x21, m.BlockPart(1, 0, part).encode())
    mesh.run_to(1, nodes=(0, 2, 3), seconds=2)


def test_stopping_leaves_no_timer() -> None:
    mesh = ConsensusMesh(4)
    mesh.network.full_mesh()
    mesh.start()
    mesh.run_to(2)
    for node in mesh.nodes:
        node.reactor.stop()
    mesh.clock.advance(10)
    assert mesh.clock.next_due_ns() is None


def test_two_votes_for_one_slot_both_go_on_their_way() -> None:
    """A key that runs twice: its own vote goes out at once, though a peer sent the other one before."""
    mesh = ConsensusMesh()
    node = mesh.nodes[0]
    peers = [FakePeer(letter * 40, OURS) for letter in "ab"]
    for peer in peers:
        node.extension.add_peer(peer)
        node.reactor.add_peer(peer)
    node.driver.begin(1)
    node.reactor.start()
    for peer in peers:
        node.reactor.receive(0x20, peer, m.NewRoundStep(1, 0, 4, 0, -1).encode())
        peer.take()
    other = Vote(VoteKind.PREVOTE, 1, 0, NIL_BLOCK_ID, 5, mesh.vals[0].address, 0, b"of the twin")
    add_vote, waiting = node.driver.add_vote, []
    node.driver.add_vote = lambda vote, peer_id, first=True: waiting.append(vote)  # type: ignore[method-assign]  # in the inbox
    node.reactor.receive(0x22, peers[0], m.VoteMessage(other).encode())
    node.driver.add_vote = add_vote  # type: ignore[method-assign]
    assert waiting == [other]
    node.driver.vote(VoteKind.PREVOTE, SOME_ID)
    sent = [m.decode_consensus(message) for message in peers[1].take(0x22)]
    assert [message.vote.block_id for message in sent if isinstance(message, m.VoteMessage)] == [SOME_ID]


def test_who_forgot_the_part_that_it_sent_gets_it_back() -> None:
    """audit 5: a proposer that forgot its block of rounds ago, which the others had locked, was never sent it again."""
    mesh = ConsensusMesh()
    node, peer = mesh.nodes[0], FakePeer("a" * 40, OURS)
    node.driver.paused = True
    node.driver.begin(1)
    node.extension.add_peer(peer)
    node.reactor.add_peer(peer)
    node.reactor.start()
    parts = PartSet.from_bytes(b"block")
    part, block_id = parts.get(0), BlockID(b"h" * 32, parts.header)
    assert part is not None
    for message in (
        m.NewRoundStep(1, 0, 3, 0, -1),
        m.ProposalMessage(Proposal(1, 0, -1, block_id, 0, b"s" * 64)),
        m.BlockPart(1, 0, part),
    ):
        node.reactor.receive(m.CHANNEL_OF[type(message)], peer, message.encode())
    assert node.driver.round_state.parts is not None
    assert node.driver.round_state.parts.is_complete
    mesh.clock.advance(1)
    assert not [one for one in peer.take(0x21) if isinstance(m.decode_consensus(one), m.BlockPart)]
    node.driver.round_state.proposals[9] = Proposal(1, 9, 0, block_id, 0, b"s" * 64)
    node.driver.enter(9, Step.PROPOSE)
    node.reactor.receive(0x20, peer, m.NewRoundStep(1, 9, 3, 0, -1).encode())
    node.reactor.receive(0x20, peer, m.NewValidBlock(1, 9, parts.header, BitArray(1), False).encode())
    mesh.clock.advance(1)
    sent = [m.decode_consensus(one) for one in peer.take(0x21)]
    assert [one.part for one in sent if isinstance(one, m.BlockPart)] == [part]
