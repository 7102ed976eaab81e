"""What there is to say of a node: its versions, its options, its files, what it told. No key, and no value of one.

Every part stands alone: one that cannot be had is a sentence in `not_told`, and the rest is told all the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from consensus.privval.record import read_record
from consensus.system.disk import OsDisk
from crypto import native
from dchat.config import Config
from dchat.dump.asking import NOBODY, NotTold, Process, running_pid
from dchat.dump.hiding import options_json
from dchat.home.home import Home
from dchat.home.version import ENGINE_VERSION, build_version

PATHS: Final[Mapping[str, str]] = {  # of the HTTP door, by the name under which they are told
    "health": "/health",
    "ready": "/ready",
    "status": "/status",
    "peers": "/peers",
    "consensus": "/chain/consensus-status",
    "blocks": "/chain/blocks?limit=20",
    "bridge": "/bridge/status",
    "why": "/why?height=0",
}
FILES_MAX: Final = 5_000
Ask = Callable[[str], Any]  # path -> JSON or text of the node's HTTP door; raises NotTold


def versions_json() -> dict[str, Any]:
    packages = sorted(f"{one.name}=={one.version}" for one in metadata.distributions() if one.name)
    return {
        "dchat": build_version(),
        "engine": ENGINE_VERSION,
        "python": sys.version,
        "platform": platform.platform(),
        "native": native.state(),
        "packages": packages,
    }


def from_door(ask: Ask) -> tuple[dict[str, Any], dict[str, str]]:
    """(what the door says, why not what it does not)."""
    told: dict[str, Any] = {}
    lacking: dict[str, str] = {}
    for name, path in {**PATHS, "metrics": "/metrics"}.items():
        try:
            told[name] = ask(path)
        except NotTold as error:
            lacking[name] = str(error)
    return told, lacking


def of_home(home: Home, config: Config, *, profile_s: float = 0.0) -> tuple[dict[str, Any], dict[str, str]]:
    """(what this home and its process tell, why not what they do not)."""
    told: dict[str, Any] = {
        "config": options_json(config),
        "home": home_json(home),
        "sign_record": sign_record_json(home),
    }
    lacking: dict[str, str] = {}
    pid = running_pid(home)
    told["process"] = None if pid is None else process_json(pid)
    process = None if pid is None else Process(home, pid)
    wanted: dict[str, Callable[[Process], Any]] = {"threads": Process.threads, "tasks": Process.tasks}
    if profile_s:
        wanted["profile"] = lambda one: one.profile(profile_s)
    for name, ask in wanted.items():
        try:
            if process is None:
                raise NotTold(NOBODY)
            told[name] = ask(process)
        except NotTold as error:
            lacking[name] = str(error)
    return told, lacking


def home_json(home: Home) -> dict[str, Any]:
    """Its files by name, size, mode and age, and the room on their disk: what is in them is not read."""
    disk = shutil.disk_usage(home.data if home.data.is_dir() else home.root)
    files = sorted(_files(home.root), key=lambda one: str(one["path"]))
    return {
        "disk_bytes": disk.total,
        "disk_free_bytes": disk.free,
        "bytes": sum(int(one["bytes"]) for one in files),
        "files_in_all": len(files),
        "files": files[:FILES_MAX],
    }


def _files(root: Path) -> Iterator[dict[str, Any]]:
    now = time.time()
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            with contextlib.suppress(OSError):  # a database deleted it meanwhile
                info = path.lstat()
                yield {
                    "path": str(path.relative_to(root)),
                    "bytes": info.st_size,
                    "mode": stat.filemode(info.st_mode),
                    "age_s": round(now - info.st_mtime),
                }


def sign_record_json(home: Home) -> dict[str, Any] | None:
    """Up to where the key signed, without what it signed. None: it is elsewhere, or cannot be read."""
    try:
        record = read_record(OsDisk(), home.sign_state)
    except Exception as error:  # whatever is wrong with it is what the reader wants to know
        return {"error": f"{type(error).__name__}: {error}"} if home.sign_state.exists() else None
    return {"height": record.height, "round": record.round, "step": record.step}


def process_json(pid: int) -> dict[str, Any]:
    """As the kernel tells: memory, threads, file handles, processor time."""
    told: dict[str, Any] = {"pid": pid}
    folder = Path(f"/proc/{pid}")
    with contextlib.suppress(OSError, ValueError, IndexError):
        rows = (line.partition(":") for line in (folder / "status").read_text().splitlines())
        table = {name: value.strip() for name, _, value in rows}
        told |= {name: table.get(name) for name in ("VmRSS", "VmHWM", "Threads", "State", "voluntary_ctxt_switches")}
        told["handles"] = len(list((folder / "fd").iterdir()))
        fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        told["cpu_s"] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    with contextlib.suppress(OSError):
        told["load"] = list(os.getloadavg())
    return told


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False) + "\n"
