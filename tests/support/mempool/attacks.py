"""Nodes of a mempool's mesh, connected by hand."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from consensus.abci.interface import CheckTxRequest, CheckTxResponse, SignatureCheck
from consensus.mempool.admission import signatures
from consensus.mempool.admission.entry import PoolConfig
from tests.support.gossip.network import FakePeer
from tests.support.mempool.pool import IdentifyingApp, SequenceApp
from tests.support.mempool.reactor import OURS, TxMesh, TxNode


class ForgeableApp(IdentifyingApp):
    """A transaction is signed when it ends in `:sig=good`. Counts what is verified and what is checked."""

    def __init__(self) -> None:
        super().__init__()
        self.verified: Counter[bytes] = Counter()
        self.known: set[SignatureCheck] = set()

    def signature_checks(self, txs: Sequence[bytes]) -> list[SignatureCheck]:
        return [(tx, b"", b"") for tx in txs if (tx, b"", b"") not in self.known]

    def remember_verified(self, checks: Sequence[SignatureCheck]) -> None:
        self.known.update(checks)

    def bad_signature(self, tx: bytes) -> CheckTxResponse:
        return CheckTxResponse(code=4, log="signature")

    def check_tx(self, request: CheckTxRequest) -> CheckTxResponse:
        if (request.tx, b"", b"") not in self.known:
            return CheckTxResponse(code=4, log="signature")
        return super().check_tx(request)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> ForgeableApp:
    app = ForgeableApp()

    def verify(checks: Sequence[SignatureCheck]) -> list[bool]:
        app.verified.update(key for key, _, _ in checks)
        return [key.endswith(b":sig=good") for key, _, _ in checks]

    monkeypatch.setattr(signatures, "verify_checks", verify)
    return app


@contextlib.asynccontextmanager
async def node_of(app: SequenceApp, mesh: TxMesh, **config: int) -> AsyncIterator[TxNode]:
    """A node of the mesh whose application is `app`."""
    mesh.add(1, app=app, config=PoolConfig(**config))
    yield mesh.nodes[-1]


def connect(node: TxNode, letter: str, channels: frozenset[int] = OURS) -> FakePeer:
    peer = FakePeer(letter * 40, channels)
    node.extension.add_peer(peer)
    node.reactor.add_peer(peer)
    peer.take()
    return peer
