"""`dchat database export` and `import`: the state of a chain as the genesis of a new one."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from chain.state.errors import StateError
from dchat.cli.database.group import chosen, copied, database, db_path_option, held, plainly
from dchat.cli.terminal.ask import ChainId
from dchat.cli.terminal.base import Command, InputFile, Refusal, echo_progress, show_json
from dchat.export.bringing import bring_in
from dchat.export.taking import Taken, export

SHOWN_EVERY = 16 << 20  # bytes of state


@database.command("export", cls=Command)
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@click.option("--chain-id", type=ChainId(is_new=True), required=True, help="The chain that begins with it.")
@click.option("--height", type=click.IntRange(min=1), default=None, help="Of the state. Default: the last one.")
@click.option(
    "--initial-height",
    type=click.IntRange(min=1),
    default=None,
    help="The new chain's first block. Default: two after the last block that this node has.",
)
@db_path_option
def export_command(
    output: Path, chain_id: str, height: int | None, initial_height: int | None, db_path: Path | None
) -> None:
    """Write the whole state at a height as the genesis of a new chain. The node may run meanwhile.

    All balances, stakes, identities, channels, messages, proposals and queues are in it, and the validators.
    The new chain goes on with heights and time, so that what is due stays due. docs/export.md.
    """
    home, config = chosen(db_path)
    try:
        with plainly(), copied(home, config) as copy:
            taken = export(
                copy,
                output,
                chain_id=chain_id,
                height=height or 0,
                initial_height=initial_height or 0,
                told=_Shown().told,
            )
    except StateError as error:
        raise Refusal(str(error)) from None
    _tell(taken, output)


class _Shown:
    """How much state is written: a line on a terminal."""

    def __init__(self) -> None:
        self._next, self._is_shown = SHOWN_EVERY, sys.stderr.isatty()

    def told(self, size: int) -> None:
        if self._is_shown and size >= self._next:
            self._next = size + SHOWN_EVERY
            echo_progress(f"wrote {size >> 20:,} MiB of state")


def _tell(taken: Taken, output: Path) -> None:
    show_json(
        {
            "file": str(output),
            "bytes": taken.bytes,
            "sha256": taken.sha256,
            "of": {"chain_id": taken.chain_id, "height": taken.height, "app_hash": taken.app_hash.hex()},
            "initial_height": taken.initial_height,
            "validators": taken.validators,
        }
    )


@database.command("import", cls=Command)
@click.option("--input", "source", required=True, type=InputFile(), help="A genesis, like `export` writes it.")
@click.option("--dry-run", is_flag=True, help="Say whether a chain can begin with it, and change nothing.")
@db_path_option
def import_command(source: Path, dry_run: bool, db_path: Path | None) -> None:
    """Bring a genesis into a home that has no chain yet: its first start finds the state made.

    Every record is checked: the trees give the roots that the document says, and all that must hold of the state holds.
    """
    home, _ = chosen(db_path)
    try:
        with plainly() if dry_run else held(home):
            found = bring_in(home, source, keep=not dry_run)
    except StateError as error:
        raise Refusal(str(error)) from None
    doc = found.doc
    of = None if found.of is None else {"chain_id": found.of[0], "height": found.of[1]}
    show_json(
        {
            "ok": True,
            "kept": found.is_kept,
            "chain_id": doc.chain_id,
            "initial_height": doc.initial_height,
            "of": of,
            "app_hash": found.app_hash.hex(),
            "validators": len(doc.validators),
        }
    )
