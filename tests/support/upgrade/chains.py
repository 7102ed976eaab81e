"""A second build: a plan with migrations that change stored state of both machines and the bridge's bookkeeping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from chain.app_state.economy import EconomicsGenesis
from chain.chat.channels.records import CHANNEL, Channel
from chain.chat.ledger.records import IDENTITY, Identity
from chain.currency.economy import GenesisStake
from chain.currency.ledger.economic_params import StakingParams
from chain.currency.ledger.records import PARAMS as CURRENCY_PARAMS
from chain.currency.ledger.records import CurrencyParams
from chain.tx.messages.upgrade import AnnounceReadiness, SoftwareUpgrade, readiness_hash
from chain.upgrade.migrations import Migration, MigrationContext, Upgrade
from tests.support.chain.harness import CHAIN_ID, Chain, wallet

DCHAT = 10**6
VALIDATORS = ("v1", "v2", "v3", "v4")
NAMES = ("ann", "bob", *VALIDATORS)


def halve_gas_price(ctx: MigrationContext) -> Iterator[None]:
    params: CurrencyParams = ctx.branch.get(CURRENCY_PARAMS)
    ctx.branch.set(CURRENCY_PARAMS, CurrencyParams(params.gas_price // 2, params.unordered_expiry_blocks_max))
    yield


def grant_allowance(ctx: MigrationContext) -> Iterator[None]:
    def more(_: bytes, identity: Identity) -> Identity:
        return identity.with_use(identity.sequences, identity.allowance.with_bought(7, 700))

    yield from ctx.rewrite(IDENTITY, more)


def shout_topics(ctx: MigrationContext) -> Iterator[None]:
    def shout(_: bytes, c: Channel) -> Channel:
        return Channel(c.id, c.name, c.topic + "!", c.owner, c.join_price, c.member_count, c.range, c.created_height)

    yield from ctx.rewrite(CHANNEL, shout)


V2 = Upgrade(
    "v2",
    (
        Migration("currency", 2, halve_gas_price),
        Migration("chat", 3, shout_topics),
        Migration("chat", 2, grant_allowance),
    ),
)
V3 = Upgrade("v3")  # new code alone


def new_chain(*, staking: StakingParams | None = None, upgrades: Sequence[Upgrade] = (), **options: Any) -> Chain:
    """Each validator's own wallet is its consensus key as well. upgrades: those of the build that begins it."""
    stakes = [GenesisStake(one.address, one.public_key, 10**9) for one in map(wallet, VALIDATORS)]
    economics = EconomicsGenesis(staking=staking or StakingParams(), validators=stakes)
    chain = Chain(
        dict.fromkeys(NAMES, 100 * DCHAT), upgrade_authority="ann", economics=economics, upgrades=upgrades, **options
    )
    chain.block()
    return chain


def plan(chain: Chain, height: int, name: str = "v2", **fields: Any) -> bytes:
    return chain.tx("ann", SoftwareUpgrade(chain.address("ann"), name, height, **fields))


def ready(chain: Chain, validator: str, *names: str, software: str = "0.2.0") -> bytes:
    """The validator's own wallet signs as its consensus key."""
    w = chain.wallets[validator]
    unsigned = AnnounceReadiness(w.address, w.public_key, names, software, chain.height + 50, bytes(64))
    return chain.tx(validator, unsigned._replace(signature=w.key.sign(readiness_hash(CHAIN_ID, unsigned))))


def ok(chain: Chain, *txs: bytes) -> Any:
    response = chain.block(*txs)
    assert [result.code for result in response.tx_results] == [0] * len(txs), response.tx_results
    chain.assert_invariants()
    return response


def to_height(chain: Chain, height: int) -> None:
    while chain.height < height:
        ok(chain)
