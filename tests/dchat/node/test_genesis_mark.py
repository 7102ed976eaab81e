"""The databases know with which genesis they began."""

from __future__ import annotations

from pathlib import Path

import pytest

from consensus.documents.genesis import GenesisDoc
from crypto.keys import Ed25519PrivKey
from dchat.home.errors import HomeError
from dchat.home.home import Home
from dchat.node.runtime import GENESIS_KEY, check_belongs
from genesis.build import build_genesis, stake_of
from genesis.digest import genesis_digest, rendered_digest
from storage.memory import MemoryStore


def document(chain_id: str) -> GenesisDoc:
    key = Ed25519PrivKey.from_seed(bytes(32)).pub_key
    stake = stake_of(key.address, key.bytes, 1_000, moniker="one")
    return build_genesis(chain_id=chain_id, time_ns=1, stakes=[stake], balances={})


@pytest.mark.parametrize("noted_by", ["this build", "an older build"])
def test_a_genesis_is_known_again_and_anothers_refused(noted_by: str, tmp_path: Path) -> None:
    db, doc, home = MemoryStore(), document("one"), Home.of(tmp_path)
    if noted_by == "an older build":
        db.write([(GENESIS_KEY, rendered_digest(doc))])
    for _ in range(2):
        check_belongs(db, doc, home)
        assert db.get(GENESIS_KEY) == genesis_digest(doc)
    with pytest.raises(HomeError, match="began with"):
        check_belongs(db, document("two"), home)
    assert db.get(GENESIS_KEY) == genesis_digest(doc)
