"""`python -m tests.fuzz.minimise NAME FOLDER`: of the inputs in FOLDER, write the few that say most into the corpus.

Each kept input takes the product through a step, one line after another, that the seeds and those kept before do not:
the one with most of such steps first, of equals the shortest. The same inputs and code give the same files.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import structlog

from tests.fuzz.targets import CORPUS, TARGETS, Target
from tests.fuzz.work import Step, steps_of

KEPT_MAX = 30  # inputs of a target in the repository
KEPT_BYTES_MAX = 40_000  # of all of them; what is made anew from code, the seeds, is not counted
INPUT_BYTES_MAX = 4_096


def steps(target: Target, data: bytes) -> frozenset[Step]:
    target.renew()
    return steps_of(lambda: target.once(data))


def minimised(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    known: set[Step] = set()
    for seed in target.seeds():
        target.once(seed)  # imports and caches are not an input's steps
        known |= steps(target, seed)
    left = {data: steps(target, data) for data in sorted(set(inputs)) if len(data) <= INPUT_BYTES_MAX}
    kept: list[bytes] = []
    size = 0
    while left and len(kept) < KEPT_MAX:
        best = max(left, key=lambda data: (len(left[data] - known), -len(data), data))
        if not left[best] - known:
            break
        known |= left[best]
        left = {data: more for data, found in left.items() if data != best and (more := found - known)}
        if size + len(best) <= KEPT_BYTES_MAX:
            kept.append(best)
            size += len(best)
    return kept


def write(folder: Path, inputs: Iterable[bytes]) -> None:
    """As the files of this folder, named by their hashes, and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for data in inputs:
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)


def main() -> None:
    name, folder = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    target = TARGETS[name]
    kept = minimised(target, (path.read_bytes() for path in Path(folder).iterdir()))
    write(CORPUS / name, kept)


if __name__ == "__main__":
    main()
