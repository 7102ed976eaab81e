"""`dchat validator --replay-from-genesis`: execute the blocks of this home again, and say whether the chain agrees."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from chain.upgrade.module import UpgradeOptions
from consensus.documents.genesis import GenesisDoc
from consensus.formats.units import MIB
from consensus.system.machine import free_bytes
from dchat.cli.database.group import copied, held, plainly
from dchat.cli.terminal.base import Exit, Refusal, echo, echo_progress, show_json
from dchat.config import Config
from dchat.home import logs
from dchat.home.home import Home
from dchat.upkeep import replay as replaying
from dchat.upkeep.errors import UpkeepError
from dchat.upkeep.replay import Progress, Report

SHOWN_EVERY_S = 0.5  # on a terminal
LOGGED_EVERY_S = 10.0
LOOKED_EVERY = 16  # blocks, at the room on the disk
FLOORS = 2  # of [database] min_free
log = structlog.get_logger(__name__)


def replay_from_genesis(home: Home, config: Config, genesis: GenesisDoc, *, replace: bool) -> None:
    """replace: a state that was made whole takes the place of the home's. Raises Refusal."""
    logs.configure(level=config.log.level, json_lines=config.log.json_lines)
    if config.database.backend != "leveldb":
        raise Refusal("[database] backend is memory: there is nothing on disk", Exit.USAGE)
    aside: Path | None = None
    with contextlib.ExitStack() as until, plainly():
        if replace:
            until.enter_context(held(home))
        report = _run(home, config, genesis)
        if report.is_same and replace:
            aside = replaying.take_over(home)
    if not report.stopped:
        replaying.forget(home)
    _tell(home, report, aside)


def _run(home: Home, config: Config, genesis: GenesisDoc) -> Report:
    shown = _Shown()

    def told(progress: Progress) -> None:
        shown.told(progress)
        if progress.height % LOOKED_EVERY == 0:
            _check_room(home, config, progress.height)

    options = UpgradeOptions(frozenset(config.upgrade.skip_heights))
    try:
        with copied(home, config) as copy:
            return asyncio.run(replaying.replay(home, copy, genesis, told=told, options=options))
    except KeyboardInterrupt:
        raise Refusal(
            f"interrupted after block {shown.height}; the same command goes on from there. What it made is in "
            f"{home.databases / replaying.FOLDER}: remove that to begin anew"
        ) from None
    finally:
        shown.end()


def _check_room(home: Home, config: Config, height: int) -> None:
    """Raises UpkeepError: going on would bring the node that may run here to the floor at which it stops."""
    floor = FLOORS * config.database.min_free * MIB
    if (free := free_bytes(home.databases)) < floor:
        raise UpkeepError(
            f"{home.databases}: {free} bytes are free, less than twice [database] min_free. Blocks to {height} are as "
            f"the chain has them; the same command goes on from there. What it made is in "
            f"{home.databases / replaying.FOLDER}: remove that, or make room"
        )


class _Shown:
    """How far it is: one line on a terminal, a line of the log every ten seconds elsewhere."""

    def __init__(self) -> None:
        self.height = 0
        self._is_terminal = sys.stderr.isatty()
        self._first: tuple[float, int] | None = None  # when the first block was done, and its height
        self._next = 0.0

    def told(self, progress: Progress) -> None:
        now, self.height = time.monotonic(), progress.height
        if self._first is None:
            self._first = now, progress.height
        if now < self._next or now == self._first[0]:
            return
        self._next = now + (SHOWN_EVERY_S if self._is_terminal else LOGGED_EVERY_S)
        rate = (progress.height - self._first[1]) / (now - self._first[0])
        left = round((progress.of - progress.height) / rate) if rate else 0
        if self._is_terminal:
            echo_progress(
                f"executed {progress.height:,} of {progress.of:,} blocks, {rate:,.0f} a second, {left:,} s left"
            )
        else:
            log.info("replays", height=progress.height, until=progress.of, blocks_a_second=round(rate), left_s=left)

    def end(self) -> None:
        if self._is_terminal:
            echo_progress()


def _tell(home: Home, report: Report, aside: Path | None) -> None:
    if not sys.stdout.isatty():
        show_json({"ok": report.is_same, **_as_json(report), "replaced": None if aside is None else str(aside)})
    else:
        for line in _lines(report, aside):
            echo(line)
    if report.difference is not None:
        raise Refusal(
            f"{report.difference}. Either this build executes otherwise than the chain's validators do, or the blocks "
            "here are damaged (`dchat database verify`)"
        )
    if report.stopped:
        raise Refusal(
            f"{report.stopped}. Blocks to {report.height} are as the chain has them; the same command of the build "
            f"that this names goes on from there (what was made is in {home.databases / replaying.FOLDER})",
            Exit.UPGRADE,
        )


def _as_json(report: Report) -> dict[str, Any]:
    told = asdict(report)
    difference = told.pop("difference")
    if difference is not None:
        difference["where"] = list(difference["where"])
    return {
        "first_height": told["first"], "last_height": told["last"], "resumed_after": told["resumed"],
        "replayed_to": told["height"], "transactions": told["txs"], "app_hash": told["app_hash"],
        "difference": difference, "stopped": told["stopped"] or None,
    }  # fmt: skip


def _lines(report: Report, aside: Path | None) -> Iterator[str]:
    if report.resumed:
        yield f"went on after block {report.resumed}, where an earlier call stopped"
    if report.is_same:
        yield (
            f"ok: blocks {report.first} to {report.last} give what the chain has ({report.txs} transactions executed); "
            f"app hash {report.app_hash}"
        )
    if aside is not None:
        yield f"the state that was made is this home's now; the one before is in {aside}"
