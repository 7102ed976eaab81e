"""Acts of the currency chain: who is paid, who signs, who pays fees, what is promised, made and asked for."""

from __future__ import annotations

import secrets

from chain.tx.envelope.build import Shared, Wallet
from chain.tx.messages import Output, PayMany, Payment
from chain.tx.messages.grants import Authorise, Exec, GrantFees, RevokeAuthorisation, RevokeFeeGrant
from chain.tx.messages.guardians import (
    DELAY_S_MIN,
    ApproveRecovery,
    ObjectRecovery,
    SetGuardians,
    StartRecovery,
    recovery_id,
)
from chain.tx.messages.keys import RotateKeys, prove_keys
from chain.tx.messages.payments import (
    BurnDenomination,
    CancelRequest,
    CancelStandingOrder,
    ClaimVested,
    ClawBack,
    CreateDenomination,
    CreateStandingOrder,
    CreateVesting,
    Denom,
    FreezeHolding,
    FulfilRequest,
    MintDenomination,
    PayDenomination,
    RequestPayment,
    TransferDenomination,
)
from chain.tx.policies import Group, threshold_policy
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from dchat.cli.story.stage import HOUR_S, Person, Story, dchat

PURSE = 200 * DCHAT
ORDER_EVERY = 10  # blocks, the least there is


async def payments(story: Story) -> None:
    ada, ben = story.named("Ada", "Ben")
    outputs = tuple(Output(person.address, PURSE) for person in story.people.values())
    await story.do(story.house, PayMany(story.house.address, outputs, PURSE * len(outputs)))
    story.tell(f"The house pays {', '.join(story.people)} {dchat(PURSE)} each, in one transaction.")
    await story.do(ada, Payment(ada.address, ben.address, 25 * DCHAT))
    story.tell("Ada pays Ben 25 DCHAT.")


async def keys(story: Story) -> None:
    ada, ben, cleo, dan = story.named("Ada", "Ben", "Cleo", "Dan")

    def two_of(*holders: Person) -> bytes:
        return threshold_policy(2, [Group(1, (holder.wallet.public_key,)) for holder in holders])

    team = story.team("The team", Shared(two_of(ada, ben, cleo)))
    await story.do(story.house, Payment(story.house.address, team.address, 50 * DCHAT))
    await story.do_by(team, [ada, cleo], Payment(team.address, dan.address, 10 * DCHAT))
    story.tell("The team's account needs two keys of three: Ada and Cleo sign, and Dan gets 10 DCHAT from it.")
    policy = two_of(ada, ben, dan)
    holders = [person.wallet.key for person in (ada, ben, dan)]
    proofs = prove_keys(holders, story.chain_id, team.address, policy)
    await story.do_by(team, [ada, ben], RotateKeys(team.address, policy, proofs))
    team = story.team("The team", Shared(policy, address=team.address))
    await story.do_by(team, [ben, dan], Payment(team.address, cleo.address, 5 * DCHAT))
    story.tell("Cleo hands her key on: now Ben and Dan sign. The account keeps its address, on both chains.")


async def guardians(story: Story) -> None:
    """Ada still has her keys: what would give her others is shown, and ends by her word."""
    ada, ben, cleo, dan = story.named("Ada", "Ben", "Cleo", "Dan")
    named = tuple(sorted(person.address for person in (ben, cleo, dan)))
    await story.do(ada, SetGuardians(ada.address, named, 2, DELAY_S_MIN))
    story.tell(f"Ada names Ben, Cleo and Dan her guardians: two of them, and {DELAY_S_MIN} seconds, give her new keys.")
    new = Wallet.from_seed(secrets.token_bytes(32))
    proofs = prove_keys([new.key], story.chain_id, ada.address, new.policy)
    started = await story.do(ben, StartRecovery(ben.address, ada.address, new.policy, proofs))
    recovery = recovery_id(started.replay_id, 0)
    await story.do(cleo, ApproveRecovery(cleo.address, ada.address, recovery))
    await story.do(ada, ObjectRecovery(ada.address))
    story.tell("Ben thinks that she lost hers, and Cleo agrees; Ada objects in time: she is here, and it ends.")


async def fees(story: Story) -> None:
    house = story.house
    dan, eve = story.named("Dan", "Eve")
    await story.do(house, GrantFees(house.address, eve.address, DCHAT, story.in_an_hour()))
    before = await story.balance(eve)
    await story.do(eve, Payment(eve.address, dan.address, DCHAT), fee_granter=house.address)
    paid = before - await story.balance(eve)
    story.tell(f"The house pays Eve's fees, up to 1 DCHAT: her payment of 1 DCHAT costs her {dchat(paid)}.")
    await story.do(house, RevokeFeeGrant(house.address, eve.address))
    story.tell("The house takes the grant back.")


async def authorisations(story: Story) -> None:
    ada, ben, dan = story.named("Ada", "Ben", "Dan")
    let = Authorise(ada.address, dan.address, "payment", story.in_an_hour(), 5 * DCHAT, (ben.address,))
    await story.do(ada, let)
    await story.do(dan, Exec(dan.address, ada.address, (Payment(ada.address, ben.address, 2 * DCHAT),)))
    story.tell("Ada lets Dan pay Ben from her account, up to 5 DCHAT in an hour; he pays 2 DCHAT in her name.")
    await story.do(ada, RevokeAuthorisation(ada.address, dan.address, "payment"))
    story.tell("Ada lets him no more.")


async def vesting(story: Story) -> None:
    house = story.house
    (cleo,) = story.named("Cleo")
    periods = ((HOUR_S, 100 * DCHAT),)
    await story.do(house, CreateVesting(house.address, cleo.address, 1, 100 * DCHAT, 0, True, True, periods))
    claimed = await story.do(cleo, ClaimVested(cleo.address, cleo.address, house.address, 1))
    assert claimed.receipt is not None
    vested = claimed.receipt.legs[0].amount
    story.tell(f"The house promises Cleo 100 DCHAT, evenly over an hour; {dchat(vested)} are hers by now, and paid.")
    await story.do(house, ClawBack(house.address, cleo.address, 1))
    story.tell("They part: what has vested is Cleo's, the rest goes back to the house.")


async def denominations(story: Story) -> None:
    ada, ben = story.named("Ada", "Ben")
    leaf = story.known["leaf"] = Denom(ada.address, f"leaf-{story.tag}")
    await story.do(ada, CreateDenomination(ada.address, leaf.sub, 1_000, True))
    await story.do(ada, MintDenomination(ada.address, leaf, ada.address, 500))
    await story.do(ada, PayDenomination(ada.address, leaf, ben.address, 20))
    story.tell("Ada makes a denomination of her own, leaf, of 1000 units at most; she mints 500 and pays Ben 20.")
    await story.do(ada, FreezeHolding(ada.address, leaf, ben.address, True))
    await story.do(ada, FreezeHolding(ada.address, leaf, ben.address, False))
    story.tell("She freezes what Ben holds, as she said she might when she made it, and releases it.")
    await story.do(ben, BurnDenomination(ben.address, leaf, 5))
    await story.do(ada, TransferDenomination(ada.address, leaf, ben.address))
    story.tell("Ben burns 5 leaf; Ada gives him the denomination.")


async def requests(story: Story) -> None:
    ada, ben = story.named("Ada", "Ben")
    bill = RequestPayment(ben.address, "INV-1", ada.address, None, 5 * DCHAT, "three hours", story.in_an_hour())
    await story.do(ben, bill)
    await story.do(ada, FulfilRequest(ada.address, ben.address, "INV-1", None, 5 * DCHAT))
    story.tell("Ben asks Ada for 5 DCHAT, 'three hours', as INV-1; she pays the bill, whole.")
    await story.do(ben, bill._replace(reference="INV-2", memo="by mistake"))
    await story.do(ben, CancelRequest(ben.address, "INV-2"))
    story.tell("INV-2 was a mistake: Ben cancels it.")


async def orders(story: Story) -> None:
    ada, eve = story.named("Ada", "Eve")
    begins = (await story.client.status()).latest_block_height + ORDER_EVERY
    terms = CreateStandingOrder(ada.address, "rent", eve.address, None, 3 * DCHAT, ORDER_EVERY, begins, times=12)
    await story.do(ada, terms)
    before = await story.balance(eve)
    await story.client.wait_for_height(begins)
    paid = await story.balance(eve) - before
    story.tell(f"Ada orders 3 DCHAT for Eve every {ORDER_EVERY} blocks: block {begins} pays {dchat(paid)}, unasked.")
    await story.do(ada, CancelStandingOrder(ada.address, "rent"))
    story.tell("Ada ends it.")
