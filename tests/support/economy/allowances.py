"""What people of a life do with allowance: lock for it, set it aside, post by a channel that pays; also in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lending import lock_of
from chain.chat.channels.pots import POT
from chain.chat.channels.records import CHANNEL
from chain.chat.ledger.records import IDENTITY
from chain.tx.messages import Message, PostMessage
from chain.tx.messages.allowance import (
    EndChannelAllowance,
    GrantChannelAllowance,
    LockForAllowance,
    UnlockAllowance,
)

if TYPE_CHECKING:
    from tests.support.economy.life import Life


def about_allowance(life: Life, who: bytes) -> Message | None:
    rng = life.rng
    if life.state.get(IDENTITY + who) is None:
        return None
    channels = [channel for _, channel in life.state.scan(CHANNEL) if channel.name]
    mine = [channel.id for channel in channels if channel.owner == who]
    if rng.random() < 0.4 or not (mine or (channels and rng.random() < 0.1)):
        locked = lock_of(life.state, who).locked
        if locked and rng.random() < 0.6:
            return UnlockAllowance(who, rng.choice((locked, max(1, locked // 2), locked + 1)))
        return LockForAllowance(who, rng.choice((1, 10**6, rng.randrange(1, 10**8))))
    chosen = rng.choice(mine if mine and rng.random() < 0.9 else [channel.id for channel in channels])
    if life.state.get(POT + chosen) is not None and rng.random() < 0.6:
        return EndChannelAllowance(who, chosen)
    member, period = rng.choice(((1, 0), (3, 4), (50, 60)))
    more = rng.choice((0, 1, 10, 40, 10**9))
    return GrantChannelAllowance(who, chosen, more, more * 1_000, member, member * 9_000, period, 0)


def paying_channel(life: Life, messages: list[Message]) -> bytes:
    """Whose owner pays, now and then, of who does nothing but post to it; also where nothing was set aside."""
    channels = {message.channel_id for message in messages if isinstance(message, PostMessage)}
    if len(channels) != 1 or not all(isinstance(message, PostMessage) for message in messages):
        return b""
    (channel,) = channels
    has = life.state.get(POT + channel) is not None
    return channel if life.rng.random() < (0.7 if has else 0.05) else b""
