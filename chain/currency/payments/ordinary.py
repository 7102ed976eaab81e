"""The short way through the execution of an ordinary payment: one message, to an account that is there, signed by the
sender's one key in its order, the fee paid by the sender.

Most transactions are such, and the long way (the ante part of `chain.currency.machine`, then the message's handler,
each in a branch of its own) takes half as long again. What is not so, or would not pass, is no error here: the long way
judges it. A property test holds both to one outcome: what is written, the result, the error.
Pure and deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from chain.currency.ledger.bank import transfer_event
from chain.currency.ledger.records import ACCOUNT, PARAMS, SUPPLY, Account, CurrencyParams, Supply
from chain.kernel.context import Leg
from chain.kernel.modules import Short, ShortWay
from chain.tx.codec import UINT64_MAX
from chain.tx.envelope.tx import Tx
from chain.tx.messages import Payment
from chain.tx.policies import POLICY_ED25519

_new: Final = tuple.__new__  # what a NamedTuple's constructor calls, without its frame


def short_way(refused: frozenset[bytes]) -> ShortWay:
    """refused: as of `chain.currency.machine.payment_handler`."""

    def short(get: Callable[[bytes], Any], tx: Tx, height: int, time_ns: int) -> Short | None:
        messages, signers, signatures = tx.messages, tx.signers, tx.signatures
        if len(messages) != 1 or len(signers) != 1 or len(signatures) != 1 or tx.unordered or tx.fee_granter:
            return None
        if type(message := messages[0]) is not Payment:
            return None
        sender, recipient, amount = message
        _, given, sequence_key, sequence = signers[0]
        _, signed_by, _ = signatures[0]
        if sender == recipient or recipient in refused or sequence_key != signed_by:
            return None
        source_key, target_key, fee = ACCOUNT + sender, ACCOUNT + recipient, tx.fee
        source: Account | None = get(source_key)
        target: Account | None = get(target_key)
        if source is None or target is None:
            return None
        params: CurrencyParams = get(PARAMS)
        supply: Supply = get(SUPPLY)
        policy = source.policy or given
        sequences = source.sequences
        known, expected = sequences[0] if len(sequences) == 1 else (sequence_key, 0)
        charged = source.balance - fee
        total, fees = target.balance + amount, supply.collected_fees + fee
        if (
            policy != POLICY_ED25519 + signed_by
            or (given is not None and given != policy)
            or len(sequences) > 1
            or known != sequence_key
            or sequence != expected
            or sequence >= UINT64_MAX
            or fee < params.min_fee(tx.gas_limit)
            or charged < amount
            or total > UINT64_MAX
            or fees > UINT64_MAX
        ):
            return None
        after = ((sequence_key, sequence + 1),)
        before: dict[bytes, Any] = {
            SUPPLY: Supply(supply.total, fees),
            source_key: Account(sender, charged, policy, after),
        }
        rest: dict[bytes, Any] = {
            target_key: Account(recipient, total, target.policy, target.sequences),
            source_key: Account(sender, charged - amount, policy, after),
        }
        leg = _new(Leg, ("payment", amount, recipient, 0))
        return before, rest, leg, partial(transfer_event, sender, recipient, amount)

    return short
