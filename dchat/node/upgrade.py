"""A node at an upgrade's height: what it writes and says, and how another binary takes its place.

A halt never fails anything: all decided blocks are saved, consensus was left between two heights. What follows is the
operator's: the process replaces itself (execv: same process id, arguments and home), or serves what it has, read-only,
for a while, and exits with EXIT_UPGRADE. `upgrade-info.json` lies where Cosmovisor looks for it.
Source: Cosmos SDK v0.50, x/upgrade/README.md, and Cosmovisor's; docs/upgrades.md; known failure 16.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import structlog

from chain.upgrade.module import UpgradeOptions
from chain.upgrade.plan import Plan
from consensus.privval.record import slots_path
from consensus.system.files import SECRET_MODE, sync_folder
from dchat.config import Config
from dchat.home.documents import fault_text
from dchat.home.home import REHEARSAL_PREFIX, Home
from dchat.node.errors import CannotUpgrade

EXIT_UPGRADE = 6  # another binary is wanted; restarting this one does not help
INFO_FILE = "upgrade-info.json"
SWAPPED = "DCHAT_UPGRADE_SWAPPED"  # in the environment of a process that took another's place: for which upgrade
TAKEOVER = "--takeover"  # the home is this process's already: with the flag the next one would ask itself
CACHE = "DCHAT_CACHE_DIR"  # where an executable unpacks itself
ASK_TIMEOUT_S = 60.0  # of a first run, which unpacks the file
EXIT_USAGE = 2  # of whoever is asked for what it does not know
_CHECKSUM = re.compile(r"[?&]checksum=sha256:([0-9a-fA-F]{64})")

log = structlog.get_logger(__name__)


class NoSuchWord(CannotUpgrade):
    """The binary does not know what it was asked."""


class DoesNotKnow(CannotUpgrade):
    """The binary was asked which upgrades it knows, and lacks the one that it was named for."""


@dataclass(frozen=True)
class Swap:
    """What the operator prepared. height 0: the chain's plan alone says."""

    name: str
    height: int
    binary: Path
    backup: Path | None = None

    @staticmethod
    def of(home: Home, config: Config) -> Swap | None:
        """Raises CannotUpgrade: the options are there in part, or the binary is missing."""
        options = config.upgrade
        if not options.binary:
            if options.name or options.height or options.backup:
                raise CannotUpgrade("an upgrade needs --upgrade-name and --upgrade-binary together")
            return None
        if not options.name:
            raise CannotUpgrade("--upgrade-binary needs --upgrade-name, the plan that it is for")
        backup = home.root / Path(options.backup).expanduser() if options.backup else None
        swap = Swap(options.name, options.height, home.root / Path(options.binary).expanduser(), backup)
        check_file(swap.binary)
        for copied in (home.data, home.databases):
            if backup is not None and backup.resolve().is_relative_to(copied.resolve()):
                raise CannotUpgrade(f"[upgrade] backup: {backup} lies inside of {copied}, which is what it would copy")
        return swap

    @property
    def took_place(self) -> bool:
        """This process is what the binary was swapped in for."""
        return os.environ.get(SWAPPED) == self.name


def check_file(binary: Path) -> None:
    """Known failure 16: a missing binary is told when the node starts, not at the height. Raises CannotUpgrade."""
    if not binary.is_file():
        raise CannotUpgrade(f"upgrade binary {binary} is missing")
    if not os.access(binary, os.X_OK):
        raise CannotUpgrade(f"upgrade binary {binary} is not executable; mend with: chmod +x {binary}")


def options_of(config: Config, swap: Swap | None) -> UpgradeOptions:
    """What the application is told."""
    options = config.upgrade
    at = (swap.name, swap.height) if swap is not None and swap.height and not swap.took_place else None
    return UpgradeOptions(frozenset(options.skip_heights), options.halt_height, options.halt_time, at)


# ------------------------------------------------------------------------------ what is written


def info_json(plan: Plan, height: int) -> str:
    """The text of upgrade-info.json. height: of the block that was not executed."""
    fields: dict[str, Any] = {"name": plan.name, "time": "0001-01-01T00:00:00Z", "height": height}
    if plan.info:
        fields["info"] = plan.info
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def write_info(home: Home, plan: Plan, height: int) -> list[Path]:
    """Write upgrade-info.json, mode 0600, whole or not at all; also where Cosmovisor looks when that is elsewhere.

    A place that can't be written is logged, and keeps nobody from the others, nor the process from its exit code.
    """
    folders = [home.data]
    if (daemon_home := os.environ.get("DAEMON_HOME")) and Path(daemon_home) / "data" != home.data:
        folders.append(Path(daemon_home) / "data")
    written = []
    for folder in folders:
        try:
            written.append(_write_info_in(folder, info_json(plan, height)))
        except OSError as error:
            log.error("could not write the upgrade's info", file=str(folder / INFO_FILE), error=str(error))
    return written


def _write_info_in(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, draft = folder / INFO_FILE, folder / f".{INFO_FILE}.new"
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, SECRET_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(folder)
    return path


def read_info(home: Home) -> dict[str, Any] | None:
    """What upgrade-info.json says; None: there is none. Raises CannotUpgrade."""
    path = home.data / INFO_FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found["name"], str) or not isinstance(found["height"], int):
            raise CannotUpgrade(f"{path}: name or height is missing")
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CannotUpgrade(f"{path}: is no upgrade info: {fault_text(error)}") from None
    return dict(found)


# ------------------------------------------------------------------------------ the binary


def checksums_of(plan: Plan) -> frozenset[str]:
    """SHA-256 in hex that the plan demands, by its own field or in Cosmovisor's info; empty: none."""
    return frozenset(one.hex() for one in plan.binary_sha256) | {
        found.lower() for found in _CHECKSUM.findall(plan.info)
    }


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class OpenBinary:
    """An upgrade binary, opened once: what is hashed is what is asked and what is executed, whatever takes its name
    meanwhile. Nobody but its owner may write to it. Close it when it is not to be executed.
    """

    def __init__(self, path: Path) -> None:
        """Raises CannotUpgrade."""
        check_file(path)
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise CannotUpgrade(f"upgrade binary {path} cannot be read: {error.strerror}") from None
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o022 or status.st_uid not in (0, os.getuid()):
            self.close()
            raise CannotUpgrade(
                f"upgrade binary {path} could be written to by others than its owner (mode "
                f"{stat.S_IMODE(status.st_mode):04o}, user {status.st_uid}); mend with: chmod go-w {path}"
            )

    def close(self) -> None:
        os.close(self._descriptor)

    def __enter__(self) -> OpenBinary:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def verify(self, plan: Plan | None) -> str:
        """The SHA-256, which the plan allows. Raises CannotUpgrade."""
        try:
            with os.fdopen(os.dup(self._descriptor), "rb") as file:
                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CannotUpgrade(f"upgrade binary {self.path} cannot be read: {error.strerror}") from None
        allowed = checksums_of(plan) if plan is not None else frozenset()
        if allowed and found not in allowed:
            raise CannotUpgrade(f"{self.path}: SHA-256 is {found}, the plan allows {', '.join(sorted(allowed))}")
        return found

    async def names(self, *, timeout_s: float = ASK_TIMEOUT_S) -> list[str]:
        """The upgrades that it knows, by its own word. Raises CannotUpgrade."""
        return (await self._ask("upgrade", "names", timeout_s=timeout_s)).split()

    async def version(self, *, timeout_s: float = ASK_TIMEOUT_S) -> str:
        """By its own word. Raises CannotUpgrade."""
        said = (await self._ask("--version", timeout_s=timeout_s)).split()
        if len(said) != 2 or said[0] != "dchat":
            raise CannotUpgrade(f"{self.path} --version: said {' '.join(said)[:80]!r}, expected dchat VERSION")
        return said[1]

    async def steps(self, stored: Mapping[str, int], *, timeout_s: float = ASK_TIMEOUT_S) -> list[str] | None:
        """The migrations that it would carry out on a store of these module versions, as `MODULE VERSION`, by its own
        word; None: it is of before builds could say so. Raises CannotUpgrade: it could carry out none."""
        said = [f"--stored={name}={version}" for name, version in sorted(stored.items())]
        try:
            return (await self._ask("upgrade", "steps", *said, timeout_s=timeout_s)).splitlines()
        except NoSuchWord:
            return None

    async def _ask(self, *arguments: str, timeout_s: float) -> str:
        """What it prints. Raises CannotUpgrade."""
        environment = {key: value for key, value in os.environ.items() if key == CACHE or not key.startswith("DCHAT_")}
        pipe = asyncio.subprocess.PIPE
        asking = f"{self.path} {' '.join(arguments)}"
        try:
            asked = await asyncio.create_subprocess_exec(
                f"/proc/self/fd/{self._descriptor}", *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=pipe,
                stderr=pipe, env=environment, pass_fds=(self._descriptor,),
            )  # fmt: skip
        except OSError as error:
            raise CannotUpgrade(f"{self.path} does not run: {error}") from None
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await asked.communicate()
        except TimeoutError:
            raise CannotUpgrade(f"{asking}: no answer within {timeout_s:g} s") from None
        finally:
            if asked.returncode is None:
                asked.kill()
                await asked.wait()
        if asked.returncode == EXIT_USAGE:
            raise NoSuchWord(f"{asking}: is not understood there")
        if asked.returncode:
            raise CannotUpgrade(f"{asking}: exit code {asked.returncode}: {err[-200:].decode(errors='replace')}")
        return out.decode(errors="replace")

    def execute(self, arguments: Sequence[str]) -> NoReturn:
        """Take this process's place. Raises CannotUpgrade."""
        os.set_inheritable(self._descriptor, True)  # a script's interpreter reads it by its number
        try:
            os.execve(self._descriptor, [str(self.path), *arguments], os.environ)
        except OSError as error:
            raise CannotUpgrade(f"{self.path} cannot be executed: {error}") from None


async def check_knows(swap: Swap, plan: Plan | None) -> None:
    """That the binary knows the upgrade that it was named for, before a start or a hand-over relies on it.

    plan: the chain's, whichever; only a file that a plan of this name allows is run. Raises DoesNotKnow: it was asked,
    and does not. Another CannotUpgrade: it cannot be asked now.
    """
    with OpenBinary(swap.binary) as binary:
        await asyncio.to_thread(binary.verify, plan if plan is not None and plan.name == swap.name else None)
        names = await binary.names()
    if swap.name not in names:
        raise DoesNotKnow(
            f"upgrade binary {swap.binary} does not know the upgrade {swap.name!r}; it knows: "
            f"{', '.join(names) or 'none'}. Name the new build's file, or leave --upgrade-name and --upgrade-binary out"
        )


def copy_data(home: Home, folder: Path) -> None:
    """Copy databases and log into a new `folder`; nothing may write to them. Raises CannotUpgrade.

    Tables of LevelDB never change, so they are linked where they can be. The records of signatures stay behind, the
    next key's too: an old one that is brought back would let a key sign twice (known failure 9). The copy has its name
    when it is whole: one that broke off is not taken for a backup afterwards.
    """

    def link_or_copy(source: str, target: str) -> str:
        if source.endswith((".ldb", ".sst")):
            try:
                os.link(source, target)
                return target
            except OSError:
                pass  # another file system
        return shutil.copy2(source, target)

    records = [path for state in (home.sign_state, home.next_sign_state) for path in (state, slots_path(state))]
    ignored = shutil.ignore_patterns(
        *(path.name for path in records), home.pid_file.name, "*.lock", "LOCK", f"{REHEARSAL_PREFIX}*"
    )
    draft = folder.with_name(f"{folder.name}.part")
    try:
        if draft.exists():
            shutil.rmtree(draft)
        shutil.copytree(home.data, draft, copy_function=link_or_copy, ignore=ignored)
        if home.databases != home.data:
            for name in ("blocks", "state", "app"):
                shutil.copytree(home.databases / name, draft / name, copy_function=link_or_copy, ignore=ignored)
        draft.rename(folder)
    except OSError as error:
        raise CannotUpgrade(f"cannot copy {home.data} to {folder}: {error}") from None


def become(swap: Swap, binary: OpenBinary, home: Home, height: int, arguments: Sequence[str] | None = None) -> NoReturn:
    """Back up if asked, then replace this process by the binary that was verified. Nothing of the node may be open.

    arguments: after the program's name; None: this process's own. Raises CannotUpgrade.
    """
    if swap.backup is not None:
        folder = swap.backup / f"data-backup-{swap.name}-{height}"
        if folder.exists():  # of an earlier try: nothing was executed since
            log.info("kept the backup that is there", folder=str(folder))
        else:
            copy_data(home, folder)
            log.info("backed up the data", folder=str(folder))
    log.info("becoming the upgrade binary", upgrade=swap.name, binary=str(swap.binary))
    sys.stdout.flush()
    sys.stderr.flush()
    os.environ[SWAPPED] = swap.name
    own = [word for word in sys.argv[1:] if word != TAKEOVER]
    binary.execute(own if arguments is None else list(arguments))
