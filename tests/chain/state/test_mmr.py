"""Mountain ranges against perfect trees built from scratch; forged proofs."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.state import mmr
from chain.state.errors import CorruptState
from crypto.merkle import InvalidProof
from tests.support.state.naive import digest


def perfect_root(items: list[bytes]) -> bytes:
    if len(items) == 1:
        return digest(b"\x00" + items[0])
    half = len(items) // 2
    return digest(b"\x01" + perfect_root(items[:half]) + perfect_root(items[half:]))


def peaks_of(items: list[bytes]) -> tuple[bytes, ...]:
    """One perfect tree per set bit, the tallest first."""
    peaks, at = [], 0
    for bit in range(20, -1, -1):
        if len(items) >> bit & 1:
            peaks.append(perfect_root(items[at : at + (1 << bit)]))
            at += 1 << bit
    return tuple(peaks)


def grown(items: list[bytes], step: int) -> tuple[mmr.Range, dict[bytes, bytes]]:
    summary, nodes = mmr.Range(), {}
    for at in range(0, len(items), step):
        summary, new = summary.append(items[at : at + step])
        assert not nodes.keys() & new.keys()  # a node is made once
        nodes |= new
    return summary, nodes


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 70), step=st.integers(1, 20))
def test_every_item_is_proved_to_its_peak(count: int, step: int) -> None:
    items = [b"message %d" % number for number in range(count)]
    summary, nodes = grown(items, step)
    assert summary.peaks == peaks_of(items)
    assert mmr.Range.decode(summary.encode()) == summary
    for index, item in enumerate(items):
        proof = mmr.prove(summary, index, nodes.get)
        mmr.verify(summary, proof, item)
        with pytest.raises(InvalidProof):
            mmr.verify(summary, proof, item + b"!")


def test_an_older_summary_is_proved_from_the_nodes_of_a_newer_one() -> None:
    items = [b"%d" % number for number in range(50)]
    _, nodes = grown(items, 7)
    for count in range(1, 51):
        older, _ = grown(items[:count], 50)
        for index in range(count):
            mmr.verify(older, mmr.prove(older, index, nodes.get), items[index])


ITEMS = [b"%d" % number for number in range(13)]
SUMMARY, NODES = grown(ITEMS, 13)
PROOF = mmr.prove(SUMMARY, 5, NODES.get)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(dataclasses.replace(PROOF, index=4), id="its neighbour's place"),
        pytest.param(dataclasses.replace(PROOF, index=13), id="past the end"),
        pytest.param(dataclasses.replace(PROOF, index=-1), id="before the start"),
        pytest.param(dataclasses.replace(PROOF, index=9), id="another tree"),
        pytest.param(dataclasses.replace(PROOF, path=PROOF.path[:-1]), id="too short"),
        pytest.param(dataclasses.replace(PROOF, path=(*PROOF.path, bytes(32))), id="too long"),
        pytest.param(dataclasses.replace(PROOF, path=(PROOF.path[0] + b"\0", *PROOF.path[1:])), id="a long node"),
        pytest.param(dataclasses.replace(PROOF, path=PROOF.path[::-1]), id="reversed"),
    ],
)
def test_forged_proofs_are_refused(forged: mmr.ItemProof) -> None:
    mmr.verify(SUMMARY, PROOF, ITEMS[5])
    with pytest.raises(InvalidProof):
        mmr.verify(SUMMARY, forged, ITEMS[5])


def test_an_inner_node_does_not_pass_for_an_item() -> None:
    """The tags keep the two children of a node from being shown as one message."""
    left, right = NODES[mmr.node_name(0, 4)], NODES[mmr.node_name(0, 5)]
    with pytest.raises(InvalidProof):
        mmr.verify(SUMMARY, mmr.ItemProof(5, PROOF.path[1:]), left + right)


@pytest.mark.parametrize("data", [b"", bytes(7), bytes(9), (1).to_bytes(8, "big"), (3).to_bytes(8, "big") + bytes(32)])
def test_a_summary_of_another_length_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidProof):
        mmr.Range.decode(data)


def test_a_pruned_node_is_named() -> None:
    with pytest.raises(CorruptState, match=mmr.node_name(1, 3).hex()):
        mmr.prove(SUMMARY, 5, {**NODES, mmr.node_name(1, 3): None}.get)
