"""Acts of the chat chain: names, prekeys, devices, channels, messages and what becomes of them, encryption."""

from __future__ import annotations

import secrets

from nacl.public import PrivateKey, SealedBox
from nacl.secret import SecretBox

from chain.tx.envelope.build import Wallet
from chain.tx.messages import (
    BuyAllowance,
    CreateChannel,
    JoinChannel,
    Payment,
    PayToJoin,
    PostMessage,
    RegisterIdentity,
    channel_id,
)
from chain.tx.messages.allowance import (
    EndChannelAllowance,
    GrantChannelAllowance,
    LockForAllowance,
    UnlockAllowance,
)
from chain.tx.messages.bridge import RegisterBurner
from chain.tx.messages.chat import (
    INVITED,
    MODERATOR,
    USE_LAST_RESORT,
    USE_SIGNED,
    AcceptChannel,
    AddDevice,
    BanMember,
    BeginEpoch,
    BlockIdentity,
    ClaimPrekey,
    EditChannel,
    EditMessage,
    InviteMember,
    LeaveChannel,
    MarkRead,
    OfferChannel,
    OpenDirect,
    PinMessage,
    PublishEpochKeys,
    PublishPrekeys,
    React,
    RetractMessage,
    RevokeDevice,
    SealedCopy,
    SetMemberRole,
    SetProfile,
    SignedPrekey,
    UnbanMember,
    UnblockIdentity,
    prekey_hash,
)
from chain.tx.messages.chat.reputation import (
    DISMISSED,
    REASON_NAMES,
    UPHELD,
    EndorseAuthor,
    HonourAuthor,
    ReportMember,
    ReportMessage,
    ResolveReport,
)
from chain.tx.messages.kinds import ROLE_POST
from chain.tx.units import UDCHAT_PER_DCHAT as DCHAT
from crypto.hash import sha256
from dchat.cli.story.stage import HOUR_S, Person, Story

DAY_S = 86_400
REASONS = {name: number for number, name in REASON_NAMES.items()}
TTL_S = 2  # of a message that is gone before the story ends
POEM = b"The kettle sings; two ledgers, one leaf."


async def names(story: Story) -> None:
    for person in story.people.values():
        name = f"{person.name.lower()}-{story.tag}"
        who = person.address
        await story.do(person, RegisterIdentity(who, name, person.name), BuyAllowance(who, 5 * DCHAT))
    story.tell("All five register a name that nobody else can have, or one that looks like it, and buy words to say.")
    ada, ben, eve = story.named("Ada", "Ben", "Eve")
    await story.do(ada, SetProfile(ada.address, "keeps the tea house", "https://tea.example", sha256(b"a picture")))
    await story.do(ben, BlockIdentity(ben.address, eve.address))
    await story.do(ben, UnblockIdentity(ben.address, eve.address))
    story.tell("Ada says who she is. Ben blocks Eve, and thinks better of it.")


async def prekeys(story: Story) -> None:
    ada, ben = story.named("Ada", "Ben")

    def signed(use: int) -> SignedPrekey:
        key = secrets.token_bytes(32)
        digest = prekey_hash(story.chain_id, ada.address, use, key)
        return SignedPrekey(key, ada.wallet.public_key, ada.wallet.key.sign(digest))

    one_time = tuple(secrets.token_bytes(32) for _ in range(3))
    await story.do(ada, PublishPrekeys(ada.address, signed(USE_SIGNED), signed(USE_LAST_RESORT), one_time))
    await story.do(ben, ClaimPrekey(ben.address, ada.address))
    story.tell("Ada leaves keys for who writes to her while she is away; Ben takes one, which nobody gets again.")


async def tea_house(story: Story) -> None:
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    name = f"tea house {story.tag}"
    tea = story.known["tea"] = channel_id(name)
    await story.do(ben, CreateChannel(ben.address, name, 5 * DCHAT, "one pays to come in"))
    for guest in (ada, cleo):
        await story.do(guest, PayToJoin(guest.address, tea, 5 * DCHAT))
    story.tell(f"Ben opens the {name!r} at 5 DCHAT; Ada and Cleo pay and are in, by one transaction over both chains.")
    talk = [
        (ben, "Come in. The kettle is on, and both books will show it.", 0),
        (ada, "Both books? I paid in one and walked in by the other.", 1),
        (ben, "That is the point: one block wrote both, or neither.", 2),
    ]
    for speaker, text, reply_to in talk:
        await story.do(speaker, PostMessage(speaker.address, tea, text.encode(), reply_to))
        story.tell(f"{speaker.name}: {text}")


async def devices(story: Story) -> None:
    (ada,) = story.named("Ada")
    tea: bytes = story.known["tea"]
    phone = story.person("Ada's phone", Wallet(Wallet.from_seed(secrets.token_bytes(32)).key, ada.address))
    await story.do(ada, AddDevice(ada.address, phone.wallet.public_key, ROLE_POST, DAY_S))
    await story.do(phone, PostMessage(ada.address, tea, b"Written on the way, with a key of my phone's.", 0))
    story.tell("Ada's own key stays at home: her phone may post for a day, and does.")
    await story.do(ada, RevokeDevice(ada.address, phone.wallet.public_key))
    story.tell("She loses the phone, and its key is worth nothing.")


async def burner(story: Story) -> None:
    """Somebody whom nothing joins to anybody else, but the money that it begins with."""
    house = story.house
    tea: bytes = story.known["tea"]
    fox = story.person("A fox", Wallet.from_seed(secrets.token_bytes(32)))
    story.known["fox"] = fox.address
    await story.do(house, Payment(house.address, fox.address, 10 * DCHAT))
    await story.do(fox, RegisterBurner(fox.address, f"fox-{story.tag}", "A fox", HOUR_S))
    await story.do(fox, PayToJoin(fox.address, tea, 5 * DCHAT))
    await story.do(fox, PostMessage(fox.address, tea, b"You will not find me here tomorrow.", 0))
    story.tell("A fox registers for an hour and says so: then its name, keys and membership end by themselves.")


async def judgements(story: Story) -> None:
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    tea: bytes = story.known["tea"]
    fox: bytes = story.known["fox"]
    await story.do(ben, EndorseAuthor(ben.address, tea, 1))
    await story.do(cleo, HonourAuthor(cleo.address, tea, 0, 2 * DCHAT))
    story.tell("Ben endorses what Ada said; Cleo burns 2 DCHAT in Ben's honour. Nothing else makes a name worth more.")
    await story.do(cleo, ReportMessage(cleo.address, tea, 4, REASONS["spam"]))
    await story.do(ada, ReportMember(ada.address, tea, fox, REASONS["other"]))
    await story.do(ben, ResolveReport(ben.address, tea, 4, b"", UPHELD))
    await story.do(ben, ResolveReport(ben.address, tea, 0, fox, DISMISSED))
    story.tell("Cleo reports what the fox said, Ada the fox itself; Ben, whose house it is, upholds the first of them.")


async def allowance(story: Story) -> None:
    """What is set aside pays from the next period on, of who is a member by then: nobody posts by it here."""
    ada, ben = story.named("Ada", "Ben")
    tea: bytes = story.known["tea"]
    await story.do(ada, LockForAllowance(ada.address, 50 * DCHAT))
    await story.do(ada, UnlockAllowance(ada.address, 20 * DCHAT))
    story.tell("Ada locks 50 DCHAT, which bring words each week instead of money, and asks 20 of them back.")
    await story.do(ben, GrantChannelAllowance(ben.address, tea, 50, 50_000, 5, 10_000))
    await story.do(ben, EndChannelAllowance(ben.address, tea))
    story.tell("Ben sets 50 messages aside for his guests, five of each a week, and takes back what nobody used.")


async def messages(story: Story) -> None:
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    tea: bytes = story.known["tea"]
    await story.do(ada, EditMessage(ada.address, tea, 1, b"I paid in one book and walked in by the other."))
    await story.do(ben, React(ben.address, tea, 1, 4))
    await story.do(cleo, MarkRead(cleo.address, tea, 4))
    story.tell("Ada edits what she said; Ben laughs at it; Cleo has read four messages.")
    posted = await story.do(cleo, PostMessage(cleo.address, tea, b"This will be gone when you look.", 0, TTL_S))
    assert posted.receipt is not None
    story.known["gone"] = posted.receipt.legs[0].index
    posted = await story.do(cleo, PostMessage(cleo.address, tea, b"I should not have said that.", 0))
    assert posted.receipt is not None
    await story.do(cleo, RetractMessage(cleo.address, tea, posted.receipt.legs[0].index))
    story.tell(
        f"Cleo says something for {TTL_S} seconds, and takes another thing back: every node forgets both bodies."
    )


async def workshop(story: Story) -> None:
    ada, ben, cleo, dan = story.named("Ada", "Ben", "Cleo", "Dan")
    name = f"workshop {story.tag}"
    room = channel_id(name)
    await story.do(ada, CreateChannel(ada.address, name, 0, "", INVITED))
    for guest in (ben, cleo, dan):
        await story.do(ada, InviteMember(ada.address, room, guest.address, HOUR_S))
        await story.do(guest, JoinChannel(guest.address, room))
    await story.do(ada, SetMemberRole(ada.address, room, ben.address, MODERATOR))
    story.tell("Ada makes a workshop that one is invited to; Ben, Cleo and Dan come, and Ben moderates.")
    await story.do(dan, PostMessage(dan.address, room, b"Buy my lamps! Buy my lamps!", 0))
    await story.do(ben, RetractMessage(ben.address, room, 0))
    await story.do(ben, BanMember(ben.address, room, dan.address, HOUR_S))
    story.tell("Dan advertises; Ben takes it down and keeps him out for an hour.")
    await story.do(ben, UnbanMember(ben.address, room, dan.address))
    await story.do(cleo, PostMessage(cleo.address, room, b"He has said that he is sorry.", 0))
    await story.do(ben, PinMessage(ben.address, room, 1))
    await story.do(ada, EditChannel(ada.address, room, topic="lamps elsewhere, please", slow_mode_s=5))
    story.tell("Ben lets him back and pins Cleo's word for him; Ada gives the workshop a topic, and slow mode.")
    await story.do(ada, OfferChannel(ada.address, room, ben.address))
    await story.do(ben, AcceptChannel(ben.address, room))
    await story.do(cleo, LeaveChannel(cleo.address, room))
    story.tell("Ada hands the workshop to Ben, who takes it; Cleo leaves.")


async def sealed(story: Story) -> None:
    """The chain sees no key and reads no body: both are opened here, from what it keeps."""
    ada, ben, cleo = story.named("Ada", "Ben", "Cleo")
    name = f"sealed room {story.tag}"
    room = channel_id(name)
    await story.do(ada, CreateChannel(ada.address, name, 0, "", INVITED, encrypted=True))
    await story.do(ada, InviteMember(ada.address, room, cleo.address, HOUR_S))
    await story.do(cleo, JoinChannel(cleo.address, room))
    tablet = PrivateKey.generate()
    key, copies, epoch = await _give_key(story, ada, cleo, room, tablet)
    body = SecretBox(key).encrypt(b"Nobody but us.")
    await story.do(ada, PostMessage(ada.address, room, bytes(body), 0, epoch=epoch))
    opened = SealedBox(tablet).decrypt(copies[0].sealed)
    read = (await story.client.message(room, 0)).message.content
    text = SecretBox(opened).decrypt(read).decode()
    story.tell(f"In a sealed room Ada posts what no node can read; Cleo opens the key of epoch {epoch}: {text!r}")
    await story.do(ada, BeginEpoch(ada.address, room))
    *_, later = await _give_key(story, ada, cleo, room, tablet)
    story.tell(f"Ada begins epoch {later}: whoever finds the old key reads nothing that follows.")
    opening = await story.do(ada, OpenDirect(ada.address, ben.address))
    assert opening.receipt is not None
    await story.do(ben, PostMessage(ben.address, opening.receipt.legs[0].subject, b"Only the two of us.", 0))
    story.tell("Ada opens a conversation of two with Ben, and he writes to her.")


async def _give_key(
    story: Story, ada: Person, cleo: Person, room: bytes, tablet: PrivateKey
) -> tuple[bytes, tuple[SealedCopy, ...], int]:
    """The epoch's key, its copy for Cleo's tablet, the epoch."""
    epoch = (await story.client.channel(room)).channel.settings.epoch
    key = secrets.token_bytes(32)
    sealed_key = SealedBox(tablet.public_key).encrypt(key)
    copies = (SealedCopy(cleo.address, bytes(tablet.public_key), bytes(sealed_key)),)
    await story.do(ada, PublishEpochKeys(ada.address, room, epoch, sha256(b"dchat/epoch-key" + key), copies))
    return key, copies, epoch
