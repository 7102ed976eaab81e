"""`dchat audit verify` and `dchat audit show`."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections import deque

import click

from dchat.audit.trail import FILE_NAME, AuditBroken, AuditError, Entry, Trail
from dchat.cli.terminal.base import Command, Exit, Group, Refusal, echo, home_root, show_json

HASH_FORM = re.compile(r"[0-9a-f]{64}")
SHOWN_DEFAULT = 50


@click.group(cls=Group)
def audit() -> None:
    """What was done to this home's node, and what its keys were used for: HOME/audit.log."""


def _trail() -> Trail:
    """Raises Refusal: there is none yet."""
    path = home_root() / FILE_NAME
    if not path.exists():
        raise Refusal(f"{path} is not there: nothing was done yet that is recorded, or --home is another", Exit.ABSENT)
    return Trail(path)


@audit.command(cls=Command)
@click.option(
    "--head", metavar="HASH", help="A hash that was told before, as by a node's start: it must still be there."
)
def verify(head: str | None) -> None:
    """Hold each line against the one before: that none was changed, removed or put in.

    Lines that were cut off at the end are seen with --head alone: a node's line `started` has the newest hash.
    """
    if head is not None and not HASH_FORM.fullmatch(head):
        raise Refusal("--head is 64 hex characters, as `audit_head` of the line `started`", Exit.USAGE)
    trail, is_there = _trail(), head is None
    last: Entry | None = None
    try:
        for entry in trail.entries():
            last, is_there = entry, is_there or entry.hash == head
    except AuditBroken as error:
        raise Refusal(f"the audit log does not hold: {error}", Exit.PROOF) from None
    except AuditError as error:
        raise Refusal(str(error)) from None
    if not is_there:
        raise Refusal(f"the audit log does not hold: {trail.path} has no line with hash {head}: it was cut", Exit.PROOF)
    show_json({"holds": True, "lines": last.seq if last else 0, "head": last.hash if last else None})


@audit.command(cls=Command)
@click.option(
    "--limit", type=click.IntRange(min=1), default=SHOWN_DEFAULT, show_default=True, help="The newest so many."
)
@click.option("--what", help="Only lines of this kind, as `node started`.")
def show(limit: int, what: str | None) -> None:
    """The newest lines, oldest first: a table at a terminal, JSON otherwise."""
    kept: deque[Entry] = deque(maxlen=limit)
    broken = ""
    try:
        kept.extend(entry for entry in _trail().entries() if what in (None, entry.what))
    except AuditBroken as error:
        broken = str(error)
    except AuditError as error:
        raise Refusal(str(error)) from None
    if sys.stdout.isatty():
        for entry in kept:
            told = ", ".join(f"{name}={value}" for name, value in entry.details.items())
            echo(f"{entry.seq:>6}  {entry.time}  {entry.what:<32}  {told}")
    else:
        show_json([dataclasses.asdict(entry) for entry in kept])
    if broken:
        raise Refusal(f"the audit log does not hold from there on: {broken}", Exit.PROOF)
