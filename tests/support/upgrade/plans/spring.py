"""A second build's plan, for tests and scripts/upgrade-demo: it changes stored state of both machines.

Currency: every account whose key is known pays 1 udchat into a common fund, and gas costs half. Chat: every identity is
granted allowance, every channel's topic is marked; what an older build's chain lacks is made up for. Supply and all
invariants hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chain.chat.channels.records import CHANNEL, Channel
from chain.chat.identities.names import index_names
from chain.chat.ledger.records import IDENTITY, Identity
from chain.currency.ledger.economic_params import STAKING, StakingParams, staking_of
from chain.currency.ledger.records import ACCOUNT, Account, CurrencyParams
from chain.currency.ledger.records import PARAMS as CURRENCY_PARAMS
from chain.upgrade.migrations import Migration, MigrationContext, Upgrade
from crypto.hash import ADDRESS_BYTES, sha256

FUND: Final = sha256(b"dchat/upgrade/spring/fund")[:ADDRESS_BYTES]
GRANTED_MESSAGES: Final = 500
GRANTED_BYTES: Final = 50_000
MARK: Final = " [spring]"


def halve_gas_price(ctx: MigrationContext) -> Iterator[None]:
    params: CurrencyParams = ctx.branch.get(CURRENCY_PARAMS)
    halved = CurrencyParams(params.gas_price // 2, params.unordered_expiry_blocks_max)
    ctx.branch.set(CURRENCY_PARAMS, halved)
    yield


def fill_fund(ctx: MigrationContext) -> Iterator[None]:
    raised = 0

    def pay(key: bytes, account: Account) -> Account:
        nonlocal raised
        if account.policy is None or not account.balance:
            return account
        raised += 1
        return Account(account.address, account.balance - 1, account.policy, account.sequences)

    yield from ctx.rewrite(ACCOUNT, pay)
    if raised:
        ctx.branch.set(ACCOUNT + FUND, Account(FUND, raised, None, ()))


def grant_allowance(ctx: MigrationContext) -> Iterator[None]:
    def grant(_: bytes, identity: Identity) -> Identity:
        return identity.with_use(identity.sequences, identity.allowance.with_bought(GRANTED_MESSAGES, GRANTED_BYTES))

    yield from ctx.rewrite(IDENTITY, grant)


def index_looks(ctx: MigrationContext) -> Iterator[None]:
    """As this tree's own plan does it."""
    return index_names(ctx.branch, ctx.scan)


def mark_topics(ctx: MigrationContext) -> Iterator[None]:
    def mark(_: bytes, c: Channel) -> Channel:
        return Channel(c.id, c.name, c.topic + MARK, c.owner, c.join_price, c.member_count, c.range, c.created_height)

    yield from ctx.rewrite(CHANNEL, mark)


def let_keys_change(ctx: MigrationContext) -> Iterator[None]:
    """As this tree's own plan does it: a build must know every version that the build before it began a chain with."""
    usual = StakingParams()
    fee, most = usual.key_rotation_fee, usual.key_rotations_max
    ctx.branch.set(STAKING, staking_of(ctx.branch)._replace(key_rotation_fee=fee, key_rotations_max=most))
    yield


UPGRADES: Final[tuple[Upgrade, ...]] = (
    Upgrade(
        "spring",
        (
            Migration("currency", 2, halve_gas_price),
            Migration("currency", 3, fill_fund),
            Migration("chat", 2, index_looks),
            Migration("chat", 3, grant_allowance),
            Migration("chat", 4, mark_topics),
            Migration("economy", 2, let_keys_change),
        ),
    ),
)
