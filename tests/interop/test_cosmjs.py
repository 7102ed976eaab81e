"""CosmJS's client for CometBFT 0.38 against our JSON-RPC door: every call that it offers, by HTTP and over WebSocket.

The program (programs/cosmjs) makes the calls; what it was told is held here against what the node itself knows. The
transactions are our own envelopes, signed by our Python: CosmJS only carries them.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.currency.ledger.records import ACCOUNT, Account
from chain.state.proofs import verify
from chain.tx.messages import Payment
from consensus.abci.interface import ProofOp
from crypto.bech32 import encode_address
from crypto.hash import sha256
from dchat.client.wallet import Session
from tests.support.interop.rows import row
from tests.support.interop.tools import copied, found, npm_installed
from tests.support.node.running import Running, running_node
from tests.support.rpc.calling import base64_of

pytestmark = [pytest.mark.node, pytest.mark.network]

PROGRAM = Path(__file__).parent / "programs" / "cosmjs"
PACKAGE = "@cosmjs/tendermint-rpc"
RUN_TIMEOUT_S = 90
PAID = (1_000, 2_000, 3_000)  # udchat, before the program starts
SUBSCRIBED = ["subscribeNewBlock", "subscribeNewBlockHeader", "subscribeTx", "subscribeTxQuery"]


def program() -> tuple[list[str], str]:
    """(a command, CosmJS's version)"""
    node, npm = found("node", "install Node.js"), found("npm", f"install npm to fetch {PACKAGE}")
    folder = copied(PROGRAM, "cosmjs")
    manifest = npm_installed(PACKAGE, folder=folder, npm=npm) / "package.json"
    return [node, str(folder / "calls.mjs")], json.loads(manifest.read_text())["version"]


@dataclass(frozen=True)
class World:
    """What happened before. paid: ids of alice's payments to bob, and their heights; txs: three more, not sent."""

    paid: list[tuple[bytes, int]]
    txs: list[bytes]
    bob: bytes
    query: str

    @property
    def key(self) -> bytes:
        return (ACCOUNT + self.bob)[1:]  # without the store's letter

    @property
    def height(self) -> int:
        return self.paid[0][1]

    def asked(self) -> bytes:
        return json.dumps(
            {
                "key": self.key.hex(),
                "paid": self.paid[0][0].hex(),
                "paidAt": self.height,
                "query": self.query,
                "txs": [base64_of(tx) for tx in self.txs],
            }
        ).encode()


async def prepared(running: Running) -> World:
    alice, bob = running.account("alice"), running.account("bob").address
    async with running.client() as client:
        session = Session(client, alice.wallet)
        done = [await session.send([Payment(alice.address, bob, amount)]) for amount in PAID]
        txs = [await session.build([Payment(alice.address, bob, amount)]) for amount in (1, 2, 3)]
    query = f"transfer.sender='{encode_address(alice.address)}' AND transfer.recipient='{encode_address(bob)}'"
    return World([(one.hash, one.height) for one in done], txs, bob, query)


async def run(command: list[str], url: str, asked: bytes) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *command, url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            out, err = await process.communicate(asked)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, err.decode()[-3_000:]
    told: dict[str, Any] = json.loads(out)
    return told


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_every_call_of_its_client_is_answered(tmp_path: Path, scheme: str) -> None:
    command, version = await asyncio.to_thread(program)
    async with running_node(tmp_path / "net") as running:
        world = await prepared(running)
        url = running.rpc.replace("http", scheme)
        told = await run(command, url, world.asked())

        assert told["chosen"], "by the version that the node says, CosmJS speaks another one's dialect to it"
        assert told["left"] == ([] if scheme == "ws" else SUBSCRIBED[:3])
        assert told["refused"] == REFUSED
        sent(told, world)
        blocks(told, running, world)
        results(told, world)
        state(told, running, world)
        of_the_node(told, running)
        if scheme == "ws":
            heard(told, world)
    calls = len(told.keys() - {"chosen", "left", "refused", "isSuccess"})
    tried = f"Comet38Client over {'WebSocket' if scheme == 'ws' else 'HTTP'}: every call that it offers there"
    row(PACKAGE, version, tried, f"{calls} calls decoded, and true; {len(REFUSED)} refusals told")


class Words:
    """Equal to each text that has them."""

    def __init__(self, words: str) -> None:
        self._words = words

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and self._words in other

    def __hash__(self) -> int:
        return hash(self._words)

    def __repr__(self) -> str:
        return f"...{self._words}..."


REFUSED = {
    "a height to come": Words("must be less than or equal to the current blockchain height"),
    "a transaction that is not there": Words(f"tx ({'00' * 32}) not found"),
    "a page that is not there": Words("page should be within [1, "),
    "half a query": Words("offset 15: EOF"),
}


def sent(told: dict[str, Any], world: World) -> None:
    ids = [sha256(tx).hex() for tx in world.txs]
    assert [told[f"broadcastTx{how}"]["hash"] for how in ("Sync", "Async", "Commit")] == ids
    assert told["isSuccess"] == [True, True]
    assert told["broadcastTxCommit"]["height"] > world.height
    kinds = {event["type"] for event in told["broadcastTxCommit"]["txResult"]["events"]}
    assert "transfer" in kinds


def blocks(told: dict[str, Any], running: Running, world: World) -> None:
    store, height = running.node.views.answers.blocks, world.height
    block, meta = store.load_block(height), store.load_meta(height)
    assert block is not None
    assert meta is not None
    one = told["block"]
    assert (one["blockId"]["hash"], one["blockId"]["parts"]["hash"]) == (
        meta.block_id.hash.hex(), meta.block_id.part_set_header.hash.hex(),
    )  # fmt: skip
    assert one["block"]["txs"] == [tx.hex() for tx in block.txs]
    assert one["block"]["header"]["appHash"] == block.header.app_hash.hex()
    assert one["block"]["lastCommit"]["height"] == height - 1
    assert told["blockLatest"]["block"]["header"]["height"] >= height
    assert told["commit"]["header"] == one["block"]["header"]
    assert told["commit"]["commit"]["blockId"] == one["blockId"]
    heights = [meta["header"]["height"] for meta in told["blockchain"]["blockMetas"]]
    assert heights == list(range(height, 1, -1))[:20]
    assert told["blockchain"]["blockMetas"][0]["blockId"] == one["blockId"]
    found_on = [block["block"]["header"]["height"] for block in told["blockSearch"]["blocks"]]
    assert (found_on, told["blockSearch"]["totalCount"]) == ([height + 2, height + 3], 4)
    found_all = [block["block"]["header"]["height"] for block in told["blockSearchAll"]["blocks"]]
    assert found_all == list(range(height, height + 4))


def results(told: dict[str, Any], world: World) -> None:
    (only,) = told["blockResults"]["results"]
    assert (only["code"], int(only["gasUsed"]) > 0, told["blockResults"]["height"]) == (0, True, world.height)
    one = told["tx"]
    assert (one["hash"], one["height"], one["result"]) == (world.paid[0][0].hex(), world.height, only)
    assert one["proof"]["rootHash"] == told["block"]["block"]["header"]["dataHash"]
    assert one["proof"]["data"] == one["tx"] == told["block"]["block"]["txs"][0]
    ids = {hash.hex() for hash, _ in world.paid}
    every = [tx["hash"] for tx in told["txSearchAll"]["txs"]]
    assert ids <= {*every}
    assert told["txSearch"]["txs"] == [one]
    assert told["txSearch"]["totalCount"] >= len(ids)


def state(told: dict[str, Any], running: Running, world: World) -> None:
    """With its proof, held against the header of the height after."""
    answer = told["abciQuery"]
    header = running.node.views.answers.blocks.load_meta(answer["height"] + 1)
    assert header is not None
    ops = tuple(
        ProofOp(op["type"], bytes.fromhex(op["key"]), bytes.fromhex(op["data"])) for op in answer["proof"]["ops"]
    )
    value = bytes.fromhex(answer["value"])
    verify(ops, header.header.app_hash, store="currency", key=world.key, value=value)
    before = Account.decode(bytes.fromhex(told["abciQueryPlain"]["value"])).balance
    assert Account.decode(value).balance >= before + sum(PAID[1:])
    assert (told["abciQueryPlain"]["height"], told["abciQueryPlain"]["proof"]) == (world.height, None)
    assert told["abciInfo"]["lastBlockHeight"] >= world.height


def of_the_node(told: dict[str, Any], running: Running) -> None:
    validator = running.node.views.driver.state.validators[0]
    for name in ("validators", "validatorsAll"):
        (one,) = told[name]["validators"]
        assert (one["address"], one["pubkey"]["data"]) == (validator.address.hex(), validator.pub_key.bytes.hex())
        assert (one["votingPower"], told[name]["total"]) == (str(validator.voting_power), 1)
    genesis = told["genesis"]
    assert genesis["chainId"] == running.network.chain_id
    assert [one["address"] for one in genesis["validators"]] == [validator.address.hex()]
    assert "currency" in genesis["appState"]
    status = told["status"]
    assert status["nodeInfo"]["network"] == running.network.chain_id
    assert (status["syncInfo"]["catchingUp"], status["validatorInfo"]["votingPower"]) == (
        False,
        str(validator.voting_power),
    )
    assert told["health"] is None
    assert told["numUnconfirmedTxs"]["total"] >= 0


def heard(told: dict[str, Any], world: World) -> None:
    """Each transaction once, as it was sent; blocks without a gap."""
    sent = sorted(tx.hex() for tx in world.txs)
    for name in ("subscribeTx", "subscribeTxQuery"):
        assert sorted(event["tx"] for event in told[name]) == sent
        assert all(event["hash"] == sha256(bytes.fromhex(event["tx"])).hex() for event in told[name])
        assert all(event["result"]["code"] == 0 and event["result"]["events"] for event in told[name])
    heights = [block["header"]["height"] for block in told["subscribeNewBlock"]]
    assert heights == list(range(heights[0], heights[0] + len(heights)))
    first, second = told["subscribeNewBlockHeader"]
    assert second["height"] == first["height"] + 1
