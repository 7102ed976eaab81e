"""A storm on a network of real processes: random transactions of every kind, valid and not, through all doors.

What people do is drawn by `tests.support.economy.life`, from the state after the last block, which an application of
this process keeps by executing the network's blocks; each header's app hash must be its own. At the end all nodes have
the same blocks and roots, and every invariant holds on each of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import time
from collections import Counter
from pathlib import Path

from chain.currency.machine import account_of
from chain.state.store import Stores
from chain.tx.envelope.build import Wallet
from chain.tx.envelope.tx import decode
from chain.tx.errors import TxError
from chain.tx.messages import KIND_OF, KINDS, Payment
from consensus.abci.interface import InitChainRequest, ValidatorUpdate
from consensus.abci.requests import block_request
from consensus.types.block import Block
from consensus.types.validators import EMPTY_SET, ValidatorSet
from dchat.app.app import DchatApplication
from dchat.app.genesis_params import Changes
from dchat.client.client import Client
from dchat.client.wallet import Session, TxExpired, TxRefused
from dchat.devnet.network import Pace, Ports, make_network
from dchat.home import identity
from dchat.home.home import Home, load_genesis
from proto.dchat.v1 import service_pb2 as pb
from storage.memory import MemoryStore
from tests.campaigns.harness import CampaignFailed, Testnet, be_quiet, folder_of, run_campaign, say, until
from tests.support.chain.harness import CHAIN_ID, drain
from tests.support.chain.recorded import Recording
from tests.support.economy.life import AUTHORITY, NAMES, Life
from tests.support.economy.world import DCHAT, UNIT

PURSE_UDCHAT = 20_000 * DCHAT  # of each: enough to try most things; all of them are far from a third of the stake
PURSE_DIVISOR = 40  # no purse takes more than this part of what is left, so that something always is
BUSY_BLOCKS = 12  # what is in no block by then is dropped, and its people do something else
ROUNDS = 8  # of drawing, a block
BEHIND_BLOCKS = 1  # what is drawn from an older state is refused for it
POOR_UDCHAT = 100 * DCHAT  # who has less gets another purse
PURSE_BLOCKS = 20  # between two looks at who is poor
PACE = Pace(1_000, 500, 100, 100, 100, 0)  # a waiting transaction starts a block; empty ones would only be followed
PACE_S = 5.0
RICH, AUTHORITY_ACCOUNT = "carol", "dave"  # who fills the purses, who sets upgrade plans

# The times of a life, so that a storm sees ends: what unbonds comes back, proposals are decided, allowance refills. Its
# own validators have no node and are jailed soon; the network's miss a block of a quick network now and then.
PARAMS: Changes = {
    "staking": {
        "unbonding_s": "60", "min_stake": str(UNIT), "min_self_delegation": str(DCHAT), "validators_max": "8",
    },
    "slashing": {"missed_blocks_window": "80", "min_signed_per_window": "0.05", "downtime_jail_s": "20"},
    "governance": {
        "min_deposit": str(DCHAT), "expedited_min_deposit": str(3 * DCHAT), "deposit_period_s": "30",
        "voting_period_s": "20", "expedited_voting_period_s": "10",
    },
    "chat": {"refill_period_s": "20", "unlock_delay_s": "20"},
}  # fmt: skip


class Storm(Life):
    """People of a network that is elsewhere. `follow` gives it each block; `act` draws what they do next."""

    favoured = 24

    def __init__(self, seed: int, home: Path, gas_price: int, authority: Wallet) -> None:
        super().__init__(seed, twin=False)
        self.wallets[AUTHORITY] = authority
        genesis = load_genesis(Home.of(home))
        self.gas_price = gas_price
        first = tuple(ValidatorUpdate(v.pub_key, v.power) for v in genesis.validators)
        self.app = DchatApplication(Stores(MemoryStore()))
        self.app.init_chain(
            InitChainRequest(
                genesis.genesis_time_ns, genesis.chain_id, genesis.consensus_params, first, genesis.app_state,
                genesis.initial_height,
            )
        )  # fmt: skip
        start = genesis.initial_height
        self.sets = {start: ValidatorSet.new((update.pub_key, update.power) for update in first)}
        self.sets[start - 1], self.sets[start + 1] = EMPTY_SET, self.sets[start].increment()
        self.height, self.committed = start - 1, 0
        self.busy: dict[bytes, int] = {}  # account -> height at which it did something
        self.waiting: dict[bytes, str] = {}  # transaction's id -> its messages' names
        self._app_hash = b""
        self.genesis = genesis
        self.recording: Recording | None = None  # of what it follows

    def follow(self, block: Block) -> None:
        """Execute the network's next block. Raises CampaignFailed: its app hash is not what this process has."""
        height = block.header.height
        if self._app_hash and block.header.app_hash != self._app_hash:
            raise CampaignFailed(f"header {height} has another app hash than the blocks give")
        request = block_request(block, self.sets[height - 1])
        if self.recording is not None:
            self.recording.add(request)
        response = drain(self.app.finalize_block(request))
        self.app.commit()
        self._app_hash, self.height, self.time_ns = response.app_hash, height, block.header.time_ns
        changes = [(update.pub_key, update.power) for update in response.validator_updates]
        self.sets[height + 2] = self.sets[height + 1].update(changes).increment()
        self.sets.pop(height - 2, None)
        for raw, result in zip(block.txs, response.tx_results, strict=True):
            tx = decode(raw)
            self._free(tx.id, [entry.address for entry in tx.signers])
            self.committed += 1
            names = [KIND_OF[type(message)].name for message in tx.messages]
            for name in names[-1:] if result.code else names:
                self.told(name, f"{result.codespace} {result.code}" if result.code else "ok")
        for address, since in list(self.busy.items()):
            if since + BUSY_BLOCKS < height:
                del self.busy[address]
        if height % 50 == 0:
            self.app.stores.prune(height - 5)

    def _free(self, tx_id: bytes, addresses: list[bytes]) -> None:
        self.waiting.pop(tx_id, None)
        for address in addresses:
            self.busy.pop(address, None)

    def is_free(self, name: str) -> bool:
        return self.address(name) not in self.busy

    def act(self) -> list[bytes]:
        """Transactions of people who have none under way."""
        found = []
        for _ in range(ROUNDS):
            for raw, _ in self._transactions():
                try:
                    signers = [entry.address for entry in decode(raw).signers]
                except TxError:  # a life tries what no decoder takes, too
                    signers = []
                if any(address in self.busy for address in signers):
                    continue
                self.busy.update(dict.fromkeys(signers, self.height))
                found.append(raw)
        return found

    def udchat_of(self, address: bytes) -> int:
        account = account_of(self.state, address)
        return account.balance if account is not None else 0

    def refused(self, raw: bytes, answer: pb.BroadcastResponse) -> None:
        self.seen[f"refused at a door: {answer.codespace} {answer.code}"] += 1
        try:
            tx = decode(raw)
        except TxError:
            return
        self._free(tx.id, [entry.address for entry in tx.signers])


class Purses:
    """Somebody rich who pays the poor, lest a storm ends because everything is staked. The more they have had, the
    smaller the purses; one that cannot be filled is counted, and the storm goes on."""

    def __init__(self, session: Session) -> None:
        self._session, self._paid = session, -PURSE_BLOCKS

    async def fill(self, storm: Storm, *, wait_commit: bool = False) -> None:
        if storm.height < self._paid + PURSE_BLOCKS:
            return
        self._paid = storm.height
        who = self._session.wallet.address
        poor = [name for name in NAMES if storm.balance(name) < POOR_UDCHAT]
        purse = purse_of(storm.udchat_of(who))
        gifts = [Payment(who, storm.address(name), purse) for name in poor]
        if not gifts:
            return
        storm.seen["purses"] += len(gifts)
        storm.seen["of them smaller than wanted"] += len(gifts) * (purse < PURSE_UDCHAT)
        try:
            await self._session.send(gifts, wait_commit=wait_commit, prove=False)
        except (TxRefused, TxExpired) as error:  # the last gift is under way still, or there is no room
            say(f"  purses stay empty at height {storm.height}: {error}")
            storm.seen["purses that stayed empty"] += len(gifts)


def purse_of(left: int) -> int:
    """What each of the poor is given by somebody who has so much. udchat."""
    return max(1, min(PURSE_UDCHAT, left // PURSE_DIVISOR))


async def rage(net: Testnet, storm: Storm, purses: Purses, wanted: int) -> None:
    """Until so many transactions are in blocks."""
    clients = [Client(net.grpc(node.index)) for node in net.nodes]
    told = time.monotonic()
    try:
        async for piece in clients[0].stream_blocks(storm.height + 1):
            storm.follow(Block.decode(piece.block.SerializeToString()))
            if storm.committed >= wanted:
                return
            if time.monotonic() > told + PACE_S:
                told = time.monotonic()
                say(f"  height {storm.height}, {storm.committed} transactions in blocks")
            if (await clients[0].status()).latest_block_height > storm.height + BEHIND_BLOCKS:
                continue
            await purses.fill(storm)
            batches: list[list[bytes]] = [[] for _ in clients]
            for raw in storm.act():
                batches[storm.rng.randrange(len(clients))].append(raw)
            answers = await asyncio.gather(
                *[client.broadcast_many(txs) for client, txs in zip(clients, batches, strict=True) if txs]
            )
            sent = [raw for txs in batches for raw in txs]
            for raw, answer in zip(sent, [one for many in answers for one in many], strict=True):
                if answer.code:
                    storm.refused(raw, answer)
    finally:
        for client in clients:
            await client.close()


async def check(net: Testnet, storm: Storm) -> None:
    """One chain, equal roots, true invariants. Raises CampaignFailed."""

    async def all_there() -> bool:
        return min([await net.height(node.index) for node in net.nodes]) > storm.height

    await until("all nodes are past the storm", all_there, timeout_s=30.0)
    common = await net.check_agreement()
    after = await net.app_hashes(1, 100)
    if (there := after.get(storm.height + 1)) is not None and there.lower() != storm.app.stores.app_hash.hex():
        raise CampaignFailed(f"header {storm.height + 1} has app hash {there}")
    for node in net.nodes:
        async with Client(net.grpc(node.index)) as client:
            broken = [row.name for row in (await client.invariants()).invariants if not row.holds]
            if broken:
                raise CampaignFailed(f"validator {node.index}: {', '.join(broken)}")
    say(f"{common} heights compared on {len(net.nodes)} nodes, every invariant holds on each")


def network_of(folder: Path, ports: list[Ports] | None = None) -> Testnet:
    """Four validators; their chain is the one that lives are signed for."""
    make_network(folder, chain_id=CHAIN_ID, pace=PACE, ports=ports, params=PARAMS, upgrade_authority=AUTHORITY_ACCOUNT)
    return Testnet(folder)


async def storm_on(net: Testnet, *, seed: int, txs: int, record: Path | None = None) -> Storm:
    """record: a file for its blocks (tests.support.chain.recorded). Raises CampaignFailed."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(net.grpc(1)))
        rich, authority = [
            identity.load(net.home / net.network.accounts[name]).wallet for name in (RICH, AUTHORITY_ACCOUNT)
        ]
        session = Session(client, rich)
        storm = Storm(seed, net.homes[0], (await session.facts()).gas_price, authority)
        if record is not None:
            file = stack.enter_context(record.open("w", encoding="ascii"))
            storm.recording = Recording(file, storm.genesis)
        purses = Purses(session)
        await purses.fill(storm, wait_commit=True)
        await rage(net, storm, purses, txs)
    await check(net, storm)
    return storm


def report(storm: Storm) -> None:
    done: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for (kind, verdict), count in storm.tried.items():
        (done if verdict == "ok" else failed)[kind] += count
    for kind in sorted(KINDS):
        say(f"  {kind:28} {done[kind]:6} done {failed[kind]:6} failed")
    say(f"  {'; '.join(f'{count} {what}' for what, count in sorted(storm.seen.items())) or 'none refused at a door'}")


async def main(arguments: argparse.Namespace) -> None:
    be_quiet()
    say(f"seed {arguments.seed}")
    with folder_of("storm") as folder, network_of(folder / "network") as net:
        storm = await storm_on(net, seed=arguments.seed, txs=arguments.txs, record=arguments.record)
        report(storm)
        say(f"{storm.committed} transactions in {storm.height} blocks, each app hash as executed here")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--txs", type=int, default=10_000)
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write its blocks there: campaign determinism --file"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 31))
    run_campaign(main(parser.parse_args()))
