"""Which peers have a transaction, in bits: each peer that is here has one of its own, and its is free once it left."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consensus.mempool.admission.entry import PeerBits

STEPS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60)


@given(STEPS)
def test_no_two_peers_that_are_here_share_a_bit(steps: list[tuple[str, bool]]) -> None:
    bits, here, most = PeerBits(), set[str](), 0
    for peer, comes in steps:
        if comes:
            here.add(peer)
            assert bits.take(peer) == bits.of(peer)
        else:
            here.discard(peer)
            bits.give_back(peer)
        most = max(most, len(here))
        of = [bits.of(one) for one in here]
        assert all(bit > 0 and bit & (bit - 1) == 0 for bit in of)
        assert len(set(of)) == len(of)
        assert all(bit < 1 << most for bit in of), "the lowest that is free, so that the number stays small"
        assert bits.of("nobody") == 0
