"""Every message that a transaction may carry, as a typed tuple: `from dchat.client import messages`.

Amounts are udchat, accounts 20 bytes (`dchat.client.address_of`), channels 20 bytes (`channel_id`), indexes from 0.
What each does and costs: docs/ of its subject; proto/dchat/v1/messages.proto.
"""

from __future__ import annotations

from typing import Any

from chain.tx.messages import KIND_OF, Message, channel_id, direct_id
from chain.tx.messages.allowance import EndChannelAllowance, GrantChannelAllowance, LockForAllowance, UnlockAllowance
from chain.tx.messages.bridge import BuyAllowance, PayToJoin, RegisterBurner, RegisterIdentity, Tip
from chain.tx.messages.chat.channels import (
    AcceptChannel,
    BanMember,
    CreateChannel,
    EditChannel,
    InviteMember,
    JoinChannel,
    LeaveChannel,
    OfferChannel,
    OpenDirect,
    PinMessage,
    SetMemberRole,
    UnbanMember,
)
from chain.tx.messages.chat.devices import AddDevice, RevokeDevice
from chain.tx.messages.chat.epochs import BeginEpoch, PublishEpochKeys, SealedCopy
from chain.tx.messages.chat.identities import BlockIdentity, SetProfile, UnblockIdentity
from chain.tx.messages.chat.messages import (
    REACTIONS,
    Attachment,
    EditMessage,
    MarkRead,
    PostMessage,
    React,
    RetractMessage,
)
from chain.tx.messages.chat.prekeys import ClaimPrekey, PublishPrekeys
from chain.tx.messages.chat.reputation import EndorseAuthor, HonourAuthor, ReportMember, ReportMessage, ResolveReport
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
)
from chain.tx.messages.escrow import Attest, OpenEscrow, OpenSharedEscrow, PayShare, ReleaseEscrow, Require
from chain.tx.messages.governance import AddDeposit, CancelProposal, SubmitProposal, Vote, VoteWeighted
from chain.tx.messages.grants import Authorise, Exec, GrantFees, RevokeAuthorisation, RevokeFeeGrant
from chain.tx.messages.guardians import ApproveRecovery, ObjectRecovery, SetGuardians, StartRecovery
from chain.tx.messages.keys import RotateKeys
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
    Output,
    PayDenomination,
    PayMany,
    Payment,
    RequestPayment,
    TransferDenomination,
)
from chain.tx.messages.upgrade import AnnounceReadiness, CancelUpgrade, SoftwareUpgrade

__all__ = [
    "AcceptChannel",
    "AddDeposit",
    "AddDevice",
    "AnnounceReadiness",
    "ApproveRecovery",
    "Attachment",
    "Attest",
    "Authorise",
    "BanMember",
    "BeginEpoch",
    "BlockIdentity",
    "BurnDenomination",
    "BuyAllowance",
    "CancelProposal",
    "CancelRequest",
    "CancelStandingOrder",
    "CancelUnbonding",
    "CancelUpgrade",
    "ClaimPrekey",
    "ClaimVested",
    "ClawBack",
    "CreateChannel",
    "CreateDenomination",
    "CreateStandingOrder",
    "CreateValidator",
    "CreateVesting",
    "Delegate",
    "Denom",
    "EditChannel",
    "EditMessage",
    "EditValidator",
    "EndChannelAllowance",
    "EndorseAuthor",
    "Exec",
    "FreezeHolding",
    "FulfilRequest",
    "FundCommunityPool",
    "GrantChannelAllowance",
    "GrantFees",
    "HonourAuthor",
    "InviteMember",
    "JoinChannel",
    "LeaveChannel",
    "LockForAllowance",
    "MarkRead",
    "Message",
    "MintDenomination",
    "ObjectRecovery",
    "OfferChannel",
    "OpenDirect",
    "OpenEscrow",
    "OpenSharedEscrow",
    "Output",
    "PayDenomination",
    "PayMany",
    "PayShare",
    "PayToJoin",
    "Payment",
    "PinMessage",
    "PostMessage",
    "PublishEpochKeys",
    "PublishPrekeys",
    "REACTIONS",
    "React",
    "Redelegate",
    "RegisterBurner",
    "RegisterIdentity",
    "ReleaseEscrow",
    "ReportMember",
    "ReportMessage",
    "RequestPayment",
    "Require",
    "ResolveReport",
    "RetractMessage",
    "RevokeAuthorisation",
    "RevokeDevice",
    "RevokeFeeGrant",
    "RotateConsensusKey",
    "RotateKeys",
    "SealedCopy",
    "SetGuardians",
    "SetMemberRole",
    "SetProfile",
    "SetWithdrawAddress",
    "SoftwareUpgrade",
    "StartRecovery",
    "SubmitProposal",
    "Tip",
    "TransferDenomination",
    "UnbanMember",
    "UnblockIdentity",
    "Undelegate",
    "Unjail",
    "UnlockAllowance",
    "Vote",
    "VoteWeighted",
    "WithdrawCommission",
    "WithdrawRewards",
    "channel_id",
    "direct_id",
]


def __getattr__(name: str) -> Any:
    """A kind that is not named above."""
    for kind in KIND_OF:
        if kind.__name__ == name:
            return kind
    raise AttributeError(f"no message is called {name}")
