"""Escrows by command against a running node: opened, looked up and proved, delivered, awarded, required."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from chain.tx.messages import CreateChannel, RegisterIdentity, channel_id
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.cli.main import dchat
from dchat.client.client import ClientError
from dchat.client.wallet import Session
from proto.dchat.v1 import bridge_service_pb2 as pb
from tests.support.node.running import running_node


class Line:
    def __init__(self, home: Any, accounts: Path) -> None:
        self.home, self.accounts = home, accounts

    async def __call__(self, *words: object, sender: str = "", code: int = 0) -> Any:
        line = [str(word) for word in (*words, "--home", self.home)]
        line += ["--from", str(self.accounts / f"{sender}.json")] if sender else []
        done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
        assert done.exit_code == code, done.output
        return json.loads(done.stdout) if code == 0 else done.output


async def test_an_escrow_is_opened_looked_up_proved_and_paid(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            alice, bob = running.account("alice"), running.account("bob")
            call = Line(running.network.home_of(running.network.nodes[0]), running.network.folder / "accounts")
            alice_at, bob_at = call.accounts / "alice.json", call.accounts / "bob.json"
            await Session(client, alice.wallet).send([RegisterIdentity(alice.address, "alice", "")])
            await Session(client, bob.wallet).send([RegisterIdentity(bob.address, "bob", "")])
            await Session(client, bob.wallet).send([CreateChannel(bob.address, "poems", 0, "")])

            # pay on delivery
            terms = ("--to", bob_at, "--amount", 5, "--deadline", "2h", "--channel", "poems", "--text", "a rose")
            opened = await call("tx", "escrow", "pay-on-delivery", *terms, sender="alice")
            at = opened["receipt"]["legs"][0]["subject"]
            told = await call("query", "escrow", at, "--prove")
            assert (told["value"]["left"], told["value"]["conditions"][0]["posted"]["channel_id"]) == (
                5_000_000,
                channel_id("poems").hex(),
            )
            assert told["verified"]["what"].startswith("the escrow exists as told")
            await call("tx", "escrow", "release", at, "--message", 0, sender="bob", code=1)
            done = await call("tx", "escrow", "deliver", at, "--channel", "poems", "--text", "a rose", sender="bob")
            assert [leg["kind"] for leg in done["receipt"]["legs"]] == ["post_message", "release_escrow"]
            assert done["receipt"]["legs"][1]["amount"] == 5_000_000
            assert "there is no escrow" in await call("query", "escrow", at, code=3)

            # a bounty, in two parts; and what is open of whom, in pages
            ids = []
            for amount in (1, 2, 3):
                made = await call("tx", "escrow", "bounty", "--amount", amount, "--deadline", "1d", sender="alice")
                ids.append(made["receipt"]["legs"][0]["subject"])
            await call("tx", "escrow", "release", ids[2], "--to", bob_at, "--amount", "0.5", sender="alice")
            first = await call("query", "escrows", "--party", alice_at, "--limit", 2)
            then = await call("query", "escrows", "--party", alice_at, "--after", first["escrows"][-1]["id"])
            assert [row["id"] for row in (*first["escrows"], *then["escrows"])] == sorted(ids)
            assert len((await call("query", "escrows"))["escrows"]) == 3
            assert not (await call("query", "escrows", "--party", bob_at)).get("escrows")
            totals = (await call("query", "escrow-totals", "--prove"))["value"]
            assert (totals["opened"], totals["open"], totals["udchat_held"]) == (4, 3, 5_500_000)
            assert totals["udchat_released"] == 5_500_000

            # what a bundle requires, and a leg that names what another opened
            attest = ("tx", "attest", "--statement", "the parcel has come", "--until", "30d")
            needs = f"require what=attested by={bob_at} statement='the parcel has come'"
            pays = f"pay to={bob_at} amount=1"
            refused = await call("tx", "bundle", "--leg", needs, "--leg", pays, sender="alice", code=1)
            assert "what a bundle requires is the case" in refused
            await call(*attest, sender="bob")
            said = await call("query", "attestation", bob_at, "the parcel has come", "--prove")
            assert said["value"]["height"]
            await call("tx", "bundle", "--leg", needs, "--leg", pays, sender="alice")
            opens = f"open-escrow to={bob_at} amount=2 deadline=1h parties={alice_at}"
            made = await call(
                "tx", "bundle", "--leg", opens, "--leg", "release-escrow leg=1 amount=1.5", sender="alice"
            )
            legs = made["receipt"]["legs"]
            assert legs[0]["subject"] == legs[1]["subject"]
            await call("tx", "attest", "--statement", "the parcel has come", "--withdraw", sender="bob")
            gone = await call("query", "attestation", bob_at, sha256(b"the parcel has come").hex(), code=3)
            assert "there is no attestation" in gone

            # what the door does not take
            for request in (
                pb.ListEscrowsRequest(party=b"short"),
                pb.ListEscrowsRequest(after=b"short"),
                pb.ListEscrowsRequest(limit=101),
            ):
                with pytest.raises(ClientError):
                    await client.call(client.bridge.ListEscrows, request)


async def test_two_people_exchange_and_both_sign(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            alice, bob = running.account("alice"), running.account("bob")
            home, accounts = running.network.home_of(running.network.nodes[0]), running.network.folder / "accounts"
            ann, ben, deal = accounts / "alice.json", accounts / "bob.json", tmp_path / "deal.json"

            async def line(*words: object, code: int = 0) -> Any:
                said = [str(word) for word in (*words, "--home", home)]
                done = await asyncio.to_thread(CliRunner().invoke, dchat, said, prog_name="dchat")
                assert done.exit_code == code, done.output
                return done.output if code else done.stdout

            swap = ("tx", "exchange", "--with", ben, "--give", 5, "--take", 7, "--from", ann)
            assert "has signed nothing yet" in await line(*swap, code=1)
            await Session(client, bob.wallet).send([RegisterIdentity(bob.address, "bob", "")])
            assert "that is you" in await line("tx", "exchange", "--with", ann, *swap[4:], code=2)
            assert "--take or --their-leg" in await line(*swap[:6], "--from", ann, code=2)
            theirs = ("--their-leg", "create-channel name=poems", "--their-leg", "post channel=poems text='a rose'")
            deal.write_text(await line(*swap, *theirs))
            await line("tx", "sign", deal, "--from", ann)
            before = (await client.account(alice.address)).account.balance
            assert "not signed by" in await line("tx", "broadcast", deal, code=2)
            await line("tx", "sign", deal, "--from", ben)
            done = json.loads(await line("tx", "broadcast", deal))
            kinds = [leg["kind"] for leg in done["receipt"]["legs"]]
            assert kinds == ["payment", "payment", "create_channel", "post_message"]
            after = (await client.account(alice.address)).account.balance
            assert after == before + 2_000_000 - done["receipt"]["fee_paid"]
            await Session(client, alice.wallet).send([RegisterIdentity(alice.address, "alice", "")])
            club = ("tx", "create-channel", "--name", "club", "--join-price", 2, "--period", 3_600, "--from", ben)
            await line(*club)
            terms = ("--channel", "club", "--periods", 3, "--max-price", 2, "--min-period", 3_600)
            done = json.loads(await line("tx", "subscribe", *terms, "--from", ann))
            assert [leg["amount"] for leg in done["receipt"]["legs"]] == [2_000_000] * 3
            leg = ("--leg", f"pay as={ben} to={ann} amount=1")
            assert "others act in it too" in await line("tx", "bundle", *leg, "--from", ann, code=2)
            await line("tx", "bundle", *leg, "--from", ann, "--generate-only")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("open", "--amount", "5", "--deadline", "2h"), "nobody could release it"),
        (("open", "--amount", "5", "--deadline", "soon", "--if", "after time=1h"), "allowed: 90s, 10m, 1h, 7d"),
        (("open", "--amount", "5", "--deadline", "2h", "--if", "after time=1h"), "say --to"),
        (("open", "--amount", "5", "--deadline", "2h", "--if", "rain"), "unknown condition 'rain'"),
        (("open", "--amount", "5", "--deadline", "2h", "--if", "member channel=x"), "allowed: balance who="),
        (("open", "--amount", "5", "--deadline", "2h", "--if", "posted channel=x"), "text= or hash="),
        (("open", "--amount", "0", "--deadline", "2h"), "too little"),
        (("release", "zz"), "expected 64 hex characters"),
    ],
)
def test_what_makes_no_sense_is_said_before_a_node_is_asked(words: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(dchat, ["tx", "escrow", *words], prog_name="dchat")
    assert done.exit_code == 2, done.output
    assert said in done.output


async def test_several_pay_units_into_one_and_have_them_back(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            call = Line(running.network.home_of(running.network.nodes[0]), running.network.folder / "accounts")
            alice_at, bob_at, carol_at = (call.accounts / f"{name}.json" for name in ("alice", "bob", "carol"))
            gold = f"factory/{encode_address(running.account('alice').address)}/gold"
            await call("tx", "denom", "create", "gold", sender="alice")
            for to in (alice_at, carol_at):
                await call("tx", "denom", "mint", gold, "--amount", 10, "--to", to, sender="alice")
            terms = ("--denom", gold, "--deadline", "2d", "--to", bob_at, "--party", alice_at, "--amount", 4)
            for wrong, said in (
                (("--share", f"{carol_at}=3"), "--share and --pay-until: both or neither"),
                (("--share", f"{carol_at}", "--pay-until", "1d"), "is not WHO=AMOUNT"),
            ):
                assert said in await call("tx", "escrow", "open", *terms, *wrong, sender="alice", code=2)
            made = await call(
                "tx", "escrow", "open", *terms, "--share", f"{carol_at}=3", "--pay-until", "1d", sender="alice"
            )
            at = made["receipt"]["legs"][0]["subject"]
            said = await call("tx", "escrow", "release", at, sender="alice", code=1)
            assert "somebody has not paid his share" in said
            holds = f'holds 4 {gold}, and --amount is 3000000 udchat: say --amount "5 {gold}"'
            assert holds in await call("tx", "escrow", "pay", at, "--amount", 3, sender="carol", code=2)
            said = await call("tx", "escrow", "pay", at, "--amount", f"2 {gold}", sender="carol", code=1)
            assert "no such share of yours" in said
            await call("tx", "escrow", "pay", at, "--amount", f"3 {gold}", sender="carol")
            told = (await call("query", "escrow", at, "--prove"))["value"]
            assert (told["left"], told["amount"], "pay_until_time" in told) == (7, 7, False)
            assert told["shares"] == [
                {"payer": encode_address(running.account("carol").address), "amount": 3, "paid": True}
            ]
            await call("tx", "escrow", "release", at, "--amount", 2, "--denom", gold, sender="alice")
            assert "give all of it back" in await call(
                "tx", "escrow", "release", at, "--amount", f"1 {gold}", "--to", alice_at, sender="bob", code=1
            )
            await call("tx", "escrow", "release", at, "--to", alice_at, sender="bob")
            held = [
                (await call("query", "holding", who, gold))["value"]["amount"] for who in (alice_at, bob_at, carol_at)
            ]
            assert held == [9, 2, 9], "five of seven: two of three, and what is left of four"
            legs = (
                f"open-escrow denom={gold} to={bob_at} amount=1 deadline=1d parties={alice_at}",
                f"release-escrow leg=1 amount=1 denom={gold}",
                f"require what=balance who={bob_at} amount=3 denom={gold}",
            )
            await call("tx", "bundle", *[word for leg in legs for word in ("--leg", leg)], sender="alice")
            draft = (
                f"open-escrow to={bob_at} amount=1 deadline=1d parties={alice_at} shares={carol_at}=2 pay-until=1h",
                f"pay-share as={carol_at} leg=1 amount=2",
            )
            line = [str(word) for leg in draft for word in ("--leg", leg)]
            drafted = await call("tx", "bundle", *line, "--generate-only", sender="alice")
            assert "open_shared_escrow" in json.dumps(drafted)
