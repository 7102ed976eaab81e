"""A slice of the hostile suite for CI: four processes, eleven attacks of a second each, fixed seeds.

Must be shown 1 and 2 of the issue; the whole is `scripts/campaign hostile`. A second is too short to compare paces on a
busy machine: here the chain goes on at all while it is attacked, and every other law holds as in the long runs (nobody
ends, no exception of ours, memory, honest peers, one chain, SIGTERM under attack).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from dchat.devnet.leases import free_ports
from tests.campaigns.hostile.attacks.contents import KINDS, variants
from tests.campaigns.hostile.cases import BY_NAME, CASES, chosen
from tests.campaigns.hostile.run import Rules, arena, table
from tests.campaigns.hostile.wire import ALL_CHANNELS
from tests.campaigns.hostile.world import ATTACKS

SLICE = (
    "1-listen-addr",
    "7-nonsense-10",
    "8-unfinished",
    "9-unjudgeable",
    "10-pings",
    "11-bad-signatures",
    "12-claimed-height",
    "13-idle-http",
    "contents-integers",
    "contents-replayed",
    "half-open",
)
PACE_MIN = 0.1


def test_every_case_has_its_attack() -> None:
    """And its words find it: a name, a group, a number."""
    import tests.campaigns.hostile.attacks

    assert tests.campaigns.hostile.attacks
    assert {case.attack for case in CASES if case.attack} <= set(ATTACKS)
    assert chosen(["contents"]) == [BY_NAME[f"contents-{kind}"] for kind in KINDS]
    assert [case.name for case in chosen(["7a"])] == ["7a-fresh-homes"]


@pytest.mark.parametrize("channel", ALL_CHANNELS)
def test_each_message_of_a_channel_is_made(channel: int) -> None:
    """At the extremes of each integer, too: a message that is added to a schema is attacked by itself."""
    for integer in (0, -(2**63), 2**64 - 1):
        made = variants(channel, integer)
        assert made
        assert integer == 0 or len(set(made)) == len(made)


@pytest.mark.network
async def test_four_nodes_stand_what_is_tried_on_them(tmp_path: Path) -> None:
    """`audit 1`, `audit 7`, `audit 8`, `audit 9`, `audit 10`, `audit 11`, `audit 12`, `audit 13`: against processes."""
    rules = Rules(seconds=0.7, seed=13, pace_min=PACE_MIN, record_s=1.0, block_ms=0)
    async with arena(rules, tmp_path, needs="network", ports=free_ports(4)) as made:
        results = await made.run_briefly([BY_NAME[name] for name in SLICE])
    assert [result.case.name for result in results if result.failures] == [], "\n".join(table(results))
    assert len(results) == len(SLICE)
