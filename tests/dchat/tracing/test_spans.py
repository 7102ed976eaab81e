"""Ids and samples: what makes spans of different nodes meet."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.abci.interface import CheckTxResponse
from consensus.execution.metrics import EngineMetrics
from consensus.mempool.admission.errors import Refusal, refuse
from dchat.tracing.spans import Sampler, Span, height_trace, span_id, tx_trace
from dchat.tracing.tracer import WAYS_MAX, Tracer, Who


def test_ids_are_those_that_docs_tell() -> None:
    tx_hash = hashlib.sha256(b"tx").digest()
    assert tx_trace(tx_hash).hex() == tx_hash.hex()[:32], "whoever has a transaction's hash has its trace"
    assert height_trace("dchat-1", 7) == hashlib.sha256(b"dchat/trace/height\ndchat-1\n7").digest()[:16]
    expected = hashlib.sha256(b"dchat/trace/span\n" + tx_hash[:16] + b"n1\ncommit").digest()[:8]
    assert span_id(tx_hash[:16], "n1", "commit") == expected


@given(st.binary(min_size=32, max_size=32), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_all_that_a_lower_one_keeps(tx_hash: bytes, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert Sampler(high).keeps(tx_hash) or not Sampler(low).keeps(tx_hash)
    assert Sampler(one).keeps(tx_hash) == Sampler(one).keeps(tx_trace(tx_hash)), "of a hash as of its trace"


@pytest.mark.parametrize(
    ("rate", "least", "most"), [(0.0, 0, 0), (0.01, 60, 140), (0.1, 900, 1_100), (1.0, 10_000, 10_000)]
)
def test_a_rate_is_a_share(rate: float, least: int, most: int) -> None:
    sampler = Sampler(rate)
    kept = sum(sampler.keeps(hashlib.sha256(number.to_bytes(4)).digest()) for number in range(10_000))
    assert least <= kept <= most
    assert not Sampler(0.0).keeps(b"\xff" * 32)
    assert Sampler(1.0).keeps(bytes(32))


class Clock:
    def __init__(self) -> None:
        self.at = 1_000

    def monotonic_ns(self) -> int:
        self.at += 1
        return self.at

    def now_ns(self) -> int:
        return 10**18 + self.at


def tracer(rate: float, spans: list[Span]) -> Tracer:
    who = Who(node_id="n1", chain_id="c", address=b"")
    return Tracer(who, Sampler(rate), Clock(), None, EngineMetrics(), spans.extend)  # type: ignore[arg-type]


def test_what_is_under_way_is_bounded_whoever_sends() -> None:
    made = tracer(1.0, [])
    for number in range(3 * WAYS_MAX):
        made.arrived(hashlib.sha256(number.to_bytes(4)).digest(), "peer")
    assert len(made._ways) == WAYS_MAX


def test_a_transaction_that_leaves_without_a_block_says_why() -> None:
    spans: list[Span] = []
    made, key = tracer(1.0, spans), b"\xff" * 32
    why: CheckTxResponse = refuse(Refusal.EXPIRED, "too late")
    made.dropped(key, why)
    made.arrived(key, "")
    made.dropped(key, why)
    assert spans == [], "it was not admitted: whoever sent it was told"

    class Admitted:
        def __init__(self) -> None:
            self.key = key

    made.arrived(key, "")
    made.admitted([Admitted()])  # type: ignore[list-item]
    made.dropped(key, why)
    root, ours = spans
    assert (root.parent_id, ours.parent_id) == (b"", root.span_id)
    for span in spans:
        assert ("too late" in span.error, span.start_ns < span.end_ns) == (True, True)
        assert span.start_ns > 10**18, "times are the calendar's"


def test_what_is_not_sampled_is_not_remembered() -> None:
    made = tracer(0.0, [])
    made.arrived(b"\xff" * 32, "")
    assert not made._ways
