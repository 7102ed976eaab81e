"""Every state in which a node may have to wait for ever is held: no peers, no quorum.

First whole nodes on a simulated clock, ten days each (tests/simulation/test_waiting.py and
tests/consensus/sync/test_waiting.py).
Then real processes, for some minutes each: one validator of four alone, then two. The same processes must be there at
the end, alive at their doors and idle, say what they wait for, and make blocks once the others are back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.campaigns.harness import ROOT, CampaignFailed, Testnet, folder_of, run_campaign, say, until

BACK_S = 180.0  # the rounds of a long wait have long time-outs
CPU_SHARE_MAX = 0.2  # of a core, of a process that waits


def simulate(days: float) -> None:
    tests = ["tests/simulation/test_waiting.py", "tests/consensus/sync/test_waiting.py"]
    env = {**os.environ, "DCHAT_WAIT_DAYS": str(days)}
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", *tests], cwd=ROOT, env=env, check=False)
    if done.returncode:
        raise CampaignFailed(f"simulated days: pytest ended with {done.returncode}")
    say(f"{days:g} simulated days were held in each state")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def hold(net: Testnet, indices: tuple[int, ...], seconds: float, *, expects: str) -> None:
    """expects: a part of what /ready says meanwhile."""
    pids = {index: net.pid(index) for index in indices}
    before = {pid: cpu_s(pid) for pid in pids.values()}
    end, heights, heard = time.monotonic() + seconds, {await net.height(index) for index in indices}, ""
    while time.monotonic() < end:
        await asyncio.sleep(5)
        for index, pid in pids.items():
            if net.pid(index) != pid:
                raise CampaignFailed(f"validator {index} is another process after {end - time.monotonic():.0f} s")
            if await net.height(index) not in heights:
                raise CampaignFailed(f"validator {index} has a block that nobody else agreed to")
            heard = str((await asyncio.to_thread(net.get, index, "/ready")).get("reason", ""))
    if expects not in heard:
        raise CampaignFailed(f"/ready says {heard!r}, expected something of {expects!r}")
    shares = {index: (cpu_s(pid) - before[pid]) / seconds for index, pid in pids.items()}
    if max(shares.values()) > CPU_SHARE_MAX:
        raise CampaignFailed(f"waiting took {shares} of a core; allowed: {CPU_SHARE_MAX}")
    say(f"validators {indices} waited for {seconds:.0f} s; share of a core {max(shares.values()):.3f}; {heard}")


async def main(options: argparse.Namespace) -> None:
    if options.days:
        simulate(options.days)
    seconds = options.minutes * 60
    with folder_of("waiting") as folder, Testnet(folder) as net:
        await until("the network makes blocks", lambda: _has(net, 1, 2), timeout_s=120)
        for index in (1, 2, 3, 4):
            net.stop(index)
        net.start(1)
        await until("validator 1 answers", lambda: _has(net, 1, 2), timeout_s=60)
        await hold(net, (1,), seconds, expects="waits for peers")
        net.start(2)
        await until("validator 2 answers", lambda: _has(net, 2, 2), timeout_s=60)
        await hold(net, (1, 2), seconds, expects="")
        height = max(await net.height(1), await net.height(2))
        for index in (3, 4):
            net.start(index)
        took = await until("blocks go on", lambda: _has(net, 1, height + 3), timeout_s=BACK_S)
        say(f"with the others back, blocks went on within {took:.1f} s")


async def _has(net: Testnet, index: int, height: int) -> bool:
    return await net.height(index) >= height


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=10.0, help="simulated; 0: none")
    parser.add_argument("--minutes", type=float, default=5.0, help="real, in each state")
    run_campaign(main(parser.parse_args()))
