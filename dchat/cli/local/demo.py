"""A story told on a running test network, through its public doors alone, every step of it proved.

Without a script: people send every kind of message that the chain has, act by act: payments, an account of several
keys, names, channels, encryption, escrows, stake, upgrades. What a network cannot show is said: with one validator no
stake moves to another, and upgrades are planned where an account may (scripts/testnet --upgrade-authority alice). At
the end each transaction, account and message is verified against commits that lead back to the genesis, a proof pack
is made and checked without a node, and the bridge's books and the invariants are asked for. At a terminal it is read
line by line; piped, it is one JSON document.

It pays from the network's own accounts: alice (the house), bob, carol and dave, and the validator's operator. Whoever
uses those meanwhile is not in its way, nor it in theirs: it takes none of their sequences.

With `--node HOST:PORT` it is told through that gRPC door, on a network that runs already, whatever its validators are
(docs/mixed-network.md): nothing is started; --home has the network's file, accounts, genesis and a validator's keys.
Several may be named: the first is asked, and the invariants of all.

With `--script FILE` (JSON lines of `scene`, `speaker`, `line`): each scene is a channel, each speaker an identity, each
line a message; then every channel is read back, line by line, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from chain.app_state.document import parse_app_state
from chain.tx.envelope.build import Wallet
from chain.tx.envelope.tx import MESSAGES_MAX
from chain.tx.messages import (
    KINDS,
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Message,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from chain.tx.messages.payments import OUTPUTS_MAX, Output, PayMany
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from consensus.documents.genesis import parse_genesis
from consensus.formats.units import MIB
from dchat.cli.local.testnet_control import running
from dchat.cli.story import telling
from dchat.cli.story.stage import Backstage, Story, Told
from dchat.cli.terminal.ask import host_port
from dchat.cli.terminal.base import Exit, InputFile, Refusal, echo, show_json
from dchat.client.client import Client, ClientError, NodeUnreachable
from dchat.client.proved import Proved
from dchat.client.refusals import explain
from dchat.client.verify import Trust, Verifier
from dchat.client.wallet import Outcome, Session, TxRefused
from dchat.devnet.network import DevnetError, Network, NodeEntry, load_network
from dchat.home import identity
from dchat.home.errors import HomeError, IdentityError
from dchat.home.home import Home, load_validator_key
from proto.dchat.v1 import staking_service_pb2 as pb

LINE_BYTES_MAX = 4_096  # of a script; the chain's own limit is larger
SCRIPT_BYTES_MAX = 64 * MIB
SPEECH_LINES_MAX = MESSAGES_MAX  # consecutive lines of one speaker travel in one transaction
SPEAKER_BALANCE = 50 * DCHAT
MESSAGES_A_DCHAT, BYTES_A_DCHAT = 1_000, MIB  # the chain's default price of allowance
LINE_ALLOWANCE_BYTES = 2_500  # what a message takes beside its text: its gas, at the chain's default price
AT_ONCE = 32  # scenes that play at the same time
PAGE = 500  # messages read in one call


@dataclass(frozen=True)
class Line:
    scene: str
    speaker: str
    text: str


@dataclass
class Stage:
    """The network, as seen through one node, and who acts on it."""

    network: Network
    node: NodeEntry
    client: Client
    proved: Proved
    checked: int = 0
    sent: list[Outcome] = field(default_factory=list)

    def session(self, wallet: Wallet) -> Session:
        return Session(self.client, wallet, chain_id=self.network.chain_id)

    def account(self, name: str) -> Wallet:
        return identity.load(self.network.folder / self.network.accounts[name]).wallet

    async def send(self, session: Session, *messages: Message, unordered: bool = False) -> Outcome:
        outcome = await session.send(messages, unordered=unordered)
        self.sent.append(outcome)
        return outcome


def read_script(file: Path) -> list[Line]:
    """Raises Refusal, which names the line."""
    if file.stat().st_size > SCRIPT_BYTES_MAX:
        raise Refusal(f"{file}: {file.stat().st_size} bytes; allowed: {SCRIPT_BYTES_MAX}")
    lines = []
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(text)
            line = Line(str(row["scene"]), str(row["speaker"]), str(row["line"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(f'{file}:{number}: expected {{"scene", "speaker", "line"}}: {error!r}') from None
        if not 1 <= len(line.text.encode()) <= LINE_BYTES_MAX:
            raise Refusal(f"{file}:{number}: a line has 1 to {LINE_BYTES_MAX} bytes")
        lines.append(line)
    if not lines:
        raise Refusal(f"{file}: empty")
    return lines


def slug(name: str, tag: str) -> str:
    """An identity name of the chain's alphabet that `name` and this run alone have."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:18]
    return f"{plain or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:4]}-{tag}"


def channel_name(scene: str, tag: str) -> str:
    plain = "".join(char for char in scene if " " <= char <= "~")[:44].strip()
    return f"{plain or 'scene'} {hashlib.sha256(scene.encode()).hexdigest()[:4]} {tag}"


# ---------------------------------------------------------------------------------------------------- the story


async def tell_story(stage: Stage, verifier: Verifier, *, as_json: bool) -> dict[str, Any]:
    """Raises ClientError, ProofFailed."""
    acts: list[dict[str, Any]] = []

    def begin(title: str) -> None:
        acts.append({"act": title, "lines": []})
        if not as_json:
            echo(f"\n{len(acts)}. {title}")

    def say(told: Told) -> None:
        acts[-1]["lines"].append({"text": told.text, "blocks": told.heights})
        if not as_json:
            ends = sorted({*told.heights[:1], *told.heights[-1:]})
            echo(f"   {told.text}" + (f"  [block {'-'.join(map(str, ends))}]" if ends else ""))

    pools = await stage.client.call(stage.client.staking.ListStakingValidators, pb.ListStakingValidatorsRequest())
    operators = [row.operator for row in pools.validators]
    chain_id, house = stage.network.chain_id, stage.account("alice")
    story = Story.begin(stage.client, chain_id, house, operators, say, backstage(stage, house, verifier.trust))
    started = time.monotonic()
    await telling.tell(story, begin)
    begin("What can be shown of it")
    stage.sent = story.sent
    await _prove(stage, story)
    root = verifier.trust
    say(Told(f"{stage.checked} proofs lead from accounts, names, messages and transactions back to {root}.", []))
    pack = await telling.prove_line(story, verifier)
    status = await telling.bridge_status(stage.client)
    for line in telling.summary(story, status, pack):
        say(Told(line, []))
    return {
        "acts": acts, "kinds": dict(sorted(story.kinds.items())),
        "not_shown": sorted(set(KINDS).difference(story.kinds)), "bridge": status,
        "proofs": stage.checked, "proof_pack_bytes": len(pack.data), "transactions": len(story.sent),
        "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def backstage(stage: Stage, house: Wallet, trust: Trust) -> Backstage:
    """Of the network's folder. Raises HomeError, IdentityError."""
    home = Home.of(stage.network.home_of(stage.node))
    purses = tuple([stage.account(name) for name in ("dave", "bob", "carol")])
    authority = parse_app_state(trust.genesis.app_state).upgrade_authority if trust.genesis is not None else b""
    key, operator = load_validator_key(home), identity.load(home.identity).wallet
    return Backstage(operator, key, purses, authority == house.address)


async def _prove(stage: Stage, story: Story) -> None:
    """Whom and what the story is about, each transaction in its block. Raises ProofFailed, ClientError."""
    client, proved = stage.client, stage.proved
    for person in story.people.values():
        account = await client.account(person.address, height=await provable(stage), prove=True)
        await proved.account(account, person.address)
        named = await client.identity(person.address, height=await provable(stage), prove=True)
        await proved.identity(named, person.address)
        stage.checked += 2
    tea, tip = story.known["tea"], story.known["tip"].replay_id
    await proved.channel(await client.channel(tea, height=await provable(stage), prove=True), tea)
    said = await client.messages(tea, limit=PAGE, height=await provable(stage), prove=True)
    await proved.messages(said, tea, 0)
    await proved.bundle(await client.bundle(tip, height=await provable(stage), prove=True), tip)
    stage.checked += 2 + len(said.messages)
    for outcome in stage.sent:
        await proved.tx(await client.tx(outcome.hash, prove=True), outcome.hash)
        stage.checked += 1


async def provable(stage: Stage) -> int:
    """A height at which all is done, once the next header, which proves it, is there. Of each question its own: a node
    keeps so many versions, which empty blocks of 15 ms use up in a second or two."""
    await stage.client.wait_for_height(max(outcome.height for outcome in stage.sent))
    return await stage.client.provable_height()


# --------------------------------------------------------------------------------------------------- a script


async def play(stage: Stage, lines: Sequence[Line], tag: str) -> None:
    started = time.monotonic()
    scenes = list(dict.fromkeys(line.scene for line in lines))
    speakers = {name: stage.session(Wallet.from_seed(secrets.token_bytes(32))) for name in _cast(lines)}
    await _hire(stage, speakers, lines, tag)
    echo(f"{len(speakers)} speakers registered in {time.monotonic() - started:.1f} s")
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(scene: str) -> None:
        async with gate:
            await _play_scene(stage, speakers, [line for line in lines if line.scene == scene], tag)

    await asyncio.gather(*(one(scene) for scene in scenes))
    took = time.monotonic() - started
    echo(f"{len(lines)} lines in {len(scenes)} scenes said in {took:.1f} s")
    for scene in scenes:
        texts = [line.text for line in lines if line.scene == scene]
        await read_back(stage, channel_id(channel_name(scene, tag)), texts)
    for name, session in speakers.items():
        person = await stage.client.identity(session.wallet.address, height=await provable(stage), prove=True)
        await stage.proved.identity(person, session.wallet.address)
        stage.checked += 1
        assert person.identity.display == name, (person.identity.display, name)
    await check_transactions(stage)


def _cast(lines: Sequence[Line]) -> list[str]:
    return list(dict.fromkeys(line.speaker for line in lines))


async def _hire(stage: Stage, speakers: dict[str, Session], lines: Sequence[Line], tag: str) -> None:
    """Pay each speaker, register it, and buy it the words that it will need."""
    purse = stage.session(stage.account("carol"))
    paid = [Output(session.wallet.address, SPEAKER_BALANCE) for session in speakers.values()]
    for start in range(0, len(paid), OUTPUTS_MAX):  # unordered: a person may sign with the key meanwhile
        some = tuple(paid[start : start + OUTPUTS_MAX])
        total = SPEAKER_BALANCE * len(some)
        await stage.send(purse, PayMany(purse.wallet.address, some, total), unordered=True)

    async def prepare(name: str, session: Session) -> None:
        await stage.send(session, RegisterIdentity(session.wallet.address, slug(name, tag), name[:64]))
        own = [line for line in lines if line.speaker == name]
        size = sum(2 * len(line.text) + LINE_ALLOWANCE_BYTES for line in own)
        price = 2 + len(own) // MESSAGES_A_DCHAT + size // BYTES_A_DCHAT
        await stage.send(session, BuyAllowance(session.wallet.address, price * DCHAT))

    await asyncio.gather(*(prepare(name, session) for name, session in speakers.items()))


async def _play_scene(stage: Stage, speakers: dict[str, Session], lines: Sequence[Line], tag: str) -> None:
    """Speech by speech: the next begins when the one before is in a block, so that the order is the script's."""
    name = channel_name(lines[0].scene, tag)
    channel = channel_id(name)
    owner = speakers[lines[0].speaker]
    await stage.send(owner, CreateChannel(owner.wallet.address, name, 0, lines[0].scene[:200]), unordered=True)
    others = [speakers[who] for who in _cast(lines) if speakers[who] is not owner]
    await asyncio.gather(*(stage.send(who, JoinChannel(who.wallet.address, channel), unordered=True) for who in others))
    for who, group in groupby(lines, key=lambda line: line.speaker):
        speech = list(group)
        session = speakers[who]
        for start in range(0, len(speech), SPEECH_LINES_MAX):
            posts = [
                PostMessage(session.wallet.address, channel, line.text.encode(), 0)
                for line in speech[start : start + SPEECH_LINES_MAX]
            ]
            await stage.send(session, *posts, unordered=True)


# ------------------------------------------------------------------------------------------------ what was said


async def read_back(stage: Stage, channel: bytes, texts: Sequence[str]) -> None:
    """Read a channel, prove every message, and compare with what was said. Raises Refusal, ProofFailed."""
    found: list[str] = []
    while len(found) < len(texts):
        height = await provable(stage)
        answer = await stage.client.messages(channel, from_index=len(found), limit=PAGE, height=height, prove=True)
        if not answer.messages:
            break
        await stage.proved.messages(answer, channel, len(found))
        stage.checked += len(answer.messages)
        found += [message.content.decode() for message in answer.messages]
    if found != list(texts):
        at = next((n for n, (a, b) in enumerate(zip(found, texts, strict=False)) if a != b), len(found))
        raise Refusal(
            f"channel {channel.hex()}: line {at} is not what was said; {len(found)} of {len(texts)} are there"
        )
    echo(f"  proved: {len(found)} messages of {channel.hex()[:12]}, in the order in which they were said")


async def check_transactions(stage: Stage) -> None:
    """Each transaction of this run is in the block that its answer named."""
    for outcome in stage.sent:
        answer = await stage.client.tx(outcome.hash, prove=True)
        await stage.proved.tx(answer, outcome.hash)
        stage.checked += 1
    echo(f"  proved: {len(stage.sent)} transactions, each in its block")


async def check_invariants(doors: Mapping[str, str], *, say: Callable[[str], None] = echo) -> None:
    """Ask every node. doors: its name -> its gRPC address. Raises Refusal."""
    for name, door in doors.items():
        async with Client(door) as client:
            answer = await client.invariants()
        broken = [f"{law.name}: {law.detail}" for law in answer.invariants if not law.holds]
        if broken:
            raise Refusal(f"{name} at height {answer.height}: {'; '.join(broken)}")
        say(f"{name}: {len(answer.invariants)} invariants hold at height {answer.height}")


async def run(
    network: Network, script: Path | None, through: int, *, as_json: bool, doors: Sequence[str] = ()
) -> dict[str, Any]:
    """What was told, if it was the story. doors: gRPC addresses other than those of the network's file."""
    node = network.node(through)
    asked = {one.name: f"{network.host}:{one.ports.grpc}" for one in network.nodes}
    door = asked[node.name]
    if doors:
        door, asked = doors[0], {one: one for one in doors}
    genesis = parse_genesis(Home.of(network.home_of(node)).genesis.read_bytes())
    document: dict[str, Any] = {}
    async with Client(door) as client:
        verifier = Verifier(client, Trust.of_genesis(genesis), chain_id=network.chain_id)
        stage = Stage(network, node, client, Proved(verifier))
        if script is None:
            document = await tell_story(stage, verifier, as_json=as_json)
        else:
            await play(stage, read_script(script), secrets.token_hex(2))
    quiet = script is None and as_json
    nodes: list[str] = []
    document["nodes"] = nodes
    await check_invariants(asked, say=nodes.append if quiet else echo)
    if not quiet:
        echo(f"done: {stage.checked} proofs verified against commits that lead back to {verifier.trust}")
    return document


@click.command(help=__doc__)
@click.option(
    "--home", type=click.Path(file_okay=False, path_type=Path), default=Path("testnet-home"), show_default=True,
    envvar="DCHAT_TESTNET_HOME", help="The test network's folder.",
)  # fmt: skip
@click.option("--script", type=InputFile(), help="A dialogue to replay.")
@click.option(
    "--validator", "through", type=int, default=1, show_default=True,
    help="Through which node's doors; with --node: whose keys act as the validator's.",
)  # fmt: skip
@click.option(
    "--node", "doors", multiple=True, metavar="HOST:PORT",
    help="gRPC address of a node of this network, which runs already. May be given again.",
)  # fmt: skip
@click.option("--json/--text", "as_json", default=None, help="Default: text at a terminal, JSON when piped.")
def demo(home: Path, script: Path | None, through: int, doors: tuple[str, ...], as_json: bool | None) -> None:
    piped = not sys.stdout.isatty() if as_json is None else as_json
    doors = tuple([host_port("--node", one) for one in doors])
    folder = home.expanduser().absolute()
    look = "--node HOST:PORT says which node is asked" if doors else "./scripts/testnet --detach"
    try:
        with contextlib.nullcontext(load_network(folder)) if doors else running(folder) as network:
            document = asyncio.run(run(network, script, through, as_json=piped, doors=doors))
    except (DevnetError, HomeError, IdentityError) as error:
        raise Refusal(str(error), Exit.USAGE) from None
    except NodeUnreachable as error:
        raise Refusal(f"{error}; is the network running? {look}", Exit.UNREACHABLE) from None
    except TxRefused as error:
        told = error.outcome
        where = f" (block {told.height})" if told.height else ""
        raise Refusal(
            f"the story ends here: {explain(told.codespace, told.code, told.log)}{where}; it may be told again from "
            "the beginning"
        ) from None
    except ClientError as error:
        raise Refusal(f"{error}; is it this network that runs? ./scripts/testnet status --home {home}") from None
    if piped and script is None:
        show_json(document)


if __name__ == "__main__":
    demo(prog_name="scripts/demo")
