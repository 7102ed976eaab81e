"""The client hands a transaction in until it is admitted, refused or expired, whatever a busy node says meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from chain.tx.envelope.build import Seat, Wallet, build_tx
from chain.tx.messages import Payment
from consensus.abci.interface import CheckTxResponse
from consensus.engine.interfaces import SavedBlock
from consensus.mempool.admission.errors import CODESPACE, Refusal, refuse
from consensus.node.commit_watch import CommitWatch
from crypto.hash import sha256
from dchat.client import wallet
from dchat.client.client import Client, ClientError, NodeUnreachable, NotFound
from dchat.client.wallet import TxExpired, TxRefused, submit
from proto.dchat.v1 import service_pb2 as pb

WALLET = Wallet.from_seed(bytes(32))
TX = build_tx(
    chain_id="chain-of-tests",
    messages=[Payment(WALLET.address, bytes(20), 1)],
    seats=[Seat(WALLET, 0, with_policy=True)],
    gas_price=100_000,
    expiry_height=50,
)


class Scripted(Client):
    """Answers to `broadcast` in order; an exception is raised."""

    def __init__(self, script: Sequence[Any], *, height: int = 1) -> None:
        self.address, self._script, self._height, self.calls = "node:1", list(script), height, 0

    async def broadcast(self, tx: bytes, **_: Any) -> pb.BroadcastResponse:
        self.calls += 1
        answer = self._script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        code, codespace = answer
        return pb.BroadcastResponse(hash=sha256(tx), code=code, codespace=codespace)

    async def tx(self, tx_hash: bytes, *, prove: bool = False) -> pb.GetTxResponse:
        raise NotFound("no such transaction")

    async def status(self) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(latest_block_height=self._height)


BUSY = ClientError("too many calls", status="RESOURCE_EXHAUSTED")
GONE = NodeUnreachable("no answer", status="UNAVAILABLE")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet, "RESEND_FIRST_S", 0.001)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([(0, "")], id="admitted"),
        pytest.param([(int(Refusal.FULL), CODESPACE), (0, "")], id="full, then admitted"),
        pytest.param(
            [(int(Refusal.SENDER_FULL), CODESPACE), (int(Refusal.LANE_FULL), CODESPACE), (0, "")], id="bounds"
        ),
        pytest.param([BUSY, BUSY, (0, "")], id="past the client's limits"),
        pytest.param([GONE, BUSY, (int(Refusal.STOPPED), CODESPACE), (0, "")], id="restarted meanwhile"),
    ],
)
async def test_hands_in_until_admitted(script: list[Any]) -> None:
    """audit 11, sibling: before, a door's "too many calls" ended it, and the transaction was never sent again."""
    client = Scripted(script)
    assert (await submit(client, TX, wait_commit=False, deadline_s=10)).code == 0
    assert client.calls == len(script)


@pytest.mark.parametrize(
    ("script", "height", "error"),
    [
        pytest.param([(13, "tx")], 1, TxRefused, id="the chain's rule"),
        pytest.param([(int(Refusal.EXPIRED), CODESPACE)], 1, TxRefused, id="expired there"),
        pytest.param([(int(Refusal.EXPIRED), CODESPACE)], 51, TxExpired, id="expired before it was handed in"),
        pytest.param([(int(Refusal.FULL), CODESPACE)] * 9, 51, TxExpired, id="expired while it was full"),
        pytest.param([BUSY] * 9, 51, TxExpired, id="expired while it was busy"),
        pytest.param([ClientError("no", status="INVALID_ARGUMENT")], 1, ClientError, id="a fault of the client's"),
    ],
)
async def test_ends_when_there_is_no_hope(script: list[Any], height: int, error: type[Exception]) -> None:
    client = Scripted(script, height=height)
    with pytest.raises(error):
        await submit(client, TX, wait_commit=False, deadline_s=10)
    assert client.calls == 1


async def test_refused_at_its_last_height_it_waits_for_the_header_above() -> None:
    """Nobody knows yet whether the block at its expiry height has it: not refused, and not expired either."""

    class Rising(Scripted):
        async def status(self) -> pb.GetStatusResponse:
            self._height += 1
            return await super().status()

    client = Rising([(int(Refusal.EXPIRED), CODESPACE)] * 2, height=49)
    with pytest.raises(TxExpired):
        await submit(client, TX, wait_commit=False, deadline_s=10)


@pytest.mark.parametrize("why", [None, refuse(Refusal.EXPIRED, "expired")], ids=["committed", "dropped"])
async def test_who_waits_for_a_commit_is_told_either_way(why: CheckTxResponse | None) -> None:
    watch = CommitWatch(lambda tx_hash: tx_hash == sha256(TX))
    future = watch.expect(sha256(TX))
    if why is None:
        watch.block_saved(cast(SavedBlock, SimpleNamespace(height=1)))
    else:
        watch.dropped(sha256(TX), why)
    assert await future is why
    assert watch.waiting == 0
