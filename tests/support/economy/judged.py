"""What people of a life do with each other's reputation, and what they report to moderators; also in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain.chat.channels.records import CHANNEL, MEMBER, Channel
from chain.chat.reputation.records import REPORT, Report, place_of
from chain.tx.messages import CHANNEL_ID_BYTES, Message
from chain.tx.messages.chat.reputation import EndorseAuthor, HonourAuthor, ReportMember, ReportMessage, ResolveReport
from crypto.hash import ADDRESS_BYTES as SIZE
from tests.support.economy.channels import some_message

if TYPE_CHECKING:
    from tests.support.economy.life import Life


def about_reputation(life: Life, who: bytes) -> Message | None:
    rng = life.rng
    channels: list[Channel] = [found for _, found in life.state.scan(CHANNEL) if found.range.count]
    mine = [found for found in channels if life.state.get(MEMBER + found.id + who) is not None]
    if not mine:
        return None
    open_ones: list[tuple[bytes, Report]] = [
        (key[len(REPORT) :], found) for key, found in life.state.scan(REPORT) if not found.verdict
    ]
    own = {found.id for found in mine if found.owner == who}
    judged = [about for about, found in open_ones if about[:CHANNEL_ID_BYTES] in own and found.subject != who]
    if judged and rng.random() < 0.6:
        about = rng.choice(judged if rng.random() < 0.9 else [about for about, _ in open_ones])
        return ResolveReport(who, about[:CHANNEL_ID_BYTES], *place_of(about[CHANNEL_ID_BYTES:]), rng.choice((1, 2)))
    channel = rng.choice(mine if rng.random() < 0.9 else channels)
    index = rng.randrange(channel.range.count + 1) if rng.random() < 0.1 else some_message(life, channel)
    members = [key[-SIZE:] for key, _ in life.state.scan(MEMBER + channel.id)]
    return rng.choice(
        (
            EndorseAuthor(who, channel.id, index), EndorseAuthor(who, channel.id, index),
            HonourAuthor(who, channel.id, index, rng.choice((1, 1_000, 10**6, 10**14))),
            ReportMessage(who, channel.id, index, rng.randrange(1, 7)),
            ReportMember(who, channel.id, rng.choice(members), rng.randrange(1, 7)),
            ResolveReport(who, channel.id, index, b"", rng.choice((1, 2))),
        )
    )  # fmt: skip
