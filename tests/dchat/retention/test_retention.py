"""What a node keeps by its options, what it tells of that, and what is answered of what it keeps no more."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner

from chain.tx.messages.payments import Payment
from consensus.pruning import needs
from dchat.cli.main import dchat
from dchat.client.client import ClientError
from dchat.client.wallet import Session
from dchat.config import ConfigError, load
from dchat.retention.disk_use import DiskUse, Forecast, folder_bytes
from dchat.retention.retention import Policy
from tests.support.node.running import Running, running_node, until

SHORT = {
    "staking": {"unbonding_s": "1"},
    "slashing": {"evidence_age_s_max": "1", "evidence_age_blocks_max": "3"},
}
KEPT = 5


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "BLOCKS_KEPT_MIN", KEPT)


def policy(tmp_path: Path, options: str) -> Policy:
    file = tmp_path / "options.toml"
    file.write_text(f"[database]\n{options}\n")
    return Policy.of(load(file, environment={}).config)


@pytest.mark.parametrize(
    ("options", "want"),
    [
        ("", Policy("default", 1_000_000, 100, 10)),
        ("versions_kept = 0", Policy("default", 1_000_000, 0, 10)),
        ('pruning = "nothing"', Policy("nothing", 0, 0, 10)),
        ('pruning = "everything"', Policy("everything", 1, 10, 10)),
        ('pruning = "custom"\nblocks_kept = 7\nversions_kept = 3\npruning_interval = 2', Policy("custom", 7, 3, 2)),
    ],
)
def test_the_option_says_how_much_is_kept(tmp_path: Path, options: str, want: Policy) -> None:
    assert policy(tmp_path, options) == want


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('pruning = "some"', "pruning"),
        ('pruning = "nothing"\nversions_kept = 100', 'write pruning = "custom"'),
        ('pruning = "everything"\nblocks_kept = 100', 'write pruning = "custom"'),
        ("pruning_interval = 0", "pruning_interval"),
    ],
)
def test_two_meanings_are_refused(tmp_path: Path, options: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        policy(tmp_path, options)


def test_the_disk_is_forecast_from_what_it_grew(tmp_path: Path) -> None:
    file = tmp_path / "blocks" / "1.ldb"
    file.parent.mkdir()
    disk = DiskUse({"blocks": file.parent, "log": tmp_path / "none"})
    file.write_bytes(bytes(1_000))
    disk.measure(at_s=0, height=10)
    assert (disk.sizes, disk.forecast()) == ({"blocks": 1_000, "log": 0}, None)
    file.write_bytes(bytes(51_000))
    disk.measure(at_s=250, height=260)
    assert disk.forecast() is None  # too soon to say
    disk.measure(at_s=500, height=510)
    disk.free_bytes = 200_000
    assert disk.forecast() == Forecast(100, 2_000)
    file.write_bytes(bytes(900))
    disk.measure(at_s=1_000, height=1_010)
    assert disk.forecast() == Forecast(-1, None)


async def refused(call: Any) -> str:
    with pytest.raises(ClientError) as error:
        await call
    return str(error.value)


async def test_everything_keeps_the_least_and_what_is_gone_is_told_at_every_door(tmp_path: Path) -> None:
    """Blocks, commits, results, events, validators, transactions, states: each answer names the earliest."""
    options = '\n[database]\npruning = "everything"\npruning_interval = 2\n'
    async with running_node(tmp_path, options=options, params=SHORT) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        sent = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, 1)])
        node = running.node
        blocks, states = node.executor.blocks, node.executor.states
        await until(lambda: blocks.lowest_stored() > sent.height + 2, timeout_s=60)
        await until(lambda: node.app.stores.earliest_version > 2)
        assert blocks.base <= blocks.height - KEPT + 1
        assert states.find_tx(sent.hash) is None
        status = await client.status()
        assert status.storage.pruning == "everything"
        assert status.storage.earliest_block_height == status.earliest_block_height > 2
        assert status.storage.earliest_state_height > 2
        assert status.storage.kept_for
        assert {one.name for one in status.storage.databases} == {"blocks", "state", "app", "log"}
        assert status.storage.free_bytes > 0
        for call in (
            client.block(1), client.commit(1), client.block_results(1), client.validators(1),
            client.tx(sent.hash),
        ):  # fmt: skip
            assert "this node has" in await refused(call)
        assert "height 1 is not kept any more: this node has " in await refused(client.account(alice.address, height=1))
        await check_over_http(running)
        assert node.retention.metrics.blocks > 0
        assert node.retention.metrics.versions > 0
        assert node.retention.metrics.failures == 0


async def check_over_http(running: Running) -> None:
    async with aiohttp.ClientSession() as http:

        async def get(path: str) -> tuple[int, str]:
            async with http.get(f"http://127.0.0.1:{running.ports[1]}{path}") as answer:
                return answer.status, await answer.text()

        for path in ("/v1/blocks/1", "/v1/blocks/1/results", "/v1/blocks/1/commit", "/v1/blocks/1/validators",
                     "/chain/block-results?height=1", "/chain/events?from_height=1"):  # fmt: skip
            status, text = await get(path)
            assert (status, "this node has" in text) == (404, True), (path, text)
        storage = json.loads((await get("/status"))[1])["storage"]
        assert storage["earliest_block_height"] > 1
        page = (await get("/metrics"))[1]
        for name in ("dchat_storage_earliest_block_height", "dchat_pruning_blocks_total", "dchat_disk_free_bytes",
                     'dchat_database_bytes{database="blocks"}'):  # fmt: skip
            assert f"\n{name}" in page, name


async def test_a_stopped_node_is_pruned_by_age_as_far_as_nothing_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node(tmp_path, options='\n[database]\npruning = "nothing"\n', params=SHORT) as running:
        await until(lambda: running.node.views.answers.height >= 30, timeout_s=60)
        root = running.network.home_of(running.network.nodes[0])
        busy = await asyncio.to_thread(prune, root, "--older-than", "1s")
        assert (busy.exit_code, "lock" in busy.output) == (1, True), busy.output
    assert running.node.executor.blocks.base == 1
    height = running.node.executor.blocks.height
    first = json.loads(prune(root, "--older-than", "0s", "--dry-run").output)
    assert first["dry_run"]
    assert first["blocks"]["first"] == 1
    assert first["blocks"]["gone"] > 0
    # whichever reaches back furthest at the pace of this machine
    assert first["kept_for"] in ("unbonding", "evidence", "restarts, and peers that are behind")
    assert json.loads(prune(root, "--older-than", "30d").output)["blocks"]["gone"] == 0
    with monkeypatch.context() as ahead:  # of the chain, by which ages count then
        ahead.setattr("dchat.cli.database.prune_command.time.time_ns", lambda: 4_000_000_000 * 10**9)
        assert json.loads(prune(root, "--older-than", "30d").output)["blocks"]["gone"] == 0
    done = json.loads(prune(root, "--older-than", "0s").output)
    assert {key: done[key] for key in ("blocks", "states")} == {key: first[key] for key in ("blocks", "states")}
    again = json.loads(prune(root, "--older-than", "0s", "--db-path", str(root / "data")).output)
    assert again["blocks"] == {
        "first": first["blocks"]["stay_from"],
        "gone": 0,
        "stay_from": first["blocks"]["stay_from"],
    }
    assert folder_bytes(root / "data" / "blocks") > 0
    async with running_node(tmp_path) as running:
        assert running.node.executor.blocks.base >= first["blocks"]["stay_from"]
        await until(lambda: running.node.views.answers.height > height, timeout_s=30)


def prune(root: Path, *arguments: str) -> Any:
    return CliRunner().invoke(dchat, ["database", "prune", "--home", str(root), *arguments], prog_name="dchat")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--older-than", "soon"), "is no length of time; allowed: 90s, 10m"),
        (("--older-than", "30"), "'30' of what? Say a unit: 30d"),
        (("--dry-run",), "--older-than"),
        (("--older-than", "1d"), "no databases"),
    ],
)
def test_what_cannot_be_pruned_says_why(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    answer = prune(tmp_path, *arguments)
    assert (answer.exit_code, says in answer.output) == (2, True), answer.output
