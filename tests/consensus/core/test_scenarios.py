"""The core answers what stands in `scenarios/`, which `python -m tests.support.scenarios` writes."""

from __future__ import annotations

import difflib
import typing
from pathlib import Path

import pytest

from consensus.core.events import Effect, NilReason, VoteKind
from tests.support.scenarios import FOLDER, LINE, Scenario, files


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_the_core_answers_as_written(path: Path) -> None:
    written, answered = path.read_text(), Scenario().run(path.read_text())
    difference = difflib.unified_diff(written.splitlines(), answered.splitlines(), "written", "answered", lineterm="")
    assert written == answered, "\n".join(difference)


def test_a_difference_is_seen() -> None:
    text = (FOLDER / "one_round.txt").read_text()
    wrong = text.replace("SIGN prevote 0 A\n", "SIGN prevote 0 nil because no_proposal\n", 1)
    assert wrong != text
    assert Scenario().run(wrong) == text  # what is answered does not go by what was written
    less = text.replace("prevote 0 A by 0,2\n----", "prevote 0 A by 0\n----", 1)
    assert Scenario().run(less) != less


def test_the_scenarios_show_every_effect_and_every_reason() -> None:
    answers = "\n".join(block.partition(LINE)[2] for path in files() for block in path.read_text().split("\n\n"))
    marks = ("\nstep ", "\ntimer ", "\nbuild ", "\nSIGN proposal", "\nSIGN prevote", "\nSIGN precommit", "\nvalidate ")
    marks += ("\ngather ", "\nvalid value ", "\npolka ", "\ncounted ", "\nequivocation ", "\nrefused ", "\nDECIDE ")
    assert [mark for mark in marks if mark not in answers] == []
    assert len(marks) == len(typing.get_args(Effect)) + len(VoteKind) - 1  # one each, SignVote for both kinds
    assert [reason.value for reason in NilReason if f"because {reason.value}" not in answers] == []
    assert "\nSTOP: height 5" in answers
