"""`dchat tx` and `dchat query` of encrypted channels: epochs and their keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from chain.chat.channels.keys import EPOCHS, SEALED_KEYS
from chain.tx.codec import height_bytes
from chain.tx.messages.chat.epochs import BeginEpoch, PublishEpochKeys, SealedCopy
from crypto.bech32 import decode_address
from dchat.cli.chat.words import channel_of, channel_option
from dchat.cli.commands.query_commands import ask_record, proving, query
from dchat.cli.commands.tx_commands import LEGS, send, sending, tx
from dchat.cli.terminal.ask import Address, Hash
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, read_input

COPIES_BYTES_MAX = 16 << 20  # a transaction takes far fewer


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
    keys = _sealed_copies(read_input(copies, COPIES_BYTES_MAX))
    send(lambda me: [PublishEpochKeys(me, channel_of(channel), epoch, commitment, keys)], options)


def _sealed_copies(text: bytes) -> tuple[SealedCopy, ...]:
    try:
        found = [
            SealedCopy(decode_address(one["member"]), bytes.fromhex(one["device"]), bytes.fromhex(one["sealed"]))
            for one in json.loads(text)
        ]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Refusal(f"--copies: no list of sealed copies: {error}", Exit.USAGE) from None
    return tuple(sorted(found))


@tx.command("begin-epoch", cls=Command)
@channel_option
@sending
def begin_epoch(channel: str, **options: Any) -> None:
    """Begin an epoch of an encrypted channel: what is posted from now on has another key."""
    send(lambda me: [BeginEpoch(me, channel_of(channel))], options)


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


LEGS["begin-epoch"] = (frozenset({"channel"}), frozenset(), lambda me, leg: BeginEpoch(me, channel_of(leg["channel"])))
