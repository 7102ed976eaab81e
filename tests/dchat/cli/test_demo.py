"""The demo: which kinds of messages its story shows, and the story told from beginning to end on a running node."""

from __future__ import annotations

import json
from pathlib import Path

from structlog.testing import capture_logs

from chain.tx.messages import KINDS, Payment
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from dchat.cli.local.demo import run
from dchat.cli.story.telling import ACTS, not_shown
from dchat.client.wallet import Session
from tests.support.node.running import running_node

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
            told = await run(running.network, None, 1, as_json=True)
    lines = {act["act"]: [line["text"] for line in act["lines"]] for act in told["acts"]}
    assert lines["An upgrade that is not made"] == [
        "Left out: the house may not plan upgrades here (--upgrade-authority alice)."
    ]  # fmt: skip
    assert lines["A validator of one block"] == ["Left out: nobody here has 1000006 DCHAT to spare any more."]
    assert {"software_upgrade", "create_validator", "redelegate"} < set(told["not_shown"])


async def test_the_story_is_told_and_proved(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path, upgrade_authority="alice") as running:
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
