"""Reading calls over one saved version: values as stored, proofs to the app hash, invariants.

Every answer says from which height it is; the header of the next height proves it. Used by the gRPC door and by ABCI's
query. Values are the stored protobuf bytes of proto/dchat/v1/state.proto.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from chain.branch import Base
from chain.currency.records import ACCOUNT
from chain.modules import Modules
from chain.state.errors import StateError, VersionUnavailable
from chain.state.roots import CURRENCY, STORE_NAMES
from chain.state.store import Stores
from chain.state.view import View
from consensus.abci import ProofOp, QueryRequest, QueryResponse

CODE_QUERY: Final = 1
CODESPACE_QUERY: Final = "query"


class Found(NamedTuple):
    """What `key` of `store` was after block `height`. value: stored bytes, None when absent. ops: when proved."""

    height: int
    store: str
    key: bytes
    value: bytes | None
    ops: tuple[ProofOp, ...] = ()


class Queries:
    """Raises, in every call: VersionUnavailable, when the height was pruned or is not saved yet.

    height: 0 is the latest.
    """

    def __init__(self, stores: Stores, modules: Modules) -> None:
        self._stores, self._modules = stores, modules

    def view(self, height: int = 0) -> View:
        return self._stores.at(height or None)

    def get(self, store: str, key: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """One value, with or without its proof."""
        return self.read(self.view(height), store, key, with_proof=with_proof)

    def read(self, view: View, store: str, key: bytes, *, with_proof: bool = False) -> Found:
        """As `get`, of a version that is open: several reads of one state."""
        if with_proof:
            raise StateError("proofs are not served yet")
        return Found(view.version, store, key, view.get(store, key))

    def account(self, address: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """A dchat.v1.Account."""
        return self.get(CURRENCY, ACCOUNT[1:] + address, height=height, with_proof=with_proof)

    def roots(self, height: int = 0) -> dict[str, bytes]:
        """The three stores' roots, name -> 32 bytes."""
        return dict(self.view(height).roots)

    def invariants(self, height: int = 0) -> list[tuple[str, bool, str]]:
        """(name, whether it holds, the figures). Reads the whole state: costs with its size."""
        base = Base(self.view(height), self._modules.decoders)
        return self._modules.check_invariants(base, base.scan)

    def query(self, request: QueryRequest) -> QueryResponse:
        """ABCI's: path `/store/<name>/key`, data the key."""
        parts = request.path.split("/")
        if len(parts) != 4 or parts[1] != "store" or parts[3] != "key" or parts[2] not in STORE_NAMES:
            allowed = ", ".join(f"/store/{name}/key" for name in STORE_NAMES)
            return QueryResponse(CODE_QUERY, f"unknown path {request.path[:64]!r}; allowed: {allowed}", CODESPACE_QUERY)
        if request.height < 0:
            return QueryResponse(CODE_QUERY, f"height {request.height}; allowed: 0 and more", CODESPACE_QUERY)
        try:
            found = self.get(parts[2], request.data, height=request.height, with_proof=request.prove)
        except VersionUnavailable as error:
            return QueryResponse(CODE_QUERY, str(error), CODESPACE_QUERY, height=request.height)
        except StateError as error:
            return QueryResponse(CODE_QUERY, str(error), CODESPACE_QUERY)
        return QueryResponse(key=found.key, value=found.value or b"", proof_ops=found.ops, height=found.height)
