"""What `dchat debug` does with its witnesses: searches, and where no trail tells, looks at what is stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dchat.autopsy.compare import KEYS_MAX, first_difference, key_differences
from dchat.autopsy.errors import AutopsyError, NoTrail
from dchat.autopsy.search import Witness, examine
from dchat.autopsy.stored import StoredDifference, differences_beside
from dchat.cli.debug.report import fault_json, finding_json, key_json, step_json
from dchat.upkeep.examined import AGAIN, Again, HomeWitness


async def between(witnesses: Sequence[Witness], homes: Sequence[HomeWitness]) -> dict[str, Any]:
    """homes: those of the witnesses that are homes. Raises AutopsyError."""
    finding = await examine(witnesses, lambda height: [Again(home) for home in homes if home.remembers(height)][:1])
    told = finding_json(finding)
    if finding.height is None:
        _look_at_disks(told, homes, finding.highest)
    elif not finding.is_fork and finding.step is None:
        for home in homes:
            _look_at_stored(told, home, finding.height)
    if finding.height is not None and not finding.is_fork:
        _execute_again(told, homes, finding.height, {value.hex() for value in finding.app_hashes.values()})
    return told


def alone(home: HomeWitness) -> dict[str, Any]:
    """A home against what this build makes of its blocks. Raises AutopsyError."""
    own = home.own
    told: dict[str, Any] = {"difference": "none", "height": None, "notes": []}
    for height in [height for height in home.files.heights() if own.lowest <= height <= own.highest]:
        try:
            if _against_memory(told, home, height):
                break
        except AutopsyError as error:
            told["notes"].append(f"height {height}: {error}")
    if told["height"] is None:
        _look_at_stored(told, home, own.highest)
    if told["height"] is None:
        _look_at_disks(told, [home], own.highest)
    else:
        _execute_again(told, [home], told["height"], set())
    return told


def _against_memory(told: dict[str, Any], home: HomeWitness, height: int) -> bool:
    """Add where what the node remembered of the block differs from what this build makes of it; whether it does."""
    remembered, again = home.asked(lambda: home.own.remembered(height)), home.asked(lambda: home.own.again(height))
    trails = {home.name: remembered or again, AGAIN: again}
    step = first_difference(trails)
    if step is None:
        return False
    told |= {"difference": "execution", "height": height, **step_json(step, again.place(step.index)), "alone": []}
    told["keys"] = [
        key_json(key) for key in key_differences({name: one.steps[step.index].writes for name, one in trails.items()})
    ]
    return True


def _look_at_stored(told: dict[str, Any], home: HomeWitness, height: int) -> None:
    """Add what the home's state after the block has otherwise than this build would, if it has."""
    try:
        found = home.stored(height)
    except AutopsyError as error:
        told["notes"].append(f"{home.name}: {error}")
        return
    if not found:
        told["notes"].append(f"{home.name}: its state after height {height} is what this build makes of it")
        return
    told["difference"], told["height"] = "execution", height
    told.setdefault("keys", []).extend([key_json(one.key) for one in found])
    if "place" not in told:
        told |= _place(home, height, found[0])
    told["alone"] = sorted({*told.get("alone", ()), home.name})


def _place(home: HomeWitness, height: int, first: StoredDifference) -> dict[str, Any]:
    if first.index is None:
        return {"place": "in no transaction that this build executes"}
    trail = home.asked(lambda: home.own.again(height))
    tx = trail.steps[first.index].tx
    return {"place": trail.place(first.index), "transaction": first.index - 1 if tx else None, "tx": tx.hex()}


def _execute_again(told: dict[str, Any], homes: Sequence[HomeWitness], height: int, known: set[str]) -> None:
    """Note whose app hash this build comes to. Takes the copies back: the last thing that is done with them."""
    for home in homes:
        if home.own.highest < height or not _can_execute(home, height):
            continue
        stored = home.own.head(height).app_hash
        header = home.own.header_app_hash(height).hex()
        try:
            got = home.hash_again(height).hex()
        except AutopsyError as error:
            told["notes"].append(f"{home.name}: {error}")
            continue
        verdict = "not what it has"
        if got == stored.hex():
            verdict = "what it has"
        elif got in known:
            verdict = "what the others have"
        elif got == header:
            verdict = "what the chain has"
        told["notes"].append(f"{home.name}: this build executes block {height} to the app hash {got}: {verdict}")


def _can_execute(home: HomeWitness, height: int) -> bool:
    try:
        home.own.before(height)
    except NoTrail:
        return False
    return True


def _look_at_disks(told: dict[str, Any], homes: Sequence[HomeWitness], height: int) -> None:
    """Of homes whose hashes agree: values that do not fit their tree, and what lies beside the trees."""
    faults = [fault_json(home.name, fault) for home in homes for fault in home.faults()]
    keys: list[dict[str, Any]] = []
    if len(homes) == 2 and not faults:
        one, other = homes
        try:
            views = one.version(height), other.version(height)
            for found in differences_beside(*views, (one.name, other.name)):
                keys.append(key_json(found))
                if len(keys) == KEYS_MAX:
                    break
        except AutopsyError as error:
            told["notes"].append(f"what lies beside the trees was not compared: {error}")
    if faults or keys:
        told |= {"difference": "disk", "faults": faults, "keys": keys}
