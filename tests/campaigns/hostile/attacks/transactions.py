"""Junk for the mempool: number 11 of the issue."""

from __future__ import annotations

import asyncio

from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Payment
from consensus.channels.extension import HASHES_MAX, ExtensionMessage, encode
from consensus.channels.peer_messages import encode_txs
from consensus.mempool.reactor import TXS_PER_MESSAGE_MAX
from crypto.hash import sha256
from proto.dchat.v1 import tx_pb2
from tests.campaigns.hostile.attacks.packets import connections_of
from tests.campaigns.hostile.wire import Target, Wire, packets
from tests.campaigns.hostile.world import World, attack

BATCH = 50
VARIANTS = 2_000


@attack
async def junk_txs(world: World) -> None:
    """Bytes that are no transaction."""

    async def act(wire: Wire, _: Target) -> None:
        while True:
            txs = [world.rng.randbytes(world.rng.randrange(20, 400)) for _ in range(BATCH)]
            await world.pour(wire, [packets(0x30, encode_txs(txs))])

    await world.keep(act, connections=connections_of(world))


@attack
async def bad_signatures(world: World) -> None:
    """Payments in the right form whose signature does not hold; each another transaction."""
    base = one_payment(world)

    def variants() -> list[bytes]:
        txs = []
        for _ in range(BATCH):
            tx = tx_pb2.Tx.FromString(base)
            for signature in tx.signatures:
                signature.signature = world.rng.randbytes(64)
            txs.append(tx.SerializeToString())
        return txs

    prepared = [packets(0x30, encode_txs(variants())) for _ in range(VARIANTS // BATCH)]

    async def act(wire: Wire, _: Target) -> None:
        while True:
            await world.pour(wire, [world.rng.choice(prepared), packets(0x30, encode_txs(variants()))])

    await world.keep(act, connections=connections_of(world))


@attack
async def no_money(world: World) -> None:
    """Payments of new accounts, signed well: refused only after everything was checked."""

    async def act(wire: Wire, _: Target) -> None:
        while True:
            await world.pour(wire, [packets(0x30, encode_txs([one_payment(world) for _ in range(8)]))])

    await world.keep(act, connections=connections_of(world))


def one_payment(world: World) -> bytes:
    wallet = Wallet.from_seed(sha256(world.rng.randbytes(32)))
    message = Payment(wallet.address, world.rng.randbytes(20), 1)
    return build_tx(
        chain_id=world.chain_id, messages=[message], seats=[Seat(wallet, 0, with_policy=True)], gas_price=100_000
    )


@attack
async def announced_hashes(world: World) -> None:
    """Hashes of transactions that do not exist, as many as a message takes, again and again."""

    async def act(wire: Wire, _: Target) -> None:
        while True:
            hashes = tuple(world.rng.randbytes(32) for _ in range(min(HASHES_MAX, 4_096)))
            await world.pour(wire, [packets(0x70, encode(ExtensionMessage(have_txs=hashes)))])
            await asyncio.sleep(0.05)

    await world.keep(act, connections=connections_of(world))


@attack
async def wanted_hashes(world: World) -> None:
    """Asks again and again for transactions, and does not read them."""

    async def act(wire: Wire, _: Target) -> None:
        hashes = tuple(world.rng.randbytes(32) for _ in range(4_000))
        while True:
            await world.pour(wire, [packets(0x70, encode(ExtensionMessage(want_txs=hashes)))])

    await world.keep(act, connections=connections_of(world))


@attack
async def tiny_txs(world: World) -> None:
    """Messages of as many empty transactions as one may hold."""

    async def act(wire: Wire, _: Target) -> None:
        message = packets(0x30, encode_txs([b""] * TXS_PER_MESSAGE_MAX))
        while True:
            await world.pour(wire, [message])

    await world.keep(act, connections=connections_of(world))
