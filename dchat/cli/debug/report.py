"""What was found, as JSON and as lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from chain.state.audit import Fault
from dchat.autopsy import words
from dchat.autopsy.compare import Absent, KeyDifference, StepDifference, Value
from dchat.autopsy.search import Finding

KEYS_SHOWN: Final = 10  # to people
HEX_SHOWN: Final = 120


def finding_json(finding: Finding) -> dict[str, Any]:
    told: dict[str, Any] = {
        "difference": "none" if finding.height is None else "blocks" if finding.is_fork else "execution",
        "compared": {"lowest": finding.lowest, "highest": finding.highest},
        "height": finding.height,
    }
    if finding.height is not None:
        told["may_be_older"] = finding.is_older
        told["block_hashes"] = {name: value.hex() for name, value in finding.block_hashes.items()}
        told["app_hashes"] = {name: value.hex() for name, value in finding.app_hashes.items()}
    if finding.step is not None and finding.trail is not None:
        told |= step_json(finding.step, finding.trail.place(finding.step.index))
        told["keys"] = [key_json(key) for key in finding.keys]
    told["notes"] = finding.notes
    return told


def step_json(step: StepDifference, place: str) -> dict[str, Any]:
    """transaction: its index in the block; null: of the block's begin or end."""
    tx = next((at.tx for at in step.steps.values() if at is not None and at.tx), b"")
    return {
        "place": place,
        "transaction": step.index - 1 if tx else None,
        "tx": tx.hex(),
        "alone": list(step.alone),
        "alike": [list(group) for group in step.groups],
        "codes": {name: None if at is None else at.code for name, at in step.steps.items()},
        "gas_used": {name: None if at is None else at.gas_used for name, at in step.steps.items()},
    }


def key_json(difference: KeyDifference) -> dict[str, Any]:
    """fields: of the record, those that differ, where its kind is known."""
    key = difference.key
    fields = {
        name: words.fields_of(key, value) for name, value in difference.values.items() if isinstance(value, bytes)
    }
    names = list(dict.fromkeys(field for one in fields.values() for field in one))
    apart = {
        field: {name: one.get(field) for name, one in fields.items()}
        for field in names
        if len(fields) > 1 and len({one.get(field) for one in fields.values()}) > 1
    }
    return {
        "store": words.store_of(key),
        "kind": words.kind_of(key),
        "name": words.name_of(key),
        "key": key.hex(),
        "values": {name: _hex(value) for name, value in difference.values.items()},
        "fields": apart,
    }


def _hex(value: Value) -> str:
    return value.value if isinstance(value, Absent) else value.hex()


def fault_json(name: str, fault: Fault) -> dict[str, str]:
    return {"home": name, "where": fault.where, "why": fault.why}


# -------------------------------------------------------------------------------------------------- for people


def lines_of(told: dict[str, Any]) -> list[str]:
    """Of what `finding_json` made, and what was added to it."""
    lines: list[str] = []
    compared, height = told.get("compared"), told["height"]
    if compared is not None:
        lines.append(f"compared the heights {compared['lowest']} to {compared['highest']}, which all have")
    lines += _what(told, height)
    for key in told.get("keys", [])[:KEYS_SHOWN]:
        lines += _key_lines(key)
    if (more := len(told.get("keys", [])) - KEYS_SHOWN) > 0:
        lines.append(f"and {more} keys more: piped, this command tells them all")
    lines += [f"on disk: {fault['home']}: {fault['where']}: {fault['why']}" for fault in told.get("faults", [])]
    return lines + [f"note: {note}" for note in told.get("notes", [])]


def _what(told: dict[str, Any], height: int | None) -> list[str]:
    older = " or before: that is the lowest height that all have" if told.get("may_be_older") else ""
    match told["difference"]:
        case "none":
            return ["no difference: the same blocks, and the same state after each"]
        case "disk":
            return ["the same blocks and app hashes, and what is on disk differs"]
        case "blocks":
            hashes = [f"  {name}: block {value}" for name, value in told["block_hashes"].items()]
            return [f"the blocks differ: first at height {height}{older}", *hashes]
    hashes = [f"  {name}: app hash {value}" for name, value in told.get("app_hashes", {}).items()]
    if "place" not in told:
        return [f"the states differ: first after height {height}{older}", *hashes]
    tx = f", {told['tx']}" if told.get("tx") else ""
    lines = [f"first difference: height {height}{older}, {told['place']}{tx}", *hashes]
    if told.get("alone"):
        lines.append(f"differs from the others: {', '.join(told['alone'])}")
    codes = told.get("codes", {})
    if len(set(codes.values())) > 1:
        lines += [
            f"  {name}: result {'no such step' if code is None else f'code {code}'}" for name, code in codes.items()
        ]
    return lines


def _key_lines(key: dict[str, Any]) -> list[str]:
    lines = [f"key {key['key']}: {key['kind']} {key['name']}, store {key['store']}"]
    if key["fields"]:
        for field, values in key["fields"].items():
            lines += [f"  {field}: {value} ({name})" for name, value in values.items()]
        return lines
    return [*lines, *[f"  {_cut(value)} ({name})" for name, value in key["values"].items()]]


def _cut(text: str) -> str:
    return text if len(text) <= HEX_SHOWN else f"{text[:HEX_SHOWN]}... ({len(text) // 2} bytes)"


def names_apart(names: Sequence[str]) -> list[str]:
    """Each once: two homes, or peers, that were called alike are one witness."""
    return [name for index, name in enumerate(names) if name in names[:index]]
