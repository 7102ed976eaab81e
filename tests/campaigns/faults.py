"""Must be shown: the machine fails a node, and nothing is lost.

Four validators, each a process over a layer of faults, under payments whose receipts are kept. One after the other each
file of a node is refused (a full disk), then the whole disk of all four fills, handles run out, clocks are an hour off
either way and jump. A node ends with its code and a sentence, or goes on and says so; the others do not pause for long;
when the cause is gone it is started and follows. At the end every receipt is found on every node, all nodes have equal
hashes, and no two signatures of one key for one height, round and step are in all logs together.

Needs gcc; a small disk needs the right to mount, and is left out aloud without it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import resource
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from chain.tx.messages import Payment
from consensus.system.machine import EXIT_MACHINE
from dchat.client.client import Client, ClientError
from dchat.client.wallet import Session, TxRefused
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Pace, make_network
from dchat.home import identity
from tests.campaigns.harness import CampaignFailed, Testnet, folder_of, run_campaign, say, until
from tests.campaigns.logs import double_signatures
from tests.support.node.machine import CannotFault, Faults, Process, fault_layer, fill, small_disk

NODES = 4
BACK_S = 60.0  # until a node that was started again is level with the others
ENDS_S = 30.0  # until one that must end has ended
LEVEL = 2  # heights
PAUSE_S = 1.0  # between two payments
FLOOD = 1_500  # connections at one door
HOUR_S = 3_660  # and a minute, so that the sentence has a number of its own

# A file that is refused, and what a node does without it: it ends, or it says this.
FATAL = ("/data/app/", "/data/blocks/", "/data/state/", "/data/cs.wal/", "/data/priv_validator_state.json")
GOES_ON = {
    "/data/snapshots/": "failed to take a snapshot; the chain goes on",
    "/config/addrbook": "failed to save the address book",
    "/data/mempool.journal": "",  # who asked for a durable admission is told
}


class Four(Testnet):
    """A network whose processes are this one's, each over its layer of faults."""

    __test__ = False

    def __init__(self, home: Path, layer: Path, logs: Path, options: str = "") -> None:
        super().__init__(home)
        self.layer, self.logs, self._options = layer, logs, options
        self.processes: dict[int, Process] = {}
        self.faults: dict[int, Faults] = {}

    def __enter__(self) -> Self:
        pace = Pace(block_time=250, timeout_propose=1_000, timeout_prevote=200, timeout_precommit=200, timeout_commit=0)
        self.network = make_network(self.home, validators=NODES, pace=pace, ports=free_ports(NODES))
        for node in self.nodes:
            home = self.network.home_of(node)
            with (home / "validator-config.toml").open("a") as file:
                file.write(self._options)
            faults = Faults(self.layer, self.logs / f"{node.name}.faults")
            self.faults[node.index] = faults
            self.processes[node.index] = Process(home, self.logs / f"{node.name}.log", env=faults.env)
        try:
            for index in self.processes:
                self.start(index)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for process in self.processes.values():
            process.close()

    def start(self, index: int) -> None:
        self.processes[index].start(wait=False)

    def stop(self, index: int) -> None:
        code = self.processes[index].stop()
        if code:
            raise CampaignFailed(f"validator {index} stopped with {code}: {self.processes[index].last_line}")

    async def heights(self, *but: int) -> list[int]:
        return [await self.height(node.index) for node in self.nodes if node.index not in but]

    async def goes_on(self, *but: int, timeout_s: float = 60) -> None:
        """All but these make three more blocks."""
        before = max(await self.heights(*but))

        async def more() -> bool:
            return min(await self.heights(*but)) >= before + 3

        await until("three more blocks", more, timeout_s=timeout_s)

    async def is_back(self, index: int) -> float:
        """Returns after how many seconds it is level with the others."""

        async def level() -> bool:
            if (code := self.processes[index].code) is not None:
                raise CampaignFailed(f"validator {index} ended with {code}: {self.processes[index].last_line}")
            heights = await self.heights()
            return 0 <= max(heights) - heights[index - 1] <= LEVEL

        return await until(f"validator {index} is level", level, timeout_s=BACK_S)

    async def ends(self, index: int, said: tuple[str, ...]) -> str:
        """It ends by itself with the machine's code and a sentence with all of `said`; returns that."""
        process = self.processes[index]

        async def over() -> bool:
            return process.code is not None

        await until(f"validator {index} ends ({process.last_line[:200]})", over, timeout_s=ENDS_S)
        if process.code != EXIT_MACHINE or any(part not in process.last_line for part in said):
            raise CampaignFailed(f"validator {index} ended with {process.code}: {process.last_line}; wanted: {said}")
        return process.last_line


@dataclass
class Payments:
    """Pays through one node after the other, and keeps what each receipt says."""

    net: Four
    receipts: dict[str, int] = field(default_factory=dict)  # transaction -> height
    refused: int = 0

    async def run(self) -> None:
        accounts = {name: identity.load(self.net.home / file) for name, file in self.net.network.accounts.items()}
        alice, bob = accounts["alice"], accounts["bob"]
        number = 0
        while True:
            node = self.net.nodes[number % NODES]
            number += 1
            with contextlib.suppress(ClientError, TimeoutError, OSError, TxRefused):
                async with Client(self.net.grpc(node.index)) as client, asyncio.timeout(10):
                    paid = await Session(client, alice.wallet).send([Payment(alice.address, bob.address, number)])
                    self.receipts[paid.hash.hex()] = paid.height
                    await asyncio.sleep(PAUSE_S)
                    continue
            self.refused += 1
            await asyncio.sleep(PAUSE_S)

    async def has_begun(self) -> bool:
        return len(self.receipts) > 1

    async def all_there(self) -> int:
        """Every receipt is of a transaction that every node has at that height."""
        for node in self.net.nodes:
            async with Client(self.net.grpc(node.index)) as client:
                for digest, height in self.receipts.items():
                    found = await client.tx(bytes.fromhex(digest))
                    if found.height != height:
                        raise CampaignFailed(f"{node.name} has {digest} at {found.height}, acknowledged at {height}")
        return len(self.receipts)


Act = Callable[[Four], Awaitable[None]]


async def files(net: Four) -> None:
    """Each file of one node after the other."""
    for number, text in enumerate(FATAL):
        index = 1 + number % NODES
        net.faults[index].refuse(f"{net.network.node(index).name}{text}", errno.ENOSPC)
        began = time.monotonic()
        await net.ends(index, ("the disk is full", text))
        took = time.monotonic() - began
        await net.goes_on(index)
        net.faults[index].clear()
        net.start(index)
        back = await net.is_back(index)
        say(f"  {text}: validator {index} ended with 75 after {took:.1f} s, back {back:.1f} s after its start")
    for number, (text, line) in enumerate(GOES_ON.items()):
        index = 1 + number % NODES
        process = net.processes[index]
        net.faults[index].refuse(f"{net.network.node(index).name}{text}", errno.ENOSPC)
        if line:

            async def said(process: Process = process, line: str = line) -> bool:
                return line in process.text

            await until(f"validator {index} says: {line}", said, timeout_s=150)
        await net.goes_on()
        if process.code is not None:
            raise CampaignFailed(f"validator {index} ended without {text}: {process.last_line}")
        net.faults[index].clear()
        say(f"  {text}: validator {index} goes on{' and says so' if line else ''}")


async def read_only(net: Four) -> None:
    """The kernel turns a disk read-only under a node."""
    net.faults[2].refuse(f"{net.network.node(2).name}/data/", errno.EROFS)
    line = await net.ends(2, ("the file system is read-only",))
    net.start(2)
    await net.ends(2, ("the file system is read-only",))
    net.faults[2].clear()
    net.start(2)
    say(f"  read-only: ended with 75 twice, back {await net.is_back(2):.1f} s after its start: {line[:90]}...")


def _in_queue(host: str, port: int) -> int:
    """Connections that a listener has not taken yet: Linux tells them as its receive queue."""
    place = f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if (words[1], words[3]) == (place, LISTENS):
            return int(words[4].partition(":")[2], 16)
    return 0


CHOSEN_S = 5.0
LISTENS = "0A"  # the state of a socket in /proc/net/tcp


@contextlib.contextmanager
def flood(host: str, port: int, number: int) -> Iterator[int]:
    """So many connections that say nothing; yields how many, once the door has looked at all of them, or has not for
    CHOSEN_S: one that lacks handles leaves the rest where they are."""
    held: list[socket.socket] = []
    try:
        for _ in range(number):
            one = socket.socket()
            held.append(one)
            one.setblocking(False)
            one.connect_ex((host, port))
        deadline = time.monotonic() + CHOSEN_S
        while _in_queue(host, port) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield len(held)
    finally:
        for one in held:
            one.close()


async def handles(net: Four) -> None:
    """A node of few handles, all doors flooded; then fewer than it has open already."""
    process, entry = net.processes[3], net.network.node(3)
    net.stop(3)
    process.handles = 700
    net.start(3)
    await net.is_back(3)
    with contextlib.ExitStack() as stack:
        for port in (entry.ports.p2p, entry.ports.http, entry.ports.grpc, entry.ports.metrics):
            await asyncio.to_thread(stack.enter_context, flood(net.network.host, port, FLOOD))
        await net.goes_on(3)
        height, cpu = _cpu_s(process), time.monotonic()
        await net.goes_on(3)
        share = (_cpu_s(process) - height) / (time.monotonic() - cpu)
        if process.code is not None:
            raise CampaignFailed(f"validator 3 ended: {process.last_line}")
    say(f"  700 handles, {4 * FLOOD} connections: it goes on, {100 * share:.0f} % of a core, "
        f"back {await net.is_back(3):.1f} s after")  # fmt: skip
    assert process.running is not None
    pid = process.running.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (20, hard))
    await asyncio.sleep(5)
    await net.goes_on(3)
    if process.code is None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        how = "went on"
    else:
        how = await net.ends(3, ("too few file handles",))
        net.start(3)
    say(f"  no handle left: {how[:100]}; back {await net.is_back(3):.1f} s after")
    net.stop(3)
    process.handles = 0
    net.start(3)
    await net.is_back(3)


def _cpu_s(process: Process) -> float:
    """That it has used so far."""
    assert process.running is not None
    fields = Path(f"/proc/{process.running.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def clocks(net: Four) -> None:
    """An hour ahead, an hour behind, back and forth, 1970; then all four alike, and then all four different."""
    for index, ahead_s, said in (
        (1, HOUR_S, "61 minutes ahead"), (2, -HOUR_S, "61 minutes behind"), (3, -int(time.time()), "days behind"),
    ):  # fmt: skip
        net.faults[index].set_clock(ahead_s)
        process = net.processes[index]

        async def tells(index: int = index, said: str = said) -> bool:
            answer = await asyncio.to_thread(net.get, index, "/ready")
            return answer["ready"] and said in answer.get("failing", {}).get("clock", "")

        await until(f"validator {index} says that its clock is {said}", tells, timeout_s=60)
        await net.goes_on()
        net.stop(index)
        net.start(index)
        back = await net.is_back(index)
        net.faults[index].clear()

        async def well(index: int = index) -> bool:
            return "clock" not in (await asyncio.to_thread(net.get, index, "/ready")).get("failing", {})

        await until(f"validator {index} is well again", well, timeout_s=60)
        blamed = [one for one in net.processes if one != index and "this machine's clock is off" in _new(net, one)]
        if blamed:
            raise CampaignFailed(f"validators {blamed} say that their clocks are off; {index}'s is")
        say(f"  validator {index} is {said}: says so, is ready, is back {back:.1f} s after a start, is well after")
        assert process.code is None
    for ahead_s in (HOUR_S, -HOUR_S, 86_400, -86_400, 0):
        net.faults[4].set_clock(ahead_s)
        await net.goes_on()
    for index in net.faults:
        net.faults[index].set_clock(HOUR_S)
    await net.goes_on()
    say("  one jumps back and forth by an hour and a day, then all are an hour ahead: blocks come")
    for index, ahead_s in ((1, 0), (2, HOUR_S), (3, -HOUR_S), (4, 86_400)):
        net.faults[index].set_clock(ahead_s)
    await net.goes_on()
    for faults in net.faults.values():
        faults.clear()
    await net.goes_on()
    say("  no two agree: blocks come")


_SEEN: dict[int, int] = {}


def _new(net: Four, index: int) -> str:
    """What a node said since this was asked last."""
    text = net.processes[index].text
    seen = _SEEN.get(index, 0)
    _SEEN[index] = len(text)
    return text[min(seen, len(text)) :]


async def full(net: Four) -> None:
    """All four lie on one disk, which fills to its last byte. Who has nothing to write waits for the others."""
    filler = await asyncio.to_thread(fill, net.home)

    async def stands() -> bool:
        return sum(process.code is None for process in net.processes.values()) < NODES * 2 / 3

    await until("the network stands", stands, timeout_s=ENDS_S)
    filler.unlink()
    lines: list[str] = []
    before = max(await net.heights())

    async def go_on() -> bool:
        """Who ended is started, also one whose write failed just before there was room and that ends only now."""
        for index, process in net.processes.items():
            if process.code is not None:
                lines.append(await net.ends(index, ("the disk is full",)))
                net.start(index)
        return min(await net.heights()) >= before + 3

    await until("three more blocks", go_on, timeout_s=90)
    say(f"  all four on a full disk: {len(lines)} ended with 75, and they go on together: {lines[0][:90]}...")


async def judge(net: Four, paid: Payments) -> None:
    for node in net.nodes:
        await net.is_back(node.index)
    found = await paid.all_there()
    compared = await net.check_agreement()
    for node in net.nodes:
        net.stop(node.index)
    slots, twice = double_signatures(net.homes)
    if twice:
        raise CampaignFailed("signed twice: " + "; ".join(twice[:5]))
    say(
        f"{found} receipts found on every node ({paid.refused} payments were not acknowledged), equal hashes at "
        f"{compared} heights; {slots} signatures in all logs, none twice"
    )


async def run(home: Path, logs: Path, acts: list[Act], options: str = "") -> None:
    try:
        layer = fault_layer(logs)
    except CannotFault as error:
        raise CampaignFailed(f"no fault can be put under a process: {error}") from None
    with Four(home, layer, logs, options) as net:
        await net.goes_on(timeout_s=120)
        paid = Payments(net)
        async with asyncio.TaskGroup() as tasks:
            paying = tasks.create_task(paid.run())
            await until("two payments have their receipts", paid.has_begun, timeout_s=60)
            for act in acts:
                say(f"{act.__name__}:")
                await act(net)
            paying.cancel()
        await judge(net, paid)


ACTS: dict[str, Act] = {"files": files, "read-only": read_only, "handles": handles, "clocks": clocks}
OPTIONS = "\n[snapshots]\ninterval = 20\n"


async def main(arguments: argparse.Namespace) -> None:
    wanted = arguments.only or [*ACTS, "full"]
    with folder_of("faults") as folder:
        if acts := [ACTS[name] for name in wanted if name in ACTS]:
            (folder / "logs").mkdir()
            await run(folder / "net", folder / "logs", acts, OPTIONS)
        if "full" in wanted:
            (folder / "full-logs").mkdir()
            try:
                with small_disk(folder / "disk", 96) as disk:
                    await run(disk / "net", folder / "full-logs", [full], "\n[database]\nmin_free = 0\n")
            except CannotFault as error:
                say(f"full: LEFT OUT, no small disk can be had here: {error}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=[*ACTS, "full"], help="repeat for more; all without it")
    run_campaign(main(parser.parse_args()))
