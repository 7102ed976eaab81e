"""Scenarios of the consensus core as text: what comes in, what is asked for, and the state after it.

A file is blocks with an empty line between: lines of inputs, `----`, then what the core answers, which
`python -m tests.support.scenarios` writes anew into every file, for reading the difference. Votes of validator i come
from peer `pi`; ours (`we`) have none, as after signing. Rounds stand before values; `nil` is no value. Inputs:

    config KEY=VALUE...                           of CoreConfig; before the first start
    start HEIGHT [powers=1,1,1,1] [we=1] [wait=0] [proof]
    proposal ROUND VALUE [pol=ROUND]              built ROUND VALUE
    complete VALUE                                valid VALUE | invalid VALUE | withheld VALUE
    prevote ROUND VALUE by I,I... [from PEER]     precommit ROUND VALUE by I,I... [from PEER]
    majority prevote|precommit ROUND VALUE from PEER
    elapsed STEP ROUND                            txs

As etcd/raft's testdata does it. The proposer of round r is validator r modulo their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import assert_never

from consensus.core.core import CommittedInvalidBlock, Core
from consensus.core.events import (
    BlockComplete,
    BlockValidated,
    BuildBlock,
    Built,
    CoreConfig,
    Decide,
    Effect,
    Elapsed,
    Equivocation,
    GatherBlock,
    Input,
    PeerMajority,
    PolkaSeen,
    Proposal,
    SetTimer,
    SignProposal,
    SignVote,
    StartHeight,
    Step,
    StepChanged,
    TxsAvailable,
    ValidateBlock,
    ValidValueSet,
    ValueId,
    Vote,
    VoteCounted,
    VoteKind,
    VoteRefused,
)

FOLDER = Path(__file__).parents[1] / "consensus" / "core" / "scenarios"
LINE = "----"


@dataclass(frozen=True, slots=True)
class Turns:
    """Validators who propose in turn."""

    powers: tuple[int, ...]

    def proposer(self, round: int) -> int:
        return round % len(self.powers)


def _value(text: str) -> ValueId | None:
    return None if text == "nil" else text


def _words(line: str) -> tuple[list[str], dict[str, str]]:
    """The words, and the options among them: `key=value`, `by X`, `from X`."""
    plain, options, words = [], {}, iter(line.split())
    for word in words:
        key, equals, value = word.partition("=")
        if equals:
            options[key] = value
        elif word in ("by", "from"):
            options[word] = next(words)
        else:
            plain.append(word)
    return plain, options


class Scenario:
    """Runs one file's inputs. `run` returns the file as it should be."""

    def __init__(self) -> None:
        self.core = Core(CoreConfig())
        self.powers, self.we = (1, 1, 1, 1), 1

    def run(self, text: str) -> str:
        blocks = []
        for block in text.strip().split("\n\n"):
            asked = [line for line in block.partition(f"\n{LINE}")[0].splitlines() if line]
            inputs = [line for line in asked if not line.startswith("#")]
            if not inputs:  # what the file is about
                blocks.append("\n".join(asked))
                continue
            answers = [line for given in inputs for line in self._answers(given)]
            blocks.append("\n".join([*asked, LINE, *answers, self._state()]))
        return "\n\n".join(blocks) + "\n"

    def _answers(self, line: str) -> Iterator[str]:
        for event in self._inputs(line):
            try:
                yield from map(self._told, self.core.handle(event))
            except CommittedInvalidBlock as error:
                yield f"STOP: {error}"

    def _inputs(self, line: str) -> list[Input]:
        (name, *words), options = _words(line)
        height = self.core.height
        match name:
            case "config":
                known = {field.name for field in fields(CoreConfig)}
                assert options.keys() <= known, line
                self.core = Core(CoreConfig(**{key: int(value) for key, value in options.items()}))
                return []
            case "start":
                self.powers = tuple(map(int, options.get("powers", "1,1,1,1").split(",")))
                who = options.get("we", "1")
                self.we = -1 if who == "nobody" else int(who)
                wait = int(options["wait"]) if "wait" in options else 0
                us = None if who == "nobody" else int(who)
                return [StartHeight(int(words[0]), Turns(self.powers), us, "proof" in words, wait)]
            case "proposal":
                return [Proposal(height, int(words[0]), words[1], int(options.get("pol", "-1")))]
            case "built":
                return [Built(height, int(words[0]), words[1])]
            case "complete":
                return [BlockComplete(height, words[0])]
            case "valid" | "invalid" | "withheld":
                return [BlockValidated(height, words[0], name != "invalid", name == "withheld")]
            case "prevote" | "precommit":
                kind, voters = VoteKind[name.upper()], map(int, options["by"].split(","))
                return [
                    Vote(kind, height, int(words[0]), _value(words[1]), index, options.get("from", self._peer(index)))
                    for index in voters
                ]
            case "majority":
                kind = VoteKind[words[0].upper()]
                return [PeerMajority(kind, height, int(words[1]), _value(words[2]), options["from"])]
            case "elapsed":
                return [Elapsed(Step[words[0].upper()], height, int(words[1]))]
            case "txs":
                return [TxsAvailable(height)]
        raise AssertionError(f"unknown input: {line}")

    def _peer(self, index: int) -> str:
        return "" if index == self.we else f"p{index}"

    def _told(self, effect: Effect) -> str:
        match effect:
            case StepChanged():
                return f"step {effect.height}/{effect.round} {effect.step.name.lower()}"
            case SetTimer():
                return f"timer {effect.step.name.lower()} {effect.round}: {effect.after_ms} ms"
            case BuildBlock():
                return f"build a block for {effect.round}"
            case SignProposal():
                return f"SIGN proposal {effect.round} {effect.value_id} pol={effect.pol_round}"
            case SignVote():
                why = f" because {effect.nil_reason}" if effect.nil_reason is not None else ""
                return f"SIGN {_vote(effect)}{why}"
            case ValidateBlock():
                return f"validate {effect.value_id}"
            case GatherBlock():
                return f"gather {effect.value_id} of {effect.round}" + (" to commit" if effect.is_commit else "")
            case ValidValueSet():
                return f"valid value {effect.value_id} of {effect.round}"
            case PolkaSeen():
                return f"polka {effect.round} {_name(effect.value_id)}"
            case VoteCounted():
                return f"counted {_vote(effect.vote)} by {effect.vote.validator_index}"
            case Equivocation():
                both = f"{_vote(effect.first)} and {_name(effect.second.value_id)} by {effect.first.validator_index}"
                return f"equivocation {both}" + (", both count" if effect.counted else "")
            case VoteRefused():
                return f"refused {_vote(effect.vote)} by {effect.vote.validator_index}: {effect.reason}"
            case Decide():
                return f"DECIDE {effect.height}/{effect.round} {effect.value_id}"
            case _:
                assert_never(effect)

    def _state(self) -> str:
        core = self.core
        locked = f"{core.locked_value}@{core.locked_round}" if core.locked_round >= 0 else "-"
        valid = f"{core.valid_value}@{core.valid_round}" if core.valid_round >= 0 else "-"
        return f"= {core.height}/{core.round} {core.step.name.lower()} locked {locked} valid {valid}"


def _name(value: ValueId | None) -> str:
    return "nil" if value is None else str(value)


def _vote(vote: Vote | SignVote) -> str:
    return f"{vote.kind.name.lower()} {vote.round} {_name(vote.value_id)}"


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.txt"))


def main() -> None:
    for path in files():
        path.write_text(Scenario().run(path.read_text()))


if __name__ == "__main__":
    main()
