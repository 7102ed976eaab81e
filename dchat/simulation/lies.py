"""What a liar says: nonsense that anybody can send, and what a validator's key makes possible.

Each lie is drawn anew; the judge writes its name down, so that a failing run shows what was said before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from consensus.channels.extension import ExtensionMessage, HasPart, HasVotes, encode
from consensus.channels.peer_messages import (
    BLOCK_SYNC_CHANNEL,
    DATA_CHANNEL,
    EVIDENCE_CHANNEL,
    MEMPOOL_CHANNEL,
    STATE_CHANNEL,
    VOTE_CHANNEL,
    VOTE_SET_BITS_CHANNEL,
    BlockPart,
    BlockRequest,
    BlockResponse,
    HasVote,
    NewRoundStep,
    NewValidBlock,
    NoBlockResponse,
    ProposalMessage,
    ProposalPol,
    StatusRequest,
    StatusResponse,
    VoteMessage,
    VoteSetBits,
    VoteSetMaj23,
    encode_txs,
)
from consensus.core.events import VoteKind
from consensus.formats.bits import BitArray
from consensus.formats.errors import InvalidData
from consensus.formats.timestamps import TIME_NS_MAX, ZERO_TIME_NS
from consensus.formats.units import NS_PER_MS, NS_PER_S
from consensus.p2p.conn.base import Peer
from consensus.state.validation import make_block
from consensus.types.block import Block, Commit
from consensus.types.evidence import DuplicateVoteEvidence, encode_evidence_list
from consensus.types.ids import NIL_BLOCK_ID, BlockID, PartSetHeader
from consensus.types.parts import PART_BYTES, PARTS_MAX, Part, PartSet
from consensus.types.vote import PRECOMMIT, PREVOTE, Proposal, Vote
from crypto.keys import Ed25519PrivKey, PrivKey
from dchat.simulation.liar import Liar, View

EXTENSION_CHANNEL = 0x70
FAR_HEIGHTS = (0, 1, 2**31 - 1, 2**62, 2**63 - 1)
FAR_ROUNDS = (0, 1, 2**30, 2**31 - 1)
STRANGER = Ed25519PrivKey.from_seed(b"a stranger's key".ljust(32, b"."))
MANY = 30  # messages of one burst


def lie(liar: Liar) -> None:
    """Say one thing, or some that belong together."""
    view = liar.look()
    if view is not None and liar.key is not None and liar.key.pub_key.address in view.state.validators:
        if _propose(liar, view):
            return
        if liar.is_rival:
            _spoil_round(liar, view)
            return
        name, act = liar.rng.choices(WITH_STAKE, (4, 3, 3, 2, 2, 3))[0]
        if name:
            liar.judge.lied(f"{liar.name} lied: {name}")
            act(liar, view)
            return
    name, nonsense = liar.rng.choice(WITHOUT_STAKE)
    liar.judge.lied(f"{liar.name} lied: {name}")
    nonsense(liar, view)


def _bytes(liar: Liar, size: int = 32) -> bytes:
    return liar.rng.randbytes(size)


def _header(liar: Liar) -> PartSetHeader:
    return PartSetHeader(liar.rng.choice((1, 2, 16, PARTS_MAX)), _bytes(liar))


def _block_id(liar: Liar, view: View | None) -> BlockID:
    """Some block, or one that shares a half with a true one."""
    known = [] if view is None else list(view.rounds.blocks)
    if not known or liar.rng.random() < 0.3:
        return BlockID(_bytes(liar), _header(liar))
    true = liar.rng.choice(known)
    kind = liar.rng.randrange(3)
    if kind == 0:
        return BlockID(_bytes(liar), true.part_set_header)
    return BlockID(true.hash, _header(liar)) if kind == 1 else true


def _where(liar: Liar, view: View | None) -> tuple[int, int]:
    """A height and round: near ones mostly."""
    rng = liar.rng
    if view is None or rng.random() < 0.15:
        return rng.choice(FAR_HEIGHTS), rng.choice(FAR_ROUNDS)
    rounds = view.rounds
    return rounds.height + rng.choice((-1, 0, 0, 0, 1)), max(0, rounds.round + rng.choice((-1, 0, 0, 1, 2)))


def _time_ns(liar: Liar) -> int:
    """A time from the format's whole range; the limits often."""
    now_ns, hour_ns = liar.now_ns(), 3_600 * NS_PER_S
    return liar.rng.choice(
        (
            now_ns, now_ns + hour_ns, now_ns - hour_ns, 0, 1, ZERO_TIME_NS, ZERO_TIME_NS + 1,
            TIME_NS_MAX, TIME_NS_MAX - 1, TIME_NS_MAX - NS_PER_MS + 1, TIME_NS_MAX - NS_PER_S, TIME_NS_MAX - hour_ns,
        )
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- without stake


def _repeat(liar: Liar, view: View | None) -> None:
    """What others said, again, elsewhere, cut, or with a bit turned."""
    rng = liar.rng
    if not liar.heard:
        return
    for _ in range(rng.choice((1, 3, MANY))):
        channel, message = rng.choice(liar.heard)
        kind = rng.randrange(4)
        if kind == 1:
            message = message[: rng.randint(0, len(message))]
        elif kind == 2 and message:
            at = rng.randrange(len(message))
            message = message[:at] + bytes([message[at] ^ 1 << rng.randrange(8)]) + message[at + 1 :]
        elif kind == 3 and rng.random() < 0.3:
            channel = rng.choice(liar.heard)[0]
        liar.tell(channel, message)


def _noise(liar: Liar, view: View | None) -> None:
    channels = (STATE_CHANNEL, DATA_CHANNEL, VOTE_CHANNEL, MEMPOOL_CHANNEL, EVIDENCE_CHANNEL, BLOCK_SYNC_CHANNEL, 0x70)
    liar.tell(liar.rng.choice(channels), _bytes(liar, liar.rng.choice((0, 1, 40, 3_000))))


def _boast(liar: Liar, view: View | None) -> None:
    """It is far ahead, and serves every block."""
    rng = liar.rng
    height, round = rng.choice(FAR_HEIGHTS[1:]), rng.choice(FAR_ROUNDS)
    liar.tell(STATE_CHANNEL, NewRoundStep(height, round, rng.randint(1, 8), rng.randint(-9, 9), 0).encode())
    liar.tell(BLOCK_SYNC_CHANNEL, StatusResponse(height, rng.choice((0, 1, height))).encode())


def _follow(liar: Liar, view: View | None) -> None:
    """It is where the others are, or a little off, so that they push to it."""
    height, round = _where(liar, view)
    last = -1 if height <= 1 else liar.rng.randrange(3)
    step = NewRoundStep(max(1, height), round, liar.rng.randint(1, 8), liar.rng.randint(-2, 9), last)
    liar.tell(STATE_CHANNEL, step.encode())


def _holdings(liar: Liar, view: View | None) -> None:
    """It holds, or lacks, what it says."""
    rng = liar.rng
    height, round = _where(liar, view)
    kind = rng.choice((VoteKind.PREVOTE, VoteKind.PRECOMMIT))
    header, index = _header(liar), rng.choice((0, 1, 3, 9_999, 2**31 - 1))
    block_id = rng.choice((_block_id(liar, view), NIL_BLOCK_ID))
    mask = rng.choice((0, 1, 15, (1 << 64) - 1))
    bits = BitArray(64, mask)
    exact = rng.random() < 0.5
    parts = BitArray(header.total, mask & (1 << header.total) - 1)
    near = max(1, height)
    channel, message = rng.choice(
        (
            (STATE_CHANNEL, HasVote(height, round, kind, index).encode()),
            (STATE_CHANNEL, NewValidBlock(height, round, header, parts, exact).encode()),
            (STATE_CHANNEL, VoteSetMaj23(height, round, kind, block_id).encode()),
            (VOTE_SET_BITS_CHANNEL, VoteSetBits(height, round, kind, block_id, bits).encode()),
            (DATA_CHANNEL, ProposalPol(height, round, bits).encode()),
            (EXTENSION_CHANNEL, encode(ExtensionMessage(has_votes=(HasVotes(near, round, kind, mask, exact),)))),
            (EXTENSION_CHANNEL, encode(ExtensionMessage(has_parts=(HasPart(near, round, header, 1, exact),)))),
            (EXTENSION_CHANNEL, encode(ExtensionMessage(neighbours=frozenset(_bytes(liar, 20).hex() for _ in "abc")))),
        )
    )
    liar.tell(channel, message)


def _claims(liar: Liar, view: View | None) -> None:
    """Majorities for ids that share a half with true ones."""
    if view is None:
        return
    for peer in liar.some_peers():
        for kind in VoteKind:
            claim = VoteSetMaj23(view.rounds.height, view.rounds.round, kind, _block_id(liar, view))
            liar.send(peer, STATE_CHANNEL, claim.encode())


def _parts(liar: Liar, view: View | None) -> None:
    """Of no block; or of a true one, at another place."""
    rng = liar.rng
    height, round = _where(liar, view)
    true = [] if view is None else [parts for parts in view.rounds.part_sets.values() if parts.is_complete]
    parts = PartSet.from_bytes(_bytes(liar, rng.choice((100, PART_BYTES + 1))))
    if true and rng.random() < 0.5:
        parts = rng.choice(true)
    for part in _all_parts(parts):
        liar.tell(DATA_CHANNEL, BlockPart(height, round, part).encode())


def _all_parts(parts: PartSet) -> Iterator[Part]:
    return (part for index in range(parts.total) if (part := parts.get(index)) is not None)


def _strange_votes(liar: Liar, view: View | None) -> None:
    """By nobody, by a validator who did not sign, at an index that is not there."""
    rng = liar.rng
    height, round = _where(liar, view)
    address, index = STRANGER.pub_key.address, rng.choice((0, 1, 99))
    if view is not None and rng.random() < 0.7:
        index = rng.randrange(len(view.state.validators))
        address = view.state.validators[index].address
    for _ in range(rng.choice((1, MANY))):
        block_id = rng.choice((NIL_BLOCK_ID, _block_id(liar, view)))
        vote = Vote(rng.choice((PREVOTE, PRECOMMIT)), max(1, height), round, block_id, _time_ns(liar), address, index)
        liar.tell(VOTE_CHANNEL, VoteMessage(_signed(liar, STRANGER, vote)).encode())


def _signed(liar: Liar, key: PrivKey, vote: Vote) -> Vote:
    return vote.signed(key.sign(vote.sign_bytes(liar.chain_id)))


def _junk_txs(liar: Liar, view: View | None) -> None:
    rng = liar.rng
    hashes = tuple(_bytes(liar) for _ in range(rng.choice((1, MANY))))
    liar.tell(MEMPOOL_CHANNEL, encode_txs([_bytes(liar, rng.choice((1, 200))) for _ in range(rng.choice((1, MANY)))]))
    liar.tell(EXTENSION_CHANNEL, encode(ExtensionMessage(have_txs=hashes)))
    liar.tell(EXTENSION_CHANNEL, encode(ExtensionMessage(want_txs=hashes)))


def _false_evidence(liar: Liar, view: View | None) -> None:
    """Of votes that nobody signed, at heights that are there or not."""
    rng = liar.rng
    height, round = _where(liar, view)
    key = STRANGER if liar.key is None or rng.random() < 0.5 else liar.key
    votes = [
        _signed(liar, key, Vote(PREVOTE, max(1, height), round, id, _time_ns(liar), key.pub_key.address, 0))
        for id in (NIL_BLOCK_ID, BlockID(_bytes(liar), _header(liar)))
    ]
    if view is not None and rng.random() < 0.5:
        innocent = view.state.validators[rng.randrange(len(view.state.validators))].address
        votes = [replace(vote, validator_address=innocent) for vote in votes]
    item = DuplicateVoteEvidence(votes[0], votes[1], rng.choice((1, 40, 2**62)), 10, _time_ns(liar))
    liar.tell(EVIDENCE_CHANNEL, encode_evidence_list([item]))


def _blocks(liar: Liar, view: View | None) -> None:
    """Asks for any height, and sends blocks that nobody asked for."""
    rng = liar.rng
    height = rng.choice((*FAR_HEIGHTS, *range(1, 1 + (view.executor.blocks.height if view else 0))))
    liar.tell(BLOCK_SYNC_CHANNEL, *(BlockRequest(height).encode() for _ in range(rng.choice((1, MANY)))))
    data = None if view is None else view.executor.blocks.load_block_bytes(height)
    liar.tell(
        BLOCK_SYNC_CHANNEL,
        rng.choice((StatusRequest().encode(), NoBlockResponse(height).encode(), BlockResponse(data or b"x").encode())),
    )


WITHOUT_STAKE: Sequence[tuple[str, Callable[[Liar, View | None], None]]] = (
    ("repeated", _repeat),
    ("noise", _noise),
    ("boasted", _boast),
    ("followed", _follow),
    ("holdings", _holdings),
    ("claims", _claims),
    ("parts", _parts),
    ("strange votes", _strange_votes),
    ("junk transactions", _junk_txs),
    ("false evidence", _false_evidence),
    ("blocks", _blocks),
)


# --------------------------------------------------------------------------------------------------- with stake


def _own_vote(liar: Liar, view: View, kind: int, height: int, round: int, block_id: BlockID) -> bytes:
    assert liar.key is not None
    validators = view.state.validators
    if height < view.rounds.height and liar.key.pub_key.address in view.state.last_validators:
        validators = view.state.last_validators
    index = validators.index_of(liar.key.pub_key.address)
    assert index is not None
    vote = Vote(kind, height, round, block_id, _time_ns(liar), liar.key.pub_key.address, index)
    return VoteMessage(_signed(liar, liar.key, vote)).encode()


def _vote_along(liar: Liar, view: View) -> None:
    """For what is proposed, at an odd time; to all, so that it counts."""
    proposal = view.rounds.proposal
    block_id = NIL_BLOCK_ID if proposal is None else proposal.block_id
    for kind in (PREVOTE, PRECOMMIT):
        message = _own_vote(liar, view, kind, view.rounds.height, view.rounds.round, block_id)
        for peer in liar.peers:
            liar.send(peer, VOTE_CHANNEL, message)


def _conflicting_votes(liar: Liar, view: View) -> None:
    rng = liar.rng
    round = max(0, view.rounds.round + rng.choice((-1, 0, 0, 0, 1, 2)))
    kind = rng.choice((PREVOTE, PRECOMMIT))
    for _ in range(rng.choice((2, 2, MANY))):
        block_id = rng.choice((NIL_BLOCK_ID, _block_id(liar, view)))
        liar.tell(VOTE_CHANNEL, _own_vote(liar, view, kind, view.rounds.height, round, block_id))


def _far_votes(liar: Liar, view: View) -> None:
    """Of other heights and rounds: the last height's, the next one's, far ones."""
    height, round = _where(liar, view)
    kind = liar.rng.choice((PREVOTE, PRECOMMIT))
    block_id = liar.rng.choice((NIL_BLOCK_ID, _block_id(liar, view), view.state.last_block_id))
    if not (block_id.is_zero or block_id.is_complete):
        block_id = NIL_BLOCK_ID
    liar.tell(VOTE_CHANNEL, _own_vote(liar, view, kind, max(1, height), round, block_id))


def _same_vote_twice(liar: Liar, view: View) -> None:
    """One vote with two times, so two signatures."""
    proposal = view.rounds.proposal
    block_id = NIL_BLOCK_ID if proposal is None else proposal.block_id
    for peer in liar.peers:
        liar.send(peer, VOTE_CHANNEL, _own_vote(liar, view, PRECOMMIT, view.rounds.height, view.rounds.round, block_id))


def _nothing(liar: Liar, view: View) -> None:
    """As one without stake."""


def _spoil_round(liar: Liar, view: View) -> None:
    """A prevote for what is proposed, a precommit for nil: where somebody is away there is a polka and no decision.

    With it comes a claim, so that our other precommit can count later.
    """
    proposal, rounds = view.rounds.proposal, view.rounds
    if proposal is None:
        return
    height, round, value = rounds.height, rounds.round, proposal.block_id
    claim = VoteSetMaj23(height, round, VoteKind.PRECOMMIT, value).encode()
    votes = [
        _own_vote(liar, view, kind, height, round, voted)
        for kind, voted in ((PREVOTE, value), (PRECOMMIT, NIL_BLOCK_ID))
    ]
    for peer in liar.peers:
        for message in votes:
            liar.send(peer, VOTE_CHANNEL, message)
        liar.send(peer, STATE_CHANNEL, claim)


WITH_STAKE: Sequence[tuple[str, Callable[[Liar, View], None]]] = (
    ("voted along", _vote_along),
    ("conflicting votes", _conflicting_votes),
    ("far votes", _far_votes),
    ("one vote twice", _same_vote_twice),
    ("a spoilt round", _spoil_round),
    ("", _nothing),
)


# ---------------------------------------------------------------------------------------------------- proposals


def _propose(liar: Liar, view: View) -> bool:
    """Where it is our turn, or soon: say something, once a round."""
    assert liar.key is not None
    rounds = view.rounds
    if rounds.height != view.state.next_height:
        return False
    for round in (rounds.round,) if liar.is_rival else (rounds.round, rounds.round + 1):
        if (rounds.height, round) in liar.proposed:
            continue
        if view.state.validators.proposer_of(round).address != liar.key.pub_key.address:
            continue
        liar.proposed.add((rounds.height, round))
        name, proposal = liar.rng.choice(PROPOSALS)
        if liar.is_rival or (round and liar.rng.random() < 0.5):
            name, proposal = "a rival of the last round's block", _rival
        liar.judge.lied(f"{liar.name} proposed at {rounds.height}/{round}: {name}")
        with suppress(InvalidData):  # what cannot even be encoded
            proposal(liar, view, round)
        return True
    return False


def _block(liar: Liar, view: View, txs: Sequence[bytes] = ()) -> Block:
    """A valid one, if the transactions are."""
    assert liar.key is not None
    last = view.rounds.last_commit
    commit = Commit() if last is None else last.commit(view.state.last_block_height)
    return make_block(
        view.state, txs=tuple(txs), last_commit=commit, evidence=(), proposer_address=liar.key.pub_key.address
    )


def _say(
    liar: Liar, view: View, round: int, block_id: BlockID, parts: PartSet, peers: Sequence[Peer], *,
    pol_round: int = -1, votes: bool = True, parts_first: bool = False,
) -> None:  # fmt: skip
    """A proposal, its parts, and our votes for it."""
    assert liar.key is not None
    height = view.rounds.height
    unsigned = Proposal(height, round, pol_round, block_id, _time_ns(liar))
    proposal = ProposalMessage(unsigned.signed(liar.key.sign(unsigned.sign_bytes(liar.chain_id)))).encode()
    pieces = [BlockPart(height, round, part).encode() for part in _all_parts(parts)]
    said = [*pieces, proposal] if parts_first else [proposal, *pieces]
    for peer in peers:
        for message in said:
            liar.send(peer, DATA_CHANNEL, message)
        for kind in (PREVOTE, PRECOMMIT) if votes else ():
            liar.send(peer, VOTE_CHANNEL, _own_vote(liar, view, kind, height, round, block_id))


def _split(liar: Liar) -> tuple[list[Peer], list[Peer]]:
    peers = liar.rng.sample(list(liar.peers), len(liar.peers))
    at = liar.rng.randint(1, max(1, len(peers) - 1))
    return peers[:at], peers[at:]


def _honest_block(liar: Liar, view: View, round: int) -> None:
    block = _block(liar, view, view.executor.pool.reap(bytes_max=10_000, gas_max=10**6))
    _say(liar, view, round, block.block_id, block.part_set(), liar.peers, parts_first=liar.rng.random() < 0.5)


def _shared_parts(liar: Liar, view: View, round: int) -> None:
    """Two ids with one part-set header: one of them is no block's."""
    block = _block(liar, view)
    one, others = _split(liar)
    false = BlockID(_bytes(liar), block.block_id.part_set_header)
    if liar.rng.random() < 0.5:
        one, others = others, one
    _say(liar, view, round, false, block.part_set(), one, votes=liar.rng.random() < 0.5)
    _say(liar, view, round, block.block_id, block.part_set(), others)
    for kind in (PREVOTE, PRECOMMIT):  # so that the true one is decided
        for peer in liar.peers:
            liar.send(peer, VOTE_CHANNEL, _own_vote(liar, view, kind, view.rounds.height, round, block.block_id))


def _shared_hash(liar: Liar, view: View, round: int) -> None:
    """Two ids of one block: its parts, and parts of something else."""
    block = _block(liar, view)
    one, others = _split(liar)
    other = PartSet.from_bytes(_bytes(liar, 500))
    _say(liar, view, round, BlockID(block.hash, other.header), other, one, votes=liar.rng.random() < 0.5)
    _say(liar, view, round, block.block_id, block.part_set(), others)


def _two_blocks(liar: Liar, view: View, round: int) -> None:
    txs = view.executor.pool.reap(bytes_max=10_000, gas_max=10**6)
    first, second = _block(liar, view), _block(liar, view, txs or (_bytes(liar),))
    one, others = _split(liar)
    for block, peers in ((first, one), (second, others)):
        _say(liar, view, round, block.block_id, block.part_set(), peers)


def _rival(liar: Liar, view: View, round: int) -> None:
    """A new block, and at once the precommit that decides the last round's: validation of the one meets the other."""
    prevotes = view.rounds.votes(VoteKind.PREVOTE, round - 1)
    block = _block(liar, view, view.executor.pool.reap(bytes_max=10_000, gas_max=10**6))
    _say(liar, view, round, block.block_id, block.part_set(), liar.peers, votes=False)
    if prevotes is None or prevotes.majority is None:
        return
    height, value = view.rounds.height, prevotes.majority
    precommit = _own_vote(liar, view, PRECOMMIT, height, round - 1, value)
    for peer in liar.peers:
        liar.send(peer, VOTE_CHANNEL, precommit)


def _odd_time(liar: Liar, view: View, round: int) -> None:
    block = _block(liar, view)
    block = Block(replace(block.header, time_ns=_time_ns(liar)), block.data, block.evidence, block.last_commit)
    _say(liar, view, round, block.block_id, block.part_set(), liar.peers, votes=liar.rng.random() < 0.5)


def _bad_block(liar: Liar, view: View, round: int) -> None:
    """One field is wrong."""
    block = _block(liar, view)
    changed: dict[str, Any] = liar.rng.choice(
        (
            {"app_hash": _bytes(liar)}, {"validators_hash": _bytes(liar)}, {"height": block.height + 1},
            {"last_results_hash": _bytes(liar)}, {"proposer_address": _bytes(liar, 20)}, {"chain_id": "another"},
            {"last_block_id": BlockID(_bytes(liar), _header(liar))},
        )
    )  # fmt: skip
    block = Block(replace(block.header, **changed), block.data, block.evidence, block.last_commit)
    _say(liar, view, round, block.block_id, block.part_set(), liar.peers)


def _bad_txs(liar: Liar, view: View, round: int) -> None:
    txs = view.executor.pool.reap(bytes_max=10_000, gas_max=10**6)
    block = _block(liar, view, [*txs, *txs, _bytes(liar)])
    _say(liar, view, round, block.block_id, block.part_set(), liar.peers)


def _no_block(liar: Liar, view: View, round: int) -> None:
    parts = PartSet.from_bytes(_bytes(liar, liar.rng.choice((50, PART_BYTES + 50))))
    _say(liar, view, round, BlockID(_bytes(liar), parts.header), parts, liar.peers)


def _halves(liar: Liar, view: View, round: int) -> None:
    """Proposal to some, parts to others, and a claim to hold a polka."""
    block = _block(liar, view)
    one, others = _split(liar)
    none = PartSet(block.block_id.part_set_header)
    pol_round = liar.rng.choice((-1, round - 1, round, 2**31 - 1))
    _say(liar, view, round, block.block_id, none, one, pol_round=max(-1, pol_round))
    for peer in others:
        for part in _all_parts(block.part_set()):
            liar.send(peer, DATA_CHANNEL, BlockPart(view.rounds.height, round, part).encode())


def _other_sets(liar: Liar, view: View, round: int) -> None:
    """Another set of as many parts to each; all of its parts to one, none to the others: no block in any of them."""
    whole = liar.rng.randrange(max(1, len(liar.peers)))
    size = liar.rng.randint(2, 12) * PART_BYTES
    for number, peer in enumerate(liar.peers):
        parts = PartSet.from_bytes(_bytes(liar, size))
        said = parts if number == whole else PartSet(parts.header)
        _say(liar, view, round, BlockID(_bytes(liar), parts.header), said, [peer], votes=False)


PROPOSALS: Sequence[tuple[str, Callable[[Liar, View, int], None]]] = (
    ("a good block", _honest_block),
    ("two ids with one part-set header", _shared_parts),
    ("two ids with one hash", _shared_hash),
    ("two blocks", _two_blocks),
    ("an odd time", _odd_time),
    ("a wrong field", _bad_block),
    ("bad transactions", _bad_txs),
    ("what is no block", _no_block),
    ("halves", _halves),
    ("another set to each", _other_sets),
)
