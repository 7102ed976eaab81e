#!/usr/bin/env python3
"""Refuse regular expressions whose matching can take more than linear time.

    scripts/check_patterns.py [PATH...]      default: every package of the product

Reads the source alone. It finds a repetition inside a repetition ((a+)*), alternatives that are not one character
each inside a repetition ((a|ab)*), two open-ended repetitions side by side that match the same characters (a*a*), and
patterns that are no constant, which nobody can judge. Such a text is read by hand, after its length is bounded.
"""

from __future__ import annotations

import ast
import re
import re._compiler as compiler  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

SCOPE = ("bridge", "chain", "consensus", "crypto", "dchat", "genesis", "governance", "light", "storage", "scripts")
FUNCTIONS = frozenset({"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"})
REPEATS = frozenset({parser.MAX_REPEAT, parser.MIN_REPEAT})
UNBOUNDED_FROM = 16  # that many repetitions are as good as no bound for what an attacker can build


class Finding(NamedTuple):
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def check_pattern(pattern: str, flags: int = 0) -> list[str]:
    """What is wrong with it; empty when it is linear. Raises re.error for what is no pattern."""
    return list(_walk(parser.parse(pattern, flags), inside=False))


def _walk(items: Any, *, inside: bool) -> Iterator[str]:
    """inside: a repetition is around these items."""
    open_before: Any = None  # the open-ended repetition that may end right before this item
    for operator, value in items:
        if operator in REPEATS:
            low, high, body = value
            varies = low != high
            if inside and varies and high > 1:
                yield "a repetition inside a repetition"
            if high >= UNBOUNDED_FROM and varies and open_before is not None and _overlap(open_before, body):
                yield "two repetitions side by side match the same characters"
            if high >= UNBOUNDED_FROM and varies:
                open_before = body
            elif low:
                open_before = None
            yield from _walk(body, inside=inside or high > 1)
        elif operator is parser.BRANCH:
            if inside and any(len(branch) != 1 for branch in value[1]):
                yield "alternatives that are not one character each inside a repetition"
            for branch in value[1]:
                yield from _walk(branch, inside=inside)
            open_before = None
        elif operator is parser.SUBPATTERN:
            yield from _walk(value[3], inside=inside)
            open_before = None
        elif operator in {parser.ASSERT, parser.ASSERT_NOT}:
            yield from _walk(value[1], inside=inside)
        elif operator is parser.GROUPREF:
            yield "a reference to a group"
        elif operator is not parser.AT:
            open_before = None


def _overlap(first: Any, second: Any) -> bool:
    """Whether both begin with a character that the other could have taken. Judged on the first 256."""
    return bool(_first_chars(first) & _first_chars(second))


def _first_chars(body: Any) -> set[str]:
    single = parser.SubPattern(body.state, list(body)[:1])
    matcher = compiler.compile(single)
    return {chr(code) for code in range(256) if matcher.fullmatch(chr(code))}


def check_source(text: str, path: str) -> Iterator[Finding]:
    tree = ast.parse(text, path)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "re":
            yield Finding(path, node.lineno, "import re as a whole: what is called by another name is not checked")
        if isinstance(node, ast.Import) and any(name.name == "re" and name.asname for name in node.names):
            yield Finding(path, node.lineno, "import re under its own name")
        if not isinstance(node, ast.Call) or not node.args or not _is_re_call(node.func):
            continue
        try:
            pattern = ast.literal_eval(node.args[0])
        except ValueError:
            yield Finding(path, node.lineno, "the pattern is no constant")
            continue
        flags = re.VERBOSE if any("VERBOSE" in ast.unparse(arg) for arg in node.args[1:]) else 0
        for what in check_pattern(pattern, flags):
            yield Finding(path, node.lineno, f"{what}: {pattern!r}")


def _is_re_call(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and called.attr in FUNCTIONS
        and isinstance(called.value, ast.Name)
        and called.value.id == "re"
    )


def sources(names: tuple[str, ...]) -> Iterator[Path]:
    for name in names:
        path = Path(name)
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def main(names: tuple[str, ...]) -> int:
    findings = [f for path in sources(names or SCOPE) for f in check_source(path.read_text(), str(path))]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:])))
