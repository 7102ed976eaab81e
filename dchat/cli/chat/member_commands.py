"""`dchat query` of who is in channels, and which channels somebody is in: docs/chat.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from google.protobuf.message import Message

from dchat.cli.chat.words import channel_of
from dchat.cli.commands.denomination_commands import CURSOR, Cursor
from dchat.cli.commands.query_commands import plain, query
from dchat.cli.terminal.ask import Address, height_option, limit_option, node_option
from dchat.cli.terminal.base import Command
from dchat.client.client import Client
from proto.dchat.v1 import channel_service_pb2 as pb


def _listing(command: Callable[..., Any]) -> Callable[..., Any]:
    after = click.option("--after", type=Cursor(), default=b"", help=CURSOR)
    return after(limit_option(100)(height_option(node_option(command))))


def _show(call: Callable[[Client], Any], request: Message, node: str | None) -> None:
    plain(lambda client: client.call(call(client), request), node)


@query.command("members", cls=Command)
@click.argument("channel")
@_listing
def query_members(channel: str, node: str | None, **page: Any) -> None:
    """Who is in a channel: role, since when, until when."""
    request = pb.ListMembersRequest(channel_id=channel_of(channel), **page)
    _show(lambda client: client.members.ListMembers, request, node)


@query.command("memberships", cls=Command)
@click.argument("member", type=Address())
@_listing
def query_memberships(member: bytes, node: str | None, **page: Any) -> None:
    """The channels and conversations somebody is in, and how much of each they have read."""
    request = pb.ListMembershipsRequest(member=member, **page)
    _show(lambda client: client.members.ListMemberships, request, node)


@query.command("bans", cls=Command)
@click.argument("channel")
@_listing
def query_bans(channel: str, node: str | None, **page: Any) -> None:
    """Whom a channel keeps out, by whom and until when."""
    request = pb.ListBansRequest(channel_id=channel_of(channel), **page)
    _show(lambda client: client.members.ListBans, request, node)


@query.command("invitations", cls=Command)
@click.argument("channel")
@_listing
def query_invitations(channel: str, node: str | None, **page: Any) -> None:
    """Who is invited to a channel and has not come yet."""
    request = pb.ListInvitationsRequest(channel_id=channel_of(channel), **page)
    _show(lambda client: client.members.ListInvitations, request, node)
