"""What the pages of docs/ say to type does what they say; and every message, command, call and route has an example.

`python -m tests.support.docs PAGE...` types some pages alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest
from google.protobuf import descriptor_pool
from structlog.testing import capture_logs

from chain.tx.messages import KINDS
from dchat.cli.main import dchat
from dchat.doors.grpc.door import SERVICES
from tests.support.docs.machines import lines_of
from tests.support.docs.pages import BEGUN, CHANGED, DOCS, ELSEWHERE, PAGES, Names, typed_in
from tests.support.docs.typing import ROUTES, Done, command_of, type_page

GROUPS: Final = (
    "tx", "query", "proof", "identity", "upgrade", "light", "database", "debug", "signer", "audit", "admin", "network",
)  # fmt: skip

# What has no example, and why.
WITHOUT: Final = {
    "database sql": "it needs a PostgreSQL server: tests/dchat/sql types it, and asks what docs/sql.md asks",
    **{
        f"signer {name}": "it needs a token or a service; docs/signer.md says what to type, tests/dchat/signer types it"
        for name in ("adopt", "move-key")
    },
    "light proxy": "it answers until it is stopped: tests/dchat/cli/test_light.py asks it",
}

# Lines of docs/operators that no test types as they stand, and why.
TYPED_BY_NOBODY: Final = {
    "dchat --version": "it stands between cloning and activating: test_readme.py types the like",
    "dchat network connect --url https://10.0.0.2:8080 --tls-root ca.pem --api-key-file ops-bob.key "
    "--address ID@10.0.0.3:26656": "addresses of somebody's: tests/dchat/cli/test_network_commands.py types it",
}

# What is new and has no example yet. One that has, or is no more, is an error: the list gets shorter, never longer.
YET: Final[frozenset[str]] = frozenset()


def commands(group: click.Group, path: str) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from commands(found, f"{path} {name}")
        else:
            yield f"{path} {name}"


def wanted() -> set[str]:
    """Kinds of messages, commands, gRPC methods and /v1 routes, each by its name."""
    found = set(KINDS)
    for name in GROUPS:
        group = dchat.get_command(click.Context(dchat), name)
        assert isinstance(group, click.Group)
        found |= set(commands(group, name))
    for service in SERVICES:
        found |= {f"{service}/{one.name}" for one in descriptor_pool.Default().FindServiceByName(service).methods}
    return found | {f"{verb} {path}" for verb, path in ROUTES}


async def test_examples_do_what_they_say_and_nothing_lacks_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each page on a network of its own. A message counts when a block executed it, the rest when it answered."""
    folder = tmp_path_factory.mktemp("p")  # short: below it is HOME/run/admin.sock, whose path has 107 bytes at most
    done = Done()
    with capture_logs():
        for page in PAGES:
            await type_page(page, folder / page.stem, done)
    assert not done.wrong, "\n\n".join(done.wrong)
    lacking = wanted() - done.shown - on_machines() - set(WITHOUT)
    assert lacking - YET == set(), "no page shows how: add an example to the page of its subject in docs/"
    assert YET - lacking == set(), "these have an example now, or are no more: take them from the list"
    assert set(WITHOUT) & (done.shown | on_machines()) == set()


def on_machines() -> set[str]:
    """Commands of the pages that are typed on machines of their own, by test_ceremony.py and test_one_machine.py."""
    found = set()
    for page in (*BEGUN, *CHANGED):
        for line in lines_of(DOCS / "operators" / page):
            for typed in re.split(r"&&|;|\|", line.command):
                words = shlex.split(typed, comments=True)
                if words and words[0] in ("dchat", "./dchat-spring"):
                    found.add(command_of(tuple(words[1:])))
    return found


@pytest.mark.parametrize("name", WITHOUT)
def test_what_no_page_types_is_typed_by_the_test_that_is_named(name: str) -> None:
    (where,) = re.findall(r"tests/[\w/.]+", WITHOUT[name])
    place, words = DOCS.parent / where, name.split()
    texts = [path.read_text() for path in ([place] if place.is_file() else place.rglob("test_*.py"))]
    as_list = ", ".join(f'"{word}"' for word in words)
    assert any(name in text or as_list in text or f'"{words[-1]}"' in text for text in texts), where


def test_every_block_of_the_operators_pages_is_typed_by_a_test() -> None:
    """As are those of all other pages. What stands indented is typed by nobody: it is of other programs, or says here
    why."""
    pages = sorted((DOCS / "operators").glob("*.md"))
    for page in sorted(DOCS.rglob("*.md")):
        if "```console" in page.read_text():
            assert page in PAGES or (page in pages and page.name in ELSEWHERE), page
    for page, test in ELSEWHERE.items():
        assert (DOCS.parent / test).is_file(), page
    indented = (line for page in pages for line in re.findall(r"^    (.*)$", page.read_text(), re.MULTILINE))
    lines = {line.strip() for line in indented if re.search(r"(?:^|&& |; |\| )(?:\./)?dchat ", line.strip())}
    assert lines == set(TYPED_BY_NOBODY)


@pytest.mark.parametrize(
    ("shown", "printed", "known"),
    [
        ('"height": <h>', '{\n "height": 41\n}', {"h": "41"}),
        ("... is <b> ...", "x is 3f0c, y", {"b": "3f0c"}),
        ("a ... c", "a b c", {}),
        ("a <x> a <y>", "a 1 a 2", {"x": "1", "y": "2"}),
        ("<alice> and <alice>", "1 and 1", {}),
        ("a c", "a b c", None),
        ("alice is <alice>", "alice is 2", None),
    ],
)
def test_what_is_shown_is_found(shown: str, printed: str, known: dict[str, str] | None) -> None:
    names = Names({"alice": "1"})
    assert names.found_in(shown, printed) == (known is not None)
    assert names.known == {"alice": "1"} | (known or {})


def test_an_example_that_is_wrong_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```console\n$ dchat version \\\n    --version\nsomething else\n```\n")
    (typed,) = typed_in(page)
    assert (typed.line, typed.words, typed.shown) == (4, ("dchat", "version", "--version"), "something else")
    page.write_text("```console\nno command\n```\n")
    with pytest.raises(AssertionError, match=r"page.md:2: a block begins with a command"):
        typed_in(page)


def test_what_pages_say_to_type_is_in_blocks_that_are_typed() -> None:
    """An indented line of `dchat tx ...` would rot: README's are typed by test_readme.py."""
    lines = {
        f"{page.name}: {line.strip()}"
        for page in DOCS.glob("*.md")
        for line in re.findall(r"^    dchat (?:tx|query|proof|upgrade) .*$", page.read_text(), re.MULTILINE)
    }
    assert lines == set()
