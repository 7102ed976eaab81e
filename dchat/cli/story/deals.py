"""Acts over both chains: tips, subscriptions, escrows, words that others go by, an exchange."""

from __future__ import annotations

import math
import time

from chain.tx.messages import CreateChannel, Payment, PayToJoin, PostMessage, Tip, channel_id
from chain.tx.messages.escrow import (
    Attest,
    Attested,
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
)
from chain.tx.messages.payments import PayDenomination
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from consensus.formats.units import NS_PER_S
from crypto.hash import sha256
from dchat.cli.story.chat import POEM
from dchat.cli.story.stage import Story
from dchat.client.wallet import Outcome

PERIODS = 3
PERIOD_S = 60
PAY_S = 60  # before its deadline all have paid
DEADLINE_S = 4  # of what nobody releases, or as long as some transactions take here
DEADLINE_TXS = 3


async def tips(story: Story) -> None:
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    tea: bytes = story.known["tea"]
    story.known["tip"] = await story.do(ada, Tip(ada.address, tea, 2, 3 * DCHAT))
    story.tell("Ada tips Ben's third line 3 DCHAT: the message and the money are one receipt.")
    name = f"daily leaf {story.tag}"
    paper = channel_id(name)
    await story.do(ben, CreateChannel(ben.address, name, DCHAT, "a page a day", period_s=PERIOD_S))
    await story.do(cleo, *[PayToJoin(cleo.address, paper, DCHAT, PERIOD_S)] * PERIODS)
    story.tell(f"Cleo subscribes to Ben's paper for {PERIODS} periods at 1 DCHAT: all of them are paid, or none.")


def _opened(outcome: Outcome) -> EscrowReference:
    assert outcome.receipt is not None
    return EscrowReference(outcome.receipt.legs[0].subject)


async def escrows(story: Story) -> None:
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    began, before = time.monotonic(), len(story.sent)
    terms = OpenEscrow(
        ada.address, ben.address, 30 * DCHAT, story.in_an_hour(), (ada.address,), 1, arbiter=cleo.address
    )
    deal = _opened(await story.do(ada, terms))
    await story.do(ada, ReleaseEscrow(ada.address, deal, 10 * DCHAT))
    story.tell("Ada puts 30 DCHAT aside for Ben's work, with Cleo as arbiter, and releases the first 10.")
    await story.do(cleo, ReleaseEscrow(cleo.address, deal))
    story.tell("They disagree about the rest; Cleo decides for Ben, and the 20 are his.")
    tea: bytes = story.known["tea"]
    wanted = (Posted(tea, ben.address, sha256(POEM)),)
    order = _opened(await story.do(cleo, OpenEscrow(cleo.address, ben.address, 5 * DCHAT, story.in_an_hour(),
                                                    conditions=wanted)))  # fmt: skip
    delivery = (
        PostMessage(ben.address, tea, POEM, 0),
        ReleaseEscrow(ben.address, order, messages=(MessagePlace(leg=1),)),
    )
    await story.do(ben, *delivery)
    story.tell("Cleo pays 5 DCHAT on delivery of a poem: Ben posts it and is paid, in the same transaction.")
    gift = OpenSharedEscrow(
        ada.address, terms._replace(amount=4 * DCHAT, arbiter=b""), (EscrowShare(cleo.address, 6 * DCHAT),),
        terms.deadline_time_ns - PAY_S * NS_PER_S,
    )  # fmt: skip
    present = _opened(await story.do(ada, gift))
    await story.do(cleo, PayShare(cleo.address, present, None, 6 * DCHAT))
    await story.do(ada, ReleaseEscrow(ada.address, present))
    story.tell("Ada and Cleo give Ben a present of 10 DCHAT: each pays a part, and it is his when both have.")
    each_s = (time.monotonic() - began) / (len(story.sent) - before)
    wait_s = max(DEADLINE_S, math.ceil(DEADLINE_TXS * each_s))
    deadline = time.time_ns() + wait_s * NS_PER_S
    await story.do(ada, terms._replace(amount=7 * DCHAT, deadline_time_ns=deadline, arbiter=b""))
    story.tell(f"Ada puts 7 DCHAT aside for {wait_s} seconds, and nobody does anything.")


async def conditions(story: Story) -> None:
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    statement = sha256(f"the roof is mended {story.tag}".encode())
    await story.do(cleo, Attest(cleo.address, statement, story.in_an_hour()))
    bundle = (
        Require(ada.address, Attested(cleo.address, statement)),
        Require(ada.address, MemberOf(story.known["tea"], ben.address)),
        Payment(ada.address, ben.address, DCHAT),
    )
    await story.do(ada, *bundle)
    story.tell(
        "Cleo attests that the roof is mended; Ada's payment asks for her word, and that Ben is in the tea house."
    )


async def exchange(story: Story) -> None:
    ada, ben = story.named("Ada", "Ben")
    legs = (
        PayDenomination(ben.address, story.known["leaf"], ada.address, 5),
        Payment(ada.address, ben.address, 2 * DCHAT),
    )
    await story.together([ada, ben], *legs)
    story.tell("Ada and Ben both sign one bundle: 5 leaf for 2 DCHAT, both or neither.")
