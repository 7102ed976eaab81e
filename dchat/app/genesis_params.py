"""Other params for a genesis document, by the names, the rules and the very code that governance changes them with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final, TypeAlias

from bridge.records import PARAMS as BRIDGE_PARAMS
from chain.app_state.document import AppState, BridgeGenesis, ChatGenesis, CurrencyGenesis, parse_app_state
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.currency.ledger import economic_params as economic
from chain.currency.ledger.records import PARAMS as CURRENCY_PARAMS
from chain.kernel.branch import Branch
from chain.upgrade.chain_record import CHAIN, ChainRecord
from chain.upgrade.plan import CONSENSUS_PARAMS
from consensus.documents.genesis import GenesisDoc
from dchat.app.composition import begin
from governance.actions import GOVERNANCE_PARAMS, MODULES, change_params

Changes: TypeAlias = Mapping[str, Mapping[str, str]]  # module -> name -> text

__all__ = ["MODULES", "Changes", "with_params"]

_MACHINES: Final[Mapping[str, tuple[bytes, type]]] = {
    "currency": (CURRENCY_PARAMS, CurrencyGenesis),
    "chat": (CHAT_PARAMS, ChatGenesis),
    "bridge": (BRIDGE_PARAMS, BridgeGenesis),
}


def with_params(doc: GenesisDoc, changes: Changes) -> GenesisDoc:
    """`doc` with `changes`, found valid together with all that stays as it is, its validators among it.

    Evidence is punishable as long as stake unbonds, as in every document of ours, unless `changes` says for how long.
    Raises: InvalidParam, InvalidAppState, InvalidParams, each with what is allowed.
    """
    app_state = parse_app_state(doc.app_state)
    state = Branch(lambda key: None)
    begin(state, app_state, initial_height=doc.initial_height, time_ns=doc.genesis_time_ns,
          evidence=doc.consensus_params.evidence)  # fmt: skip
    block = doc.consensus_params.block
    state.set(CHAIN, ChainRecord(doc.chain_id, doc.initial_height, bytes(32), block.max_bytes, block.max_gas, 0))
    state.set(CONSENSUS_PARAMS, doc.consensus_params)
    change_params(state, _with_age_of_evidence(changes), at_genesis=True)
    changed = json.dumps(_read(state, app_state).to_json(), ensure_ascii=True, separators=(",", ":")).encode()
    parse_app_state(changed)  # that the validators fit: fewer may be allowed now
    return replace(doc, app_state=changed, consensus_params=state.get(CONSENSUS_PARAMS))


def _with_age_of_evidence(changes: Changes) -> Changes:
    unbonding = changes.get("staking", {}).get("unbonding_s")
    if unbonding is None:
        return changes
    return {**changes, "slashing": {"evidence_age_s_max": unbonding, **changes.get("slashing", {})}}


def _read(state: Branch, before: AppState) -> AppState:
    """The params that the state has now, and all else as it was."""
    machines: dict[str, Any] = {}
    for name, (key, kind) in _MACHINES.items():
        record = state.get(key)
        machines[name] = kind(**{field.name: getattr(record, field.name) for field in fields(kind)})
    economy: dict[str, Any] = {name: state.get(key) for name, (key, _) in economic.MODULES.items()}
    return replace(
        before, **machines, economics=replace(before.economics, **economy), governance=state.get(GOVERNANCE_PARAMS)
    )
