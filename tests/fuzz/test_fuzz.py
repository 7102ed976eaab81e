"""The corpora, and a short run from a fixed seed; `scripts/campaign fuzz` is the long one.

Answers SDK 2024-012 and -013 (depth and CPU by nesting), and audit 1: work is linear in what is sent.
"""

from __future__ import annotations

import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from chain.state import proofs
from proto.dchat.v1 import service_pb2 as pb
from tests.fuzz import lies
from tests.fuzz.minimise import KEPT_BYTES_MAX, KEPT_MAX, minimised, steps
from tests.fuzz.targets import CORPUS, TARGETS, Target
from tests.fuzz.work import Step, lines_of

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


def test_the_corpora_are_few_small_files_of_every_target() -> None:
    """What a long run found is of use in a short one: `scripts/campaign fuzz --keep` writes them."""
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(TARGETS)
    for name in TARGETS:
        found = {path.name: path.read_bytes() for path in (CORPUS / name).iterdir()}
        assert 0 < len(found) <= KEPT_MAX, name
        assert sum(map(len, found.values())) <= KEPT_BYTES_MAX, name
        assert {file: sha256(data).hexdigest()[:16] for file, data in found.items()} == {file: file for file in found}


def test_what_is_kept_takes_the_product_through_all_that_the_whole_does() -> None:
    target = TARGETS["packets"]
    whole = [*grown(target), b"\x00", b"\x05junk."]
    kept = minimised(target, whole)

    def reached(inputs: list[bytes]) -> set[Step]:
        return set().union(*(steps(target, data) for data in inputs))

    assert reached([*kept, *target.seeds()]) == reached([*whole, *target.seeds()])
    assert minimised(target, reversed(whole)) == kept
    for data in kept:
        before = kept[: kept.index(data)]
        assert reached([*before, *target.seeds()]) < reached([*before, data, *target.seeds()])


def test_a_client_that_takes_a_lie_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fuzzer sees more than a wrong error: an answer that is taken, and says what the state does not hold."""
    honest = lies.honest_answers()[0]
    lie = pb.GetAccountResponse.FromString(honest[1:])
    lie.account.balance = 10**12
    lie.proof.value = lie.account.SerializeToString()
    forged = honest[:1] + lie.SerializeToString()
    assert TARGETS["answers"].once(honest)
    assert not TARGETS["answers"].once(forged)
    monkeypatch.setattr(proofs, "verify", lambda *_, **__: None)
    with pytest.raises(AssertionError, match="took"):
        TARGETS["answers"].once(forged)


def test_a_run_from_a_fixed_seed_finds_nothing(tmp_path: Path) -> None:
    pytest.importorskip("atheris")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, target in enumerate(TARGETS.values()):
        for data in target.corpus():
            if len(data) <= 4_000:
                (corpus / f"{target.name}-{sha256(data).hexdigest()[:16]}").write_bytes(bytes([number]) + data)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.run", "all", f"-runs={RUNS}", "-seed=1", "-max_len=4096", "-timeout=30",
         f"-artifact_prefix={tmp_path}/", str(corpus)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-4_000:]
