"""A small state whose every answer can be proved, and a client that believes one header: that state's.

A node that lies to it may say what it likes; whatever the client takes is what the state holds.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, Final

from google.protobuf.message import DecodeError, Message

from bridge.records import RECEIPT
from chain.chat.ballots import PROPOSAL, vote_key
from chain.chat.channels.records import CHANNEL, MEMBERS
from chain.chat.ledger.records import IDENTITY
from chain.currency.ledger.records import ACCOUNT
from chain.state import mmr, proofs
from chain.state.roots import BRIDGE, CHAT, CURRENCY
from chain.state.store import Stores
from chain.tx.codec import height_bytes
from consensus.abci.interface import ExecTxResult, ProofOp
from crypto import merkle
from crypto.hash import sha256
from dchat.client.proved import Proved
from dchat.client.verify import ProofFailed, Verifier
from proto.dchat.v1 import governance_pb2, state_pb2
from proto.dchat.v1 import governance_service_pb2 as gov
from proto.dchat.v1 import service_pb2 as pb
from proto.tendermint.crypto import proof_pb2
from proto.tendermint.types import types_pb2
from storage.memory import MemoryStore

WHO: Final = bytes(range(20))
NOBODY: Final = bytes(20)
LOBBY: Final = b"l" * 20
BUNDLE: Final = b"b" * 32
HEIGHT: Final = 5
TX: Final = b"a transaction"
RECEIPT_OF_TX: Final = state_pb2.Receipt(height=HEIGHT, tx_index=0, code=41).SerializeToString()
RESULT: Final = ExecTxResult(code=41, data=RECEIPT_OF_TX, gas_wanted=9, gas_used=7)

MESSAGES: Final = [
    state_pb2.ChatMessage(channel_id=LOBBY, index=number, author=WHO, content=b"hello %d" % number)
    for number in range(5)
]
SUMMARY, NODES = mmr.Range().append([message.SerializeToString(deterministic=True) for message in MESSAGES])
HELD: Final[dict[tuple[str, bytes], Message]] = {
    (CURRENCY, ACCOUNT[1:] + WHO): state_pb2.Account(address=WHO, balance=5),
    (CHAT, IDENTITY[1:] + WHO): state_pb2.Identity(address=WHO, name="alice"),
    (CHAT, CHANNEL[1:] + LOBBY): state_pb2.Channel(
        id=LOBBY, name="lobby", message_count=SUMMARY.count, peaks=SUMMARY.peaks
    ),
    (CHAT, PROPOSAL[1:] + height_bytes(1)): governance_pb2.Proposal(id=1, title="more"),
    (CHAT, vote_key(1, 0, WHO)[1:]): governance_pb2.VoteRecord(),
    (CHAT, MEMBERS.key(LOBBY + WHO)): state_pb2.Membership(joined_height=3),
    (BRIDGE, RECEIPT[1:] + BUNDLE): state_pb2.Receipt(height=3),
}


def _view() -> Any:
    writes: dict[str, dict[bytes, bytes | None]] = {}
    for (store, key), record in HELD.items():
        # a record without a field that is set has no bytes, and no store keeps that
        writes.setdefault(store, {})[key] = record.SerializeToString(deterministic=True) or b"\x08\x01"
    for number in range(8):
        writes[CHAT][b"other %d" % number] = b"record"
    stores = Stores(MemoryStore())
    stores.commit(stores.prepare(0, writes))
    return stores.at()


VIEW: Final = _view()
TXS: Final = [sha256(TX), sha256(b"another"), sha256(b"a third")]
RESULTS: Final = [RESULT.deterministic_bytes(), b"", b"\x08\x01"]
DATA_HASH, TX_PROOFS = merkle.proofs(TXS)
RESULTS_HASH, RESULT_PROOFS = merkle.proofs(RESULTS)


class Believer(Verifier):
    """Whose every header is this one."""

    def __init__(self) -> None:
        pass

    async def header(self, height: int, *, given: types_pb2.LightBlock | None = None) -> Any:
        header = SimpleNamespace(app_hash=VIEW.app_hash, data_hash=DATA_HASH, last_results_hash=RESULTS_HASH)
        return SimpleNamespace(height=height, hash=bytes(32), header=header)


PROVED: Final = Proved(Believer())
Check = Callable[[Any], Coroutine[Any, Any, object]]


def proof_of(store: str, key: bytes) -> pb.StateProof:
    found = proofs.prove(VIEW, store, key)
    ops = [proof_pb2.ProofOp(type=op.type, key=op.key, data=op.data) for op in found.ops]
    return pb.StateProof(height=HEIGHT, store=store, key=key, value=found.value or b"", ops=proof_pb2.ProofOps(ops=ops))


def _record(kind: Any, field: str, store: str, key: bytes) -> Any:
    """The honest answer about a record, or its absence."""
    answer = kind(height=HEIGHT)
    answer.proof.CopyFrom(proof_of(store, key))
    value = VIEW.get(store, key)
    if value is not None and field == "value":
        answer.value = value
    elif value is not None:
        getattr(answer, field).ParseFromString(value)
    return answer


def _messages(first: int, count: int) -> pb.ListMessagesResponse:
    paths = [mmr.prove(SUMMARY, index, NODES.__getitem__) for index in range(first, first + count)]
    return pb.ListMessagesResponse(
        height=HEIGHT,
        messages=MESSAGES[first : first + count],
        paths=[pb.MountainProof(index=path.index, leaf_count=SUMMARY.count, path=path.path) for path in paths],
        channel_proof=proof_of(CHAT, CHANNEL[1:] + LOBBY),
        message_count=SUMMARY.count,
    )


def _message(index: int) -> pb.GetMessageResponse:
    many = _messages(index, 1)
    return pb.GetMessageResponse(
        height=HEIGHT, message=many.messages[0], path=many.paths[0], channel_proof=many.channel_proof
    )


def _tx() -> pb.GetTxResponse:
    return pb.GetTxResponse(
        hash=sha256(TX), height=HEIGHT, index=0, tx=TX, code=RESULT.code, data=RESULT.data,
        gas_wanted=RESULT.gas_wanted, gas_used=RESULT.gas_used,
        proof=types_pb2.TxProof(proof=TX_PROOFS[0].to_proto()), result_proof=RESULT_PROOFS[0].to_proto(),
    )  # fmt: skip


def _same(*fields: str) -> Callable[[Any, Any], bool]:
    return lambda told, true: all(
        told.HasField(name) == true.HasField(name) and getattr(told, name) == getattr(true, name) for name in fields
    )


# The honest answer, how the client checks one, and whether one that it took says the same.
QUESTIONS: Final[list[tuple[Any, Check, Callable[[Any, Any], bool]]]] = [
    (
        _record(pb.GetAccountResponse, "account", CURRENCY, ACCOUNT[1:] + who),
        lambda answer, who=who: PROVED.account(answer, who),  # type: ignore[misc]
        _same("account"),
    )
    for who in (WHO, NOBODY)
]
QUESTIONS += [
    (
        _record(pb.GetIdentityResponse, "identity", CHAT, IDENTITY[1:] + WHO),
        lambda answer: PROVED.identity(answer, WHO),
        _same("identity"),
    ),
    (
        _record(pb.GetChannelResponse, "channel", CHAT, CHANNEL[1:] + LOBBY),
        lambda answer: PROVED.channel(answer, LOBBY),
        _same("channel"),
    ),
    (_message(3), lambda answer: PROVED.message(answer, LOBBY, 3), _same("message")),
    (
        _messages(1, 3),
        lambda answer: PROVED.messages(answer, LOBBY, 1),
        lambda told, _: list(told.messages) == MESSAGES[1 : 1 + len(told.messages)],
    ),
    (
        _record(pb.GetBundleResponse, "receipt", BRIDGE, RECEIPT[1:] + BUNDLE),
        lambda answer: PROVED.bundle(answer, BUNDLE),
        _same("receipt"),
    ),
    (
        _record(gov.GetProposalResponse, "proposal", CHAT, PROPOSAL[1:] + height_bytes(1)),
        lambda answer: PROVED.proposal(answer, 1),
        _same("proposal"),
    ),
    (
        _record(gov.GetVoteResponse, "vote", CHAT, vote_key(1, 0, WHO)[1:]),
        lambda answer: PROVED.vote(answer, 1, 0, WHO),
        _same("vote"),
    ),
    (
        _record(pb.GetRecordResponse, "value", CHAT, MEMBERS.key(LOBBY + WHO)),
        lambda answer: PROVED.record(answer, MEMBERS, LOBBY + WHO),
        # any bytes that read the same: told are those of the answer, and the proved ones are of one meaning with them
        lambda told, true: state_pb2.Membership.FromString(told.value) == state_pb2.Membership.FromString(true.value),
    ),
    (
        _tx(),
        lambda answer: PROVED.tx(answer, sha256(TX)),
        lambda told, true: all(
            getattr(told, name) == getattr(true, name)
            for name in ("tx", "index", "code", "data", "gas_wanted", "gas_used")
        ),
    ),
]


def _finish(work: Coroutine[Any, Any, object]) -> None:
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("the client asked the node once more")


def ask(data: bytes) -> None:
    """A question's number, and what a lying node answers. Raises ProofFailed: the client takes it not."""
    if not data:
        raise ProofFailed("nothing")
    honest, check, is_true = QUESTIONS[data[0] % len(QUESTIONS)]
    try:
        answer = type(honest).FromString(data[1:])
    except DecodeError as error:
        raise ProofFailed("no answer") from error  # the library tells the caller
    _finish(check(answer))
    assert is_true(answer, honest), f"took {answer}"


def honest_answers() -> list[bytes]:
    return [bytes([number]) + answer.SerializeToString() for number, (answer, _, _) in enumerate(QUESTIONS)]


def prove(data: bytes) -> None:
    """A proof of the state's store. Raises ValueError, StateError: it is none."""
    try:
        told = pb.StateProof.FromString(data)
    except DecodeError as error:
        raise ValueError("no proof") from error
    operations = [ProofOp(op.type, op.key, op.data) for op in told.ops.ops]
    proofs.verify(operations, VIEW.app_hash, store=told.store, key=told.key, value=told.value or None)
    assert VIEW.get(told.store, told.key) == (told.value or None), f"took {told}"


def honest_proofs() -> list[bytes]:
    keys = [*HELD, (CHAT, b"a"), (CHAT, b"zz"), (CURRENCY, ACCOUNT[1:] + NOBODY)]
    return [proof_of(store, key).SerializeToString() for store, key in keys]
