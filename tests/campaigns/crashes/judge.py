"""What a node must be after a loss of power, and whether one that is started on a disk is it.

What was seen from outside before the loss binds it: a block that a client was told, a transaction that was told as
committed or as durably admitted, and what its key signed. A state that it comes back with is one that the recorded node
had at that height.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chain.state.audit import audit
from consensus.formats.errors import InvalidFile
from consensus.p2p.conn.node_key import NodeKey
from consensus.privval.record import read_record
from consensus.statesync.chunks import ChunkFolder
from consensus.stores.event_index import entries_of
from consensus.stores.wal import parse_payload, payload_at
from consensus.system.disk import OsDisk
from crypto.hash import sha256
from dchat.config import load
from dchat.home.home import Home, load_genesis, load_validator_key
from dchat.home.home_lock import hold_home
from dchat.node.process import code_of
from dchat.node.runtime import Databases, Node
from dchat.statesync.joining import is_due
from proto.tendermint.consensus import wal_pb2
from storage.errors import StorageError
from tests.support.node.running import until
from tests.support.power import Step

Slot = tuple[str, int, int]  # what was signed, height, round
Signed = dict[Slot, bytes]  # what of it, without its time


class Lost(AssertionError):
    """A law that a loss of power broke."""


@dataclass
class Told:
    """What binds the node by now. blocks: height -> (hash, app hash after it), of the whole run."""

    blocks: dict[int, tuple[bytes, bytes]]
    included: dict[bytes, int]  # transaction -> height, of the whole run
    height: int = 0
    committed: dict[bytes, int] = field(default_factory=dict)
    durable: dict[bytes, bytes] = field(default_factory=dict)  # by hash
    signed: Signed = field(default_factory=dict)
    position: tuple[int, int, int] = (0, 0, 0)

    @staticmethod
    def of(marks: Iterable[dict[str, Any]]) -> Told:
        """marks: of the whole run. Nothing binds the node yet."""
        told = Told({}, {})
        for mark in marks:
            if "block" in mark:
                height = mark["block"]
                told.blocks[height] = bytes.fromhex(mark["hash"]), bytes.fromhex(mark["app_hash"])
                told.included.update((bytes.fromhex(tx_hash), height) for tx_hash in mark["txs"])
        return told

    def hear(self, told: dict[str, Any]) -> None:
        if told.get("binds"):
            self.height = max(self.height, told["block"])
        if "committed" in told:
            self.committed[bytes.fromhex(told["committed"])] = told["height"]
        if "durable" in told:
            tx = bytes.fromhex(told["durable"])
            self.durable[sha256(tx)] = tx

    def see_log(self, data: bytes) -> None:
        """What was written to the write-ahead log, synced or not: what is in it was signed."""
        for slot, content in signed_in(data):
            self.sign(slot, content)

    def sign(self, slot: Slot, content: bytes) -> None:
        if self.signed.setdefault(slot, content) != content:
            raise Lost(f"signed twice: {slot}")
        step = {"proposal": 1, "vote 1": 2, "vote 2": 3}[slot[0]]
        self.position = max(self.position, (slot[1], slot[2], step))


def note(told: Told, names: dict[tuple[int, int], str], step: Step) -> None:
    if step.kind == "O":
        names[step.number] = step.path
    elif step.kind == "W" and "/cs.wal/" in names.get(step.number, ""):
        told.see_log(step.data)


def signed_in(data: bytes) -> Iterator[tuple[Slot, bytes]]:
    """Our votes and proposals in a piece of a log that begins with a record: what peers sent has their ids."""
    at = 0
    while isinstance(payload := payload_at(data, at), bytes):
        at += 8 + len(payload)
        message = parse_payload(payload)
        if message is not None:
            yield from _signed_by(message)


def _signed_by(message: wal_pb2.TimedWALMessage) -> Iterator[tuple[Slot, bytes]]:
    if message.msg.WhichOneof("sum") != "msg_info" or message.msg.msg_info.peer_id:
        return
    inner = message.msg.msg_info.msg
    match inner.WhichOneof("sum"):
        case "vote":
            vote = inner.vote.vote
            yield (f"vote {vote.type}", vote.height, vote.round), vote.signature
        case "proposal":
            proposal = inner.proposal.proposal
            yield ("proposal", proposal.height, proposal.round), proposal.signature


# ------------------------------------------------------------------------------------------------ starting


@dataclass
class Outcome:
    """height: that it came back with."""

    height: int
    app_height: int


async def judge(root: Path, told: Told, *, goes_on: bool) -> Outcome:
    """Start a node on the disk at `root`. goes_on: it also makes blocks. Raises Lost."""
    lied: list[StorageError] = []
    failures: list[tuple[int, str]] = []
    config = load(root / "validator-config.toml", environment={}).config
    home = Home.of(root, config)
    sign_state = _position(home)
    if sign_state < told.position:
        raise Lost(f"the record of signing is at {sign_state}, and {told.position} was signed")
    try:
        with hold_home(home):
            pass  # what a start does first
        node = await Node.open(
            home, config, load_genesis(home), node_key=NodeKey.load(home.node_key),
            validator_key=load_validator_key(home), fatal=lambda code, text: failures.append((code, text)),
            on_broken=lied.append,
        )  # fmt: skip
    except Exception as error:
        raise Lost(f"it does not start, code {code_of(error)}: {type(error).__name__}: {error}") from error
    try:
        outcome = _look(node, told)
        if goes_on:
            await node.start()
            before = node.driver.state.last_block_height
            await until(
                lambda: bool(failures or lied) or node.driver.state.last_block_height > before + 1, timeout_s=30
            )
        if lied or failures:
            raise Lost(f"it went on and ended: {lied or failures}")
        found = list(filter(None, audit(node.databases.app.snapshot()))) if goes_on else []
        if found:
            raise Lost(f"the state is wrong: {found[:3]}")
    except TimeoutError:
        raise Lost("it makes no blocks") from None
    finally:
        await node.stop()
    if goes_on:
        _look_at_signatures(home, told)
    return outcome


def is_restored(root: Path) -> bool:
    """Of a home that joins by a snapshot: whether that is done. If not, its next start has to begin it again, or go on.

    Raises Lost.
    """
    config = load(root / "validator-config.toml", environment={}).config
    home = Home.of(root, config)
    try:
        with hold_home(home):
            databases = Databases.open(home.databases, config)
            try:
                folder = ChunkFolder(OsDisk(), home.state_sync)
                is_left = is_due(folder, databases.blocks, databases.state, wanted=True)
                if is_left and (snapshot := folder.snapshot) is not None:
                    for number in folder.choose(snapshot):
                        folder.get(number)
                return not is_left
            finally:
                databases.close()
    except Exception as error:
        raise Lost(f"it cannot go on joining, code {code_of(error)}: {type(error).__name__}: {error}") from error


def _position(home: Home) -> tuple[int, int, int]:
    try:
        return read_record(OsDisk(), home.sign_state).position
    except (OSError, InvalidFile) as error:
        raise Lost(f"the record of signing cannot be read: {error}") from None


def _look(node: Node, told: Told) -> Outcome:
    state, executor = node.driver.state, node.executor
    height = state.last_block_height
    if height < told.height:
        raise Lost(f"it is at height {height}, and a client was told of block {told.height}")
    if height in told.blocks:
        want = told.blocks[height]
        if (state.last_block_id.hash, state.app_hash) != want:
            got = state.last_block_id.hash.hex(), state.app_hash.hex()
            raise Lost(f"at height {height} it is at {got}, expected {want[0].hex(), want[1].hex()}")
    for low in range(executor.blocks.base, height + 1) if executor.blocks.base else ():  # 0: none yet, after a snapshot
        meta = executor.blocks.load_meta(low)
        if meta is None or executor.blocks.load_block(low) is None:
            raise Lost(f"block {low} is missing, of {executor.blocks.base} to {height}")
        if low in told.blocks and meta.block_id.hash != told.blocks[low][0]:
            raise Lost(f"block {low} is another one")
    _look_for_txs(node, told)
    _look_for_events(node, height)
    shelf = node.app.shelf
    assert shelf is not None
    for offer in shelf.offers():
        for number in range(offer.chunks):
            if not shelf.chunk(offer.height, number):
                raise Lost(f"the snapshot of {offer.height} is offered and damaged")
    return Outcome(height, node.app.queries.view().version)


def _look_for_txs(node: Node, told: Told) -> None:
    states, base = node.executor.states, node.executor.blocks.base
    for tx_hash, height in told.committed.items():
        found = states.find_tx(tx_hash)
        if height >= base and (found is None or found[0] != height):
            raise Lost(f"transaction {tx_hash.hex()} was told as committed at {height}; it is at {found}")
    waiting = {sha256(tx) for tx in node.journal.left}
    for tx_hash in told.durable:
        was_pruned = told.included.get(tx_hash, base) < base
        if tx_hash not in waiting and states.find_tx(tx_hash) is None and not was_pruned:
            raise Lost(f"transaction {tx_hash.hex()} was told as admitted durably; it is nowhere")


def _look_for_events(node: Node, height: int) -> None:
    """The index of events says of each block that it says to have what the results of that block say."""
    states, base = node.executor.states, node.executor.blocks.base
    whole = states.indexed
    for low in range(max(base, whole.first), min(height, whole.last) + 1) if whole is not None else ():
        response = states.load_response(low)
        if response is None:
            raise Lost(f"the results of block {low} are missing, and the index of events says to have them")
        for key, value in entries_of(low, response):
            if states.events.get(key) != value:
                raise Lost(f"the index of events lacks an entry of block {low}: {key.hex()}")


def _look_at_signatures(home: Home, told: Told) -> None:
    """What it signed after the loss beside what was signed before."""
    seen = dict(told.signed)
    for file in sorted(home.wal.iterdir()):
        for slot, content in signed_in(file.read_bytes()):
            if seen.setdefault(slot, content) != content:
                raise Lost(f"signed twice: {slot}")
