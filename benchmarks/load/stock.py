"""Accounts of a genesis, and their transactions, signed beforehand by all cores.

An account is its number: whoever knows the label makes its key again, so that processes need not be told keys. Each
round gives every sender one transaction, in the senders' order; a sender's own follow each other in its sequences.
"""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import (
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Message,
    Payment,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from chain.tx.units import UDCHAT_PER_DCHAT
from crypto.hash import sha256
from dchat.devnet.leases import free_ports
from dchat.devnet.network import DEFAULT_CHAIN_ID, Network, Pace, make_network

FUNDS: Final = 1_000 * UDCHAT_PER_DCHAT
ALLOWANCE: Final = 100 * UDCHAT_PER_DCHAT
GAS_PRICE: Final = 100_000  # the genesis's: udchat for a million gas
EXPIRY_HEIGHT: Final = 90_000  # of what is unordered; the genesis allows so far ahead
FAR_AHEAD: Final = {module: {"unordered_expiry_blocks_max": "100000"} for module in ("currency", "chat", "bridge")}
POST_BYTES: Final = 1_024
CHANNELS: Final = 16
CHUNKS_PER_CORE: Final = 4
ALONE: Final = 16  # for fewer no process is worth its start
MIXES: Final = {
    "payments": ("payment",),
    "posts": ("post",),
    "bundles": ("bundle",),
    "mixed": ("payment",) * 7 + ("post",) * 2 + ("bundle",),
}


@dataclass(frozen=True, slots=True)
class Crowd:
    """The senders of a run. mix: what they send, one of MIXES; all but payments need `setup`."""

    label: str
    senders: int
    mix: str

    @property
    def kinds(self) -> tuple[str, ...]:
        return MIXES[self.mix]

    @property
    def chats(self) -> bool:
        return self.kinds != ("payment",)

    def wallet(self, number: int) -> Wallet:
        return Wallet.from_seed(sha256(f"{self.label} {number}".encode()))

    def kind(self, sender: int, turn: int) -> str:
        return self.kinds[(sender + turn) % len(self.kinds)]


def room_of(number: int) -> str:
    return f"load-{number % CHANNELS}"


def content(number: int) -> bytes:
    """Of a post: nothing that a disk could make smaller."""
    return random.Random(number).randbytes(POST_BYTES)


def prepare(folder: Path, crowd: Crowd, *, validators: int, accounts: int, pace: Pace) -> Network:
    """Homes, and a genesis with the senders and as many others as make `accounts`."""
    rng = random.Random(1)
    funds = dict.fromkeys(_each_core(_addresses, crowd, crowd.senders), FUNDS)
    funds |= {rng.randbytes(20): 1 + rng.randrange(10**9) for _ in range(accounts - len(funds))}
    return make_network(
        folder, validators=validators, pace=pace, ports=free_ports(validators), more_balances=funds, params=FAR_AHEAD
    )


def setup(crowd: Crowd, maker: Wallet) -> list[list[bytes]]:
    """What must be committed before anybody posts, one list after the other. maker: of the channels."""
    first: list[Message] = [RegisterIdentity(maker.address, "maker", ""), BuyAllowance(maker.address, ALLOWANCE)]
    first += [CreateChannel(maker.address, room_of(number), 0, "") for number in range(CHANNELS)]
    return [[_alone(maker, first, "setup", with_policy=True)], _each_core(_joins, crowd, crowd.senders)]


def _alone(wallet: Wallet, messages: Sequence[Message], memo: str, *, with_policy: bool) -> bytes:
    """Unordered. memo: what makes it another one."""
    return build_tx(
        chain_id=DEFAULT_CHAIN_ID, messages=messages, seats=[Seat(wallet, None, with_policy=with_policy)],
        gas_price=GAS_PRICE, expiry_height=EXPIRY_HEIGHT, memo=memo,
    )  # fmt: skip


def _addresses(crowd: Crowd, numbers: range) -> list[bytes]:
    return [crowd.wallet(number).address for number in numbers]


def _joins(crowd: Crowd, numbers: range) -> list[bytes]:
    txs = []
    for number in numbers:
        who = crowd.wallet(number)
        messages = (
            RegisterIdentity(who.address, f"load{number}", ""), BuyAllowance(who.address, ALLOWANCE),
            JoinChannel(who.address, channel_id(room_of(number))),
        )  # fmt: skip
        txs.append(_alone(who, messages, "join", with_policy=True))
    return txs


def _each_core(work, crowd: Crowd, count: int, *more: int) -> list:  # type: ignore[no-untyped-def,type-arg]
    """`work` over the numbers below `count`, in parts, by all cores; its lists put together in the numbers' order."""
    if count < ALONE:
        return list(work(crowd, range(count), *more))
    step = max(1, -(-count // (CHUNKS_PER_CORE * (os.cpu_count() or 1))))
    parts = [range(begin, min(count, begin + step)) for begin in range(0, count, step)]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(work, crowd, part, *more) for part in parts]
        return [one for future in futures for one in future.result()]


def _signed(crowd: Crowd, numbers: range, begin: int, turns: int) -> list[list[bytes]]:
    """Of each sender, its transactions of the turns from `begin` on."""
    found = []
    for number in numbers:
        who, neighbour = crowd.wallet(number), crowd.wallet((number + 1) % crowd.senders).address
        room = channel_id(room_of(number))
        before = [crowd.kind(number, turn) for turn in range(begin)]
        sequences = {kind: before.count(kind) for kind in ("payment", "post")}
        txs = []
        for turn in range(begin, begin + turns):
            kind, serial = crowd.kind(number, turn), turn * crowd.senders + number
            pay, post = Payment(who.address, neighbour, 1 + turn % 7), PostMessage(who.address, room, b"", 0)
            if kind == "bundle":
                post = post._replace(content=content(serial)[:256])
                txs.append(_alone(who, (pay, post), str(turn), with_policy=False))
                continue
            message: Message = pay if kind == "payment" else post._replace(content=content(serial))
            sequence = sequences[kind]
            sequences[kind] += 1
            seat = Seat(who, sequence, with_policy=sequence == 0 and not crowd.chats)
            txs.append(build_tx(chain_id=DEFAULT_CHAIN_ID, messages=[message], seats=[seat], gas_price=GAS_PRICE))
        found.append(txs)
    return found


@dataclass
class Stock:
    """Signed transactions in the order of their turns, kept by the door that each sender goes to."""

    crowd: Crowd
    doors: int
    shelves: list[deque[bytes]] = field(init=False)
    turn: int = 0  # up to which is signed

    def __post_init__(self) -> None:
        self.shelves = [deque() for _ in range(self.doors)]

    def __len__(self) -> int:
        return sum(map(len, self.shelves))

    def fill(self, count: int) -> None:
        """Sign until so many are there."""
        lacks = count - len(self)
        if lacks <= 0:
            return
        turns = -(-lacks // self.crowd.senders)
        by_sender: list[list[bytes]] = _each_core(_signed, self.crowd, self.crowd.senders, self.turn, turns)
        for turn in range(turns):
            for number, txs in enumerate(by_sender):
                self.shelves[number % self.doors].append(txs[turn])
        self.turn += turns

    def take(self, count: int) -> list[list[bytes]]:
        """`count` of them, or all that are there, by door."""
        return [list(self._from(shelf, count // self.doors)) for shelf in self.shelves]

    @staticmethod
    def _from(shelf: deque[bytes], count: int) -> Iterator[bytes]:
        for _ in range(min(count, len(shelf))):
            yield shelf.popleft()
