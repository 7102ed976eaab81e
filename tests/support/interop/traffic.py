"""How often a part or a vote arrives in a network of two implementations, by each kind's own metrics.

A node needs each part of every block that another proposed, and each other validator's two votes a height, once. What
arrived for each one that was needed is its copies, from its own kind and from the other; 1.00 in all is the least.
Ours count it themselves. CometBFT counts parts by who sent them, and bytes of the channel of votes, which are all alike
but for a byte or two; what it held already when it came, it does not tell apart by who sent it.
Source: CometBFT v0.38, consensus/metrics.go, p2p/metrics.go.
"""

from __future__ import annotations

import asyncio
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from consensus.channels.peer_messages import VoteMessage
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.vote import PRECOMMIT, Vote
from dchat.devnet.live import metrics_of
from tests.support.interop.mixed import OURS, THEIRS, MixedNetwork, MixedNode

HIGH = 1 << 13  # a height, as long as those of a run
VOTE_BYTES = len(
    VoteMessage(
        Vote(
            PRECOMMIT, HIGH, 0, BlockID(bytes(32), PartSetHeader(1, bytes(32))), time.time_ns(), bytes(20), 1, bytes(64)
        )
    ).encode()
)
_SAMPLE = re.compile(r"(cometbft_\w+)\{([^}]*)\} (\S+)", re.ASCII)
KINDS = ("part", "vote")


@dataclass(frozen=True)
class Arrived:
    """At one node, since it began, by what: "part", "vote". held: were there already; held_unlike: of those that came
    from the other kind, which only ours tell."""

    like: Counter[str]
    unlike: Counter[str]
    held: Counter[str]
    held_unlike: Counter[str]

    def since(self, before: Arrived) -> Arrived:
        pairs = [(getattr(self, name), getattr(before, name)) for name in ("like", "unlike", "held", "held_unlike")]
        return Arrived(*[Counter({kind: now[kind] - then[kind] for kind in KINDS}) for now, then in pairs])


async def arrived(net: MixedNetwork) -> dict[int, Arrived]:
    """Of each node, by its index. Raises OSError: one does not answer."""
    found = await asyncio.gather(*(_of_ours(one) if one.kind == OURS else _of_theirs(net, one) for one in net.nodes))
    return {node.entry.index: one for node, one in zip(net.nodes, found, strict=True)}


async def _of_ours(node: MixedNode) -> Arrived:
    told = await asyncio.to_thread(metrics_of, f"127.0.0.1:{node.entry.ports.http}")

    def of(what: str) -> Counter[str]:
        return Counter({kind: round(told[f"dchat_gossip_{kind}s_{what}_total"]) for kind in KINDS})

    return Arrived(
        of("received") - of("received_unlike"), of("received_unlike"), of("duplicate"), of("duplicate_unlike")
    )


async def _of_theirs(net: MixedNetwork, node: MixedNode) -> Arrived:
    kinds = {one.entry.node_id: one.kind for one in net.nodes}
    like, unlike, held = Counter[str](), Counter[str](), Counter[str]()
    for name, labels, value in await asyncio.to_thread(_samples, node.entry.ports.metrics):
        sender = unlike if kinds.get(labels.get("peer_id", "")) == OURS else like
        match name, labels.get("chID"):
            case "cometbft_consensus_block_parts", _:
                sender["part"] += round(value)
            case "cometbft_p2p_peer_receive_bytes_total", "0x22":
                sender["vote"] += round(value / VOTE_BYTES)
            case "cometbft_consensus_duplicate_block_part", _:
                held["part"] += round(value)
            case "cometbft_consensus_duplicate_vote", _:
                held["vote"] += round(value)
    return Arrived(like, unlike, held, Counter())


def _samples(port: int) -> Iterable[tuple[str, dict[str, str], float]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for found in _SAMPLE.finditer(text):
        yield found[1], dict(re.findall(r'(\w+)="([^"]*)"', found[2])), float(found[3])


def copies(net: MixedNetwork, told: dict[int, Arrived], metas: dict[int, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Kind of the receiver -> what -> copies. told: what came while the blocks of `metas` were made."""
    needed: dict[str, Counter[str]] = {OURS: Counter(), THEIRS: Counter()}
    for node in net.nodes:
        others = [one for one in metas.values() if one["header"]["proposer_address"] != node.entry.address]
        needed[node.kind]["part"] += sum(int(one["block_id"]["parts"]["total"]) for one in others)
        needed[node.kind]["vote"] += 2 * (len(net.nodes) - 1) * len(metas)
    return {kind: {what: _row(kind, what, net, told, needed[kind][what]) for what in KINDS} for kind in needed}


def _row(kind: str, what: str, net: MixedNetwork, told: dict[int, Arrived], needed: int) -> dict[str, Any]:
    """held: shares of what came, of the other kind only where that is told."""
    own = [told[node.entry.index] for node in net.of(kind)]
    like, unlike, held = (sum(getattr(one, name)[what] for one in own) for name in ("like", "unlike", "held"))
    row = {
        "needed": needed,
        "copies": round((like + unlike) / needed, 3) if needed else None,
        "of_them_from_the_other_kind": round(unlike / needed, 3) if needed else None,
        "held_already": round(held / (like + unlike), 3) if like + unlike else None,
    }
    if kind == OURS:
        again = sum(one.held_unlike[what] for one in own)
        row["copies_between_unlike"] = round(unlike / (unlike - again), 3) if unlike > again else None
    return row
