"""Grafana's dashboards, made of these tables: `python deploy/monitoring/make_dashboards.py` writes dashboards/*.json.

A dashboard has rows of panels; a panel has one query for each line in it. tests/dchat/doors/test_dashboards.py holds
the files against this, each metric against docs/metrics.md, each query against a Prometheus that scrapes a network.
Source: the schema of Grafana's dashboards, version 39.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
WIDTH: Final = 24  # of Grafana's grid
HEIGHT: Final = 8
STAT_HEIGHT: Final = 4
RATE: Final = "[$__rate_interval]"
OF: Final = 'job="dchat",instance=~"$instance"'


@dataclass(frozen=True)
class Panel:
    """lines: legend -> query, in which `{}` picks the nodes. means: what to read off it. kind: timeseries or stat.

    needs: of what a quiet network of four has none; empty: each of its lines has data there.
    """

    title: str
    lines: dict[str, str]
    means: str
    unit: str = "short"
    kind: str = "timeseries"
    needs: str = ""


@dataclass(frozen=True)
class Dashboard:
    """slug: of its file and its address."""

    slug: str
    title: str
    rows: dict[str, tuple[Panel, ...]]


def rate(counter: str) -> str:
    """A second, over what Grafana finds fit for the scale."""
    return f"rate({counter}{{}}{RATE})"


def quantile(share: str, histogram: str) -> str:
    """Of what was observed on all nodes together."""
    return f"histogram_quantile({share}, sum by (le) ({rate(f'{histogram}_bucket')}))"


def sums(label: str, counter: str) -> str:
    return f"sum by ({label}) ({rate(counter)})"


def stat(title: str, query: str, means: str, unit: str = "short", *, needs: str = "") -> Panel:
    return Panel(title, {"{{instance}}": query}, means, unit, "stat", needs)


VALIDATOR: Final = Dashboard(
    "validator",
    "dchat: validator performance",
    {
        "Now": (
            stat("Height", "dchat_chain_height{}", "The last block of each node: all alike, give or take one."),
            stat("Voting power", "dchat_validator_voting_power{}", "0: it follows without voting."),
            stat("Stake", "dchat_validator_stake_amount{}", "In DCHAT, what others delegated included."),
            stat("Jailed", "dchat_validator_jailed{}", "1: it was away too long, or signed twice."),
        ),
        "Votes": (
            Panel(
                "Missed blocks",
                {"{{instance}}": "increase(dchat_validator_missed_blocks_total{}[1h])"},
                "Commits of the last hour without this validator, as it sees it. Above a few: DchatMissedBlocks.",
            ),
            Panel(
                "Missed blocks, as the others see them",
                {"{{validator}}": "max by (validator) (increase(dchat_chain_validator_missed_blocks_total{}[1h]))"},
                "A validator that is cut off tells nothing itself: its peers do.",
            ),
            Panel(
                "Blocks validated",
                {"{{instance}}": rate("dchat_validator_blocks_validated_total")},
                "Commits a second with this validator's signature.",
                "ops",
            ),
            Panel(
                "Votes for nil",
                {"{{kind}} {{reason}}": f"sum by (kind, reason) ({rate('dchat_consensus_nil_votes_total')})"},
                "Why a block got no vote: late, invalid, withheld.",
                "ops",
                needs="a vote for nil",
            ),
        ),
        "Pace": (
            Panel(
                "Block time",
                {
                    "half": quantile("0.5", "dchat_validator_block_time_seconds"),
                    "19 of 20": quantile("0.95", "dchat_validator_block_time_seconds"),
                },
                "From block to block: block_time when nothing waits, timeout_commit under load.",
                "s",
            ),
            Panel(
                "Age of the last block",
                {"{{instance}}": "dchat_chain_height_age_seconds{}"},
                "A saw; a slope is a halt.",
                "s",
            ),
            Panel(
                "Transactions executed",
                {"{{instance}}": rate("dchat_consensus_txs_total")},
                "A second, of both chains.",
                "ops",
            ),
        ),
    },
)

CONSENSUS: Final = Dashboard(
    "consensus",
    "dchat: consensus",
    {
        "Now": (
            stat(
                "Round", "dchat_consensus_round{}", "0 is usual; a high one is a height that does not come to an end."
            ),
            stat("Validators", "dchat_consensus_validators{}", "In the set of the running height."),
            stat("Absent", "dchat_consensus_missing_validators{}", "Without a signature in the last commit."),
            stat(
                "Signed twice",
                "dchat_consensus_equivocations_total{}",
                "Votes of one validator that contradict each other.",
            ),
        ),
        "Rounds": (
            Panel(
                "Rounds that decided nothing",
                {"{{instance}}": rate("dchat_consensus_rounds_failed_total")},
                "A second. Steadily above 0: a proposer is slow or away, or time-outs are too short.",
                "ops",
            ),
            Panel(
                "Where a height's time goes",
                {"{{stage}}": f"avg by (stage) ({rate('dchat_consensus_stage_seconds_total')})"},
                "Seconds in a second.",
                "percentunit",
            ),
            Panel(
                "The longest stage since the start",
                {"{{stage}}": "max by (stage) (dchat_consensus_stage_longest_seconds{})"},
                "One that is out of line: the disk, or the application.",
                "s",
            ),
        ),
        "Votes and parts": (
            Panel(
                "Votes",
                {
                    "received": f"sum({rate('dchat_consensus_votes_received_total')})",
                    "there already": f"sum({rate('dchat_consensus_votes_duplicate_total')})",
                    "late": f"sum({rate('dchat_consensus_votes_late_total')})",
                    "refused": f"sum({rate('dchat_consensus_votes_refused_total')})",
                },
                "Refused ones are a peer's fault: the log says whose.",
                "ops",
            ),
            Panel(
                "Parts of blocks",
                {
                    "received": f"sum({rate('dchat_gossip_parts_received_total')})",
                    "there already": f"sum({rate('dchat_gossip_parts_duplicate_total')})",
                },
                "What comes twice costs bandwidth.",
                "ops",
            ),
            Panel(
                "Block",
                {"bytes": "max(dchat_consensus_block_bytes{})"},
                "Size of the last block.",
                "bytes",
            ),
            Panel(
                "Consensus inbox was full",
                {"{{instance}}": rate("dchat_gossip_inbox_full_total")},
                "Messages that were not taken: the loop or the processor is overloaded.",
                "ops",
            ),
        ),
    },
)

CHAINS: Final = Dashboard(
    "chains",
    "dchat: chains and bridge",
    {
        "What blocks did": (
            Panel(
                "Events by type",
                {"{{type}}": f"max by (type) ({rate('dchat_chain_block_events_total')})"},
                "Of blocks themselves. slash, jail and queue_item_failed are worth a look, whatever their rate.",
                "ops",
            ),
            Panel(
                "Transactions",
                {
                    "admitted": f"sum({rate('dchat_mempool_admitted_total')})",
                    "committed": f"max({rate('dchat_mempool_committed_total')})",
                    "refused": f"sum({rate('dchat_mempool_refused_total')})",
                    "expired": f"sum({rate('dchat_mempool_expired_total')})",
                },
                "A second.",
                "ops",
            ),
        ),
        "Chat, currency and bundles": (
            Panel(
                "Waiting, by lane",
                {"{{lane}}": "max by (lane) (dchat_mempool_lane_transactions{})"},
                "Lanes share a block: a chat message waits behind no payment, and bundles (the bridge) have their own.",
                needs="transactions that wait",
            ),
            Panel(
                "Waiting, and how many the doors let wait",
                {
                    "{{instance}}": "dchat_mempool_transactions{}",
                    "{{instance}} limit": "dchat_mempool_door_limit{}",
                },
                "At the limit, clients are told to try later.",
            ),
            Panel(
                "Displaced",
                {"{{instance}}": rate("dchat_mempool_displaced_total")},
                "By what pays more: there is more demand than room.",
                "ops",
            ),
            Panel(
                "Signatures verified",
                {
                    "good and bad": f"sum({rate('dchat_mempool_signatures_verified_total')})",
                    "bad": f"sum({rate('dchat_mempool_signatures_bad_total')})",
                },
                "Before anything is executed.",
                "ops",
            ),
        ),
        "In step": (
            Panel(
                "Nodes that have another app hash",
                {
                    "height {{height}}": "count by (height) "
                    "(group by (height, app_hash) (dchat_chain_app_hash_info{})) - 1"
                },
                "Both chains' roots are in it. Above 0: DchatAppHashMismatch.",
                needs="100 blocks",
            ),
            Panel(
                "Upgrade: power that is ready",
                {"ready": "max(dchat_upgrade_ready_power_ratio{})"},
                "Of all voting power.",
                "percentunit",
                needs="a plan",
            ),
            Panel(
                "Upgrade: blocks left",
                {"{{instance}}": "dchat_upgrade_blocks_left{}"},
                "Until the plan's height.",
                needs="a plan",
            ),
        ),
    },
)

NETWORK: Final = Dashboard(
    "network",
    "dchat: network health",
    {
        "Now": (
            stat("Peers", "dchat_network_connected_peers{}", "Of a network of four: three."),
            stat(
                "Cut off", "dchat_network_partition_detected{}", "1: it hears two thirds of the voting power or less."
            ),
            stat("Up", "up{}", "0: Prometheus cannot read it.", "bool_yes_no"),
            stat("Fetches blocks", "dchat_block_sync_syncing{}", "1 while it is behind."),
        ),
        "Peers": (
            Panel(
                "Round trip",
                {"{{instance}} {{peer}}": "dchat_network_peer_round_trip_seconds{}"},
                "To each peer.",
                "s",
                needs="a peer that is a millisecond away",
            ),
            Panel(
                "Bandwidth",
                {"{{instance}} {{direction}}": rate("dchat_network_bandwidth_bytes_total")},
                "Of the validators' network.",
                "Bps",
            ),
            Panel(
                "Bandwidth by channel",
                {"{{channel}} {{direction}}": sums("channel, direction", "dchat_network_channel_bytes_total")},
                "Consensus, transactions, blocks.",
                "Bps",
            ),
            Panel(
                "Comings and goings",
                {"{{event}}": f"sum by (event) ({rate('dchat_network_events_total')})"},
                "Peers that come and go without end: a firewall, or a ban.",
                "ops",
            ),
            Panel(
                "Messages of no use",
                {"{{kind}}": f"sum by (kind) ({rate('dchat_network_useless_messages_total')})"},
                "A peer that sends too many is dropped.",
                "ops",
                needs="a peer that sends some",
            ),
            Panel(
                "Clock against the others",
                {"{{instance}}": "dchat_clock_skew_seconds{}"},
                "Beyond 10 either way: DchatClockSkew.",
                "s",
            ),
        ),
        "Transactions on their way": (
            Panel(
                "Announced and sent",
                {
                    "announced": f"sum({rate('dchat_tx_gossip_announced_total')})",
                    "sent": f"sum({rate('dchat_tx_gossip_sent_total')})",
                    "twice": f"sum({rate('dchat_tx_gossip_duplicates_total')})",
                },
                "A second, of all nodes.",
                "ops",
            ),
            Panel(
                "Catching up",
                {"{{instance}}": "dchat_block_sync_blocks_per_second{}"},
                "Blocks a second that are applied.",
                "ops",
            ),
        ),
    },
)

SYSTEM: Final = Dashboard(
    "system",
    "dchat: system",
    {
        "Processor and memory": (
            Panel(
                "Processor",
                {"{{instance}}": rate("process_cpu_seconds_total")},
                "In cores. Of Python one at most does work.",
                "percentunit",
            ),
            Panel(
                "Memory",
                {"{{instance}}": "dchat_memory_usage_bytes{}", "{{instance}} limit": "dchat_memory_limit_bytes{}"},
                "Of the process, and what it may have.",
                "bytes",
            ),
            Panel(
                "File handles",
                {"{{instance}}": "process_open_fds{} / process_max_fds{}"},
                "Of what the process may have.",
                "percentunit",
            ),
        ),
        "The event loop": (
            Panel(
                "Lag",
                {"19 of 20": quantile("0.95", "dchat_loop_lag_seconds")},
                "How late what is due comes. Above 50 ms votes are late, too.",
                "s",
            ),
            Panel(
                "The longest lag of late",
                {"{{instance}}": "dchat_loop_lag_recent_max_seconds{}"},
                "What held the loop.",
                "s",
            ),
            Panel(
                "Garbage collection",
                {"{{instance}}": rate("dchat_gc_seconds_total")},
                "Seconds in a second.",
                "percentunit",
            ),
        ),
        "Disk": (
            Panel(
                "Free",
                {"{{instance}}": "dchat_disk_free_bytes{}", "{{instance}} floor": "dchat_disk_floor_bytes{}"},
                "At the floor the node stops.",
                "bytes",
            ),
            Panel("Databases", {"{{instance}} {{database}}": "dchat_database_bytes{}"}, "By what is in them.", "bytes"),
            Panel(
                "Full in",
                {"{{instance}}": "dchat_disk_full_in_days{}"},
                "At the growth of late. Below 14: DchatDiskFillsUp.",
                "d",
                needs="a day of growth",
            ),
            Panel("Pruned", {"{{instance}}": rate("dchat_pruning_blocks_total")}, "Blocks a second that went.", "ops"),
        ),
        "Doors": (
            Panel(
                "Connections",
                {"{{instance}} {{door}}": "dchat_door_connections{}"},
                "Of clients.",
            ),
            Panel(
                "gRPC calls",
                {"{{status}}": f"sum by (status) ({rate('dchat_grpc_calls_total')})"},
                "By how they ended.",
                "ops",
                needs="a client",
            ),
            Panel(
                "Refused",
                {
                    "by rate": f"sum({rate('dchat_door_rate_refused_total')})",
                    "{{of}}": f"sum by (of) ({rate('dchat_door_refused_total')})",
                },
                "What clients were not given.",
                "ops",
            ),
        ),
        "Backups and parts": (
            stat(
                "Last good backup",
                "time() - dchat_backup_last_success_timestamp_seconds{}",
                "How old it is.",
                "s",
                needs="a schedule of backups",
            ),
            stat("Backups fail", "dchat_backup_failing{}", "1: the last one did.", needs="a schedule of backups"),
            stat("Parts that fail", "dchat_parts_failing{}", "Above 0: /ready and the log say which."),
            stat(
                "Signer",
                "dchat_signer_connected{}",
                "0: the key is away, and votes are missed.",
                needs="a signer elsewhere",
            ),
        ),
    },
)

DASHBOARDS: Final = (VALIDATOR, CONSENSUS, CHAINS, NETWORK, SYSTEM)


def picked(query: str) -> str:
    """With the nodes that the reader chose."""
    return re.sub(r"(?<=\w)\{\}", "{" + OF + "}", query)


def rendered(dashboard: Dashboard) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in dashboard.rows.items():
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place, "collapsed": False, "panels": []}
        )
        top += 1
        each = 4 if all(panel.kind == "stat" for panel in row) else 2 if len(row) in (2, 4) else 3
        height = STAT_HEIGHT if row[0].kind == "stat" else HEIGHT
        for at, panel in enumerate(row):
            grid = {"x": at % each * (WIDTH // each), "y": top + at // each * height, "w": WIDTH // each, "h": height}
            panels.append({"id": len(panels) + 1, **_panel(panel, grid)})
        top += -(-len(row) // each) * height
    return {
        "uid": f"dchat-{dashboard.slug}", "title": dashboard.title, "tags": ["dchat"], "schemaVersion": 39,
        "version": 1,
        "editable": True, "graphTooltip": 1, "refresh": "15s", "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"}, "panels": panels,
        "templating": {"list": [_source(), _instances()]},
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards", "title": "dchat", "tags": ["dchat"], "asDropdown": True, "includeVars": True,
                "keepTime": True,
            },
        ],
    }  # fmt: skip


def _panel(panel: Panel, grid: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + at), "datasource": SOURCE, "expr": picked(query), "legendFormat": legend}
        for at, (legend, query) in enumerate(panel.lines.items())
    ]
    return {
        "type": panel.kind, "title": panel.title, "description": panel.means, "gridPos": grid, "datasource": SOURCE,
        "targets": targets, "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
    }  # fmt: skip


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _instances() -> dict[str, Any]:
    return {
        "name": "instance", "label": "Node", "type": "query", "datasource": SOURCE, "hide": 0, "refresh": 2, "sort": 1,
        "query": 'label_values(dchat_chain_height{job="dchat"}, instance)', "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip


def files() -> dict[Path, str]:
    """What belongs into dashboards/."""
    return {FOLDER / f"{one.slug}.json": json.dumps(rendered(one), indent=2) + "\n" for one in DASHBOARDS}


def main() -> int:
    """With --check nothing is written; 1: a file is stale."""
    if "--check" in sys.argv[1:]:
        return int(any(not path.exists() or path.read_text() != text for path, text in files().items()))
    FOLDER.mkdir(exist_ok=True)
    for path, text in files().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
