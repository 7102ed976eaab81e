"""The clients in other languages under examples/: what they sign is executed, and what they say is what ours says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import grpc
import pytest

from chain.tx.envelope.build import Wallet
from chain.tx.envelope.tx import decode
from chain.tx.messages import CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from crypto.bech32 import encode_address
from dchat.client.client import Client
from dchat.client.wallet import Session
from proto.ics23 import proofs_pb2
from tests.support.interop.rows import row
from tests.support.node.lying import Fault, Honest, Lie, lying_door
from tests.support.node.running import Running, running_node

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = bytes([7]) * 32
ME = Wallet.from_seed(SEED)
FUNDS = 20_000_000
BUDGET_S = 60.0
GO_LEAST = (1, 24)


def source(name: str, folder: Path) -> Path:
    """An older copy: since it was written a message costs more than it knows."""
    text = (EXAMPLES / name).read_text()
    assert text.count("60_000") == 1
    path = folder / name
    path.write_text(text.replace("60_000", "20_000"))
    return path


def javascript(folder: Path) -> list[str]:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed")
    return [node, str(source("client.mjs", folder))]


def go(folder: Path) -> list[str]:
    """Built with the standard library alone: nothing is fetched."""
    tool = shutil.which("go")
    if tool is None:
        pytest.skip("Go is not installed")
    environment = os.environ | {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GO111MODULE": "off"}
    said = subprocess.run([tool, "version"], env=environment, capture_output=True, text=True, check=True).stdout
    if tuple(map(int, re.findall(r"go(\d+)\.(\d+)", said)[0])) < GO_LEAST:
        pytest.skip(f"HTTP/2 without TLS needs Go 1.24: {said}")
    program = folder / "client"
    subprocess.run([tool, "vet", str(EXAMPLES / "client.go")], env=environment, check=True)
    path = source("client.go", folder)
    subprocess.run([tool, "build", "-o", str(program), str(path)], env=environment, check=True)
    return [str(program)]


def tool(command: list[str]) -> tuple[str, str]:
    """The language, and its version."""
    asked = [command[0], "--version"] if len(command) > 1 else ["go", "env", "GOVERSION"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    return ("Node.js" if len(command) > 1 else "Go"), said


async def run(command: list[str], *words: str) -> tuple[int | None, dict[str, Any]]:
    """The exit code, and the line of JSON that it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(BUDGET_S):
        out, err = await process.communicate()
    assert out, err.decode()
    told: dict[str, Any] = json.loads(out)
    return process.returncode, told


async def trusted(client: Client, height: int) -> str:
    """The block that proves the state after `height`."""
    await client.wait_for_height(height + 1)
    return f"{height + 1}:{(await client.block(height + 1)).block_id.hash.hex()}"


LANGUAGES = [
    pytest.param(javascript, id="JavaScript", marks=pytest.mark.node),
    pytest.param(go, id="Go", marks=pytest.mark.go),
]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_client_in_another_language_signs_sends_and_proves(language: Any, tmp_path: Path) -> None:
    command = await asyncio.to_thread(language, tmp_path)
    code, told = await run(command, "address", SEED.hex())
    assert (code, told) == (0, {"address": encode_address(ME.address), "hex": ME.address.hex()})

    async with running_node(tmp_path / "node") as running, running.client() as client:
        node = ["--node", running.grpc]
        alice = running.account("alice")
        await Session(client, alice.wallet).send([Payment(alice.address, ME.address, FUNDS)])

        code, paid = await run(command, "pay", SEED.hex(), encode_address(alice.address), "1234", "--memo", "é", *node)
        assert (code, paid["code"]) == (0, 0), paid
        check(paid, [Payment(ME.address, alice.address, 1234)])
        code, opened = await run(command, "open", SEED.hex(), "mallory", "corner", *node)
        assert (code, opened["code"]) == (0, 0), opened
        check(opened, [RegisterIdentity(ME.address, "mallory", ""), CreateChannel(ME.address, "corner", 0, "")])
        for number, text in enumerate(("one", "zwei", "trois é")):
            code, posted = await run(command, "post", SEED.hex(), "corner", text, *node)
            assert (code, posted["code"]) == (0, 0), posted
            check(posted, [PostMessage(ME.address, channel_id("corner"), text.encode(), 0)])
            assert posted["legs"] == [{"kind": "post_message", "index": number}]

        await proves(command, node, running, client, height=posted["height"])
        code, again = await run(command, "open", SEED.hex(), "mallory", "corner", *node)
        assert code == 1
        assert again["codespace"] == "chat" or "chat" in again["error"], again
    row(
        *tool(command),
        "a client in one file, written from docs/wire-format.md: sign, send, prove",
        "all that it said was so; lies refused",
    )


def check(told: dict[str, Any], messages: list[Any]) -> None:
    """Our own reading of what it signed: id, replay id, signer, messages."""
    tx = decode(bytes.fromhex(told["envelope"]))
    assert (tx.id.hex(), tx.replay_id.hex(), tx.payer) == (told["id"], told["replay_id"], ME.address)
    assert list(tx.messages) == messages
    assert told["fee_paid"] == tx.fee


async def proves(command: list[str], node: list[str], running: Running, client: Client, *, height: int) -> None:
    trust = await trusted(client, height)
    code, account = await run(command, "prove-account", encode_address(ME.address), "--trust", trust, *node)
    balance = (await client.account(ME.address, height=height)).account.balance
    assert (code, account) == (
        0, {"address": encode_address(ME.address), "balance": str(balance), "after_block": height},
    )  # fmt: skip
    for number, text in ((0, "one"), (2, "trois é")):
        code, message = await run(command, "prove-message", "corner", str(number), "--trust", trust, *node)
        assert code == 0, message
        assert (message["content"], message["author"], message["of"]) == (text, encode_address(ME.address), 3)
    first = f"1:{(await client.block(1)).block_id.hash.hex()}"
    for words, said in ((["--trust", first], "no state comes before block 1"), ([], "block 2 or a later one")):
        code, refused = await run(command, "prove-account", encode_address(ME.address), *words, *node)
        assert (code, said in refused["error"], "block 2 or a later one" in refused["error"]) == (1, True, True), (
            refused
        )
    wrong = trust[:-1] + ("0" if trust[-1] != "0" else "1")
    code, refused = await run(command, "prove-account", ME.address.hex(), "--trust", wrong, *node)
    assert (code, "trusted block" in refused["error"]) == (1, True), refused
    async with lying_door(running.grpc) as door:
        at = ["--trust", trust, "--node", door.address]
        for lie, words in LIES:
            door.lies = {"GetAccount": lie, "GetMessage": lie}
            code, refused = await run(command, *words, *at)
            assert (code, "not proved" in refused.get("error", "")) == (1, True), (lie.__name__, refused)


async def another_balance(_: Any, honest: Honest) -> Any:
    answer = await honest()
    answer.account.balance += 1
    answer.proof.value = answer.account.SerializeToString()
    lower = proofs_pb2.CommitmentProof.FromString(answer.proof.ops.ops[0].data)
    lower.exist.value = answer.proof.value
    answer.proof.ops.ops[0].data = lower.SerializeToString()
    return answer


async def another_account(_: Any, honest: Honest) -> Any:
    """One that is true, but not of who was asked for."""
    answer = await honest()
    lower = proofs_pb2.CommitmentProof.FromString(answer.proof.ops.ops[0].data)
    lower.exist.key = b"a" + bytes(20)
    answer.proof.ops.ops[0].data = lower.SerializeToString()
    return answer


async def no_proof(_: Any, honest: Honest) -> Any:
    answer = await honest()
    del answer.proof.ops.ops[:]
    return answer


async def another_text(_: Any, honest: Honest) -> Any:
    answer = await honest()
    answer.message.content = b"I never said that"
    return answer


async def another_place(_: Any, honest: Honest) -> Any:
    """A path that is cut leads to a node of the range, whose content is not a message."""
    answer = await honest()
    del answer.path.path[:]
    return answer


LIES: tuple[tuple[Lie, tuple[str, ...]], ...] = (
    (another_balance, ("prove-account", ME.address.hex())),
    (another_account, ("prove-account", ME.address.hex())),
    (no_proof, ("prove-account", ME.address.hex())),
    (another_text, ("prove-message", "corner", "1")),
    (another_place, ("prove-message", "corner", "1")),
)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_lost_answer_pays_once(language: Any, tmp_path: Path) -> None:
    """The same bytes again, whatever became of the first attempt."""
    command, lost = await asyncio.to_thread(language, tmp_path), 2

    async def loses(_: Any, honest: Honest) -> Any:
        nonlocal lost
        answer, lost = await honest(), lost - 1
        if lost >= 0:
            raise Fault(grpc.StatusCode.UNAVAILABLE, "gone")
        return answer

    async with running_node(tmp_path / "node") as running, running.client() as client, lying_door(running.grpc) as door:
        door.lies["Broadcast"] = loses
        alice = running.account("alice")
        await Session(client, alice.wallet).send([Payment(alice.address, ME.address, FUNDS)])
        code, paid = await run(command, "pay", SEED.hex(), encode_address(alice.address), "55", "--node", door.address)
        assert (code, paid["code"], len(door.handed)) == (0, 0, 1), paid
        left = (await client.account(ME.address)).account
        assert (left.balance, left.sequences[0].next) == (FUNDS - 55 - paid["fee_paid"], 1)
