"""What is recorded: a validator that is a chain of its own, under load, stopped and started again.

And what its operator does with its databases then."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from functools import partial
from pathlib import Path

from crypto.hash import sha256
from dchat.client.client import Client, ClientError
from dchat.client.wallet import Session
from dchat.devnet.leases import free_ports
from dchat.devnet.load import Sender, make_senders
from dchat.devnet.network import Network, Pace, load_network, make_network
from dchat.home import identity
from dchat.home.home import Home, load_genesis, make_keys, write_genesis
from tests.campaigns.crashes.judge import Told, note
from tests.campaigns.crashes.matrix import Phase
from tests.campaigns.harness import ROOT, CampaignFailed
from tests.support.power import Mark, Recorder, read_journal

PACE = Pace(40, 500, 100, 100, 100, 40)
SENDERS = 12
KEPT_S = 5  # that evidence and stake live: then blocks may go
OPTIONS = """
[database]
pruning = "everything"
pruning_interval = 3
write_buffer_size = 1
min_free = 0

[snapshots]
interval = 15
keep_recent = 2
"""
COMMANDS = {
    "backup": ["backup", "--output", "again.backup"],
    "rollback": ["rollback", "--steps", "3"],
    "migrate": ["migrate"],
    "prune": ["prune", "--older-than", "1s"],
    "restore": ["restore", "--input", "half.backup"],
}  # what is typed behind `dchat database`
JOIN = "join"  # a node that is new, by a snapshot
OPERATOR = (*COMMANDS, JOIN)
JOINER = """
[network]
listen_address = "127.0.0.1:{p2p}"
rpc_listen_address = ""
bootstrap_validators = ["{peer}"]

[grpc]
listen_address = "127.0.0.1:{grpc}"

[observability]
health_port = {http}
metrics_port = {metrics}

[p2p]
address_book_strict = false
allow_duplicate_ip = true

[state_sync]
enable = true
discovery_time = 0
trusted_nodes = ["{node}"]
"""
JOINED_BLOCKS = 6  # that the new node executes itself


def record_all(folder: Path, *, blocks: int, operator: Collection[str] = OPERATOR) -> list[Phase]:
    """Record everything below `folder`. operator: which of these commands. Raises CampaignFailed."""
    network = _prepare(folder / "net")
    home = network.home_of(network.nodes[0])
    recorder = Recorder(home, folder / "blocks")
    recorder.begin()
    asyncio.run(_run_node(network, recorder, begin=1, until=blocks // 2))
    if "restore" in operator:
        _dchat(home, "backup", "--output", str(folder / "half.backup"))
    half = max(_all_told(recorder).blocks)
    (folder / "half").write_text(str(half))
    asyncio.run(_run_node(network, recorder, begin=blocks // 2 + 1, until=blocks))
    for name in operator:
        if name == JOIN:
            asyncio.run(_record_join(network, folder))
        else:
            _record_command(home, folder, name, COMMANDS[name])
    return load_all(folder)


def _record_command(home: Path, folder: Path, name: str, words: list[str]) -> None:
    """On a copy of the stopped home."""
    copy = folder / f"{name}-home"
    shutil.copytree(home, copy)
    recorder = Recorder(copy, folder / name)
    recorder.begin()
    _dchat(copy, *(str(folder / word) if word.endswith(".backup") else word for word in words), recorder=recorder)


def load_all(folder: Path) -> list[Phase]:
    """What `record_all` left in `folder`."""
    network = load_network(folder / "net")
    home = network.home_of(network.nodes[0])
    recorder = Recorder(home, folder / "blocks")
    half = int((folder / "half").read_text())
    phases = [Phase("blocks", home, recorder.before, recorder.journal, partial(_all_told, recorder))]
    for name in COMMANDS:
        own = Recorder(folder / f"{name}-home", folder / name)
        if own.journal.exists():
            goes_back = name == "restore"
            told = partial(_told_at_end, recorder, half if goes_back else None)
            phases.append(Phase(name, own.home, own.before, own.journal, told, goes_on=not goes_back))
    own = Recorder(folder / f"{JOIN}-home", folder / JOIN)
    if own.journal.exists():
        phases.append(
            Phase(JOIN, own.home, own.before, own.journal, partial(_all_told, own), goes_on=False, joins=True)
        )
    return phases


def _all_told(recorder: Recorder) -> Told:
    return Told.of(step.told for step in read_journal(recorder.journal) if isinstance(step, Mark))


def _told_at_end(recorder: Recorder, height: int | None) -> Told:
    """height: that the operator goes back to: what was told of later ones is given up; what was signed is not."""
    told, names = _all_told(recorder), dict[tuple[int, int], str]()
    for step in read_journal(recorder.journal):
        if isinstance(step, Mark):
            told.hear(step.told)
        else:
            note(told, names, step)
    if height is not None:
        told.height = height
        told.committed = {tx_hash: at for tx_hash, at in told.committed.items() if at <= height}
        told.durable = {}
    return told


# ------------------------------------------------------------------------------------------------ running


def _prepare(folder: Path) -> Network:
    """A network of one, its home ready for the first start."""
    age = {"evidence_age_s_max": str(KEPT_S), "evidence_age_blocks_max": "20"}
    params = {"staking": {"unbonding_s": str(KEPT_S)}, "slashing": age}
    network = make_network(folder, validators=1, pace=PACE, ports=free_ports(1), params=params)
    with (network.home_of(network.nodes[0]) / "validator-config.toml").open("a") as file:
        file.write(OPTIONS)
    return network


def _dchat(home: Path, *words: str, recorder: Recorder | None = None) -> None:
    """`dchat database ...`, to its end. Raises CampaignFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaigns.crashes.small", "--home", str(home), "database", *words],
        cwd=ROOT, env=None if recorder is None else recorder.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise CampaignFailed(f"dchat database {' '.join(words)}: exit {done.returncode}: {done.stdout}{done.stderr}")


async def _run_node(network: Network, recorder: Recorder, *, begin: int, until: int) -> None:
    """From where it stopped to height `until`; begin: the first whose block was not told yet. Raises CampaignFailed."""
    async with asyncio.timeout(60 + 3 * until), _node(recorder.home, recorder.folder, recorder):
        await _load(network, recorder, begin, until)


@contextlib.asynccontextmanager
async def _node(home: Path, folder: Path, recorder: Recorder | None = None) -> AsyncIterator[None]:
    """A process, stopped in the end. Raises CampaignFailed: it ended otherwise than so."""
    log = folder / "node.log"
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.campaigns.crashes.small", "validator", "--home", str(home),
            cwd=ROOT, env=None if recorder is None else recorder.environment(), stdout=out, stderr=out,
        )  # fmt: skip
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            code = await process.wait()
    if code:
        raise CampaignFailed(f"the node ended with {code}: {log.read_text()[-2_000:]}")


async def _record_join(network: Network, folder: Path) -> None:
    """The network's node goes on, and another one joins it by a snapshot and follows for some blocks."""
    entry, (ports,) = network.nodes[0], free_ports(1)
    node = f"{network.host}:{entry.ports.grpc}"
    home = Home.of(folder / f"{JOIN}-home")
    make_keys(home)
    write_genesis(home, load_genesis(Home.of(network.home_of(entry))).dumps())
    options = JOINER.format(
        p2p=ports.p2p, grpc=ports.grpc, http=ports.http, metrics=ports.metrics, node=node,
        peer=f"{entry.node_id}@{network.host}:{entry.ports.p2p}",
    )  # fmt: skip
    home.config_file.write_text(OPTIONS + options)
    recorder = Recorder(home.root, folder / JOIN)
    recorder.begin()
    async with asyncio.timeout(600), _node(network.home_of(entry), folder), Client(node) as client:
        begin = await _height_of(client) + 1
        async with _node(home.root, recorder.folder, recorder), Client(f"{network.host}:{ports.grpc}") as joined:
            following = asyncio.create_task(_follow(client, recorder, begin, 1 << 40, is_its_own=False))
            first = await _height_of(joined)
            await joined.wait_for_height(first + JOINED_BLOCKS)
            following.cancel()


async def _height_of(client: Client) -> int:
    """Once it answers and has a block."""
    while True:
        with contextlib.suppress(ClientError):
            if height := (await client.status()).latest_block_height:
                return height
        await asyncio.sleep(0.05)


async def _load(network: Network, recorder: Recorder, begin: int, until: int) -> None:
    async with Client(f"{network.host}:{network.nodes[0].ports.grpc}") as client:
        await _height_of(client)
        async with asyncio.TaskGroup() as tasks:
            paying = tasks.create_task(_pay_all(client, network, recorder))
            await _follow(client, recorder, begin, until)
            paying.cancel()


async def _pay_all(client: Client, network: Network, recorder: Recorder) -> None:
    purse = identity.load(network.folder / network.accounts["carol"]).wallet
    height = (await client.status()).latest_block_height
    senders = await make_senders(client, purse, SENDERS, label=f"crash {height}")
    facts = await Session(client, purse).facts()
    async with asyncio.TaskGroup() as tasks:
        for at, sender in enumerate(senders):
            tasks.create_task(
                _pay(client, sender, senders[at - 1], recorder, facts.chain_id, facts.gas_price, is_durable=at % 2 > 0)
            )


async def _pay(
    client: Client, sender: Sender, to: Sender, recorder: Recorder, chain_id: str, gas_price: int, *, is_durable: bool
) -> None:
    """One after another; what was told of each is marked once it was told."""
    while True:
        tx = sender.pay(to.wallet.address, 1, chain_id=chain_id, gas_price=gas_price)
        while True:
            answer = await client.broadcast(tx, wait_commit=not is_durable, durable=is_durable)
            if not answer.code:
                break
            await asyncio.sleep(0.05)
        if is_durable:
            recorder.mark(durable=tx.hex())
            await asyncio.sleep(0.02)
        else:
            recorder.mark(committed=answer.hash.hex(), height=answer.height)


async def _follow(client: Client, recorder: Recorder, begin: int, until: int, *, is_its_own: bool = True) -> None:
    """is_its_own: the recorded node told of the blocks, which binds it."""
    async for answer in client.stream_blocks(begin):
        height = answer.block.header.height
        txs = [sha256(tx).hex() for tx in answer.block.data.txs]
        recorder.mark(
            block=height, hash=answer.block_id.hash.hex(), app_hash=answer.app_hash.hex(), txs=txs, binds=is_its_own
        )
        if height >= until:
            return
