"""An account of several keys by commands alone: made, paid into, signed for by one after another, its keys changed.

And what each step refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from chain.tx.envelope.build import Seat, Shared, build_body
from chain.tx.messages import Payment, PostMessage
from chain.tx.messages.escrow import EscrowReference, ReleaseEscrow
from chain.tx.policies import Group, threshold_policy
from dchat.cli.main import dchat
from dchat.cli.terminal.base import Refusal
from dchat.cli.terminal.drafts import Draft, read_draft
from dchat.home import identity
from dchat.home.accounts import load_account
from dchat.home.errors import IdentityError
from tests.support.chain.harness import wallet
from tests.support.node.running import Running, running_node

BOB = "dchat1y2u5z6r60unwmq03n4gvurgn07aty0q9q4cq84"
DCHAT = 10**6
HEBREW = "\u05d0\u05d1\u05d2".encode()


def call(*line: object, code: int = 0) -> Result:
    done = CliRunner().invoke(dchat, [str(word) for word in line], prog_name="dchat")
    assert done.exit_code == code, done.output
    return done


def keys(folder: Path, *names: str) -> dict[str, Path]:
    for name in names:
        call("keygen", "--output", folder / f"{name}.json")
    return {name: folder / f"{name}.json" for name in names}


def board_of(folder: Path, *, name: str = "board", options: tuple[object, ...] = ()) -> Path:
    """Two of: a, b, or two of c, d, e."""
    group = ",".join(str(folder / f"{each}.json") for each in "cde")
    members = ("--member", folder / "a.json", "--member", folder / "b.json", "--member", f"2:{group}")
    call("keygen", "--multisig", 2, *members, "--output", folder / f"{name}.json", *options)
    return folder / f"{name}.json"


@dataclass
class Team:
    """Commands at a node: of a board with money, and the people who sign for it."""

    folder: Path
    running: Running
    people: dict[str, Path]
    board: Path

    @property
    def nowhere(self) -> tuple[object, ...]:
        """Whoever signs has neither node nor genesis."""
        return "--home", self.folder / "nowhere"

    async def run(self, *line: object, code: int = 0) -> Result:
        home = self.running.network.home_of(self.running.network.nodes[0])
        return await asyncio.to_thread(call, *line, "--home", home, code=code)

    async def told(self, *line: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((await self.run(*line)).stdout)
        return found

    async def draft(self, name: str, *line: object, signed_by: str = "") -> Path:
        path = self.folder / name
        path.write_text((await self.run(*line, "--generate-only")).stdout)
        for who in signed_by:
            call("tx", "sign", path, "--from", self.people[who], *self.nowhere)
        return path


@contextlib.asynccontextmanager
async def team(folder: Path) -> AsyncIterator[Team]:
    with capture_logs():
        async with running_node(folder / "net") as running:
            made = Team(folder, running, keys(folder, *"abcden"), board_of(folder))
            alice = running.network.folder / running.network.accounts["alice"]
            await made.run("tx", "pay", "--from", alice, "--to", made.board, "--amount", 20)
            yield made
            assert all(holds for _, holds, _ in running.node.app.invariants())


PAY = ("tx", "pay", "--to", BOB, "--amount", "1.5", "--memo", "for the tea")


async def test_a_team_pays_by_drafts(tmp_path: Path) -> None:
    async with team(tmp_path) as at:
        address, people = load_account(at.board).address_text, at.people
        assert "--generate-only" in (await at.run(*PAY, "--from", at.board, code=2)).stderr
        payment = await at.draft("payment.json", *PAY, "--from", at.board)
        says = json.loads(payment.read_text())["says"]
        assert f"message 1: payment: sender {address}, recipient {BOB}, amount 1.500000 DCHAT" in says
        assert 'memo "for the tea"' in says
        lacking = (await at.run("tx", "broadcast", payment, code=2)).stderr
        assert "needs 2 of 3, of which 2 of 3 keys" in lacking
        assert f"let them sign it (dchat tx sign {payment} --from THEIRS)" in lacking

        signed = call("tx", "sign", payment, "--from", people["a"], *at.nowhere).stdout
        assert "amount 1.500000 DCHAT" in signed
        assert "still missing" in signed
        other, both = tmp_path / "other.json", tmp_path / "both.json"
        call("tx", "sign", payment, "--from", people["c"], "--output", other, *at.nowhere)
        call("tx", "sign", payment, "--from", people["e"], *at.nowhere)
        assert "complete" in call("tx", "combine", payment, other, "--output", both, *at.nowhere).stdout
        outcome = await at.told("tx", "broadcast", both)
        assert (outcome["code"], outcome["proved_by_header"] > outcome["height"]) == (0, True)
        assert int((await at.told("query", "account", BOB))["account"]["balance"]) == 1_500_000
        assert (await at.told("tx", "broadcast", both))["hash"] == outcome["hash"], "the same: it is executed once"
        register = await at.draft("r.json", "tx", "register", "--from", at.board, "--name", "board", signed_by="ba")
        assert (await at.told("tx", "broadcast", register))["code"] == 0


async def test_a_team_changes_its_keys_and_takes_them_back(tmp_path: Path) -> None:
    """To one, whose file was made for it, and that signs as any other; then to several, each of whom proves his."""
    async with team(tmp_path) as at:
        board, people, me = at.board, at.people, tmp_path / "new.json"
        address = load_account(board).address_text
        first = await at.draft("first.json", "tx", "register", "--from", board, "--name", "board", signed_by="ab")
        assert (await at.told("tx", "broadcast", first))["code"] == 0
        call("keygen", "--for", board, "--output", me)
        rotate = ("tx", "rotate-keys", "--from", board)
        wrong = await at.run(*rotate, "--to", people["n"], "--generate-only", code=2)
        assert f"keygen --for {address}" in wrong.stderr
        rotation = await at.draft("rotate.json", *rotate, "--to", me, signed_by="ab")
        assert (await at.told("tx", "broadcast", rotation))["code"] == 0
        assert (await at.told(*PAY, "--from", me))["code"] == 0
        assert (await at.told(*PAY, "--from", me))["sequence"] == 1
        assert (await at.told("tx", "create-channel", "--from", me, "--name", "room"))["code"] == 0
        gone = await at.draft("gone.json", *PAY, "--from", board, signed_by="ab")
        assert "(tx 10)" in (await at.run("tx", "broadcast", gone, code=1)).stderr

        back = board_of(tmp_path, name="back", options=("--for", address))
        rotate = ("tx", "rotate-keys", "--from", me, "--to", back)
        assert "prove-key" in (await at.run(*rotate, code=2)).stderr
        proofs: list[object] = []
        for name in "abcd":
            proof = tmp_path / f"{name}.proof.json"
            line = ("--to", back, "--chain-id", at.running.network.chain_id, "--file", people[name], "--output", proof)
            call("identity", "prove-key", *line, *at.nowhere)
            proofs += ["--proof", proof]
        assert (await at.told(*rotate, *proofs, "--holder", people["e"]))["code"] == 0
        final = await at.draft("final.json", *PAY, "--from", back, signed_by="dbc")
        assert (await at.told("tx", "broadcast", final))["code"] == 0


# ------------------------------------------------------------------------------ files


def test_files_of_accounts(tmp_path: Path) -> None:
    people = keys(tmp_path, *"abcde")
    board = board_of(tmp_path)
    assert stat.S_IMODE(people["a"].stat().st_mode) == 0o600
    assert stat.S_IMODE(board.stat().st_mode) & 0o044, "nothing in it is secret"
    hexes = [identity.load(people[name]).wallet.public_key.hex() for name in "abcde"]
    line = ("--member", f"2:{','.join(hexes[2:])}", "--member", hexes[1], "--member", hexes[0])
    call("keygen", "--multisig", 2, *line, "--output", tmp_path / "same.json")
    assert load_account(tmp_path / "same.json").address == load_account(board).address
    refused = call("keygen", "--multisig", 2, *line, "--output", board, code=1)
    assert "exists" in refused.stderr


@pytest.mark.parametrize(("words", "said"), [
    pytest.param(("--multisig", 2), "no key policy", id="no members"),
    pytest.param(("--member", "a" * 64), "go together", id="members of nothing"),
    pytest.param(("--multisig", 1, "--burner", "--member", "a" * 64), "go together", id="a burner"),
    pytest.param(("--multisig", 3, "--member", "a" * 64, "--member", "b" * 64), "needs 3 of 2", id="too many needed"),
    pytest.param(("--multisig", 1, "--member", "a" * 64, "--member", "a" * 64), "none twice", id="one twice"),
    pytest.param(("--multisig", 1, "--member", "nobody.json", "--member", "b" * 64), "cannot be read", id="no file"),
])  # fmt: skip
def test_accounts_that_cannot_be(tmp_path: Path, words: tuple[object, ...], said: str) -> None:
    done = call("keygen", *words, "--output", tmp_path / "x.json", code=2)
    assert said in done.stderr
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize(("change", "said"), [
    pytest.param({"needed": 1}, "address is", id="another threshold"),
    pytest.param({"members": []}, "needs", id="no members"),
    pytest.param({"members": [{"needed": 1}]}, "public_keys", id="a member without keys"),
    pytest.param({"account": "dchat1x"}, "is no account file", id="no account"),
    pytest.param({"type": "dchat/other"}, "is no identity file", id="another kind"),
])  # fmt: skip
def test_a_file_that_was_changed_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    keys(tmp_path, *"abcde")
    board = board_of(tmp_path)
    board.write_text(json.dumps({**json.loads(board.read_text()), **change}))
    with pytest.raises(IdentityError, match=said):
        load_account(board)


def test_a_key_made_for_an_account_acts_for_it(tmp_path: Path) -> None:
    call("keygen", "--for", BOB, "--output", tmp_path / "new.json")
    made = identity.load(tmp_path / "new.json")
    assert made.address_text == BOB
    assert BOB in call("identity", "verify", "--file", tmp_path / "new.json").stdout
    document = json.loads((tmp_path / "new.json").read_text())
    (tmp_path / "bad.json").write_text(json.dumps({**document, "address": BOB}))
    with pytest.raises(IdentityError, match="the key's is"):
        identity.load(tmp_path / "bad.json")


# ------------------------------------------------------------------------------ drafts


def new_draft(folder: Path, memo: str = "") -> Path:
    policy = threshold_policy(2, [Group(1, (wallet(name).public_key,)) for name in "ab"])
    account = Shared(policy)
    body = build_body(
        chain_id="c", messages=[Payment(account.address, wallet("bob").address, 5)],
        seats=[Seat(account, 3, with_policy=True)], gas_limit=10**6, fee=7, memo=memo, expiry_height=9,
    )  # fmt: skip
    path = folder / "draft.json"
    path.write_text(Draft(body, (policy,), {}).dumps())
    return path


def holder(folder: Path, name: str) -> Path:
    path = folder / f"{name}.identity.json"
    if not path.exists():
        identity.Identity(wallet(name)).save(path)
    return path


def test_a_stranger_has_no_part_in_it(tmp_path: Path) -> None:
    path = new_draft(tmp_path)
    before = path.read_text()
    assert "has no part in it" in call("tx", "sign", path, "--from", holder(tmp_path, "eve"), code=2).stderr
    assert path.read_text() == before


@pytest.mark.parametrize(("change", "said"), [
    pytest.param(lambda d: d["says"].__setitem__(4, d["says"][4].replace("0.000005", "0.000004")), "changed it",
                 id="other words than the body's"),
    pytest.param(lambda d: d.update(says=[]), "changed it", id="no words"),
    pytest.param(lambda d: d.update(more=1), "changed it", id="more than it has"),
    pytest.param(lambda d: d["signers"][0].update(needs="1 of 2"), "changed it", id="other needs"),
    pytest.param(lambda d: d.update(body=d["body"][:-2]), "is no draft", id="a cut body"),
    pytest.param(lambda d: d.update(signers=[]), "is no draft", id="nobody signs"),
    pytest.param(lambda d: d["signers"][0].update(policy="0a20" + "aa" * 32), "is no draft", id="another policy"),
    pytest.param(lambda d: d.update(type="x"), "is no draft", id="another kind"),
    pytest.param(lambda d: d.pop("body"), "is no draft", id="no body"),
    pytest.param(lambda d: d["signatures"].append({"signer": 0, "public_key": wallet("a").public_key.hex(),
                                                   "signature": "00" * 64}), "is not valid", id="a bad signature"),
    pytest.param(lambda d: d["signatures"].append({"signer": 5, "public_key": "00", "signature": "00"}), "is no draft",
                 id="a signature of nobody"),
    pytest.param(lambda d: '{"says": ["pays you"],' + json.dumps(d)[1:], "there twice", id="words for people alone"),
])  # fmt: skip
def test_a_draft_that_lies_is_not_signed(tmp_path: Path, change: Any, said: str) -> None:
    path = new_draft(tmp_path)
    document = json.loads(path.read_text())
    changed = change(document)
    path.write_text(changed if isinstance(changed, str) and changed[0] == "{" else json.dumps(document))
    assert said in call("tx", "sign", path, "--from", holder(tmp_path, "a"), code=2).stderr


def test_drafts_of_two_transactions_are_not_combined(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    first, second = new_draft(tmp_path), new_draft(tmp_path / "x", memo="other")
    assert "another transaction" in call("tx", "combine", first, second, code=2).stderr


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_hostile_files_are_refused(tmp_path: Path, data: st.DataObject) -> None:
    path = new_draft(tmp_path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(raw))
    try:
        draft = read_draft(path)
    except Refusal:
        return
    assert draft.document() == json.loads(path.read_bytes())


def test_what_a_message_says_cannot_move_the_cursor(tmp_path: Path) -> None:
    account = Shared(threshold_policy(1, [Group(1, (wallet(name).public_key,)) for name in "ab"]))
    evil = b"\x1b[2Jhello\nfee 0"
    body = build_body(
        chain_id="c", messages=[PostMessage(account.address, bytes(20), evil, 0)], seats=[Seat(account, 0)],
        gas_limit=10**6, memo="x\n\x1b[1A",
    )  # fmt: skip
    path = tmp_path / "draft.json"
    path.write_text(Draft(body, (account.policy,), {}).dumps())
    shown = call("tx", "sign", path, "--from", holder(tmp_path, "a")).stdout
    assert "\x1b" not in shown
    assert "fee 0" not in shown.splitlines()


def test_a_release_of_all_does_not_look_like_one_of_nothing(tmp_path: Path) -> None:
    """Nor do letters of a script from right to left put what follows elsewhere: they are escaped (audit 48)."""
    account = Shared(threshold_policy(1, [Group(1, (wallet(name).public_key,)) for name in "ab"]))
    escrow = EscrowReference(bytes(32))
    legs = [ReleaseEscrow(account.address, escrow), ReleaseEscrow(account.address, escrow, 5 * 10**6)]
    told = []
    for messages, seat in (
        (legs, Seat(account)),
        ([PostMessage(account.address, bytes(20), HEBREW, 0)], Seat(account, 0)),
    ):
        body = build_body(chain_id="c", messages=messages, seats=[seat], gas_limit=10**6, expiry_height=9)
        told += [line for line in Draft(body, (account.policy,), {}).document()["says"] if line.startswith("message ")]
    assert "amount all that is left" in told[0]
    assert "DCHAT" not in told[0]
    assert "amount 5.000000 DCHAT" in told[1]
    assert all(line.isascii() for line in told)
