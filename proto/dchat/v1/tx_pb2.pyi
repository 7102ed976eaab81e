from proto.dchat.v1 import allowance_pb2 as _allowance_pb2
from proto.dchat.v1 import channels_pb2 as _channels_pb2
from proto.dchat.v1 import governance_pb2 as _governance_pb2
from proto.dchat.v1 import identities_pb2 as _identities_pb2
from proto.dchat.v1 import messages_pb2 as _messages_pb2
from proto.dchat.v1 import reputation_pb2 as _reputation_pb2
from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Lane(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LANE_UNSPECIFIED: _ClassVar[Lane]
    LANE_CHAT: _ClassVar[Lane]
    LANE_CURRENCY: _ClassVar[Lane]
    LANE_BRIDGE: _ClassVar[Lane]
LANE_UNSPECIFIED: Lane
LANE_CHAT: Lane
LANE_CURRENCY: Lane
LANE_BRIDGE: Lane

class Tx(_message.Message):
    __slots__ = ("body", "signatures")
    BODY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURES_FIELD_NUMBER: _ClassVar[int]
    body: bytes
    signatures: _containers.RepeatedCompositeFieldContainer[Signature]
    def __init__(self, body: _Optional[bytes] = ..., signatures: _Optional[_Iterable[_Union[Signature, _Mapping]]] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("signer", "public_key", "signature")
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    signer: int
    public_key: bytes
    signature: bytes
    def __init__(self, signer: _Optional[int] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class TxBody(_message.Message):
    __slots__ = ("chain_id", "lane", "messages", "signers", "fee_payer", "gas_limit", "fee", "expiry_height", "unordered", "memo", "fee_granter")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    LANE_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    SIGNERS_FIELD_NUMBER: _ClassVar[int]
    FEE_PAYER_FIELD_NUMBER: _ClassVar[int]
    GAS_LIMIT_FIELD_NUMBER: _ClassVar[int]
    FEE_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    FEE_GRANTER_FIELD_NUMBER: _ClassVar[int]
    chain_id: str
    lane: Lane
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    signers: _containers.RepeatedCompositeFieldContainer[Signer]
    fee_payer: int
    gas_limit: int
    fee: int
    expiry_height: int
    unordered: bool
    memo: str
    fee_granter: bytes
    def __init__(self, chain_id: _Optional[str] = ..., lane: _Optional[_Union[Lane, str]] = ..., messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., signers: _Optional[_Iterable[_Union[Signer, _Mapping]]] = ..., fee_payer: _Optional[int] = ..., gas_limit: _Optional[int] = ..., fee: _Optional[int] = ..., expiry_height: _Optional[int] = ..., unordered: _Optional[bool] = ..., memo: _Optional[str] = ..., fee_granter: _Optional[bytes] = ...) -> None: ...

class Signer(_message.Message):
    __slots__ = ("address", "policy", "sequence_key", "sequence")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_KEY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    policy: KeyPolicy
    sequence_key: bytes
    sequence: int
    def __init__(self, address: _Optional[bytes] = ..., policy: _Optional[_Union[KeyPolicy, _Mapping]] = ..., sequence_key: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class KeyPolicy(_message.Message):
    __slots__ = ("ed25519", "threshold")
    ED25519_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ed25519: bytes
    threshold: Threshold
    def __init__(self, ed25519: _Optional[bytes] = ..., threshold: _Optional[_Union[Threshold, _Mapping]] = ...) -> None: ...

class Threshold(_message.Message):
    __slots__ = ("needed", "members")
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    needed: int
    members: _containers.RepeatedCompositeFieldContainer[KeyGroup]
    def __init__(self, needed: _Optional[int] = ..., members: _Optional[_Iterable[_Union[KeyGroup, _Mapping]]] = ...) -> None: ...

class KeyGroup(_message.Message):
    __slots__ = ("needed", "ed25519")
    NEEDED_FIELD_NUMBER: _ClassVar[int]
    ED25519_FIELD_NUMBER: _ClassVar[int]
    needed: int
    ed25519: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, needed: _Optional[int] = ..., ed25519: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("payment", "pay_many", "create_denomination", "mint_denomination", "burn_denomination", "pay_denomination", "freeze_holding", "transfer_denomination", "request_payment", "fulfil_request", "cancel_request", "create_standing_order", "cancel_standing_order", "create_channel", "join_channel", "post_message", "register_identity", "tip", "pay_to_join", "buy_allowance", "rotate_keys", "open_escrow", "release_escrow", "open_shared_escrow", "pay_share", "require", "attest", "create_validator", "edit_validator", "delegate", "undelegate", "cancel_unbonding", "redelegate", "unjail", "withdraw_rewards", "withdraw_commission", "set_withdraw_address", "fund_community_pool", "rotate_consensus_key", "submit_proposal", "add_deposit", "vote", "vote_weighted", "cancel_proposal", "software_upgrade", "cancel_upgrade", "announce_readiness", "grant_fees", "revoke_fee_grant", "authorise", "revoke_authorisation", "exec", "create_vesting", "claim_vested", "claw_back", "edit_channel", "invite_member", "leave_channel", "set_member_role", "ban_member", "unban_member", "pin_message", "offer_channel", "accept_channel", "edit_message", "retract_message", "react", "mark_read", "publish_epoch_keys", "begin_epoch", "set_profile", "block_identity", "unblock_identity", "publish_prekeys", "claim_prekey", "add_device", "revoke_device", "set_guardians", "start_recovery", "approve_recovery", "object_recovery", "register_burner", "open_direct", "lock_for_allowance", "unlock_allowance", "grant_channel_allowance", "end_channel_allowance", "endorse_author", "honour_author", "report_message", "report_member", "resolve_report")
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    PAY_MANY_FIELD_NUMBER: _ClassVar[int]
    CREATE_DENOMINATION_FIELD_NUMBER: _ClassVar[int]
    MINT_DENOMINATION_FIELD_NUMBER: _ClassVar[int]
    BURN_DENOMINATION_FIELD_NUMBER: _ClassVar[int]
    PAY_DENOMINATION_FIELD_NUMBER: _ClassVar[int]
    FREEZE_HOLDING_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_DENOMINATION_FIELD_NUMBER: _ClassVar[int]
    REQUEST_PAYMENT_FIELD_NUMBER: _ClassVar[int]
    FULFIL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REQUEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_STANDING_ORDER_FIELD_NUMBER: _ClassVar[int]
    CANCEL_STANDING_ORDER_FIELD_NUMBER: _ClassVar[int]
    CREATE_CHANNEL_FIELD_NUMBER: _ClassVar[int]
    JOIN_CHANNEL_FIELD_NUMBER: _ClassVar[int]
    POST_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REGISTER_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    TIP_FIELD_NUMBER: _ClassVar[int]
    PAY_TO_JOIN_FIELD_NUMBER: _ClassVar[int]
    BUY_ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    ROTATE_KEYS_FIELD_NUMBER: _ClassVar[int]
    OPEN_ESCROW_FIELD_NUMBER: _ClassVar[int]
    RELEASE_ESCROW_FIELD_NUMBER: _ClassVar[int]
    OPEN_SHARED_ESCROW_FIELD_NUMBER: _ClassVar[int]
    PAY_SHARE_FIELD_NUMBER: _ClassVar[int]
    REQUIRE_FIELD_NUMBER: _ClassVar[int]
    ATTEST_FIELD_NUMBER: _ClassVar[int]
    CREATE_VALIDATOR_FIELD_NUMBER: _ClassVar[int]
    EDIT_VALIDATOR_FIELD_NUMBER: _ClassVar[int]
    DELEGATE_FIELD_NUMBER: _ClassVar[int]
    UNDELEGATE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_UNBONDING_FIELD_NUMBER: _ClassVar[int]
    REDELEGATE_FIELD_NUMBER: _ClassVar[int]
    UNJAIL_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_REWARDS_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_COMMISSION_FIELD_NUMBER: _ClassVar[int]
    SET_WITHDRAW_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    FUND_COMMUNITY_POOL_FIELD_NUMBER: _ClassVar[int]
    ROTATE_CONSENSUS_KEY_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    ADD_DEPOSIT_FIELD_NUMBER: _ClassVar[int]
    VOTE_FIELD_NUMBER: _ClassVar[int]
    VOTE_WEIGHTED_FIELD_NUMBER: _ClassVar[int]
    CANCEL_PROPOSAL_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_UPGRADE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_UPGRADE_FIELD_NUMBER: _ClassVar[int]
    ANNOUNCE_READINESS_FIELD_NUMBER: _ClassVar[int]
    GRANT_FEES_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FEE_GRANT_FIELD_NUMBER: _ClassVar[int]
    AUTHORISE_FIELD_NUMBER: _ClassVar[int]
    REVOKE_AUTHORISATION_FIELD_NUMBER: _ClassVar[int]
    EXEC_FIELD_NUMBER: _ClassVar[int]
    CREATE_VESTING_FIELD_NUMBER: _ClassVar[int]
    CLAIM_VESTED_FIELD_NUMBER: _ClassVar[int]
    CLAW_BACK_FIELD_NUMBER: _ClassVar[int]
    EDIT_CHANNEL_FIELD_NUMBER: _ClassVar[int]
    INVITE_MEMBER_FIELD_NUMBER: _ClassVar[int]
    LEAVE_CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SET_MEMBER_ROLE_FIELD_NUMBER: _ClassVar[int]
    BAN_MEMBER_FIELD_NUMBER: _ClassVar[int]
    UNBAN_MEMBER_FIELD_NUMBER: _ClassVar[int]
    PIN_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    OFFER_CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_CHANNEL_FIELD_NUMBER: _ClassVar[int]
    EDIT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRACT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REACT_FIELD_NUMBER: _ClassVar[int]
    MARK_READ_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_EPOCH_KEYS_FIELD_NUMBER: _ClassVar[int]
    BEGIN_EPOCH_FIELD_NUMBER: _ClassVar[int]
    SET_PROFILE_FIELD_NUMBER: _ClassVar[int]
    BLOCK_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    UNBLOCK_IDENTITY_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_PREKEYS_FIELD_NUMBER: _ClassVar[int]
    CLAIM_PREKEY_FIELD_NUMBER: _ClassVar[int]
    ADD_DEVICE_FIELD_NUMBER: _ClassVar[int]
    REVOKE_DEVICE_FIELD_NUMBER: _ClassVar[int]
    SET_GUARDIANS_FIELD_NUMBER: _ClassVar[int]
    START_RECOVERY_FIELD_NUMBER: _ClassVar[int]
    APPROVE_RECOVERY_FIELD_NUMBER: _ClassVar[int]
    OBJECT_RECOVERY_FIELD_NUMBER: _ClassVar[int]
    REGISTER_BURNER_FIELD_NUMBER: _ClassVar[int]
    OPEN_DIRECT_FIELD_NUMBER: _ClassVar[int]
    LOCK_FOR_ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    UNLOCK_ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    GRANT_CHANNEL_ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    END_CHANNEL_ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    ENDORSE_AUTHOR_FIELD_NUMBER: _ClassVar[int]
    HONOUR_AUTHOR_FIELD_NUMBER: _ClassVar[int]
    REPORT_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REPORT_MEMBER_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_REPORT_FIELD_NUMBER: _ClassVar[int]
    payment: Payment
    pay_many: PayMany
    create_denomination: CreateDenomination
    mint_denomination: MintDenomination
    burn_denomination: BurnDenomination
    pay_denomination: PayDenomination
    freeze_holding: FreezeHolding
    transfer_denomination: TransferDenomination
    request_payment: RequestPayment
    fulfil_request: FulfilRequest
    cancel_request: CancelRequest
    create_standing_order: CreateStandingOrder
    cancel_standing_order: CancelStandingOrder
    create_channel: CreateChannel
    join_channel: JoinChannel
    post_message: PostMessage
    register_identity: RegisterIdentity
    tip: Tip
    pay_to_join: PayToJoin
    buy_allowance: BuyAllowance
    rotate_keys: RotateKeys
    open_escrow: OpenEscrow
    release_escrow: ReleaseEscrow
    open_shared_escrow: OpenSharedEscrow
    pay_share: PayShare
    require: Require
    attest: Attest
    create_validator: CreateValidator
    edit_validator: EditValidator
    delegate: Delegate
    undelegate: Undelegate
    cancel_unbonding: CancelUnbonding
    redelegate: Redelegate
    unjail: Unjail
    withdraw_rewards: WithdrawRewards
    withdraw_commission: WithdrawCommission
    set_withdraw_address: SetWithdrawAddress
    fund_community_pool: FundCommunityPool
    rotate_consensus_key: RotateConsensusKey
    submit_proposal: _governance_pb2.SubmitProposal
    add_deposit: _governance_pb2.AddDeposit
    vote: _governance_pb2.Vote
    vote_weighted: _governance_pb2.VoteWeighted
    cancel_proposal: _governance_pb2.CancelProposal
    software_upgrade: SoftwareUpgrade
    cancel_upgrade: CancelUpgrade
    announce_readiness: AnnounceReadiness
    grant_fees: GrantFees
    revoke_fee_grant: RevokeFeeGrant
    authorise: Authorise
    revoke_authorisation: RevokeAuthorisation
    exec: Exec
    create_vesting: CreateVesting
    claim_vested: ClaimVested
    claw_back: ClawBack
    edit_channel: _channels_pb2.EditChannel
    invite_member: _channels_pb2.InviteMember
    leave_channel: _channels_pb2.LeaveChannel
    set_member_role: _channels_pb2.SetMemberRole
    ban_member: _channels_pb2.BanMember
    unban_member: _channels_pb2.UnbanMember
    pin_message: _channels_pb2.PinMessage
    offer_channel: _channels_pb2.OfferChannel
    accept_channel: _channels_pb2.AcceptChannel
    edit_message: _messages_pb2.EditMessage
    retract_message: _messages_pb2.RetractMessage
    react: _messages_pb2.React
    mark_read: _messages_pb2.MarkRead
    publish_epoch_keys: _channels_pb2.PublishEpochKeys
    begin_epoch: _channels_pb2.BeginEpoch
    set_profile: _identities_pb2.SetProfile
    block_identity: _identities_pb2.BlockIdentity
    unblock_identity: _identities_pb2.UnblockIdentity
    publish_prekeys: _identities_pb2.PublishPrekeys
    claim_prekey: _identities_pb2.ClaimPrekey
    add_device: _identities_pb2.AddDevice
    revoke_device: _identities_pb2.RevokeDevice
    set_guardians: SetGuardians
    start_recovery: StartRecovery
    approve_recovery: ApproveRecovery
    object_recovery: ObjectRecovery
    register_burner: RegisterBurner
    open_direct: _channels_pb2.OpenDirect
    lock_for_allowance: _allowance_pb2.LockForAllowance
    unlock_allowance: _allowance_pb2.UnlockAllowance
    grant_channel_allowance: _allowance_pb2.GrantChannelAllowance
    end_channel_allowance: _allowance_pb2.EndChannelAllowance
    endorse_author: _reputation_pb2.EndorseAuthor
    honour_author: _reputation_pb2.HonourAuthor
    report_message: _reputation_pb2.ReportMessage
    report_member: _reputation_pb2.ReportMember
    resolve_report: _reputation_pb2.ResolveReport
    def __init__(self, payment: _Optional[_Union[Payment, _Mapping]] = ..., pay_many: _Optional[_Union[PayMany, _Mapping]] = ..., create_denomination: _Optional[_Union[CreateDenomination, _Mapping]] = ..., mint_denomination: _Optional[_Union[MintDenomination, _Mapping]] = ..., burn_denomination: _Optional[_Union[BurnDenomination, _Mapping]] = ..., pay_denomination: _Optional[_Union[PayDenomination, _Mapping]] = ..., freeze_holding: _Optional[_Union[FreezeHolding, _Mapping]] = ..., transfer_denomination: _Optional[_Union[TransferDenomination, _Mapping]] = ..., request_payment: _Optional[_Union[RequestPayment, _Mapping]] = ..., fulfil_request: _Optional[_Union[FulfilRequest, _Mapping]] = ..., cancel_request: _Optional[_Union[CancelRequest, _Mapping]] = ..., create_standing_order: _Optional[_Union[CreateStandingOrder, _Mapping]] = ..., cancel_standing_order: _Optional[_Union[CancelStandingOrder, _Mapping]] = ..., create_channel: _Optional[_Union[CreateChannel, _Mapping]] = ..., join_channel: _Optional[_Union[JoinChannel, _Mapping]] = ..., post_message: _Optional[_Union[PostMessage, _Mapping]] = ..., register_identity: _Optional[_Union[RegisterIdentity, _Mapping]] = ..., tip: _Optional[_Union[Tip, _Mapping]] = ..., pay_to_join: _Optional[_Union[PayToJoin, _Mapping]] = ..., buy_allowance: _Optional[_Union[BuyAllowance, _Mapping]] = ..., rotate_keys: _Optional[_Union[RotateKeys, _Mapping]] = ..., open_escrow: _Optional[_Union[OpenEscrow, _Mapping]] = ..., release_escrow: _Optional[_Union[ReleaseEscrow, _Mapping]] = ..., open_shared_escrow: _Optional[_Union[OpenSharedEscrow, _Mapping]] = ..., pay_share: _Optional[_Union[PayShare, _Mapping]] = ..., require: _Optional[_Union[Require, _Mapping]] = ..., attest: _Optional[_Union[Attest, _Mapping]] = ..., create_validator: _Optional[_Union[CreateValidator, _Mapping]] = ..., edit_validator: _Optional[_Union[EditValidator, _Mapping]] = ..., delegate: _Optional[_Union[Delegate, _Mapping]] = ..., undelegate: _Optional[_Union[Undelegate, _Mapping]] = ..., cancel_unbonding: _Optional[_Union[CancelUnbonding, _Mapping]] = ..., redelegate: _Optional[_Union[Redelegate, _Mapping]] = ..., unjail: _Optional[_Union[Unjail, _Mapping]] = ..., withdraw_rewards: _Optional[_Union[WithdrawRewards, _Mapping]] = ..., withdraw_commission: _Optional[_Union[WithdrawCommission, _Mapping]] = ..., set_withdraw_address: _Optional[_Union[SetWithdrawAddress, _Mapping]] = ..., fund_community_pool: _Optional[_Union[FundCommunityPool, _Mapping]] = ..., rotate_consensus_key: _Optional[_Union[RotateConsensusKey, _Mapping]] = ..., submit_proposal: _Optional[_Union[_governance_pb2.SubmitProposal, _Mapping]] = ..., add_deposit: _Optional[_Union[_governance_pb2.AddDeposit, _Mapping]] = ..., vote: _Optional[_Union[_governance_pb2.Vote, _Mapping]] = ..., vote_weighted: _Optional[_Union[_governance_pb2.VoteWeighted, _Mapping]] = ..., cancel_proposal: _Optional[_Union[_governance_pb2.CancelProposal, _Mapping]] = ..., software_upgrade: _Optional[_Union[SoftwareUpgrade, _Mapping]] = ..., cancel_upgrade: _Optional[_Union[CancelUpgrade, _Mapping]] = ..., announce_readiness: _Optional[_Union[AnnounceReadiness, _Mapping]] = ..., grant_fees: _Optional[_Union[GrantFees, _Mapping]] = ..., revoke_fee_grant: _Optional[_Union[RevokeFeeGrant, _Mapping]] = ..., authorise: _Optional[_Union[Authorise, _Mapping]] = ..., revoke_authorisation: _Optional[_Union[RevokeAuthorisation, _Mapping]] = ..., exec: _Optional[_Union[Exec, _Mapping]] = ..., create_vesting: _Optional[_Union[CreateVesting, _Mapping]] = ..., claim_vested: _Optional[_Union[ClaimVested, _Mapping]] = ..., claw_back: _Optional[_Union[ClawBack, _Mapping]] = ..., edit_channel: _Optional[_Union[_channels_pb2.EditChannel, _Mapping]] = ..., invite_member: _Optional[_Union[_channels_pb2.InviteMember, _Mapping]] = ..., leave_channel: _Optional[_Union[_channels_pb2.LeaveChannel, _Mapping]] = ..., set_member_role: _Optional[_Union[_channels_pb2.SetMemberRole, _Mapping]] = ..., ban_member: _Optional[_Union[_channels_pb2.BanMember, _Mapping]] = ..., unban_member: _Optional[_Union[_channels_pb2.UnbanMember, _Mapping]] = ..., pin_message: _Optional[_Union[_channels_pb2.PinMessage, _Mapping]] = ..., offer_channel: _Optional[_Union[_channels_pb2.OfferChannel, _Mapping]] = ..., accept_channel: _Optional[_Union[_channels_pb2.AcceptChannel, _Mapping]] = ..., edit_message: _Optional[_Union[_messages_pb2.EditMessage, _Mapping]] = ..., retract_message: _Optional[_Union[_messages_pb2.RetractMessage, _Mapping]] = ..., react: _Optional[_Union[_messages_pb2.React, _Mapping]] = ..., mark_read: _Optional[_Union[_messages_pb2.MarkRead, _Mapping]] = ..., publish_epoch_keys: _Optional[_Union[_channels_pb2.PublishEpochKeys, _Mapping]] = ..., begin_epoch: _Optional[_Union[_channels_pb2.BeginEpoch, _Mapping]] = ..., set_profile: _Optional[_Union[_identities_pb2.SetProfile, _Mapping]] = ..., block_identity: _Optional[_Union[_identities_pb2.BlockIdentity, _Mapping]] = ..., unblock_identity: _Optional[_Union[_identities_pb2.UnblockIdentity, _Mapping]] = ..., publish_prekeys: _Optional[_Union[_identities_pb2.PublishPrekeys, _Mapping]] = ..., claim_prekey: _Optional[_Union[_identities_pb2.ClaimPrekey, _Mapping]] = ..., add_device: _Optional[_Union[_identities_pb2.AddDevice, _Mapping]] = ..., revoke_device: _Optional[_Union[_identities_pb2.RevokeDevice, _Mapping]] = ..., set_guardians: _Optional[_Union[SetGuardians, _Mapping]] = ..., start_recovery: _Optional[_Union[StartRecovery, _Mapping]] = ..., approve_recovery: _Optional[_Union[ApproveRecovery, _Mapping]] = ..., object_recovery: _Optional[_Union[ObjectRecovery, _Mapping]] = ..., register_burner: _Optional[_Union[RegisterBurner, _Mapping]] = ..., open_direct: _Optional[_Union[_channels_pb2.OpenDirect, _Mapping]] = ..., lock_for_allowance: _Optional[_Union[_allowance_pb2.LockForAllowance, _Mapping]] = ..., unlock_allowance: _Optional[_Union[_allowance_pb2.UnlockAllowance, _Mapping]] = ..., grant_channel_allowance: _Optional[_Union[_allowance_pb2.GrantChannelAllowance, _Mapping]] = ..., end_channel_allowance: _Optional[_Union[_allowance_pb2.EndChannelAllowance, _Mapping]] = ..., endorse_author: _Optional[_Union[_reputation_pb2.EndorseAuthor, _Mapping]] = ..., honour_author: _Optional[_Union[_reputation_pb2.HonourAuthor, _Mapping]] = ..., report_message: _Optional[_Union[_reputation_pb2.ReportMessage, _Mapping]] = ..., report_member: _Optional[_Union[_reputation_pb2.ReportMember, _Mapping]] = ..., resolve_report: _Optional[_Union[_reputation_pb2.ResolveReport, _Mapping]] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("sender", "recipient", "amount")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    recipient: bytes
    amount: int
    def __init__(self, sender: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class PayMany(_message.Message):
    __slots__ = ("sender", "outputs", "total")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    total: int
    def __init__(self, sender: _Optional[bytes] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., total: _Optional[int] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("recipient", "amount")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    recipient: bytes
    amount: int
    def __init__(self, recipient: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class Denom(_message.Message):
    __slots__ = ("creator", "sub")
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    SUB_FIELD_NUMBER: _ClassVar[int]
    creator: bytes
    sub: str
    def __init__(self, creator: _Optional[bytes] = ..., sub: _Optional[str] = ...) -> None: ...

class CreateDenomination(_message.Message):
    __slots__ = ("creator", "sub", "supply_max", "freezable")
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    SUB_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_MAX_FIELD_NUMBER: _ClassVar[int]
    FREEZABLE_FIELD_NUMBER: _ClassVar[int]
    creator: bytes
    sub: str
    supply_max: int
    freezable: bool
    def __init__(self, creator: _Optional[bytes] = ..., sub: _Optional[str] = ..., supply_max: _Optional[int] = ..., freezable: _Optional[bool] = ...) -> None: ...

class MintDenomination(_message.Message):
    __slots__ = ("owner", "denom", "recipient", "amount")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    denom: Denom
    recipient: bytes
    amount: int
    def __init__(self, owner: _Optional[bytes] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., recipient: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class BurnDenomination(_message.Message):
    __slots__ = ("holder", "denom", "amount")
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    holder: bytes
    denom: Denom
    amount: int
    def __init__(self, holder: _Optional[bytes] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., amount: _Optional[int] = ...) -> None: ...

class PayDenomination(_message.Message):
    __slots__ = ("sender", "denom", "recipient", "amount")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    denom: Denom
    recipient: bytes
    amount: int
    def __init__(self, sender: _Optional[bytes] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., recipient: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class FreezeHolding(_message.Message):
    __slots__ = ("owner", "denom", "holder", "frozen")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    denom: Denom
    holder: bytes
    frozen: bool
    def __init__(self, owner: _Optional[bytes] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., holder: _Optional[bytes] = ..., frozen: _Optional[bool] = ...) -> None: ...

class TransferDenomination(_message.Message):
    __slots__ = ("owner", "denom", "new_owner")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    NEW_OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    denom: Denom
    new_owner: bytes
    def __init__(self, owner: _Optional[bytes] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., new_owner: _Optional[bytes] = ...) -> None: ...

class RequestPayment(_message.Message):
    __slots__ = ("payee", "reference", "payer", "denom", "amount", "memo", "expiry_ns")
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PAYER_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_NS_FIELD_NUMBER: _ClassVar[int]
    payee: bytes
    reference: str
    payer: bytes
    denom: Denom
    amount: int
    memo: str
    expiry_ns: int
    def __init__(self, payee: _Optional[bytes] = ..., reference: _Optional[str] = ..., payer: _Optional[bytes] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., amount: _Optional[int] = ..., memo: _Optional[str] = ..., expiry_ns: _Optional[int] = ...) -> None: ...

class FulfilRequest(_message.Message):
    __slots__ = ("payer", "payee", "reference", "denom", "amount")
    PAYER_FIELD_NUMBER: _ClassVar[int]
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    payer: bytes
    payee: bytes
    reference: str
    denom: Denom
    amount: int
    def __init__(self, payer: _Optional[bytes] = ..., payee: _Optional[bytes] = ..., reference: _Optional[str] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., amount: _Optional[int] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("payee", "reference")
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    payee: bytes
    reference: str
    def __init__(self, payee: _Optional[bytes] = ..., reference: _Optional[str] = ...) -> None: ...

class CreateStandingOrder(_message.Message):
    __slots__ = ("owner", "reference", "recipient", "denom", "amount", "every_blocks", "first_height", "times", "until_height", "max_fee")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EVERY_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    FIRST_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    UNTIL_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_FEE_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    reference: str
    recipient: bytes
    denom: Denom
    amount: int
    every_blocks: int
    first_height: int
    times: int
    until_height: int
    max_fee: int
    def __init__(self, owner: _Optional[bytes] = ..., reference: _Optional[str] = ..., recipient: _Optional[bytes] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., amount: _Optional[int] = ..., every_blocks: _Optional[int] = ..., first_height: _Optional[int] = ..., times: _Optional[int] = ..., until_height: _Optional[int] = ..., max_fee: _Optional[int] = ...) -> None: ...

class CancelStandingOrder(_message.Message):
    __slots__ = ("owner", "reference")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    reference: str
    def __init__(self, owner: _Optional[bytes] = ..., reference: _Optional[str] = ...) -> None: ...

class CreateChannel(_message.Message):
    __slots__ = ("creator", "name", "join_price", "topic", "access", "period_s", "slow_mode_s", "join_role", "encrypted")
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    JOIN_PRICE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    SLOW_MODE_S_FIELD_NUMBER: _ClassVar[int]
    JOIN_ROLE_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    creator: bytes
    name: str
    join_price: int
    topic: str
    access: int
    period_s: int
    slow_mode_s: int
    join_role: int
    encrypted: bool
    def __init__(self, creator: _Optional[bytes] = ..., name: _Optional[str] = ..., join_price: _Optional[int] = ..., topic: _Optional[str] = ..., access: _Optional[int] = ..., period_s: _Optional[int] = ..., slow_mode_s: _Optional[int] = ..., join_role: _Optional[int] = ..., encrypted: _Optional[bool] = ...) -> None: ...

class JoinChannel(_message.Message):
    __slots__ = ("member", "channel_id")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    member: bytes
    channel_id: bytes
    def __init__(self, member: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ...) -> None: ...

class PostMessage(_message.Message):
    __slots__ = ("author", "channel_id", "content", "reply_to", "ttl_s", "epoch", "content_hash", "attachments")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    author: bytes
    channel_id: bytes
    content: bytes
    reply_to: int
    ttl_s: int
    epoch: int
    content_hash: bytes
    attachments: _containers.RepeatedCompositeFieldContainer[_messages_pb2.Attachment]
    def __init__(self, author: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., content: _Optional[bytes] = ..., reply_to: _Optional[int] = ..., ttl_s: _Optional[int] = ..., epoch: _Optional[int] = ..., content_hash: _Optional[bytes] = ..., attachments: _Optional[_Iterable[_Union[_messages_pb2.Attachment, _Mapping]]] = ...) -> None: ...

class RegisterIdentity(_message.Message):
    __slots__ = ("address", "name", "display")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    name: str
    display: str
    def __init__(self, address: _Optional[bytes] = ..., name: _Optional[str] = ..., display: _Optional[str] = ...) -> None: ...

class RegisterBurner(_message.Message):
    __slots__ = ("address", "name", "display", "lifetime_s")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    name: str
    display: str
    lifetime_s: int
    def __init__(self, address: _Optional[bytes] = ..., name: _Optional[str] = ..., display: _Optional[str] = ..., lifetime_s: _Optional[int] = ...) -> None: ...

class Tip(_message.Message):
    __slots__ = ("sender", "channel_id", "index", "amount")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    channel_id: bytes
    index: int
    amount: int
    def __init__(self, sender: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., amount: _Optional[int] = ...) -> None: ...

class PayToJoin(_message.Message):
    __slots__ = ("member", "channel_id", "max_price", "min_period_s")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_PRICE_FIELD_NUMBER: _ClassVar[int]
    MIN_PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    member: bytes
    channel_id: bytes
    max_price: int
    min_period_s: int
    def __init__(self, member: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., max_price: _Optional[int] = ..., min_period_s: _Optional[int] = ...) -> None: ...

class BuyAllowance(_message.Message):
    __slots__ = ("address", "amount")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    amount: int
    def __init__(self, address: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class RotateKeys(_message.Message):
    __slots__ = ("address", "policy", "possessions")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POSSESSIONS_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    policy: KeyPolicy
    possessions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, address: _Optional[bytes] = ..., policy: _Optional[_Union[KeyPolicy, _Mapping]] = ..., possessions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class SetGuardians(_message.Message):
    __slots__ = ("address", "guardians", "threshold", "delay_s", "overrule")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    GUARDIANS_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    DELAY_S_FIELD_NUMBER: _ClassVar[int]
    OVERRULE_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    guardians: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    delay_s: int
    overrule: int
    def __init__(self, address: _Optional[bytes] = ..., guardians: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., delay_s: _Optional[int] = ..., overrule: _Optional[int] = ...) -> None: ...

class StartRecovery(_message.Message):
    __slots__ = ("guardian", "address", "policy", "possessions")
    GUARDIAN_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    POSSESSIONS_FIELD_NUMBER: _ClassVar[int]
    guardian: bytes
    address: bytes
    policy: KeyPolicy
    possessions: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, guardian: _Optional[bytes] = ..., address: _Optional[bytes] = ..., policy: _Optional[_Union[KeyPolicy, _Mapping]] = ..., possessions: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ApproveRecovery(_message.Message):
    __slots__ = ("guardian", "address", "recovery_id", "leg")
    GUARDIAN_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    guardian: bytes
    address: bytes
    recovery_id: bytes
    leg: int
    def __init__(self, guardian: _Optional[bytes] = ..., address: _Optional[bytes] = ..., recovery_id: _Optional[bytes] = ..., leg: _Optional[int] = ...) -> None: ...

class ObjectRecovery(_message.Message):
    __slots__ = ("address",)
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    def __init__(self, address: _Optional[bytes] = ...) -> None: ...

class Condition(_message.Message):
    __slots__ = ("balance", "membership", "posted", "attested", "time_from_ns", "time_before_ns")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    POSTED_FIELD_NUMBER: _ClassVar[int]
    ATTESTED_FIELD_NUMBER: _ClassVar[int]
    TIME_FROM_NS_FIELD_NUMBER: _ClassVar[int]
    TIME_BEFORE_NS_FIELD_NUMBER: _ClassVar[int]
    balance: BalanceCondition
    membership: MembershipCondition
    posted: PostedCondition
    attested: AttestedCondition
    time_from_ns: int
    time_before_ns: int
    def __init__(self, balance: _Optional[_Union[BalanceCondition, _Mapping]] = ..., membership: _Optional[_Union[MembershipCondition, _Mapping]] = ..., posted: _Optional[_Union[PostedCondition, _Mapping]] = ..., attested: _Optional[_Union[AttestedCondition, _Mapping]] = ..., time_from_ns: _Optional[int] = ..., time_before_ns: _Optional[int] = ...) -> None: ...

class BalanceCondition(_message.Message):
    __slots__ = ("address", "amount", "denom")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    amount: int
    denom: Denom
    def __init__(self, address: _Optional[bytes] = ..., amount: _Optional[int] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ...) -> None: ...

class MembershipCondition(_message.Message):
    __slots__ = ("channel_id", "member")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    member: bytes
    def __init__(self, channel_id: _Optional[bytes] = ..., member: _Optional[bytes] = ...) -> None: ...

class PostedCondition(_message.Message):
    __slots__ = ("channel_id", "author", "content_hash")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    author: bytes
    content_hash: bytes
    def __init__(self, channel_id: _Optional[bytes] = ..., author: _Optional[bytes] = ..., content_hash: _Optional[bytes] = ...) -> None: ...

class AttestedCondition(_message.Message):
    __slots__ = ("attester", "statement")
    ATTESTER_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    attester: bytes
    statement: bytes
    def __init__(self, attester: _Optional[bytes] = ..., statement: _Optional[bytes] = ...) -> None: ...

class MessagePlace(_message.Message):
    __slots__ = ("index", "leg")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    index: int
    leg: int
    def __init__(self, index: _Optional[int] = ..., leg: _Optional[int] = ...) -> None: ...

class EscrowReference(_message.Message):
    __slots__ = ("id", "leg")
    ID_FIELD_NUMBER: _ClassVar[int]
    LEG_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    leg: int
    def __init__(self, id: _Optional[bytes] = ..., leg: _Optional[int] = ...) -> None: ...

class OpenEscrow(_message.Message):
    __slots__ = ("sender", "recipient", "amount", "deadline_time_ns", "parties", "threshold", "arbiter", "conditions", "denom")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ARBITER_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    recipient: bytes
    amount: int
    deadline_time_ns: int
    parties: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    arbiter: bytes
    conditions: _containers.RepeatedCompositeFieldContainer[Condition]
    denom: Denom
    def __init__(self, sender: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., amount: _Optional[int] = ..., deadline_time_ns: _Optional[int] = ..., parties: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., arbiter: _Optional[bytes] = ..., conditions: _Optional[_Iterable[_Union[Condition, _Mapping]]] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ...) -> None: ...

class OpenSharedEscrow(_message.Message):
    __slots__ = ("sender", "terms", "shares", "pay_until_time_ns")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    TERMS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    PAY_UNTIL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    terms: OpenEscrow
    shares: _containers.RepeatedCompositeFieldContainer[EscrowShare]
    pay_until_time_ns: int
    def __init__(self, sender: _Optional[bytes] = ..., terms: _Optional[_Union[OpenEscrow, _Mapping]] = ..., shares: _Optional[_Iterable[_Union[EscrowShare, _Mapping]]] = ..., pay_until_time_ns: _Optional[int] = ...) -> None: ...

class EscrowShare(_message.Message):
    __slots__ = ("payer", "amount")
    PAYER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    payer: bytes
    amount: int
    def __init__(self, payer: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class PayShare(_message.Message):
    __slots__ = ("payer", "escrow", "denom", "amount")
    PAYER_FIELD_NUMBER: _ClassVar[int]
    ESCROW_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    payer: bytes
    escrow: EscrowReference
    denom: Denom
    amount: int
    def __init__(self, payer: _Optional[bytes] = ..., escrow: _Optional[_Union[EscrowReference, _Mapping]] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ..., amount: _Optional[int] = ...) -> None: ...

class ReleaseEscrow(_message.Message):
    __slots__ = ("sender", "escrow", "amount", "recipient", "messages", "denom")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    ESCROW_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    DENOM_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    escrow: EscrowReference
    amount: int
    recipient: bytes
    messages: _containers.RepeatedCompositeFieldContainer[MessagePlace]
    denom: Denom
    def __init__(self, sender: _Optional[bytes] = ..., escrow: _Optional[_Union[EscrowReference, _Mapping]] = ..., amount: _Optional[int] = ..., recipient: _Optional[bytes] = ..., messages: _Optional[_Iterable[_Union[MessagePlace, _Mapping]]] = ..., denom: _Optional[_Union[Denom, _Mapping]] = ...) -> None: ...

class Require(_message.Message):
    __slots__ = ("sender", "condition", "message")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    condition: Condition
    message: MessagePlace
    def __init__(self, sender: _Optional[bytes] = ..., condition: _Optional[_Union[Condition, _Mapping]] = ..., message: _Optional[_Union[MessagePlace, _Mapping]] = ...) -> None: ...

class Attest(_message.Message):
    __slots__ = ("attester", "statement", "until_time_ns")
    ATTESTER_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    attester: bytes
    statement: bytes
    until_time_ns: int
    def __init__(self, attester: _Optional[bytes] = ..., statement: _Optional[bytes] = ..., until_time_ns: _Optional[int] = ...) -> None: ...

class SoftwareUpgrade(_message.Message):
    __slots__ = ("authority", "name", "height", "info", "binary_sha256", "ready_share_permyriad", "postpone_blocks")
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    BINARY_SHA256_FIELD_NUMBER: _ClassVar[int]
    READY_SHARE_PERMYRIAD_FIELD_NUMBER: _ClassVar[int]
    POSTPONE_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    name: str
    height: int
    info: str
    binary_sha256: _containers.RepeatedScalarFieldContainer[bytes]
    ready_share_permyriad: int
    postpone_blocks: int
    def __init__(self, authority: _Optional[bytes] = ..., name: _Optional[str] = ..., height: _Optional[int] = ..., info: _Optional[str] = ..., binary_sha256: _Optional[_Iterable[bytes]] = ..., ready_share_permyriad: _Optional[int] = ..., postpone_blocks: _Optional[int] = ...) -> None: ...

class CancelUpgrade(_message.Message):
    __slots__ = ("authority",)
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    def __init__(self, authority: _Optional[bytes] = ...) -> None: ...

class AnnounceReadiness(_message.Message):
    __slots__ = ("sender", "consensus_key", "names", "software", "expiry_height", "signature")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_KEY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    consensus_key: bytes
    names: _containers.RepeatedScalarFieldContainer[str]
    software: str
    expiry_height: int
    signature: bytes
    def __init__(self, sender: _Optional[bytes] = ..., consensus_key: _Optional[bytes] = ..., names: _Optional[_Iterable[str]] = ..., software: _Optional[str] = ..., expiry_height: _Optional[int] = ..., signature: _Optional[bytes] = ...) -> None: ...

class CreateValidator(_message.Message):
    __slots__ = ("operator", "consensus_key", "moniker", "commission_rate", "commission_max_rate", "commission_max_change_rate", "min_self_delegation", "amount", "possession")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_KEY_FIELD_NUMBER: _ClassVar[int]
    MONIKER_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_MAX_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_MAX_CHANGE_RATE_FIELD_NUMBER: _ClassVar[int]
    MIN_SELF_DELEGATION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    POSSESSION_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    consensus_key: bytes
    moniker: str
    commission_rate: int
    commission_max_rate: int
    commission_max_change_rate: int
    min_self_delegation: int
    amount: int
    possession: bytes
    def __init__(self, operator: _Optional[bytes] = ..., consensus_key: _Optional[bytes] = ..., moniker: _Optional[str] = ..., commission_rate: _Optional[int] = ..., commission_max_rate: _Optional[int] = ..., commission_max_change_rate: _Optional[int] = ..., min_self_delegation: _Optional[int] = ..., amount: _Optional[int] = ..., possession: _Optional[bytes] = ...) -> None: ...

class RotateConsensusKey(_message.Message):
    __slots__ = ("operator", "consensus_key", "possession")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_KEY_FIELD_NUMBER: _ClassVar[int]
    POSSESSION_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    consensus_key: bytes
    possession: bytes
    def __init__(self, operator: _Optional[bytes] = ..., consensus_key: _Optional[bytes] = ..., possession: _Optional[bytes] = ...) -> None: ...

class EditValidator(_message.Message):
    __slots__ = ("operator", "moniker", "commission_rate", "min_self_delegation")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    MONIKER_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_RATE_FIELD_NUMBER: _ClassVar[int]
    MIN_SELF_DELEGATION_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    moniker: str
    commission_rate: int
    min_self_delegation: int
    def __init__(self, operator: _Optional[bytes] = ..., moniker: _Optional[str] = ..., commission_rate: _Optional[int] = ..., min_self_delegation: _Optional[int] = ...) -> None: ...

class Delegate(_message.Message):
    __slots__ = ("delegator", "operator", "amount")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    amount: int
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class Undelegate(_message.Message):
    __slots__ = ("delegator", "operator", "amount")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    amount: int
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class CancelUnbonding(_message.Message):
    __slots__ = ("delegator", "operator", "amount", "creation_height")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATION_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    amount: int
    creation_height: int
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ..., amount: _Optional[int] = ..., creation_height: _Optional[int] = ...) -> None: ...

class Redelegate(_message.Message):
    __slots__ = ("delegator", "source", "destination", "amount")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    source: bytes
    destination: bytes
    amount: int
    def __init__(self, delegator: _Optional[bytes] = ..., source: _Optional[bytes] = ..., destination: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class Unjail(_message.Message):
    __slots__ = ("operator",)
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    def __init__(self, operator: _Optional[bytes] = ...) -> None: ...

class WithdrawRewards(_message.Message):
    __slots__ = ("delegator", "operator")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    operator: bytes
    def __init__(self, delegator: _Optional[bytes] = ..., operator: _Optional[bytes] = ...) -> None: ...

class WithdrawCommission(_message.Message):
    __slots__ = ("operator",)
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    def __init__(self, operator: _Optional[bytes] = ...) -> None: ...

class SetWithdrawAddress(_message.Message):
    __slots__ = ("delegator", "withdraw_address")
    DELEGATOR_FIELD_NUMBER: _ClassVar[int]
    WITHDRAW_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    delegator: bytes
    withdraw_address: bytes
    def __init__(self, delegator: _Optional[bytes] = ..., withdraw_address: _Optional[bytes] = ...) -> None: ...

class FundCommunityPool(_message.Message):
    __slots__ = ("sender", "amount")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    amount: int
    def __init__(self, sender: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class GrantFees(_message.Message):
    __slots__ = ("granter", "grantee", "limit", "expiry_ns", "period_s", "period_limit", "kinds")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_NS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    PERIOD_LIMIT_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    limit: int
    expiry_ns: int
    period_s: int
    period_limit: int
    kinds: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ..., limit: _Optional[int] = ..., expiry_ns: _Optional[int] = ..., period_s: _Optional[int] = ..., period_limit: _Optional[int] = ..., kinds: _Optional[_Iterable[str]] = ...) -> None: ...

class RevokeFeeGrant(_message.Message):
    __slots__ = ("granter", "grantee")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ...) -> None: ...

class Authorise(_message.Message):
    __slots__ = ("granter", "grantee", "kind", "expiry_ns", "limit", "recipients")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_NS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    kind: str
    expiry_ns: int
    limit: int
    recipients: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ..., kind: _Optional[str] = ..., expiry_ns: _Optional[int] = ..., limit: _Optional[int] = ..., recipients: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RevokeAuthorisation(_message.Message):
    __slots__ = ("granter", "grantee", "kind")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    kind: str
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ..., kind: _Optional[str] = ...) -> None: ...

class Exec(_message.Message):
    __slots__ = ("grantee", "granter", "messages")
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    grantee: bytes
    granter: bytes
    messages: _containers.RepeatedCompositeFieldContainer[Message]
    def __init__(self, grantee: _Optional[bytes] = ..., granter: _Optional[bytes] = ..., messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...

class CreateVesting(_message.Message):
    __slots__ = ("funder", "recipient", "number", "amount", "start_ns", "linear", "clawback", "periods")
    FUNDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    CLAWBACK_FIELD_NUMBER: _ClassVar[int]
    PERIODS_FIELD_NUMBER: _ClassVar[int]
    funder: bytes
    recipient: bytes
    number: int
    amount: int
    start_ns: int
    linear: bool
    clawback: bool
    periods: _containers.RepeatedCompositeFieldContainer[VestingPeriod]
    def __init__(self, funder: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., number: _Optional[int] = ..., amount: _Optional[int] = ..., start_ns: _Optional[int] = ..., linear: _Optional[bool] = ..., clawback: _Optional[bool] = ..., periods: _Optional[_Iterable[_Union[VestingPeriod, _Mapping]]] = ...) -> None: ...

class VestingPeriod(_message.Message):
    __slots__ = ("length_s", "amount")
    LENGTH_S_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    length_s: int
    amount: int
    def __init__(self, length_s: _Optional[int] = ..., amount: _Optional[int] = ...) -> None: ...

class ClaimVested(_message.Message):
    __slots__ = ("sender", "recipient", "funder", "number")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    FUNDER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    recipient: bytes
    funder: bytes
    number: int
    def __init__(self, sender: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., funder: _Optional[bytes] = ..., number: _Optional[int] = ...) -> None: ...

class ClawBack(_message.Message):
    __slots__ = ("funder", "recipient", "number")
    FUNDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    funder: bytes
    recipient: bytes
    number: int
    def __init__(self, funder: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., number: _Optional[int] = ...) -> None: ...
