"""A chain of one honest validator, a door in front of it that lies, and the command as it is typed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from chain.tx.envelope.tx import Tx, decode
from chain.tx.messages import Payment
from dchat.cli.main import dchat
from dchat.client.client import Client, NotFound
from dchat.client.proved import Proved
from dchat.client.verify import Trust, Verifier
from dchat.client.wallet import Session
from tests.support.node.lying import LyingDoor
from tests.support.node.running import Running

DCHAT = 1_000_000


@dataclass
class World:
    """An honest chain of one validator, and a liar in front of it."""

    running: Running
    door: LyingDoor

    async def dchat(self, *arguments: object, home: Path | None = None, node: str = "") -> Result:
        root = home or self.running.network.home_of(self.running.network.nodes[0])
        line = [*map(str, arguments), "--home", str(root), "--node", node or self.door.address]
        return await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat", env={"DCHAT_HOME": None})

    def file(self, name: str) -> Path:
        return self.running.network.folder / self.running.network.accounts[name]

    async def pay(self, *options: object, home: Path | None = None) -> Result:
        """One DCHAT from Alice to Bob."""
        return await self.dchat(
            "tx", "pay", "--from", self.file("alice"), "--to", self.file("bob"), "--amount", 1, *options, home=home
        )

    def session(self, client: Client) -> Session:
        trust = Trust.of_genesis(self.running.node.genesis)
        verifier = Verifier(client, trust, chain_id=self.running.network.chain_id)
        return Session(client, self.running.account("alice").wallet, proved=Proved(verifier))

    def payment(self) -> Payment:
        return Payment(self.running.account("alice").address, self.running.account("bob").address, DCHAT)

    async def paid(self) -> int:
        """What Bob has got once the liar has made of all that it was handed what can be made of it, in DCHAT."""
        async with self.running.client() as client:
            for _ in self.door.handed:  # the order that suits the liar
                for tx in self.door.handed:
                    if not (await client.broadcast(tx)).code:
                        await until_in_a_block(client, decode(tx))
            bob = (await client.account(self.running.account("bob").address)).account.balance
        return (bob - 1_000_000 * DCHAT) // DCHAT

    @property
    def signed(self) -> list[Tx]:
        return [decode(tx) for tx in self.door.handed]


async def until_in_a_block(client: Client, tx: Tx) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await client.tx(tx.id)
                return
            except NotFound:
                await client.wait_for_height((await client.status()).latest_block_height + 1)
