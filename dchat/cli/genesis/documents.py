"""What a genesis document says, and whether a chain can begin with it: `validate`, `hash`, `explain`, `migrate`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from chain.app_state.document import AppState, parse_app_state
from chain.app_state.exported import is_exported
from chain.currency.ledger.stake_records import POWER_UNIT
from consensus.documents.genesis import GenesisDoc
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.system.files import write_new
from crypto.bech32 import encode_address
from dchat.cli.genesis.group import (
    USUAL_STAKE,
    genesis,
    money,
    of_balances,
    plainly,
    read_document,
    share,
    small_stake,
    table,
)
from dchat.cli.genesis.meanings import MEANINGS, shown
from dchat.cli.terminal.ask import ChainId
from dchat.cli.terminal.base import Command, Exit, InputFile, Refusal, echo, show_json
from dchat.cli.terminal.outcome import is_text, output_option, show_rows
from dchat.cli.terminal.times import time_of
from dchat.config import Config
from dchat.node.preflight import check_genesis
from dchat.shown.text import safe_line
from genesis.digest import genesis_digest

LATE_S: Final = 7 * 86_400  # a document that begins longer ago is looked at twice
FAULTS_BORNE_FROM: Final = 4  # validators of one power: with fewer, none may be down

ACCOUNTS_SHOWN: Final = 20  # those with the most: a document may have a million

_FILE = click.argument("file", type=InputFile())


@genesis.command("validate", cls=Command)
@_FILE
@output_option
def validate(file: Path, form: str | None) -> None:
    """Say whether a chain can begin with a document, by beginning it in memory; and what is odd about it.

    A fault names the field and what is allowed. Exit code 2 where no chain can begin.
    """
    doc, digest = read_document(file)
    with plainly(str(file)):
        check_genesis(doc, Config())
        summary = _summary(doc, digest)
    odd = list(_oddities(doc))
    if not is_text(form):
        show_json({"ok": True, **summary, "warnings": odd})
        return
    for text in odd:
        echo(f"warning: {safe_line(text)}")
    validators = f"{summary['validators']} validators" if summary["validators"] != 1 else "1 validator"
    echo(f"ok: chain {safe_line(doc.chain_id)} can begin at {summary['genesis_time']} with {validators}")
    echo(f"its hash is {summary['hash']}")


@genesis.command("hash", cls=Command)
@_FILE
def hash_command(file: Path) -> None:
    """The hash by which a node knows its genesis again: of what it says, so blanks and the order of names do not count.

    Compare it by another way than the one by which the file came.
    """
    echo(read_document(file).digest.hex())


@genesis.command("explain", cls=Command)
@_FILE
@click.option("--params/--no-params", default=True, help="Every param with its meaning.")
@output_option
def explain(file: Path, params: bool, form: str | None) -> None:
    """A document in words: when the chain begins, who validates it, who has what, and each param with its meaning."""
    doc, digest = read_document(file)
    with plainly(str(file)):
        state = None if is_exported(doc.app_state) or not doc.app_state else parse_app_state(doc.app_state)
        told = list(_params(doc, state)) if params and state is not None else []
        summary = _summary(doc, digest)
    if not is_text(form):
        show_json(
            {
                **summary,
                **_consensus_json(doc),
                "power": [
                    {
                        "name": one.name,
                        "power": one.power,
                        "stake": str(one.power * POWER_UNIT),
                        "address": one.address.hex().upper(),
                    }
                    for one in doc.validators
                ],
                **_money_json(state),
                "params": [{"name": name, "value": value, "meaning": meaning} for name, value, meaning in told],
            }
        )
        return
    show_rows(f"the chain {safe_line(doc.chain_id)}", list(_rows(doc, state, summary)))
    total = sum(one.power for one in doc.validators)
    if total:
        echo()
        rows = [
            [one.name or "-", money(one.power * POWER_UNIT), share(one.power, total), one.address.hex().upper()]
            for one in doc.validators
        ]
        table(["validator", "stake", "power", "address"], rows)
    if told:
        echo()
        table(["param", "value", "meaning"], told)


def _rows(doc: GenesisDoc, state: AppState | None, summary: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "begins", f"{summary['genesis_time']}, with block {doc.initial_height}"
    yield "hash", summary["hash"]
    block, evidence = doc.consensus_params.block, doc.consensus_params.evidence
    yield "blocks", f"at most {block.max_bytes:,} bytes and {block.max_gas:,} gas"
    yield "evidence", f"of {evidence.max_age_duration_ns // NS_PER_S // 86_400} days at most counts"
    if state is None:
        yield "state", "an earlier chain's, whole" if doc.app_state else "none"
        return
    yield "accounts", f"{len(state.balances):,}, which have {money(sum(state.balances.values()))}"
    for address, balance in _most(state):
        yield "", f"{encode_address(address)}  {money(balance)}"
    if (left := len(state.balances) - ACCOUNTS_SHOWN) > 0:
        yield "", f"and {left:,} more, with no more than the last of these"
    yield "staked", money(_staked(state))
    if state.vestings:
        yield "vesting", f"{money(_vesting(state))}, in {len(state.vestings):,} parts"
    yield (
        "upgrades",
        (
            f"by governance, and by {encode_address(state.upgrade_authority)} without a vote"
            if state.upgrade_authority
            else "by governance"
        ),
    )


def _consensus_json(doc: GenesisDoc) -> dict[str, Any]:
    block, evidence = doc.consensus_params.block, doc.consensus_params.evidence
    return {
        "block_bytes_max": block.max_bytes,
        "block_gas_max": block.max_gas,
        "evidence_age_s_max": evidence.max_age_duration_ns // NS_PER_S,
    }


def _money_json(state: AppState | None) -> dict[str, Any]:
    """Who has what, in udchat, as `_rows` tells people. state: None: an earlier chain's, or none."""
    if state is None:
        return {"accounts": None, "staked": None, "vesting": None, "upgrade_authority": None}
    return {
        "accounts": {
            "count": len(state.balances),
            "balance": str(sum(state.balances.values())),
            "most": of_balances(_most(state)),
            "left_out": max(0, len(state.balances) - ACCOUNTS_SHOWN),
        },
        "staked": str(_staked(state)),
        "vesting": str(_vesting(state)),
        "upgrade_authority": encode_address(state.upgrade_authority) if state.upgrade_authority else None,
    }


def _most(state: AppState) -> list[tuple[bytes, int]]:
    """The accounts with the most, address and udchat."""
    return sorted(state.balances.items(), key=lambda item: (-item[1], item[0]))[:ACCOUNTS_SHOWN]


def _staked(state: AppState) -> int:
    return sum(entry.tokens for entry in state.economics.validators)


def _vesting(state: AppState) -> int:
    return sum(entry.amount for entry in state.vestings)


def _params(doc: GenesisDoc, state: AppState | None) -> Iterator[tuple[str, str, str]]:
    """Name, value and meaning, in the order of the document."""
    assert state is not None
    document = state.to_json()
    for module, section in document.items():
        for name, value in section.get("params", {}).items():
            at = f"{module}.{name}"
            yield at, shown(name, value), MEANINGS[at]
    yield "mint.inflation", str(document["mint"]["inflation"]), MEANINGS["mint.inflation"]


def _summary(doc: GenesisDoc, digest: bytes) -> dict[str, Any]:
    return {
        "chain_id": doc.chain_id,
        "genesis_time": format_rfc3339(doc.genesis_time_ns),
        "initial_height": doc.initial_height,
        "validators": len(doc.validators),
        "hash": digest.hex(),
    }


def _oddities(doc: GenesisDoc) -> Iterator[str]:
    """What a chain can begin with, and who makes it may not have meant."""
    total = sum(one.power for one in doc.validators)
    if doc.validators and len(doc.validators) < FAULTS_BORNE_FROM:
        yield (
            f"{len(doc.validators)} validators: more than two thirds of the power have to vote for each block, so that "
            f"none may be down; with {FAULTS_BORNE_FROM} of one power one may"
        )
    if len(doc.validators) >= FAULTS_BORNE_FROM:
        for one in doc.validators:
            if 3 * one.power >= total:
                who = one.name or one.address.hex().upper()
                yield f"{who} has {share(one.power, total)} of the power: alone it stops all"
    age_s = (time.time_ns() - doc.genesis_time_ns) // NS_PER_S
    if age_s < 0:
        yield f"it begins in {-age_s} s: nodes that are started before wait"
    elif age_s > LATE_S:
        yield f"it began {age_s // 86_400} days ago: right for a chain that runs, odd for one that is to begin"
    if doc.app_state and not is_exported(doc.app_state):
        state = parse_app_state(doc.app_state)
        if state.upgrade_authority:
            yield f"{encode_address(state.upgrade_authority)} may plan upgrades without a vote: for test networks"
        if (least := state.economics.staking.min_stake) < USUAL_STAKE:
            yield small_stake(least)
        poor = [entry.moniker for entry in state.economics.validators if entry.operator not in state.balances]
        if poor:
            yield f"the operators of {', '.join(poor)} have nothing beside the stake: they can pay for no transaction"


@genesis.command("migrate", cls=Command)
@_FILE
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--chain-id", type=ChainId(is_new=True), help="Of a chain that begins anew with it.")
@click.option("--time", "begins", help="When that begins, as 2027-01-31T12:00:00Z or 1h from now.")
def migrate(file: Path, output: Path, chain_id: str | None, begins: str | None) -> None:
    """Write a document in the form of this build: what older ones lack has the value that this build takes for it.

    It is another document with another hash: a chain that runs keeps the one that it began with.
    """
    doc, digest = read_document(file)
    try:
        time_ns = doc.genesis_time_ns if begins is None else time_of(begins)
    except ValueError as error:
        raise Refusal(f"--time: {error}", Exit.USAGE) from None
    new = replace(doc, chain_id=chain_id or doc.chain_id, genesis_time_ns=time_ns)
    added: list[str] = []
    with plainly(str(file)):
        if doc.app_state and not is_exported(doc.app_state):
            state = parse_app_state(doc.app_state).to_json()
            added = _added(json.loads(doc.app_state), state)
            new = replace(new, app_state=json.dumps(state, ensure_ascii=True, separators=(",", ":")).encode())
        check_genesis(new, Config())
    try:
        write_new(output, new.dumps() + "\n")
    except FileExistsError:
        raise Refusal(f"{output} exists; a genesis is never overwritten: name another --output", Exit.USAGE) from None
    for name in added:
        echo(f"added {name}")
    before, after = digest.hex(), genesis_digest(new).hex()
    echo(f"wrote {output}; its hash is {after}" + (", as before" if before == after else f", that of {file} {before}"))


def _added(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [
        f"{module}.params.{name} = {value}"
        for module, section in after.items()
        for name, value in section.get("params", {}).items()
        if name not in before.get(module, {}).get("params", {})
    ]
