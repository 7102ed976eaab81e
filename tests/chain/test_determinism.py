"""Failure 25 (maps, clocks): a source check finds them. That other hash seeds and Pythons give the same hashes:
tests/campaigns/test_determinism.py."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]


def load_checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_determinism", REPOSITORY / "scripts" / "check_determinism.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CHECKER = load_checker()


@pytest.mark.parametrize(("source", "finding"), [
    ("x = 1.5", "float"),
    ("x = a / b", "true division"),
    ("a /= 2", "true division"),
    ("x = float(a)", "float()"),
    ("import time", "block time"),
    ("from datetime import datetime", "block time"),
    ("import os.path", "environment"),
    ("import random", "chance"),
    ("import unicodedata", "tables"),
    ("x = hash(a)", "hash()"),
    ("x = {id(a): 1}", "id()"),
    ("for x in {1, 2}: pass", "iteration over a set"),
    ("for x in set(a): pass", "iteration over a set"),
    ("x = [y for y in {z for z in a}]", "iteration over a set"),
    ("def f(a: set[int]):\n    for x in a: pass", "iteration over a set"),
    ("def f(a: frozenset[int]):\n    return list(a)", "iteration over a set"),
    ("def f(a):\n    s = set(a)\n    return ','.join(s)", "iteration over a set"),
    ("def f(a, b):\n    s = set(a)\n    return tuple(s - b)", "iteration over a set"),
    ("def f(a):\n    s = set(a)\n    return [*s]", "iteration over a set"),
    ("def f(a):\n    s = set(a)\n    return s.pop()", "pop"),
    ("class A:\n    def __init__(self):\n        self.s: set[int] = set()\n"
     "    def f(self):\n        return next(iter(self.s))", "iteration over a set"),
    ("x = name.lower()", "Unicode"),
    ("x = name.isalnum()", "Unicode"),
    ("x = name.split()", "without characters"),
    ("x = name.strip()", "without characters"),
    ("re.compile('a+')", "re.ASCII"),
    ("try:\n    pass\nexcept Exception:\n    pass", "broad except"),
    ("try:\n    pass\nexcept:\n    pass", "broad except"),
    ("def f(x):\n    return f(x[1:])", "recursion"),
    ("x = 1.5  # determinism:", "without a reason"),
])  # fmt: skip
def test_finds(source: str, finding: str) -> None:
    found = CHECKER.check_source(source)
    assert any(finding in entry.text for entry in found), found


@pytest.mark.parametrize("source", [
    "x = a // b",
    "for x in sorted(set(a)): pass",
    "for x in [1, 2]: pass",
    "x = sum(y for y in {1, 2})",
    "x = len({1, 2}) + max({1})",
    "if x in {1, 2}: pass",
    "for key in {'a': 1}: pass",
    "s = {y for y in a}",
    "x = name.split(',')",
    "re.compile('a+', re.ASCII)",
    "try:\n    pass\nexcept ValueError:\n    pass",
    "x = 1.5  # determinism: for the log alone",
    "def g(a):\n    s = set(a)\ndef f(s):\n    for x in s: pass",
])  # fmt: skip
def test_lets_pass(source: str) -> None:
    assert CHECKER.check_source(source) == []


def test_the_machines_are_clean() -> None:
    assert list(CHECKER.check_paths([REPOSITORY / name for name in CHECKER.SCOPE])) == []
