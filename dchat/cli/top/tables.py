"""What a reading says, as rows of plain text: for the dashboard, and for one look without it.

Whatever a node tells is other people's: each cell is one line of bounded length.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from dchat.cli.top.readings import Reading
from dchat.shown.text import safe_line

CELL_CHARS_MAX: Final = 48
NAME_CHARS_MAX: Final = 70  # that a node's name may have
ROWS_MAX: Final = 100  # of one table
NODE_COLUMNS: Final = (
    "node", "height", "round", "step", "tx/s", "chat", "currency", "bridge", "peers", "app hash", "nil votes", "answer",
)  # fmt: skip
WIDE: Final = 110  # columns of a terminal in which all of NODE_COLUMNS have room
NARROW_COLUMNS: Final = ("node", "height", "step", "tx/s", "waits", "peers", "app hash", "answer")  # in 80
VOTE_COLUMNS: Final = ("validator", "power", "prevote", "precommit", "")
BLOCK_COLUMNS: Final = ("height", "time", "round", "proposer", "chat", "currency", "bridge")
PEER_COLUMNS: Final = ("peer", "address", "way", "latency", "in", "out")
FOLDED: Final = ("peer", "address")  # of which nobody can use a part
NIL_COLUMNS: Final = ("times", "why")

# Of consensus' own names (docs/core-to-wire.md): what they mean to a person.
WHY_NIL: Final = {
    "no_proposal": "no proposal came before the propose time-out",
    "incomplete_block": "a proposal came, but not all parts of its block in time",
    "invalid_block": "the proposed block is invalid",
    "withheld": "something of this node alone speaks against the block; it is asked again in the next round",
    "locked_on_another": "this node is locked on another block",
    "pol_missing": "the votes that the proposal rests on were not seen in time",
    "polka_for_nil": "more than two thirds prevoted nil",
    "no_polka": "no block got two thirds of the prevotes",
    "polka_for_missing_block": "two thirds prevoted a block that is not complete here",
    "block_not_validated": "the block was not validated in time",
}

Cells = tuple[str, ...]


def cell(value: object, *, chars_max: int = CELL_CHARS_MAX) -> str:
    text = safe_line(str(value))
    return text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"


def rows_of(readings: Sequence[Reading]) -> list[Cells]:
    """By NODE_COLUMNS; a node that does not answer says why."""
    return [_row(one) for one in readings]


def _row(one: Reading) -> Cells:
    name = cell(one.node.name)
    if one.fault:
        away = "stopped" if one.node.pid is not None and one.node.pid() is None else one.fault
        return (name, "-", "-", cell(away), *["-"] * (len(NODE_COLUMNS) - 4))
    status, lanes = one.status, _mapping(one.status.get("mempool_lanes"))
    waits = [cell(lanes.get(lane, 0)) for lane in ("chat", "currency", "bridge")]
    nil = sum(count for count in _mapping(one.consensus.get("nil_votes")).values() if isinstance(count, int))
    step = (
        f"catches up {_share(status.get('sync_progress'))}" if status.get("catching_up") else one.consensus.get("step")
    )
    return (
        name, cell(status.get("latest_block_height")), cell(one.consensus.get("round")), cell(step),
        f"{one.txs_per_s:.1f}", *waits, cell(status.get("peer_count")),
        cell(str(status.get("latest_app_hash"))[:8].lower()), str(nil), f"{one.took_ms:.0f} ms",
    )  # fmt: skip


def node_columns(width: int) -> tuple[str, ...]:
    """Those that a terminal of so many columns has room for."""
    return NODE_COLUMNS if width >= WIDE else NARROW_COLUMNS


def nodes_in(readings: Sequence[Reading], width: int) -> list[Cells]:
    """By `node_columns`. In the narrow ones the lanes' waiting stand together, and why a node is away stands last."""
    rows = rows_of(readings)
    return rows if width >= WIDE else [_narrow(row, one) for row, one in zip(rows, readings, strict=True)]


def _narrow(row: Cells, one: Reading) -> Cells:
    by = dict(zip(NODE_COLUMNS, row, strict=True))
    if one.fault:
        return (by["node"], *["-"] * (len(NARROW_COLUMNS) - 2), by["step"])
    waits = "/".join(by[lane] for lane in ("chat", "currency", "bridge"))
    return tuple({**by, "waits": waits}[name] for name in NARROW_COLUMNS)


def votes_of(one: Reading, monikers: Mapping[str, str]) -> list[Cells]:
    """Of the running round, by VOTE_COLUMNS."""
    proposer, listed = one.consensus.get("proposer"), one.consensus.get("votes")
    rows: list[Cells] = []
    for vote in _list(listed)[:ROWS_MAX]:
        address = str(vote.get("validator_address"))
        rows.append((
            cell(monikers.get(address.upper()) or address[:12].upper()), cell(vote.get("voting_power")),
            _vote(vote.get("prevote")), _vote(vote.get("precommit")), "proposes" if address == proposer else "",
        ))  # fmt: skip
    return rows


def _vote(said: Any) -> str:
    return "-" if said is None else "nil" if said == "nil" else cell(str(said)[:8].lower())


def blocks_of(one: Reading, monikers: Mapping[str, str]) -> list[Cells]:
    """The last ones, by BLOCK_COLUMNS."""
    rows: list[Cells] = []
    for block in one.blocks[:ROWS_MAX]:
        address, counts = str(block.get("proposer_address")), _mapping(block.get("txs_by_chain"))
        lanes = [cell(counts.get(lane, 0)) for lane in ("chat", "currency", "bridge")]
        rows.append((
            cell(block.get("height")), cell(str(block.get("time"))[11:19]), cell(block.get("round")),
            cell(monikers.get(address.upper()) or address[:12].upper()), *lanes,
        ))  # fmt: skip
    return rows


def peers_of(one: Reading) -> list[Cells]:
    """By PEER_COLUMNS. latency: the least of several pings."""
    rows: list[Cells] = []
    for peer in _list(one.status.get("peers"))[:ROWS_MAX]:
        rates = one.bytes_per_s.get(str(peer.get("id")), (0.0, 0.0))
        rows.append((*peer_cells(peer), *[f"{rate / 1_000:.1f} kB/s" for rate in rates]))
    return rows


def peer_cells(peer: Mapping[str, Any]) -> Cells:
    """The first of PEER_COLUMNS: name, address, way and latency."""
    seconds = peer.get("round_trip_seconds")
    latency = f"{seconds * 1_000:.1f} ms" if isinstance(seconds, int | float) else "-"
    way = "in" if peer.get("direction") == "inbound" else "out"
    name = cell(peer.get("moniker") or peer.get("id"), chars_max=NAME_CHARS_MAX)
    return (name, cell(peer.get("remote_address")), way, latency)


def nil_of(one: Reading) -> list[Cells]:
    """Why this node voted nil since its start, the most frequent first, by NIL_COLUMNS."""
    counted = {str(reason): n for reason, n in _mapping(one.consensus.get("nil_votes")).items() if isinstance(n, int)}
    most = sorted(counted.items(), key=lambda found: -found[1])[:ROWS_MAX]
    return [(str(count), safe_line(WHY_NIL.get(reason, reason))[:120]) for reason, count in most if count]


def summary(readings: Sequence[Reading]) -> str:
    """One line: the chain, and whether the nodes agree."""
    up = [one for one in readings if not one.fault]
    if not up:
        return "no node answers"
    highest = max(one.height for one in up)
    heads = {(one.height, str(one.status.get("latest_app_hash"))) for one in up}
    at_one = {height for height, _ in heads}
    said = ""
    if len(up) == 1:
        said = f"one node {'asked' if len(readings) == 1 else 'answers'}: nothing to compare"
    elif len(heads) == 1:
        said = "all at one state"
    elif len(at_one) < len(heads):
        said = "DIFFERENT STATES AT ONE HEIGHT"
    chain = cell(up[0].status.get("chain_id"))
    parts = [f"{chain} at {highest}", f"{len(up)} of {len(readings)} nodes answer", said]
    return ", ".join(part for part in parts if part)


def plain(columns: Sequence[str], rows: Sequence[Cells], title: str, *, folded: Collection[str] = ()) -> Table:
    """For a terminal that scrolls. folded: columns that go on in the next line where they have no room;
    others are cut."""
    table = Table(title=Text(title), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name not in folded, overflow="fold" if name in folded else "ellipsis")
    for row in rows:
        table.add_row(*[Text(value) for value in row])
    return table


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _share(value: Any) -> str:
    return f"{100 * value:.0f} %" if isinstance(value, int | float) else ""
