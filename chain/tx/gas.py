"""What execution costs, in gas. One gas is about 10 ns on the slowest machine that is supported (one core of 2.5 GHz).

Part is known from the transaction alone (`intrinsic`, computed when it is decoded) and must be covered by its gas
limit; the rest depends on state and is metered. Costs depend on nothing that a node remembers: a signature that was
verified before costs what it costs anew. Numbers are consensus rules: a change is an upgrade.
"""

from __future__ import annotations

from typing import Final

GAS_TRANSACTION: Final = 5_000  # decoding, authorisation, its record in the block and the results
GAS_BYTE: Final = 10  # hashing, gossip and storage of each byte, on every node
GAS_SIGNATURE: Final = 6_000  # one Ed25519 verification without help, 60 us
GAS_MESSAGE: Final = 3_000  # two records read and rewritten, their paths in the tree
GAS_OUTPUT: Final = 2_000  # of a payment to many: one account more is read and rewritten, its path in the tree
GAS_POST: Final = 5_000  # a message also grows its channel's mountain range and is stored beside it
GAS_NEW_LEAF: Final = 5_000  # a leaf that was not there lengthens paths, and stays
GAS_STAYS: Final = 15_000  # a leaf that nobody ever takes away: of an identity, a channel, a membership, a proposal
GAS_MARK: Final = 2_000  # an unordered transaction's replay mark, written now and removed later
GAS_RECEIPT: Final = 20_000  # a bundle's receipt under the bridge's root and its places in two queues, removed later
GAS_LATER: Final = 20_000  # what waits for its time is looked at, paid out or forgotten in a later block
GAS_ORDER: Final = 12_000  # a standing order that is due: its record, its place in the queue, two accounts, the fees
GAS_REWARDS: Final = 20_000  # ends a period: a validator's records, its history, the delegation, two accounts
GAS_GRANT: Final = 4_000  # a fee grant and its granter's account are read and rewritten, perhaps its end queued no more
GAS_AUTHORISED: Final = 3_000  # of each message in another's name: its authorisation is read and rewritten
GAS_PERIOD: Final = 200  # of a vesting: read with it whenever something is claimed
GAS_STAKE: Final = GAS_REWARDS + 3 * GAS_NEW_LEAF  # also indexes, pools, a queue
GAS_VALIDATOR: Final = GAS_STAKE + 3 * GAS_NEW_LEAF + GAS_SIGNATURE  # its consensus key signs
GAS_ROTATION: Final = (
    5 * GAS_MESSAGE + 2 * GAS_NEW_LEAF + GAS_STAYS + GAS_SIGNATURE
)  # the old key is remembered for ever
GAS_ML_DSA: Final = 30_000  # more, of an ML-DSA-65 key: verified in 200 us, written with each change of the stake

GAS_PER_MS: Final = 100_000
BLOCK_GAS_MAX: Final = 1_000_000_000  # ten seconds: a block without a limit of its own has this one
GAS_LEAST_TX: Final = GAS_TRANSACTION + GAS_SIGNATURE + GAS_MESSAGE + GAS_MARK  # with a mark: its bytes come on top


def limit_of(block_gas_max: int) -> int:
    """The gas that a block may use by a chain's parameter; -1: it states none."""
    return BLOCK_GAS_MAX if block_gas_max < 0 else min(block_gas_max, BLOCK_GAS_MAX)


def most_of(gas_each: int, block_gas_limit: int) -> int:
    """How many things of a price a block can add at most, and so how many of them a later block must be able to clear
    away: state that is made faster than it goes grows for ever."""
    return block_gas_limit // gas_each + 1


def block_gas_for(timeout_propose_ms: int) -> int:
    """The block's limit: execution takes at most a third of the propose time-out."""
    return timeout_propose_ms * GAS_PER_MS // 3
