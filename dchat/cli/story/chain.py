"""Acts of the chain itself: stake, rewards, and how it decides about itself."""

from __future__ import annotations

from chain.tx.messages.economy import (
    CancelUnbonding,
    Delegate,
    FundCommunityPool,
    Redelegate,
    SetWithdrawAddress,
    Undelegate,
    WithdrawRewards,
)
from chain.tx.messages.governance import NO, WHOLE, YES, AddDeposit, CancelProposal, SubmitProposal, Vote, VoteWeighted
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from dchat.cli.story.stage import Story


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
