"""A state whose validators have other consensus keys than they had is exported, and another chain begins with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain.currency.ledger.stake_records import TOLD
from chain.currency.staking.rotation import current, rotations_of
from dchat.export.document import Document
from storage.memory import MemoryStore
from tests.support.economy.world import UNIT, World, consensus_key
from tests.support.export.cut import begun, exported_from

BALANCES = {"ann": 1_000 * UNIT, "v1": 50 * UNIT, "v2": 50 * UNIT}


def keys_of(document: Document) -> set[bytes]:
    return {validator.pub_key.bytes for validator in document.doc.validators}


@pytest.mark.parametrize("later", [0, 1, 2, 5])
def test_by_the_keys_that_sign_from_then_on(later: int, tmp_path: Path) -> None:
    """Cut in the block of the change, in the one that the old key signs, and after them: the new key begins."""
    world = World({"v1": 100 * UNIT, "v2": 100 * UNIT}, BALANCES)
    world.blocks(3)
    world.rotate("v1", "v1 later")
    world.blocks(later)
    document = exported_from(world, tmp_path / "genesis.json", initial_height=world.height + 2)
    assert keys_of(document) == {consensus_key(label).bytes for label in ("v1 later", "v2")}
    app, me = begun(document, MemoryStore()), world.address("v1")
    assert [one.address for one in rotations_of(app.base, me)] == [consensus_key("v1").address]
    assert current(app.base, consensus_key("v1").address) == consensus_key("v1 later").address  # it can be punished


def test_of_which_the_engine_was_not_told_yet(tmp_path: Path) -> None:
    """The only validator is in jail, and makes blocks by its old key: nobody could take its place."""
    world = World({"only": 100 * UNIT}, {"only": 50 * UNIT, "new": 500 * UNIT})
    world.set_params(slashing={"tombstone": "0"})
    world.block(misbehavior=[world.double_sign("only")])
    assert world.block(world.tx("only", world.rotation("only", "later"))).tx_results[0].code == 0
    assert world.state.get(TOLD + world.address("only")) is not None
    document = exported_from(world, tmp_path / "genesis.json", initial_height=world.height + 2)
    assert keys_of(document) == {consensus_key("only").bytes}
    app = begun(document, MemoryStore())
    assert app.base.get(TOLD + world.address("only")) is not None
