"""What became of a signed transaction, and what its account is: shown by proofs, whatever the node says.

A node that was handed a transaction keeps it, and may have it executed until its expiry height or until its sequence is
used; that it says "refused", "wrong sequence" or "expired" changes nothing of that. So another one for the same purpose
is only signed when the first is shown to be dead: a block before whose header is verified holds another transaction
with its sequence. Raises ProofFailed, ClientError.
"""

from __future__ import annotations

from dataclasses import dataclass

from chain.tx.envelope.tx import Tx, decode
from chain.tx.errors import TxError
from chain.tx.messages import LANE_CHAT
from consensus.types.block import Data
from dchat.client.client import Client, ClientError, NotFound
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed
from proto.dchat.v1 import service_pb2 as pb
from proto.dchat.v1 import state_pb2

TAKER_BLOCKS_MAX = 100  # looked through for who took a sequence; two terminals are a few blocks apart
SCAN_BLOCKS_MAX = 200  # looked through for one that has expired: what is unordered lives so long, unless told otherwise


@dataclass(frozen=True)
class Standing:
    """An account on the machine of a lane, after block `height`. next: the sequence of its key."""

    next: int
    has_policy: bool
    height: int

    @staticmethod
    def of(record: state_pb2.Account | state_pb2.Identity | None, public_key: bytes, height: int) -> Standing:
        if record is None:
            return Standing(0, False, height)
        sequences = {entry.public_key: entry.next for entry in record.sequences}
        begins = sequences.get(b"", 0)  # where its keys were changed
        return Standing(sequences.get(public_key, begins), record.HasField("policy"), height)


async def told_standing(client: Client, address: bytes, public_key: bytes, lane: int) -> Standing:
    """By the node's word."""
    answer, record = await _ask(client, address, lane, height=0, prove=False)
    return Standing.of(record, public_key, answer.height)


async def proved_standing(client: Client, proved: Proved, address: bytes, public_key: bytes, lane: int) -> Standing:
    """By the latest header. It waits for the next one only where the node says that the last block changed it."""
    told = await told_standing(client, address, public_key, lane)
    found = await _proved(client, proved, address, public_key, lane, height=0)
    if (found.next, found.has_policy) == (told.next, told.has_policy) or found.height >= told.height:
        return found
    await client.wait_for_height(told.height + 1)
    return await _proved(client, proved, address, public_key, lane, height=told.height)


async def _proved(
    client: Client, proved: Proved, address: bytes, public_key: bytes, lane: int, *, height: int
) -> Standing:
    answer, record = await _ask(client, address, lane, height=height, prove=True)
    if isinstance(answer, pb.GetIdentityResponse):
        await proved.identity(answer, address)
    else:
        await proved.account(answer, address)
    if height and answer.height != height:
        raise ProofFailed(f"asked for the state after block {height}, got it after {answer.height}")
    return Standing.of(record, public_key, answer.height)


async def _ask(
    client: Client, address: bytes, lane: int, *, height: int, prove: bool
) -> tuple[pb.GetIdentityResponse | pb.GetAccountResponse, state_pb2.Account | state_pb2.Identity | None]:
    if lane == LANE_CHAT:
        person = await client.identity(address, height=height, prove=prove)
        return person, person.identity if person.HasField("identity") else None
    account = await client.account(address, height=height, prove=prove)
    return account, account.account if account.HasField("account") else None


async def taker(client: Client, proved: Proved, tx: Tx, *, above: int, until: int) -> Tx | None:
    """Who used the sequence of `tx` (its first signer's): the transaction, in a block of `above` + 1 to `until`.

    Each block's transactions are checked against its verified header, so that none can be left out or made up. None:
    nobody did. It may be `tx` itself: compare replay ids.
    """
    assert not tx.unordered
    if until - above > TAKER_BLOCKS_MAX:
        raise ClientError(f"who used the sequence is in one of {until - above} blocks; allowed: {TAKER_BLOCKS_MAX}")
    for height in range(above + 1, until + 1):
        for other in await _transactions(client, proved, height):
            if not other.unordered and other.lane == tx.lane and _seats(tx)[0] in _seats(other):
                return other
    return None


async def shown_dead(client: Client, proved: Proved, tx: Tx) -> int:
    """The height from which on no block to its expiry height, which the chain is above, has `tx`; 0: that is not shown.

    Of an ordered one: its sequence is unused at a header past that. Of others: none of the last blocks that could take
    it has it, but for those that are below the root of trust."""
    if not tx.unordered:
        signer = tx.signers[0]
        standing = await proved_standing(client, proved, signer.address, signer.sequence_key, tx.lane)
        if standing.height >= tx.expiry_height and standing.next <= signer.sequence:
            return 1
        return 0
    first = max(1, proved.verifier.trust.height, tx.expiry_height - SCAN_BLOCKS_MAX)
    for height in range(first, tx.expiry_height + 1):
        if any(other.replay_id == tx.replay_id for other in await _transactions(client, proved, height)):
            return 0
    return first


def _seats(tx: Tx) -> list[tuple[bytes, bytes, int]]:
    return [(signer.address, signer.sequence_key, signer.sequence) for signer in tx.signers]


async def _transactions(client: Client, proved: Proved, height: int) -> list[Tx]:
    block = await client.block(height)
    light = await proved.verifier.header(height)
    data = Data(tuple(block.block.data.txs))
    if data.hash != light.header.data_hash:
        raise ProofFailed(f"the transactions that the node told of block {height} are not those of its header")
    found = []
    for raw in data.txs:
        try:
            found.append(decode(raw))
        except TxError as error:  # no block of ours holds what is no transaction
            raise ProofFailed(f"block {height} holds what this build cannot read: {error}") from None
    return found


async def proved_tx(client: Client, proved: Proved, tx_hash: bytes, height: int) -> tuple[pb.GetTxResponse, int]:
    """The transaction in block `height` and what became of it there, and the height of the header that shows it."""
    await client.wait_for_height(height + 1)
    try:
        answer = await client.tx(tx_hash, prove=True)
    except NotFound as error:
        raise ProofFailed(
            f"the node said that {tx_hash.hex()} is in block {height}, and does not know it: {error}"
        ) from None
    checked = await proved.tx(answer, tx_hash)
    return answer, checked.light.height
