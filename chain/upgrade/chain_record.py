"""What the chain as a whole is: one record in the bridge store, read at each start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chain.kernel.branch import Key
from proto.dchat.v1 import state_pb2 as pb


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """block_gas_max: -1 is no limit. genesis_hash: SHA-256 of the app_state bytes that it began with."""

    chain_id: str
    initial_height: int
    genesis_hash: bytes
    block_bytes_max: int
    block_gas_max: int
    app_version: int

    def encode(self) -> bytes:
        return pb.ChainRecord(
            chain_id=self.chain_id,
            initial_height=self.initial_height,
            genesis_hash=self.genesis_hash,
            block_bytes_max=self.block_bytes_max,
            block_gas_max=self.block_gas_max,
            app_version=self.app_version,
        ).SerializeToString(deterministic=True)

    @staticmethod
    def decode(stored: bytes) -> ChainRecord:
        r = pb.ChainRecord.FromString(stored)
        return ChainRecord(
            r.chain_id, r.initial_height, r.genesis_hash, r.block_bytes_max, r.block_gas_max, r.app_version
        )


CHAIN: Final = Key.sure(b"bc", ChainRecord)
