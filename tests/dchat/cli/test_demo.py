"""The demo: which kinds of messages its story shows, and the story told from beginning to end on a running node."""

from __future__ import annotations

import json
from pathlib import Path

from structlog.testing import capture_logs

from chain.tx.messages import KINDS
from dchat.cli.local.demo import run
from dchat.cli.story.telling import ACTS, not_shown
from tests.support.node.running import running_node

# Kinds that no act shows, and why.
NOT_TOLD = {
    "create_validator": "whose node would it be? dchat validator, README",
    "edit_validator": "its operator's own words",
    "unjail": "a validator has to be down for long: scripts/campaign downtime",
    "withdraw_commission": "its operator's own money",
    "software_upgrade": "the network's authority's: scripts/upgrade-demo",
    "cancel_upgrade": "the network's authority's: scripts/upgrade-demo",
    "announce_readiness": "a validator's node says it by itself: scripts/upgrade-demo",
}


def test_every_kind_is_shown_or_has_a_reason() -> None:
    assert not_shown() == sorted(NOT_TOLD), "a new kind: an act of dchat/cli/story shows it, or NOT_TOLD says why not"
    assert not set().union(*(act.shown for act in ACTS)) - set(KINDS)
    assert not {kind for kind, why in NOT_TOLD.items() if not why}


async def test_the_story_is_told_and_proved(tmp_path: Path) -> None:
    with capture_logs():
        async with running_node(tmp_path) as running:
            told = await run(running.network, None, 1, as_json=True)
    assert json.loads(json.dumps(told)) == told
    titles = [act["act"] for act in told["acts"]]
    assert titles[:-2] == [act.title for act in ACTS if act.validators == 1]
    assert all(line["text"] for act in told["acts"] for line in act["lines"])
    shown = set().union(*(act.shown for act in ACTS if act.validators == 1))
    assert set(told["kinds"]) == shown
    assert told["proofs"] > told["transactions"] > 100
    assert told["bridge"]["books_agree"]
    assert told["bridge"]["in_step"]
    assert 500 < told["proof_pack_bytes"] < 4_096
