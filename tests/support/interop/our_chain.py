"""A chain of our application whose one validator is a real CometBFT node."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Any

from chain.currency.ledger.records import ACCOUNT, Account
from chain.state.proofs import verify
from chain.tx.envelope.build import Seat, build_tx
from chain.tx.messages import Payment
from consensus.abci.interface import ProofOp
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home import identity
from tests.support.interop.cometbft import CometNode
from tests.support.interop.served import AbciProcess

WAIT_S = 60
GONE = "Did the application crash?"  # proxy/multi_app_conn.go
GAS_PRICE = 100_000  # of a new chain


class OurChain:
    """Files in `folder`: the genesis and accounts of `dchat testnet`, the node's home, the application's."""

    def __init__(self, folder: Path, *, options: str = "") -> None:
        network = make_network(folder / "net", validators=1, ports=free_ports(1))
        config = network.home_of(network.nodes[0]) / "config"
        self.alice, self.bob = (identity.load(network.folder / network.accounts[name]) for name in ("alice", "bob"))
        self.chain_id = str(json.loads((config / "genesis.json").read_text())["chain_id"])
        self.comet = CometNode(folder / "comet", chain_id=self.chain_id)
        for name in ("genesis.json", "priv_validator_key.json"):
            shutil.copy(config / name, self.comet.home / "config" / name)
        self.comet.set_config({"consensus.timeout_commit": "100ms"})
        self.app = AbciProcess(folder / "app", options=options)
        self._sequence = 0
        self._gone = 0  # times that its application was

    def payment(self, amount: int) -> bytes:
        """Of alice to bob: the next in her order."""
        seat = Seat(self.alice.wallet, self._sequence, with_policy=not self._sequence)
        self._sequence += 1
        message = Payment(self.alice.address, self.bob.address, amount)
        return build_tx(chain_id=self.chain_id, messages=[message], seats=[seat], gas_price=GAS_PRICE)

    async def send(self, tx: bytes) -> dict[str, Any]:
        """Wait for its block. Returns broadcast_tx_commit's answer."""
        return await self.comet.rpc(f"broadcast_tx_commit?tx=0x{tx.hex()}")

    async def height(self) -> int:
        return int((await self.comet.rpc("status"))["sync_info"]["latest_block_height"])

    async def wait_height(self, least: int) -> int:
        """Raises AssertionError with the end of the logs."""
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    try:
                        if (height := await self.height()) >= least:
                            return height
                    except OSError:
                        pass
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{self.comet.log[-3_000:]}\n\n{self.app.log[-3_000:]}") from None

    async def app_height(self) -> int:
        told = (await self.comet.rpc("abci_info"))["response"]
        return int(told.get("last_block_height", 0))

    async def balance(self, address: bytes) -> int:
        """With its proof, held against the header of the height after. Raises InvalidProof."""
        key = (ACCOUNT + address)[1:]  # without the store's letter
        asked = f'abci_query?path="/store/currency/key"&data=0x{key.hex()}&prove=true'
        found = (await self.comet.rpc(asked))["response"]
        height = int(found["height"])
        await self.wait_height(height + 1)
        header = (await self.comet.rpc(f"commit?height={height + 1}"))["signed_header"]["header"]
        ops = tuple(
            ProofOp(op["type"], base64.b64decode(op["key"]), base64.b64decode(op["data"]))
            for op in found["proofOps"]["ops"]
        )
        value = base64.b64decode(found["value"])
        verify(ops, bytes.fromhex(header["app_hash"]), store="currency", key=key, value=value)
        return Account.decode(value).balance

    async def comet_ended(self) -> None:
        """By itself; or it said that its application is gone, and hangs at the stop, as it may."""
        process = self.comet.process
        assert process is not None
        before = self._gone
        async with asyncio.timeout(WAIT_S):
            while process.returncode is None and self.comet.log.count(GONE) == before:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.1)
        self._gone = self.comet.log.count(GONE)
