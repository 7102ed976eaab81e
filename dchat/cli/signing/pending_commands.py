"""`dchat query pending`, `dchat tx replace`: what waits at a node, and how to have it go sooner."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from chain.tx.envelope.build import Wallet, sign_body
from chain.tx.envelope.tx import Tx, decode
from chain.tx.errors import GasLimitTooLow, TxError
from crypto.hash import sha256
from crypto.keys import ed25519_verify
from dchat.cli.commands.query_commands import plain, query
from dchat.cli.commands.tx_commands import hand_in, handing_in, tx
from dchat.cli.terminal.ask import Address, Amount, Hash, account_from, node_option
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, echo
from dchat.cli.terminal.drafts import in_words, signers_of, words
from dchat.cli.terminal.trust import Signing
from dchat.client.client import Client, NotFound, quoted
from dchat.client.wallet import FEE_MAX, Outcome, Session, decoded
from dchat.shown.messages import message_json
from proto.dchat.v1 import service_pb2, tx_pb2

GAS_MORE = 200  # a higher fee takes a byte or two more
MORE_PERCENT = 110


@query.command("pending", cls=Command)
@click.argument("address", type=Address())
@node_option
def query_pending(address: bytes, node: str | None) -> None:
    """What an account has waiting at a node, in words, and why it waits. Other nodes may have more or less."""
    plain(lambda client: client.pending(address), node, pending_json)


def pending_json(answer: service_pb2.ListPendingResponse) -> dict[str, Any]:
    """With what each is, whose, since when, in words: read from its bytes."""
    shown = message_json(answer)
    shown["txs"] = [
        {"in_words": waits_in_words(one, answer.height), **row}
        for one, row in zip(answer.txs, shown.get("txs", []), strict=True)
    ]
    return shown


def waits_in_words(one: service_pb2.PendingTx, height: int) -> list[str]:
    """A line a thing. height: the last block's, by the node's word."""
    blocks = max(height - one.since_height, 0)
    return [*in_words(one.tx), f"waits since block {one.since_height}, {blocks} blocks ago: {quoted(one.why)}"]


@tx.command("replace", cls=Command)
@click.argument("tx_hash", metavar="HASH", type=Hash())
@click.option("--fee", type=Amount(), help="Default: the least that takes its place, a tenth more.")
@click.option("--max-fee", type=Amount(), default=FEE_MAX, help="Of the default fee. Default: 1 DCHAT.")
@click.option("--from", "sender", type=InputFile(), help="Identity or account file. Default: home's.")
@handing_in
def replace_tx(tx_hash: bytes, fee: int | None, max_fee: int, **options: Any) -> None:
    """Sign a transaction of yours that waits once more, with a higher fee: of both only one can be executed.

    The node that is asked must have it (dchat query pending shows what it has). What it says is signed only if it is of
    this chain and bears your own signature already; at a terminal you read it first, and say yes.
    """
    who = account_from(options["sender"])
    wallet = who.wallet
    if not isinstance(wallet, Wallet):
        raise Refusal("the account has several keys: make a draft with its --sequence and a higher --fee", Exit.USAGE)

    async def work(session: Session, how: dict[str, bool]) -> Outcome:
        waiting = (await session.client.pending(who.address)).txs
        found = next((one.tx for one in waiting if sha256(one.tx) == tx_hash), None)
        if found is None:
            raise Refusal(await where_it_is(session.client, tx_hash))
        facts = await session.facts()
        new = dearer(found, wallet, chain_id=facts.chain_id, fee=fee, fee_max=max_fee)
        require_wanted(new)
        return await session.hand_in(new, **how)

    hand_in(work, wallet, Signing.of(options), options)


async def where_it_is(client: Client, tx_hash: bytes) -> str:
    """What is said of one that is not among those of the account that wait, by the node's word."""
    said = tx_hash.hex()
    for one in (await client.pending_tx(tx_hash)).txs:
        with contextlib.suppress(TxError):
            if sha256(one.tx) == tx_hash:
                whose = signers_of(decode(one.tx))
                return f"{said} is signed by {whose}, and not by --from: only who signed it can replace it"
    with contextlib.suppress(NotFound):
        height = (await client.tx(tx_hash)).height
        return f"{said} waits no more: block {height} has it (dchat query tx {said})"
    return f"{said} does not wait at this node, and no block that it has holds it: ask another node"


def require_wanted(new: Tx) -> None:
    """Say what it does, which a node said first, and ask whether to hand it in, where somebody sits. Raises Refusal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    for line in words(new, tx_pb2.TxBody.FromString(new.body).memo):
        echo(line, err=True)
    if not click.confirm("Hand this in, in place of the one that waits?", err=True):
        raise Refusal("nothing was handed in", Exit.USAGE)


def dearer(raw: bytes, wallet: Wallet, *, chain_id: str, fee: int | None, fee_max: int) -> Tx:
    """It once more, with another fee, signed by the wallet that signed it. chain_id: of the chain that is signed for:
    the same key may have signed for others. Raises Refusal."""
    old = decoded(raw)
    if old.chain_id != chain_id:
        raise Refusal(f"it is of chain {quoted(old.chain_id)!r}, this would be signed for {chain_id!r}", Exit.USAGE)
    signed = [ed25519_verify(key, message, signature) for key, message, signature in old.checks()]
    if [key for _, key, _ in old.signatures] != [wallet.public_key] or not all(signed):
        raise Refusal("it is not signed by this key, alone", Exit.USAGE)
    if old.unordered or not old.fee:
        raise Refusal("it is unordered, or pays no fee: nothing can have its place", Exit.USAGE)
    body = tx_pb2.TxBody.FromString(old.body)
    least = -(-old.fee * MORE_PERCENT // 100)
    body.fee = least if fee is None else fee
    try:
        new = decode(_signed(body, wallet))
    except GasLimitTooLow:  # it had no gas to spare, and the fee takes a byte more
        body.gas_limit += GAS_MORE
        least = max(least, -(-old.fee * body.gas_limit * MORE_PERCENT // (100 * old.gas_limit)))
        body.fee = least if fee is None else fee
        new = decode(_signed(body, wallet))
    except TxError as error:
        raise Refusal(f"this cannot be a transaction: {error.log}", Exit.USAGE) from None
    if new.fee < least:
        raise Refusal(f"--fee is {new.fee} udchat; needed: {least} udchat at least, a tenth more", Exit.USAGE)
    if fee is None and new.fee > fee_max:
        raise Refusal(f"the fee is {new.fee} udchat; allowed: {fee_max} (--max-fee, or --fee)", Exit.USAGE)
    return new


def _signed(body: tx_pb2.TxBody, wallet: Wallet) -> bytes:
    return sign_body(body.SerializeToString(deterministic=True), [wallet])
