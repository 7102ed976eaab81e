"""The demo: which kinds of messages its story shows, and the story told from beginning to end on a running node."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from chain.tx.envelope.build import Wallet
from chain.tx.messages import KINDS, Payment
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from dchat.cli.local import demo
from dchat.cli.local.demo import run
from dchat.cli.story.telling import ACTS, not_shown
from dchat.cli.terminal.base import Exit
from dchat.client.client import Client
from dchat.client.wallet import Outcome, Session, TxRefused
from dchat.devnet.network import make_network
from dchat.home import identity
from dchat.home.home import Home
from tests.support.node.running import Running, running_node

DIALOGUE = Path(__file__).parents[3] / "scripts" / "dialogue.jsonl"
ELSEWHERE = bytes([9]) * 20
TYPING_S = 0.3  # between two payments: blocks would leave the node's kept states behind

# Kinds that no act shows, and why.
NOT_TOLD: dict[str, str] = {}


def test_every_kind_is_shown_or_has_a_reason() -> None:
    assert not_shown() == sorted(NOT_TOLD), "a new kind: an act of dchat/cli/story shows it, or NOT_TOLD says why not"
    assert not set().union(*(act.shown for act in ACTS)) - set(KINDS)
    assert not {kind for kind, why in NOT_TOLD.items() if not why}


async def test_what_a_network_cannot_show_is_said(tmp_path: Path) -> None:
    """No account may plan upgrades here, and nobody can spare what a validator stakes."""
    with capture_logs():
        async with running_node(tmp_path) as running, running.client() as client:
            for name in ("bob", "carol", "dave"):
                who = running.account(name)
                await Session(client, who.wallet).send([Payment(who.address, bytes(20), 900_000 * DCHAT)])
            told = await run(running.network, None, 1, as_json=True, doors=[running.grpc])
    (of_node,) = told["nodes"]
    assert of_node.startswith(f"{running.grpc}: "), "the node that was named, and no other"
    lines = {act["act"]: [line["text"] for line in act["lines"]] for act in told["acts"]}
    assert lines["An upgrade that is not made"] == [
        "Left out: the house may not plan upgrades here (--upgrade-authority alice)."
    ]  # fmt: skip
    assert lines["A validator of one block"] == ["Left out: nobody here has 1000016 DCHAT to spare any more."]
    assert {"software_upgrade", "create_validator", "redelegate"} < set(told["not_shown"])


@contextlib.asynccontextmanager
async def somebody_types_beside_it(running: Running, client: Client) -> AsyncIterator[None]:
    """With the keys of all accounts that it uses; and is not in its way."""
    keys = [running.account(name).wallet for name in ("alice", "bob", "carol", "dave")]
    keys.append(identity.load(Home.of(running.network.home_of(running.network.node(1))).identity).wallet)
    paid = 0

    async def types(key: Wallet) -> None:
        nonlocal paid
        session = Session(client, key)
        while True:
            await session.send([Payment(key.address, ELSEWHERE, 1)])
            paid += 1
            await asyncio.sleep(TYPING_S)

    typing = [asyncio.create_task(types(key)) for key in keys]
    try:
        yield
    finally:
        ended = [task.exception() for task in typing if task.done()]
        for task in typing:
            task.cancel()
        await asyncio.gather(*typing, return_exceptions=True)
    assert not ended
    assert paid >= len(keys)


async def test_a_dialogue_is_replayed_while_its_purse_pays_others(tmp_path: Path) -> None:
    with capture_logs():
        async with (
            running_node(tmp_path) as running, running.client() as client, somebody_types_beside_it(running, client),
        ):  # fmt: skip
            await run(running.network, DIALOGUE, 1, as_json=False)


def test_a_story_that_ends_early_gives_no_advice_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = Outcome(bytes(32), bytes(32), 10, "tx", "the sequence is the account's next: 5, expected 6", sequence=5)

    def ends(*_: object, **__: object) -> None:
        raise TxRefused(refused)

    monkeypatch.setattr(demo, "running", ends)
    said = CliRunner().invoke(demo.demo, ["--json"])
    assert said.exit_code == int(Exit.FAILED)
    assert "the story ends here: " in said.output
    assert "--sequence" not in said.output
    assert "is it this network" not in said.output


@pytest.mark.parametrize(
    ("node", "code", "said"),
    [
        ("nowhere", Exit.USAGE, "--node is 'nowhere'; expected HOST:PORT"),
        ("127.0.0.1:1", Exit.UNREACHABLE, "--node HOST:PORT says which node is asked"),
    ],
)
def test_on_a_network_of_others_nothing_is_started(tmp_path: Path, node: str, code: Exit, said: str) -> None:
    make_network(tmp_path / "net", validators=1)
    before = sorted(tmp_path.rglob("*"))
    done = CliRunner().invoke(demo.demo, ["--home", str(tmp_path / "net"), "--node", node, "--json"])
    assert done.exit_code == int(code), done.output
    assert said in done.output
    assert sorted(tmp_path.rglob("*")) == before


def test_a_node_that_is_named_needs_the_networks_folder(tmp_path: Path) -> None:
    done = CliRunner().invoke(demo.demo, ["--home", str(tmp_path / "net"), "--node", "127.0.0.1:1"])
    assert done.exit_code == int(Exit.USAGE)
    assert "there is no test network in" in done.output
    assert not list(tmp_path.iterdir())


async def test_the_story_is_told_and_proved(tmp_path: Path) -> None:
    """While somebody signs with the keys of the accounts that it uses."""
    with capture_logs():
        async with (
            running_node(tmp_path, upgrade_authority="alice") as running, running.client() as client,
            somebody_types_beside_it(running, client),
        ):  # fmt: skip
            told = await run(running.network, None, 1, as_json=True)
    assert json.loads(json.dumps(told)) == told
    titles = [act["act"] for act in told["acts"]]
    assert titles[:-2] == [act.title for act in ACTS if act.validators == 1]
    assert all(line["text"] for act in told["acts"] for line in act["lines"])
    shown = set().union(*(act.shown for act in ACTS if act.validators == 1))
    assert set(told["kinds"]) == shown
    assert told["not_shown"] == ["redelegate"], "with one validator"
    assert not [line["text"] for act in told["acts"] for line in act["lines"] if line["text"].startswith("Left out")]
    assert told["proofs"] > told["transactions"] > 100
    assert told["bridge"]["books_agree"]
    assert told["bridge"]["in_step"]
    assert 500 < told["proof_pack_bytes"] < 4_096
