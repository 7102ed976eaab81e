"""The engine around one application, wired: stores, mempool, evidence, executor, log, signer, driver, gossip.

    peers --- switch --- reactors --- driver --- executor --- application
                                        |           |
                     whoever submits --- mempool ------- block store, state store

`Engine.open` brings application, blocks and state to one height and leaves all at rest. `dchat.node` puts its doors
around it, `dchat.simulation` gives it a simulated machine, and `consensus.node.node` runs it from a folder.
Source: docs/architecture.md.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from consensus.abci.interface import Application, HaltRequested
from consensus.core.events import CoreConfig
from consensus.documents.genesis import GenesisDoc
from consensus.engine.driver import ConsensusDriver
from consensus.engine.interfaces import Alarms
from consensus.evidence.pool import EvidencePool
from consensus.execution.executor import BlockExecutor, Drive, drive
from consensus.execution.handshake import handshake
from consensus.execution.verifiers import Verifiers
from consensus.mempool.admission.entry import PoolConfig
from consensus.mempool.pool import Pool
from consensus.node.gossip import Gossip
from consensus.p2p.switch import Switch
from consensus.privval.guards import open_away_signer, open_file_signer
from consensus.privval.held import HeldKey
from consensus.privval.remote import AnySigner, AwayKey, RemoteKey, RemoteSigner
from consensus.privval.signer import FileSigner, Signer
from consensus.privval.succession import SuccessiveKey, SuccessiveSigner
from consensus.state.state import State
from consensus.stores.block_store import BlockStore
from consensus.stores.state_store import StateStore
from consensus.stores.wal import Wal
from consensus.system.clock import Clock, Workers
from consensus.system.disk import Disk
from consensus.system.failpoints import FailPoint, no_fail_point
from consensus.types.block import max_data_bytes
from crypto.keys import PrivKey
from storage.kv import KeyValueStore
from storage.leveldb import OnBroken


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What an engine is given of its machine, or of a simulated one."""

    disk: Disk
    clock: Clock
    workers: Workers
    chance: random.Random
    verifiers: Verifiers | None = None  # None: the workers' threads
    drive: Drive = drive
    fail_point: FailPoint = no_fail_point


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What survives a stop, beside the application's own. data: the folder of log and sign state, made if missing."""

    blocks: KeyValueStore
    state: KeyValueStore
    data: Path
    wal: Path
    sign_state: Path
    on_broken: OnBroken | None = None
    wal_limits: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What an operator sets of the engine. sign: what is put around the signer."""

    core: CoreConfig = field(default_factory=CoreConfig)
    pool: PoolConfig | None = None
    extra_channel: bool = True  # speak 0x70 with our own kind
    watch_before_signing_ns: int = 0
    watch_heights: int = 0
    indexes_events: bool = True
    sign: Callable[[FileSigner], Signer] = lambda signer: signer


@dataclass(frozen=True, kw_only=True)
class Engine:
    """At rest after `open`: run `pool.run` and `switch.start`, then `gossip.start`."""

    app: Application
    blocks: BlockStore
    states: StateStore
    pool: Pool
    evidence: EvidencePool
    executor: BlockExecutor
    wal: Wal
    signer: FileSigner | SuccessiveSigner | RemoteSigner
    switch: Switch
    driver: ConsensusDriver
    gossip: Gossip

    @staticmethod
    async def open(
        app: Application,
        genesis: GenesisDoc,
        *,
        key: PrivKey | SuccessiveKey | AwayKey,
        switch: Switch,
        machine: Machine,
        kept: Kept,
        choices: Choices,
        software: str,
        fatal: Callable[[int, str], None],
        on_halt: Callable[[HaltRequested], None] = lambda halt: None,
    ) -> Engine:
        """Wire the parts, and bring application, blocks and state to one height.

        key: the validator's, alone or with one that comes after it, or where its signer connects (`signer.door`, which
        is not opened yet). switch: not started. software: what the application is told of this build. fatal: ends the
        process (code, last line).
        Raises StorageError, EngineError, SignerError, HaltRequested, and what `app` raises.
        """
        clock, workers = machine.clock, machine.workers
        blocks, states = BlockStore(kept.blocks, kept.on_broken), StateStore(kept.state, kept.on_broken)
        pool = Pool(app, clock, workers, choices.pool, height=states_height(states))
        evidence = EvidencePool(kept.state, blocks, states, workers=workers)
        executor = BlockExecutor(
            app, blocks, states, pool=pool, evidence=evidence, workers=workers, clock=clock,
            signatures=evidence.signatures, verifiers=machine.verifiers, drive=machine.drive,
            fail_point=machine.fail_point, indexes_events=choices.indexes_events,
        )  # fmt: skip
        state = await handshake(genesis, executor, software=software)
        set_block_limits(pool, state)
        machine.disk.make_directory(kept.data)
        wal = Wal(machine.disk, kept.wal, now_ns=clock.now_ns, **kept.wal_limits)
        signer: FileSigner | SuccessiveSigner | RemoteSigner
        if isinstance(key, RemoteKey | HeldKey):
            signs: AnySigner
            signs = signer = open_away_signer(machine.disk, key, kept.sign_state, blocks, genesis.chain_id, workers)
        elif isinstance(key, SuccessiveKey):
            signs = signer = SuccessiveSigner(
                machine.disk, key, lambda key, state: open_file_signer(machine.disk, key, state, blocks), choices.sign
            )
        else:
            signer = open_file_signer(machine.disk, key, kept.sign_state, blocks)
            signs = choices.sign(signer)
        driver = ConsensusDriver(
            choices.core, state, executor, wal=wal, signer=signs, clock=clock, workers=workers,
            alarms=Alarms(fatal, fault=lambda peer_id, why: drop_peer(switch, peer_id, why), halt=on_halt),
            watch_before_signing_ns=choices.watch_before_signing_ns, watch_heights=choices.watch_heights,
            fail_point=machine.fail_point,
        )  # fmt: skip
        gossip = Gossip.join(
            switch, driver=driver, executor=executor, pool=pool, evidence=evidence, clock=clock, workers=workers,
            random=machine.chance, extra_channel=choices.extra_channel, our_address=lambda: key.pub_key.address,
            fatal=fatal,
        )  # fmt: skip
        return Engine(
            app=app, blocks=blocks, states=states, pool=pool, evidence=evidence, executor=executor, wal=wal,
            signer=signer, switch=switch, driver=driver, gossip=gossip,
        )  # fmt: skip

    def close(self) -> None:
        """The files of log and signer, after all that uses them has stopped."""
        self.wal.close()
        self.signer.close()


def states_height(states: StateStore) -> int:
    state = states.load()
    return 0 if state is None else state.last_block_height


def set_block_limits(pool: Pool, state: State) -> None:
    """What fits into no block is refused at the door."""
    room = max_data_bytes(state.block_bytes_max, commit_bytes=state.commit_bytes_max)  # as blocks are built
    pool.set_block_limits(data_bytes_max=room, gas_max=state.params.block.max_gas)


def drop_peer(switch: Switch, peer_id: str, reason: str) -> None:
    """A peer's message turned out to be false after it was taken in."""
    peer = switch.peer(peer_id)
    if peer is not None:
        switch.drop_peer(peer, reason)
