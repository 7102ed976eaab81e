"""Log lines that a peer can cause are held to a rate, whatever it does."""

import pytest

from consensus.p2p import switch
from consensus.system.log_limit import LINES_BURST, LINES_PER_S, SOURCE_S, SOURCES_MAX, LogLimit


class Lines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []
        self.now = 1_000.0
        self.limit = LogLimit(self, time_s=lambda: self.now)

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))


def test_one_source_has_one_line_of_a_kind_and_hears_what_was_left_out() -> None:
    """audit 9: a flood of 100,000 logs one line; the next one says how many were left out."""
    lines = Lines()
    for _ in range(100_000):
        lines.limit.warning("refused a vote", "a", why="x")
    assert lines.lines == [("refused a vote", {"peer": "a", "why": "x"})]
    lines.now += SOURCE_S
    lines.limit.warning("refused a vote", "a", why="y")
    assert lines.lines[1:] == [("refused a vote", {"peer": "a", "why": "y", "suppressed": 99_999})]


def test_kinds_and_sources_do_not_silence_each_other() -> None:
    lines = Lines()
    for source in "ab":
        lines.limit.warning("refused a vote", source)
        lines.limit.warning("refused a part", source)
    assert len(lines.lines) == 4


@pytest.mark.parametrize("seconds", [1, 60])
def test_many_sources_together_are_held_to_a_rate(seconds: int) -> None:
    """audit 9: ids are free to make, so a limit per id alone is none."""
    lines = Lines()
    for second in range(seconds):
        lines.now += 1
        for number in range(2_000):
            lines.limit.warning("refused a vote", f"{second}-{number}")
    assert len(lines.lines) <= LINES_BURST + LINES_PER_S * seconds
    assert len(lines.limit._sources) <= SOURCES_MAX


@pytest.mark.parametrize("turn", ["the one that spends", "the one after"])
def test_a_module_s_lines_are_whole_for_each_test(turn: str) -> None:
    told = [switch.loud.admit("connected a peer", f"{turn} {number}") for number in range(int(LINES_BURST) + 1)]
    assert told == [0] * int(LINES_BURST) + [None]
