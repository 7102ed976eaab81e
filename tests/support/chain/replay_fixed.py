"""A fixed history of all kinds of transactions; prints each block's app hash and results. Run by test_determinism
in processes with different hash seeds."""

from __future__ import annotations

import sys

from chain.app_state.document import BridgeGenesis
from chain.tx.messages import (
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    Tip,
    channel_id,
)
from consensus.state.results import results_hash
from tests.support.chain.harness import Chain

DCHAT = 10**6
NAMES = tuple(f"person{number}" for number in range(12))
ROOM = channel_id("room")


def main() -> None:
    chain = Chain(dict.fromkeys(NAMES, 100 * DCHAT), bridge=BridgeGenesis(receipt_blocks=3))
    address = {name: chain.address(name) for name in NAMES}
    first = NAMES[0]
    blocks = [
        [chain.tx(name, RegisterIdentity(address[name], name, name), expiry_height=5) for name in NAMES],
        [chain.tx(first, CreateChannel(address[first], "room", 5, ""))],
        [chain.tx(name, PayToJoin(address[name], ROOM, 5), expiry_height=6) for name in NAMES[1:]],
        [chain.tx(name, PostMessage(address[name], ROOM, name.encode(), 0)) for name in NAMES],
        [chain.tx(name, Tip(address[name], ROOM, 0, 7), BuyAllowance(address[name], DCHAT), expiry_height=9)
         for name in NAMES],
        [chain.tx(name, JoinChannel(address[name], ROOM)) for name in NAMES],
        [chain.tx(a, Payment(address[a], address[b], 9)) for a in NAMES for b in NAMES if a != b],
        [chain.tx(name, Payment(address[name], address[first], 9), unordered=True, expiry_height=8)
         for name in NAMES[1:]],
        *([] for _ in range(6)),
    ]  # fmt: skip
    for txs in blocks:
        response = chain.block(*txs)
        sys.stdout.write(f"block {response.app_hash.hex()} {results_hash(response.tx_results).hex()}\n")


if __name__ == "__main__":
    main()
