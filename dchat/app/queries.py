"""Reading calls over one saved version: values as stored, proofs to the app hash, invariants.

Every answer says from which height it is; the header of the next height proves it. Used by the gRPC door and by ABCI's
query. Values are the stored protobuf bytes of proto/dchat/v1/state.proto.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bridge.records import PARAMS as BRIDGE_PARAMS
from bridge.records import RECEIPT, TOTALS, Totals
from chain.app_state import governance_params
from chain.chat.channels.records import CHANNEL, Channel
from chain.chat.ledger.records import IDENTITY
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.chat.messages.machine import node_reader
from chain.chat.messages.records import message_key, provable
from chain.currency.ledger import economic_params as economic
from chain.currency.ledger.records import ACCOUNT, SUPPLY, Supply
from chain.currency.ledger.records import PARAMS as CURRENCY_PARAMS
from chain.currency.rewards.distribution import total_supply
from chain.currency.staking import rotation
from chain.kernel.branch import Base
from chain.kernel.modules import Modules
from chain.state import mmr
from chain.state.errors import StateError, VersionUnavailable
from chain.state.proofs import prove
from chain.state.roots import BRIDGE, CHAT, CURRENCY, STORE_NAMES
from chain.state.store import Stores
from chain.state.view import View
from chain.upgrade.chain_record import CHAIN, ChainRecord
from chain.upgrade.plan import DONE, PLAN, READINESS, VERSIONS
from consensus.abci.interface import ProofOp, QueryRequest, QueryResponse
from dchat.app.dry_run import DryRun, dry_run
from dchat.app.errors import Abandoned
from governance.actions import GOVERNANCE_PARAMS
from proto.dchat.v1 import service_pb2, state_pb2

PARAMS: Final[Mapping[str, bytes]] = {"bridge": BRIDGE_PARAMS, "chat": CHAT_PARAMS, "currency": CURRENCY_PARAMS}
CODE_QUERY: Final = 1
CODESPACE_QUERY: Final = "query"


class Found(NamedTuple):
    """What `key` of `store` was after block `height`. value: stored bytes, None when absent. ops: when proved."""

    height: int
    store: str
    key: bytes
    value: bytes | None
    ops: tuple[ProofOp, ...] = ()


class FoundMessage(NamedTuple):
    """value: a dchat.v1.ChatMessage. path: from its leaf to a peak of `leaf_count` leaves, when proved."""

    value: bytes
    index: int  # type: ignore[assignment]  # the field's name; tuple.index is not used
    leaf_count: int
    path: tuple[bytes, ...] = ()


class Queries:
    """Raises, in every call: VersionUnavailable, when the height was pruned or is not saved yet.

    height: 0 is the latest.
    """

    def __init__(self, stores: Stores, modules: Modules) -> None:
        self._stores, self._modules = stores, modules

    def view(self, height: int = 0) -> View:
        return self._stores.at(height or None)

    def base_of(self, view: View) -> Base:
        """The version's records, decoded."""
        return Base(view, self._modules.decoders)

    def dry_run(self, raw: bytes, *, height: int, time_ns: int) -> DryRun:
        """What a transaction would do in the block after `height`."""
        return dry_run(self.base_of(self.view(height)), self._modules, raw, height=height + 1, time_ns=time_ns)

    def get(self, store: str, key: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """One value, with or without its proof."""
        return self.read(self.view(height), store, key, with_proof=with_proof)

    def read(self, view: View, store: str, key: bytes, *, with_proof: bool = False) -> Found:
        """As `get`, of a version that is open: several reads of one state."""
        if not with_proof:
            return Found(view.version, store, key, view.get(store, key))
        proved = prove(view, store, key)
        return Found(view.version, store, key, proved.value, proved.ops)

    def account(self, address: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """A dchat.v1.Account."""
        return self.get(CURRENCY, ACCOUNT[1:] + address, height=height, with_proof=with_proof)

    def identity(self, address: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """A dchat.v1.Identity."""
        return self.get(CHAT, IDENTITY[1:] + address, height=height, with_proof=with_proof)

    def channel(self, channel_id: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """A dchat.v1.Channel. Its id by name: `chain.tx.messages.channel_id`."""
        return self.get(CHAT, CHANNEL[1:] + channel_id, height=height, with_proof=with_proof)

    def channels(self, *, after: bytes = b"", limit: int, height: int = 0) -> list[bytes]:
        """Channels in the order of their ids, from the first above `after`; at most `limit`."""
        first = CHANNEL[1:] + after + b"\0" if after else b""  # the least key above
        return [value for _, value in itertools.islice(self.view(height).scan(CHAT, CHANNEL[1:], first), limit)]

    def messages(
        self, channel_id: bytes, *, start: int = 0, limit: int = 1, height: int = 0, with_proof: bool = False
    ) -> tuple[Found, list[FoundMessage]]:
        """The channel, and its messages from `start` on, at most `limit`; with their proofs."""
        view = self.view(height)
        channel = self.read(view, CHAT, CHANNEL[1:] + channel_id, with_proof=with_proof)
        if channel.value is None:
            return channel, []
        summary = Channel.decode(channel.value).range

        def side(key: bytes) -> bytes | None:
            """As it is now, whatever the height: what was forgotten since is not told, and nothing else changes."""
            return self._stores.side(CHAT, key)

        read = node_reader(side, channel_id)
        found: list[FoundMessage] = []
        for index in range(start, min(start + limit, summary.count)):
            item = side(message_key(channel_id, index)[1:])
            assert item is not None, (channel_id, index)
            path: tuple[bytes, ...] = ()
            if with_proof:
                item, path = provable(item), mmr.prove(summary, index, read).path
            found.append(FoundMessage(item, index, summary.count, path))
        return channel, found

    def bundle(self, replay_id: bytes, *, height: int = 0, with_proof: bool = False) -> Found:
        """A dchat.v1.Receipt, as long as it is kept."""
        return self.get(BRIDGE, RECEIPT[1:] + replay_id, height=height, with_proof=with_proof)

    def bridge_totals(self, height: int = 0) -> dict[str, int]:
        """Since genesis, by the names of dchat.v1.BridgeTotals; amounts in udchat."""
        stored = self.get(BRIDGE, TOTALS[1:], height=height).value
        return (Totals.decode(stored) if stored else Totals())._asdict()

    def supply(self, height: int = 0) -> Found:
        """A dchat.v1.Supply, with what was minted and burned since its record was written."""
        view = self.view(height)
        base = self.base_of(view)
        value = Supply(total_supply(base), base.get(SUPPLY).collected_fees).encode()
        return Found(view.version, CURRENCY, SUPPLY[1:], value)

    def params_json(self, height: int = 0) -> str:
        """The machines' params under the names that a genesis document's app_state gives them; and the block's."""
        base = Base(self.view(height), self._modules.decoders)
        chain = base.get(CHAIN)
        found = {name: {"params": _text_fields(base.get(key))} for name, key in PARAMS.items()}
        found["governance"] = {"params": governance_params.to_text(base.get(GOVERNANCE_PARAMS))}
        for name, (key, _) in economic.MODULES.items():
            found[name] = {"params": economic.to_text(base.get(key))}
        found["block"] = {"params": {"max_bytes": str(chain.block_bytes_max), "max_gas": str(chain.block_gas_max)}}
        return json.dumps(found, sort_keys=True)

    def upgrade(self, height: int = 0, *, of: Sequence[bytes] = ()) -> service_pb2.GetUpgradeResponse:
        """Plan, done upgrades, versions, and what the validators with the consensus addresses `of` announced.

        An entry in `validators` for each, in their order, without powers. Any key may announce: others' are not read.
        """
        view = self.view(height)
        answer = service_pb2.GetUpgradeResponse(height=view.version)
        if (plan := view.get(BRIDGE, PLAN[1:])) is not None:
            answer.plan.MergeFromString(plan)
        for _, done in view.scan(BRIDGE, DONE[1:]):
            answer.done.add().MergeFromString(done)
        if (versions := view.get(BRIDGE, VERSIONS[1:])) is not None:
            answer.versions.extend(state_pb2.ModuleVersions.FromString(versions).versions)
        if (chain := view.get(BRIDGE, CHAIN[1:])) is not None:
            answer.app_version = ChainRecord.decode(chain).app_version
        base = self.base_of(view)
        for address in of:
            entry = answer.validators.add(address=address)
            said = base.get(READINESS + rotation.current(base, address))
            if said is not None:
                entry.names.extend(said.names)
                entry.software, entry.announced_height = said.software, said.height
        return answer

    def roots(self, height: int = 0) -> dict[str, bytes]:
        """The three stores' roots, name -> 32 bytes."""
        return dict(self.view(height).roots)

    def invariants(self, height: int = 0, is_wanted: Callable[[], bool] = lambda: True) -> list[tuple[str, bool, str]]:
        """(name, whether it holds, the figures). Reads the whole state: costs with its size.

        is_wanted: asked for each record that is read. Raises Abandoned when it says no.
        """
        base = Base(self.view(height), self._modules.decoders)

        def scan(prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, Any]]:
            for found in base.scan(prefix, start):
                if not is_wanted():
                    raise Abandoned
                yield found

        return self._modules.check_invariants(base, scan)

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


def _text_fields(params: Any) -> dict[str, str]:
    """A record's fields, integers as text."""
    names = getattr(params, "_fields", None) or params.__slots__
    return {name: str(getattr(params, name)) for name in sorted(names)}
