"""The examples of docs/: blocks of `console`, with what is typed and what is told of it.

    ```console
    $ dchat tx escrow open --to accounts/bob.json --amount 50 \\
        --deadline 7d --party accounts/alice.json
    ... "subject": "<escrow>" ...
    $ dchat query escrow <escrow> --prove
    ... "amount": 50000000 ...
    ```

A line that begins with `$ ` is typed; one that ends in a backslash goes on in the next, and `<<'EOF'` takes what
follows up to that word. What stands below it is found in what is printed: `...` stands for anything, blanks and lines
for any blanks. `<name>` takes what stands there, and is that from then on. What begins with `dchat: ` is a refusal.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"<([a-z][a-z0-9-]*)>")
_VALUE = r"[\w:./+=-]+"


@dataclass(frozen=True)
class Typed:
    """One command of a page. words: as a shell would have them, names not yet filled in. text: what a here-document
    gives it. shown: what the page says that it prints."""

    page: str
    line: int
    words: tuple[str, ...]
    text: str
    shown: str

    @property
    def is_refused(self) -> bool:
        return self.shown.lstrip().startswith("dchat: ")

    def __str__(self) -> str:
        return f"docs/{self.page}:{self.line}: {shlex.join(self.words)}"


@dataclass
class Names:
    """What `<name>` stands for on a page."""

    known: dict[str, str] = field(default_factory=dict)

    def filled(self, text: str) -> str:
        """Raises KeyError: nothing printed it before."""
        return _NAMED.sub(lambda found: self.known[found[1]], text)

    def found_in(self, shown: str, printed: str) -> bool:
        """Whether it was printed; what it names is known from then on."""
        pattern, new = "", []
        for part in re.split(r"(\.\.\.|<[a-z][a-z0-9-]*>)", " ".join(shown.split())):
            named = _NAMED.fullmatch(part)
            if part == "...":
                pattern = pattern.removesuffix(r"\ ") + ".*?"
            elif named is None:
                pattern += re.escape(part.removeprefix(" ") if pattern.endswith(".*?") else part)
            elif named[1] in self.known:
                pattern += re.escape(self.known[named[1]])
            else:
                new.append(named[1])
                pattern += f"({_VALUE})"
        found = re.search(pattern, " ".join(printed.split()), re.DOTALL)
        if found is not None:
            self.known |= dict(zip(new, found.groups(), strict=True))
        return found is not None


def typed_in(page: Path) -> list[Typed]:
    """All that a page says to type, in order."""
    text = page.read_text()
    found: list[Typed] = []
    for block in _BLOCK.finditer(text):
        first = text[: block.start(1)].count("\n") + 1
        found += _commands(page.name, first, block[1].splitlines())
    return found


def _commands(page: str, first: int, lines: list[str]) -> Iterator[Typed]:
    at = 0
    while at < len(lines):
        assert lines[at].startswith("$ "), f"docs/{page}:{first + at}: a block begins with a command: $ dchat ..."
        line, command = first + at, lines[at][2:]
        while command.endswith("\\"):
            at += 1
            command = f"{command[:-1]} {lines[at].strip()}"
        at += 1
        command, here, end = command.partition("<<")
        given = []
        if here:
            while lines[at] != end.strip("' "):
                given.append(lines[at] + "\n")
                at += 1
            at += 1
        shown = []
        while at < len(lines) and not lines[at].startswith("$ "):
            shown.append(lines[at])
            at += 1
        yield Typed(page, line, tuple(shlex.split(command, comments=True)), "".join(given), "\n".join(shown))


# docs/operators on the way of a new operator, in its order: tests/campaigns/operator.py types all of it in one run.
BEGUN = ("install.md", "configure.md", "monitor.md", "join.md")  # tests/dchat/cli/test_ceremony.py
KEPT = ("back-up.md", "restore.md")
CHANGED = (*KEPT, "keys.md", "upgrade.md")  # tests/dchat/cli/test_one_machine.py
ELSEWHERE = {  # pages of docs/operators that another test types, and which
    "runbooks.md": "tests/campaigns/runbooks.py",  # of networks that are not well
    **dict.fromkeys(BEGUN, "tests/dchat/cli/test_ceremony.py"),
    **dict.fromkeys(CHANGED, "tests/dchat/cli/test_one_machine.py"),
}
_OPERATORS = tuple(page for page in DOCS.glob("operators/*.md") if page.name not in ELSEWHERE)
PAGES = tuple(page for page in sorted((*DOCS.glob("*.md"), *_OPERATORS)) if typed_in(page))
