"""The lint against regular expressions that can take more than linear time, itself tested, over the whole product."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


def load_checker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_patterns", ROOT / "scripts" / "check_patterns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CHECKER = load_checker()


def test_the_product_has_no_pattern_that_backtracks(monkeypatch: pytest.MonkeyPatch) -> None:
    """audit 1"""
    monkeypatch.chdir(ROOT)
    assert [
        str(f) for path in CHECKER.sources(CHECKER.SCOPE) for f in CHECKER.check_source(path.read_text(), str(path))
    ] == []
    assert os.path.exists("consensus/p2p/conn/address.py"), "it looked at something"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}\.?)+", "inside a repetition"),  # the host names of 936c0fc
        (r"(a+)+", "inside a repetition"),
        (r"(?:a*)*b", "inside a repetition"),
        (r"((?:x?){1,9}y)+", "inside a repetition"),
        (r"(?:[ab]{1,20}){1,20}", "inside a repetition"),
        (r"(?=(a+)+)x", "inside a repetition"),
        (r"(a|ab)*c", "alternatives"),
        (r"\s*\s*x", "side by side"),
        (r".*.*=.*", "side by side"),
        (r"\d+\w+x", "side by side"),
        (r"(a)(\1)+", "reference"),
    ],
)
def test_it_finds(pattern: str, why: str) -> None:
    assert any(why in finding for finding in CHECKER.check_pattern(pattern)), pattern


@pytest.mark.parametrize(
    "pattern",
    [
        r"[1-9][0-9]{0,17}:[0-9A-Fa-f]{64}",
        r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)",
        r"(?:\.([0-9]+))?[Zz]",
        r"(dchat_\w+)(\{[^}]*\})? (\S+)$",
        r"(?:a|b|c)+",
        r"(?:ab)+",
        r"\d+-\d+",
    ],
)
def test_it_leaves_alone(pattern: str) -> None:
    assert CHECKER.check_pattern(pattern) == []


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import re\nre.compile(x)", "no constant"),
        ("import re\nre.match(f'{a}+', b)", "no constant"),
        ("from re import compile as c\nc('(a+)+')", "as a whole"),
        ("import re as r\nr.compile('(a+)+')", "its own name"),
        ("import re\nif re.search('a' '(b+)+', c): pass", "inside a repetition"),
    ],
)
def test_it_finds_in_sources(source: str, why: str) -> None:
    assert any(why in finding.what for finding in CHECKER.check_source(source, "x.py"))
