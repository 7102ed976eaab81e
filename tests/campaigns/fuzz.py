"""Coverage-guided fuzzing of every decoder and handler that meets outside bytes: tests/fuzz/targets.py names them.

Each target runs in a process of its own, from the corpus in the repository, a stated number of executions. What opens
new paths is written into the corpus with --keep. A finding stops the target; its input is printed in hex.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.campaigns.harness import ROOT, CampaignFailed, say
from tests.fuzz.targets import CORPUS, TARGETS, Target

KEPT_MAX = 60  # inputs of a target in the repository
KEPT_BYTES_MAX = 1_024  # of one: seeds may be longer, they are made
DONE = re.compile(rb"Done (\d+) runs in (\d+) second")


@dataclass(frozen=True)
class Result:
    name: str
    runs: int
    seconds: int
    finding: str = ""


async def atheris(target: Target, *flags: str, output: Path) -> int:
    command = [sys.executable, "-m", "tests.fuzz.run", target.name, *flags]
    with output.open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log)
        return await process.wait()


async def fuzz(target: Target, *, runs: int, seed: int, keep: bool) -> Result:
    with tempfile.TemporaryDirectory(prefix=f"dchat-fuzz-{target.name}-") as name:
        folder = Path(name)
        corpus, output = folder / "corpus", folder / "log"
        corpus.mkdir()
        for number, data in enumerate(target.corpus()):
            (corpus / f"{number:06}").write_bytes(data)
        code = await atheris(
            target, f"-runs={runs}", f"-seed={seed}", f"-max_len={target.bytes_max}", "-timeout=20",
            "-rss_limit_mb=2048", f"-artifact_prefix={folder}/", str(corpus), output=output,
        )  # fmt: skip
        log = output.read_bytes()
        done = DONE.search(log)
        if code or done is None:
            return Result(target.name, 0, 0, f"{finding_in(folder)}\n{log[-3_000:].decode(errors='replace')}")
        if keep:
            keep_new(target, corpus)
        return Result(target.name, int(done[1]), int(done[2]))


def finding_in(folder: Path) -> str:
    """The input that ended a run, in hex."""
    files = [path for path in sorted(folder.glob("*-*")) if path.is_file()]
    return f"input {files[0].read_bytes().hex()[:4_000]}" if files else "no input was kept"


def keep_new(target: Target, corpus: Path) -> None:
    """Write into the repository what opened new paths, the smallest first."""
    made = set(target.seeds())
    kept = sorted((path.read_bytes() for path in corpus.iterdir()), key=lambda data: (len(data), data))
    lines = [data.hex() for data in kept if data and data not in made and len(data) <= KEPT_BYTES_MAX][:KEPT_MAX]
    CORPUS.mkdir(exist_ok=True)
    (CORPUS / f"{target.name}.txt").write_text("".join(f"{line}\n" for line in lines))


async def main(arguments: argparse.Namespace) -> None:
    names = arguments.target or list(TARGETS)
    slots = asyncio.Semaphore(arguments.jobs)
    total = 0
    findings: list[Result] = []

    async def one(name: str) -> None:
        nonlocal total
        async with slots:
            result = await fuzz(TARGETS[name], runs=arguments.runs, seed=arguments.seed, keep=arguments.keep)
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
    parser.add_argument("--keep", action="store_true", help="write what opened new paths into the corpus")
    asyncio.run(main(parser.parse_args()))
