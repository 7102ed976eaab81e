"""Four processes: a transaction that is stuck is replaced at one node, leaves them all, and is never executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.tx.envelope.build import Seat, build_tx
from chain.tx.messages import Payment
from crypto.hash import sha256
from dchat.client.client import Client
from dchat.devnet.leases import free_ports
from dchat.home import identity
from tests.campaigns.harness import until
from tests.campaigns.storm import network_of

GAS = 40_000


@pytest.mark.network
async def test_a_stuck_transaction_is_replaced_at_all_four(tmp_path: Path) -> None:
    with network_of(tmp_path / "network", free_ports(4)) as net:
        who = identity.load(net.network.folder / net.network.accounts["alice"])
        chain_id = net.network.chain_id
        wallet = who.wallet

        def payment(sequence: int, fee: int) -> bytes:
            message = Payment(wallet.address, bytes(20), 1)
            return build_tx(
                chain_id=chain_id, messages=[message], seats=[Seat(wallet, sequence, with_policy=True)],
                gas_limit=GAS, fee=fee,
            )  # fmt: skip

        async def waiting(index: int) -> list[bytes]:
            async with Client(net.grpc(index)) as client:
                return [one.hash for one in (await client.pending(wallet.address)).txs]

        numbers = [node.index for node in net.nodes]
        net.kill(numbers[2])
        net.kill(numbers[3])  # no quorum: nothing goes on
        seen: list[list[tuple[int, str]]] = []

        async def are_stuck() -> bool:
            """Past the proposal of a height that nobody decides: one that is made later would have what waits."""
            said = [net.get(number, "/chain/consensus-status") for number in numbers[:2]]
            seen.append([(one["height"], one["step"]) for one in said])
            return seen[-2:-1] == seen[-1:] and len(set(seen[-1])) == 1 and seen[-1][0][1] == "prevote"

        await until("both wait for the others' votes", are_stuck, timeout_s=30)
        old, after, new = payment(0, 4_000), payment(1, 4_000), payment(0, 9_000)
        async with Client(net.grpc(numbers[0])) as first, Client(net.grpc(numbers[1])) as second:
            assert [(await first.broadcast(tx, wait_commit=False)).code for tx in (old, after)] == [0, 0]

            async def both_have(*txs: bytes) -> bool:
                want = [sha256(tx) for tx in txs]
                return [await waiting(number) for number in numbers[:2]] == [want, want]

            await until("both have it", lambda: both_have(old, after), timeout_s=30)
            low = await second.broadcast(payment(0, 4_100), wait_commit=False)
            assert (low.codespace, low.code) == ("mempool", 12)
            assert "underpriced: pays 4100 udchat, needs at least 4400 udchat" in low.log
            assert not (await second.broadcast(new, wait_commit=False)).code
            await until("both have the other in its place", lambda: both_have(new, after), timeout_s=30)
        net.start(numbers[2])
        net.start(numbers[3])

        async def is_executed() -> bool:
            async with Client(net.grpc(numbers[3])) as client:
                try:
                    return bool((await client.tx(sha256(after))).height)
                except Exception:  # not up yet, or not there yet
                    return False

        await until("what came after it is in a block", is_executed, timeout_s=90)
        async with Client(net.grpc(numbers[3])) as client:
            assert (await client.tx(sha256(new))).height
            assert (await client.account(bytes(20))).account.balance == 2
        assert await net.check_agreement() > 0
        assert [await waiting(number) for number in numbers] == [[]] * 4
