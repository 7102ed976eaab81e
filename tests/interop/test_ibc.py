"""ibc-go's light client reads our chain: what `dchat light ibc` makes is all that it is given (docs/ibc.md).

The program (programs/ibc) is a chain of the Cosmos SDK as far as a client goes: ibc-go's 02-client with 07-tendermint.
What it is told comes from our JSON-RPC door, by our command; a lie is that, changed.
"""

from __future__ import annotations

import asyncio
import copy
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from chain.currency.ledger.stake_records import POWER_UNIT
from chain.tx.messages import CreateChannel, PostMessage, RegisterIdentity, channel_id
from chain.tx.messages.economy import RATE_ONE, CreateValidator, prove_possession
from consensus.formats.timestamps import format_rfc3339
from consensus.formats.units import NS_PER_S
from consensus.types.light import LightBlock
from crypto.hash import sha256
from crypto.keys import Ed25519PrivKey, PrivKey
from dchat.cli.light import ibc
from dchat.cli.main import dchat
from dchat.client.wallet import Session
from dchat.devnet.leases import free_ports
from dchat.devnet.network import make_network
from dchat.home.home import Home, load_validator_key
from light.rpc import RpcProvider
from tests.support.interop.rows import row
from tests.support.interop.tools import build, built, copied, found
from tests.support.light.chains import sign
from tests.support.node.running import QUICK, Running, running_node

pytestmark = [pytest.mark.go, pytest.mark.network]

PROGRAM = Path(__file__).parent / "programs" / "ibc"
MODULE = "github.com/cosmos/ibc-go/v10"
RUN_TIMEOUT_S = 60
CHAIN_ID, REVISION = "garden-7", 7
BOND = 250_000 * 10**6  # udchat; the one of the genesis has a million DCHAT
SMALL_STAKE = {"staking": {"min_stake": str(BOND), "min_self_delegation": str(BOND)}}
BEGINS = 3  # the client's first header
STORES = ("bridge", "chat", "currency")
EIGHT_DAYS_S = 8 * 86_400  # the trusting period is seven
FIRST, SECOND, THIRD = (f"07-tendermint-{number}" for number in range(3))

Json = dict[str, Any]


def program() -> tuple[str, str]:
    """(its path, ibc-go's version)"""
    go, folder = found("go", f"install Go to build with {MODULE}"), copied(PROGRAM, "ibc")
    path = built(folder / "ibcclient", [go, "build", "-o", "ibcclient", "."], folder=folder)
    return str(path), build([go, "list", "-m", "-f", "{{.Version}}", MODULE], folder=folder)


@dataclass
class World:
    """A chain on which the set of validators changed at `bonded`, and all three stores have something."""

    running: Running
    genesis: Path
    key: PrivKey  # of the validator with more than two thirds
    bonded: int
    last: int
    there: dict[str, bytes]
    blocks: dict[int, LightBlock] = field(default_factory=dict)

    async def told(self, *arguments: object) -> Json:
        """What `dchat light ibc` says."""
        line = ["light", "ibc", *map(str, arguments), "--primary", self.running.rpc, "--genesis", str(self.genesis)]
        done = await asyncio.to_thread(CliRunner().invoke, dchat, line, prog_name="dchat")
        assert done.exit_code == 0, done.output
        document: Json = json.loads(done.stdout)
        return document

    async def block(self, height: int) -> LightBlock:
        if height not in self.blocks:
            async with RpcProvider(self.running.rpc) as provider:
                self.blocks[height] = await provider.light_block(height)
        return self.blocks[height]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    folder = tmp_path / "net"
    make_network(folder, validators=1, chain_id=CHAIN_ID, pace=QUICK, ports=free_ports(1), params=SMALL_STAKE)
    with capture_logs():
        async with running_node(folder) as running, running.client() as client:
            alice, bob = running.account("alice"), running.account("bob")
            home = Home.of(running.network.home_of(running.network.nodes[0]))
            session = Session(client, alice.wallet)
            await client.wait_for_height(BEGINS + 2)
            joining = Ed25519PrivKey.from_seed(sha256(b"joining"))
            rates = RATE_ONE // 10, RATE_ONE // 5, RATE_ONE // 100
            possession = prove_possession(joining, CHAIN_ID, bob.address)
            bond = CreateValidator(bob.address, joining.pub_key.bytes, "second", *rates, BOND, BOND, possession)
            bonded = (await Session(client, bob.wallet).send([bond])).height
            done = await session.send(
                [RegisterIdentity(alice.address, "alice", ""), CreateChannel(alice.address, "garden", 0, "")]
            )
            last = (await session.send([PostMessage(alice.address, channel_id("garden"), b"hello", 0)])).height
            there = {
                "bridge": b"e" + done.receipt.replay_id,
                "chat": b"c" + channel_id("garden"),
                "currency": b"a" + alice.address,
            }
            await client.wait_for_height(last + 4)
            genesis = home.genesis
            yield World(running, genesis, load_validator_key(home), bonded, last + 2, there)


# ------------------------------------------------------------------------------------------------------------ the steps


@dataclass(frozen=True)
class Step:
    """refused: a part of the reason; empty: it is taken. status: of the client afterwards."""

    what: str
    step: Json
    refused: str = ""
    status: str = "Active"


def changed(document: Json, change: Callable[[Json], Any]) -> Json:
    other = copy.deepcopy(document)
    change(other)
    assert other != document
    return other


class Story:
    """The steps, each at a time of the other chain's block (seconds after our newest header)."""

    def __init__(self, newest_ns: int) -> None:
        self._newest_ns = newest_ns
        self.steps: list[Step] = []

    def _add(self, what: str, step: Json, refused: str, status: str, after_s: int) -> None:
        now = format_rfc3339(self._newest_ns + after_s * NS_PER_S)
        self.steps.append(Step(what, step | {"now": now}, refused, status))

    def create(self, what: str, made: Json, refused: str = "") -> None:
        self._add(what, {"do": "create"} | made, refused, "" if refused else "Active", 1)

    def update(
        self, what: str, message: Json, refused: str = "", *, client: str = FIRST, status: str = "Active",
        after_s: int = 1,
    ) -> None:  # fmt: skip
        self._add(what, {"do": "update", "client_id": client, "message": message}, refused, status, after_s)

    def verify(
        self, what: str, request: Json, refused: str = "", *, absent: bool = False, status: str = "Active",
        after_s: int = 1,
    ) -> None:  # fmt: skip
        step = {"do": "absent" if absent else "member", "client_id": request["client_id"], "request": request}
        self._add(what, step, refused, status, after_s)


def run(path: str, steps: list[Step]) -> list[Json]:
    asked = json.dumps([one.step for one in steps])
    done = subprocess.run([path], input=asked, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    told: list[Json] = json.loads(done.stdout)
    return told


def wrong(steps: list[Step], told: list[Json]) -> list[str]:
    """What came out otherwise than it should."""
    out = []
    for step, said in zip(steps, told, strict=True):
        fits = step.refused in said["error"] if step.refused else not said["error"]
        if not fits or said["status"] != step.status:
            out.append(f"{step.what}: {said['error'] or 'taken'} ({said['status']})")
    return out


# ------------------------------------------------------------------------------------------------------------ the test


async def test_ibc_go_reads_our_chain(world: World) -> None:
    path, version = await asyncio.to_thread(program)
    assert len((await world.block(BEGINS)).validators) == 1
    after = await world.block(world.last)
    assert [one.voting_power for one in after.validators] == [10**12 // POWER_UNIT, BOND // POWER_UNIT]

    story = Story(after.header.time_ns)
    made = await clients(world, story)
    await updates(world, story)
    await proofs(world, story)
    await misbehaviour(world, story, made)
    told = await asyncio.to_thread(run, path, story.steps)
    assert wrong(story.steps, told) == []
    assert told[0]["latest"] == f"{REVISION}-{BEGINS}"
    assert told[-1]["latest"] == f"{REVISION}-{world.last}"

    def taken(*kinds: str) -> int:
        return sum(one.step["do"] in kinds and not one.refused for one in story.steps)

    refused = sum(bool(one.refused) for one in story.steps)
    row(
        "ibc-go", version, "its 07-tendermint client for our chain, fed by `dchat light ibc` (docs/ibc.md)",
        f"headers one by one, skipping and over a change of the set; {taken('member')} records of all three stores "
        f"shown to be there, {taken('absent')} not to be; {refused} lies and late ones refused; a fork freezes it",
    )  # fmt: skip


async def clients(world: World, story: Story) -> Json:
    made = await world.told("client", "--height", BEGINS)
    state, trusted = made["client_state"], made["consensus_state"]
    story.create("a client", made)

    def otherwise(**fields: Any) -> Json:
        return made | {"client_state": state | fields}

    story.create(
        "a trusting period as long as the unbonding", otherwise(trusting_period=state["unbonding_period"]),
        "should be < unbonding period",
    )  # fmt: skip
    story.create(
        "another revision than the chain id's",
        otherwise(latest_height={"revision_number": "0", "revision_height": str(BEGINS)}),
        "must match chain id revision number (0 != 7)",
    )
    story.create("no root", made | {"consensus_state": trusted | {"root": {"hash": ""}}}, "root cannot be empty")
    return made


def unsigned(told: Json) -> None:
    signatures = told["signed_header"]["commit"]["signatures"]
    signatures[0] = signatures[1]  # of who is not there


async def updates(world: World, story: Story) -> None:
    beside = await world.told("header", "--trusted", BEGINS, "--to", BEGINS + 1)
    story.update("the next header", beside)
    story.update("the same again", beside)
    far = await world.told("header", "--trusted", BEGINS + 1, "--to", world.last)
    block = await world.block(world.last)
    stranger = {one.address: Ed25519PrivKey.from_seed(sha256(one.address)) for one in block.validators}
    signed_otherwise = sign(replace(block.header, app_hash=sha256(b"forged")), block.validators, stranger)
    before = await world.block(BEGINS + 2)
    forged = ibc.header(signed_otherwise, trusted_height=BEGINS + 1, trusted=before.validators)

    def lie(what: str, change: Callable[[Json], Any], refused: str) -> None:
        story.update(what, changed(far, change), refused)

    def of_header(**fields: str) -> Callable[[Json], Any]:
        return lambda told: told["signed_header"]["header"].update(fields)

    lie("another app hash", of_header(app_hash=beside["signed_header"]["header"]["app_hash"]), "commit signs block")
    lie("of another chain", of_header(chain_id="garden-8"), "commit signs block")
    lie("the signature of more than two thirds left out", unsigned, "failed to verify header")
    lie(
        "trusted validators of another height", lambda told: told.update(trusted_validators=far["validator_set"]),
        "does not hash to latest trusted validators",
    )  # fmt: skip
    lie(
        "trusted at a height that it lacks", lambda told: told["trusted_height"].update(revision_height="2"),
        "consensus state not found",
    )  # fmt: skip
    story.update("a header of its own, signed by strangers", forged, "failed to verify header")
    story.update("an hour ahead of its clock", far, "from the future", after_s=-3_600)
    story.update("eight days later", far, "status Expired", status="Expired", after_s=EIGHT_DAYS_S)
    story.update("far ahead, over the change of the set", far)
    between = await world.told("header", "--trusted", BEGINS + 1, "--to", world.bonded + 1)
    story.update("one between the two, afterwards", between)
    following = await world.told("header", "--trusted", world.bonded + 1, "--to", world.bonded + 2)
    story.update("the first of the new set, from the last of the old", following)


async def proofs(world: World, story: Story) -> None:
    there = {
        store: await world.told("proof", store, key.hex(), "--height", world.last) for store, key in world.there.items()
    }
    missing = {
        store: await world.told("proof", store, key[:1].hex() + "00" * (len(key) - 1), "--height", world.last)
        for store, key in world.there.items()
    }
    for store in STORES:
        member, absent, other = there[store], missing[store], there["chat" if store != "chat" else "bridge"]
        key_path = [other["merkle_path"]["key_path"][0], member["merkle_path"]["key_path"][1]]
        story.verify(f"{store}: a record", member)
        story.verify(f"{store}: no record", absent, absent=True)
        for what, lie, is_absent, reason in (
            ("another value", member | {"value": other["value"]}, False, "provided value doesn't match proof"),
            ("another key", member | {"merkle_path": absent["merkle_path"]}, False, "provided key doesn't match proof"),
            ("another store", member | {"merkle_path": {"key_path": key_path}}, False, "key doesn't match proof"),
            ("another's proof", member | {"proof": other["proof"]}, False, "provided key doesn't match proof"),
            ("absent, said to be there", absent | {"value": member["value"]}, False, "must be existence proof"),
            ("there, said to be absent", member, True, "must be non-existence proof"),
            ("there, absent by another's proof", member | {"proof": absent["proof"]}, True, "failed to verify non-mem"),
        ):  # fmt: skip
            story.verify(f"{store}: {what}", lie, reason, absent=is_absent)
    money = there["currency"]
    for what, height, reason in (
        ("under another header", BEGINS, "proof did not commit to expected root"),
        ("under a header that it lacks", BEGINS - 1, "consensus state not found"),
        ("under a later one than its latest", world.last + 1, "client state height < proof height"),
    ):
        story.verify(what, money | {"proof_height": ibc.height_of(CHAIN_ID, height)}, reason)
    story.verify("eight days later", money, "status Expired", status="Expired", after_s=EIGHT_DAYS_S)


async def misbehaviour(world: World, story: Story, made: Json) -> None:
    """Two headers of one height, both signed by more than two thirds."""
    block, before = await world.block(world.last), await world.block(BEGINS + 1)
    lie = sign(
        replace(block.header, app_hash=sha256(b"forked")), block.validators, {world.key.pub_key.address: world.key}
    )
    forked = ibc.header(lie, trusted_height=BEGINS, trusted=before.validators)
    honest = await world.told("header", "--trusted", BEGINS, "--to", world.last)
    both = {
        "@type": "/ibc.lightclients.tendermint.v1.Misbehaviour",
        "client_id": SECOND,
        "header_1": {name: value for name, value in honest.items() if name != "@type"},
        "header_2": {name: value for name, value in forked.items() if name != "@type"},
    }
    story.create("a second client", made)
    story.update("a pair that is one and the same", both | {"header_2": both["header_1"]}, "", client=SECOND)
    story.update("both at once", both, client=SECOND, status="Frozen")
    story.update("a header once it is frozen", honest, "status Frozen", client=SECOND, status="Frozen")
    story.create("a third client", made)
    story.update("the honest one", honest, client=THIRD)
    story.update("then the other", forked, client=THIRD, status="Frozen")
    money = await world.told(
        "proof", "currency", world.there["currency"].hex(), "--client-id", THIRD, "--height", world.last
    )
    story.verify("a proof once it is frozen", money, "status Frozen", status="Frozen")
