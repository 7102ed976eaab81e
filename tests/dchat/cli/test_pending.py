"""`dchat query pending`, `dchat tx replace`: what waits, why, and another in its place."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from chain.tx.envelope.build import Seat, build_tx
from chain.tx.envelope.tx import decode
from chain.tx.messages import Payment
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.cli.main import dchat
from dchat.cli.signing.pending_commands import dearer, require_wanted
from dchat.cli.terminal.base import Refusal
from dchat.client.client import Client, ClientError
from proto.dchat.v1 import service_pb2
from tests.support.chain.harness import wallet
from tests.support.node.running import running_node

GAS = 40_000


def call(*line: object) -> Result:
    return CliRunner().invoke(dchat, [str(word) for word in line], prog_name="dchat")


def payment(who: Any, chain_id: str, sequence: int, fee: int, gas: int = GAS) -> bytes:
    message = Payment(who.address, bytes(20), 1)
    seats = [Seat(who, sequence, with_policy=True)]
    return build_tx(chain_id=chain_id, messages=[message], seats=seats, gas_limit=gas, fee=fee)


async def test_what_waits_is_shown_with_its_reason_and_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its proposals are empty here, so that it waits."""
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            home = running.network.home_of(running.network.nodes[0])
            alice = running.network.folder / running.network.accounts["alice"]
            who, chain_id = running.account("alice").wallet, running.network.chain_id
            first, *more = [payment(who, chain_id, sequence, 4_000) for sequence in range(3)]
            await client.broadcast(first, wait_commit=True)
            monkeypatch.setattr(running.node.pool, "reap", lambda **_: [])
            for tx in more:
                assert (await client.broadcast(tx, wait_commit=False)).code == 0

            async def run(*line: object) -> Any:
                done = await asyncio.to_thread(call, *line, "--home", home)
                assert done.exit_code == 0, done.output
                return json.loads(done.stdout)

            shown = (await run("query", "pending", encode_address(who.address)))["txs"]
            assert [one["hash"] for one in shown] == [sha256(tx).hex() for tx in more]
            assert shown[0]["why"] == "for the next block that has room"
            assert shown[1]["why"] == f"behind {sha256(more[0]).hex()} of the same order"
            assert [one["priority"] for one in shown] == [1_000, 1_000]
            in_words = shown[0]["in_words"]
            assert in_words[0] == f"signed by {encode_address(who.address)}"
            assert any(line.startswith("fee 0.004000 DCHAT, for up to 40000 gas") for line in in_words)
            assert any(line.startswith("message 1: payment: sender ") for line in in_words)
            assert re.fullmatch(
                r"waits since block \d+, \d+ blocks ago: for the next block that has room", in_words[-1]
            ), in_words
            done = await run("query", "tx", sha256(first).hex(), "--node", running.grpc)
            assert done["in_words"][0] == in_words[0]
            assert any(line.startswith("message 1: payment: sender ") for line in done["in_words"])
            assert done["tx"] == first.hex()
            bob = running.network.folder / running.network.accounts["bob"]
            for tx, whose, says in (
                (more[0], bob, f"is signed by {encode_address(who.address)}, and not by --from"),
                (first, alice, "waits no more: block "),
            ):
                line = ("tx", "replace", sha256(tx).hex(), "--from", whose, "--home", home, "--believe-node")
                done = await asyncio.to_thread(call, *line)
                assert done.exit_code, done.output
                assert says in done.output
            (one,) = (await client.pending_tx(sha256(more[1]))).txs
            assert (one.tx, one.why) == (more[1], f"behind {sha256(more[0]).hex()} of the same order")
            for wrong in ({"hash": b"abc"}, {"hash": bytes(32), "address": who.address}):
                with pytest.raises(ClientError, match=r"hash has .* bytes; expected 32, and no address"):
                    await client.call(client.txs.ListPending, service_pb2.ListPendingRequest(**wrong))
            told = await run(
                "tx", "replace", sha256(more[0]).hex(), "--from", alice, "--wait", "admission", "--fee", "9000udchat"
            )
            left = (await client.pending(who.address)).txs
            assert [one.hash for one in left] == [bytes.fromhex(told["hash"]), sha256(more[1])]
            assert (decode(left[0].tx).fee, decode(left[0].tx).messages) == (9_000, decode(more[0]).messages)
            again = await asyncio.to_thread(
                call, "tx", "replace", sha256(more[0]).hex(), "--from", alice, "--home", home, "--believe-node"
            )
            assert again.exit_code
            assert "does not wait at this node" in again.output
            with pytest.raises(ClientError, match="address has 3 bytes"):
                await client.pending(b"abc")


@pytest.mark.parametrize(
    ("fee", "fee_max", "says"),
    [
        pytest.param(4_399, 10**6, "needed: 4400 udchat at least", id="too little"),
        pytest.param(None, 4_000, "allowed: 4000", id="more than is allowed unasked"),
    ],
)
def test_a_fee_that_is_not_enough_or_too_much_is_refused_before_anything_is_sent(
    fee: int | None, fee_max: int, says: str
) -> None:
    who = wallet("ann")
    with pytest.raises(Refusal, match=says):
        dearer(payment(who, "c", 0, 4_000), who, chain_id="c", fee=fee, fee_max=fee_max)


def test_only_what_bears_ones_own_signature_is_signed_again() -> None:
    """A node that lies about what waits gets nothing signed."""
    ann, ben = wallet("ann"), wallet("ben")
    with pytest.raises(Refusal, match="not signed by this key"):
        dearer(payment(ben, "c", 0, 4_000), ann, chain_id="c", fee=None, fee_max=10**6)
    theirs = payment(ann, "c", 0, 4_000)
    forged = theirs[:-1] + bytes((theirs[-1] ^ 1,))
    with pytest.raises(Refusal, match="not signed by this key"):
        dearer(forged, ann, chain_id="c", fee=None, fee_max=10**6)


def test_what_the_same_key_signed_for_another_chain_is_not_signed_again() -> None:
    """audit 34: a node that shows it as waiting here would have it made dearer there."""
    who = wallet("ann")
    with pytest.raises(Refusal, match="of chain 'other', this would be signed for 'c'"):
        dearer(payment(who, "other", 0, 4_000), who, chain_id="c", fee=None, fee_max=10**6)


@pytest.mark.parametrize(("answer", "wanted"), [(True, True), (False, False)])
def test_at_a_terminal_it_is_read_before_it_is_handed_in(
    answer: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(click, "confirm", lambda *_, **__: answer)
    new = decode(payment(wallet("ann"), "c", 0, 4_000))
    with contextlib.nullcontext() if wanted else pytest.raises(Refusal, match="nothing was handed in"):
        require_wanted(new)
    told = capsys.readouterr().err
    assert "chain c, lane currency" in told
    assert f"message 1: payment: sender {encode_address(wallet('ann').address)}" in told


async def test_a_node_that_shows_one_of_another_chain_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            who = running.account("alice").wallet
            home = running.network.home_of(running.network.nodes[0])
            alice = running.network.folder / running.network.accounts["alice"]
            theirs = payment(who, "other", 0, 4_000)
            shown = service_pb2.ListPendingResponse(txs=[service_pb2.PendingTx(hash=sha256(theirs), tx=theirs)])

            async def pending(self: Client, address: bytes) -> service_pb2.ListPendingResponse:
                return shown

            monkeypatch.setattr(Client, "pending", pending)
            line = ("tx", "replace", sha256(theirs).hex(), "--from", alice, "--home", home)
            done = await asyncio.to_thread(call, *line)
            assert done.exit_code
            assert "it is of chain 'other'" in done.output


def test_one_without_gas_to_spare_is_given_some() -> None:
    who = wallet("ann")
    least = decode(payment(who, "c", 0, 100)).intrinsic_gas
    new = dearer(payment(who, "c", 0, 120, gas=least), who, chain_id="c", fee=200, fee_max=10**6)
    assert new.fee == 200
    assert new.gas_limit >= new.intrinsic_gas
