"""Proofs of the three stores, verified by ICS-23 packages of three languages (examples/ics23, docs/proofs.md)."""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chain.tx.messages import CreateChannel, PostMessage, RegisterIdentity, channel_id
from dchat.client.wallet import Session
from proto.ics23 import proofs_pb2 as pb
from tests.support.interop.rows import row
from tests.support.interop.tools import build, built, copied, found, npm_installed
from tests.support.node.running import running_node

PROGRAMS = Path(__file__).parents[2] / "examples" / "ics23"
RUN_TIMEOUT_S = 60
STORES = ("bridge", "chat", "currency")


Change = Callable[[dict[str, Any]], Any]  # of an answer, in place


@dataclass(frozen=True)
class Case:
    """What a node answered, the question, and the app hash of the header that proves it."""

    store: str
    key: str
    app_hash: str
    answer: dict[str, Any]

    @property
    def said(self) -> str:
        value: str = self.answer.get("value", "absent")
        return value

    @property
    def ops(self) -> list[dict[str, str]]:
        ops: list[dict[str, str]] = self.answer["proof"]["ops"]["ops"]
        return ops


async def asked(http: int, questions: list[tuple[str, str]]) -> list[Case]:
    """By HTTP alone, as somebody who has only the page."""

    def get(path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=RUN_TIMEOUT_S) as answer:
            return json.load(answer)

    cases = []
    for store, key in questions:
        answer = await asyncio.to_thread(get, f"/v1/records/{store}/{key}?prove=true")
        header = (await asyncio.to_thread(get, f"/v1/blocks/{int(answer['height']) + 1}"))["block"]["header"]
        cases.append(Case(store, key, header["app_hash"], answer))
    return cases


async def collect(folder: Path) -> list[Case]:
    """Of a node on which all three stores have records of people."""
    async with running_node(folder) as running, running.client() as client:
        alice, bob = running.account("alice"), running.account("bob")
        posts = [PostMessage(alice.address, channel_id("garden"), b"hello", 0)]
        done = await Session(client, alice.wallet).send(
            [RegisterIdentity(alice.address, "alice", ""), CreateChannel(alice.address, "garden", 0, "")]
        )
        await Session(client, alice.wallet).send(posts)
        replay_id = done.receipt.replay_id
        me, other, nobody = alice.address.hex(), bob.address.hex(), bytes(20).hex()
        absent = [(store, f"61{who}") for store in STORES for who in (nobody, other[::-1], me[::-1])]
        questions = [
            ("currency", f"61{me}"), ("chat", f"69{me}"), ("chat", f"63{channel_id('garden').hex()}"),
            ("bridge", f"65{replay_id.hex()}"), ("bridge", "00"),
            ("chat", f"69{other}"), *absent,
        ]  # fmt: skip
        return await asked(running.ports[1], questions)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    return asyncio.run(collect(tmp_path_factory.mktemp("proved")))


# ---------------------------------------------------------------------------------------------------- the programs


@dataclass(frozen=True)
class Program:
    command: list[str]
    tool: str
    version: str


def go() -> Program:
    tool, folder = found("go", "install Go to verify by its ICS-23 package"), copied(PROGRAMS / "go", "ics23-go")
    built(folder / "verify", [tool, "build", "-o", "verify", "."], folder=folder)
    version = build([tool, "list", "-m", "-f", "{{.Version}}", "github.com/cosmos/ics23/go"], folder=folder)
    return Program([str(folder / "verify")], "github.com/cosmos/ics23/go", version)


def rust() -> Program:
    tool, folder = found("cargo", "install Rust to verify by its crate"), copied(PROGRAMS / "rust", "ics23-rust")
    program = folder / "target" / "release" / "verify"
    built(program, [tool, "build", "--release", "--quiet"], folder=folder)
    version = build([tool, "pkgid", "ics23"], folder=folder).rpartition("@")[2].rpartition("#")[2]
    return Program([str(program)], "ics23 (Rust)", version)


def javascript() -> Program:
    node, npm = found("node", "install Node.js"), found("npm", "install npm to fetch @confio/ics23")
    folder = copied(PROGRAMS / "javascript", "ics23-javascript")
    manifest = npm_installed("@confio/ics23", folder=folder, npm=npm) / "package.json"
    return Program([node, str(folder / "verify.mjs")], "@confio/ics23", json.loads(manifest.read_text())["version"])


def judged(program: Program, case: Case) -> tuple[int, str]:
    """Exit code, and what it printed or said against it."""
    done = subprocess.run(
        [*program.command, case.store, case.key, case.app_hash], input=json.dumps(case.answer), capture_output=True,
        text=True, timeout=RUN_TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, (done.stderr if done.returncode else done.stdout).strip()


# ---------------------------------------------------------------------------------------------------- tampering


def proof_of(answer: dict[str, Any], number: int) -> pb.CommitmentProof:
    return pb.CommitmentProof.FromString(bytes.fromhex(ops_of(answer)[number]["data"]))


def changed(number: int, change: Callable[[pb.CommitmentProof], Any]) -> Change:
    """Of an operation: the proof in it, decoded, changed, and encoded again."""

    def apply(answer: dict[str, Any]) -> None:
        proof = proof_of(answer, number)
        change(proof)
        ops_of(answer)[number]["data"] = proof.SerializeToString().hex()

    return apply


def ops_of(answer: dict[str, Any]) -> list[dict[str, str]]:
    ops: list[dict[str, str]] = answer["proof"]["ops"]["ops"]
    return ops


def flipped(text: str) -> str:
    """Hex with the last bit changed."""
    return text[:-1] + format(int(text[-1], 16) ^ 1, "x")


def other_root(proof: pb.CommitmentProof) -> None:
    proof.exist.value = proof.exist.value[::-1]


def cut_otherwise(proof: pb.CommitmentProof) -> None:
    """The inner node's bytes, but not as a tag and two children: as in Dragonberry."""
    found = proof.exist if proof.HasField("exist") else proof.nonexist.left
    step = found.path[0]
    both = step.prefix + step.suffix
    at = len(step.prefix) + (1 if step.suffix else -1)
    step.prefix, step.suffix = both[:at], both[at:]


def no_key_hash(proof: pb.CommitmentProof) -> None:
    proof.exist.leaf.prehash_key = pb.NO_HASH


def shorter(proof: pb.CommitmentProof) -> None:
    del proof.exist.path[0]


def one_neighbour(proof: pb.CommitmentProof) -> None:
    """The gap is said to reach to the end of the tree."""
    proof.nonexist.ClearField("left" if proof.nonexist.HasField("left") else "right")


def neighbours_swapped(proof: pb.CommitmentProof) -> None:
    left = pb.ExistenceProof.FromString(proof.nonexist.left.SerializeToString())
    proof.nonexist.left.CopyFrom(proof.nonexist.right)
    proof.nonexist.right.CopyFrom(left)


def tampered(cases: list[Case]) -> list[tuple[str, Case]]:
    """What no honest verifier takes, and what is wrong with it."""
    out: list[tuple[str, Case]] = []

    def lie(what: str, case: Case, change: Change, **fields: str) -> None:
        answer = copy.deepcopy(case.answer)
        change(answer)
        assert answer != case.answer or fields, what
        told = {"store": case.store, "key": case.key, "app_hash": case.app_hash} | fields
        out.append((f"{what}: {case.store} {case.key}", Case(answer=answer, **told)))

    for store in STORES:
        there = next(case for case in cases if case.store == store and "value" in case.answer)
        absent = next(case for case in cases if case.store == store and "value" not in case.answer)
        lie("another app hash", there, lambda answer: None, app_hash=flipped(there.app_hash))
        lie("another key", there, lambda answer: None, key=flipped(there.key))
        lie("another store", there, lambda answer: None, store="chat" if store != "chat" else "bridge")
        lie("another root", there, changed(1, other_root))
        lie("another value", there, lambda answer, c=there: answer.update(value=flipped(c.said)))
        lie("a path without its first step", there, changed(0, shorter))
        lie("a node cut otherwise", there, changed(0, cut_otherwise))
        lie("a leaf of another rule", there, changed(0, no_key_hash))
        lie("there, and said to be absent", there, lambda answer: answer.pop("value"))
        lie("there, and absent by another's proof", there, lambda answer, c=there, o=absent: forge(answer, c, o))
        lie("absent, under another app hash", absent, lambda answer: None, app_hash=flipped(absent.app_hash))
        lie("absent, and said to be there", absent, lambda answer: answer.update(value="01"))
        lie("absent, no proof", absent, lambda answer: ops_of(answer).clear())
        both = [c for c in cases if c.store == store and has_two_neighbours(c)]
        for case in both[:1]:
            lie("absent, one neighbour hidden", case, changed(0, one_neighbour))
            lie("absent, neighbours swapped", case, changed(0, neighbours_swapped))
            lie("absent, a node cut otherwise", case, changed(0, cut_otherwise))
    assert any("one neighbour hidden" in what for what, _ in out)
    return out


def has_two_neighbours(case: Case) -> bool:
    found = proof_of(case.answer, 0).nonexist
    return found.HasField("left") and found.HasField("right")


def forge(answer: dict[str, Any], case: Case, other: Case) -> None:
    """The proof of an absent key of the same store, with the key that is asked for written into it."""
    answer.pop("value")
    ops_of(answer)[0]["data"] = other.ops[0]["data"].replace(other.key, case.key)


@pytest.mark.parametrize(
    "language",
    [
        pytest.param(go, id="Go", marks=pytest.mark.go),
        pytest.param(rust, id="Rust"),
        pytest.param(javascript, id="JavaScript", marks=pytest.mark.node),
    ],
)
def test_a_stranger_verifies_the_three_stores(language: Callable[[], Program], cases: list[Case]) -> None:
    program = language()
    assert {case.store for case in cases if "value" in case.answer} == {*STORES}
    assert {case.store for case in cases if "value" not in case.answer} == {*STORES}
    wrong = [case for case in cases if judged(program, case) != (0, case.said)]
    assert [judged(program, case) for case in wrong] == []
    lies = tampered(cases)
    believed = [what for what, case in lies if judged(program, case)[0] == 0]
    assert believed == []
    note = ", absence by a rule of the example's own" if language is javascript else ""
    row(
        program.tool, program.version, "existence and absence in all three stores, as docs/proofs.md tells it",
        f"{len(cases)} answers verified{note}; {len(lies)} tampered ones refused",
    )  # fmt: skip
