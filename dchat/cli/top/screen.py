"""The dashboard: one screen of tables, brought up to date once a second. The node under the cursor is told about below.

Imported only by who has textual.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.widgets import DataTable, Footer, Static

from dchat.cli.top import tables
from dchat.cli.top.readings import Reading, Watch

EVERY_S: Final = 1.0
STYLES: Final = {"nil": "yellow", "proposes": "cyan", "stopped": "red"}

CSS = """
Screen { layout: vertical; }
#said { height: 1; padding: 0 1; text-style: bold; background: $panel; }
DataTable { height: auto; max-height: 100%; border-title-color: $text; }
#nodes { max-height: 40%; border: round $primary; }
#about { height: 1fr; grid-size: 2; grid-columns: 3fr 4fr; grid-rows: 3fr 2fr; }
#about DataTable { height: 100%; border: round $primary-darken-2; }
Screen.-narrow #about { grid-size: 1; grid-columns: 1fr; grid-rows: auto; overflow-y: auto; }
Screen.-narrow #about DataTable { height: auto; max-height: 16; }
DataTable:focus { border: round $accent; }
"""


class Top(App[None]):
    """`run_async`. What watches is opened and closed by it."""

    CSS = CSS
    TITLE = "dchat top"
    ENABLE_COMMAND_PALETTE = False
    # as textual declares it: an attribute
    HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] | None = [(0, "-narrow"), (tables.WIDE, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("n", "another(1)", "Next node"),
        Binding("p", "another(-1)", "Previous"),
        Binding("tab", "app.focus_next", "Next table"),
        Binding("space", "hold", "Hold"),
        *[Binding(str(number), f"choose({number})", show=False) for number in range(1, 10)],
    ]

    def __init__(self, watch: Watch, *, every_s: float = EVERY_S, caption: str = "") -> None:
        super().__init__()
        self._watch, self._every_s, self._caption = watch, every_s, caption
        self._readings: Sequence[Reading] = ()
        self._holds = False
        self.rounds = 0  # of reading and showing

    def compose(self) -> ComposeResult:
        yield Static("asks the nodes", id="said", markup=False)
        yield _table("nodes", "nodes", tables.NODE_COLUMNS)
        with Grid(id="about"):
            yield _table("votes", "votes", tables.VOTE_COLUMNS)
            yield _table("blocks", "latest blocks", tables.BLOCK_COLUMNS)
            yield _table("nil", "why it voted nil", tables.NIL_COLUMNS)
            yield _table("peers", "peers", tables.PEER_COLUMNS)
        yield Footer()

    async def on_mount(self) -> None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, RuntimeError):
                asyncio.get_running_loop().add_signal_handler(number, self.exit)
        self.query_one("#nodes").focus()
        self.run_worker(self._go_on(), exit_on_error=True)

    async def _go_on(self) -> None:
        async with self._watch:
            while True:
                if not self._holds:
                    self._readings = await self._watch.read()
                    self.show_readings()
                    self.rounds += 1
                await asyncio.sleep(self._every_s)

    # ----------------------------------------------------------------------------------------------- what it shows

    @property
    def chosen(self) -> Reading | None:
        row = self._of_nodes.cursor_row
        return self._readings[row] if 0 <= row < len(self._readings) else None

    @property
    def _of_nodes(self) -> DataTable[Text]:
        return self.query_one("#nodes", DataTable)

    def show_readings(self) -> None:
        said = [tables.summary(self._readings), self._caption, "HELD" if self._holds else ""]
        self.query_one("#said", Static).update(Text("   ".join(part for part in said if part)))
        width = self.size.width
        columns, at = tables.node_columns(width), self._of_nodes.cursor_row
        if len(self._of_nodes.columns) != len(columns):
            self._of_nodes.clear(columns=True)
            self._of_nodes.add_columns(*columns)
        _fill(self._of_nodes, tables.nodes_in(self._readings, width))
        if at != self._of_nodes.cursor_row and at < len(self._readings):
            self._of_nodes.move_cursor(row=at)
        self.show_chosen()

    def on_resize(self) -> None:
        if self._readings:
            self.show_readings()

    def show_chosen(self) -> None:
        one = self.chosen
        if one is None:
            return
        names, where = self._watch.monikers, tables.cell(one.node.name)
        running = one.consensus
        votes = f"votes at {tables.cell(running.get('height', '-'))}, round {tables.cell(running.get('round', '-'))}"
        for name, title, rows in (
            ("votes", f"{votes}, as {where} has them", tables.votes_of(one, names)),
            ("blocks", f"latest blocks of {where}", tables.blocks_of(one, names)),
            ("nil", f"why {where} voted nil since its start", tables.nil_of(one)),
            ("peers", f"peers of {where}", tables.peers_of(one)),
        ):
            table = self.query_one(f"#{name}", DataTable)
            table.border_title = Text(title)
            _fill(table, rows)

    def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        if event.data_table.id == "nodes":
            self.show_chosen()

    # ------------------------------------------------------------------------------------------------------- keys

    def action_another(self, step: int) -> None:
        count = len(self._readings)
        if count:
            self._of_nodes.move_cursor(row=(self._of_nodes.cursor_row + step) % count)

    def action_choose(self, number: int) -> None:
        if number <= len(self._readings):
            self._of_nodes.move_cursor(row=number - 1)

    def action_hold(self) -> None:
        self._holds = not self._holds
        self.show_readings()


def _table(name: str, title: str, columns: Sequence[str]) -> DataTable[Text]:
    table: DataTable[Text] = DataTable(id=name, cursor_type="row", zebra_stripes=True)
    table.border_title = title
    table.add_columns(*columns)
    return table


def _fill(table: DataTable[Any], rows: Sequence[tables.Cells]) -> None:
    """Cell by cell where their number is the same: the cursor and the place in the table stay."""
    cells = [[Text(value, style=STYLES.get(value, "")) for value in row] for row in rows]
    if len(cells) == table.row_count:
        for at, row in enumerate(cells):
            for column, value in enumerate(row):
                if table.get_cell_at((at, column)) != value:  # type: ignore[arg-type]  # a pair is a coordinate
                    table.update_cell_at((at, column), value, update_width=True)  # type: ignore[arg-type]
        return
    place = table.cursor_row
    table.clear()
    for row in cells:
        table.add_row(*row)
    table.move_cursor(row=min(place, max(0, len(cells) - 1)))
