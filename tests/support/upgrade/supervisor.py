"""A stand-in for Cosmovisor: what the staking-governance-upgrade sheet, section 6, says of it, on real processes.

    HOME/cosmovisor/genesis/bin/dchat                          the first build
    HOME/cosmovisor/upgrades/NAME/{bin/dchat,upgrade-info.json}
    HOME/cosmovisor/current                                    a link to one of them

The binaries are told of their home by DAEMON_HOME, as Cosmovisor's are: it runs `status` and `pre-upgrade` bare.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POLL_S = 0.1  # DAEMON_POLL_INTERVAL
PRE_UPGRADE_ABSENT, PRE_UPGRADE_ABORT = 1, 30


class SupervisorFailed(Exception):
    """Cosmovisor would end with exit code 1 and this text."""


def lay_out(home: Path, *, genesis: Path, upgrades: dict[str, Path]) -> None:
    for folder, binary in {"genesis": genesis, **{f"upgrades/{name}": path for name, path in upgrades.items()}}.items():
        place = home / "cosmovisor" / folder / "bin"
        place.mkdir(parents=True)
        shutil.copy2(binary, place / "dchat")


@dataclass
class Supervisor:
    """grace_s: of an interrupt before the kill (DAEMON_SHUTDOWN_GRACE); 0: it is killed at once."""

    home: Path
    log: Path
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    grace_s: float = 0.0
    launches: list[tuple[str, ...]] = field(default_factory=list)  # what ran: its folder, and its arguments
    early: int = 0  # how often the file was there before its height
    _child: asyncio.subprocess.Process | None = None
    _read: dict[str, Any] | None = None
    _read_mtime: int = 0

    @property
    def current(self) -> Path:
        link = self.home / "cosmovisor" / "current"
        if not link.is_symlink():
            link.symlink_to(self.home / "cosmovisor" / "genesis")
        return link.resolve()

    async def run(self) -> int:
        """Until the child ends by itself; its exit code. Raises SupervisorFailed."""
        try:
            while True:
                self._child = await self._start("validator", *self.arguments)
                self.launches.append((self.current.name, *self.arguments))
                if not await self._wanted(self._child):
                    return await self._child.wait()
                await self._end(self._child)
                await self._switch()
        finally:
            if self._child is not None and self._child.returncode is None:
                self._child.kill()
                await self._child.wait()

    async def _start(self, *arguments: str) -> asyncio.subprocess.Process:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DCHAT_")}
        environment |= {"DAEMON_HOME": str(self.home), "DAEMON_NAME": "dchat", **self.environment}
        with self.log.open("ab") as out:
            return await asyncio.create_subprocess_exec(
                self.current / "bin" / "dchat", *arguments, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if arguments == ("status",) else out, stderr=out, env=environment,
            )  # fmt: skip

    async def _wanted(self, child: asyncio.subprocess.Process) -> bool:
        """Whether another binary is to take over; False: the child ended and nothing was asked for."""
        ended = asyncio.create_task(child.wait())
        while not ended.done():
            if await self._is_update():
                ended.cancel()
                return True
            await asyncio.wait((ended,), timeout=POLL_S)
        return await self._is_update()

    async def _is_update(self) -> bool:
        path = self.home / "data" / "upgrade-info.json"
        if not path.exists() or path.stat().st_mtime_ns <= self._read_mtime:
            return False
        mtime, info = path.stat().st_mtime_ns, json.loads(path.read_text())
        height = await self._height()
        if 0 < height < info["height"]:
            self.early += 1
            return False
        before, self._read, self._read_mtime = self._read, info, mtime
        if before is None:
            return bool(info["name"].lower() != self._current_name())
        return bool(info["height"] > before["height"])

    def _current_name(self) -> str:
        path = self.current / "upgrade-info.json"
        return str(json.loads(path.read_text())["name"]).lower() if path.exists() else ""

    async def _height(self) -> int:
        """What the running binary's `status` says; 0: nothing that can be understood."""
        asked = await self._start("status")
        out, _ = await asked.communicate()
        try:
            told = json.loads(out)["SyncInfo"]["latest_block_height"]
            assert isinstance(told, str)
            return int(told)
        except (ValueError, KeyError):
            return 0

    async def _end(self, child: asyncio.subprocess.Process) -> None:
        if child.returncode is None and self.grace_s:
            child.send_signal(signal.SIGINT)
            try:
                async with asyncio.timeout(self.grace_s):
                    await child.wait()
            except TimeoutError:
                pass
        if child.returncode is None:
            child.kill()
        await child.wait()

    async def _switch(self) -> None:
        """Backup, link, `pre-upgrade`. Raises SupervisorFailed."""
        assert self._read is not None
        shutil.copytree(self.home / "data", self.home / "data-backup-today")
        folder = self.home / "cosmovisor" / "upgrades" / self._read["name"].lower()
        if not (folder / "bin" / "dchat").is_file():
            raise SupervisorFailed(f"no binary in {folder}")
        (folder / "upgrade-info.json").write_text(json.dumps(self._read))
        link = self.home / "cosmovisor" / "current"
        link.unlink()
        link.symlink_to(folder)
        code = await (await self._start("pre-upgrade")).wait()
        if code not in (0, PRE_UPGRADE_ABSENT):
            assert code == PRE_UPGRADE_ABORT, code
            raise SupervisorFailed("pre-upgrade said no")
