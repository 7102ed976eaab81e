"""What the pages say to write into an option file is read without a fault and without a warning."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from dchat.config import load
from tests.support.docs.pages import DOCS

_INDENTED: Final = re.compile(r"(?:^    .*\n|^\n(?=    ))+", re.MULTILINE)
_SECTION: Final = re.compile(r"\[\w+\]\n")
OF_OTHERS: Final = ("[statesync]", "[p2p]\npersistent_peers")  # CometBFT's file begins so


def blocks() -> list[tuple[str, str]]:
    """(page, text) of each block that begins with a section; node ids are made up."""
    found = []
    for page in sorted(DOCS.rglob("*.md")):
        for block in _INDENTED.findall(page.read_text()):
            text = "\n".join(line[4:] for line in block.splitlines()).strip() + "\n"
            if _SECTION.match(text) and not text.startswith(OF_OTHERS):
                ids = {name: f"{at:040x}" for at, name in enumerate(sorted(set(re.findall(r"ID_OF_\w", text))), 1)}
                for name, node_id in ids.items():
                    text = text.replace(name, node_id)
                found.append((str(page.relative_to(DOCS)), text))
    return found


@pytest.mark.parametrize(("page", "text"), blocks())
def test_what_a_page_says_to_write_is_read(page: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / "validator-config.toml"
    file.write_text(text)
    assert tomllib.loads(text), page
    assert load(file, environment={}).warnings == ()


def test_the_pages_that_have_options_are_among_them() -> None:
    assert {"operators/sentries.md", "operators/deploy.md", "operators/back-up.md"} <= {page for page, _ in blocks()}
