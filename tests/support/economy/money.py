"""What people of a life do with denominations of their own, requests for payment and standing orders; also in vain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from chain.currency.denominations.records import DENOMINATION, HOLDING, denom_of
from chain.currency.payments.requests import REQUEST, PaymentRequest
from chain.currency.payments.standing import ORDER
from chain.tx.codec import UINT64_MAX
from chain.tx.messages import Message
from chain.tx.messages.payments import (
    BurnDenomination,
    CancelRequest,
    CancelStandingOrder,
    CreateDenomination,
    CreateStandingOrder,
    FreezeHolding,
    FulfilRequest,
    MintDenomination,
    PayDenomination,
    RequestPayment,
    TransferDenomination,
)
from crypto.hash import ADDRESS_BYTES as SIZE

if TYPE_CHECKING:
    from tests.support.economy.life import Life

S: Final = 10**9
SUBS: Final = ("gold", "points", "x.1_y-2")


def about_requests(life: Life, name: str, names: tuple[str, ...]) -> Message:
    rng, who = life.rng, life.address(name)
    somebody = life.address(rng.choice([other for other in names if other != name]))
    made: list[tuple[bytes, PaymentRequest]] = [(key[len(REQUEST) :], found) for key, found in life.state.scan(REQUEST)]
    others = [(key, found) for key, found in made if key[:SIZE] != who and found.payer in (b"", who)]
    if others and rng.random() < 0.5:
        balance = life.balance(name)
        easy = [entry for entry in others if entry[1].denom is None and entry[1].amount < balance]
        key, found = rng.choice(easy if easy and rng.random() < 0.9 else others if rng.random() < 0.9 else made)
        amount = found.amount if rng.random() < 0.9 else found.amount + 1
        return FulfilRequest(who, key[:SIZE], key[SIZE:].decode(), found.denom, amount)
    mine = [key[SIZE:].decode() for key, _ in made if key[:SIZE] == who]
    if mine and rng.random() < 0.5:
        return CancelRequest(who, rng.choice(mine))
    held = [denom_of(key[len(HOLDING) + SIZE :]) for key, _ in life.state.scan(HOLDING)]
    expiry_ns = life.time_ns + rng.choice((1, 20, 60, 400, 400, 40_000_000)) * S
    return RequestPayment(
        who, rng.choice(("INV-1", "inv/2", "3")), rng.choice((b"", somebody, somebody)),
        rng.choice((None, None, *held[:3])), rng.choice((1, 1_000, 10**6, 10**13)), rng.choice(("", "for tea")),
        expiry_ns,
    )  # fmt: skip


def about_orders(life: Life, name: str, names: tuple[str, ...]) -> Message:
    rng, who = life.rng, life.address(name)
    somebody = life.address(rng.choice([other for other in names if other != name]))
    mine = [key[len(ORDER) + SIZE :].decode() for key, _ in life.state.scan(ORDER + who)]
    if mine and rng.random() < 0.7:
        return CancelStandingOrder(who, rng.choice(mine) if rng.random() < 0.9 else "none")
    held = [denom_of(key[len(HOLDING) + SIZE :]) for key, _ in life.state.scan(HOLDING + who)]
    denom = rng.choice((None, *held[:3]))
    amount = rng.choice((1, 3, 500)) if denom else rng.choice((10_000, 10**6, life.balance(name) // 3 + 10_000))
    times, until = rng.choice(((3, 0), (2, life.height + 60), (0, life.height + rng.choice((5, 40, 90)))))
    first = rng.choice((0, 0, life.height + rng.choice((1, 2, 3, 9))))
    reference, every = rng.choice(("rent", "tea/2")), rng.choice((10, 10, 12, 30))
    return CreateStandingOrder(
        who, reference, somebody, denom, amount, every, first, times, until, rng.choice((0, 0, 1, 10**6))
    )


def about_denominations(life: Life, name: str, names: tuple[str, ...]) -> Message:
    rng, who = life.rng, life.address(name)
    somebody = life.address(rng.choice([other for other in names if other != name]))
    made = [(denom_of(key[len(DENOMINATION) :]), record) for key, record in life.state.scan(DENOMINATION)]
    mine = [denom for denom, record in made if record.owner == who]
    held = [(denom_of(key[len(HOLDING) + SIZE :]), found.amount) for key, found in life.state.scan(HOLDING + who)]
    if held and rng.random() < 0.75:
        denom, amount = rng.choice(held)
        spent = min(max(1, rng.choice((1, amount // 2, amount // 3, amount, amount + 1))), UINT64_MAX)
        if rng.random() < 0.5:
            return PayDenomination(who, denom, somebody, spent)
        return BurnDenomination(who, denom, spent)
    if not made or (not mine and rng.random() < 0.8):
        return CreateDenomination(who, rng.choice(SUBS), rng.choice((0, 0, 1_000)), rng.random() < 0.7)
    ready = [denom for denom, record in made if record.owner == who and record.freezable and record.supply]
    if ready and rng.random() < 0.5:
        denom = rng.choice(ready)
        holders = [key[len(HOLDING) :][:SIZE] for key, _ in life.state.scan(HOLDING) if key.endswith(denom.key)]
        return FreezeHolding(who, denom, rng.choice([*holders, somebody]), rng.random() < 0.4)
    denom = rng.choice(mine) if mine and rng.random() < 0.9 else rng.choice(made)[0]
    draw = rng.random()
    if draw < 0.8:
        return MintDenomination(who, denom, somebody, rng.choice((1, 500, 10**6, UINT64_MAX)))
    if draw < 0.9:
        return FreezeHolding(who, denom, somebody, True)
    return TransferDenomination(who, denom, rng.choice((b"", somebody, somebody)))
