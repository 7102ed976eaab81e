"""Our proofs before other people's verifiers: the Go ICS-23 package, and the npm one for existence."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from chain.state import ics23, proofs
from chain.state.roots import CHAT, CURRENCY, STORE_NAMES
from chain.state.store import SENTINEL_KEY, Stores
from chain.state.view import View
from storage.memory import MemoryStore
from tests.support.interop.tools import alone, cache
from tests.support.state.naive import digest

HERE = Path(__file__).parent
SIZES = (0, 1, 2, 3, 17, 400)
ABSENT_PER_STORE = 60

Case = dict[str, str | None]


def view_of(size: int) -> View:
    dice = random.Random(size)
    pairs = {dice.randbytes(dice.randint(1, 40)): dice.randbytes(dice.randint(1, 200)) for _ in range(size)}
    pairs.pop(SENTINEL_KEY, None)
    stores = Stores(MemoryStore())
    stores.commit(stores.prepare(0, {CHAT: pairs, CURRENCY: dict(list(pairs.items())[: size // 2])}))
    return stores.at()


def absent_keys(view: View) -> list[bytes]:
    """Keys the store lacks, among them one before its first leaf and one after its last."""
    held = sorted(digest(key) for key, _ in [*view.scan(CHAT), (SENTINEL_KEY, b"")])
    candidates = [b"absent %d" % number for number in range(4_000)]
    first, last = min(candidates, key=digest), max(candidates, key=digest)
    assert digest(first) < held[0]
    assert digest(last) > held[-1]
    return [first, last, *candidates[:ABSENT_PER_STORE]]


def existence_cases(view: View) -> list[Case]:
    cases = []
    for key, value in [(SENTINEL_KEY, b"\x01"), *view.scan(CHAT)]:
        ops = proofs.prove(view, CHAT, key).ops
        cases.append(case("smt", ops[0].data, view.roots[CHAT], key, value))
    for store in STORE_NAMES:
        ops = proofs.prove(view, store, SENTINEL_KEY).ops
        cases.append(case("simple", ops[1].data, view.app_hash, store.encode(), view.roots[store]))
    return cases


def absence_cases(view: View) -> list[Case]:
    root = view.roots[CHAT]
    return [case("smt", proofs.prove(view, CHAT, key).ops[0].data, root, key, None) for key in absent_keys(view)]


def case(spec: str, proof: bytes, root: bytes, key: bytes, value: bytes | None) -> Case:
    shown = None if value is None else value.hex()
    return {"spec": spec, "proof": proof.hex(), "root": root.hex(), "key": key.hex(), "value": shown}


def forged_cases(view: View) -> list[Case]:
    """The same proofs for another value, key, root; and neighbours that are not next to the key."""
    pairs = list(view.scan(CHAT))
    root = view.roots[CHAT]
    cases = []
    for key, value in pairs[:20]:
        proof = proofs.prove(view, CHAT, key).ops[0].data
        cases += [
            case("smt", proof, root, key, value + b"!"),
            case("smt", proof, root, key + b"!", value),
            case("smt", proof, bytes(32), key, value),
            case("smt", proof, root, key, None),
        ]
    held = sorted((key for key, _ in pairs), key=digest)
    for key, left, right in zip(held[10:30], held[9:], held[11:], strict=False):
        sides = [proofs.prove_in_store(view, CHAT, neighbour) for neighbour in (left, right)]
        assert all(isinstance(side, ics23.Existence) for side in sides)
        cases.append(case("smt", ics23.encode(ics23.Absence(key, *sides), ics23.SMT), root, key, None))  # type: ignore[arg-type]
    return cases


@pytest.fixture(scope="module")
def go_check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    program = tmp_path_factory.mktemp("go") / "check"
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    fetched = attempt([go, "mod", "download"], HERE / "go", env)
    if fetched.returncode:
        pytest.skip(f"the Go modules cannot be had: {fetched.stderr.strip()[-200:]}")
    subprocess.run([go, "build", "-o", str(program), "."], cwd=HERE / "go", env=env, check=True)
    return program


@pytest.mark.go
def test_go_accepts_existence_and_absence(go_check: Path) -> None:
    """Design section 6, on trees of every shape: one leaf, lifted leaves, first and last neighbours."""
    cases = [made for size in SIZES for view in [view_of(size)] for made in existence_cases(view) + absence_cases(view)]
    verdicts = run([str(go_check)], cases)
    refused = [(made, verdict) for made, verdict in zip(cases, verdicts, strict=True) if verdict != "ok"]
    assert not refused, f"{len(refused)} of {len(cases)}: {refused[0]}"


@pytest.mark.go
def test_go_refuses_what_is_forged(go_check: Path) -> None:
    cases = forged_cases(view_of(400))
    assert "ok" not in run([str(go_check)], cases)
    assert len(cases) == 100


@pytest.fixture(scope="module")
def js_check() -> list[str]:
    """The npm package, installed once per lock file into the cache of `$DCHAT_CACHE` or ~/.cache/dchat."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js and npm are not installed")
    lock = (HERE / "js" / "package-lock.json").read_bytes()
    home = cache() / f"ics23-js-{hashlib.sha256(lock).hexdigest()[:16]}"
    with alone():
        if not (home / "installed").exists():
            home.mkdir(parents=True, exist_ok=True)
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(HERE / "js" / name, home / name)
            done = attempt([npm, "ci", "--no-audit", "--no-fund"], home, dict(os.environ))
            if done.returncode:
                pytest.skip(f"the npm packages cannot be had: {done.stderr.strip()[-200:]}")
            (home / "installed").touch()
    shutil.copy(HERE / "js" / "check.js", home / "check.js")
    return [node, str(home / "check.js")]


@pytest.mark.node
def test_npm_accepts_existence_under_our_specification(js_check: list[str]) -> None:
    views = [view_of(size) for size in SIZES]
    cases = [made for view in views for made in existence_cases(view)]
    assert run(js_check, [as_js(made) for made in cases]) == [True] * len(cases)
    forged = [made for made in forged_cases(views[-1]) if made["value"] is not None]
    assert run(js_check, [as_js(made) for made in forged]) == [False] * len(forged)


def attempt(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


def as_js(made: Case) -> Case:
    """The case with its specification as protobuf."""
    spec = ics23.SMT if made["spec"] == "smt" else ics23.SIMPLE
    return {**made, "spec": spec.to_proto().SerializeToString().hex()}


def run(command: list[str], cases: list[Case]) -> list[object]:
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=60, check=True)
    verdicts: list[object] = json.loads(done.stdout)
    assert len(verdicts) == len(cases)
    return verdicts


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((HERE / "js" / "package-lock.json").read_text())
    assert all("resolved" not in package for package in lock["packages"].values())
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
