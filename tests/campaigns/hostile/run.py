"""Runs cases against networks of real processes, and judges them by one list of laws."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from consensus.formats.timestamps import parse_rfc3339
from consensus.p2p.conn.node_key import NodeKey
from dchat.devnet.network import Pace as Timeouts
from dchat.devnet.network import Ports, make_network
from dchat.devnet.processes import undisturbed
from tests.campaigns.harness import ROOT, CampaignFailed, Testnet, until
from tests.campaigns.hostile.cases import ALL, Case
from tests.campaigns.hostile.observe import Logs, Pace, Watch, stop_by_signal
from tests.campaigns.hostile.wire import STOCK_CHANNELS, Target, Wire, faults, plain_info

PACE_MIN = 0.8
MEMORY_MB_MAX = 100.0  # above what it was, when the attack is over
PEAK_MB_MAX = 400.0  # above what it was, while it goes on
STOP_S = 10.0
SETTLE_S = 20.0
END_S = 15.0  # for a helper to say what it did
OPERATOR = 4  # the validator whose key is the attacker's, where it has one
OBSERVER_SEED = bytes(31) + b"\x2a"
LOAD_PER_S = 24
TIMEOUTS_MS = (1_000, 400, 400, 200, 50)  # propose, prevote, precommit, delta, commit
ATTEMPTS = 2  # of a pace that fell: other work on the machine is no attack
LONGER = 15  # times as long is a second look in a brief run
HOSTS, HOSTS_MANY = 8, 200  # addresses that an attacker has; where a host is kept away it is not the end of him
OBSERVER_HOST = "127.0.0.77"  # of its own: who shares a host with an attacker may be refused with him
REACHED = ("connected", "authenticated", "handshakes", "opened", "half open", "slow peers", "streams", "requests")


class Net(Testnet):
    """A test network that is attacked."""

    def __exit__(self, *_: object) -> None:
        """Stop all; what an attack left unable to stop is killed."""
        try:
            self.run("stop")
        except (CampaignFailed, subprocess.TimeoutExpired):
            with undisturbed():
                for node in self.nodes:
                    with contextlib.suppress(CampaignFailed, ProcessLookupError):
                        os.kill(self.pid(node.index), signal.SIGKILL)

    def target(self, index: int) -> Target:
        node = self.network.node(index)
        ports = node.ports
        return Target(node.name, self.network.host, node.node_id, ports.p2p, ports.http, ports.grpc, ports.metrics)


class Helper:
    """A process that does one thing after the other: begins when told, ends when told, says in JSON what it did."""

    def __init__(self, module: str, specs: list[dict[str, Any]], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{module}-{time.monotonic_ns()}.json"
        path.write_text(json.dumps(specs))
        self._errors = path.with_suffix(".err")
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"tests.campaigns.hostile.{module}", str(path)],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
            )  # fmt: skip

    async def ready(self) -> None:
        if await self._line() != b"ready\n":
            self.close()
            raise CampaignFailed(f"a helper did not start:\n{self._errors.read_text()}")

    async def _line(self) -> bytes:
        assert self.process.stdout is not None
        return await asyncio.to_thread(self.process.stdout.readline)

    def _tell(self) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(b"x")

    def go(self) -> None:
        self._tell()

    async def end(self) -> dict[str, Any]:
        """What it told of what it did."""
        self._tell()
        line = await self._line()
        if not line:
            return {"count": {}, "cpu": 0.0, "error": f"said nothing: {self._errors.read_text()[-300:]}"}
        return dict(json.loads(line))

    async def ended(self) -> dict[str, Any]:
        """As `end`, within a bounded time."""
        try:
            async with asyncio.timeout(END_S):
                return await self.end()
        except TimeoutError:
            self.process.kill()  # lets go of the thread that waits for its line
            return {"count": {}, "cpu": 0.0, "error": "did not end"}

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


async def end_all(helpers: Iterable[Helper]) -> list[dict[str, Any]]:
    """What each told; none of them is left."""
    found = []
    for helper in helpers:
        try:
            found.append(await helper.ended())
        finally:
            helper.close()
    return found


@dataclass
class Result:
    """failures: the laws that were broken; empty when it went well."""

    case: Case
    failures: list[str] = field(default_factory=list)
    calm: Pace | None = None
    attacked: Pace | None = None
    after: Pace | None = None
    memory_mb: float = 0.0  # growth, of the node that grew most
    peak_mb: float = 0.0
    sent_mb: float = 0.0
    attacker_cpu: float = 0.0
    stop_s: float = -1.0
    told: dict[str, Any] = field(default_factory=dict)
    control: str = ""

    def line(self) -> str:
        def share(now: Pace | None) -> str:
            if now is None or self.calm is None or not self.calm.blocks:
                return "-"
            return f"{now.blocks / self.calm.blocks:.0%}"

        word = "FAILED" if self.failures else "ok"
        return (
            f"{word:6} {self.case.name:22} pace {share(self.attacked):>5} after {share(self.after):>5} "
            f"memory {self.memory_mb:+5.0f} peak {self.peak_mb:+5.0f} MB  sent {self.sent_mb:5.1f} MB "
            f"cpu {self.attacker_cpu:.2f} stop {self.stop_s:4.1f} s{self.control}"
        )

    def row(self) -> dict[str, Any]:
        def told(pace: Pace | None) -> list[float] | None:
            return None if pace is None else [round(pace.blocks, 2), round(pace.payments, 2), round(pace.slowest_s, 2)]

        return {
            "case": self.case.name, "ok": not self.failures, "failures": self.failures, "calm": told(self.calm),
            "attacked": told(self.attacked), "after": told(self.after), "memory_mb": round(self.memory_mb),
            "peak_mb": round(self.peak_mb), "sent_mb": round(self.sent_mb, 1), "cpu": round(self.attacker_cpu, 2),
            "stop_s": round(self.stop_s, 1), "told": self.told, "control": self.control,
        }  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """How long and how strictly. seconds: of each phase. stop: try SIGTERM under attack, too."""

    seconds: float = 10.0
    seed: int = 1
    pace_min: float = PACE_MIN
    stop: bool = True
    root: Path = ROOT
    record_s: float = 5.0  # of honest traffic, for replays
    block_ms: int = 500  # between blocks; 0: `--fast`, where every CPU of the machine is busy before the attack


class Arena:
    """One network, and the cases that are run against it one after the other while it is well."""

    def __init__(self, net: Net, rules: Rules, folder: Path, nodes: tuple[int, ...]) -> None:
        self.net, self.rules, self.folder, self.nodes = net, rules, folder, nodes
        self.watch, self.logs = Watch(net, nodes), Logs(net, nodes)
        self.well = True
        self._uses = 0
        self.keep = False  # the attacker goes on to the next case
        self.recorded = folder / "recorded.txt"
        self._calm: Pace | None = None
        self._observer_id = NodeKey.from_seed(OBSERVER_SEED).id
        self._honest = {node.node_id for node in net.nodes if node.index in nodes} | {self._observer_id}

    # ------------------------------------------------------------------------------------------------- helpers

    def _spec(self, case: Case, number: int) -> dict[str, Any]:
        net = self.net
        args = dict(case.args)
        args.setdefault("validators", [node.address for node in net.nodes])
        args.setdefault("ids", sorted(self._honest))
        args.setdefault("ports", [node.ports.p2p for node in net.nodes] + [node.ports.http for node in net.nodes])
        hosts = [OBSERVER_HOST] if case.attack == "observe" else self._hosts(HOSTS_MANY if case.hosts else HOSTS)
        return {
            "attack": case.attack, "args": args, "targets": [vars(net.target(index)) for index in case.targets],
            "chain_id": net.network.chain_id, "seed": self.rules.seed * 1_000 + number,
            "rate": case.rate // case.processes, "recorded": str(self.recorded),
            "validator_home": str(net.network.home_of(net.network.node(OPERATOR))) if case.needs == "validator" else "",
            "sources": hosts,
        }  # fmt: skip

    def _hosts(self, count: int) -> list[str]:
        """Addresses that nobody used before."""
        self._uses += 1
        return [f"127.{10 + self._uses % 240}.{number}.{1 + self._uses // 240}" for number in range(1, count + 1)]

    async def _attackers(self, case: Case) -> list[Helper]:
        helpers = [Helper("attacker", [self._spec(case, number)], self.folder) for number in range(case.processes)]
        for helper in helpers:
            await helper.ready()
        return helpers

    async def _observer(self, record: Path | None = None) -> Helper:
        args = {"seed": OBSERVER_SEED.hex(), "record": str(record or "")}
        case = Case("observer", "", "observe", "", args=args, targets=self.nodes)
        (helper,) = await self._attackers(case)
        helper.go()
        return helper

    async def _load(self) -> Helper:
        net = self.net
        names = list(net.network.accounts)
        doors = [
            [f"door {index}", net.grpc(index), str(net.home / net.network.accounts[names[number % len(names)]])]
            for number, index in enumerate(self.nodes)
        ]
        helper = Helper("load", [{"doors": doors, "rate": LOAD_PER_S}], self.folder)
        await helper.ready()
        helper.go()
        return helper

    async def _honest_are_there(self) -> None:
        """The observer is connected to every node, and the load's payments are committed."""
        before = await self.watch.statuses()

        async def are_there() -> bool:
            known = [await self.watch.peers_of(index) for index in self.nodes]
            now = await self.watch.statuses()
            paid = [
                int(now[i]["committed_transactions"]) > int(before[i]["committed_transactions"])
                for i in now
                if i in before
            ]
            return all(self._observer_id in peers for peers in known) and any(paid)

        await until("the observer and the load", are_there, timeout_s=20)

    async def record(self, seconds: float) -> None:
        """Honest traffic into a file, for replays."""
        load = await self._load()
        observer = await self._observer(self.recorded)
        await asyncio.sleep(seconds)
        await end_all((observer, load))

    # --------------------------------------------------------------------------------------------------- a case

    async def run(self, case: Case) -> Result:
        result = Result(case)
        helpers = await self._attackers(case)
        load, observer = await self._load(), await self._observer()
        try:
            await self._attack(case, result, helpers)
            await self._aftermath(case, result)
        finally:
            observed, paid = await end_all((observer, load))
        self._judge_strangers(case, result, observed, paid)
        if self.well and self._slow(result) and not result.failures:
            await self._compare(case, result)
        if self.rules.stop and self.well and case.targets:
            await self._stop_under_attack(case, result)
        return result

    async def run_briefly(
        self, cases: list[Case], told: Callable[[Result], None] = lambda result: None
    ) -> list[Result]:
        """For CI: one load and one observer for all cases, no comparison of paces beyond `pace_min` (where one fell
        below, the attack is repeated for longer), one stop at the end. Ends at the first case that leaves the network
        unwell. told: hears of each when it is done."""
        results: list[Result] = []
        specs = [self._spec(case, 0) for case in (*cases, cases[-1])]
        attacker = Helper("attacker", specs, self.folder)
        await attacker.ready()
        load, observer = await self._load(), await self._observer()
        self.keep = True
        for case in cases:
            result = Result(case)
            results.append(result)
            await self._attack(case, result, [attacker])
            await self._aftermath(case, result)
            if self.well and self._slow(result):
                brief, result.attacked = result.attacked, await self._pace_attacked(case, LONGER * self.rules.seconds)
                if self._slow(result):
                    result.failures.append(f"pace {brief}, in a longer look {result.attacked}; calm {result.calm}")
            if not self.well:
                break
            if case is not cases[-1]:
                told(result)
        observed, paid = await end_all((observer, load))
        self._judge_strangers(cases[-1], results[-1], observed, paid)
        if self.well:
            await self._stop_under_attack(cases[-1], results[-1], [attacker])
        else:
            attacker.close()
        told(results[-1])
        return results

    async def _attack(self, case: Case, result: Result, helpers: list[Helper]) -> None:
        if self._calm is None:
            try:
                await self._honest_are_there()
            except CampaignFailed as error:
                result.failures.append(str(error))
            self._calm = await self.watch.pace(self.rules.seconds)
        result.calm = self._calm
        before = self.watch.memory()
        self.logs.mark()
        self.watch.begin()
        for helper in helpers:
            helper.go()
        ready = asyncio.create_task(self._stays_ready(case)) if case.ready else None
        result.attacked = await self.watch.pace(self.rules.seconds)
        if ready is not None:
            ready.cancel()
            result.failures += await ready
        logged = {index: self.logs.size(index) for index in self.nodes}
        told = await end_all(helpers) if len(helpers) > 1 or not self.keep else [await helpers[0].ended()]
        settled = await self._settle(before)
        self.watch.end()
        result.memory_mb = max(settled[index] - before[index] for index in self.nodes)
        result.peak_mb = max(self.watch.peak[index] - before[index] for index in self.nodes)
        result.attacker_cpu = sum(one.get("cpu", 0.0) for one in told)
        for one in told:
            for name, count in one["count"].items():
                result.told[name] = result.told.get(name, 0) + count
            if one.get("error"):
                result.failures.append(f"the attacker failed itself: {one['error'][:300]}")
        if not any(name in REACHED or name.startswith("answered") for name in result.told):
            result.failures.append("the attack reached nobody")
        result.sent_mb = result.told.get("bytes", 0) / 1e6
        blocks = result.attacked.blocks * result.attacked.seconds
        for index, size in logged.items():
            beside = (size - 400 * blocks) / result.attacked.seconds
            if beside > case.log_bytes_max:
                result.failures.append(f"node {index} logged {beside / 1e3:.0f} kB/s beside its blocks")

    async def _stays_ready(self, case: Case) -> list[str]:
        failures: set[str] = set()
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(0.5)
                for index in case.targets:
                    with contextlib.suppress(OSError, ValueError):
                        told = await asyncio.to_thread(self.net.get, index, "/ready", 5.0)
                        if not told.get("ready"):
                            failures.add(f"node {index} is not ready: {told.get('reason')}"[:100])
        return sorted(failures)[:2]

    async def _settle(self, before: dict[int, float]) -> dict[int, float]:
        deadline = time.monotonic() + SETTLE_S
        while True:
            now = self.watch.memory()
            over = [index for index in self.nodes if now[index] - before[index] > MEMORY_MB_MAX]
            if (not over and await self.watch.caught_up(3.0)) or time.monotonic() > deadline or self.watch.dead():
                return now
            await asyncio.sleep(0.5)

    async def _aftermath(self, case: Case, result: Result) -> None:
        dead = self.watch.dead()
        for index in dead:
            last = self.logs.lines(index)[-1:] or [""]
            result.failures.append(f"node {index} ended: {last[0][-200:]}")
        stuck = not dead and not await self.watch.caught_up(10.0)
        if stuck:
            heights = await self.watch.heights()
            result.failures.append(f"10 s after the attack the nodes do not go on together: heights {heights}")
        if not dead and not stuck:
            result.after = await self.watch.pace(self.rules.seconds)
            result.failures += await self._peers()
            result.failures += await self._agreement(case)
        strange, done = self.logs.judged(set() if dead else self._honest)
        result.failures += strange
        result.told["done to it"] = dict(done.most_common(6))
        self.well = not dead and not result.failures
        self._calm = result.after if self.well else None
        if case.drops and not done:
            result.failures.append("the attacker was never dropped")
        if result.memory_mb > MEMORY_MB_MAX:
            result.failures.append(f"memory grew by {result.memory_mb:.0f} MB; allowed: {MEMORY_MB_MAX:.0f}")
        if result.peak_mb > PEAK_MB_MAX:
            result.failures.append(f"memory peaked {result.peak_mb:.0f} MB higher; allowed: {PEAK_MB_MAX:.0f}")

    async def _peers(self) -> list[str]:
        """Every honest node is connected to every other one, and the observer may come back."""
        failures = []
        honest = {node.node_id for node in self.net.nodes if node.index in self.nodes}
        for index in self.nodes:
            missing = honest - {self.net.network.node(index).node_id} - await self.watch.peers_of(index)
            if missing:
                failures.append(f"node {index} lost {len(missing)} honest peers")
        return failures

    async def _agreement(self, case: Case) -> list[str]:
        answers = []
        for index in self.nodes:
            with contextlib.suppress(OSError, ValueError):
                answers.append(
                    (await asyncio.to_thread(self.net.get, index, "/chain/blocks?limit=100", 10.0))["blocks"]
                )
        if len(answers) < len(self.nodes):
            return ["a node does not say its blocks"]
        tables = [{block["height"]: (block["hash"], block["app_hash"]) for block in blocks} for blocks in answers]
        common = set.intersection(*(set(table) for table in tables))
        failures = [f"nodes differ at {height}" for height in common if len({table[height] for table in tables}) > 1]
        if not common:
            failures.append("the nodes have no height in common")
        if case.times:
            newest = max(answers[0], key=lambda block: block["height"])["time"]
            away = abs(time.time() - _seconds(newest))
            if away > 30:
                failures.append(f"the newest block's time is {away:.0f} s away from the clock")
        return failures

    def _judge_strangers(self, case: Case, result: Result, observed: dict[str, Any], paid: dict[str, Any]) -> None:
        lost = {name: times for name, times in observed["count"].items() if "dropped" in name or "refused" in name}
        if lost and not self.watch.dead():
            result.failures.append(f"the honest observer was lost: {lost}")
        result.told["payments"] = paid["count"]
        if result.calm is None or result.attacked is None or result.after is None or result.failures:
            return
        if result.after.blocks < self.rules.pace_min * result.calm.blocks:
            result.control += f" [afterwards {result.after.blocks / max(result.calm.blocks, 0.01):.0%}]"
            if result.after.blocks < 0.6 * result.calm.blocks:
                result.failures.append(f"afterwards the pace is {result.after}, before it was {result.calm}")

    def _slow(self, result: Result) -> list[str]:
        """Which pace fell below its share."""
        if result.calm is None or result.attacked is None:
            return []
        least = self.rules.pace_min
        found = []
        if result.attacked.blocks < least * _fair(result.calm.blocks, result.after.blocks if result.after else None):
            found.append("blocks")
        if result.case.payments and result.attacked.payments < least * result.calm.payments:
            found.append("payments")
        return found

    async def _compare(self, case: Case, result: Result) -> None:
        """The pace fell: was it the attack, or the attacker's CPU on this machine, or somebody else's? Burn as much
        and see; then try both once more."""
        assert result.attacked is not None
        assert result.calm is not None
        burner = Case("burn", "", "burn", "", args={"cpu": result.attacker_cpu / case.processes}, targets=case.targets,
                      processes=case.processes)  # fmt: skip
        told = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                result.attacked = await self._pace_under(case)
                if not self._slow(result):
                    return
            control = await self._pace_under(burner)
            result.control = f" [control {control}]"
            told = f"pace {result.attacked}; calm {result.calm}; the same CPU burned {control}"
            if self._is_within(result, control):
                return
        result.failures.append(told)

    async def _pace_under(self, case: Case) -> Pace:
        load, observer = await self._load(), await self._observer()
        pace = await self._pace_attacked(case, self.rules.seconds)
        await end_all((observer, load))
        await self.watch.caught_up(10.0)
        return pace

    async def _pace_attacked(self, case: Case, seconds: float) -> Pace:
        """Beside the load and the observer that are there."""
        helpers = await self._attackers(case)
        with contextlib.suppress(CampaignFailed):  # the next case says so
            await self._honest_are_there()
        for helper in helpers:
            helper.go()
        pace = await self.watch.pace(seconds)
        await end_all(helpers)
        return pace

    def _is_within(self, result: Result, control: Pace) -> bool:
        """Of the calm pace, or of that beside the burned CPU, whichever was less."""
        assert result.attacked is not None
        assert result.calm is not None
        least, slow = self.rules.pace_min, self._slow(result)
        blocks = min(control.blocks, result.calm.blocks)
        payments = min(control.payments, result.calm.payments)
        return ("blocks" not in slow or result.attacked.blocks >= least * blocks) and (
            "payments" not in slow or result.attacked.payments >= least * payments
        )

    async def _stop_under_attack(self, case: Case, result: Result, ready: list[Helper] | None = None) -> None:
        index = case.targets[0]
        helpers = ready or await self._attackers(case)
        for helper in helpers:
            helper.go()
        await asyncio.sleep(1.5)
        try:
            result.stop_s = await stop_by_signal(self.net, index, STOP_S)
        except CampaignFailed as error:
            result.failures.append(str(error))
            result.stop_s = STOP_S
        await end_all(helpers)
        try:
            self.net.start(index)
        except CampaignFailed as error:
            result.failures.append(f"node {index} does not start again: {str(error)[-300:]}")
            self.well = False
            return
        self.watch = Watch(self.net, self.nodes)
        if not await self.watch.caught_up(40.0):
            result.failures.append(f"node {index} did not catch up within 40 s: {await self.watch.heights()}")
            self.well = False


def _fair(before: float, after: float | None) -> float:
    return before if after is None else (before + after) / 2


def _seconds(text: str) -> float:
    return int(parse_rfc3339(text)) / 1e9


async def knock(target: Target, key: NodeKey, chain_id: str) -> bool:
    """Whether somebody of this key is let in."""
    wire = Wire(key)
    try:
        await wire.open(target, plain_info(key, chain_id, channels=STOCK_CHANNELS))
        return True
    except faults():
        return False
    finally:
        wire.close()


@contextlib.asynccontextmanager
async def arena(rules: Rules, folder: Path, *, needs: str, ports: list[Ports] | None = None) -> AsyncIterator[Arena]:
    """A new network: `network` of four, or `validator`, whose fourth is stopped. ports: the design's by default."""
    home = folder / f"net-{time.monotonic_ns()}"
    if ports is not None or rules.block_ms:
        pace = Timeouts.fast() if not rules.block_ms else Timeouts(rules.block_ms, *TIMEOUTS_MS)
        make_network(home, pace=pace, ports=ports)
    with Net(home, *([] if (home / "network.json").exists() else ["--fast"]), root=rules.root) as net:
        nodes = ALL if needs == "network" else tuple(index for index in ALL if index != OPERATOR)
        if needs == "validator":
            await asyncio.to_thread(net.stop, OPERATOR)
        made = Arena(net, rules, home / "hostile", nodes)
        if not await made.watch.caught_up(30.0):
            raise CampaignFailed("the network does not begin")
        if needs == "network":
            await made.record(rules.record_s)
        yield made


def table(results: list[Result]) -> Iterator[str]:
    for result in results:
        yield result.line()
        for failure in result.failures:
            yield f"         {failure[:400]}"
