"""What a transaction would do in the next block: run over the latest saved state, in a branch that is dropped.

Nothing is kept, admitted or handed on, and no cache of the node is touched. What nobody has signed is taken as signed
by whoever can; without a gas limit it is run twice: first where gas costs nothing, for what it uses, then with that and
a margin, and the least fee for it, as if that had been signed.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.message import DecodeError

from chain.chat.ledger.records import IDENTITY
from chain.chat.ledger.records import PARAMS as CHAT_PARAMS
from chain.currency.ledger.records import ACCOUNT, CurrencyParams
from chain.currency.ledger.records import PARAMS as CURRENCY_PARAMS
from chain.kernel.branch import Base, Branch
from chain.kernel.execution import Executor, Rules, failed_result
from chain.kernel.modules import Modules
from chain.kernel.signatures import Signatures
from chain.tx.envelope.tx import SIGNERS_MAX, TX_BYTES_MAX, Tx, decode
from chain.tx.errors import Malformed, TooLarge, TooMany, TxError
from chain.tx.messages import LANE_CHAT
from chain.tx.policies import fullest, read_policy
from chain.upgrade.plan import rules_of
from consensus.state.results import ExecTxResult
from crypto.keys import ED25519_KEY_BYTES, SIGNATURE_BYTES
from proto.dchat.v1 import tx_pb2 as pb

MARGIN: Final = 10  # a tenth more than what it used: state moves on until it is in a block


class DryRun(NamedTuple):
    """result: as in a block's results. gas_limit, fee: of the transaction, or found for it."""

    result: ExecTxResult
    gas_limit: int = 0
    fee: int = 0


def dry_run(base: Base, modules: Modules, raw: bytes, *, height: int, time_ns: int) -> DryRun:
    """height: of the block that it would be in. time_ns: that block's. base: nobody else's."""
    rules = rules_of(base)
    tx: Tx | None = None
    try:
        envelope, body = _read(raw)
        if envelope.signatures:
            tx = decode(raw)
        else:
            if not body.gas_limit:
                _find_limit(base, modules, body, rules, height, time_ns)
            tx = _as_signed(base, body)
        result = _run(modules, tx, rules, Branch(base.get), height, time_ns)
    except TxError as error:
        result = failed_result(error, tx)
    return DryRun(result, tx.gas_limit, tx.fee) if tx is not None else DryRun(result)


def _read(raw: bytes) -> tuple[pb.Tx, pb.TxBody]:
    """Raises: TxError."""
    if len(raw) > TX_BYTES_MAX:
        raise TooLarge(f"{len(raw)} bytes, allowed: {TX_BYTES_MAX}")
    try:
        envelope = pb.Tx.FromString(raw)
        body = pb.TxBody.FromString(envelope.body)
    except DecodeError as error:
        raise Malformed from error
    if len(body.signers) > SIGNERS_MAX:
        raise TooMany(f"{len(body.signers)} signers, allowed: 1 to {SIGNERS_MAX}")
    return envelope, body


def _run(modules: Modules, tx: Tx, rules: Rules, block: Branch, height: int, time_ns: int) -> ExecTxResult:
    """Raises: TxError, of the ante part."""
    return Executor(modules, Signatures(), rules, block, height=height, time_ns=time_ns).run(tx, 0)


def _find_limit(base: Base, modules: Modules, body: pb.TxBody, rules: Rules, height: int, time_ns: int) -> None:
    """Set the body's gas limit, and its fee if it has none, to what it needs. Raises: TxError."""
    stated, body.fee, body.gas_limit = body.fee, 0, rules.block_gas_max
    block = Branch(base.get)
    currency, chat = base.get(CURRENCY_PARAMS), base.get(CHAT_PARAMS)
    block.set(CURRENCY_PARAMS, CurrencyParams(0, currency.unordered_expiry_blocks_max))
    block.set(CHAT_PARAMS, chat._replace(bytes_per_mgas=0))
    used = _run(modules, _as_signed(base, body), rules, block, height, time_ns).gas_used
    body.gas_limit = min(used + used // MARGIN, rules.block_gas_max)
    body.fee = stated or (0 if body.lane == LANE_CHAT else currency.min_fee(body.gas_limit))


def _as_signed(base: Base, body: pb.TxBody) -> Tx:
    """With as many signatures as any of those who may sign would give, all of them good. Raises: TxError."""
    envelope = pb.Tx(body=body.SerializeToString(deterministic=True))
    for index, signer in enumerate(body.signers):
        keys = fullest(policy) if (policy := _policy_of(base, body.lane, signer)) else (bytes(ED25519_KEY_BYTES),)
        for key in keys:
            envelope.signatures.add(signer=index, public_key=key, signature=bytes(SIGNATURE_BYTES))
    tx = decode(envelope.SerializeToString(deterministic=True))
    tx.verified = True
    return tx


def _policy_of(base: Base, lane: int, signer: pb.Signer) -> bytes | None:
    """On record, or given. Raises: TxError."""
    for kind in (IDENTITY,) if lane == LANE_CHAT else (ACCOUNT, IDENTITY):
        record = base.get(kind + signer.address)
        if record is not None and record.policy is not None:
            found: bytes = record.policy
            return found
    return read_policy("signer.policy", signer.policy) if signer.HasField("policy") else None
