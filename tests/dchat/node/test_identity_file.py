"""The identity file is what docs/wire-format.md says it is."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from click.testing import CliRunner

from crypto.keys import Ed25519PrivKey
from dchat.cli.main import dchat
from dchat.home.identity import load

PAGE = (Path(__file__).parents[3] / "docs" / "wire-format.md").read_text()


def test_its_fields_are_those_of_the_page(tmp_path: Path) -> None:
    table = PAGE.partition("### The identity file")[2].partition("## Signing")[0]
    fields = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    told = CliRunner().invoke(dchat, ["keygen", "--output", str(tmp_path / "a.json")])
    assert told.exit_code == 0, told.output
    file = json.loads((tmp_path / "a.json").read_text())
    assert fields == {*file, "account"}
    assert f"`{file['type']}`" in table
    private, public = (base64.b64decode(file[name]["value"]) for name in ("private_key", "public_key"))
    assert private[32:] == public == Ed25519PrivKey.from_seed(private[:32]).pub_key.bytes
    assert load(tmp_path / "a.json").address_text == file["address"]
