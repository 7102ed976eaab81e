"""What all nodes' write-ahead logs say together: nobody signed two things for one height, round and step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from consensus.stores.wal import scan_file
from proto.tendermint.consensus import wal_pb2

Slot = tuple[str, str, int, int]  # (kind, who, height, round)


def messages(home: Path) -> Iterator[wal_pb2.WALMessage]:
    """Every record of a node's log, oldest file first; a torn tail is left out."""
    folder = home / "data" / "cs.wal"
    for file in [*sorted(folder.glob("wal.[0-9]*")), folder / "wal"]:
        for _, record in scan_file(file.read_bytes(), file.name).records:
            yield record.msg


def signatures(home: Path) -> Iterator[tuple[Slot, bytes]]:
    for message in messages(home):
        if message.WhichOneof("sum") != "msg_info":
            continue
        inner = message.msg_info.msg
        match inner.WhichOneof("sum"):
            case "vote":
                vote = inner.vote.vote
                slot = (f"vote {vote.type}", vote.validator_address.hex(), vote.height, vote.round)
                yield slot, vote.signature
            case "proposal":
                proposal = inner.proposal.proposal
                yield ("proposal", "the proposer", proposal.height, proposal.round), proposal.signature


def double_signatures(homes: list[Path]) -> tuple[int, list[str]]:
    """(slots seen, what was signed twice) over all of `homes` together."""
    seen: dict[Slot, bytes] = {}
    faults = []
    for home in homes:
        for slot, signature in signatures(home):
            if seen.setdefault(slot, signature) != signature:
                faults.append(f"{slot}: {seen[slot].hex()[:16]} and {signature.hex()[:16]} (log of {home.name})")
    return len(seen), faults
