"""Why a transaction is refused or fails: one tree, each error with a codespace, a number and the rule it names.

Only these fail a transaction; any other exception stops the node. Numbers are unique over all codespaces, because a
block's results hash covers the number alone, and they never change or get reused. Texts are for people and logs:
they enter no state. The table for users is docs/errors.md, which a test compares with this tree.
"""

from __future__ import annotations

from collections.abc import Iterator

from chain.tx.chat_errors import (
    Banned,
    ChannelArchived,
    EditTooLate,
    InvitationNeeded,
    KeyGiven,
    MembershipEnded,
    MessageForgotten,
    NoKeyYet,
    NotAuthor,
    NotBanned,
    NotEncrypted,
    NotForMember,
    NotNewlyRead,
    NotOffered,
    NotOriginal,
    NotPermitted,
    OpenToAll,
    OtherKey,
    OutOfRank,
    OwnerStays,
    PaidTooFar,
    PeriodTooShort,
    SameReaction,
    SlowMode,
    TooManyEdits,
    TooManyPins,
    WrongEpoch,
)  # fmt: skip
from chain.tx.error_base import TxError

__all__ = [
    "Banned", "ChannelArchived", "EditTooLate", "InvitationNeeded", "KeyGiven", "MembershipEnded",
    "MessageForgotten", "NoKeyYet", "NotAuthor", "NotBanned", "NotEncrypted", "NotForMember", "NotNewlyRead",
    "NotOffered", "NotOriginal", "NotPermitted", "OpenToAll", "OtherKey", "OutOfRank", "OwnerStays", "PaidTooFar",
    "PeriodTooShort", "SameReaction", "SlowMode", "TooManyEdits", "TooManyPins", "TxError", "WrongEpoch",
]  # fmt: skip  # what is told here of other files


# ------------------------------------------------------------------------------ the envelope: codespace "tx"


class EnvelopeError(TxError):
    codespace = "tx"


class Malformed(EnvelopeError):
    code, rule = 1, "a transaction is a protobuf dchat.v1.Tx"


class NotCanonical(EnvelopeError):
    code, rule = 2, "encodings are canonical and without unknown fields"


class TooLarge(EnvelopeError):
    code, rule = 3, "a transaction has a bounded size"


class TooMany(EnvelopeError):
    code, rule = 4, "messages, signers and signatures are bounded in number and not absent"


class InvalidField(EnvelopeError):
    code, rule = 5, "every field has a valid value"


class WrongChain(EnvelopeError):
    code, rule = 6, "the chain id is this chain's"


class WrongLane(EnvelopeError):
    code, rule = 7, "the lane fits the messages"


class SignersMismatch(EnvelopeError):
    code, rule = 8, "the signers are exactly the accounts that the messages act for, and the fee payer"


class BadSignature(EnvelopeError):
    code, rule = 9, "every signature is valid for the body"


class Unauthorised(EnvelopeError):
    code, rule = 10, "the signatures satisfy the account's key policy"
    may_pass_later = True


class PolicyMissing(EnvelopeError):
    code, rule = 11, "an account's first transaction carries its key policy"
    may_pass_later = True


class PolicyMismatch(EnvelopeError):
    code, rule = 12, "the key policy is the account's"


class WrongSequence(EnvelopeError):
    code, rule = 13, "the sequence is the next one of its key"

    def __init__(self, *, got: int, expected: int) -> None:
        super().__init__(f"{got}, expected {expected}")
        self.may_pass_later = got > expected


class Expired(EnvelopeError):
    code, rule = 14, "a transaction is included by its expiry height"


class ExpiryTooFar(EnvelopeError):
    code, rule = 15, "an unordered transaction expires within the chain's bound"


class Replayed(EnvelopeError):
    code, rule = 16, "a transaction runs once"


class GasLimitTooLow(EnvelopeError):
    code, rule = 17, "the gas limit covers what the transaction is sure to cost"


class GasLimitTooHigh(EnvelopeError):
    code, rule = 18, "the gas limit fits in a block"


class OutOfGas(EnvelopeError):
    code, rule = 19, "execution stays within the gas limit"


class FeeTooLow(EnvelopeError):
    code, rule = 20, "the fee is at least the gas limit at the chain's price"


class FeeNotTaken(EnvelopeError):
    code, rule = 21, "the chat lane's fee is 0"


class NumberTooWide(EnvelopeError):
    code, rule = 22, "every number fits the field of the record that keeps it"


class RecordTooLarge(EnvelopeError):
    code, rule = 23, "every record fits into its store"


class KeyTypeNotAllowed(EnvelopeError):
    code, rule = 24, "a consensus key is of a type that the chain's parameters allow"


# ------------------------------------------------------------------------------ codespace "currency"


class CurrencyError(TxError):
    codespace = "currency"


class UnknownAccount(CurrencyError):
    code, rule = 40, "the account exists"
    may_pass_later = True


class Overspend(CurrencyError):
    code, rule = 41, "an account spends what it has"
    may_pass_later = True


class FeeUnpayable(CurrencyError):
    code, rule = 42, "the fee payer has the fee"
    may_pass_later = True


class RecipientRefused(CurrencyError):
    code, rule = 43, "accounts of the chain itself receive nothing by payment"


class AmountOverflow(CurrencyError):
    code, rule = 44, "amounts stay within 64 bits"


# ------------------------------------------------------------------------------ codespace "chat"


class ChatError(TxError):
    codespace = "chat"


class UnknownIdentity(ChatError):
    code, rule = 60, "the identity is registered"
    may_pass_later = True


class IdentityExists(ChatError):
    code, rule = 61, "an account registers once"


class NameTaken(ChatError):
    code, rule = 62, "names of identities are unique"


class UnknownChannel(ChatError):
    code, rule = 63, "the channel exists"


class ChannelExists(ChatError):
    code, rule = 64, "a channel's name is its own, and two have one conversation"
    of_two = "of the two: "  # before a conversation's id


class AlreadyMember(ChatError):
    code, rule = 65, "an identity joins a channel once"


class NotMember(ChatError):
    code, rule = 66, "only members post"


class PriceDue(ChatError):
    code, rule = 67, "a channel with a price is joined by pay_to_join"


class MessageTooLong(ChatError):
    code, rule = 68, "a message has at most the chain's number of bytes"


class UnknownMessage(ChatError):
    code, rule = 69, "the message exists"


class AllowanceExhausted(ChatError):
    code, rule = 70, "the identity's allowance covers the transaction"
    may_pass_later = True


# ------------------------------------------------------------------------------ codespace "identity"


class IdentitiesError(TxError):
    """Most are in `chain.tx.identity_errors`."""

    codespace = "identity"


class NameLooksAlike(IdentitiesError):
    code, rule = 260, "a new name does not look like a taken one"


# ------------------------------------------------------------------------------ codespace "bridge"


class BridgeError(TxError):
    codespace = "bridge"


class PriceAboveMaximum(BridgeError):
    code, rule = 80, "the channel's price is at most max_price"


class BuysNothing(BridgeError):
    code, rule = 81, "the amount buys at least one message"


class TipsOneself(BridgeError):
    code, rule = 82, "a tip goes to somebody else"


class PolicyUnchanged(BridgeError):
    code, rule = 200, "a rotation changes the account's key policy"


class KeysNotPossessed(BridgeError):
    code, rule = 201, "every key of a new policy signs for the account on this chain"


class UnknownEscrow(BridgeError):
    code, rule = 320, "the escrow is open"


class EscrowOver(BridgeError):
    code, rule = 321, "an escrow is released before its deadline"


class NotEscrowParty(BridgeError):
    code, rule = 322, "an escrow is released by those whom it names, or when its conditions hold"


class EscrowTooSmall(BridgeError):
    code, rule = 323, "an escrow, what is paid of it and what is left are each above the chain's minimum, or nothing"


class EscrowDeadlineRefused(BridgeError):
    code, rule = 324, "the end of an escrow is ahead, and within the chain's bound"


class EscrowHoldsLess(BridgeError):
    code, rule = 325, "an escrow pays what it holds"


class EscrowRecipientRefused(BridgeError):
    code, rule = 326, "an escrow pays its recipient, or goes back by the word of its recipient or arbiter"


class ConditionFails(BridgeError):
    code, rule = 327, "what a bundle requires is the case"


class NoSuchLeg(BridgeError):
    code, rule = 328, "a reference names an earlier leg that made such a thing"


class AttestationEndRefused(BridgeError):
    code, rule = 329, "the end of an attestation is ahead, and within the chain's bound"


class NotAttested(BridgeError):
    code, rule = 330, "what is withdrawn was attested"


class NotEscrowShare(BridgeError):
    code, rule = 331, "a share of an escrow is paid once, whole, and by whom it names"


class EscrowNotFull(BridgeError):
    code, rule = 332, "an escrow of several is released when all of them have paid"


class EscrowBackInParts(BridgeError):
    code, rule = 333, "what several have paid is given back whole"


class EscrowHoldsOther(BridgeError):
    code, rule = 334, "an amount of an escrow is of what it holds: udchat, or units of its denomination"


# ------------------------------------------------------------------------------ codespace "upgrade"


class UpgradeError(TxError):
    codespace = "upgrade"


class NotUpgradeAuthority(UpgradeError):
    code, rule = 160, "plans are set by governance, or by the genesis's upgrade authority"


class UpgradeAlreadyDone(UpgradeError):
    code, rule = 161, "an upgrade is carried out once"


class PlanInThePast(UpgradeError):
    code, rule = 162, "a plan's height is this block's or later"


class BadAnnouncement(UpgradeError):
    code, rule = 163, "readiness is signed by the validator's consensus key"


class AnnouncementExpired(UpgradeError):
    code, rule = 164, "an announcement of readiness counts until its expiry height"


class AnnouncerUnknown(UpgradeError):
    code, rule = 165, "readiness is announced for a validator's key"


# ------------------------------------------------------------------------------ codespace "staking"


class StakingError(TxError):
    """Numbers are the Cosmos SDK's and 100 more, where it has the same rule."""

    codespace = "staking"


class UnknownValidator(StakingError):
    code, rule = 103, "the validator exists"


class ValidatorExists(StakingError):
    code, rule = 104, "an account operates one validator"


class ConsensusKeyTaken(StakingError):
    code, rule = 105, "a consensus key belongs to one validator"


class ValidatorJailed(StakingError):
    code, rule = 108, "the validator is not jailed"


class CommissionAboveMaximum(StakingError):
    code, rule = 111, "the commission is at most the validator's maximum"


class CommissionTooSoon(StakingError):
    code, rule = 112, "the commission changes at most once in 24 hours"


class CommissionChangeTooLarge(StakingError):
    code, rule = 115, "the commission rises by at most the validator's maximum change"


class SelfDelegationTooLow(StakingError):
    code, rule = 116, "a validator's minimum self-delegation is at least the chain's, and within its stake"


class MinSelfDelegationLowered(StakingError):
    code, rule = 117, "a validator's minimum self-delegation can only rise"


class NoDelegation(StakingError):
    code, rule = 119, "the delegation exists"


class NotEnoughShares(StakingError):
    code, rule = 124, "a delegation gives what it is worth"


class NoUnbonding(StakingError):
    code, rule = 126, "the unbonding exists and is not complete"


class TooManyUnbondings(StakingError):
    code, rule = 127, "unbondings of one delegation wait in a bounded number"


class TinyAmount(StakingError):
    code, rule = 130, "an amount is worth something"


class TransitiveRedelegation(StakingError):
    code, rule = 132, "what was redelegated is not redelegated on before its time"


class TooManyRedelegations(StakingError):
    code, rule = 133, "redelegations of one delegation wait in a bounded number"


class WorthlessShares(StakingError):
    code, rule = 134, "a validator whose tokens were all slashed takes no delegation"


class CommissionTooLow(StakingError):
    code, rule = 140, "the commission is at least the chain's minimum"


class StakeTooLow(StakingError):
    code, rule = 141, "a validator begins with the chain's minimum stake"


class ConsensusKeyRetired(StakingError):
    code, rule = 142, "a key that signed twice, or that a validator gave up, validates no more"


class UnbondingTooSmall(StakingError):
    code, rule = 143, "no more than what is unbonding is cancelled"


class KeyNotPossessed(StakingError):
    code, rule = 144, "a validator's new consensus key signs for its operator on this chain"


class SlashWaiting(StakingError):
    code, rule = 145, "nobody comes to or leaves a validator while a slash of it goes on; it is done some blocks later"


class KeyRotationOff(StakingError):
    code, rule = 146, "consensus keys are changed where the chain's params let them"


class TooManyRotations(StakingError):
    code, rule = 147, "a validator changes its consensus key so often in an unbonding time as the chain's params say"


# ------------------------------------------------------------------------------ codespace "slashing"


class SlashingError(TxError):
    codespace = "slashing"


class StillJailed(SlashingError):
    code, rule = 204, "a validator is jailed until its time has passed"


class NotJailed(SlashingError):
    code, rule = 205, "only a jailed validator is unjailed"


class NoSelfDelegation(SlashingError):
    code, rule = 206, "a validator's operator delegates to it, its minimum or more"


class Tombstoned(SlashingError):
    code, rule = 208, "a validator that signed twice stays jailed"


# ------------------------------------------------------------------------------ codespace "distribution"


class DistributionError(TxError):
    codespace = "distribution"


class WithdrawAddressRefused(DistributionError):
    code, rule = 220, "rewards are not withdrawn to accounts of the chain itself"


class NoCommission(DistributionError):
    code, rule = 221, "there is commission to withdraw"


# ------------------------------------------------------------------------------ codespace "governance"


class GovernanceError(TxError):
    codespace = "governance"


class UnknownProposal(GovernanceError):
    code, rule = 190, "the proposal exists"


class VotingClosed(GovernanceError):
    code, rule = 191, "votes are cast while voting is open"


class DepositTooSmall(GovernanceError):
    code, rule = 192, "a deposit is at least the chain's share of the minimum"


class DepositsClosed(GovernanceError):
    code, rule = 193, "deposits are taken until voting is closed"


class NotProposer(GovernanceError):
    code, rule = 194, "a proposal is cancelled by its proposer"


class NotCancellable(GovernanceError):
    code, rule = 195, "a proposal is cancelled before its voting ends"


class InvalidProposal(GovernanceError):
    code, rule = 196, "what a proposal would do is possible when it is proposed"


class TreasuryTooSmall(GovernanceError):
    code, rule = 197, "the treasury spends what it has"


class ActionPanicked(GovernanceError):
    code, rule = 198, "an action of a proposal, or an item of a queue, that breaks fails, and changes nothing"


class NoStake(GovernanceError):
    code, rule = 199, "votes are cast by accounts that delegate, or operate a validator"


# ------------------------------------------------------------------------------ codespace "grants"


class GrantsError(TxError):
    codespace = "grants"


class NoFeeGrant(GrantsError):
    code, rule = 240, "a fee granter's grant to the fee payer exists and has not expired"
    may_pass_later = True


class FeeGrantExceeded(GrantsError):
    code, rule = 241, "a granted fee stays within the grant's limits"
    may_pass_later = True


class FeeGrantKind(GrantsError):
    code, rule = 242, "a grant pays for the kinds of messages that it names"


class FeeGrantExists(GrantsError):
    code, rule = 243, "an account grants another its fees once at a time"


class ExpiryPassed(GrantsError):
    code, rule = 244, "what an account lets others do expires after this block"


class GranteeRefused(GrantsError):
    code, rule = 245, "accounts of the chain itself are let do nothing"


class NoAuthorisation(GrantsError):
    code, rule = 246, "an authorisation of the granter lets the grantee do this, and has not expired"


class AuthorisationExceeded(GrantsError):
    code, rule = 247, "what is spent by an authorisation stays within its limit"


class AuthorisationExists(GrantsError):
    code, rule = 248, "an account authorises another for a kind of message once at a time"


class RecipientNotAuthorised(GrantsError):
    code, rule = 249, "payments by an authorisation go to those that it names"


def declared_errors() -> tuple[type[TxError], ...]:
    """Every error that has a number and whose file is loaded, ascending by it: vesting_errors joins the tree."""
    return tuple(sorted(_leaves(TxError), key=lambda error: error.code))


def _leaves(error: type[TxError]) -> Iterator[type[TxError]]:
    for child in error.__subclasses__():
        if child.code:
            yield child
        yield from _leaves(child)  # determinism: over the classes above, not over input
