"""`dchat` of a build that executes one thing otherwise: who pays to the address below pays in one udchat more than was
taken from them. For what finds such a difference.

python -m tests.support.node.differs validator --home DIR
"""

from __future__ import annotations

from chain.currency.ledger.records import ACCOUNT
from chain.kernel.context import Context, Leg
from chain.kernel.modules import Modules
from chain.tx.messages import Payment
from dchat.app import app
from dchat.app.composition import compose
from dchat.cli.main import main

RECIPIENT = b"\x07" * 20


def differing() -> Modules:
    modules = compose()
    usual = modules.handlers[Payment]

    def pay(ctx: Context, message: Payment) -> Leg:
        leg = usual(ctx, message)
        if message.recipient == RECIPIENT:
            account = ctx.branch.get(ACCOUNT + RECIPIENT)
            assert account is not None
            ctx.branch.set(ACCOUNT + RECIPIENT, account.with_balance(account.balance + 1))
        return leg

    modules.handlers[Payment] = pay
    return modules


def make_differ() -> None:
    app.compose = differing  # type: ignore[attr-defined]


if __name__ == "__main__":
    make_differ()
    main()
