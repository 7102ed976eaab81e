"""The subject's machine: a small disk that fills, memory that goes, a core that is used up."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from tests.support.node.machine import fill, set_option, small_disk
from tests.support.runbooks.world import SUBJECT, World

MIB: Final = 1 << 20
DISK_MIB: Final = 600
LOW: Final = 0.15  # of the disk that is left
GROWS_MIB_S: Final = 2  # of a disk that is full in minutes: in days, at the rule's scale
BALLAST: Final = "old-logs"
READERS: Final = 6
READ: Final = """
import sys, threading, urllib.request
def read():
    while True:
        try:
            urllib.request.urlopen(sys.argv[1], timeout=10).read()
        except OSError:
            pass
for _ in range(int(sys.argv[2])):
    threading.Thread(target=read, daemon=True).start()
sys.stdin.read()
"""


def on_small_disk(world: World) -> None:
    """Its data moves to a file system of its own, where there is none yet."""
    data = world.home(SUBJECT) / "data"
    if data.is_mount():
        return
    world.stop(SUBJECT)
    away = data.with_name("data-away")
    data.rename(away)
    world.until_end.enter_context(small_disk(data, DISK_MIB))
    data.chmod(away.stat().st_mode & 0o7777)
    shutil.copytree(away, data, dirs_exist_ok=True)
    set_option(world.home(SUBJECT), "database", "min_free = 16")
    world.start(SUBJECT)
    world.until("the network is well", world.is_well)


def fills(world: World) -> None:
    path = fill(world.home(SUBJECT) / "data", leave=int(LOW * DISK_MIB * MIB))
    path.rename(path.with_name(BALLAST))


def room_made(world: World) -> None:
    """Old logs first, says the page."""
    world.growing.set()
    (world.home(SUBJECT) / "data" / BALLAST).unlink()


def grows(world: World) -> None:
    path = world.home(SUBJECT) / "data" / BALLAST
    world.growing = threading.Event()

    def grow(over: threading.Event = world.growing) -> None:
        with path.open("wb") as file:
            while not over.wait(0.5):
                file.write(bytes(GROWS_MIB_S * MIB // 2))
                file.flush()

    thread = threading.Thread(target=grow, name="grows", daemon=True)
    world.until_end.callback(world.growing.set)
    thread.start()


def own_memory(world: World) -> None:
    """The kernel's page that tells of memory is a file for this process: what it says can be set."""
    told = world.folder / "meminfo"
    told.write_text(Path("/proc/meminfo").read_text())
    process = world.processes[SUBJECT]
    world.stop(SUBJECT)
    process.within = (
        "unshare", "--mount", "--propagation", "private", "sh", "-c",
        f'mount --bind "{told}" /proc/meminfo && exec "$@"', "sh",
    )  # fmt: skip
    world.start(SUBJECT)
    world.until("the network is well", world.is_well)


def memory_goes(world: World) -> None:
    _tell(world.folder / "meminfo", 0.06)


def memory_back(world: World) -> None:
    _tell(world.folder / "meminfo", 0.6)


def _tell(told: Path, left: float) -> None:
    """In place: it is bound by its inode."""
    lines = told.read_text().splitlines()
    total = next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
    lines = [f"MemAvailable: {int(left * total)} kB" if line.startswith("MemAvailable:") else line for line in lines]
    with told.open("r+") as file:
        file.write("\n".join(lines) + "\n")
        file.truncate()


def plain_memory(world: World) -> None:
    world.stop(SUBJECT)
    world.processes[SUBJECT].within = ()
    world.start(SUBJECT)


def readers(world: World) -> None:
    """Programs that read the metrics without a pause."""
    url = f"http://{world.network.host}:{world.node(SUBJECT).ports.metrics}/metrics"
    running = world.processes[SUBJECT].running
    assert running is not None
    world.readers = subprocess.Popen(
        [sys.executable, "-c", READ, url, str(READERS)], stdin=subprocess.PIPE, start_new_session=True
    )
    for pid in (running.pid, world.readers.pid):  # other work on this machine must not keep them from a core each
        subprocess.run(["renice", "-n", "-10", "-p", str(pid)], check=False, capture_output=True)
    world.until_end.callback(no_readers, world)


def no_readers(world: World) -> None:
    running, world.readers = world.readers, None
    if running is not None:
        running.kill()
        running.wait()
