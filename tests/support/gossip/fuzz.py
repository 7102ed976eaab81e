"""Every reactor, with messages of each to change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from consensus.channels import peer_messages as m
from consensus.channels.extension import EXTENSION_CHANNEL, ExtensionMessage, HasPart, HasVotes, encode
from consensus.core.events import VoteKind
from consensus.evidence.reactor import EvidenceReactor
from consensus.formats.bits import BitArray
from consensus.sync.blocks import BlockSyncReactor
from consensus.system.clock import InlineWorkers
from consensus.types.evidence import encode_evidence_list
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.parts import PartSet
from consensus.types.vote import Proposal, Vote
from crypto.batch import verify_many
from tests.support.gossip.evidence import GOOD, pool_at, state
from tests.support.gossip.fakes import ConsensusMesh
from tests.support.gossip.network import ManualClock
from tests.support.sync.blocks import Blocks, chain, genesis

CHANNELS = frozenset({0x20, 0x21, 0x22, 0x23, 0x38, 0x40, EXTENSION_CHANNEL})


ID = BlockID(b"h" * 32, PartSetHeader(2, b"p" * 32))


PART = PartSet.from_bytes(b"x" * 70_000).get(1)


SEEDS: dict[int, list[bytes]] = {
    0x20: [
        m.NewRoundStep(2, 1, 3, 4, 0).encode(),
        m.NewValidBlock(1, 0, ID.part_set_header, BitArray(2, 3), True).encode(),
        m.HasVote(1, 0, VoteKind.PREVOTE, 3).encode(),
        m.VoteSetMaj23(1, 0, VoteKind.PRECOMMIT, ID).encode(),
    ],
    0x21: [
        m.ProposalMessage(Proposal(1, 0, -1, ID, 5, b"s" * 64)).encode(),
        m.ProposalPol(1, 0, BitArray(4, 5)).encode(),
        m.BlockPart(1, 0, PART).encode(),
    ],
    0x22: [m.VoteMessage(Vote(1, 1, 0, ID, 5, b"a" * 20, 2, b"s" * 64)).encode()],
    0x23: [m.VoteSetBits(1, 0, VoteKind.PREVOTE, ID, BitArray(4, 9)).encode()],
    0x38: [encode_evidence_list([GOOD])],
    0x40: [
        m.StatusResponse(9, 1).encode(),
        m.BlockRequest(3).encode(),
        m.NoBlockResponse(3).encode(),
        m.BlockResponse(chain(60)[3].encode(), b"\x08\x04").encode(),
    ],
    EXTENSION_CHANNEL: [
        encode(
            ExtensionMessage(
                (HasPart(1, 0, ID.part_set_header, 3, True),),
                (HasVotes(1, 0, VoteKind.PREVOTE, 5, True),),
                (b"t" * 32,),
                (b"w" * 32,),
                frozenset({"ab" * 20}),
            )
        )
    ],
}


def reactors() -> dict[int, Any]:
    mesh = ConsensusMesh(4)
    node = mesh.nodes[0]
    mesh.start(0)
    blocks: Any = Blocks(chain(60)[:20])
    driver: Any = SimpleNamespace(state=genesis())
    sync = BlockSyncReactor(driver, blocks, node.host, mesh.clock, verifier=verify_many)
    sync.metrics.syncing = True
    heights: Any = SimpleNamespace(peer_heights={})
    evidence_driver: Any = SimpleNamespace(state=state(6))
    evidence = EvidenceReactor(
        pool_at(6), heights=heights, driver=evidence_driver, network=node.host, clock=ManualClock(),
        workers=InlineWorkers(),
    )  # fmt: skip
    return {
        **dict.fromkeys((32, 33, 34, 35), node.reactor),
        0x38: evidence,
        0x40: sync,
        EXTENSION_CHANNEL: node.extension,
    }
