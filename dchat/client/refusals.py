"""What is said to a person whose transaction is refused: what is wrong, which rule that breaks, what to do.

The node's answer is for programs: a number, a codespace, and the rule with what broke it (docs/errors.md). The rule
alone reads as if all were well ("the account exists"), so a person is told its opposite first.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from chain.tx import allowance_errors as ae
from chain.tx import chat_errors as rep
from chain.tx import errors as e
from chain.tx import identity_errors as ids
from chain.tx import payment_errors as pe
from chain.tx import vesting_errors
from chain.tx.errors import TxError, declared_errors
from chain.tx.units import UDCHAT_PER_DCHAT, in_dchat
from consensus.mempool.admission.errors import CODESPACE, Refusal


class Say(NamedTuple):
    """wrong: what is the case, as a sentence without an end; what it is of follows. todo: what a person can do."""

    wrong: str
    todo: str


CHAIN: Final[dict[type[TxError], Say]] = {
    e.Malformed: Say("these bytes are no transaction", "make it with dchat tx, or by proto/dchat/v1/tx.proto"),
    e.NotCanonical: Say(
        "it is encoded in another way than the one allowed, or has fields that this chain does not know",
        "make it anew with the build that the chain runs",
    ),
    e.TooLarge: Say("it has too many bytes", "send less at once"),
    e.TooMany: Say("it has too many messages, signers or signatures, or none", "split it, or fill it"),
    e.InvalidField: Say(
        "a field has a value that is not allowed",
        "change that field to what is allowed; one that you did not give yourself: make it anew with this build",
    ),
    e.WrongChain: Say(
        "it was signed for another chain", "ask a node of that chain (--node), or sign for this one (--genesis)"
    ),
    e.WrongLane: Say("a message does not belong in its lane", "send it alone, or all as one: dchat tx bundle"),
    e.SignersMismatch: Say(
        "its signers are not those whom it acts for", "have them sign, and the fee payer, and nobody else"
    ),
    e.BadSignature: Say("a signature is not of what it stands on", "sign it anew, and change nothing after that"),
    e.Unauthorised: Say(
        "these are not the account's keys of now",
        "sign with those: --from FILE; dchat query account ADDRESS shows which they are",
    ),
    e.PolicyMissing: Say(
        "the account has no key policy on record, and it brings none", "sign it anew with the policy: dchat tx does"
    ),
    e.PolicyMismatch: Say(
        "its key policy is not the account's",
        "sign with the account's keys of now, and leave its first policy out once they changed: dchat tx does",
    ),
    e.WrongSequence: Say(
        "its sequence is not the next one",
        "wait for what you sent before, then send it again; dchat query account shows the next",
    ),
    e.Expired: Say(
        "the chain is past its expiry height", "ask whether a block has it: dchat query tx; if not, send it again"
    ),
    e.ExpiryTooFar: Say("it would expire too late", "give fewer --expiry-blocks"),
    e.Replayed: Say("it was executed already", "nothing; dchat query tx shows what became of it"),
    e.GasLimitTooLow: Say("its gas limit is too low", "leave out --gas-limit, or give what is needed"),
    e.GasLimitTooHigh: Say("its gas limit is above a block's", "lower --gas-limit, or send less at once"),
    e.OutOfGas: Say("its work takes more gas than its limit", "raise --gas-limit; the fee rises with it"),
    e.FeeTooLow: Say("its fee is too low", "leave out --fee, or give what is needed"),
    e.FeeNotTaken: Say("it has a fee, and chat takes none", "leave out --fee"),
    e.NumberTooWide: Say("a number would become too large for its record", "use smaller numbers"),
    e.RecordTooLarge: Say("a record would become too large for its store", "make its texts and lists shorter"),
    e.KeyTypeNotAllowed: Say(
        "this chain takes no consensus key of that type", "use a key of a type in its validator.pub_key_types"
    ),
    e.UnknownAccount: Say(
        "there is no such account", "have somebody pay it: an account begins with the first payment to it"
    ),
    e.Overspend: Say("the account has less than this takes", "send less, or have it paid first"),
    e.FeeUnpayable: Say("the fee payer has less than the fee", "have it paid first"),
    e.RecipientRefused: Say("the recipient is an account of the chain itself", "pay one that somebody has a key of"),
    e.AmountOverflow: Say("an amount would pass 64 bits", "send less"),
    e.UnknownIdentity: Say("the account has no chat identity", "register one first: dchat tx register --name NAME"),
    e.IdentityExists: Say("the account has a chat identity already", "nothing; dchat query identity shows it"),
    e.NameTaken: Say("somebody has this name", "choose another --name"),
    e.UnknownChannel: Say(
        "there is no such channel", "look for it: dchat query channels; or make it: dchat tx create-channel"
    ),
    e.ChannelExists: Say("there is a channel of this name", "join it: dchat tx join; or choose another --name"),
    e.AlreadyMember: Say("you are a member of this channel already", "nothing; post with dchat tx post"),
    e.NotMember: Say(
        "you are not a member of this channel", "join it first: dchat tx join, or pay-to-join if it has a price"
    ),
    e.PriceDue: Say("joining this channel costs something", "pay for it: dchat tx pay-to-join --max-price AMOUNT"),
    e.MessageTooLong: Say("the message has too many bytes", "say it in several messages"),
    e.UnknownMessage: Say("there is no such message", "look for it: dchat query messages"),
    e.AllowanceExhausted: Say(
        "the identity's allowance is too small for this", "buy more: dchat tx buy-allowance --amount AMOUNT"
    ),
    e.NameLooksAlike: Say("the name looks like one that somebody has", "choose another --name"),
    ids.Blocked: Say("this identity blocks you", "leave it be"),
    ids.AlreadyBlocked: Say("you block this account already", "nothing; dchat query identity-block shows it"),
    ids.NotBlocked: Say("you do not block this account", "nothing"),
    ids.PrekeySignerUnknown: Say("a prekey is signed by a key that is not the identity's", "sign it with one that is"),
    ids.BadPrekeySignature: Say(
        "a prekey's signature is not of this prekey, for this identity on this chain",
        "sign it anew, and change nothing",
    ),
    ids.TooManyPrekeys: Say(
        "too many one-time prekeys would be in stock", "publish fewer, or discard those that are left"
    ),
    ids.NoPrekeys: Say("the identity has no prekeys that can be claimed", "wait until it publishes some"),
    ids.TooManyClaims: Say("you claimed as many of its prekeys as one may in a day", "wait for the next day"),
    e.NotPermitted: Say(
        "your role in the channel does not allow this", "ask its owner: dchat query channel shows who that is"
    ),
    e.MembershipEnded: Say(
        "your membership of the channel has ended", "renew it: dchat tx pay-to-join --min-period 30d"
    ),
    e.InvitationNeeded: Say(
        "you are not invited to this channel, or no more", "ask its owner or a moderator for an invitation"
    ),
    e.Banned: Say("you are banned from this channel", "wait until the ban ends: dchat query ban shows when"),
    e.ChannelArchived: Say("the channel is archived", "ask its owner to open it again"),
    e.SlowMode: Say("the channel is in slow mode, and your last message is too recent", "wait, then send it again"),
    e.OwnerStays: Say("the channel is yours", "hand it on first: dchat tx offer-channel"),
    e.NotOffered: Say("the channel is not offered to you", "ask its owner to offer it: dchat tx offer-channel"),
    e.OutOfRank: Say("they are not below you in this channel", "ask its owner"),
    e.NotBanned: Say("they are not banned from this channel", "nothing; dchat query ban shows it"),
    e.TooManyPins: Say(
        "as many messages are pinned as a channel may have", "take a pin away first: dchat tx pin --unpin"
    ),
    e.PeriodTooShort: Say("the price buys less time than you accept", "accept it with --min-period, or stay out"),
    e.PaidTooFar: Say("your membership is paid for far ahead already", "wait until more of it has passed"),
    e.OpenToAll: Say("anybody could walk into this encrypted channel", "give it --access invited, or a price"),
    ids.DeviceExpired: Say("the device key's time is over", "have the identity's own key add it again"),
    ids.DeviceRoleTooLow: Say("the device key may not sign this", "sign with one of a higher role, or the own key"),
    ids.UnknownDevice: Say("the identity has no such device key", "see them: dchat query devices"),
    ids.TooManyDevices: Say("the identity has as many device keys as one may", "revoke one: dchat tx revoke-device"),
    ids.NoGuardians: Say("the account has no guardians", "see them: dchat query guardians"),
    ids.GuardiansUnchanged: Say(
        "these are the account's guardians already", "nothing; dchat query guardians shows them"
    ),
    ids.NotGuardian: Say("you are no guardian of this account", "leave it to those: dchat query guardians"),
    ids.GuardianQuiet: Say(
        "the account objected to a recovery that you approved", "wait: dchat query guardians shows until when"
    ),
    ids.RecoveryAgreed: Say("the guardians agreed on a recovery already", "see it: dchat query recovery"),
    ids.UnknownRecovery: Say(
        "no such recovery of this account is open; one that was has lapsed (not agreed on in time, and a "
        "standstill of the chain counts), was objected to or carried out",
        "see what is: dchat query recovery; start another: dchat tx start-recovery",
    ),
    ids.RecoveryLapsed: Say("the recovery's time to agree is over", "start another: dchat tx start-recovery"),
    ids.AlreadyApproved: Say("you approved this recovery already", "nothing"),
    ids.Overruled: Say(
        "so many guardians approved that the account's objection does not end it", "ask them: it was set so before"
    ),
    ids.IdentityExpired: Say("the identity's time is over", "register again, once it is taken away: dchat tx register"),
    ids.BurnerMayNot: Say(
        "an identity that ends owns no channel, has no conversation of two and is lent nothing",
        "do it with one that lasts",
    ),
    ids.OfAnEarlierLife: Say(
        "an identity of this address ended lately, and might have signed this", "sign for longer: --expiry-blocks 1000"
    ),
    e.EditTooLate: Say("the message was posted too long ago", "post another, with --reply-to"),
    e.NotAuthor: Say("the message is somebody else's", "reply to it instead: dchat tx post --reply-to"),
    e.MessageForgotten: Say(
        "the message was retracted, or its time has passed", "nothing; dchat query message shows what is left of it"
    ),
    e.TooManyEdits: Say("the message was edited as often as it may be", "post another, with --reply-to"),
    e.NotOriginal: Say("this is a later body of another message", "name that one: dchat query message shows its index"),
    e.SameReaction: Say("this is your reaction already", "nothing"),
    e.NotNewlyRead: Say("as many messages are marked as read already", "nothing"),
    e.WrongEpoch: Say(
        "it is not encrypted for the epoch of now",
        "take the key of this epoch: dchat query channel shows which it is",
    ),
    e.NotEncrypted: Say(
        "the channel is not encrypted", "post to it in the clear, or make one with dchat tx create-channel --encrypted"
    ),
    e.OtherKey: Say("the epoch has another key", "seal that one; or begin an epoch: dchat tx begin-epoch"),
    e.KeyGiven: Say("the device has this key already", "nothing"),
    e.NotForMember: Say("they came after this epoch, and were not invited to read back", "leave them out"),
    e.NoKeyYet: Say("the epoch of now has no key yet", "give it out first: dchat tx publish-epoch-keys"),
    e.PriceAboveMaximum: Say("the channel costs more than you allow", "raise --max-price, or stay out"),
    e.BuysNothing: Say("the amount is less than one message costs", "pay more; dchat query params shows the price"),
    e.TipsOneself: Say("the message is your own", "tip somebody else's"),
    e.PolicyUnchanged: Say("these keys are the account's already", "nothing; or name other keys"),
    e.KeysNotPossessed: Say(
        "a key of the new policy did not sign for this account on this chain", "let each holder of a new key sign"
    ),
    e.UnknownValidator: Say("there is no such validator", "name one of dchat query staking validators"),
    e.ValidatorExists: Say("the account operates a validator already", "use another account (--from) for a second one"),
    e.ConsensusKeyTaken: Say(
        "another validator has this consensus key", "make a home with a key of its own: dchat init"
    ),
    e.ValidatorJailed: Say("the validator is jailed", "wait until its operator brings it back: dchat tx stake unjail"),
    e.CommissionAboveMaximum: Say("the commission is above the validator's maximum", "choose a lower one"),
    e.CommissionTooSoon: Say("the commission changed less than 24 hours ago", "wait"),
    e.CommissionChangeTooLarge: Say("the commission would rise by too much at once", "raise it in steps, a day apart"),
    e.SelfDelegationTooLow: Say(
        "the minimum self-delegation is below the chain's, or above the stake", "choose one between them"
    ),
    e.MinSelfDelegationLowered: Say(
        "the minimum self-delegation would not rise", "choose a higher one, or leave it as it is"
    ),
    e.NoDelegation: Say("there is no such delegation", "name one of dchat query staking delegations"),
    e.NotEnoughShares: Say("the delegation is worth less than was asked for", "ask for less"),
    e.NoUnbonding: Say("no such stake is unbonding", "name one of dchat query staking unbondings"),
    e.TooManyUnbondings: Say(
        "too many unbondings of this delegation wait already", "wait until the first of them is complete"
    ),
    e.TinyAmount: Say("the amount is worth nothing", "use a larger one"),
    e.TransitiveRedelegation: Say(
        "this stake was redelegated a short time ago", "wait until that is complete, or undelegate"
    ),
    e.TooManyRedelegations: Say(
        "too many redelegations of this delegation wait already", "wait until the first of them is complete"
    ),
    e.WorthlessShares: Say("the validator's shares are worth nothing", "choose another validator"),
    e.CommissionTooLow: Say("the commission is below the chain's minimum", "choose a higher one"),
    e.StakeTooLow: Say("the stake is below what a validator begins with", "stake more"),
    e.ConsensusKeyRetired: Say(
        "this consensus key signed twice once, or a validator had it before",
        "make a new key: dchat init, or dchat signer next-key where a validator changes its own",
    ),
    e.UnbondingTooSmall: Say("less than that is unbonding", "cancel less"),
    e.KeyNotPossessed: Say(
        "nothing shows that the operator has this consensus key", "sign for it: dchat tx stake prove-key"
    ),
    e.KeyRotationOff: Say(
        "this chain lets no validator change its consensus key", "propose staking.key_rotations_max to governance"
    ),
    e.TooManyRotations: Say(
        "the validator changed its consensus key already, in this unbonding time",
        "wait until the time that it names, or begin another validator",
    ),
    e.SlashWaiting: Say("a slash of this validator goes on", "try again some blocks later"),
    e.StillJailed: Say("the validator's time in jail is not over", "wait"),
    e.NotJailed: Say("the validator is not jailed", "nothing"),
    e.NoSelfDelegation: Say(
        "the operator's own delegation is below the validator's minimum", "delegate to it first, from the operator"
    ),
    e.Tombstoned: Say("the validator signed twice, and stays in jail", "begin another with a new consensus key"),
    e.WithdrawAddressRefused: Say(
        "the address is an account of the chain itself", "name one that somebody has a key of"
    ),
    e.NoCommission: Say("there is no commission to withdraw", "wait until there is"),
    e.UnknownProposal: Say("there is no such proposal", "name one of dchat query gov proposals"),
    e.VotingClosed: Say("the proposal is not being voted on", "see where it stands: dchat query gov proposal"),
    e.DepositTooSmall: Say("the deposit is too small", "deposit more"),
    e.DepositsClosed: Say("the proposal takes no deposits any more", "see where it stands: dchat query gov proposal"),
    e.NotProposer: Say("somebody else proposed it", "leave it to its proposer to cancel, and vote"),
    e.NotCancellable: Say("its voting is over, or it is cancelled", "nothing; dchat query gov proposal shows it"),
    e.InvalidProposal: Say("what it proposes could not be done", "mend what is named, and propose that"),
    e.TreasuryTooSmall: Say("the treasury has less than it would spend", "propose to spend less"),
    e.ActionPanicked: Say("an action of it broke, and changed nothing", "tell the developers, with its number"),
    e.NoStake: Say("the account has no stake, so its vote has no weight", "delegate first: dchat tx stake delegate"),
    e.UnknownEscrow: Say("there is no escrow of this id, or it is over", "look for it: dchat query escrows"),
    e.EscrowOver: Say("the escrow's deadline has come", "nothing; what is left goes back by itself"),
    e.NotEscrowParty: Say("the escrow does not name you", "have one of those say it whom dchat query escrow shows"),
    e.EscrowTooSmall: Say(
        "the amount, or what would be left, is too little", "release all of it, or give 0.01 DCHAT and more"
    ),
    e.EscrowDeadlineRefused: Say("the deadline is past, or too far away", "choose one within 366 days"),
    e.EscrowHoldsLess: Say("the escrow holds less than that", "release less; dchat query escrow shows what is left"),
    e.EscrowRecipientRefused: Say(
        "the escrow does not pay that account by your word", "name its recipient; its recipient or arbiter gives back"
    ),
    e.NotEscrowShare: Say(
        "the escrow names no such share of yours that is not paid", "look what it is: dchat query escrow ID"
    ),
    e.EscrowNotFull: Say(
        "somebody has not paid his share", "wait until all have, or until the time for it is over: all goes back then"
    ),
    e.EscrowBackInParts: Say("a part of what several paid would go back", "give all of it back: leave out --amount"),
    e.EscrowHoldsOther: Say(
        "the escrow holds something else than what you say",
        'say an amount of what it holds: --amount "5 DCHAT", --amount "5 factory/CREATOR/NAME"; or leave --amount out: '
        "all that is left",
    ),
    e.ConditionFails: Say("what is required is not the case", "wait until it is, and send it again"),
    e.NoSuchLeg: Say("no earlier leg made what a leg refers to", "mend the number, or the order of the legs"),
    e.AttestationEndRefused: Say("the end is past, or too far away", "choose one within 366 days"),
    e.NotAttested: Say("you do not attest that", "nothing; dchat query attestation shows it"),
    e.NotUpgradeAuthority: Say(
        "the signer may not set plans of upgrades", "propose it to governance: dchat tx gov submit-upgrade"
    ),
    e.UpgradeAlreadyDone: Say("this upgrade was carried out already", "choose another name for another upgrade"),
    e.PlanInThePast: Say("the chain is past the plan's height", "choose a later one"),
    e.BadAnnouncement: Say(
        "the consensus key did not sign this announcement for this chain", "sign it with the validator's key, anew"
    ),
    e.AnnouncementExpired: Say("the chain is past the announcement's expiry height", "announce anew"),
    e.AnnouncerUnknown: Say("no validator has this consensus key", "announce it for a validator's key"),
    e.NoFeeGrant: Say(
        "there is no such fee grant, or it has expired", "look: dchat query fee-grant GRANTER GRANTEE; or pay yourself"
    ),
    e.FeeGrantExceeded: Say(
        "its fee is above what is left of the fee grant", "wait for the next period, or pay yourself"
    ),
    e.FeeGrantKind: Say("the fee grant does not pay for this kind of message", "pay yourself: leave out --fee-granter"),
    e.FeeGrantExists: Say("you grant this account its fees already", "revoke that first: dchat tx revoke-fee-grant"),
    e.ExpiryPassed: Say("its time is over before it begins", "give a later --expires"),
    e.GranteeRefused: Say("the account is the chain's own", "name an account that somebody has a key of"),
    e.NoAuthorisation: Say(
        "there is no such authorisation, or it has expired", "look: dchat query authorisation GRANTER GRANTEE KIND"
    ),
    e.AuthorisationExceeded: Say(
        "the amount is above what is left of the authorisation", "spend less, or ask the granter for more"
    ),
    e.AuthorisationExists: Say(
        "you authorise this account for that already", "revoke that first: dchat tx revoke-authorisation"
    ),
    e.RecipientNotAuthorised: Say(
        "the authorisation does not let you pay this account", "pay one that it names: dchat query authorisation"
    ),
    vesting_errors.NoVesting: Say(
        "there is no such vesting, or all of it is paid", "look: dchat query vesting RECIPIENT FUNDER NUMBER"
    ),
    vesting_errors.VestingExists: Say("you have a vesting of this number for this recipient", "give another --number"),
    vesting_errors.NothingVested: Say(
        "nothing has vested since the last claim", "wait; dchat query vesting shows when more will have"
    ),
    vesting_errors.NoClawback: Say("this vesting cannot be taken back", "nothing: it was promised without --clawback"),
    vesting_errors.VestingTooFar: Say("it would begin too late", "give an earlier --start"),
    ae.LendsNothing: Say(
        "what would be locked is too little to lend for",
        "lock more; dchat query params shows what is lent (chat.lent_*)",
    ),
    ae.NotLocked: Say("the account has locked less", "see what it has: dchat query allowance ACCOUNT"),
    ae.TooManyUnlocks: Say(
        "the account waits for seven parts that it unlocked already",
        "wait for one of them: dchat query allowance ACCOUNT",
    ),
    ae.NoChannelAllowance: Say(
        "the channel's owner has set nothing aside for its members", "post with your own: leave out --by-channel"
    ),
    ae.MemberShareUsed: Say(
        "the channel has paid for your part of this period",
        "post with your own, or wait for the next: dchat query allowance ACCOUNT --channel NAME",
    ),
    ae.ChannelShareUsed: Say(
        "the channel has paid for as many posts as it does in a period",
        "post with your own, or wait for the next period",
    ),
    ae.ChannelAllowanceEmpty: Say(
        "too little is left of what the channel's owner set aside", "post with your own, or ask the owner for more"
    ),
    ae.JoinedThisPeriod: Say(
        "you joined the channel in this period", "post with your own, or wait for the next period"
    ),
    pe.DenominationExists: Say("you made a denomination of this name already", "choose another name"),
    pe.UnknownDenomination: Say(
        "there is no such denomination", "look: dchat query denominations CREATOR; its name is factory/CREATOR/NAME"
    ),
    pe.NotDenominationOwner: Say(
        "the denomination is somebody else's, or nobody's any more", "leave it to its owner: dchat query denomination"
    ),
    pe.SupplyAboveMaximum: Say("there would be more units than were declared at most", "mint less, or burn some first"),
    pe.HoldingTooSmall: Say("the account holds less of the denomination", "see what there is: dchat query holdings"),
    pe.HoldingFrozen: Say("the denomination's owner has frozen what the account holds", "ask the owner to release it"),
    pe.NotFreezable: Say("nobody can freeze this denomination: it was made without that", "nothing"),
    pe.RequestExists: Say("you have an open request of this reference", "choose another, or cancel that first"),
    pe.UnknownRequest: Say(
        "there is no such open request for payment", "look: dchat query request PAYEE REFERENCE; it may be paid already"
    ),
    pe.NotRequestsPayer: Say("the request is for somebody else to pay", "pay without it: dchat tx pay"),
    pe.RequestExpired: Say("the request's time is over", "have the payee ask again"),
    pe.RequestDiffers: Say("the request asks for another amount or denomination", "look again before you pay"),
    rep.ActedAlready: Say("you endorsed or judged this account today", "wait for the next day"),
    rep.BudgetSpent: Say("your budget of the day is spent", "wait for the next day; dchat query score shows it"),
    rep.NothingToGive: Say(
        "your score is too low to give of it", "wait until others endorse what you say; dchat query score shows it"
    ),
    rep.OwnMessage: Say("this is about yourself", "leave it to others"),
    rep.ReportedAlready: Say("you reported this already", "nothing; dchat query report shows it"),
    rep.ReportTooLight: Say("as many whose score is higher reported this already", "nothing: moderators see it"),
    rep.UnknownReport: Say("nobody reported this, or it is long ago", "look: dchat query reports CHANNEL"),
    rep.ReportResolved: Say("this was judged already", "nothing; dchat query report shows it"),
    rep.OwnCase: Say("the report is by you, or about you", "leave it to another moderator"),
    rep.Unmoderated: Say("nobody moderates a conversation of two", "block who writes: dchat tx block"),
    pe.RequestTooLong: Say("the request would wait for more than 366 days", "give an earlier --expires"),
    pe.StandingOrderExists: Say(
        "you have a standing order of this reference", "choose another, or cancel that first: dchat tx order cancel"
    ),
    pe.UnknownStandingOrder: Say(
        "you have no such standing order", "look: dchat query orders --owner YOU; it may be over already"
    ),
    pe.StandingOrderHeights: Say(
        "it would be paid before the next block, after its end, or too far ahead",
        "give a later --first-height or --until-height, or neither",
    ),
    pe.StandingOrderTooDear: Say(
        "a turn of the order costs more than its owner allowed",
        "pay it yourself, or order anew with a higher --max-turn-fee",
    ),
}

_CONVERSATION: Final = Say("you two have a conversation already", "read it: dchat query direct ONE OTHER")

MEMPOOL: Final[dict[Refusal, Say]] = {
    Refusal.TOO_LARGE: Say(
        "it is too large for this node", "make it smaller: it fits in no block, or is above the node's `tx_bytes_max`"
    ),
    Refusal.FULL: Say("this node has no room for it now", "try later"),
    Refusal.SENDER_FULL: Say("too many of this sender wait at this node already", "try later"),
    Refusal.LANE_FULL: Say("this node has no room in its lane now", "try later"),
    Refusal.ALREADY_HERE: Say("this node has it already", "nothing: it is on its way"),
    Refusal.SEEN_BEFORE: Say(
        "it was committed or refused a moment ago", "ask for it by its hash: dchat query tx HASH --prove"
    ),
    Refusal.REPLAY: Say("another with its replay id is on its way", "nothing: one of both will be executed"),
    Refusal.EXPIRED: Say(
        "the chain is past its expiry height", "ask for it by its hash; when no block has it, send it again"
    ),
    Refusal.TOO_MUCH_GAS: Say("its gas limit is above a block's", "lower --gas-limit, or send less at once"),
    Refusal.STOPPED: Say("this node is stopping", "send it to another node, or try later"),
    Refusal.FAILED: Say("this node met a fault of its own, which its log tells", "send it to another node"),
    Refusal.UNDERPRICED: Say(
        "another with its sequence waits, and it pays no tenth more than that",
        "give a higher --fee with that --sequence, or wait until it is in a block",
    ),
    Refusal.REPLACED: Say(
        "another with its sequence, that pays more, has its place",
        "nothing: of both only one can be executed; if the other is not yours, change the account's keys",
    ),
    Refusal.DISPLACED: Say(
        "others that pay more have its room", "send it again with a higher --fee and its --sequence, or try later"
    ),
}

_RULES: Final = {(error.codespace, error.code): error for error in declared_errors()}
_UDCHAT = re.compile(r"\b(\d{1,20}) ?udchat\b", re.ASCII)
_UNITS = re.compile(r"\b(\d{1,20})(factory/)", re.ASCII)  # as events write them
_LEG: Final = re.compile(r"message (\d{1,9}): ")


def explain(codespace: str, code: int, log: str) -> str:
    """One line for a person. log: the node's words, as `dchat.client.client.quoted` gives them."""
    if (error := _RULES.get((codespace, code))) is not None:
        where, what = _split(log, error.rule)
        say, what = CHAIN[error], _UNITS.sub(r"\1 \2", _UDCHAT.sub(_in_dchat, what))
        if error is e.ChannelExists and what.startswith(two := f": {e.ChannelExists.of_two}"):
            say, what = _CONVERSATION, f": {what.removeprefix(two)}"
        return f"{say.wrong}{what}{where}; what to do: {say.todo}; the rule ({codespace} {code}) is: {error.rule}"
    if codespace == CODESPACE and code in MEMPOOL:
        say = MEMPOOL[Refusal(code)]
        what = f": {log}" if log else ""
        return f"{say.wrong}{what} ({codespace} {code}); what to do: {say.todo}"
    return f"{codespace} {code}: {log}"  # of a build that knows more rules


def _in_dchat(found: re.Match[str]) -> str:
    """An amount of 1 DCHAT or more as a person gives it: 9740603 udchat is 9.740603 DCHAT."""
    udchat = int(found[1])
    return in_dchat(udchat) if udchat >= UDCHAT_PER_DCHAT else f"{udchat} udchat"


def _split(log: str, rule: str) -> tuple[str, str]:
    """(in which message, of what) of a text that names its rule; whatever else a node says is of what."""
    where = ""
    if (leg := _LEG.match(log)) is not None:
        where, log = f", in message {leg[1]}", log[leg.end() :]
    if log.startswith(rule):
        log = log[len(rule) :].removeprefix(": ")
    return where, f": {log}" if log else ""
