"""Coverage-guided fuzzing of every decoder and handler that meets outside bytes: tests/fuzz/targets.py names them.

Each target runs in a process of its own, from the corpus in the repository, a stated number of executions. --keep makes
of the corpus the few inputs that open most paths (tests/fuzz/minimise.py); --corpora keeps all of them outside, and
goes on from there. A finding stops the target; its input is printed in hex.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.campaigns.harness import ROOT, CampaignFailed, run_campaign, say
from tests.fuzz.targets import TARGETS, Target

HANG_S = 120  # of one input. A hang is meant: work is bounded in lines (tests/fuzz/test_fuzz.py)
DONE = re.compile(rb"Done (\d+) runs in (\d+) second")


@dataclass(frozen=True)
class Result:
    name: str
    runs: int
    seconds: int
    finding: str = ""


async def run_python(*command: str, output: Path) -> int:
    with output.open("ab") as log:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", *command, cwd=ROOT, stdout=log, stderr=log)
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                process.kill()


async def fuzz(target: Target, *, runs: int, seed: int, keep: bool, corpora: Path | None) -> Result:
    with tempfile.TemporaryDirectory(prefix=f"dchat-fuzz-{target.name}-") as name:
        folder = Path(name)
        corpus, output = (corpora or folder) / target.name, folder / "log"
        corpus.mkdir(parents=True, exist_ok=True)
        for data in target.corpus():
            (corpus / sha256(data).hexdigest()[:16]).write_bytes(data)
        code = await run_python(
            "tests.fuzz.run", target.name, f"-runs={runs}", f"-seed={seed}", f"-max_len={target.bytes_max}",
            f"-timeout={HANG_S}", "-rss_limit_mb=2048", f"-artifact_prefix={folder}/found-", str(corpus), output=output,
        )  # fmt: skip
        done = DONE.search(output.read_bytes())
        if not code and done and keep:
            code = await run_python("tests.fuzz.minimise", target.name, str(corpus), output=output)
        if code or done is None:
            log = output.read_bytes()[-3_000:].decode(errors="replace")
            return Result(target.name, 0, 0, f"{finding_in(folder)}\n{log}")
        return Result(target.name, int(done[1]), int(done[2]))


def finding_in(folder: Path) -> str:
    """The input that ended a run, in hex."""
    files = [path for path in sorted(folder.glob("found-*")) if path.is_file()]
    return f"input {files[0].read_bytes().hex()[:4_000]}" if files else "no input was kept"


async def main(arguments: argparse.Namespace) -> None:
    names = arguments.target or list(TARGETS)
    slots = asyncio.Semaphore(arguments.jobs)
    total = 0
    findings: list[Result] = []

    async def one(name: str) -> None:
        nonlocal total
        async with slots:
            result = await fuzz(
                TARGETS[name], runs=arguments.runs, seed=arguments.seed, keep=arguments.keep, corpora=arguments.corpora
            )
        total += result.runs
        say(f"{name:16} {result.runs:>10} runs in {result.seconds:>5} s  {'FOUND' if result.finding else 'clean'}")
        if result.finding:
            findings.append(result)
            say(result.finding)

    say(f"seed {arguments.seed}")
    await asyncio.gather(*(one(name) for name in names))
    say(f"{total} executions over {len(names)} targets, {len(findings)} findings")
    if findings:
        raise CampaignFailed(f"findings in {', '.join(result.name for result in findings)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", choices=list(TARGETS), help="only this; repeat for more")
    parser.add_argument("--runs", type=int, default=400_000, help="executions of each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="make the repository's corpora of what was found")
    parser.add_argument("--corpora", type=Path, help="a folder of whole corpora that grow from run to run")
    run_campaign(main(parser.parse_args()))
