#!/usr/bin/env python3
"""Refuse what could make two nodes differ, in the code that every node must run alike.

    scripts/check_determinism.py [PATH...]      default: bridge chain governance consensus/core

Reads the source alone. It finds floats and true division, clocks, chance, environment, hash order (iteration over
sets, hash(), id()), Unicode tables (case and class methods of str, str.split and str.strip without characters,
regular expressions without ASCII), broad `except`, and functions that call themselves. A line may say
`# determinism: REASON` where a finding is harmless; an empty reason is a finding too.
Source: docs/simulation.md.
"""

from __future__ import annotations

import ast
import sys
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

SCOPE = ("bridge", "chain", "governance", "consensus/core")
WAIVER = "# determinism:"

BANNED_MODULES = {
    "time": "block time only",
    "datetime": "block time only",
    "random": "no chance",
    "secrets": "no chance",
    "uuid": "no chance",
    "os": "no environment",
    "platform": "no environment",
    "locale": "no locale",
    "unicodedata": "its tables differ between Pythons",
    "math": "integers; use // and int methods",
    "cmath": "integers",
    "decimal": "integers",
    "fractions": "integers",
    "statistics": "integers",
    "asyncio": "no I/O",
    "socket": "no I/O",
    "pickle": "its bytes differ between Pythons",
}
BANNED_CALLS = {
    "hash": "differs between processes",
    "id": "differs between processes",
    "float": "integers only",
    "round": "rounds floats",
    "eval": "",
    "exec": "",
    "open": "no I/O",
    "input": "no I/O",
    "print": "no I/O",
    "vars": "order of attributes",
}
UNICODE_METHODS = frozenset(
    (
        "lower",
        "upper",
        "title",
        "casefold",
        "swapcase",
        "capitalize",
        "isalpha",
        "isdigit",
        "isalnum",
        "isdecimal",
        "isnumeric",
        "islower",
        "isupper",
        "isspace",
        "istitle",
        "isidentifier",
        "isprintable",
        "splitlines",
    )
)
SPACE_METHODS = frozenset(("strip", "lstrip", "rstrip", "split", "rsplit"))
ORDERED = frozenset(("sorted", "len", "min", "max", "sum", "any", "all", "set", "frozenset", "bool"))
ORDERING = frozenset(("list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "dict", "next"))
SET_METHODS = frozenset(("union", "intersection", "difference", "symmetric_difference", "copy"))
REGEX_CALLS = frozenset(("compile", "match", "search", "fullmatch", "split", "sub", "findall", "finditer"))


class Finding(NamedTuple):
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class Checker(ast.NodeVisitor):
    """One file. Sets are known by literals, calls, annotations and assignments in the same function or class."""

    def __init__(self) -> None:
        self.found: list[tuple[int, str]] = []
        self._scopes: list[set[str]] = [set()]  # names that hold sets
        self._functions: list[str] = []

    def _refuse(self, node: ast.AST, text: str) -> None:
        self.found.append((getattr(node, "lineno", 0), text))

    # ------------------------------------------------------------------ numbers, modules, calls

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, (float, complex)):
            self._refuse(node, f"the float {node.value}: integers only")

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(node.op, ast.Div):
            self._refuse(node, "true division gives a float: use //")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.op, ast.Div):
            self._refuse(node, "true division gives a float: use //")
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for name in node.names:
            self._check_module(node, name.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._check_module(node, node.module or "")

    def _check_module(self, node: ast.AST, module: str) -> None:
        reason = BANNED_MODULES.get(module.partition(".")[0])
        if reason is not None:
            self._refuse(node, f"import of {module}: {reason}")

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Name):
            if function.id in BANNED_CALLS:
                self._refuse(node, f"{function.id}(): {BANNED_CALLS[function.id]}".rstrip(": "))
            if function.id in ORDERING:
                for argument in node.args:
                    self._check_iterated(argument)
        elif isinstance(function, ast.Attribute):
            self._check_method(node, function)
        if self._functions and isinstance(function, ast.Name) and function.id == self._functions[-1]:
            self._refuse(node, f"{function.id} calls itself: no recursion on input")
        self.generic_visit(node)

    def _check_method(self, node: ast.Call, function: ast.Attribute) -> None:
        name = function.attr
        if name in UNICODE_METHODS:
            self._refuse(node, f".{name}(): Unicode tables differ between Pythons; compare with ASCII ranges")
        if name in SPACE_METHODS and not node.args:
            self._refuse(node, f".{name}() without characters uses a Unicode table: name them")
        if name == "join":
            for argument in node.args:
                self._check_iterated(argument)
        if name == "pop" and not node.args and self._is_set(function.value):
            self._refuse(node, ".pop() of a set takes any element")
        is_regex = isinstance(function.value, ast.Name) and function.value.id == "re" and name in REGEX_CALLS
        if is_regex and not any("ASCII" in ast.dump(argument) for argument in (*node.args, *node.keywords)):
            self._refuse(node, f"re.{name} without re.ASCII")

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        names = [name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)] if node.type else [""]
        if any(name in ("", "Exception", "BaseException") for name in names):
            self._refuse(node, "broad except: only declared errors are caught, others stop the node")
        self.generic_visit(node)

    # ------------------------------------------------------------------ sets

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scopes.append(set())
        self._functions.append(node.name)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
            if argument.annotation is not None and _says_set(argument.annotation):
                self._scopes[-1].add(argument.arg)
        self.generic_visit(node)
        self._functions.pop()
        self._scopes.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Attributes that any method says are sets are sets in all."""
        self._scopes.append(set())
        for inner in ast.walk(node):
            if isinstance(inner, ast.AnnAssign) and _says_set(inner.annotation):
                self._scopes[-1].add(_name_of(inner.target))
            elif isinstance(inner, ast.Assign) and self._is_set(inner.value):
                self._scopes[-1].update(
                    name for target in inner.targets if (name := _name_of(target)).startswith("self.")
                )
        self.generic_visit(node)
        self._scopes.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        if self._is_set(node.value):
            self._scopes[-1].update(_name_of(target) for target in node.targets)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if _says_set(node.annotation):
            self._scopes[-1].add(_name_of(node.target))
        self.generic_visit(node)

    def visit_For(self, node: ast.For) -> None:
        self._check_iterated(node.iter)
        self.generic_visit(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self._check_iterated(node.value)
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp) -> None:
        for part in node.generators:
            self._check_iterated(part.iter)
        self.generic_visit(node)

    visit_DictComp = visit_ListComp

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        """Harmless where the order is lost again; `visit_ListComp` and calls see the rest."""
        if not getattr(node, "ordered", False):
            self.visit_ListComp(node)
        else:
            self.generic_visit(node)

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDERED:
            for argument in node.args:
                if isinstance(argument, ast.GeneratorExp):
                    argument.ordered = True  # type: ignore[attr-defined]  # seen by visit_GeneratorExp
        super().generic_visit(node)

    def _check_iterated(self, node: ast.expr) -> None:
        if self._is_set(node):
            self._refuse(node, "iteration over a set: its order differs between processes; use sorted()")

    def _is_set(self, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Call(func=ast.Name(id="set" | "frozenset")):
                return True
            case ast.Call(func=ast.Attribute(attr=method, value=value)) if method in SET_METHODS:
                return self._is_set(value)
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor()):
                return self._is_set(node.left) or self._is_set(node.right)
            case ast.IfExp():
                return self._is_set(node.body) or self._is_set(node.orelse)
            case ast.Name() | ast.Attribute():
                return any(_name_of(node) in scope for scope in self._scopes)
        return False


def _name_of(node: ast.expr) -> str:
    return ast.unparse(node)


def _says_set(annotation: ast.expr) -> bool:
    names = ("set", "frozenset", "AbstractSet", "Set", "FrozenSet")
    outer = annotation.value if isinstance(annotation, ast.Subscript) else annotation
    return isinstance(outer, ast.Name) and outer.id in names


def waivers(source: str) -> dict[int, str]:
    """line -> reason, of comments that waive a finding on their line."""
    found = {}
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT and WAIVER in token.string:
            found[token.start[0]] = token.string.partition(WAIVER)[2].strip()
    return found


def check_source(source: str, path: str = "source") -> list[Finding]:
    """All findings of one file, by line."""
    checker = Checker()
    checker.visit(ast.parse(source))
    waived = waivers(source)
    found = {Finding(path, line, text) for line, text in checker.found if not waived.get(line)}
    found |= {Finding(path, line, "a waiver without a reason") for line, reason in waived.items() if not reason}
    return sorted(found)


def check_paths(paths: list[Path]) -> Iterator[Finding]:
    for root in paths:
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            yield from check_source(path.read_text(), str(path))


def main(arguments: list[str]) -> int:
    repository = Path(__file__).resolve().parents[1]
    paths = [Path(argument) for argument in arguments] or [repository / name for name in SCOPE]
    findings = list(check_paths(paths))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
