"""Acts of the chain itself: stake, rewards, and how it decides about itself."""

from __future__ import annotations

import secrets
from typing import Final

from chain.tx.envelope.build import Wallet
from chain.tx.messages import Payment
from chain.tx.messages.economy import (
    CancelUnbonding,
    CreateValidator,
    Delegate,
    EditValidator,
    FundCommunityPool,
    Redelegate,
    RotateConsensusKey,
    SetWithdrawAddress,
    Undelegate,
    Unjail,
    WithdrawCommission,
    WithdrawRewards,
    prove_possession,
)
from chain.tx.messages.governance import NO, WHOLE, YES, AddDeposit, CancelProposal, SubmitProposal, Vote, VoteWeighted
from chain.tx.messages.upgrade import AnnounceReadiness, CancelUpgrade, SoftwareUpgrade, sign_readiness
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from crypto.keys import Ed25519PrivKey
from dchat.cli.story.stage import Story, dchat
from dchat.client.client import whole_param

RATE: Final = 10**17  # a tenth
KEPT: Final = 10_000 * DCHAT  # of what a purse has: for whoever uses the network after the story
FEES: Final = 5 * DCHAT
FAR_BLOCKS: Final = 100_000  # no network that a story is told on gets there


async def stake(story: Story) -> None:
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    first = story.operators[0]
    await story.do(ada, SetWithdrawAddress(ada.address, cleo.address))
    await story.do(ada, Delegate(ada.address, first, 20 * DCHAT))
    await story.do(ben, Delegate(ben.address, first, 10 * DCHAT))
    await story.do(ada, WithdrawRewards(ada.address, first))
    story.tell("Ada stakes 20 DCHAT with a validator, Ben 10; what hers earn goes to Cleo.")
    leaving = await story.do(ada, Undelegate(ada.address, first, 5 * DCHAT))
    await story.do(ada, CancelUnbonding(ada.address, first, 5 * DCHAT, leaving.height))
    story.tell("Ada takes 5 back, which would take its time, and changes her mind.")


async def move_stake(story: Story) -> None:
    (ada,) = story.named("Ada")
    first, second = story.operators[:2]
    await story.do(ada, Redelegate(ada.address, first, second, 3 * DCHAT))
    story.tell("She moves 3 DCHAT of it to another validator.")


async def votes(story: Story) -> None:
    house = story.house
    ada, ben = story.named("Ada", "Ben")
    await story.do(ada, FundCommunityPool(ada.address, DCHAT))
    proposal = SubmitProposal(house.address, "A second kettle", "The first one is always on.", False, 9 * DCHAT, ())
    made = await story.do(house, proposal)
    assert made.receipt is not None
    number = made.receipt.legs[0].index
    await story.do(ben, AddDeposit(ben.address, number, 5 * DCHAT))
    story.tell(f"Ada gives 1 DCHAT to the community; the house proposes a second kettle, as number {number}.")
    await story.do(ada, Vote(ada.address, number, YES))
    await story.do(ben, VoteWeighted(ben.address, number, ((YES, WHOLE // 10 * 7), (NO, WHOLE // 10 * 3))))
    story.tell("Ada votes yes, Ben seven tenths yes.")
    await story.do(house, CancelProposal(house.address, number))
    story.tell("Somebody has brought one: the house takes the proposal back.")


async def lacks_stake(story: Story) -> str:
    """What a validator would have to stake, and nobody here has."""
    needed, spare = await _least_stake(story) + await _key_price(story) + FEES + DCHAT, 0
    for purse in story.backstage.purses:
        spare += max((await story.client.account(purse.address)).account.balance - KEPT, 0)
    return "" if spare >= needed else f"nobody here has {dchat(needed)} to spare any more"


async def _least_stake(story: Story) -> int:
    return whole_param(await story.client.params(), "staking", "min_stake", most=10**18)


async def _key_price(story: Story) -> int:
    """Of another consensus key."""
    return whole_param(await story.client.params(), "staking", "key_rotation_fee", most=10**18)


async def validator(story: Story) -> None:
    """All in one transaction: at its end the validator is gone, before any block would have waited for its vote."""
    least = await _least_stake(story)
    gus = story.person("Gus", Wallet.from_seed(secrets.token_bytes(32)))
    missing = least + await _key_price(story) + FEES + DCHAT
    for wallet in story.backstage.purses:
        purse = story.person("A purse", wallet, elsewhere=True)
        have = (await story.client.account(purse.address)).account.balance - KEPT
        if missing and have > 0:
            await story.do(purse, Payment(purse.address, gus.address, min(have, missing)))
            missing -= min(have, missing)
    key, other = (Ed25519PrivKey.from_seed(secrets.token_bytes(32)) for _ in range(2))
    me = gus.address
    proof, again = (prove_possession(one, story.chain_id, me) for one in (key, other))
    await story.do(
        gus,
        CreateValidator(me, key.pub_key.bytes, "Gus", RATE, RATE, RATE, least, least, proof),
        EditValidator(me, "Gus's kettle"),
        RotateConsensusKey(me, other.pub_key.bytes, again),
        Undelegate(me, me, DCHAT),
        Delegate(me, me, DCHAT),
        Unjail(me),
        Undelegate(me, me, least),
    )
    story.tell(
        f"Gus makes a validator of {dchat(least)}, renames it and gives it another key; he takes a coin out, "
        "which jails it, puts one in and frees it, and gives it up: no block has waited for its vote."
    )


async def commission(story: Story) -> None:
    operator = story.person("An operator", story.backstage.operator, elsewhere=True)
    taken = await story.do(operator, WithdrawCommission(operator.address))
    assert taken.receipt is not None
    story.tell(f"Who runs a validator here takes its commission so far: {taken.receipt.legs[0].amount} udchat.")


async def lacks_authority(story: Story) -> str:
    return "" if story.backstage.may_plan else "the house may not plan upgrades here (--upgrade-authority alice)"


async def upgrades(story: Story) -> None:
    house, key = story.house, story.backstage.validator_key
    height = (await story.client.status()).latest_block_height
    name = f"kettle-{story.tag}"
    await story.do(house, SoftwareUpgrade(house.address, name, height + FAR_BLOCKS, "whistles"))
    for names in ((name,), ()):
        said = AnnounceReadiness(house.address, key.pub_key.bytes, names, "kettle" if names else "", height + 100, b"")
        await story.do(house, sign_readiness(key, story.chain_id, said))
        if names:
            story.tell(f"The house plans the upgrade {name!r} far ahead; a validator says that it is ready for it.")
            await story.do(house, CancelUpgrade(house.address))
    story.tell("The house cancels it, and the validator takes its word back.")
