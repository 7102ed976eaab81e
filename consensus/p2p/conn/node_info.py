"""What a node says of itself after the secret connection, and the checks it must pass.

Source: CometBFT v0.38, spec/p2p/legacy-docs/peer.md, p2p/node_info.go (DefaultNodeInfo).
"""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.message import DecodeError

from consensus.p2p.conn.address import ADDRESS_CHARS_MAX, NodeAddress, parse_address
from consensus.p2p.conn.errors import BadAddress, BadNodeInfo, ForeignChain
from proto.tendermint.p2p import types_pb2

P2P_PROTOCOL = 8
BLOCK_PROTOCOL = 11
NODE_INFO_BYTES_MAX = 10_240  # the wire format's
CHANNELS_MAX = 16  # the wire format's
GENESIS_HASH_BYTES_MAX = 64
SHOWN_CHARS_MAX = 80  # of a text of theirs, in an error, a log line, a door's answer


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """`channels`: a byte for each channel id. `listen_address`: where others reach the node, as it says itself.
    `genesis_hash`: of the genesis with which the node began, its first byte the form of that hash; empty: it tells
    none. CometBFT's nodes tell none, and pass this field by.
    """

    id: str
    listen_address: str
    network: str
    version: str
    channels: bytes
    moniker: str
    app_protocol: int = 0
    p2p_protocol: int = P2P_PROTOCOL
    block_protocol: int = BLOCK_PROTOCOL
    tx_index: str = "on"
    rpc_address: str = ""
    genesis_hash: bytes = b""

    def encode(self) -> bytes:
        info = types_pb2.DefaultNodeInfo(
            default_node_id=self.id,
            listen_addr=self.listen_address,
            network=self.network,
            version=self.version,
            channels=self.channels,
            moniker=self.moniker,
            genesis_hash=self.genesis_hash,
        )
        info.protocol_version.SetInParent()
        info.protocol_version.p2p = self.p2p_protocol
        info.protocol_version.block = self.block_protocol
        info.protocol_version.app = self.app_protocol
        info.other.SetInParent()
        info.other.tx_index = self.tx_index
        info.other.rpc_address = self.rpc_address
        return info.SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> NodeInfo:
        """Raises BadNodeInfo when `data` is no DefaultNodeInfo. The contents are checked by `validate`."""
        try:
            info = types_pb2.DefaultNodeInfo.FromString(data)
        except DecodeError as error:
            raise BadNodeInfo(f"node info of {len(data)} bytes is no DefaultNodeInfo") from error
        return cls(
            id=info.default_node_id,
            listen_address=info.listen_addr,
            network=info.network,
            version=info.version,
            channels=info.channels,
            moniker=info.moniker,
            app_protocol=info.protocol_version.app,
            p2p_protocol=info.protocol_version.p2p,
            block_protocol=info.protocol_version.block,
            tx_index=info.other.tx_index,
            rpc_address=info.other.rpc_address,
            genesis_hash=info.genesis_hash,
        )

    @property
    def address(self) -> NodeAddress:
        """The listen address with the id. Raises BadAddress."""
        if len(self.listen_address) > ADDRESS_CHARS_MAX:
            raise BadAddress(f"{len(self.listen_address)} characters, at most {ADDRESS_CHARS_MAX} allowed")
        text = self.listen_address.split("://", 1)[-1]
        return parse_address(f"{self.id}@{text}")

    def validate(self) -> None:
        """Check the contents alone, in upstream's order. Raises BadNodeInfo for the first rule that is broken."""
        try:
            _ = self.address
        except BadAddress as error:
            raise BadNodeInfo(f"node info: listen_addr: {error}") from error
        if self.version and not _is_text(self.version):
            raise BadNodeInfo(f"node info: version {shown(self.version)} is not empty or visible ASCII")
        if len(self.channels) > CHANNELS_MAX:
            raise BadNodeInfo(f"node info: {len(self.channels)} channels, at most {CHANNELS_MAX} allowed")
        if len(set(self.channels)) != len(self.channels):
            raise BadNodeInfo(f"node info: channels {self.channels.hex()} name one twice")
        if not _is_text(self.moniker):
            raise BadNodeInfo(f"node info: moniker {shown(self.moniker)} is not visible ASCII")
        if self.tx_index not in {"", "on", "off"}:
            raise BadNodeInfo(f"node info: tx_index is {shown(self.tx_index)}, expected '', 'on' or 'off'")
        if self.rpc_address and not _is_text(self.rpc_address):
            raise BadNodeInfo(f"node info: rpc_address {shown(self.rpc_address)} is not empty or visible ASCII")
        if (size := len(self.genesis_hash)) > GENESIS_HASH_BYTES_MAX:
            raise BadNodeInfo(f"node info: genesis_hash of {size} bytes, at most {GENESIS_HASH_BYTES_MAX} allowed")

    def check_compatible(self, other: NodeInfo) -> None:
        """Check that `other` can talk with us. Raises BadNodeInfo; ForeignChain: it has another chain."""
        if other.block_protocol != self.block_protocol:
            raise BadNodeInfo(f"node info: block protocol is {other.block_protocol}, expected {self.block_protocol}")
        if other.network != self.network:
            raise ForeignChain(
                f"node info: network is {shown(other.network)}, expected {self.network!r}: a node of another chain"
            )
        if self.genesis_hash[:1] == other.genesis_hash[:1] and self.genesis_hash != other.genesis_hash:
            raise ForeignChain(
                f"node info: it began {self.network!r} with another genesis: that one's hash is "
                f"{other.genesis_hash.hex()}, this node's {self.genesis_hash.hex()}; one of the two is not the chain's"
            )
        if self.channels and not set(self.channels) & set(other.channels):
            raise BadNodeInfo(f"node info: no channel of {other.channels.hex()} is among ours, {self.channels.hex()}")


def shown(text: str) -> str:
    """A text of theirs as an error may hold it: quoted, escaped, short."""
    return repr(text) if len(text) <= SHOWN_CHARS_MAX else f"{text[:SHOWN_CHARS_MAX]!r}... ({len(text)} characters)"


def _is_text(text: str) -> bool:
    """Printable ASCII that is not blank."""
    return all(32 <= ord(c) <= 126 for c in text) and text.strip(" ") != ""
