"""The demo: which kinds of messages its story shows, and the story told from beginning to end on a running node."""

from __future__ import annotations

import json
from pathlib import Path

from structlog.testing import capture_logs

from chain.tx.messages import KINDS
from dchat.cli.local.demo import run
from dchat.cli.story.telling import ACTS, NOT_TOLD, not_shown
from tests.support.node.running import running_node


def test_every_kind_is_shown_or_has_a_reason() -> None:
    assert not_shown() == sorted(NOT_TOLD), "a new kind: an act of dchat/cli/story shows it"
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
