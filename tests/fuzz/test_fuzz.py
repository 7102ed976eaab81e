"""The corpora, and a short run from a fixed seed; `scripts/campaign fuzz` is the long one.

Answers SDK 2024-012 and -013 (depth and CPU by nesting), and audit 1: work is linear in what is sent.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.work import lines_of

ROOT = Path(__file__).parents[2]
RUNS = 12_000  # of atheris, over all targets


def grown(target: Target) -> list[bytes]:
    """Inputs that make a decoder work: good ones cut, changed, repeated, nested up to the limit."""
    rng = random.Random(target.name)
    found = [b"", b"\0", b"\xff" * target.bytes_max, b"\x0a\x02" * (target.bytes_max // 2), b"[" * target.bytes_max]
    for depth in (10, 100, 1_000):
        nested = b""
        for _ in range(depth):
            size = len(nested)
            length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
            if size >= 16_000:
                break
            nested = b"\x0a" + length + nested
        found.append(nested)
    for seed in target.corpus():
        found.append(seed)
        found.append(seed * max(1, target.bytes_max // max(1, len(seed))))
        for _ in range(3):
            changed = bytearray(seed[: target.bytes_max] or b"\0")
            for _ in range(4):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            found.append(bytes(changed))
    return found


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_whatever_comes_is_taken_or_refused_in_work_linear_in_its_length(target: Target) -> None:
    for data in grown(target):
        target.once(data)  # imports and caches are not an input's work
        lines = lines_of(lambda data=data: target.once(data))  # type: ignore[misc]
        allowed = target.base + target.per_byte * len(data)
        assert lines <= allowed, f"{lines} lines for {len(data)} bytes, allowed {allowed}: {data[:60].hex()}..."


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_the_seeds_reach_what_they_are_for(target: Target) -> None:
    """A target all of whose seeds are refused tests nothing behind the first check."""
    seeds = target.seeds()
    assert seeds
    assert target.name == "handshake" or any(target.once(seed) for seed in seeds)


def test_a_run_from_a_fixed_seed_finds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, target in enumerate(TARGETS.values()):
        for data in target.corpus():
            if len(data) <= 4_000:
                (corpus / f"{target.name}-{abs(hash(data))}").write_bytes(bytes([number]) + data)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "all", f"-runs={RUNS}", "-seed=1", "-max_len=4096", "-timeout=30",
         f"-artifact_prefix={tmp_path}/", str(corpus)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
