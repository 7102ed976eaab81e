"""The conftest.py of `python -m tests.before`: lets the tests of now be imported over older code.

What a test imports and the older code lacks is, in this order: what has moved within its room; the value, where it is a
constant that can be computed here; else a class that refuses to be made, with NotThere. Keyword arguments that an older
constructor does not know are left out. A failure is therefore to be read: NotThere, or an attribute or argument that
was not there, tells nothing of how the older code behaved.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest

NOW = Path(os.environ.get("BEFORE_NOW", Path(__file__).parents[2]))
SECONDS = int(os.environ.get("BEFORE_SECONDS", "60"))
ROOMS = ("bridge", "chain", "cli", "consensus", "crypto", "genesis", "mempool", "node", "p2p", "storage")
WHOLE = ("p2p.budget",)  # modules of now that stand alone, and whose settings tests make


class NotThere(Exception):
    pass


class TooLong(BaseException):
    pass


class Absent(ModuleType):
    """A module that the older code lacks."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = lent(self.__name__, name)
        setattr(self, name, value)
        return value


def source_of(module: str) -> Path:
    path = NOW.joinpath(*module.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"


def constant(module: str, name: str) -> Any:
    """Its value now, None where it is none that can be computed by itself."""
    if not source_of(module).exists():
        return None
    scope = dict(vars(sys.modules.get(module, builtins)))
    for node in ast.parse(source_of(module).read_text()).body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        if not targets or not isinstance(targets[0], ast.Name) or node.value is None:  # type: ignore[attr-defined]
            continue
        with contextlib.suppress(Exception):
            expression = ast.Expression(node.value)  # type: ignore[attr-defined]
            scope[targets[0].id] = eval(compile(expression, module, "eval"), scope)  # noqa: S307 - our own source
            if targets[0].id == name:
                return scope[name]
    return None


def lent(module: str, name: str) -> Any:
    room = module.split(".", maxsplit=1)[0]
    for other, found in list(sys.modules.items()):
        if other.split(".")[0] == room and not isinstance(found, Absent) and name in vars(found):
            return vars(found)[name]
    value = constant(module, name)
    if value is not None:
        return value

    def refuse(cls: type, *_: Any, **__: Any) -> NoReturn:
        raise NotThere(f"{module}.{name}")

    return type(name, (Exception,), {"__new__": refuse, "__module__": module})


real_import: Callable[..., ModuleType] = builtins.__import__


def lending_import(
    name: str, globals: Mapping[str, Any] | None = None, locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (), level: int = 0,
) -> ModuleType:  # fmt: skip
    is_test = f"{os.sep}tests{os.sep}" in str((globals or {}).get("__file__"))
    if level or not is_test or name.split(".", maxsplit=1)[0] not in ROOMS:
        return real_import(name, globals, locals, fromlist, level)
    try:
        module = real_import(name, globals, locals, fromlist, level)
    except ModuleNotFoundError:
        above, _, last = name.rpartition(".")
        if not above or not source_of(name).exists():
            raise
        module = sys.modules.setdefault(name, Absent(name))
        setattr(importlib.import_module(above), last, module)
        if not fromlist:
            return sys.modules[name.split(".", maxsplit=1)[0]]
    for item in fromlist or ():
        if hasattr(module, item):
            continue
        whole = f"{name}.{item}"
        if importlib.util.find_spec(name) is not None and source_of(whole).exists():
            try:
                importlib.import_module(whole)
            except ImportError:
                setattr(module, item, sys.modules.setdefault(whole, Absent(whole)))
        else:
            setattr(module, item, lent(name, item))
    return module


def forgiving(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without the keyword arguments that it does not know."""
    known = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return function

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        return function(*args, **{name: value for name, value in options.items() if name in known})

    return call


def prepare() -> None:
    # An environment made for the code of now would find there what the older code lacks.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "Editable" not in getattr(finder, "__name__", "")]
    for room in ROOMS:
        for info in pkgutil.walk_packages(importlib.import_module(room).__path__, f"{room}."):
            if not info.name.endswith("__main__"):
                with contextlib.suppress(ImportError):
                    _forgive(importlib.import_module(info.name))
    for name in WHOLE:
        spec = importlib.util.spec_from_file_location(name, source_of(name))
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        with contextlib.suppress(ImportError):
            spec.loader.exec_module(module)
    builtins.__import__ = lending_import


def _forgive(module: ModuleType) -> None:
    for found in list(vars(module).values()):
        if inspect.isclass(found) and found.__module__ == module.__name__ and "__init__" in vars(found):
            with contextlib.suppress(AttributeError, TypeError, ValueError):  # of slots, say
                found.__init__ = forgiving(found.__init__)  # type: ignore[misc]

    def attribute(name: str) -> Any:
        value = constant(module.__name__, name) if name.isupper() else None
        if value is None:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        return value

    if "__getattr__" not in vars(module):
        module.__getattr__ = attribute  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """No test takes for ever."""

    def ring(*_: object) -> NoReturn:
        raise TooLong(f"{item.name}: no end within {SECONDS} s")

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        return (yield)
    except TooLong as error:
        raise AssertionError(str(error)) from error
    finally:
        signal.alarm(0)


if __name__ == "conftest":
    prepare()
