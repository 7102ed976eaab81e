"""Payment to many: one message, one sender, up to 64 recipients; all of them are paid, or none.

The sender's account is read and written once, so that an output costs less than a payment.
"""

from __future__ import annotations

from typing import Any

from chain.currency.ledger.bank import credit, debit, transferred
from chain.currency.ledger.records import ACCOUNT
from chain.kernel.context import Context, Handler, Leg
from chain.kernel.event_text import account
from chain.tx.errors import RecipientRefused
from chain.tx.messages.payments import PayMany


def pay_many_handler(refused: frozenset[bytes]) -> Handler:
    """refused: accounts of the chain itself."""

    def pay_many(ctx: Context, message: PayMany) -> Leg:
        branch = ctx.branch
        sender, outputs, total = message
        debit(branch, sender, total)
        for recipient, amount in outputs:
            if recipient in refused:
                raise RecipientRefused(account(recipient))
            if branch.get(ACCOUNT + recipient) is None:
                ctx.new_leaf()
            credit(branch, recipient, amount)
            transferred(branch, sender, recipient, amount)
        return Leg("pay_many", total, sender, len(outputs))

    return pay_many


def handlers(refused: frozenset[bytes]) -> dict[type[Any], Handler]:
    return {PayMany: pay_many_handler(refused)}
