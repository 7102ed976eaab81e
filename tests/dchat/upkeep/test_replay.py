"""Executing a home's blocks again: what is as the chain has it, what is not, and what cannot be executed."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chain.currency.ledger.stake_records import Now
from chain.currency.rewards import mint
from chain.kernel.branch import Branch
from chain.kernel.execution import Executor
from consensus.abci.interface import HaltReason, HaltRequested
from consensus.state.results import ExecTxResult
from consensus.stores.block_store import BlockStore
from dchat.app.app import DchatApplication
from dchat.cli.local import replay_command
from dchat.cli.main import dchat
from dchat.upkeep.replay import Progress
from storage.leveldb import LevelStore
from tests.support.node.homes import Stopped, shared_stopped, start


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    return shared_stopped(tmp_path_factory)


def run(home: Path, *words: object, code: int = 0, said: str = "") -> Result:
    line = ["validator", "--replay-from-genesis", *map(str, words), "--home", str(home)]
    ended = CliRunner().invoke(dchat, line, prog_name="dchat")
    assert ended.exit_code == code, (ended.output, ended.exception)
    assert said in ended.output, ended.output
    return ended


def told(ended: Result) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def gas_added(result: ExecTxResult) -> ExecTxResult:
    return result._replace(gas_used=result.gas_used + 1)


def test_a_replay_leaves_the_room_that_a_running_node_needs(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes a second state beside the node's, which stops at the floor."""
    home = stopped.copy(tmp_path / "home")
    before = files_of(home)
    monkeypatch.setattr(replay_command, "LOOKED_EVERY", 1)
    monkeypatch.setattr(replay_command, "free_bytes", lambda path: (512 << 20) - 1)
    run(home, code=1, said="less than twice [database] min_free. Blocks to 1 are as the chain has them")
    assert {path: path.read_bytes() for path in before} == before
    monkeypatch.setattr(replay_command, "free_bytes", lambda path: 512 << 20)
    answer = told(run(home))
    assert (answer["ok"], answer["resumed_after"]) == (True, 1)


def files_of(home: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted((home / "data").rglob("*")) if path.is_file()}


def test_the_chains_own_blocks_give_what_the_chain_has(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    before = files_of(home)
    answer = told(run(home))
    assert (answer["ok"], answer["first_height"], answer["resumed_after"], answer["transactions"]) == (True, 1, 0, 2)
    assert answer["replayed_to"] == answer["last_height"] > 3
    assert files_of(home) == before


def test_what_was_made_can_be_the_homes_state(stopped: Stopped, tmp_path: Path) -> None:
    """Also where the state there was damaged, as long as its end can be read."""
    home = stopped.copy(tmp_path / "home")
    store = LevelStore(str(home / "data" / "app"))
    key, value = next(iter(store.scan(b"v\x01", b"v\x02")))
    store.write([(key, value + b"x")], sync=True)
    store.close()
    answer = told(run(home, "--replace-state"))
    assert answer["ok"]
    assert {path.name for path in Path(answer["replaced"]).iterdir()} == {"app", "state"}
    shutil.rmtree(answer["replaced"])
    verified = CliRunner().invoke(dchat, ["database", "verify", "--home", str(home)], prog_name="dchat")
    assert verified.exit_code == 0, verified.output
    ended = asyncio.run(start(home, stopped.recipient))
    assert (ended.code, ended.balance) == (0, stopped.balances[1]), ended


def test_the_first_height_that_differs_is_named_with_the_store_and_the_key(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, honest = stopped.copy(tmp_path / "home"), mint.begin_block
    before = files_of(home)

    def generous(branch: Branch, now: Now) -> int:
        return honest(branch, now) + (now.height == 4)

    monkeypatch.setattr(mint, "begin_block", generous)
    ended = run(home, "--replace-state", code=1, said="block 4: the app hash is ")
    assert told(ended)["difference"]["height"] == 4
    assert told(ended)["replayed_to"] == 3
    assert "store currency differs, first in the keys " in ended.output
    assert {path: path.read_bytes() for path in before} == before


def test_the_transaction_whose_result_differs_is_named(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = stopped.copy(tmp_path / "home")
    honest = Executor.run
    monkeypatch.setattr(Executor, "run", lambda self, tx, index: gas_added(honest(self, tx, index)))
    ended = run(home, code=1, said="the hash of the results is ")
    assert "transaction 0 of it, " in ended.output
    assert "had code 0, gas " in ended.output


def test_what_was_interrupted_goes_on_from_there(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, honest = stopped.copy(tmp_path / "home"), replay_command._Shown.told

    def interrupt(shown: replay_command._Shown, progress: Progress) -> None:
        honest(shown, progress)
        if progress.height == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(replay_command._Shown, "told", interrupt)
        run(home, code=1, said="interrupted after block 3; the same command goes on from there")
    answer = told(run(home))
    assert (answer["ok"], answer["resumed_after"]) == (True, 3)
    assert not (home / "data" / "replay").exists()


def test_blocks_that_another_build_must_execute_are_left_to_it(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = stopped.copy(tmp_path / "home")

    def halt(app: DchatApplication, height: int) -> HaltRequested | None:
        reason = HaltReason.UPGRADE_NEEDED
        return HaltRequested('UPGRADE "v2" NEEDED at height: 4', height=4, reason=reason) if height == 4 else None

    with monkeypatch.context() as patch:
        patch.setattr(DchatApplication, "halt_before", halt)
        ended = run(home, "--replace-state", code=6, said='UPGRADE "v2" NEEDED at height: 4. Blocks to 3 are as the')
        assert told(ended)["replayed_to"] == 3
        assert told(ended)["replaced"] is None
    assert told(run(home))["resumed_after"] == 3


def test_pruned_blocks_and_another_genesis_are_said(stopped: Stopped, tmp_path: Path) -> None:
    home = stopped.copy(tmp_path / "home")
    other = tmp_path / "other.json"
    text = (home / "config" / "genesis.json").read_text()
    other.write_text(text.replace('"inflation": "0.', '"inflation": "0.0', 1))
    assert other.read_text() != text
    run(home, "--genesis-file", other, code=1, said="block 1: the header's app_hash is ")
    other.write_text(text.replace('"chain_id": "', '"chain_id": "x', 1))
    run(home, "--genesis-file", other, code=2, said="the options say ")
    store = LevelStore(str(home / "data" / "blocks"))
    BlockStore(store).raise_base(3, is_at_rest=True)
    store.close()
    run(home, code=1, said="the earliest block here is 3: the others were pruned")
