"""What the pages of docs/ say to type does what they say; and every message, command, call and route has an example.

`python -m tests.support.docs PAGE...` types some pages alone.
"""

from __future__ import annotations

import re
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
from tests.support.docs.pages import DOCS, PAGES, Names, typed_in
from tests.support.docs.typing import ROUTES, Done, type_page

GROUPS: Final = (
    "tx", "query", "proof", "identity", "upgrade", "light", "database", "debug", "signer", "audit", "admin", "network",
)  # fmt: skip

# What has no example, and why.
WITHOUT: Final = {
    **{
        f"database {name}": "the node must not run; docs/database.md says what to type, tests/dchat/upkeep types it"
        for name in ("migrate", "prune", "reindex", "rollback")
    },
    "database sql": "it needs a PostgreSQL server: tests/dchat/sql types it, and asks what docs/sql.md asks",
    **{
        f"admin {name}": "the process does it, which no page has: tests/dchat/cli/test_network_commands.py types it"
        for name in ("log-level", "reload")
    },
    "network connect": "a page has one node: tests/dchat/cli/test_network_commands.py connects two",
    "network peer-lookup": "a page's node has no peer: tests/dchat/cli/test_network_commands.py looks one up",
    "signer init": "docs/signer.md; tests/dchat/signer types it",
    "signer show": "docs/signer.md; tests/dchat/signer types it",
    **{
        f"signer {name}": "the node must not run; docs/signer.md says what to type, tests/dchat/signer types it"
        for name in ("adopt", "decrypt-key", "encrypt-key", "move-key")
    },
    "signer export": "the node must not run: tests/dchat/upkeep",
    "signer import": "the node must not run: tests/dchat/upkeep",
    "light proxy": "it answers until it is stopped: tests/dchat/cli/test_light.py asks it",
    "upgrade rehearse": "a build that knows the plan carries it out: scripts/upgrade-demo makes one",
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


async def test_examples_do_what_they_say_and_nothing_lacks_one(tmp_path: Path) -> None:
    """Each page on a network of its own. A message counts when a block executed it, the rest when it answered."""
    done = Done()
    with capture_logs():
        for page in PAGES:
            await type_page(page, tmp_path / page.stem, done)
    assert not done.wrong, "\n\n".join(done.wrong)
    lacking = wanted() - done.shown - set(WITHOUT)
    assert lacking - YET == set(), "no page shows how: add an example to the page of its subject in docs/"
    assert YET - lacking == set(), "these have an example now, or are no more: take them from the list"
    assert set(WITHOUT) & done.shown == set()


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
