"""What people of a life agree on: escrows, their words, conditions, attestations; possible and impossible ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bridge.escrow_records import ESCROW, Escrow
from chain.currency.denominations.records import DENOMINATION, HOLDING, denom_of
from chain.tx.messages import Message, channel_id
from chain.tx.messages.escrow import (
    Attest,
    Attested,
    BalanceAtLeast,
    Condition,
    EscrowReference,
    EscrowShare,
    MemberOf,
    MessagePlace,
    OpenEscrow,
    OpenSharedEscrow,
    PayShare,
    Posted,
    ReleaseEscrow,
    Require,
    TimeBefore,
    TimeFrom,
)
from chain.tx.messages.payments import Denom
from crypto.hash import ADDRESS_BYTES as SIZE
from crypto.hash import sha256

if TYPE_CHECKING:
    from tests.support.economy.life import Life

S: Final = 10**9
STATEMENTS: Final = (sha256(b"it is done"), sha256(b"it is not"))


def about_deals(life: Life, name: str, names: tuple[str, ...]) -> Message:
    rng, who = life.rng, life.address(name)
    escrows: list[tuple[bytes, Escrow]] = list(life.state.scan(ESCROW))
    draw = rng.random()
    missing = [(key, found) for key, found in escrows if any(s.payer == who and not s.paid for s in found.shares)]
    if missing and rng.random() < 0.8:
        key, escrow = rng.choice(missing)
        (share,) = [share for share in escrow.shares if share.payer == who]
        more = rng.choice((0, 0, 0, 0, 1))
        return PayShare(who, EscrowReference(key[len(ESCROW) :]), escrow.denom, share.amount + more)
    if draw < 0.35 or not escrows:
        return _opening(life, who, names)
    if draw < 0.80:
        mine = [entry for entry in escrows if who in entry[1].everybody]
        ready = [entry for entry in mine if not entry[1].pay_until_ns and life.time_ns < entry[1].due_ns]
        plain = [entry for entry in ready if entry[1].recipient and not entry[1].conditions]
        if plain and rng.random() < 0.5:
            return ReleaseEscrow(who, EscrowReference(rng.choice(plain)[0][len(ESCROW) :]), 0, b"", ())
        key, escrow = rng.choice(ready if ready and rng.random() < 0.8 else mine or escrows)
        to = rng.choice((b"", b"", escrow.sender, life.address(rng.choice(names))))
        places = tuple([MessagePlace(rng.randrange(3)) for one in escrow.conditions if isinstance(one, Posted)])
        amount = rng.choice((0, 0, 0, escrow.left // 2, escrow.left + 1))
        denom = escrow.denom if amount and rng.random() < 0.95 else None
        return ReleaseEscrow(who, EscrowReference(key[len(ESCROW) :]), amount, to, places, denom)
    if draw < 0.90:
        condition = _condition(life, names)
        return Require(who, condition, MessagePlace(rng.randrange(3)) if isinstance(condition, Posted) else None)
    until = rng.choice((0, life.time_ns, life.time_ns + 40 * S, life.time_ns + 900 * S))
    return Attest(who, rng.choice(STATEMENTS), until)


def _opening(life: Life, who: bytes, names: tuple[str, ...]) -> OpenEscrow | OpenSharedEscrow:
    rng = life.rng
    others = [life.address(other) for other in names if life.address(other) != who]
    amount = rng.choice((1, 10_000, rng.randrange(10_000, 10**6), rng.randrange(10**6, 10**8)))
    deadline = life.time_ns + rng.choice((0, 2, 10, 60, 600, 5_000)) * S
    parties = tuple(sorted(rng.sample([who, *others], rng.randrange(1, 4))))
    conditions = tuple([_condition(life, names) for _ in range(rng.randrange(3))])
    recipient = rng.choice(others)
    if rng.random() < 0.2:
        recipient, conditions = b"", ()
    arbiter = rng.choice((b"", b"", rng.choice(others)))
    threshold = rng.randrange(1, len(parties) + 1)
    held = [denom_of(key[len(HOLDING) + SIZE :]) for key, _ in life.state.scan(HOLDING + who)]
    denom = rng.choice((None, *held[:2]))
    if denom is not None:
        amount = rng.choice((1, 2, 7))
    terms = OpenEscrow(who, recipient, amount, deadline, parties, threshold, arbiter, conditions, denom)
    payers = [other for other in others if other not in (recipient, arbiter)]
    if rng.random() < 0.5 or not payers:
        return terms
    terms = terms._replace(deadline_time_ns=life.time_ns + rng.choice((20, 600, 5_000)) * S)
    chosen = sorted(rng.sample(payers, min(len(payers), rng.choice((1, 1, 2)))))
    shares = tuple([EscrowShare(payer, rng.choice((amount, amount + 3))) for payer in chosen])
    return OpenSharedEscrow(
        who, terms, shares, rng.choice((life.time_ns + 5 * S, terms.deadline_time_ns - S, terms.deadline_time_ns))
    )


def _some_denom(life: Life) -> Denom | None:
    made = [denom_of(key[len(DENOMINATION) :]) for key, _ in life.state.scan(DENOMINATION)]
    return life.rng.choice((None, *made))


def _condition(life: Life, names: tuple[str, ...]) -> Condition:
    rng, somebody = life.rng, life.address(life.rng.choice(names))
    channel = channel_id(f"channel {rng.randrange(3)}")
    conditions: tuple[Condition, ...] = (
        BalanceAtLeast(somebody, rng.randrange(1, 10**9)),
        BalanceAtLeast(somebody, rng.randrange(1, 9), _some_denom(life)),
        MemberOf(channel, somebody),
        Posted(channel, rng.choice((b"", somebody)), sha256(rng.choice((b"hello", b"again")))),
        Attested(somebody, rng.choice(STATEMENTS)),
        TimeFrom(life.time_ns + rng.choice((-5, 5, 50)) * S),
        TimeBefore(life.time_ns + rng.choice((1, 50)) * S),
    )
    return rng.choice(conditions)
