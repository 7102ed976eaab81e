"""Signed payments as a load: many accounts, ordered sequences, every node's door, and the time from send to commit.

Used by `dchat benchmark`, benchmarks/network.py and the campaigns. Everything is signed before the clock starts; while
it runs the load only sends, and one stream of blocks tells what was committed.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Payment
from crypto.hash import sha256
from dchat.client.client import Client, ClientError, NodeUnreachable
from dchat.client.wallet import Session

BATCH = 100  # transactions a call: the cost of a call is spread, and a refusal holds up few
RETRY_S = 0.05  # after "try later"
FUNDS = 100_000_000  # udchat: what each sender gets to begin with


def wallet(label: str) -> Wallet:
    """A wallet that the same label gives again."""
    return Wallet.from_seed(sha256(label.encode()))


@dataclass
class Sender:
    """An account of the load, and the number of its next transaction."""

    wallet: Wallet
    sequence: int
    is_known: bool  # the chain has its policy on record

    @staticmethod
    async def of(client: Client, who: Wallet) -> Sender:
        account = (await client.account(who.address)).account
        found = {entry.public_key: entry.next for entry in account.sequences}
        return Sender(who, found.get(who.public_key, found.get(b"", 0)), account.HasField("policy"))

    def pay(self, recipient: bytes, amount: int, *, chain_id: str, gas_price: int) -> bytes:
        """A signed payment, the next of this account."""
        seat = Seat(self.wallet, sequence=self.sequence, with_policy=not self.is_known)
        message = Payment(self.wallet.address, recipient, amount)
        self.sequence, self.is_known = self.sequence + 1, True
        return build_tx(chain_id=chain_id, messages=[message], seats=[seat], gas_price=gas_price)


async def make_senders(client: Client, source: Wallet, count: int, *, label: str) -> list[Sender]:
    """`count` funded accounts. Raises ClientError, TimeoutError."""
    facts = await Session(client, source).facts()
    purse = await Sender.of(client, source)
    wallets = [wallet(f"{label} {number}") for number in range(count)]
    txs = [purse.pay(who.address, FUNDS, chain_id=facts.chain_id, gas_price=facts.gas_price) for who in wallets]
    async with asyncio.timeout(120):
        sent = Sent()
        await send_all(client, txs, sent)
        if sent.refused:
            raise ClientError(f"funding was refused: {dict(sent.refused)}")
        while (await Sender.of(client, source)).sequence < purse.sequence:
            await client.wait_for_height((await client.status()).latest_block_height + 1)
    return [Sender(who, 0, False) for who in wallets]


def make_payments(senders: Sequence[Sender], count: int, *, chain_id: str, gas_price: int) -> list[bytes]:
    """`count` payments in turn from each sender to its neighbour: all accounts are touched, in no hot spot."""
    return [
        senders[number % len(senders)].pay(
            senders[(number + 1) % len(senders)].wallet.address, 1 + number % 7, chain_id=chain_id, gas_price=gas_price
        )
        for number in range(count)
    ]


@dataclass
class Sent:
    """What sending did. times: id -> when it was handed in for the try that succeeded, monotonic seconds."""

    times: dict[bytes, float] = field(default_factory=dict)
    admitted: int = 0
    retries: int = 0
    refused: Counter[str] = field(default_factory=Counter)


async def send_all(client: Client, txs: Sequence[bytes], sent: Sent, *, rate: float = 0.0) -> None:
    """Hand in `txs` in order. What is told to try later is tried again; an unreachable node is waited for.

    rate: transactions a second at most; 0: as fast as they are taken.
    """
    queue = deque(txs)
    started, handed = time.monotonic(), 0
    while queue:
        if rate and (ahead := handed / rate - (time.monotonic() - started)) > 0:
            await asyncio.sleep(ahead)
        size = min(BATCH, len(queue), max(1, int(rate / 20)) if rate else BATCH)
        batch = [queue.popleft() for _ in range(size)]
        now = time.monotonic()
        try:
            results = await client.broadcast_many(batch)
        except NodeUnreachable:
            queue.extendleft(reversed(batch))
            await asyncio.sleep(RETRY_S)
            continue
        later: list[bytes] = []
        for tx, result in zip(batch, results, strict=True):
            if result.code == 0 or _is_repeat(result.log):
                sent.times.setdefault(result.hash, now)
                sent.admitted += 1
                handed += 1
            elif "try later" in result.log or _is_gap(result.log, bool(later)):
                later.append(tx)
            else:
                sent.refused[f"{result.codespace} {result.code}: {result.log}"[:120]] += 1
        if later:
            sent.retries += len(later)
            queue.extendleft(reversed(later))
            await asyncio.sleep(RETRY_S)


def _is_repeat(log: str) -> bool:
    return "already" in log


def _is_gap(log: str, an_earlier_one_waits: bool) -> bool:
    """The sequence before it is to be tried again, so this one cannot be taken yet."""
    return an_earlier_one_waits and "sequence" in log


class Commits:
    """Follows one node's blocks and remembers when each transaction was seen committed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.seen: dict[bytes, float] = {}
        self.failed: Counter[int] = Counter()  # by code
        self.blocks: list[tuple[float, int, int]] = []  # (when, height, transactions)
        self._changed = asyncio.Event()

    async def follow(self) -> None:
        async for answer in self._client.stream_blocks(with_results=True):
            now = time.monotonic()
            self.blocks.append((now, answer.block.header.height, len(answer.results)))
            for result in answer.results:
                self.seen[result.hash] = now
                if result.code:
                    self.failed[result.code] += 1
            self._changed.set()

    async def wait_for(self, hashes: Sequence[bytes], timeout_s: float) -> list[bytes]:
        """Wait until all of `hashes` are committed; returns those that are not, at the deadline."""
        missing = [tx_hash for tx_hash in hashes if tx_hash not in self.seen]
        try:
            async with asyncio.timeout(timeout_s):
                while missing:
                    self._changed.clear()
                    await self._changed.wait()
                    missing = [tx_hash for tx_hash in missing if tx_hash not in self.seen]
        except TimeoutError:
            pass
        return missing
