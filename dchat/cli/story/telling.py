"""The table of the story: which act shows which kinds of messages; tests/dchat/cli/test_demo.py asks for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

from chain.tx.messages import KINDS
from dchat.cli.story import chain, chat, deals, money
from dchat.cli.story.stage import Story, dchat
from dchat.client.client import Client, ClientError
from dchat.client.pack import Pack
from dchat.client.pack_make import Made, make_pack
from dchat.client.pack_verify import verify_pack
from dchat.client.verify import Verifier
from proto.dchat.v1 import bridge_service_pb2 as bridge

Run: TypeAlias = Callable[[Story], Awaitable[None]]
END_S: Final = 60.0  # for the block that ends what has a time
POLL_S: Final = 0.2
PROVED_LINE: Final = 2  # Ben's third in the tea house, which Ada tipped


class Act(NamedTuple):
    """kinds: of messages, by name: all that it sends. validators: it needs so many. lacks: what else it needs, and the
    network has not, in words; empty: nothing."""

    title: str
    run: Run
    kinds: str
    validators: int = 1
    lacks: Callable[[Story], Awaitable[str]] | None = None

    @property
    def shown(self) -> frozenset[str]:
        return frozenset(self.kinds.split(" "))


ACTS: Final = (
    Act("Money", money.payments, "pay_many payment"),
    Act("An account of several keys", money.keys, "payment rotate_keys"),
    Act("Guardians", money.guardians, "set_guardians start_recovery approve_recovery object_recovery"),
    Act("Fees paid by another", money.fees, "grant_fees payment revoke_fee_grant"),
    Act("In another's name", money.authorisations, "authorise exec payment revoke_authorisation"),
    Act("Names", chat.names, "register_identity buy_allowance set_profile block_identity unblock_identity"),
    Act("Keys for who is away", chat.prekeys, "publish_prekeys claim_prekey"),
    Act("The tea house", chat.tea_house, "create_channel pay_to_join post_message"),
    Act("A phone", chat.devices, "add_device post_message revoke_device"),
    Act("A guest for an hour", chat.burner, "payment register_burner pay_to_join post_message"),
    Act(
        "Judgements", chat.judgements,
        "endorse_author honour_author report_message report_member resolve_report",
    ),
    Act(
        "Words that are lent", chat.allowance,
        "lock_for_allowance unlock_allowance grant_channel_allowance end_channel_allowance",
    ),
    Act("What becomes of words", chat.messages, "edit_message react mark_read post_message retract_message"),
    Act(
        "A workshop by invitation", chat.workshop,
        "create_channel invite_member join_channel set_member_role post_message retract_message ban_member "
        "unban_member pin_message edit_channel offer_channel accept_channel leave_channel",
    ),
    Act(
        "Sealed", chat.sealed,
        "create_channel invite_member join_channel publish_epoch_keys post_message begin_epoch open_direct",
    ),
    Act("Tips and subscriptions", deals.tips, "tip create_channel pay_to_join"),
    Act("Money that waits", deals.escrows, "open_escrow open_shared_escrow pay_share release_escrow post_message"),
    Act("A promise that vests", money.vesting, "create_vesting claim_vested claw_back"),
    Act(
        "A denomination of one's own", money.denominations,
        "create_denomination mint_denomination pay_denomination freeze_holding burn_denomination transfer_denomination",
    ),
    Act("Bills", money.requests, "request_payment fulfil_request cancel_request"),
    Act("Words that others go by", deals.conditions, "attest require payment"),
    Act("An exchange", deals.exchange, "pay_denomination payment"),
    Act("Rent", money.orders, "create_standing_order cancel_standing_order"),
    Act(
        "Stake", chain.stake, "set_withdraw_address delegate withdraw_rewards undelegate cancel_unbonding",
    ),
    Act("Stake that moves", chain.move_stake, "redelegate", validators=2),
    Act("A vote", chain.votes, "fund_community_pool submit_proposal add_deposit vote vote_weighted cancel_proposal"),
    Act(
        "A validator of one block", chain.validator,
        "payment create_validator edit_validator rotate_consensus_key undelegate delegate unjail",
        lacks=chain.lacks_stake,
    ),
    Act("What a validator earns", chain.commission, "withdraw_commission"),
    Act(
        "An upgrade that is not made", chain.upgrades, "software_upgrade announce_readiness cancel_upgrade",
        lacks=chain.lacks_authority,
    ),
)  # fmt: skip


def not_shown() -> list[str]:
    """Kinds of messages that the chain has and no act shows."""
    return sorted(set(KINDS).difference(*(act.shown for act in ACTS)))


async def tell(story: Story, begin: Callable[[str], None]) -> None:
    """All acts. begin: is given the title of each. Raises ClientError."""
    for act in ACTS:
        if len(story.operators) < act.validators:
            continue
        before = story.kinds.copy()
        begin(act.title)
        if act.lacks is not None and (lacking := await act.lacks(story)):
            story.tell(f"Left out: {lacking}.")
            continue
        await act.run(story)
        assert frozenset((story.kinds - before).keys()) == act.shown, (act.title, story.kinds - before)
    begin("What the chain does by itself")
    await _forgotten(story)
    await _refunded(story)


async def _forgotten(story: Story) -> None:
    """The message with an end is gone. Raises ClientError."""
    tea, index = story.known["tea"], story.known["gone"]

    async def is_gone() -> bool:
        return not (await story.client.message(tea, index)).message.content

    await _until(is_gone, "the message whose time is over is still there")
    story.tell("What Cleo said for seconds is gone from every node; that she said something stays proved.")


async def _refunded(story: Story) -> None:
    """Nothing of Ada's is in an escrow. Raises ClientError."""
    (ada,) = story.named("Ada")

    async def is_back() -> bool:
        request = bridge.ListEscrowsRequest(party=ada.address)
        return not (await story.client.call(story.client.bridge.ListEscrows, request)).escrows

    await _until(is_back, "the escrow whose deadline is over is still there")
    story.tell("Ada's 7 DCHAT are back, by the block that reached their deadline.")


async def _until(condition: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    try:
        async with asyncio.timeout(END_S):
            while not await condition():  # noqa: ASYNC110 - the node's word
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise ClientError(f"{otherwise} after {END_S:g} s") from None


async def prove_line(story: Story, verifier: Verifier) -> Made:
    """One file that shows Ben's line, its place and what was paid for it to whoever has one block's hash; verified
    without a node. Raises ClientError, InvalidPack, ProofFailed."""
    made = await make_pack(verifier, story.known["tea"], PROVED_LINE, paid=[story.known["tip"].hash])
    shown = verify_pack(Pack.decode(made.data), height=made.begins.height, block_hash=made.begins.hash)
    assert shown == made.shown
    return made


async def bridge_status(client: Client) -> dict[str, Any]:
    told = await client.call(client.bridge.GetBridgeStatus, bridge.GetBridgeStatusRequest())
    return {
        "height": told.height,
        "stores": {store.name: store.root.hex() for store in told.stores},
        "in_step": told.in_step,
        "books_agree": told.books_agree,
        "held_udchat": told.held,
        "held_for_chat_udchat": told.held_for_chat,
        "held_in_escrows_udchat": told.held_in_escrows,
        "bundles_executed": told.bundles_executed,
        "bundles_failed": told.bundles_failed,
    }


def summary(story: Story, status: dict[str, Any], pack: Made) -> list[str]:
    """What was used, for people."""
    used = len(story.kinds)
    roots = "; ".join(f"{store} {root[:12]}" for store, root in status["stores"].items())
    return [
        f"{len(story.sent)} transactions of {sum(story.kinds.values())} messages, {used} of {len(KINDS)} kinds",
        f"a proof pack of {len(pack.data)} bytes shows Ben's line and Ada's tip to whoever has one block's hash",
        f"bridge at block {status['height']}: {'in step' if status['in_step'] else 'NOT IN STEP'}, roots {roots}; "
        f"{dchat(status['held_udchat'])} held, books {'agree' if status['books_agree'] else 'DO NOT AGREE'}",
    ]
