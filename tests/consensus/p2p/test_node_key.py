"""The node key's file: CometBFT's, never overwritten, and clear about what is wrong with it."""

from __future__ import annotations

import base64
import errno
import json
import os
from pathlib import Path

import pytest

from consensus.p2p.conn.node_key import NodeKey, is_node_id
from tests.support.p2p.peers import node_key


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "no links, as on exFAT"])
def test_it_is_made_once_and_loaded_after_that(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(source))

    if not has_links:
        monkeypatch.setattr(os, "link", link)
    path = tmp_path / "node_key.json"
    made = NodeKey.generate()
    made.save(path)
    assert is_node_id(made.id)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        node_key("other").save(path)
    assert NodeKey.load(path).id == made.id
    assert [p.name for p in tmp_path.iterdir()] == ["node_key.json"]


def test_the_file_is_cometbfts(tmp_path: Path) -> None:
    path = tmp_path / "node_key.json"
    key = node_key("a")
    key.save(path)
    document = json.loads(path.read_text())
    assert document["priv_key"]["type"] == "tendermint/PrivKeyEd25519"
    assert base64.b64decode(document["priv_key"]["value"])[32:] == key.public_key


def document(kind: str, value: bytes) -> str:
    return json.dumps({"priv_key": {"type": f"tendermint/PrivKey{kind}", "value": base64.b64encode(value).decode()}})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": "AAAA"}}',
        '{"priv_key": {"type": "tendermint/PrivKeyOther", "value": "AAAA"}}',
        json.dumps({"priv_key": {"type": "tendermint/PrivKeyEd25519", "value": base64.b64encode(bytes(64)).decode()}}),
        json.dumps(
            {"priv_key": {"type": "tendermint/PrivKeySecp256k1", "value": base64.b64encode(b"1" * 32).decode()}}
        ),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "node_key.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"node_key\.json"):
        NodeKey.load(path)


def test_the_secret_is_not_shown() -> None:
    assert repr(node_key("a")) == f"NodeKey({node_key('a').id})"
