"""What a proposal does when it passes: params of any module, the treasury, upgrades.

Each action is tried when it is proposed and done when it has passed, by the same code over a branch. It raises a
TxError when it cannot be done; the caller drops the branch then. What the engine has to be told comes back as new
consensus parameters.
Source: Cosmos SDK v0.50, x/gov/README.md and x/upgrade/README.md; docs/governance.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from bridge.lending import LOCKS_ADDRESS
from bridge.records import ESCROW_ADDRESS, BridgeParams
from bridge.records import PARAMS as BRIDGE_PARAMS
from chain.app_state import document as genesis
from chain.app_state import governance_params
from chain.app_state.document import BridgeGenesis, ChatGenesis, CurrencyGenesis, InvalidAppState, check_params
from chain.app_state.governance_params import GovernanceParams
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.chat.ledger.records import ChatParams, bytes_per_mgas
from chain.currency.ledger import economic_params as economic
from chain.currency.ledger.bank import MODULE_ADDRESSES
from chain.currency.ledger.economic_params import InvalidParam, SlashingParams
from chain.currency.ledger.records import PARAMS as CURRENCY_PARAMS
from chain.currency.ledger.records import CurrencyParams
from chain.currency.rewards import distribution
from chain.kernel.branch import Key, Readable, State
from chain.kernel.context import Context
from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.errors import InvalidProposal, RecipientRefused, TreasuryTooSmall
from chain.tx.gas import BLOCK_GAS_MAX
from chain.tx.messages.governance import Action, ChangeParams, SpendTreasury
from chain.tx.messages.upgrade import CancelUpgrade, SoftwareUpgrade
from chain.upgrade import module as upgrade
from chain.upgrade.chain_record import CHAIN
from chain.upgrade.plan import CONSENSUS_PARAMS
from consensus.formats.errors import InvalidParams
from consensus.formats.units import NS_PER_S
from consensus.types.params import BlockParams, ConsensusParams, EvidenceParams

GOVERNANCE_PARAMS: Final = Key.sure(b"bG", GovernanceParams)
REFUSED_RECIPIENTS: Final = MODULE_ADDRESSES | {ESCROW_ADDRESS, LOCKS_ADDRESS, GOVERNANCE_ADDRESS}
BLOCK_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    # The largest transaction fits into its lane's share of bytes and gas, beside evidence and the commit of the largest
    # set; what validators can carry and execute in time, a proposal that undoes it can get through.
    "max_bytes": (1_048_576, 22_020_096),
    "max_gas": (10_000_000, BLOCK_GAS_MAX),
}
EVIDENCE_SHARE: Final = 4  # of a block's bytes, one in as many at most
VOTING_S_LEAST: Final = 3_600  # that a vote may set: in less nobody hears of the vote that is to right it
VOTING_PERIODS: Final = ("voting_period_s", "expedited_voting_period_s")
SUPPLY_SHARE: Final = 100  # of all udchat, a minimum deposit is one in as many at most: somebody has to have it

# module -> its record's key, the record and the rules of a genesis
_MACHINES: Final[Mapping[str, tuple[bytes, Any, Any]]] = {
    "currency": (CURRENCY_PARAMS, CurrencyParams, CurrencyGenesis),
    "chat": (CHAT_PARAMS, ChatParams, ChatGenesis),
    "bridge": (BRIDGE_PARAMS, BridgeParams, BridgeGenesis),
}
MODULES: Final = (*economic.MODULES, *_MACHINES, "governance", "block")
_DIGITS: Final = frozenset("0123456789")


def governance_params_of(state: Readable) -> GovernanceParams:
    return state.get(GOVERNANCE_PARAMS)


def attempt(ctx: Context, action: Action) -> None:
    """Whether it could be done when it is proposed. ctx: over a branch that is dropped afterwards.

    The treasury may fill up until then, so that alone is not looked at. Raises: TxError.
    """
    if isinstance(action, SpendTreasury):
        _check_recipient(action.recipient)
    else:
        carry_out(ctx, action)


def carry_out(ctx: Context, action: Action) -> ConsensusParams | None:
    """Do it. Returns what the engine must be told, if anything. Raises: TxError."""
    match action:
        case ChangeParams(changes):
            values: dict[str, dict[str, str]] = {}
            for module, name, value in changes:
                values.setdefault(module, {})[name] = value
            try:
                return change_params(ctx.branch, values)
            except (InvalidParam, InvalidAppState, InvalidParams) as error:
                raise InvalidProposal(str(error)) from error
        case SpendTreasury(recipient, amount):
            _check_recipient(recipient)
            if not distribution.spend_pool(ctx.branch, recipient=recipient, amount=amount):
                raise TreasuryTooSmall(f"{amount} udchat")
        case SoftwareUpgrade():
            upgrade.software_upgrade(ctx, action)
        case CancelUpgrade():
            upgrade.cancel_upgrade(ctx, action)
    return None


def _check_recipient(recipient: bytes) -> None:
    if recipient in REFUSED_RECIPIENTS:
        raise RecipientRefused("this one is a module's")


# ------------------------------------------------------------------------------ params


def change_params(
    state: State, changes: Mapping[str, Mapping[str, str]], *, at_genesis: bool = False
) -> ConsensusParams | None:
    """Set params, module -> name -> text, all found valid together with those that stay, or none.

    at_genesis: by who makes the chain, who may begin with votes as short as it likes; else by a vote.

    Raises: InvalidParam, InvalidAppState, InvalidParams (before anything is written).
    """
    for module in changes:
        if module not in MODULES:
            raise InvalidParam(f"{module[:40]!r} is no module with params; allowed: {', '.join(MODULES)}")
    economy = economic.changed(state, {name: changes[name] for name in economic.MODULES if name in changes})
    machines = {name: _machine(state, name, changes[name]) for name in _MACHINES if name in changes}
    _price_chat(state, machines)
    _check_refill(state, machines)
    governance = None
    if "governance" in changes:
        before = governance_params_of(state)
        governance = governance_params.changed(before, changes["governance"])
        _check_deposits(state, governance, changes["governance"])
        if not at_genesis:
            _check_periods(before, governance)
    consensus = _consensus(state, changes.get("block", {}), economy.get("slashing"))

    economic.set_all(state, economy)
    for name, record in machines.items():
        state.set(_MACHINES[name][0], record)
    if governance is not None:
        state.set(GOVERNANCE_PARAMS, governance)
    if consensus is not None:
        chain = state.get(CHAIN)
        block = consensus.block
        state.set(CHAIN, replace(chain, block_bytes_max=block.max_bytes, block_gas_max=block.max_gas))
        state.set(CONSENSUS_PARAMS, consensus)
    return consensus


def ranges() -> dict[str, dict[str, tuple[str, str]]]:
    """module -> param -> the least and the greatest value, as text. What must hold between params is beside these."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for module, (_, kind) in economic.MODULES.items():
        found[module] = {name: economic.range_text(name) for name in kind._fields}
    for module, (_, _, rules) in _MACHINES.items():
        found[module] = {field.name: _range_text(*genesis.RANGES[field.name]) for field in fields(rules)}
    found["governance"] = {name: governance_params.range_text(name) for name in governance_params.RANGES}
    for name in VOTING_PERIODS:
        found["governance"][name] = (str(VOTING_S_LEAST), found["governance"][name][1])
    found["block"] = {name: _range_text(*ends) for name, ends in BLOCK_RANGES.items()}
    return found


def _range_text(low: int, high: int) -> tuple[str, str]:
    return str(low), str(high)


def _check_deposits(state: State, params: GovernanceParams, changed: Iterable[str]) -> None:
    """Raises: InvalidParam: a new minimum deposit that nobody may have."""
    most = distribution.total_supply(state) // SUPPLY_SHARE
    for name in ("min_deposit", "expedited_min_deposit"):
        if name in changed and getattr(params, name) > most:
            raise InvalidParam(
                f"governance.{name} is {getattr(params, name)}; allowed: a hundredth of all udchat, {most}, at most"
            )


def _check_periods(before: GovernanceParams, params: GovernanceParams) -> None:
    """Raises: InvalidParam: a vote that is over before anybody can vote. What a genesis began with may stay."""
    for name in VOTING_PERIODS:
        value, least = getattr(params, name), min(VOTING_S_LEAST, getattr(before, name))
        if value < least:
            raise InvalidParam(f"governance.{name} is {value}; a vote may set it to {least} and more")


def _machine_now(state: State, name: str) -> Any:
    found = state.get(_MACHINES[name][0])
    return found.stated() if isinstance(found, ChatParams) else found


def _machine(state: State, name: str, values: Mapping[str, str]) -> Any:
    _, record, rules = _MACHINES[name]
    before = _machine_now(state, name)
    names = getattr(before, "_fields", None) or before.__slots__
    found = {field: getattr(before, field) for field in names}
    settable = sorted(field.name for field in fields(rules))
    for field, text in values.items():
        if field not in settable:
            raise InvalidParam(f"{name}.{field[:40]} is unknown; allowed: {', '.join(settable)}")
        found[field] = _number(f"{name}.{field}", text)
    check_params(name, rules(**{field: found[field] for field in settable}))
    return record(**found)


def _price_chat(state: State, machines: dict[str, Any]) -> None:
    """Add the chat's price of gas to what changes, when the currency's or an allowance's does; and what a score begins
    with, when a registration costs less than ever."""
    if machines.keys().isdisjoint(("currency", "bridge")):
        return
    now = {name: machines.get(name) or _machine_now(state, name) for name in _MACHINES}
    chat: ChatParams = now["chat"]
    price = bytes_per_mgas(gas_price=now["currency"].gas_price, bytes_per_dchat=now["bridge"].bytes_per_dchat)
    base = min(chat.score_base, now["bridge"].registration_price)
    machines["chat"] = chat._replace(bytes_per_mgas=price, score_base=base)


def _check_refill(state: State, machines: Mapping[str, Any]) -> None:
    """Raises: InvalidAppState."""
    if machines.keys().isdisjoint(("chat", "bridge")):
        return
    found: dict[str, Any] = {}
    for name, kind in (("chat", ChatGenesis), ("bridge", BridgeGenesis)):
        record = machines.get(name) or _machine_now(state, name)
        found[name] = kind(**{field.name: getattr(record, field.name) for field in fields(kind)})
    genesis.check_refill("chat", found["chat"], found["bridge"])


def _consensus(state: State, block: Mapping[str, str], slashing: Any) -> ConsensusParams | None:
    """The engine's parameters with the block's changed, and with the age of evidence that slashing goes by."""
    before = state.get(CONSENSUS_PARAMS)
    found = {"max_bytes": before.block.max_bytes, "max_gas": before.block.max_gas}
    for name, text in block.items():
        if name not in BLOCK_RANGES:
            raise InvalidParam(f"block.{name[:40]} is unknown; allowed: {', '.join(BLOCK_RANGES)}")
        (low, high), value = BLOCK_RANGES[name], _number(f"block.{name}", text)
        if not low <= value <= high:
            raise InvalidParam(f"block.{name} is {value}; allowed: {low} to {high}")
        found[name] = value
    evidence = before.evidence
    if isinstance(slashing, SlashingParams):
        evidence = EvidenceParams(
            slashing.evidence_age_blocks_max, slashing.evidence_age_s_max * NS_PER_S, evidence.max_bytes
        )
    if "max_bytes" in block:  # however full of evidence a block is, transactions find room
        evidence = replace(evidence, max_bytes=min(evidence.max_bytes, found["max_bytes"] // EVIDENCE_SHARE))
    after = replace(before, block=BlockParams(**found), evidence=evidence)
    if after == before:
        return None
    before.validate_update(after, 0)
    return after


def _number(where: str, text: str) -> int:
    """Raises: InvalidParam."""
    if 1 <= len(text) <= 19 and _DIGITS.issuperset(text) and str(int(text)) == text:
        return int(text)
    raise InvalidParam(f"{where} is {text[:40]!r}; allowed: digits without leading zeros")
