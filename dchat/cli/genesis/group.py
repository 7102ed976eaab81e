"""`dchat genesis`, and what its commands share: reading documents and entries, and saying whose fault a fault is."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

from chain.app_state.document import InvalidAppState
from chain.currency.ledger.economic_params import InvalidParam, StakingParams
from chain.tx.units import in_dchat
from consensus.documents.genesis import GENESIS_BYTES_MAX, parse_genesis
from consensus.formats.errors import InvalidGenesis, InvalidParams
from consensus.formats.units import MIB
from crypto.bech32 import encode_address
from dchat.cli.terminal.base import Exit, Group, Refusal, echo, echo_progress, read_input
from dchat.home.errors import HomeError
from dchat.shown.text import safe_line
from genesis.ceremony import ENTRY_BYTES_MAX, Entry, InvalidCeremony, parse_entry
from genesis.digest import genesis_digest
from genesis.reading import Read, read_genesis

USUAL_STAKE: Final = StakingParams().min_stake  # udchat
PROGRESS_BYTES_MIN: Final = 8 * MIB  # what is smaller is read before anybody wonders


@click.group("genesis", cls=Group)
def genesis() -> None:
    """Begin a chain on several machines, and look at a genesis document.

    \b
    on each machine:   dchat genesis add-validator --chain-id NAME --stake 1000000 --address HOST:PORT
    on one of them:    dchat genesis collect --chain-id NAME --output genesis.json validator-*.json
    on each again:     dchat genesis install genesis.json --hash HASH --peers genesis.peers
    """


@contextlib.contextmanager
def plainly(what: str = "") -> Iterator[None]:
    """Faults of files and of what they say as lines for a person. what: stands in front of each."""
    try:
        yield
    except (HomeError, InvalidAppState, InvalidCeremony, InvalidGenesis, InvalidParam, InvalidParams) as error:
        before = f"{what}: " if what else ""
        raise Refusal("\n".join(before + line for line in str(error).splitlines()), Exit.USAGE) from None


def small_stake(stake: int) -> str:
    """What it means that somebody, or everybody, begins with less than is usual. stake: udchat."""
    return (
        f"{money(stake)} is less than the usual staking.min_stake, {money(USUAL_STAKE)}: a genesis with such a stake "
        "asks no more of those who join later either, unless `dchat genesis collect --param "
        "staking.min_stake=UDCHAT` says so"
    )


def read_document(path: Path, *, now_ns: int = 0) -> Read:
    """A genesis, valid as the engine sees it, with its hash; a large one in pieces. now_ns: when one begins that does
    not say it; 0: now. Raises Refusal."""
    size, now_ns = path.stat().st_size, now_ns or time.time_ns()
    is_shown = size >= PROGRESS_BYTES_MIN and sys.stderr.isatty()

    def told(read: int) -> None:
        if is_shown:
            echo_progress(f"read {read // MIB:,} of {size // MIB:,} MiB of genesis")

    try:
        with plainly(str(path)):
            if size >= PROGRESS_BYTES_MIN:
                with path.open("rb") as file:
                    if (found := read_genesis(file, default_time_ns=now_ns, progress=told)) is not None:
                        return found
            doc = parse_genesis(read_input(path, GENESIS_BYTES_MAX), default_time_ns=now_ns)
            return Read(doc, genesis_digest(doc))
    finally:
        if is_shown:
            echo_progress()


def read_entries(files: Sequence[Path]) -> dict[str, Entry]:
    """By the name of the file. Raises Refusal: all faults of all files."""
    entries: dict[str, Entry] = {}
    faults = []
    for file in files:
        try:
            entries[str(file)] = parse_entry(read_input(file, ENTRY_BYTES_MAX))
        except InvalidCeremony as error:
            faults += [f"{file}: {fault}" for fault in error.faults]
        except Refusal as error:
            faults.append(error.message)
        except OSError as error:
            faults.append(f"{file}: cannot be read: {error.strerror}")
    if faults:
        raise Refusal("\n".join(faults), Exit.USAGE)
    return entries


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be; what looks like a number stands to the right. Nothing begins a line."""
    lines = [[safe_line(text) for text in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in lines) for at in range(len(head))]
    for row in lines:
        echo("  ".join(_cell(text, width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(text: str, width: int) -> str:
    return text.rjust(width) if text[:1].isdigit() else text.ljust(width)


def money(udchat: int) -> str:
    """`1,000,000 DCHAT`."""
    whole, _, rest = in_dchat(udchat).partition(" ")
    units, point, places = whole.partition(".")
    return f"{int(units):,}{point}{places} {rest}"


def share(power: int, total: int) -> str:
    """`25.0 %`, without a float."""
    tenths = (power * 1_000 + total // 2) // total
    return f"{tenths // 10}.{tenths % 10} %"


def of_entry(entry: Entry) -> dict[str, Any]:
    """For programs."""
    return {
        "moniker": entry.moniker,
        "validator_address": _address(entry).hex().upper(),
        "stake": str(entry.stake),
        "balance": str(entry.balance),
        "power": entry.power,
        "peer": entry.peer,
    }


def of_balances(balances: Iterable[tuple[bytes, int]]) -> list[dict[str, str]]:
    """For programs: whose account has what, in udchat."""
    return [{"address": encode_address(address), "balance": str(udchat)} for address, udchat in balances]


def _address(entry: Entry) -> bytes:
    from crypto.keys import pub_key_of

    return pub_key_of(entry.consensus_key).address
