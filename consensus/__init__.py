"""The Tendermint engine, complete in itself: it runs any application behind `consensus.abci`."""

__all__ = [
    "abci",
    "channels",
    "core",
    "documents",
    "engine",
    "evidence",
    "execution",
    "formats",
    "gossip",
    "mempool",
    "p2p",
    "privval",
    "simulation",
    "state",
    "stores",
    "sync",
    "system",
    "types",
]
