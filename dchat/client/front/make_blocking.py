"""Makes `dchat/client/blocking/faces.py` of `dchat/client/front/chat.py`: `python -m dchat.client.front.make_blocking`.

Each public method of `Dchat` has the same name, arguments, types and docstring there, without `async`; an asynchronous
generator becomes an iterator. A test holds that the file is what this makes.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
SOURCE: Final = HERE / "chat.py"
TARGET: Final = HERE.parent / "blocking" / "faces.py"
OWN: Final = frozenset({"__aenter__", "__aexit__", "close"})  # written by hand below
HEAD: Final = '''"""Made by `python -m dchat.client.front.make_blocking` of dchat/client/front/chat.py: change that.

The methods of `dchat.client.Dchat` for callers without an event loop, safe to use from several threads.
"""

from __future__ import annotations

'''
CLASS: Final = '''

class Dchat:
    """Made by `connect`. Close it, or use it by `with`: its thread ends then."""

    def __init__(self, chat: front.Dchat) -> None:
        self._chat, self._loop = chat, Loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End its connections and its thread; a second time it does nothing."""
        if not self._loop.is_closed:
            self._loop.run(self._chat.close())
            self._loop.close()
'''


def made() -> str:
    """The file's text, in the house's form. Needs ruff."""
    tree = ast.parse(SOURCE.read_text())
    chat = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Dchat")
    connect = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "connect")
    body = "\n".join([_connect(connect), CLASS, *_methods(chat)])
    text = HEAD + _imports(tree, body) + body
    for how in (["check", "--fix", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        asked = [sys.executable, "-m", "ruff", *how, "--stdin-filename", str(TARGET), "-"]
        text = subprocess.run(asked, input=text, capture_output=True, text=True, check=True).stdout
    return text


def _imports(tree: ast.Module, body: str) -> str:
    """Those that the signatures need, and the face's own."""
    used = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    used |= {node.value.id for node in ast.walk(ast.parse(body))
             if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}  # fmt: skip
    froms: dict[str, set[str]] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module != "__future__":
            for alias in node.names:
                if alias.asname is None and alias.name in used:
                    froms.setdefault(str(node.module), set()).add(alias.name)
                elif alias.asname in used:
                    froms.setdefault(str(node.module), set()).add(f"{alias.name} as {alias.asname}")
    defined = [node.id for one in tree.body if isinstance(one, ast.Assign) for node in one.targets
               if isinstance(node, ast.Name)]  # fmt: skip
    defined += [
        one.target.id for one in tree.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
    ]
    defined += [one.name for one in tree.body if isinstance(one, ast.ClassDef) and one.name != "Dchat"]
    froms.setdefault("dchat.client.front.chat", set()).update(name for name in defined if name in used)
    froms.setdefault("dchat.client.front", set()).add("chat as front")
    froms.setdefault("dchat.client.blocking.loop", set()).add("Loop")
    froms.setdefault("collections.abc", set()).add("Iterator")
    lines = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(froms.items()) if names]
    return "\n".join(lines) + "\n\n"


def _connect(function: ast.FunctionDef) -> str:
    return "\n".join([
        f"def connect({_arguments(function.args)}) -> Dchat:",
        _docstring(function, "    ").replace("async with connect", "with connect"),
        f"    return Dchat(front.connect({_passed(function.args)}))",
    ])  # fmt: skip


def _methods(chat: ast.ClassDef) -> Iterator[str]:
    for node in chat.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name in OWN or node.name.startswith("_"):
            continue
        call = f"self._chat.{node.name}({_passed(node.args)})"
        returns = ast.unparse(node.returns) if node.returns is not None else "None"
        if isinstance(node, ast.FunctionDef):  # a property: it asks nobody
            yield f"    @property\n    def {node.name}(self) -> {returns}:\n{_docstring(node, '        ')}"
            yield f"        return self._chat.{node.name}\n"
            continue
        is_stream = returns.startswith("AsyncGenerator[")
        told = f"Iterator[{returns.removeprefix('AsyncGenerator[')}" if is_stream else returns
        yield f"    def {node.name}({_arguments(node.args)}) -> {told}:\n{_docstring(node, '        ')}"
        yield f"        return self._loop.{'iterate' if is_stream else 'run'}({call})\n"


def _docstring(node: ast.FunctionDef | ast.AsyncFunctionDef, indent: str) -> str:
    text = ast.get_docstring(node, clean=True) or ""
    if not text:
        return ""
    lines = text.splitlines()
    body = "\n".join([lines[0], *[f"{indent}{line}" if line else "" for line in lines[1:]]])
    end = f"\n{indent}" if len(lines) > 1 and not lines[-1].endswith('"') and _is_tall(node) else ""
    return f'{indent}"""{body}{end}"""'


def _is_tall(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether its quotes stand on a line of their own."""
    first = node.body[0]
    assert isinstance(first, ast.Expr)
    assert isinstance(first.value, ast.Constant)
    return str(first.value.value).endswith(" ")


def _arguments(args: ast.arguments) -> str:
    return ast.unparse(args)


def _passed(args: ast.arguments) -> str:
    """The arguments of a call that hands all on."""
    given = [arg.arg for arg in (*args.posonlyargs, *args.args) if arg.arg != "self"]
    if args.vararg is not None:
        given.append(f"*{args.vararg.arg}")
    given += [f"{arg.arg}={arg.arg}" for arg in args.kwonlyargs]
    return ", ".join(given)


if __name__ == "__main__":
    TARGET.write_text(made())
    sys.stdout.write(f"wrote {TARGET}\n")
