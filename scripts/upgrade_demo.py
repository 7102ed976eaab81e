"""What scripts/upgrade-demo does: four real processes, a vote, a height, two builds, and a loader all the while."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.tx.addresses import GOVERNANCE_ADDRESS
from chain.tx.messages import LANE_BRIDGE, CreateChannel, Payment, PostMessage, RegisterIdentity, channel_id
from chain.tx.messages.governance import YES, SubmitProposal, Vote
from chain.tx.messages.upgrade import SoftwareUpgrade
from consensus.mempool.admission.errors import CODESPACE
from crypto.hash import sha256
from dchat.client.client import ClientError, NodeUnreachable, NotFound
from dchat.client.wallet import Session
from dchat.devnet.leases import free_ports
from dchat.devnet.network import Network, Pace, load_network, make_network
from dchat.home import identity
from dchat.node.upgrade import EXIT_UPGRADE, INFO_FILE, file_sha256
from tests.support.upgrade.builds import SPRING, Daemon, until

ROOT = Path(__file__).resolve().parent.parent
PACE = Pace(block_time=500, timeout_propose=2_000, timeout_prevote=500, timeout_precommit=500, timeout_commit=100)
VOTING_S = 15
LATER_BLOCKS = 150  # the plan's height, ahead of the proposal: beyond the voting period
CODE_OK = 0
HAND_IN_S = 90
SWAPPING = 2  # validators that get the second build's file; they announce it, and swap by themselves
ANNOUNCE_S = 90  # for asking the file, which unpacks itself first, and a block or two
RECIPIENT = sha256(b"upgrade demo")[:20]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def build(output: Path, *options: object) -> Path:
    command = [str(ROOT / "scripts" / "build"), "--output", str(output), *map(str, options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    say(f"built {done.stdout.strip()}")
    return output


@dataclass
class Load:
    """Payments of one account, in order, each handed in again until a node has it. durable: ids that were promised."""

    daemons: list[Daemon]
    account: identity.Identity
    at: int  # the node that it talks to, as long as that answers
    rate: float
    durable: bool
    sent: dict[bytes, bytes] = field(default_factory=dict)  # what was answered "admitted", by its id
    settled: set[bytes] = field(default_factory=set)  # of them, in a block
    lost_admissions: int = 0  # handed in again, though admitted once
    promised: list[bytes] = field(default_factory=list)
    stopped: bool = False

    async def run(self) -> None:
        async with self.daemons[self.at].client as client:
            session = Session(client, self.account.wallet)
            while not self.stopped:
                tx = await session.build([Payment(self.account.address, RECIPIENT, 1)])
                await self.hand_in(tx)
                await asyncio.sleep(1 / self.rate)

    async def hand_in(self, tx: bytes) -> None:
        """To our node, or to the next that answers, until one has it. What an earlier stop lost goes before it."""
        turn = self.at
        deadline = time.monotonic() + HAND_IN_S
        why = "no answer"
        while time.monotonic() < deadline:
            try:
                async with self.daemons[turn].client as client:
                    answer = await client.broadcast(tx, durable=self.durable, deadline_s=5.0)
                if answer.code == CODE_OK:
                    if self.durable:
                        self.promised.append(answer.hash)
                    break
                why = answer.log
                if await self.is_committed(turn, sha256(tx)):
                    break
                if answer.codespace != CODESPACE:
                    await self.resend(turn)
            except NodeUnreachable:
                turn = (turn + 1) % len(self.daemons)
            await asyncio.sleep(0.1)
        else:
            raise SystemExit(f"a payment was not admitted within {HAND_IN_S} s: {why}")
        self.sent.setdefault(sha256(tx), tx)

    async def resend(self, turn: int) -> int:
        """Hand in again, in order, what was admitted and no block has: an admission is no promise."""
        again = 0
        async with self.daemons[turn].client as client:
            for tx_hash, tx in list(self.sent.items()):
                if tx_hash not in self.settled:
                    if await self.is_committed(turn, tx_hash):
                        self.settled.add(tx_hash)
                    else:
                        again += (await client.broadcast(tx, deadline_s=5.0)).code == CODE_OK
        self.lost_admissions += again
        return again

    async def is_committed(self, turn: int, tx_hash: bytes) -> bool:
        try:
            async with self.daemons[turn].client as client:
                await client.tx(tx_hash)
        except ClientError:
            return False
        return True

    async def settle(self) -> None:
        """Return when all that was admitted is in blocks."""
        for _ in range(60):
            await self.resend(0)
            if len(self.settled) == len(self.sent):
                return
            await asyncio.sleep(1)


async def set_plan(daemons: list[Daemon], second: Path, report: dict[str, Any]) -> int:
    """Propose the upgrade, vote for it with all validators' stakes; the other two announce. Returns its height."""
    network = daemons[0].network
    alice = identity.load(network.folder / network.accounts["alice"])
    async with daemons[0].client as client:
        height = (await client.status()).latest_block_height + LATER_BLOCKS
        plan = SoftwareUpgrade(
            GOVERNANCE_ADDRESS, "spring", height, "https://example.org/spring",
            (bytes.fromhex(file_sha256(second)),), 6_700, 20,
        )  # fmt: skip
        proposal = SubmitProposal(alice.address, "Spring", "Cheaper gas, more allowance", False, 10**7, (plan,))
        await Session(client, alice.wallet).send([proposal])
        say(f"proposed spring at height {height}")
        for daemon in daemons:
            operator = identity.load(daemon.home / "identity.json")
            await Session(client, operator.wallet).send([Vote(operator.address, 1, YES)], lane=LANE_BRIDGE)
    say("all four voted yes")
    for daemon in daemons[SWAPPING:]:  # the others have done it by themselves
        run(second, "upgrade", "ready", "--home", daemon.home, "--name", "spring")
    async with daemons[0].client as client:
        async with asyncio.timeout(VOTING_S + 30):
            while not (told := await client.upgrade()).HasField("plan"):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.5)
    report["plan"] = {"name": told.plan.name, "height": told.plan.height}
    report["ready_power"], report["total_power"] = told.ready_power, told.total_power
    say(f"the vote passed: plan {told.plan.name} at {told.plan.height}, ready {told.ready_power} of {told.total_power}")
    return int(told.plan.height)


def run(binary: Path, *arguments: object) -> str:
    done = subprocess.run([str(binary), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


async def announced_by_themselves(daemons: list[Daemon], report: dict[str, Any]) -> None:
    """Wait until the chain has heard from each of `daemons`: nobody types anything for them."""
    wanted = {bytes.fromhex(daemon.network.node(daemon.index).address) for daemon in daemons}
    async with daemons[0].client as client, asyncio.timeout(ANNOUNCE_S):
        while True:
            said = {row.address for row in (await client.upgrade()).validators if "spring" in row.names}
            if said >= wanted:
                break
            await asyncio.sleep(0.5)
    report["announced_by_themselves"] = len(said & wanted)
    say(f"{len(said & wanted)} of four validators announced by themselves that they can run spring")


def older_network(first: Path, folder: Path) -> Network:
    """Homes as the older build makes them."""
    run(first, "testnet", "--output", folder, "--block-time", "500ms", "--voting-period", f"{VOTING_S}s")
    return load_network(folder)


async def state_to_migrate(daemons: list[Daemon]) -> None:
    """Something on both machines."""
    network = daemons[0].network
    alice = identity.load(network.folder / network.accounts["alice"])
    async with daemons[0].client as client:
        session = Session(client, alice.wallet)
        await session.send([RegisterIdentity(alice.address, "alice", "Alice")])
        await session.send([CreateChannel(alice.address, "garden", 0, "what grows")])
        await session.send([PostMessage(alice.address, channel_id("garden"), b"snowdrops", 0)])


async def cross(
    daemons: list[Daemon], first: Path, second: Path, height: int, late: int, report: dict[str, Any]
) -> None:
    """Validators 1 and 2 swap by themselves; 3 by hand; 4 is started again `late` blocks after the height."""
    message = f'UPGRADE "spring" NEEDED at height: {height}'
    await until(lambda: all(daemon.said(message) for daemon in daemons), timeout_s=240)
    halted = time.monotonic()
    say(f"all four left consensus before {height}")
    code = await daemons[2].wait_exit()
    info = daemons[2].home / "data" / INFO_FILE
    report["manual"] = {"exit_code": code, INFO_FILE: json.loads(info.read_text())}
    assert code == EXIT_UPGRADE, code
    daemons[2].start(second)
    for daemon in daemons[:3]:
        await daemon.reach(height, timeout_s=120)
    report["back_after_s"] = round(time.monotonic() - halted, 2)
    say(f"three of four are past {height} with the second build")
    await daemons[0].reach(height + late, timeout_s=240)
    await daemons[3].wait_exit()
    daemons[3].start(second)
    started = time.monotonic()
    async with daemons[0].client as client:
        target = (await client.status()).latest_block_height
    await daemons[3].reach(target, timeout_s=120)
    report["straggler"] = {"blocks_late": target - height, "caught_up_after_s": round(time.monotonic() - started, 2)}
    say(f"the straggler caught up with {target}")


async def pauses(daemon: Daemon, height: int, report: dict[str, Any]) -> None:
    """From block times: between the last block of the first build and the first of the second; and usually."""
    times = {}
    async with daemon.client as client:
        for at in range(height - 12, height + 9):
            block = (await client.block(at)).block
            times[at] = block.header.time.ToNanoseconds()
    gaps = {at: (times[at] - times[at - 1]) / 1e9 for at in times if at - 1 in times}
    usual = sorted(gap for at, gap in gaps.items() if at < height)
    report["pause_s"] = round(max(gaps[at] for at in (height, height + 1, height + 2)), 2)
    report["usual_gap_s"] = round(usual[len(usual) // 2], 2)


async def compare(daemons: list[Daemon], loads: list[Load], height: int, report: dict[str, Any]) -> None:
    """Every node: the same app hash at every height, every transaction where the others have it, the new state."""
    async with daemons[0].client as client:
        latest = (await client.status()).latest_block_height
    for daemon in daemons:
        await daemon.reach(latest)
    hashes: dict[int, set[bytes]] = {}
    places: dict[bytes, set[tuple[int, int]]] = {tx_hash: set() for load in loads for tx_hash in load.sent}
    lost: set[str] = set()
    for daemon in daemons:
        async with daemon.client as client:
            async for block in client.stream_blocks(1):
                at = block.block.header.height
                hashes.setdefault(at, set()).add(block.app_hash)
                if at >= latest:
                    break
            for tx_hash, found in places.items():
                try:
                    answer = await client.tx(tx_hash)
                    found.add((answer.height, answer.code))
                except NotFound:
                    lost.add(tx_hash.hex())
            told = await client.upgrade()
            assert [(done.name, done.height) for done in told.done] == [("spring", height)], told
            wrong = [row.name for row in (await client.invariants()).invariants if not row.holds]
            assert not wrong, wrong
    async with daemons[3].client as client:
        topic = (await client.channel(name="garden")).channel.topic
        price = int(json.loads((await client.params()).json)["currency"]["params"]["gas_price"])
    report["migrated"] = {"topic": topic, "gas_price": price}
    report["heights"] = latest
    report["heights_with_differing_app_hash"] = [at for at, found in hashes.items() if len(found) != 1]
    report["txs"] = len(places)
    report["txs_before_the_height"] = sum(min(found)[0] < height for found in places.values() if found)
    report["txs_failed"] = sum(any(code for _, code in found) for found in places.values())
    report["txs_lost"] = sorted(lost)
    report["txs_placed_differently"] = [key.hex() for key, found in places.items() if len(found) > 1]
    promised = {tx_hash for load in loads for tx_hash in load.promised}
    report["durably_admitted"] = len(promised)
    report["durably_admitted_lost"] = sorted({one.hex() for one in promised} & lost)


async def demo(arguments: argparse.Namespace, folder: Path) -> bool:
    report: dict[str, Any] = {}
    os.environ.setdefault("DCHAT_CACHE_DIR", str(folder / "cache"))
    first = arguments.older or build(folder / "dchat-first")
    version = re.search(r'(?m)^version = "([^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert version is not None
    second = build(folder / "dchat-second", "--with-plan", SPRING, "--version", f"{version[1]}+spring")
    network = older_network(first, folder / "network") if arguments.older else make_network(
        folder / "network", pace=PACE, ports=free_ports(4),
        params={"governance": {"voting_period_s": str(VOTING_S), "expedited_voting_period_s": str(VOTING_S - 1)}},
    )  # fmt: skip
    daemons = [
        Daemon(network, index, folder / f"validator{index}.log", environment={"DCHAT_UPGRADE__SERVE_FOR": "1"})
        for index in (1, 2, 3, 4)
    ]
    swap = ("--upgrade-name", "spring", "--upgrade-binary", second)
    for daemon in daemons:
        daemon.start(first, *(swap if daemon in daemons[:SWAPPING] else ()))
    loads: list[Load] = []
    tasks: list[asyncio.Task[None]] = []
    try:
        for daemon in daemons:
            await daemon.reach(2, timeout_s=90)
        say("four validators make blocks with the first build")
        await state_to_migrate(daemons)
        accounts = [identity.load(network.folder / network.accounts[name]) for name in ("bob", "carol", "dave")]
        loads = [
            Load(daemons, account, at, arguments.rate / 3, durable)
            for account, at, durable in zip(accounts, (0, 1, 2), (False, True, True), strict=True)
        ]
        tasks = [asyncio.create_task(load.run()) for load in loads]
        await announced_by_themselves(daemons[:SWAPPING], report)
        height = await set_plan(daemons, second, report)
        await cross(daemons, first, second, height, arguments.blocks_late, report)
        await pauses(daemons[0], height, report)
        for load in loads:
            load.stopped = True
        await asyncio.wait(tasks, timeout=60)
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(3)
        for load in loads:
            await load.settle()
        report["admissions_handed_in_again"] = sum(load.lost_admissions for load in loads)
        await asyncio.sleep(3)
        await compare(daemons, loads, height, report)
    finally:
        for task in tasks:
            task.cancel()
        for daemon in daemons:
            daemon.kill()
    wrong = ("heights_with_differing_app_hash", "txs_lost", "txs_placed_differently", "durably_admitted_lost")
    report["ok"] = not any(report[name] for name in wrong) and not report["txs_failed"]
    report["ok"] = report["ok"] and report["announced_by_themselves"] == SWAPPING
    print(json.dumps(report, indent=2))
    return bool(report["ok"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/upgrade-demo", description=__doc__)
    parser.add_argument("--folder", type=Path, help="for builds, homes and logs; default: a temporary one")
    parser.add_argument(
        "--from", dest="older", type=Path, metavar="FILE",
        help="an older build's executable (its scripts/build makes one): it is the first build, and makes the homes",
    )  # fmt: skip
    parser.add_argument("--blocks-late", type=int, default=20, help="of the straggler (20)")
    parser.add_argument("--rate", type=float, default=20.0, help="payments a second (20)")
    parser.add_argument("--keep", action="store_true", help="do not remove the temporary folder")
    arguments = parser.parse_args()
    if arguments.older is not None:
        arguments.older = arguments.older.resolve()
        if not arguments.older.is_file() or not os.access(arguments.older, os.X_OK):
            parser.error(f"--from {arguments.older}: no executable file; an older tree's scripts/build makes one")
    if arguments.folder is not None or arguments.keep:
        folder = arguments.folder or Path(tempfile.mkdtemp(prefix="dchat-upgrade-"))
        folder.mkdir(parents=True, exist_ok=True)
        say(f"working in {folder}")
        sys.exit(not asyncio.run(demo(arguments, folder.resolve())))
    with tempfile.TemporaryDirectory(prefix="dchat-upgrade-") as name:
        sys.exit(not asyncio.run(demo(arguments, Path(name))))


if __name__ == "__main__":
    main()
