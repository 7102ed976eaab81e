"""`dchat tx` and `dchat query` of the chat chain: identities, channels, messages, and what is paid for them.

What is sent and what is looked up stand beside each other here: a new message of the chat adds to this file alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chain.chat.channels.keys import EPOCHS, SEALED_KEYS
from chain.chat.channels.records import BANS, INVITATIONS, MEMBERS
from chain.chat.messages.records import STATES
from chain.tx.codec import height_bytes
from chain.tx.messages import (
    Attachment,
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
    direct_id,
)
from chain.tx.messages.chat import (
    ACCESS_NAMES,
    REACTIONS,
    ROLE_NAMES,
    AcceptChannel,
    BanMember,
    BeginEpoch,
    EditChannel,
    EditMessage,
    InviteMember,
    LeaveChannel,
    MarkRead,
    OfferChannel,
    OpenDirect,
    PinMessage,
    PublishEpochKeys,
    React,
    RetractMessage,
    SealedCopy,
    SetMemberRole,
    UnbanMember,
)
from crypto.bech32 import decode_address
from crypto.hash import sha256
from dchat.cli.commands.query_commands import ask, ask_record, plain, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Amount, Hash, limit_option, node_option, parse_amount
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, named

ACCESS = {name: access for access, name in ACCESS_NAMES.items()}
ROLES = {name: role for role, name in ROLE_NAMES.items()}


def channel_of(text: str) -> bytes:
    """A channel's name, or its id in 40 hex characters."""
    if len(text) == 40:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    found = channel_id(text)
    named[found.hex()] = text
    return found


@tx.command(cls=Command)
@click.option("--name", required=True, help="3 to 32 of a-z 0-9 _ -; unique.")
@click.option("--display", default="", help="Up to 64 bytes.")
@sending
def register(name: str, display: str, **options: Any) -> None:
    """Create the chat identity of your account, with a starter allowance."""
    send(lambda me: [RegisterIdentity(me, name, display)], options)


@tx.command("create-channel", cls=Command)
@click.option("--name", required=True)
@click.option("--topic", default="")
@click.option("--join-price", type=Amount(), default=0, help="What joining costs; 0: nothing.")
@click.option("--access", type=click.Choice(list(ACCESS)), default="open", show_default=True)
@click.option("--period", "period_s", type=int, default=0, help="Seconds that the price buys; 0: without end.")
@click.option("--slow-mode", "slow_mode_s", type=int, default=0, help="Seconds between two messages of a member.")
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


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--text", required=True)
@click.option("--reply-to", type=int, help="Index of the message answered.")
@click.option(
    "--epoch", type=int, default=0, help="Of an encrypted channel's key; then --text is its sealed body in hex."
)
@click.option("--ttl", "ttl_s", type=int, default=0, help="Seconds until the chain forgets the body; 0: it stays.")
@click.option("--attach", type=click.Path(exists=True, dir_okay=False, path_type=Path), multiple=True, help="Its hash.")
@sending
def post(
    channel: str,
    text: str,
    reply_to: int | None,
    epoch: int,
    ttl_s: int,
    attach: tuple[Path, ...],
    **options: Any,
) -> None:
    """Post a message to a channel you are a member of. Files that are attached stay where they are."""
    answered = 0 if reply_to is None else reply_to + 1
    attached = tuple([_attachment(file.read_bytes()) for file in attach])
    body = _body(text, epoch)
    send(lambda me: [PostMessage(me, channel_of(channel), body, answered, ttl_s, epoch, attachments=attached)], options)


def _body(text: str, epoch: int) -> bytes:
    """Raises Refusal."""
    if not epoch:
        return text.encode()
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise Refusal("--text: with --epoch it is what was sealed, in hex", Exit.USAGE) from None


def _attachment(content: bytes) -> Attachment:
    return Attachment(sha256(content), len(content), "application/octet-stream")


@tx.command(cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--index", type=int, required=True, help="Of the message.")
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def tip(channel: str, index: int, amount: int, **options: Any) -> None:
    """Pay the author of a message."""
    send(lambda me: [Tip(me, channel_of(channel), index, amount)], options)


@tx.command("pay-to-join", cls=Command)
@click.option("--channel", required=True, help="Name or id.")
@click.option("--max-price", type=Amount(), required=True, help="The most that you would pay.")
@click.option(
    "--min-period", "min_period_s", type=int, default=0, help="Seconds; left out: only a membership without end."
)
@sending
def pay_to_join(channel: str, max_price: int, min_period_s: int, **options: Any) -> None:
    """Pay a channel's price to its owner and join, both or neither; or go on, where it buys a time."""
    send(lambda me: [PayToJoin(me, channel_of(channel), max_price, min_period_s)], options)


@tx.command("buy-allowance", cls=Command)
@click.option("--amount", type=Amount(least=1), required=True)
@sending
def buy_allowance(amount: int, **options: Any) -> None:
    """Turn DCHAT into messages and bytes on the chat chain."""
    send(lambda me: [BuyAllowance(me, amount)], options)


channel_option = click.option("--channel", required=True, help="Name or id.")
member_option = click.option("--member", type=Address(), required=True)


@tx.command("edit-channel", cls=Command)
@channel_option
@click.option("--topic")
@click.option("--join-price", type=Amount(), help="0: anyone may join.")
@click.option("--period", "period_s", type=int, help="Seconds that the price buys; 0: a membership without end.")
@click.option("--slow-mode", "slow_mode_s", type=int, help="Seconds between two messages of a member; 0: none.")
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
@click.option("--valid", "valid_s", type=int, default=7 * 86_400, show_default=True, help="Seconds.")
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
@click.option("--for", "duration_s", type=int, default=0, help="Seconds; 0: until it is lifted.")
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


@tx.command(cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message.")
@click.option("--unpin", is_flag=True)
@sending
def pin(channel: str, index: int, unpin: bool, **options: Any) -> None:
    """Pin a message of a channel, or take the pin away."""
    send(lambda me: [PinMessage(me, channel_of(channel), index, unpin)], options)


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


@tx.command("edit-message", cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message as it was posted first.")
@click.option("--text", required=True)
@click.option("--epoch", type=int, default=0, help="As with post.")
@sending
def edit_message(channel: str, index: int, text: str, epoch: int, **options: Any) -> None:
    """Give a message of yours another body, within a day; the one before is dropped."""
    body = _body(text, epoch)
    send(lambda me: [EditMessage(me, channel_of(channel), index, body, epoch)], options)


@tx.command("retract", cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message as it was posted first.")
@sending
def retract(channel: str, index: int, **options: Any) -> None:
    """Have a message forgotten: yours, or one that you moderate. Whoever has a copy keeps it."""
    send(lambda me: [RetractMessage(me, channel_of(channel), index)], options)


@tx.command("react", cls=Command)
@channel_option
@click.option("--index", type=click.IntRange(0), required=True, help="Of the message as it was posted first.")
@click.option("--reaction", type=click.Choice(["none", *REACTIONS]), required=True)
@sending
def react(channel: str, index: int, reaction: str, **options: Any) -> None:
    """React to a message; another reaction takes the place of the one before."""
    send(lambda me: [React(me, channel_of(channel), index, ["none", *REACTIONS].index(reaction))], options)


@tx.command("mark-read", cls=Command)
@channel_option
@click.option("--count", type=click.IntRange(1), required=True, help="How many messages, from the first on.")
@sending
def mark_read(channel: str, count: int, **options: Any) -> None:
    """Say how far you have read a channel, for your other devices."""
    send(lambda me: [MarkRead(me, channel_of(channel), count)], options)


@tx.command("publish-epoch-keys", cls=Command)
@channel_option
@click.option("--epoch", type=click.IntRange(1), required=True)
@click.option("--commitment", type=Hash(), required=True, help="SHA-256 of 'dchat/epoch-key' and the key.")
@click.option(
    "--copies", type=InputFile(), required=True, help='JSON: [{"member": "dchat1...", "device": HEX, "sealed": HEX}].'
)
@sending
def publish_epoch_keys(channel: str, epoch: int, commitment: bytes, copies: Path, **options: Any) -> None:
    """Give members the key of an epoch of an encrypted channel, sealed for their devices."""
    keys = _sealed_copies(copies.read_text())
    send(lambda me: [PublishEpochKeys(me, channel_of(channel), epoch, commitment, keys)], options)


def _sealed_copies(text: str) -> tuple[SealedCopy, ...]:
    try:
        found = [
            SealedCopy(decode_address(one["member"]), bytes.fromhex(one["device"]), bytes.fromhex(one["sealed"]))
            for one in json.loads(text)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(f"--copies: no list of sealed copies: {error}", Exit.USAGE) from None
    return tuple(sorted(found))


@tx.command("open-direct", cls=Command)
@click.option("--to", "peer", type=Address(), required=True)
@click.option("--encrypted", is_flag=True, help="For good; both give out keys: publish-epoch-keys.")
@sending
def open_direct(peer: bytes, encrypted: bool, **options: Any) -> None:
    """Begin a conversation with somebody: a channel for the two of you. `dchat query direct` tells its id."""
    send(lambda me: [OpenDirect(me, peer, encrypted)], options)


@tx.command("begin-epoch", cls=Command)
@channel_option
@sending
def begin_epoch(channel: str, **options: Any) -> None:
    """Begin an epoch of an encrypted channel: what is posted from now on has another key."""
    send(lambda me: [BeginEpoch(me, channel_of(channel))], options)


LEGS.update(
    {
        "register": (
            frozenset({"name"}),
            frozenset({"display"}),
            lambda me, leg: RegisterIdentity(me, leg["name"], leg.get("display", "")),
        ),
        "create-channel": (
            frozenset({"name"}),
            frozenset({"topic", "join-price", "access", "period", "slow-mode", "join-role"}),
            lambda me, leg: CreateChannel(
                me,
                leg["name"],
                parse_amount(leg.get("join-price", "0")),
                leg.get("topic", ""),
                _one(ACCESS, leg.get("access")) or 0,
                int(leg.get("period", "0")),
                int(leg.get("slow-mode", "0")),
                _one(ROLES, leg.get("join-role")) or 0,
            ),
        ),
        "join": (frozenset({"channel"}), frozenset(), lambda me, leg: JoinChannel(me, channel_of(leg["channel"]))),
        "post": (
            frozenset({"channel", "text"}),
            frozenset({"reply-to", "ttl"}),
            lambda me, leg: PostMessage(
                me,
                channel_of(leg["channel"]),
                leg["text"].encode(),
                int(leg["reply-to"]) + 1 if "reply-to" in leg else 0,
                int(leg.get("ttl", "0")),
            ),
        ),
        "tip": (
            frozenset({"channel", "index", "amount"}),
            frozenset(),
            lambda me, leg: Tip(
                me, channel_of(leg["channel"]), int(leg["index"]), parse_amount(leg["amount"], least=1)
            ),
        ),
        "pay-to-join": (
            frozenset({"channel", "max-price"}),
            frozenset({"min-period"}),
            lambda me, leg: PayToJoin(
                me, channel_of(leg["channel"]), parse_amount(leg["max-price"]), int(leg.get("min-period", "0"))
            ),
        ),
        "buy-allowance": (
            frozenset({"amount"}),
            frozenset(),
            lambda me, leg: BuyAllowance(me, parse_amount(leg["amount"], least=1)),
        ),
    }
)


def _who(leg: dict[str, str]) -> bytes:
    return Address().convert(leg["member"], None, None)


def _one(names: dict[str, int], said: str | None) -> int | None:
    """Raises ValueError."""
    if said is not None and said not in names:
        raise ValueError(f"{said!r}; allowed: {', '.join(names)}")
    return None if said is None else names[said]


def _edited(me: bytes, leg: dict[str, str]) -> EditChannel:
    price = leg.get("join-price")
    period_s, slow_mode_s = [int(leg[name]) if name in leg else None for name in ("period", "slow-mode")]
    archived = None if "archive" not in leg else bool(_one({"no": 0, "yes": 1}, leg["archive"]))
    return EditChannel(
        me, channel_of(leg["channel"]), leg.get("topic"), None if price is None else parse_amount(price), period_s,
        slow_mode_s, _one(ACCESS, leg.get("access")), _one(ROLES, leg.get("join-role")), archived,
    )  # fmt: skip


CHANNEL_AND_MEMBER = frozenset({"channel", "member"})
LEGS.update(
    {
        "edit-channel": (
            frozenset({"channel"}),
            frozenset({"topic", "join-price", "period", "slow-mode", "access", "join-role", "archive"}),
            _edited,
        ),
        "invite": (
            CHANNEL_AND_MEMBER,
            frozenset({"valid", "reads-back"}),
            lambda me, leg: InviteMember(
                me, channel_of(leg["channel"]), _who(leg), int(leg.get("valid", "604800")),
                bool(_one({"no": 0, "yes": 1}, leg.get("reads-back"))),
            ),
        ),
        "leave": (frozenset({"channel"}), frozenset(), lambda me, leg: LeaveChannel(me, channel_of(leg["channel"]))),
        "set-role": (
            CHANNEL_AND_MEMBER | {"role"},
            frozenset(),
            lambda me, leg: SetMemberRole(me, channel_of(leg["channel"]), _who(leg), _one(ROLES, leg["role"]) or 0),
        ),
        "ban": (
            CHANNEL_AND_MEMBER,
            frozenset({"for"}),
            lambda me, leg: BanMember(me, channel_of(leg["channel"]), _who(leg), int(leg.get("for", "0"))),
        ),
        "unban": (
            CHANNEL_AND_MEMBER,
            frozenset(),
            lambda me, leg: UnbanMember(me, channel_of(leg["channel"]), _who(leg)),
        ),
        "pin": (
            frozenset({"channel", "index"}),
            frozenset(),
            lambda me, leg: PinMessage(me, channel_of(leg["channel"]), int(leg["index"])),
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
    }
)  # fmt: skip


LEGS.update(
    {
        "edit-message": (
            frozenset({"channel", "index", "text"}),
            frozenset(),
            lambda me, leg: EditMessage(me, channel_of(leg["channel"]), int(leg["index"]), leg["text"].encode()),
        ),
        "retract": (
            frozenset({"channel", "index"}),
            frozenset(),
            lambda me, leg: RetractMessage(me, channel_of(leg["channel"]), int(leg["index"])),
        ),
        "react": (
            frozenset({"channel", "index", "reaction"}),
            frozenset(),
            lambda me, leg: React(
                me, channel_of(leg["channel"]), int(leg["index"]), ["none", *REACTIONS].index(leg["reaction"])
            ),
        ),
        "mark-read": (
            frozenset({"channel", "count"}),
            frozenset(),
            lambda me, leg: MarkRead(me, channel_of(leg["channel"]), int(leg["count"])),
        ),
    }
)


@query.command("message-state", cls=Command)
@click.argument("channel")
@click.argument("index", type=click.IntRange(0))
@proving
def query_message_state(channel: str, index: int, **how: Any) -> None:
    """What became of a message: its edits, how many reacted, whether it was retracted."""
    ask_record(STATES, channel_of(channel) + height_bytes(index), **how)


LEGS["open-direct"] = (
    frozenset({"to"}),
    frozenset(),
    lambda me, leg: OpenDirect(me, Address().convert(leg["to"], None, None)),
)
LEGS["begin-epoch"] = (frozenset({"channel"}), frozenset(), lambda me, leg: BeginEpoch(me, channel_of(leg["channel"])))


@query.command("direct", cls=Command)
@click.argument("one", type=Address())
@click.argument("other", type=Address())
@proving
def query_direct(one: bytes, other: bytes, **how: Any) -> None:
    """The conversation of two accounts; its id is a channel's, for all other commands."""
    cid = direct_id(one, other)
    ask(lambda c, prove, at: c.channel(cid, height=at, prove=prove), lambda p, a: p.channel(a, cid), **how)


@query.command("epoch", cls=Command)
@click.argument("channel")
@click.argument("epoch", type=click.IntRange(1))
@proving
def query_epoch(channel: str, epoch: int, **how: Any) -> None:
    """Which key an epoch of an encrypted channel has, by its commitment."""
    ask_record(EPOCHS, channel_of(channel) + height_bytes(epoch), **how)


@query.command("sealed-key", cls=Command)
@click.argument("channel")
@click.argument("epoch", type=click.IntRange(1))
@click.argument("who", type=Address())
@click.argument("device", type=Hash())
@proving
def query_sealed_key(channel: str, epoch: int, who: bytes, device: bytes, **how: Any) -> None:
    """The copy of an epoch's key that is sealed for a device: the 64 hex characters of its X25519 key."""
    ask_record(SEALED_KEYS, channel_of(channel) + height_bytes(epoch) + who + device, **how)


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


@query.command("identity", cls=Command)
@click.argument("who")
@proving
def query_identity(who: str, **how: Any) -> None:
    """An identity of the chat chain, by address or name."""
    if who.startswith("dchat1") or who.endswith(".json"):
        address = Address().convert(who, None, None)
        ask(
            lambda c, prove, at: c.identity(address, height=at, prove=prove), lambda p, a: p.identity(a, address), **how
        )
    else:
        ask(
            lambda c, prove, at: c.identity(name=who, height=at, prove=prove),
            lambda p, a: p.named_identity(a, who),
            **how,
        )


@query.command("channel", cls=Command)
@click.argument("channel")
@proving
def query_channel(channel: str, **how: Any) -> None:
    """A channel, by name or id."""
    cid = channel_of(channel)
    ask(lambda c, prove, at: c.channel(cid, height=at, prove=prove), lambda p, a: p.channel(a, cid), **how)


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


@query.command("message", cls=Command)
@click.argument("channel")
@click.argument("index", type=click.IntRange(0))
@proving
def query_message(channel: str, index: int, **how: Any) -> None:
    """A message of a channel."""
    cid = channel_of(channel)
    ask(
        lambda c, prove, at: c.message(cid, index, height=at, prove=prove), lambda p, a: p.message(a, cid, index), **how
    )


@query.command("messages", cls=Command)
@click.argument("channel")
@click.option("--from-index", type=click.IntRange(0), default=0, show_default=True)
@limit_option(100)
@proving
def query_messages(channel: str, from_index: int, limit: int, **how: Any) -> None:
    """Messages of a channel, in order."""
    cid = channel_of(channel)
    ask(
        lambda c, prove, at: c.messages(cid, from_index=from_index, limit=limit, height=at, prove=prove),
        lambda p, a: p.messages(a, cid, from_index),
        **how,
    )
