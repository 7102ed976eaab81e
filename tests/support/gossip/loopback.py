"""A full node on a real socket."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

from consensus.channels.extension import ExtensionReactor
from consensus.documents.genesis import GenesisDoc
from consensus.evidence.pool import EvidencePool
from consensus.evidence.reactor import EvidenceReactor
from consensus.gossip.reactor import ConsensusReactor
from consensus.mempool.pool import Pool
from consensus.mempool.reactor import MempoolReactor
from consensus.p2p.config import SwitchConfig
from consensus.p2p.conn.address import parse_address
from consensus.p2p.conn.node_info import NodeInfo
from consensus.p2p.conn.node_key import NodeKey
from consensus.p2p.switch import Switch
from consensus.sync.blocks import BlockSyncReactor
from consensus.system.clock import InlineWorkers, LoopClock
from consensus.types.block import Block
from tests.support.engine.bench import Home, Node, key_of, make_node


@dataclass
class FullNode:
    """An engine with everything that talks to peers, at rest until `start`."""

    engine: Node
    pool: Pool
    evidence: EvidencePool
    switch: Switch
    consensus: ConsensusReactor
    mempool: MempoolReactor
    sync: BlockSyncReactor
    pool_task: asyncio.Task[None] | None = None

    @staticmethod
    async def make(genesis: GenesisDoc, index: int, home: Home) -> FullNode:
        engine = await make_node(genesis, index, home)
        clock, chance = LoopClock(), random.Random(index)
        executor = engine.executor
        pool = Pool(engine.app, clock, InlineWorkers(), height=engine.height)
        evidence = EvidencePool(home.state, executor.blocks, executor.states)
        executor.pool, executor.evidence = pool, evidence
        key = NodeKey.from_seed(bytes([100 + index]) * 32)
        config = SwitchConfig(
            listen_address="127.0.0.1:0", redial_first_s=0.02, address_book_strict=False, allow_duplicate_ip=True
        )
        info = NodeInfo(key.id, "", genesis.chain_id, "0.38.26", b"", f"node{index}")
        switch = Switch(config, node_key=key, node_info=info, rng=chance)
        extension = ExtensionReactor(clock)
        consensus = ConsensusReactor(
            engine.driver, executor.blocks, extension=extension, network=switch, clock=clock, random=chance
        )
        mempool = MempoolReactor(pool, extension, clock, chance)
        accusing = EvidenceReactor(
            evidence, heights=consensus, driver=engine.driver, network=switch, clock=clock, workers=InlineWorkers()
        )
        consensus.on_peer_advanced(accusing.peer_advanced)
        address = key_of(index).pub_key.address
        sync = BlockSyncReactor(
            engine.driver,
            executor.blocks,
            switch,
            clock,
            verifier=executor.signatures.verify_many,
            our_address=lambda: address,
        )
        for reactor in (extension, consensus, mempool, accusing, sync):
            switch.add_reactor(reactor)
        return FullNode(engine, pool, evidence, switch, consensus, mempool, sync)

    async def join(self, others: list[FullNode]) -> None:
        await self.switch.start()
        self.pool_task = asyncio.create_task(self.pool.run())
        for other in others:
            address = f"{other.switch.node_info.id}@127.0.0.1:{other.switch.listen_port}"
            self.switch.add_persistent_peer(parse_address(address))

    async def begin(self) -> int:
        applied = await self.sync.run()
        await self.engine.driver.start()
        self.consensus.start()
        return applied

    async def stop(self) -> None:
        self.consensus.stop()
        await self.switch.stop()
        await self.engine.driver.stop()
        if self.pool_task is not None:
            self.pool_task.cancel()
            await asyncio.gather(self.pool_task, return_exceptions=True)

    def blocks(self) -> list[Block]:
        store = self.engine.executor.blocks
        found = [store.load_block(height) for height in range(1, self.engine.height + 1)]
        return [block for block in found if block is not None]
