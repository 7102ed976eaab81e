"""`dchat tx` and `dchat query` of channels: their terms, who is in them, and the conversations of two."""

from __future__ import annotations

from typing import Any

import click

from chain.chat.channels.records import BANS, INVITATIONS, MEMBERS
from chain.tx.messages import CreateChannel, JoinChannel, PayToJoin, direct_id
from chain.tx.messages.chat.channels import (
    AcceptChannel,
    BanMember,
    EditChannel,
    InviteMember,
    LeaveChannel,
    OfferChannel,
    OpenDirect,
    SetMemberRole,
    UnbanMember,
)
from dchat.cli.chat.words import ACCESS, ROLES, channel_of, channel_option, member_option, one_of, who_of
from dchat.cli.commands.query_commands import Word, ask, ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, limit_option, node_option
from dchat.cli.terminal.base import Command
from dchat.cli.terminal.times import Length, length_of
from dchat.client.client import Client
from dchat.client.front.amounts import parse_amount
from dchat.client.proved import Checked, Proved
from dchat.shown.messages import message_json
from proto.dchat.v1 import service_pb2

OFFER_VOID = "it was made before the owner's account was recovered: nobody can accept it, the owner offers it anew"


VALID = "7d"  # of an invitation


@tx.command("create-channel", cls=Command)
@click.option("--name", required=True)
@click.option("--topic", default="")
@click.option("--join-price", type=Amount(), default=0, help="What joining costs; 0: nothing.")
@click.option("--access", type=click.Choice(list(ACCESS)), default="open", show_default=True)
@click.option("--period", "period_s", type=Length(), default=0, help="As 30d, what the price buys; 0: without end.")
@click.option("--slow-mode", "slow_mode_s", type=Length(), default=0, help="As 30s, between two messages of a member.")
@click.option("--join-role", type=click.Choice(["member", "guest"]), default="member", show_default=True)
@click.option("--encrypted", is_flag=True, help="For good. Then it is invited, or has a price.")
@sending
def create_channel(
    name: str,
    topic: str,
    join_price: int,
    access: str,
    period_s: int,
    slow_mode_s: int,
    join_role: str,
    encrypted: bool,
    **options: Any,
) -> None:
    """Create a channel, and be its first member."""
    terms = (ACCESS[access], period_s, slow_mode_s, ROLES[join_role], encrypted)
    send(lambda me: [CreateChannel(me, name, join_price, topic, *terms)], options)


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@sending
def join(channel: str, **options: Any) -> None:
    """Join a channel that costs nothing."""
    send(lambda me: [JoinChannel(me, channel_of(channel))], options)


@tx.command("pay-to-join", cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--max-price", type=Amount(), required=True, help="The most that you would pay.")
@click.option(
    "--min-period", "min_period_s", type=Length(), default=0, help="As 30d; left out: only a membership without end."
)
@sending
def pay_to_join(channel: str, max_price: int, min_period_s: int, **options: Any) -> None:
    """Pay a channel's price to its owner and join, both or neither; or go on, where it buys a time."""
    send(lambda me: [PayToJoin(me, channel_of(channel), max_price, min_period_s)], options)


@tx.command("edit-channel", cls=Command)
@channel_option
@click.option("--topic")
@click.option("--join-price", type=Amount(), help="0: anyone may join.")
@click.option("--period", "period_s", type=Length(), help="As 30d, what the price buys; 0: a membership without end.")
@click.option("--slow-mode", "slow_mode_s", type=Length(), help="As 30s, between two messages of a member; 0: none.")
@click.option("--access", type=click.Choice(list(ACCESS)))
@click.option("--join-role", type=click.Choice(["member", "guest"]), help="Of who joins; guests do not post.")
@click.option("--archive/--unarchive", "archived", default=None, help="Takes no messages and no members.")
@sending
def edit_channel(
    channel: str,
    topic: str | None,
    join_price: int | None,
    period_s: int | None,
    slow_mode_s: int | None,
    access: str | None,
    join_role: str | None,
    archived: bool | None,
    **options: Any,
) -> None:
    """Change a channel's topic or terms; what is not named stays. Terms are the owner's."""
    terms = (period_s, slow_mode_s, ACCESS.get(access or ""), ROLES.get(join_role or ""), archived)
    send(lambda me: [EditChannel(me, channel_of(channel), topic, join_price, *terms)], options)


@tx.command(cls=Command)
@channel_option
@member_option
@click.option("--valid", "valid_s", type=Length(), default=VALID, show_default=True, help="For so long.")
@click.option("--reads-back", is_flag=True, help="Of an encrypted channel: also what was before.")
@sending
def invite(channel: str, member: bytes, valid_s: int, reads_back: bool, **options: Any) -> None:
    """Invite somebody to a channel."""
    send(lambda me: [InviteMember(me, channel_of(channel), member, valid_s, reads_back)], options)


@tx.command(cls=Command)
@channel_option
@sending
def leave(channel: str, **options: Any) -> None:
    """Leave a channel. Its owner hands it on first: offer-channel."""
    send(lambda me: [LeaveChannel(me, channel_of(channel))], options)


@tx.command("set-role", cls=Command)
@channel_option
@member_option
@click.option("--role", type=click.Choice(list(ROLES)), required=True)
@sending
def set_role(channel: str, member: bytes, role: str, **options: Any) -> None:
    """Make a member of your channel a guest, a member or a moderator."""
    send(lambda me: [SetMemberRole(me, channel_of(channel), member, ROLES[role])], options)


@tx.command(cls=Command)
@channel_option
@member_option
@click.option("--for", "duration_s", type=Length(), default=0, help="As 1h. Default: until it is lifted.")
@sending
def ban(channel: str, member: bytes, duration_s: int, **options: Any) -> None:
    """Keep somebody out of a channel, for a time or until it is lifted."""
    send(lambda me: [BanMember(me, channel_of(channel), member, duration_s)], options)


@tx.command(cls=Command)
@channel_option
@member_option
@sending
def unban(channel: str, member: bytes, **options: Any) -> None:
    """Lift a ban."""
    send(lambda me: [UnbanMember(me, channel_of(channel), member)], options)


@tx.command("offer-channel", cls=Command)
@channel_option
@click.option("--to", "heir", type=Address(), default=b"", help="A member. Left out: takes the offer back.")
@sending
def offer_channel(channel: str, heir: bytes, **options: Any) -> None:
    """Offer your channel to a member, who becomes its owner by accepting."""
    send(lambda me: [OfferChannel(me, channel_of(channel), heir)], options)


@tx.command("accept-channel", cls=Command)
@channel_option
@sending
def accept_channel(channel: str, **options: Any) -> None:
    """Become the owner of a channel that was offered to you."""
    send(lambda me: [AcceptChannel(me, channel_of(channel))], options)


@tx.command("open-direct", cls=Command)
@click.option("--to", "peer", type=Address(), required=True)
@click.option("--encrypted", is_flag=True, help="For good; both give out keys: publish-epoch-keys.")
@sending
def open_direct(peer: bytes, encrypted: bool, **options: Any) -> None:
    """Begin a conversation with somebody: a channel for the two of you. `dchat query direct` tells its id."""
    send(lambda me: [OpenDirect(me, peer, encrypted)], options)


def _edited(me: bytes, leg: dict[str, str]) -> EditChannel:
    price = leg.get("join-price")
    period_s, slow_mode_s = [length_of(leg[name]) if name in leg else None for name in ("period", "slow-mode")]
    archived = None if "archive" not in leg else bool(one_of({"no": 0, "yes": 1}, leg["archive"]))
    return EditChannel(
        me, channel_of(leg["channel"]), leg.get("topic"), None if price is None else parse_amount(price), period_s,
        slow_mode_s, one_of(ACCESS, leg.get("access")), one_of(ROLES, leg.get("join-role")), archived,
    )  # fmt: skip


CHANNEL_AND_MEMBER = frozenset({"channel", "member"})


@query.command("direct", cls=Command)
@click.argument("one", type=Address())
@click.argument("other", type=Address())
@proving
def query_direct(one: bytes, other: bytes, **how: Any) -> None:
    """The conversation of two accounts; its id is a channel's, for all other commands."""
    cid = direct_id(one, other)
    ask(lambda c, prove, at: c.channel(cid, height=at, prove=prove), lambda p, a: p.channel(a, cid), **how)


@query.command("ban", cls=Command)
@click.argument("channel")
@click.argument("who", type=Address())
@proving
def query_ban(channel: str, who: bytes, **how: Any) -> None:
    """Whether an account is banned from a channel, by whom and until when."""
    ask_record(BANS, channel_of(channel) + who, **how)


@query.command("invitation", cls=Command)
@click.argument("channel")
@click.argument("who", type=Address())
@proving
def query_invitation(channel: str, who: bytes, **how: Any) -> None:
    """Whether an account is invited to a channel, and until when."""
    ask_record(INVITATIONS, channel_of(channel) + who, **how)


@query.command("channel", cls=Command)
@click.argument("channel")
@proving
def query_channel(channel: str, **how: Any) -> None:
    """A channel, by name or id. Of one that is offered: whether the heir can still accept it."""
    cid, word = channel_of(channel), Word()

    async def look(client: Client, prove: bool, at: int) -> service_pb2.GetChannelResponse:
        answer = await client.channel(cid, height=at, prove=prove)
        if answer.channel.settings.heir:
            await word.look(client, answer.channel.owner, height=answer.height, prove=prove)
        return answer

    async def check(proved: Proved, answer: service_pb2.GetChannelResponse) -> Checked:
        await word.check(proved, height=answer.height)
        return await proved.channel(answer, cid)

    def show(answer: service_pb2.GetChannelResponse) -> dict[str, Any]:
        shown, settings = message_json(answer), answer.channel.settings
        if settings.heir:
            shown["channel"]["settings"]["offer"] = word.void(settings.heir_epoch, OFFER_VOID)
        return shown

    ask(look, check, show=show, **how)


@query.command("channels", cls=Command)
@limit_option(20)
@node_option
def query_channels(limit: int, node: str | None) -> None:
    """Channels."""
    plain(lambda c: c.channels(limit=limit), node)


@query.command("member", cls=Command)
@click.argument("channel")
@click.argument("who", type=Address())
@proving
def query_member(channel: str, who: bytes, **how: Any) -> None:
    """Whether an account is a member of a channel, and since which block."""
    ask_record(MEMBERS, channel_of(channel) + who, **how)


LEGS.update(
    {
        "create-channel": (
            frozenset({"name"}),
            frozenset({"topic", "join-price", "access", "period", "slow-mode", "join-role"}),
            lambda me, leg: CreateChannel(
                me,
                leg["name"],
                parse_amount(leg.get("join-price", "0")),
                leg.get("topic", ""),
                one_of(ACCESS, leg.get("access")) or 0,
                length_of(leg.get("period", "0")),
                length_of(leg.get("slow-mode", "0")),
                one_of(ROLES, leg.get("join-role")) or 0,
            ),
        ),
        "join": (frozenset({"channel"}), frozenset(), lambda me, leg: JoinChannel(me, channel_of(leg["channel"]))),
        "pay-to-join": (
            frozenset({"channel", "max-price"}),
            frozenset({"min-period"}),
            lambda me, leg: PayToJoin(
                me, channel_of(leg["channel"]), parse_amount(leg["max-price"]), length_of(leg.get("min-period", "0"))
            ),
        ),
        "edit-channel": (
            frozenset({"channel"}),
            frozenset({"topic", "join-price", "period", "slow-mode", "access", "join-role", "archive"}),
            _edited,
        ),
        "invite": (
            CHANNEL_AND_MEMBER,
            frozenset({"valid", "reads-back"}),
            lambda me, leg: InviteMember(
                me,
                channel_of(leg["channel"]),
                who_of(leg),
                length_of(leg.get("valid", VALID)),
                bool(one_of({"no": 0, "yes": 1}, leg.get("reads-back"))),
            ),
        ),
        "leave": (frozenset({"channel"}), frozenset(), lambda me, leg: LeaveChannel(me, channel_of(leg["channel"]))),
        "set-role": (
            CHANNEL_AND_MEMBER | {"role"},
            frozenset(),
            lambda me, leg: SetMemberRole(me, channel_of(leg["channel"]), who_of(leg), one_of(ROLES, leg["role"]) or 0),
        ),
        "ban": (
            CHANNEL_AND_MEMBER,
            frozenset({"for"}),
            lambda me, leg: BanMember(me, channel_of(leg["channel"]), who_of(leg), length_of(leg.get("for", "0"))),
        ),
        "unban": (
            CHANNEL_AND_MEMBER,
            frozenset(),
            lambda me, leg: UnbanMember(me, channel_of(leg["channel"]), who_of(leg)),
        ),
        "offer-channel": (
            frozenset({"channel", "to"}),
            frozenset(),
            lambda me, leg: OfferChannel(me, channel_of(leg["channel"]), Address().convert(leg["to"], None, None)),
        ),
        "accept-channel": (
            frozenset({"channel"}),
            frozenset(),
            lambda me, leg: AcceptChannel(me, channel_of(leg["channel"])),
        ),
        "open-direct": (
            frozenset({"to"}),
            frozenset(),
            lambda me, leg: OpenDirect(me, Address().convert(leg["to"], None, None)),
        ),
    }
)
