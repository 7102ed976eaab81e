"""One network of two implementations: validators of ours, and CometBFT nodes with our application behind them.

All have the files that `dchat testnet` makes: one genesis, a node's and a validator's key each. A CometBFT node is
given those of its place, and `dchat abci` runs beside it. Whatever a node is, it is asked over CometBFT's JSON-RPC.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from chain.tx.envelope.build import Seat, build_tx
from chain.tx.messages import Payment
from consensus.p2p.conn.node_key import NodeKey
from crypto.hash import sha256
from crypto.keys import PrivKey
from dchat.app.genesis_params import Changes
from dchat.devnet.leases import free_ports
from dchat.devnet.network import NodeEntry, Pace, make_network, node_config
from dchat.home import identity
from dchat.home.home import Home, load_validator_key, make_keys, write_genesis
from tests.support.interop.cometbft import CometNode
from tests.support.interop.served import STOP_S, AbciProcess

OURS, THEIRS = "dchat", "CometBFT"
PACE = Pace(block_time=300, timeout_propose=2_000, timeout_prevote=500, timeout_precommit=500, timeout_commit=100)
GAS_PRICE = 100_000  # of a new chain
WAIT_S = 240.0  # of a busy machine
POLL_S = 0.2
METAS = 20  # that `blockchain` tells at most


class MixedNode(Protocol):
    """One node, of either kind."""

    kind: str
    entry: NodeEntry

    @property
    def log(self) -> str: ...
    @property
    def is_running(self) -> bool: ...
    async def start(self) -> None: ...
    async def end(self, how: signal.Signals = signal.SIGTERM) -> None: ...
    def signal(self, what: signal.Signals) -> None: ...
    async def close(self) -> None:
        """End whatever of it runs, if anything does."""
        ...


class OurNode:
    """`dchat validator` in the home that the network made for it."""

    kind = OURS

    def __init__(self, home: Path, entry: NodeEntry) -> None:
        self.home, self.entry = home, entry
        self._log = home / "validator.log"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        command = [sys.executable, "-m", "dchat", "validator", "--home", str(self.home)]
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self._process is not None
        self.signal(how)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_S)
        except TimeoutError:
            self._process.kill()
            raise

    async def close(self) -> None:
        if self.is_running:
            self.signal(signal.SIGCONT)
            await self.end()

    def signal(self, what: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(what)


class TheirNode:
    """`cometbft start` with `dchat abci` behind it: two processes, which live and die together here."""

    kind = THEIRS

    def __init__(
        self,
        folder: Path,
        entry: NodeEntry,
        config: Path,
        *,
        chain_id: str,
        settings: dict[str, Any],
        options: str = "",
    ) -> None:
        """config: the folder with the keys and the genesis that are its own. options: of the application's home."""
        self.entry = entry
        self.comet = CometNode(folder / "comet", chain_id=chain_id)
        self.comet.adopt(config, p2p_port=entry.ports.p2p, rpc_port=entry.ports.rpc)
        watched = f"127.0.0.1:{entry.ports.metrics}"
        self.comet.set_config(
            {"instrumentation.prometheus": True, "instrumentation.prometheus_listen_addr": watched} | settings
        )
        self.app = AbciProcess(folder / "app", options=options)

    @property
    def log(self) -> str:
        return self.comet.log

    @property
    def is_running(self) -> bool:
        return self.comet.process is not None and self.comet.process.returncode is None

    async def start(self) -> None:
        await self.app.start()
        await self.comet.start(self.app.address)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        await self.comet.end(how)
        await self.app.end(how)

    async def close(self) -> None:
        if self.is_running:
            self.signal(signal.SIGCONT)
            await self.comet.end()
        if self.app.is_running:
            await self.app.end()

    def signal(self, what: signal.Signals) -> None:
        assert self.comet.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.comet.process.send_signal(what)


def addresses(entries: list[NodeEntry]) -> list[str]:
    """ID@host:port."""
    return [f"{one.node_id}@127.0.0.1:{one.ports.p2p}" for one in entries]


def ms(value: int) -> str:
    """A duration as CometBFT's configuration has it."""
    return f"{value}ms"


def comet_settings(pace: Pace, peers: list[str]) -> dict[str, Any]:
    """CometBFT's options that are to be those of its neighbours: the same waits, and blocks when nothing waits."""
    return {
        "p2p.persistent_peers": ",".join(peers),
        "p2p.pex": False,  # who is whose peer is what a test says
        "consensus.timeout_propose": ms(pace.block_time + pace.timeout_propose),  # it counts from the last commit
        "consensus.timeout_propose_delta": ms(pace.timeout_delta),
        "consensus.timeout_prevote": ms(pace.timeout_prevote),
        "consensus.timeout_prevote_delta": ms(pace.timeout_delta),
        "consensus.timeout_precommit": ms(pace.timeout_precommit),
        "consensus.timeout_precommit_delta": ms(pace.timeout_delta),
        "consensus.timeout_commit": ms(pace.timeout_commit),
        "consensus.create_empty_blocks": True,
    }


class MixedNetwork:
    """kinds: of each validator, in order."""

    def __init__(
        self,
        folder: Path,
        kinds: tuple[str, ...],
        *,
        pace: Pace = PACE,
        options: str = "",
        params: Changes | None = None,
        upgrade_authority: str = "",
    ) -> None:
        """options: more TOML for each of ours, and for each application of theirs. params, upgrade_authority: of the
        chain, see make_network."""
        self.folder, self.pace, self.options = folder, pace, options
        self.network = make_network(
            folder / "net", validators=len(kinds), pace=pace, ports=free_ports(len(kinds)), params=params,
            upgrade_authority=upgrade_authority,
        )  # fmt: skip
        self.chain_id = self.network.chain_id
        self.nodes: list[MixedNode] = [
            self._make(kind, entry) for kind, entry in zip(kinds, self.network.nodes, strict=True)
        ]
        self.wallets = {
            name: identity.load(self.network.folder / path).wallet for name, path in self.network.accounts.items()
        }
        self._sequences: Counter[str] = Counter()

    def _make(self, kind: str, entry: NodeEntry) -> MixedNode:
        home = self.network.home_of(entry)
        if kind == OURS:
            return self._ours(home, entry)
        others = [one for one in self.network.nodes if one.index != entry.index]
        return self._theirs(entry, home / "config", comet_settings(self.pace, addresses(others)))

    def add(
        self, kind: str, peers: list[MixedNode], *, options: str = "", settings: dict[str, Any] | None = None
    ) -> MixedNode:
        """A node that is new, has keys of its own, and knows `peers` alone. It is not started.

        options: more TOML, of ours (or of their application). settings: of theirs.
        """
        index, ports = len(self.nodes) + 1, free_ports(1)[0]
        home = Home.of(self.network.folder / f"node{index}")
        make_keys(home)
        write_genesis(home, Home.of(self.network.home_of(self.network.nodes[0])).genesis.read_text())
        key = load_validator_key(home).pub_key
        name, node_id = f"node{index}", NodeKey.load(home.node_key).id
        entry = NodeEntry(index, name, name, node_id, key.address.hex().upper(), ports)
        known = [one.entry for one in peers]
        node: MixedNode
        if kind == OURS:
            identity.generate().save(home.identity)
            text = node_config(replace(self.network, nodes=(*known, entry)), entry, self.pace)
            home.config_file.write_text(text + "\n[staking]\ninitial_stake = 0\n" + options)
            node = self._ours(home.root, entry)
        else:
            given = comet_settings(self.pace, addresses(known)) | (settings or {})
            node = self._theirs(entry, home.root / "config", given, options)
        self.nodes.append(node)
        return node

    def _ours(self, home: Path, entry: NodeEntry) -> OurNode:
        path = home / "validator-config.toml"
        path.write_text(path.read_text().replace("[p2p]\n", "[p2p]\npex = false\n") + self.options)
        return OurNode(home, entry)

    def _theirs(self, entry: NodeEntry, config: Path, settings: dict[str, Any], options: str = "") -> TheirNode:
        return TheirNode(
            self.folder / entry.name, entry, config, chain_id=self.chain_id, settings=settings,
            options=self.options + options,
        )  # fmt: skip

    def operator_of(self, node: MixedNode) -> bytes:
        return identity.load(Home.of(self.network.folder / node.entry.home).identity).address

    def key_of(self, node: MixedNode) -> PrivKey:
        """Its consensus key."""
        return load_validator_key(Home.of(self.network.folder / node.entry.home))

    def of(self, kind: str) -> list[MixedNode]:
        return [node for node in self.nodes if node.kind == kind]

    @property
    def alive(self) -> list[MixedNode]:
        return [node for node in self.nodes if node.is_running]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            async with asyncio.TaskGroup() as tasks:
                for node in self.nodes:
                    tasks.create_task(node.start())
            yield
        finally:
            await asyncio.gather(*(node.close() for node in self.nodes))

    # ------------------------------------------------------------------------------------------------ asking

    async def rpc(self, node: MixedNode, path: str) -> dict[str, Any]:
        """The result. Raises OSError while the node does not answer, LookupError for an error that it tells."""
        return await ask(node.entry.ports.rpc, path)

    def url(self, node: MixedNode) -> str:
        """Of its JSON-RPC."""
        return f"http://127.0.0.1:{node.entry.ports.rpc}"

    async def height(self, node: MixedNode) -> int:
        """-1 while it does not answer."""
        try:
            return int((await self.rpc(node, "status"))["sync_info"]["latest_block_height"])
        except (OSError, LookupError):
            return -1

    async def heights(self) -> list[int]:
        return await asyncio.gather(*(self.height(node) for node in self.alive))

    async def until(
        self, what: str, condition: Callable[[], Coroutine[Any, Any, bool]], wait_s: float = WAIT_S
    ) -> None:
        """Raises AssertionError with the end of all logs."""
        try:
            async with asyncio.timeout(wait_s):
                while not await condition():  # noqa: ASYNC110 - other processes
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            told = "\n\n".join(f"{one.entry.name} ({one.kind}):\n{one.log[-2_500:]}" for one in self.nodes)
            raise AssertionError(f"{what}: not within {wait_s:g} s; heights {await self.heights()}\n{told}") from None

    async def wait_height(self, least: int, *nodes: MixedNode) -> None:
        """nodes: by default all that run."""

        async def there() -> bool:
            return min(await asyncio.gather(*(self.height(node) for node in nodes or self.alive))) >= least

        await self.until(f"height {least}", there)

    async def top(self) -> int:
        return max(await self.heights())

    async def metas(self, node: MixedNode, first: int, last: int) -> dict[int, dict[str, Any]]:
        """Height -> block id and header of all blocks from `first` to `last`."""
        found: dict[int, dict[str, Any]] = {}
        for least in range(first, last + 1, METAS):
            asked = f"blockchain?minHeight={least}&maxHeight={min(last, least + METAS - 1)}"
            for meta in (await self.rpc(node, asked))["block_metas"]:
                found[int(meta["header"]["height"])] = meta
        return found

    async def agreement(self, first: int = 1) -> dict[int, dict[str, Any]]:
        """Compare id and header, app hash among it, of each block from `first` that all running nodes have.

        Returns them. Raises AssertionError.
        """
        last = min(await self.heights())
        tables = await asyncio.gather(*(self.metas(node, first, last) for node in self.alive))
        for height in range(first, last + 1):
            said = [(table[height]["block_id"], table[height]["header"]) for table in tables]
            assert all(one == said[0] for one in said), f"they differ at height {height}: {said}"
        return tables[0]

    async def agreement_of(self, one: MixedNode, other: MixedNode) -> None:
        """The same of two nodes, from the lowest block that both have."""

        async def have_blocks() -> bool:  # one that was restored from a snapshot tells its height, and has none yet
            told = [(await self.rpc(node, "status"))["sync_info"] for node in (one, other)]
            return all(int(status["earliest_block_height"]) > 0 for status in told)

        await self.until("a block of their own", have_blocks)
        statuses = [(await self.rpc(node, "status"))["sync_info"] for node in (one, other)]
        first = max(int(status["earliest_block_height"]) for status in statuses)
        last = min(int(status["latest_block_height"]) for status in statuses)
        assert first <= last
        tables = [await self.metas(node, first, last) for node in (one, other)]
        assert tables[0] == tables[1]

    def proposers(self, metas: dict[int, dict[str, Any]]) -> Counter[int]:
        """Index of a validator -> the blocks that it proposed."""
        index = {one.entry.address: one.entry.index for one in self.nodes}
        return Counter(index.get(meta["header"]["proposer_address"], 0) for meta in metas.values())

    async def peers(self, node: MixedNode) -> set[str]:
        """Ids of whom it is connected with."""
        return {one["node_info"]["id"] for one in (await self.rpc(node, "net_info"))["peers"]}

    async def wait_peers(self) -> None:
        """Until each validator of the genesis that runs is connected with every other that does."""

        async def all_there() -> bool:
            first = {entry.index for entry in self.network.nodes}
            there = [node for node in self.alive if node.entry.index in first]
            ids = {node.entry.node_id for node in there}
            try:
                known = [ids - {node.entry.node_id} - await self.peers(node) for node in there]
            except (OSError, LookupError):
                return False
            return not any(known)

        await self.until("all connected with all", all_there)

    # ----------------------------------------------------------------------------------------------- sending

    def payment(self, amount: int, *, sender: str = "alice", recipient: str = "bob") -> bytes:
        """The next in the sender's order."""
        return self.signed(sender, Payment(self.wallets[sender].address, self.wallets[recipient].address, amount))

    def signed(self, sender: str, message: Any) -> bytes:
        """The next in the sender's order."""
        wallet = self.wallets[sender]
        sequence = self._sequences[sender]
        self._sequences[sender] += 1
        seat = Seat(wallet, sequence, with_policy=not sequence)
        return build_tx(chain_id=self.chain_id, messages=[message], seats=[seat], gas_price=GAS_PRICE)

    def unordered(self, sender: str, message: Any, *, expiry_height: int, memo: str) -> bytes:
        """With a replay mark; of an account that has sent before."""
        return build_tx(
            chain_id=self.chain_id, messages=[message], seats=[Seat(self.wallets[sender])], gas_price=GAS_PRICE,
            expiry_height=expiry_height, memo=memo,
        )  # fmt: skip

    async def send(self, node: MixedNode, tx: bytes) -> None:
        """Until it is admitted there. Raises AssertionError: it was refused."""
        told = await self.rpc(node, f"broadcast_tx_sync?tx=0x{tx.hex()}")
        assert told["code"] == 0, f"{node.entry.name} ({node.kind}): {told}"

    async def validators(self, node: MixedNode, height: int) -> dict[str, tuple[int, int]]:
        """Address -> (power, priority) of the set that signs `height`."""
        told = (await self.rpc(node, f"validators?height={height}&per_page=100"))["validators"]
        return {one["address"]: (int(one["voting_power"]), int(one["proposer_priority"])) for one in told}

    async def same_sets(self, first: int = 1) -> dict[int, dict[str, tuple[int, int]]]:
        """Compare the sets, priorities among it, of all heights from `first` that all running nodes have."""
        last, found = min(await self.heights()), {}
        for height in range(first, last + 1):
            said = await asyncio.gather(*(self.validators(node, height) for node in self.alive))
            assert all(one == said[0] for one in said), f"the sets of height {height} differ: {said}"
            found[height] = said[0]
        return found

    async def record(self, node: MixedNode, key: bytes) -> bytes:
        """What the currency store has under a key with its store's letter."""
        asked = f'abci_query?path="/store/currency/key"&data=0x{key[1:].hex()}'
        return base64.b64decode((await self.rpc(node, asked))["response"]["value"])

    async def committed(self, tx: bytes) -> int:
        """Wait until every running node has it in a block; returns that block's height. Raises AssertionError."""
        found: list[dict[str, Any]] = []

        async def everywhere() -> bool:
            asked = f"tx?hash=0x{sha256(tx).hex()}"
            found.clear()
            for node in self.alive:
                try:
                    found.append(await self.rpc(node, asked))
                except (OSError, LookupError):
                    return False
            return True

        await self.until("a transaction in a block of each", everywhere)
        places = {(one["height"], one["index"], one["tx_result"]["code"]) for one in found}
        assert len(places) == 1, places
        ((height, _, code),) = places
        assert code == 0, found[0]
        return int(height)


async def ask(port: int, path: str) -> dict[str, Any]:
    """GET a JSON-RPC path of a node on this machine. Raises OSError, LookupError: an error that it tells."""

    def get() -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=20) as answer:
                told: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as error:
            told = json.load(error)
        if "error" in told:
            raise LookupError(f"{path}: {told['error']}")
        result: dict[str, Any] = told["result"]
        return result

    return await asyncio.to_thread(get)
