"""`dchat proof`: a message of a channel, shown to whoever has one block's hash, in one file (docs/proof-pack.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from chain.currency.denominations.records import name_of
from chain.kernel.event_text import coins
from chain.tx.messages.payments import Denom
from chain.tx.units import in_dchat
from consensus.formats.timestamps import format_rfc3339
from consensus.system.files import whole
from crypto.bech32 import encode_address
from crypto.hash import ADDRESS_BYTES
from dchat.cli.chat.words import channel_of
from dchat.cli.terminal.ask import ChainId, Hash, node_option, run
from dchat.cli.terminal.base import Command, Exit, Group, InputFile, Refusal, echo, show_json
from dchat.cli.terminal.trust import root_of_trust, trust_options
from dchat.client.client import Client
from dchat.client.pack import FILE_BYTES_MAX, InvalidPack, Pack
from dchat.client.pack_make import PAID_MAX, Made, make_pack
from dchat.client.pack_verify import PaidLeg, ShownMessage, ShownTx, verify_pack
from dchat.client.verify import Trust, Verifier

NOT_SHOWN = (
    "whether it was edited, retracted or forgotten since; who holds the key; what was paid elsewhere. "
    "That the trusted block is the chain's is your word"
)


@click.group(cls=Group)
def proof() -> None:
    """A message, its order, its key and what was paid for it, in a file that is checked without a node."""


@proof.command("make", cls=Command)
@click.argument("channel")
@click.argument("index", type=click.IntRange(0))
@click.option("--to", "file", required=True, type=click.Path(dir_okay=False, path_type=Path), help="A new file.")
@click.option("--tx", "tx_hash", type=Hash(), default=None, help="What posted it. Default: the node is asked.")
@click.option("--paid", multiple=True, type=Hash(), help=f"Show this transaction too; up to {PAID_MAX}.")
@click.option(
    "--begin",
    type=click.IntRange(1),
    default=None,
    help="The block that readers trust. Default: the one after the lowest that is in it, for the shortest file.",
)
@trust_options
@node_option
def make(
    channel: str, index: int, file: Path, tx_hash: bytes | None, paid: tuple[bytes, ...], begin: int | None, **how: Any
) -> None:
    """Write what shows message INDEX of CHANNEL (name or id) to whoever has one block's hash.

    What the node says is verified from --trust or the genesis on, and the file once more, before it is written.
    """
    if len(paid) > PAID_MAX:
        raise Refusal(f"--paid {len(paid)} times; allowed: {PAID_MAX}", Exit.USAGE)
    if file.exists():
        raise Refusal(f"{file} is there already: name another file", Exit.USAGE)
    trust, wanted = root_of_trust(how["trust"], how["genesis_file"]), channel_of(channel)

    async def work(client: Client) -> Made:
        verifier = Verifier(client, trust, chain_id=trust.genesis.chain_id if trust.genesis is not None else "")
        return await make_pack(verifier, wanted, index, tx_hash=tx_hash or b"", paid=paid, begin=begin or 0)

    made = run(work, how["node"])
    try:
        new = file.open("xb")
        with whole(file), new as opened:
            opened.write(made.data)
    except OSError as error:
        raise Refusal(f"{file} cannot be written: {error.strerror}", Exit.USAGE) from None
    begins = str(Trust(made.begins.height, made.begins.hash, None))
    show_json({**_document(made.shown), "file": str(file), "bytes": len(made.data), "begins": begins})
    echo(f"wrote {file}, {len(made.data)} bytes: dchat proof verify {file} --trust {begins}", err=True)


@proof.command("verify", cls=Command)
@click.argument("file", type=InputFile())
@click.option(
    "--trust", required=True, metavar="HEIGHT:HASH", help="The block that you trust: its hash fixes all else."
)
@click.option("--chain-id", type=ChainId(), default=None, help="Refuse a file of another chain.")
def verify(file: Path, trust: str, chain_id: str | None) -> None:
    """Check FILE offline and say what it shows, and what it does not. Exit code 5: it shows nothing."""
    try:
        root = Trust.parse(trust)
    except ValueError as error:
        raise Refusal(str(error), Exit.USAGE) from None
    assert root.hash is not None
    with file.open("rb") as opened:
        data = opened.read(FILE_BYTES_MAX + 1)
    try:
        shown = verify_pack(Pack.decode(data), height=root.height, block_hash=root.hash)
    except InvalidPack as error:
        raise Refusal(f"{file} shows nothing: {error}", Exit.PROOF) from None
    if chain_id is not None and chain_id != shown.chain_id:
        raise Refusal(f"{file} is of the chain {shown.chain_id!r}, not {chain_id!r}", Exit.PROOF)
    show_json({**_document(shown), "trusted": str(root)})
    for line in (*_sentences(shown), f"by block {root}{_way(shown)}", f"not shown: {NOT_SHOWN}"):
        echo(line, err=True)


def _document(shown: ShownMessage) -> dict[str, Any]:
    return {
        "chain_id": shown.chain_id,
        "channel_id": shown.channel_id.hex(),
        "index": shown.index,
        "author": encode_address(shown.author),
        "content": _text(shown.content),
        "reply_to": shown.reply_to - 1 if shown.reply_to else None,
        "height": shown.height,
        "time": format_rfc3339(shown.time_ns),
        "keys": [key.hex() for key in shown.keys],
        "address_is_of_key": shown.own_key,
        "transactions": [_tx_document(tx) for tx in shown.txs],
        "links": shown.links,
        "commits": shown.commits,
    }


def _tx_document(tx: ShownTx) -> dict[str, Any]:
    legs = [
        {"kind": leg.kind, "amount": _amount(leg), "by": encode_address(leg.payer) if leg.payer else None}
        | ({"is": leg.why} if leg.why else {})
        for leg in tx.legs
    ]
    payer = encode_address(tx.fee_payer)
    return {
        "hash": tx.hash.hex(), "height": tx.height, "position": tx.position, "fee": coins(tx.fee), "fee_payer": payer,
        "legs": legs,
    }  # fmt: skip


def _amount(leg: PaidLeg) -> str:
    """For programs: as the chain's events have it."""
    return coins(leg.amount) if leg.unit == b"" else f"{leg.amount}{_unit(leg)}"


def _moved(leg: PaidLeg) -> str:
    if not leg.amount:
        return leg.kind
    return f"{leg.kind} {in_dchat(leg.amount) if leg.unit == b'' else f'{leg.amount} units of {_unit(leg)}'}"


def _unit(leg: PaidLeg) -> str:
    """What is no udchat."""
    if leg.unit is None:
        return " of what the escrow holds"
    creator, name = leg.unit[:ADDRESS_BYTES], leg.unit[ADDRESS_BYTES:]
    return name_of(Denom(creator, name.decode()))


def _text(content: bytes) -> str:
    """As text where it is text, else in hex."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"0x{content.hex()}"


def _sentences(shown: ShownMessage) -> list[str]:
    author, first = encode_address(shown.author), shown.txs[0]
    said = [
        f"shown: {author} posted message {shown.index} of channel {shown.channel_id.hex()}, chain {shown.chain_id}, in "
        f"block {shown.height} ({format_rfc3339(shown.time_ns)}): {len(shown.content)} bytes",
        f"signed: by {', '.join(key.hex() for key in shown.keys)}, "
        + (
            "the author's address is the hash of this key, or of the key policy that the transaction carries"
            if shown.own_key
            else "which the chain took for the author's: the address is the hash of other keys"
        ),
    ]
    for tx in shown.txs:
        what = "with it" if tx is first else f"in transaction {tx.hash.hex()} of block {tx.height}"
        legs = [f"{_moved(leg)}, {leg.why or 'not tied to the message by the chain'}" for leg in tx.legs]
        fee = f"a fee of {in_dchat(tx.fee)}" if tx.fee else "no fee, but of the payer's allowance"
        said.append("; ".join([f"paid: {what}, {fee} by {encode_address(tx.fee_payer)}", *legs]))
    return said


def _way(shown: ShownMessage) -> str:
    """What the way from the trusted block rests on."""
    parts = [f"{shown.links} headers by their hash"] if shown.links else []
    if shown.commits:
        parts.append(f"{shown.commits} by two thirds of the set it names: that these signed no other history")
    return f", by {' and '.join(parts)}" if parts else ""
