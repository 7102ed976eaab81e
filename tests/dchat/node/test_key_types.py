"""Networks whose validators have keys of ML-DSA-65, alone and beside Ed25519: blocks, a payment, a light client, a
validator that is killed and comes back, and one that signs twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.tx.envelope.build import Seat, build_tx
from chain.tx.messages import Payment
from consensus.types.evidence import DuplicateVoteEvidence
from consensus.types.ids import BlockID, PartSetHeader
from consensus.types.light import LightBlock
from consensus.types.vote import PREVOTE, Vote
from crypto.keys import ED25519, KEY_TYPES, PrivKey, signature_bytes
from crypto.mldsa import ML_DSA_65
from dchat.client.client import Client, ClientError
from dchat.devnet import processes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, make_network
from dchat.home import identity
from dchat.home.home import Home, load_genesis, load_validator_key
from light import LightClient, Options, Root
from light.errors import ProviderFailed
from light.rpc import RpcProvider
from tests.support.cli.network import PACE

DCHAT = 10**6
DEADLINE_S = 240.0
HOUR_NS = 3_600 * 10**9


async def reached(asked: Callable[[], Awaitable[bool]], what: str) -> None:
    """A node that is just starting refuses connections."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with contextlib.suppress(ClientError, ProviderFailed):
                    if await asked():
                        return
                await asyncio.sleep(0.2)
    raise AssertionError(f"{what}: not within {DEADLINE_S} s")


@dataclass
class World:
    """Four processes, and clients of the first; the fourth is killed meanwhile. keys: by validator's address in hex."""

    network: Network
    keys: dict[str, PrivKey]
    client: Client
    primary: RpcProvider
    witness: RpcProvider

    async def height(self) -> int:
        return int((await self.client.status()).latest_block_height)

    async def blocks_after(self, wanted: int, what: str) -> None:
        async def there() -> bool:
            return await self.height() > wanted

        await reached(there, what)

    async def members(self, **of: str) -> list[dict[str, Any]]:
        """As CometBFT's clients see them."""
        return (await self.primary.call("validators", **of)).list("validators", lambda value, where: value)

    async def pays(self) -> None:
        alice, bob = (identity.load(self.network.folder / self.network.accounts[name]) for name in ("alice", "bob"))
        tx = build_tx(
            chain_id=self.network.chain_id, messages=[Payment(alice.address, bob.address, 3 * DCHAT)],
            seats=[Seat(alice.wallet, 0, with_policy=True)], gas_price=100_000,
        )  # fmt: skip
        before = (await self.client.account(bob.address)).account.balance
        assert not (await self.client.broadcast(tx)).code

        async def paid() -> bool:
            return bool((await self.client.account(bob.address)).account.balance == before + 3 * DCHAT)

        await reached(paid, "the payment")

    async def verified(self, height: int) -> LightBlock:
        """By a light client from the second block on, with the node that comes back as its witness."""

        async def there() -> bool:
            return (await self.witness.light_block(height)).height == height

        await reached(there, "the one that was killed")
        root = Root(2, (await self.primary.light_block(2)).signed_header.header.hash)
        options = Options(trusting_period_ns=HOUR_NS)
        found = await LightClient(root, self.primary, [self.witness], options=options).verify_at(height)
        slots = [slot for slot in found.signed_header.commit.signatures if not slot.is_absent]
        assert len(slots) >= 3
        for slot in slots:
            assert len(slot.signature) == signature_bytes(self.keys[slot.validator_address.hex().upper()].pub_key)
        return found

    async def punishes(self, offender: str, block: LightBlock) -> None:
        """Two prevotes of its at that block's height."""
        key, header = self.keys[offender], block.signed_header.header
        index = block.validators.index_of(key.pub_key.address)
        assert index is not None
        votes = []
        for name in (b"\1", b"\2"):
            block_id = BlockID(name * 32, PartSetHeader(1, name * 32))
            vote = Vote(PREVOTE, header.height, 0, block_id, header.time_ns, key.pub_key.address, index)
            votes.append(vote.signed(key.sign(vote.sign_bytes(self.network.chain_id))))
        evidence = DuplicateVoteEvidence.from_votes(*votes, validators=block.validators, time_ns=header.time_ns)
        await self.client.broadcast_evidence(evidence.encode_wrapped())

        async def gone() -> bool:
            return offender not in [one["address"] for one in await self.members()]

        await reached(gone, "its punishment")
        await self.blocks_after(await self.height() + 2, "blocks without it")


async def lived_through(world: World) -> None:
    network, keys = world.network, world.keys
    await world.blocks_after(2, "blocks")
    await world.pays()
    processes.kill(network, network.nodes[3])  # it holds a quarter of the power
    stood = await world.height()
    await world.blocks_after(stood + 3, "blocks of three")
    processes.start(network, network.nodes[3])
    wanted = sorted(KEY_TYPES[key.type].pub_key_name for key in keys.values())
    assert sorted(one["pub_key"]["type"] for one in await world.members(height="2")) == wanted
    block = await world.verified(stood)
    offender = next(node.address for node in network.nodes[1:3] if keys[node.address].type == ML_DSA_65)
    await world.punishes(offender, block)


@pytest.mark.network
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param((ED25519, ML_DSA_65), id="mixed"),
        pytest.param((ML_DSA_65,), marks=pytest.mark.campaign, id="ml-dsa alone"),
    ],
)
async def test_four_processes_with_keys_of_ml_dsa(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    network = make_network(tmp_path / "net", validators=4, pace=PACE, ports=free_ports(4), key_types=kinds)
    first, last = network.nodes[0], network.nodes[3]
    assert load_genesis(Home.of(network.home_of(first))).consensus_params.validator.pub_key_types == kinds
    keys = {one.address: load_validator_key(Home.of(network.home_of(one))) for one in network.nodes}
    assert [key.type for key in keys.values()] == [kinds[at % len(kinds)] for at in range(4)]
    try:
        for node in network.nodes:
            processes.start(network, node)
        async with (
            Client(f"127.0.0.1:{first.ports.grpc}") as client,
            RpcProvider(f"http://127.0.0.1:{first.ports.rpc}") as primary,
            RpcProvider(f"http://127.0.0.1:{last.ports.rpc}") as witness,
        ):
            await lived_through(World(network, keys, client, primary, witness))
    except AssertionError as error:
        raise AssertionError("\n".join(processes.tail(network, node) for node in network.nodes)) from error
    finally:
        for node in network.nodes:
            if processes.running_pid(network, node) is not None:
                processes.kill(network, node)
