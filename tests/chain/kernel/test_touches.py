"""What a transaction touches: each key once, and the pool lets it go whatever it is told."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.tx.envelope.tx import decode
from chain.tx.messages import LANE_BRIDGE, LANE_CHAT, LANE_CURRENCY, Message, Payment
from chain.tx.messages.allowance import EndChannelAllowance, GrantChannelAllowance, UnlockAllowance
from chain.tx.messages.keys import RotateKeys
from consensus.mempool.pool import Pool
from consensus.system.clock import InlineWorkers, LoopClock
from tests.support.chain.harness import Chain, wallet
from tests.support.chain.keys import rotation
from tests.support.counts import counted

NAMES = ("ann", "bob")
CHANNELS = (bytes([7] * 20), bytes([8] * 20))


def _rotation(who: str, to: str) -> RotateKeys:
    return rotation(wallet(who).address, wallet(to).policy, [to])


def _messages_of(who: str, lane: int) -> st.SearchStrategy[Message]:
    address, channel = wallet(who).address, st.sampled_from(CHANNELS)
    if lane == LANE_CURRENCY:
        return st.integers(1, 9).map(lambda amount: Payment(address, wallet("cid").address, amount))
    if lane == LANE_BRIDGE:
        unlocks = st.integers(1, 9).map(lambda amount: UnlockAllowance(address, amount))
        return unlocks | st.sampled_from("xy").map(lambda to: _rotation(who, to))
    grants = channel.map(lambda where: GrantChannelAllowance(address, where, 1, 1, 1, 1))
    return grants | channel.map(lambda where: EndChannelAllowance(address, where))


@st.composite
def _bundles(draw: st.DrawFn) -> bytes:
    lane = draw(st.sampled_from([LANE_CHAT, LANE_CURRENCY, LANE_BRIDGE]))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
    messages = [message for who in names for message in draw(st.lists(_messages_of(who, lane), min_size=1, max_size=4))]
    sponsored = draw(st.booleans()) and lane != LANE_CHAT
    granter = wallet("cid").address if sponsored else b""
    chain = _chain()
    return chain.tx(names, *draw(st.permutations(messages)), lane=lane, fee_granter=granter)


def _chain() -> Chain:
    return Chain(dict.fromkeys([*NAMES, "cid"], 10**9))


@settings(max_examples=counted(40, whole=150), deadline=None)
@given(_bundles())
def test_touches_are_unique_and_the_signers_come_first(raw: bytes) -> None:
    """Audit 29."""
    tx = decode(raw)
    assert len(set(tx.touches)) == len(tx.touches)
    assert tuple(key[2:] for key in tx.touches[: len(tx.signers)]) == tuple(entry.address for entry in tx.signers)
    told = {key for message in tx.messages for key in _told(message)}
    assert set(tx.touches) == {*tx.counted_at, *told}


def _told(message: Message) -> tuple[bytes, ...]:
    match message:
        case RotateKeys() | UnlockAllowance() | GrantChannelAllowance() | EndChannelAllowance():
            return (b"ci" + message[0],)  # its signer's: naming another's record, or a channel's, ties nothing to it
    return ()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_keys_changed_twice_in_one_bundle_are_committed(times: int) -> None:
    """Audit 29: the block's commit lets it go, and what it touched, as of any other."""
    chain = _chain()
    tx = chain.tx("ann", *[_rotation("ann", "xyz"[number]) for number in range(times)])
    pool = Pool(chain.app, LoopClock(), InlineWorkers())
    running = asyncio.create_task(pool.run())
    assert (await pool.submit(tx)).code == 0
    response = chain.block(tx)
    assert [result.code for result in response.tx_results] == [0]
    pool.update(chain.height, [tx], response.tx_results, response.touched)
    assert (pool.size, pool._index.touching) == (0, {})
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
