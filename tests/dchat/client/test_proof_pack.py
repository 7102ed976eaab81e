"""Proof packs: what is shown, what is refused, and a second verifier of the same page that judges alike.

The vectors (tests/data/proof-packs.json) are given to both: ours, and examples/verify-proof.mjs under Node.js.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from crypto.bech32 import encode_address
from dchat.cli.main import dchat
from dchat.client.client import NotFound
from dchat.client.pack import FILE_BYTES_MAX, HEADERS_MAX, InvalidPack, Pack
from dchat.client.pack_make import make_pack
from dchat.client.pack_verify import verify_pack
from dchat.client.verify import ProofFailed, Trust
from proto.dchat.v1 import service_pb2 as pb
from tests.support.chain.harness import wallet
from tests.support.cli.pack_world import (
    GOLD,
    HEIGHT,
    LOBBY,
    POSTED,
    TEAM,
    TIPPED,
    VECTORS,
    FakeNode,
    digest,
    forgeries,
    made,
    packs,
    vectors,
    verifier,
    world,
)

VERIFIER = Path(__file__).parents[3] / "examples" / "verify-proof.mjs"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")


@cache
def recorded() -> dict[str, tuple[str, bytes, dict[str, Any] | None]]:
    """name -> trust, file, what it shows."""
    found: dict[str, tuple[str, bytes, dict[str, Any] | None]] = {}
    for row in json.loads(VECTORS.read_text()):
        if "splice" in row:
            at, gone, put = row["splice"]
            base = found[row["like"]][1]
            data = base[:at] + bytes.fromhex(put) + base[at + gone :]
        else:
            data = bytes.fromhex(row["file"])
        found[row["name"]] = (row["trust"], data, row["shown"])
    return found


def shown(data: bytes, trust: str) -> dict[str, Any]:
    """Raises InvalidPack."""
    root = Trust.parse(trust)
    return digest(verify_pack(Pack.decode(data), height=root.height, block_hash=root.hash or b""))


def trust_of(name: str) -> str:
    begins = packs()[name].begins
    return f"{begins.height}:{begins.hash.hex()}"


def node(*arguments: object) -> subprocess.CompletedProcess[str]:
    line = ["node", str(VERIFIER), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


# ------------------------------------------------------------------------------------------------ the vectors


@pytest.mark.parametrize("name", recorded())
def test_the_vectors_are_judged_as_they_say(name: str) -> None:
    trust, data, wanted = recorded()[name]
    if wanted is None:
        with pytest.raises(InvalidPack):
            shown(data, trust)
    else:
        assert shown(data, trust) == wanted
        assert Pack.decode(data).encode() == data  # it has one form


@needs_node
def test_another_verifier_judges_the_vectors_alike(tmp_path: Path) -> None:
    done = node("--vectors", VECTORS)
    assert (done.returncode, done.stderr) == (0, "")
    turned = tmp_path / "turned.json"
    turned.write_text(VECTORS.read_text().replace('"own_key": true', '"own_key": false'))
    assert node("--vectors", turned).returncode == 1  # it looks


def test_what_is_made_today_is_judged_as_the_vectors_are() -> None:
    """The vectors stay as they are, however gas and receipts change: old files go on being good."""
    names = [row["name"] for row in vectors()]
    assert names == list(recorded())
    for name, pack in packs().items():
        assert shown(pack.data, trust_of(name)) == digest(pack.shown)


# ------------------------------------------------------------------------------------------------ what is shown


def test_a_message_its_order_its_key_and_what_was_paid() -> None:
    pack = made(paid=("join", "tip"))
    bob, alice = world().chain.wallets["bob"], world().chain.wallets["alice"]
    said = pack.shown
    assert (said.channel_id, said.index, said.content, said.height) == (LOBBY, 0, b"hello", POSTED)
    assert (said.author, said.keys, said.own_key) == (bob.address, (bob.public_key,), True)
    post, join, tip = said.txs
    assert (post.fee, post.legs, post.position, post.fee_payer) == (0, (), 3, bob.address)
    (leg,) = join.legs
    assert (leg.kind, leg.amount, leg.payer, leg.why) == (
        "pay_to_join", 5_000_000, bob.address, "the author's way into the channel",
    )  # fmt: skip
    (leg,) = tip.legs
    assert (leg.kind, leg.amount, leg.payer, leg.why) == ("tip", 1_000_000, alice.address, "a tip for this message")
    assert tip.fee > 0


def test_who_signed_for_an_account_of_several_keys_and_after_a_change_of_keys() -> None:
    ann, cyd, new = (wallet(name).public_key for name in ("ann", "cyd", "bob-2"))
    of_three, after = made(4).shown, made(5).shown
    assert (of_three.author, set(of_three.keys), of_three.own_key) == (TEAM.address, {ann, cyd}, True)
    assert (after.author, after.keys, after.own_key) == (world().chain.address("bob"), (new,), False)


@pytest.mark.parametrize(
    ("name", "bytes_max"),
    [
        ("a post, the next block trusted", 1_300),
        ("a post, a block far below trusted", 2_000),
        (TIPPED, 4_000),  # over a change of the validators
        ("a bundle that pays and posts, answering", 1_400),
    ],
)
def test_a_typical_file_of_four_validators_is_small(name: str, bytes_max: int) -> None:
    assert len(packs()[name].data) <= bytes_max


def test_what_a_payment_says_of_another_message_is_not_taken_for_this_one() -> None:
    """A tip for message 0 stands in a pack of message 2 as what it is: not tied to it."""
    pack = made(2, paid=("tip", "payment 1"))
    assert [leg.why for tx in pack.shown.txs[1:] for leg in tx.legs] == ["", ""]


def test_units_are_not_taken_for_dchat_nor_a_request_for_a_payment(tmp_path: Path) -> None:
    """Anybody makes a denomination and a million units of it; what is asked for is not paid (audit 48)."""
    trust, data = forgeries()["what is no udchat, and what was not paid"]
    file, gold = tmp_path / "gold.proof", f"factory/{encode_address(GOLD.creator)}/gold"
    file.write_bytes(data)
    told = CliRunner().invoke(dchat, ["proof", "verify", str(file), "--trust", trust], prog_name="dchat")
    assert told.exit_code == 0, told.output
    (tx,) = json.loads(told.stdout)["transactions"]
    assert [(leg["kind"], leg["amount"]) for leg in tx["legs"]] == [
        ("payment", "1000000udchat"),
        ("pay_denomination", f"1000000{gold}"),
        ("open_escrow", f"1000000{gold}"),
        ("open_shared_escrow", f"1000000{gold}"),
        ("release_escrow", f"1000000{gold}"),
        ("release_escrow", "1000000 of what the escrow holds"),
        ("request_payment", "0udchat"),
        ("freeze_holding", f"0{gold}"),
    ]
    assert (told.stderr.count(" DCHAT"), told.stderr.count(f"1000000 units of {gold}")) == (1, 4)


# ------------------------------------------------------------------------------------------------ hostile files


def flips(data: bytes) -> list[bytes]:
    """Each byte with one bit changed, and with all of them."""
    return [
        data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :] for at in range(len(data)) for mask in (1 << at % 8, 255)
    ]


@pytest.mark.parametrize("name", ["a post, its own block trusted", TIPPED])
def test_no_byte_can_be_changed(name: str) -> None:
    trust = trust_of(name)
    for at, data in enumerate(flips(packs()[name].data)):
        with pytest.raises(InvalidPack):
            shown(data, trust)
            pytest.fail(f"byte {at // 2} does not matter")


@needs_node
def test_no_byte_can_be_changed_for_another_verifier_either(tmp_path: Path) -> None:
    data, trust = packs()[TIPPED].data, trust_of(TIPPED)
    rows = [
        {"name": f"byte {at // 2}", "trust": trust, "file": changed.hex(), "shown": None}
        for at, changed in enumerate(flips(data))
    ]
    (tmp_path / "flips.json").write_text(json.dumps(rows))
    done = node("--vectors", tmp_path / "flips.json")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_is_no_longer_than_it_says() -> None:
    data, trust = packs()[TIPPED].data, trust_of(TIPPED)
    for end in range(len(data)):
        with pytest.raises(InvalidPack):
            shown(data[:end], trust)
    with pytest.raises(InvalidPack, match=f"allowed: {FILE_BYTES_MAX}"):
        Pack.decode(data + bytes(FILE_BYTES_MAX))


def test_a_set_that_a_thousand_headers_name_is_added_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a file of a megabyte would cost ten million steps."""
    from dchat.client import pack_verify

    whole, trust = Pack.decode(packs()[TIPPED].data), trust_of(TIPPED)
    hashed: list[int] = []
    real = pack_verify.merkle.root
    monkeypatch.setattr(pack_verify.merkle, "root", lambda items: (hashed.append(len(items)), real(items))[1])
    vouched = next(header for header in whole.headers if header.vouch)
    many = (whole.headers[0], *[vouched] * (HEADERS_MAX - 1))
    data = Pack(LOBBY, 0, many, whole.txs).encode()
    assert len(data) <= FILE_BYTES_MAX
    with pytest.raises(InvalidPack):
        shown(data, trust)
    assert hashed == [4]


# ------------------------------------------------------------------------------------------------ making one


def test_the_way_to_the_payment_goes_by_few_commits_over_a_change_of_validators() -> None:
    pack = made(paid=("tip",))
    assert (pack.shown.commits, pack.begins.height) == (2, POSTED + 1)


class Liar(FakeNode):
    """Answers of one call are changed."""

    def __init__(self, call: str, change: Callable[[Any], None]) -> None:
        super().__init__(world())
        honest = getattr(FakeNode, call)

        async def lie(*arguments: Any, **options: Any) -> Any:
            answer = await honest(self, *arguments, **options)
            change(answer)
            return answer

        setattr(self, call, lie)


def _other_place(answer: pb.GetMessageResponse) -> None:
    answer.message.height = 6


def _other_tx(answer: pb.GetBlockResultsResponse) -> None:
    data = next(row.data for row in answer.results if row.hash == world().hashes["post"])
    for row in answer.results:
        row.data = data


def _other_outcome(answer: pb.GetTxResponse) -> None:
    answer.data = b""


def _other_header(answer: pb.GetCommitResponse) -> None:
    answer.light_block.signed_header.header.app_hash = bytes(32)


@pytest.mark.parametrize(
    ("call", "change"),
    [
        ("message", _other_place),
        ("block_results", _other_tx),
        ("tx", _other_outcome),
        ("commit", _other_header),
        ("tx", lambda answer: answer.ClearField("tx")),
        ("tx", lambda answer: answer.ClearField("result_proof")),
    ],
)
def test_a_lying_node_gets_nothing_written(call: str, change: Callable[[Any], None]) -> None:
    with pytest.raises(ProofFailed):
        asyncio.run(make_pack(verifier(Liar(call, change)), LOBBY, 0))


def test_what_cannot_be_shown_is_said() -> None:
    with pytest.raises(NotFound, match="has no message 9"):
        made(9)
    with pytest.raises(NotFound, match="has no message 0"):
        asyncio.run(make_pack(verifier(), bytes(20), 0))
    with pytest.raises(ProofFailed, match="was not executed: its code is"):
        made(paid=("failed",))
    with pytest.raises(ProofFailed, match="did not post message 0"):
        made(tx="tip")
    with pytest.raises(NotFound, match="there is no block"):
        made(begin=HEIGHT + 1)
    assert made(tx="post").data == made().data
