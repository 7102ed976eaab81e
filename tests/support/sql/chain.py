"""Blocks with results, as a node stores them, that follow each other: as many as wanted, without running a chain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chain.tx.messages import Payment, encode_message
from consensus.types.header import Header
from crypto.hash import sha256
from dchat.sql.writer import Frame
from proto.dchat.v1 import tx_pb2
from proto.dchat.v1.state_pb2 import Receipt
from proto.tendermint.abci import types_pb2 as abci_pb
from proto.tendermint.types import block_pb2

TIME_S = 1_700_000_000
ALICE, BOB = b"\x0a" * 20, b"\x0b" * 20


def payment(number: int) -> bytes:
    """Encoded, of some amount."""
    body = tx_pb2.TxBody(chain_id="chain", lane=2, fee=100 + number, gas_limit=20_000, memo=f"no. {number}")
    body.messages.append(encode_message(Payment(ALICE, BOB, number)))
    body.signers.add(address=ALICE)
    return tx_pb2.Tx(body=body.SerializeToString(deterministic=True)).SerializeToString(deterministic=True)


def result(number: int, *, code: int = 0) -> abci_pb.ExecTxResult:
    receipt = Receipt(replay_id=sha256(b"%d" % number), height=1, fee_paid=100 + number, gas_used=9_000, code=code)
    found = abci_pb.ExecTxResult(code=code, gas_used=9_000, data=receipt.SerializeToString())
    if not code:
        found.events.append(event("transfer", sender="alice", recipient="bob", amount=f"{number}udchat"))
    return found


def event(kind: str, /, **attributes: str) -> abci_pb.Event:
    made = abci_pb.Event(type=kind)
    for key, value in attributes.items():
        made.attributes.add(key=key, value=value, index=True)
    return made


def app_hash(height: int, history: str = "") -> bytes:
    return sha256(f"state after {height}{history}".encode())


def frame(
    height: int,
    last_hash: bytes,
    *,
    txs: Sequence[bytes] = (),
    results: Sequence[abci_pb.ExecTxResult] = (),
    events: Sequence[abci_pb.Event] = (),
    history: str = "",
    is_wrong: bool = False,
) -> Frame:
    """history: of another chain. is_wrong: its results are not what the next header says."""
    block = block_pb2.Block()
    header = block.header
    header.version.block, header.chain_id, header.height = 11, "chain", height
    header.time.FromNanoseconds(TIME_S * 10**9 + height * 1_000_000_001)
    header.last_block_id.hash = last_hash
    header.last_block_id.part_set_header.total = 1 if last_hash else 0
    header.last_block_id.part_set_header.hash = last_hash
    header.app_hash, header.proposer_address = app_hash(height - 1, history), b"\xaa" * 20
    header.validators_hash = header.next_validators_hash = sha256(b"validators")
    block.data.txs.extend(txs)
    told = abci_pb.ResponseFinalizeBlock(
        tx_results=results, events=events, app_hash=app_hash(height, f"{history}{' wrong' * is_wrong}")
    )
    return Frame(height, block.SerializeToString(), told.SerializeToString())


def hash_of(made: Frame) -> bytes:
    return Header.from_proto(block_pb2.Block.FromString(made.block).header).hash


def chain(
    heights: int, *, txs: int = 2, first: int = 1, history: str = "", wrong: Sequence[int] = (), last_hash: bytes = b""
) -> Iterator[Frame]:
    """Each block has `txs` payments, the last of which failed where there are several, and an event of its own.

    wrong: heights with results that the chain does not have.
    """
    for height in range(first, first + heights):
        numbers = range(height * 100_000, height * 100_000 + txs)
        made = frame(
            height, last_hash, txs=[payment(number) for number in numbers],
            results=[result(number, code=7 * (number == numbers[-1] and txs > 1)) for number in numbers],
            events=[event("mint", amount="7udchat")], history=history, is_wrong=height in wrong,
        )  # fmt: skip
        last_hash = hash_of(made)
        yield made
