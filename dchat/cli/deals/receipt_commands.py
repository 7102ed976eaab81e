"""`dchat query receipts` and `dchat query bridge`: what became of bundles, and whether the books agree."""

from __future__ import annotations

from typing import Any

import click

from dchat.cli.commands.query_commands import is_for_people, plain, query, receipt_in_words
from dchat.cli.terminal.ask import Address, height_option, limit_option, node_option
from dchat.cli.terminal.base import Command, Exit, Refusal
from dchat.shown.messages import message_json
from proto.dchat.v1 import bridge_service_pb2 as pb


@query.command("receipts", cls=Command)
@click.option("--party", type=Address(), help="Only of bundles that this account signed.")
@click.option("--from-height", type=click.IntRange(0), default=0)
@click.option("--to-height", type=click.IntRange(0), default=0, help="That block included. Default: to the end.")
@click.option("--after", default="", metavar="NEXT", help="Go on where a page said: its `next`.")
@limit_option(100)
@height_option
@node_option
def query_receipts(
    party: bytes | None, from_height: int, to_height: int, after: str, limit: int, height: int, node: str | None
) -> None:
    """Receipts of bundles that are kept, done or failed, by height."""
    try:
        cursor = bytes.fromhex(after)
    except ValueError:
        raise Refusal(f"--after is {after!r}; expected the `next` of a page", Exit.USAGE) from None
    request = pb.ListReceiptsRequest(
        party=party or b"", from_height=from_height, to_height=to_height, after=cursor, limit=limit, height=height
    )
    plain(lambda client: client.call(client.bridge.ListReceipts, request), node, show=_receipts_json)


def _receipts_json(answer: pb.ListReceiptsResponse) -> dict[str, Any]:
    shown = message_json(answer)
    if is_for_people():
        pairs = zip(answer.receipts, shown["receipts"], strict=True)
        shown["receipts"] = [receipt_in_words(one, told) for one, told in pairs]
    return shown


@query.command("bridge", cls=Command)
@height_option
@node_option
def query_bridge(height: int, node: str | None) -> None:
    """Both chains' roots as each one's tree has them, what the bridge holds for whom, and whether all of it agrees."""
    plain(lambda client: client.call(client.bridge.GetBridgeStatus, pb.GetBridgeStatusRequest(height=height)), node)
