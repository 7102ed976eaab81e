from proto.dchat.v1 import allowance_pb2 as _allowance_pb2
from proto.dchat.v1 import channels_pb2 as _channels_pb2
from proto.dchat.v1 import messages_pb2 as _messages_pb2
from proto.dchat.v1 import shown_pb2 as _shown_pb2
from proto.dchat.v1 import tx_pb2 as _tx_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BondStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BOND_STATUS_UNSPECIFIED: _ClassVar[BondStatus]
    BOND_STATUS_UNBONDED: _ClassVar[BondStatus]
    BOND_STATUS_UNBONDING: _ClassVar[BondStatus]
    BOND_STATUS_BONDED: _ClassVar[BondStatus]

class SlashReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SLASH_REASON_UNSPECIFIED: _ClassVar[SlashReason]
    SLASH_REASON_DOUBLE_SIGN: _ClassVar[SlashReason]
    SLASH_REASON_DOWNTIME: _ClassVar[SlashReason]
    SLASH_REASON_LIGHT_CLIENT_ATTACK: _ClassVar[SlashReason]
BOND_STATUS_UNSPECIFIED: BondStatus
BOND_STATUS_UNBONDED: BondStatus
BOND_STATUS_UNBONDING: BondStatus
BOND_STATUS_BONDED: BondStatus
SLASH_REASON_UNSPECIFIED: SlashReason
SLASH_REASON_DOUBLE_SIGN: SlashReason
SLASH_REASON_DOWNTIME: SlashReason
SLASH_REASON_LIGHT_CLIENT_ATTACK: SlashReason

class Account(_message.Message):
    __slots__ = ("address", "balance", "policy", "sequences")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    balance: int
    policy: _tx_pb2.KeyPolicy
    sequences: _containers.RepeatedCompositeFieldContainer[KeySequence]
    def __init__(self, address: _Optional[bytes] = ..., balance: _Optional[int] = ..., policy: _Optional[_Union[_tx_pb2.KeyPolicy, _Mapping]] = ..., sequences: _Optional[_Iterable[_Union[KeySequence, _Mapping]]] = ...) -> None: ...

class KeySequence(_message.Message):
    __slots__ = ("public_key", "next")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    public_key: bytes
    next: int
    def __init__(self, public_key: _Optional[bytes] = ..., next: _Optional[int] = ...) -> None: ...

class Supply(_message.Message):
    __slots__ = ("total", "collected_fees")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    COLLECTED_FEES_FIELD_NUMBER: _ClassVar[int]
    total: int
    collected_fees: int
    def __init__(self, total: _Optional[int] = ..., collected_fees: _Optional[int] = ...) -> None: ...

class FeeGrant(_message.Message):
    __slots__ = ("left", "expiry_ns", "period_s", "period_limit", "period_left", "period_end_ns", "kinds", "epoch")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_NS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    PERIOD_LIMIT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_LEFT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_NS_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    left: int
    expiry_ns: int
    period_s: int
    period_limit: int
    period_left: int
    period_end_ns: int
    kinds: _containers.RepeatedScalarFieldContainer[str]
    epoch: int
    def __init__(self, left: _Optional[int] = ..., expiry_ns: _Optional[int] = ..., period_s: _Optional[int] = ..., period_limit: _Optional[int] = ..., period_left: _Optional[int] = ..., period_end_ns: _Optional[int] = ..., kinds: _Optional[_Iterable[str]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Authorisation(_message.Message):
    __slots__ = ("left", "expiry_ns", "recipients", "epoch")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_NS_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    left: int
    expiry_ns: int
    recipients: _containers.RepeatedScalarFieldContainer[bytes]
    epoch: int
    def __init__(self, left: _Optional[int] = ..., expiry_ns: _Optional[int] = ..., recipients: _Optional[_Iterable[bytes]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Vesting(_message.Message):
    __slots__ = ("amount", "paid", "start_ns", "linear", "clawback", "periods")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    START_NS_FIELD_NUMBER: _ClassVar[int]
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    CLAWBACK_FIELD_NUMBER: _ClassVar[int]
    PERIODS_FIELD_NUMBER: _ClassVar[int]
    amount: int
    paid: int
    start_ns: int
    linear: bool
    clawback: bool
    periods: _containers.RepeatedCompositeFieldContainer[_tx_pb2.VestingPeriod]
    def __init__(self, amount: _Optional[int] = ..., paid: _Optional[int] = ..., start_ns: _Optional[int] = ..., linear: _Optional[bool] = ..., clawback: _Optional[bool] = ..., periods: _Optional[_Iterable[_Union[_tx_pb2.VestingPeriod, _Mapping]]] = ...) -> None: ...

class Identity(_message.Message):
    __slots__ = ("address", "name", "display", "policy", "sequences", "allowance", "created_height", "expiry_time_ns", "before_height", "created_day")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    BEFORE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CREATED_DAY_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    name: str
    display: str
    policy: _tx_pb2.KeyPolicy
    sequences: _containers.RepeatedCompositeFieldContainer[KeySequence]
    allowance: Allowance
    created_height: int
    expiry_time_ns: int
    before_height: int
    created_day: int
    def __init__(self, address: _Optional[bytes] = ..., name: _Optional[str] = ..., display: _Optional[str] = ..., policy: _Optional[_Union[_tx_pb2.KeyPolicy, _Mapping]] = ..., sequences: _Optional[_Iterable[_Union[KeySequence, _Mapping]]] = ..., allowance: _Optional[_Union[Allowance, _Mapping]] = ..., created_height: _Optional[int] = ..., expiry_time_ns: _Optional[int] = ..., before_height: _Optional[int] = ..., created_day: _Optional[int] = ...) -> None: ...

class Allowance(_message.Message):
    __slots__ = ("messages", "bytes", "locked", "use")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    messages: int
    bytes: int
    locked: int
    use: _allowance_pb2.AllowanceUse
    def __init__(self, messages: _Optional[int] = ..., bytes: _Optional[int] = ..., locked: _Optional[int] = ..., use: _Optional[_Union[_allowance_pb2.AllowanceUse, _Mapping]] = ...) -> None: ...

class Channel(_message.Message):
    __slots__ = ("id", "name", "topic", "owner", "join_price", "member_count", "message_count", "peaks", "created_height", "settings")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    JOIN_PRICE_FIELD_NUMBER: _ClassVar[int]
    MEMBER_COUNT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PEAKS_FIELD_NUMBER: _ClassVar[int]
    CREATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    name: str
    topic: str
    owner: bytes
    join_price: int
    member_count: int
    message_count: int
    peaks: _containers.RepeatedScalarFieldContainer[bytes]
    created_height: int
    settings: _channels_pb2.ChannelSettings
    def __init__(self, id: _Optional[bytes] = ..., name: _Optional[str] = ..., topic: _Optional[str] = ..., owner: _Optional[bytes] = ..., join_price: _Optional[int] = ..., member_count: _Optional[int] = ..., message_count: _Optional[int] = ..., peaks: _Optional[_Iterable[bytes]] = ..., created_height: _Optional[int] = ..., settings: _Optional[_Union[_channels_pb2.ChannelSettings, _Mapping]] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("joined_height", "role", "end_ns", "last_post_ns", "read_count", "first_epoch", "joined_ns", "use")
    JOINED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_POST_NS_FIELD_NUMBER: _ClassVar[int]
    READ_COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_EPOCH_FIELD_NUMBER: _ClassVar[int]
    JOINED_NS_FIELD_NUMBER: _ClassVar[int]
    USE_FIELD_NUMBER: _ClassVar[int]
    joined_height: int
    role: int
    end_ns: int
    last_post_ns: int
    read_count: int
    first_epoch: int
    joined_ns: int
    use: _allowance_pb2.AllowanceUse
    def __init__(self, joined_height: _Optional[int] = ..., role: _Optional[int] = ..., end_ns: _Optional[int] = ..., last_post_ns: _Optional[int] = ..., read_count: _Optional[int] = ..., first_epoch: _Optional[int] = ..., joined_ns: _Optional[int] = ..., use: _Optional[_Union[_allowance_pb2.AllowanceUse, _Mapping]] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("channel_id", "index", "author", "content", "reply_to", "height", "time_ns", "expires_ns", "epoch", "content_hash", "attachments", "edits", "leaf_hash", "forgotten")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_NS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    CONTENT_HASH_FIELD_NUMBER: _ClassVar[int]
    ATTACHMENTS_FIELD_NUMBER: _ClassVar[int]
    EDITS_FIELD_NUMBER: _ClassVar[int]
    LEAF_HASH_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    index: int
    author: bytes
    content: bytes
    reply_to: int
    height: int
    time_ns: int
    expires_ns: int
    epoch: int
    content_hash: bytes
    attachments: _containers.RepeatedCompositeFieldContainer[_messages_pb2.Attachment]
    edits: int
    leaf_hash: bytes
    forgotten: int
    def __init__(self, channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., author: _Optional[bytes] = ..., content: _Optional[bytes] = ..., reply_to: _Optional[int] = ..., height: _Optional[int] = ..., time_ns: _Optional[int] = ..., expires_ns: _Optional[int] = ..., epoch: _Optional[int] = ..., content_hash: _Optional[bytes] = ..., attachments: _Optional[_Iterable[_Union[_messages_pb2.Attachment, _Mapping]]] = ..., edits: _Optional[int] = ..., leaf_hash: _Optional[bytes] = ..., forgotten: _Optional[int] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("replay_id", "height", "tx_index", "code", "codespace", "failed_leg", "legs", "fee_paid", "gas_used")
    REPLAY_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TX_INDEX_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CODESPACE_FIELD_NUMBER: _ClassVar[int]
    FAILED_LEG_FIELD_NUMBER: _ClassVar[int]
    LEGS_FIELD_NUMBER: _ClassVar[int]
    FEE_PAID_FIELD_NUMBER: _ClassVar[int]
    GAS_USED_FIELD_NUMBER: _ClassVar[int]
    replay_id: bytes
    height: int
    tx_index: int
    code: int
    codespace: str
    failed_leg: int
    legs: _containers.RepeatedCompositeFieldContainer[LegOutcome]
    fee_paid: int
    gas_used: int
    def __init__(self, replay_id: _Optional[bytes] = ..., height: _Optional[int] = ..., tx_index: _Optional[int] = ..., code: _Optional[int] = ..., codespace: _Optional[str] = ..., failed_leg: _Optional[int] = ..., legs: _Optional[_Iterable[_Union[LegOutcome, _Mapping]]] = ..., fee_paid: _Optional[int] = ..., gas_used: _Optional[int] = ...) -> None: ...

class LegOutcome(_message.Message):
    __slots__ = ("kind", "amount", "subject", "index")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    kind: str
    amount: int
    subject: bytes
    index: int
    def __init__(self, kind: _Optional[str] = ..., amount: _Optional[int] = ..., subject: _Optional[bytes] = ..., index: _Optional[int] = ...) -> None: ...

class BridgeTotals(_message.Message):
    __slots__ = ("bundles_executed", "bundles_failed", "udchat_to_chat", "udchat_tipped", "udchat_joins")
    BUNDLES_EXECUTED_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FAILED_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_TO_CHAT_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_TIPPED_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_JOINS_FIELD_NUMBER: _ClassVar[int]
    bundles_executed: int
    bundles_failed: int
    udchat_to_chat: int
    udchat_tipped: bytes
    udchat_joins: bytes
    def __init__(self, bundles_executed: _Optional[int] = ..., bundles_failed: _Optional[int] = ..., udchat_to_chat: _Optional[int] = ..., udchat_tipped: _Optional[bytes] = ..., udchat_joins: _Optional[bytes] = ...) -> None: ...

class Escrow(_message.Message):
    __slots__ = ("sender", "recipient", "amount", "left", "deadline_time_ns", "parties", "threshold", "arbiter", "conditions", "words", "opened_height", "denom_creator", "denom_sub", "shares", "pay_until_time_ns")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ARBITER_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    OPENED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DENOM_CREATOR_FIELD_NUMBER: _ClassVar[int]
    DENOM_SUB_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    PAY_UNTIL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    recipient: bytes
    amount: int
    left: int
    deadline_time_ns: int
    parties: _containers.RepeatedScalarFieldContainer[bytes]
    threshold: int
    arbiter: bytes
    conditions: _containers.RepeatedCompositeFieldContainer[_tx_pb2.Condition]
    words: _containers.RepeatedCompositeFieldContainer[EscrowWord]
    opened_height: int
    denom_creator: bytes
    denom_sub: str
    shares: _containers.RepeatedCompositeFieldContainer[PaidShare]
    pay_until_time_ns: int
    def __init__(self, sender: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., amount: _Optional[int] = ..., left: _Optional[int] = ..., deadline_time_ns: _Optional[int] = ..., parties: _Optional[_Iterable[bytes]] = ..., threshold: _Optional[int] = ..., arbiter: _Optional[bytes] = ..., conditions: _Optional[_Iterable[_Union[_tx_pb2.Condition, _Mapping]]] = ..., words: _Optional[_Iterable[_Union[EscrowWord, _Mapping]]] = ..., opened_height: _Optional[int] = ..., denom_creator: _Optional[bytes] = ..., denom_sub: _Optional[str] = ..., shares: _Optional[_Iterable[_Union[PaidShare, _Mapping]]] = ..., pay_until_time_ns: _Optional[int] = ...) -> None: ...

class PaidShare(_message.Message):
    __slots__ = ("payer", "amount", "paid")
    PAYER_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    payer: bytes
    amount: int
    paid: bool
    def __init__(self, payer: _Optional[bytes] = ..., amount: _Optional[int] = ..., paid: _Optional[bool] = ...) -> None: ...

class EscrowWord(_message.Message):
    __slots__ = ("party", "recipient", "amount", "epoch")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    party: bytes
    recipient: bytes
    amount: int
    epoch: int
    def __init__(self, party: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., amount: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class EscrowTotals(_message.Message):
    __slots__ = ("opened", "open", "udchat_held", "udchat_released", "udchat_given_back", "udchat_refunded")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_HELD_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_RELEASED_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_GIVEN_BACK_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_REFUNDED_FIELD_NUMBER: _ClassVar[int]
    opened: int
    open: int
    udchat_held: int
    udchat_released: bytes
    udchat_given_back: bytes
    udchat_refunded: bytes
    def __init__(self, opened: _Optional[int] = ..., open: _Optional[int] = ..., udchat_held: _Optional[int] = ..., udchat_released: _Optional[bytes] = ..., udchat_given_back: _Optional[bytes] = ..., udchat_refunded: _Optional[bytes] = ...) -> None: ...

class Attestation(_message.Message):
    __slots__ = ("until_time_ns", "height", "epoch")
    UNTIL_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    until_time_ns: int
    height: int
    epoch: int
    def __init__(self, until_time_ns: _Optional[int] = ..., height: _Optional[int] = ..., epoch: _Optional[int] = ...) -> None: ...

class CurrencyParams(_message.Message):
    __slots__ = ("gas_price", "unordered_expiry_blocks_max")
    GAS_PRICE_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_EXPIRY_BLOCKS_MAX_FIELD_NUMBER: _ClassVar[int]
    gas_price: int
    unordered_expiry_blocks_max: int
    def __init__(self, gas_price: _Optional[int] = ..., unordered_expiry_blocks_max: _Optional[int] = ...) -> None: ...

class ChatParams(_message.Message):
    __slots__ = ("message_bytes_max", "unordered_expiry_blocks_max", "bytes_per_mgas", "refill_period_s", "free_messages", "free_bytes", "lent_messages", "lent_bytes", "unlock_delay_s", "score_base")
    MESSAGE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_EXPIRY_BLOCKS_MAX_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_MGAS_FIELD_NUMBER: _ClassVar[int]
    REFILL_PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    FREE_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LENT_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    LENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    UNLOCK_DELAY_S_FIELD_NUMBER: _ClassVar[int]
    SCORE_BASE_FIELD_NUMBER: _ClassVar[int]
    message_bytes_max: int
    unordered_expiry_blocks_max: int
    bytes_per_mgas: int
    refill_period_s: int
    free_messages: int
    free_bytes: int
    lent_messages: int
    lent_bytes: int
    unlock_delay_s: int
    score_base: int
    def __init__(self, message_bytes_max: _Optional[int] = ..., unordered_expiry_blocks_max: _Optional[int] = ..., bytes_per_mgas: _Optional[int] = ..., refill_period_s: _Optional[int] = ..., free_messages: _Optional[int] = ..., free_bytes: _Optional[int] = ..., lent_messages: _Optional[int] = ..., lent_bytes: _Optional[int] = ..., unlock_delay_s: _Optional[int] = ..., score_base: _Optional[int] = ...) -> None: ...

class BridgeParams(_message.Message):
    __slots__ = ("starter_messages", "starter_bytes", "messages_per_dchat", "bytes_per_dchat", "receipt_blocks", "unordered_expiry_blocks_max", "registration_price")
    STARTER_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    STARTER_BYTES_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_PER_DCHAT_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_DCHAT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_EXPIRY_BLOCKS_MAX_FIELD_NUMBER: _ClassVar[int]
    REGISTRATION_PRICE_FIELD_NUMBER: _ClassVar[int]
    starter_messages: int
    starter_bytes: int
    messages_per_dchat: int
    bytes_per_dchat: int
    receipt_blocks: int
    unordered_expiry_blocks_max: int
    registration_price: int
    def __init__(self, starter_messages: _Optional[int] = ..., starter_bytes: _Optional[int] = ..., messages_per_dchat: _Optional[int] = ..., bytes_per_dchat: _Optional[int] = ..., receipt_blocks: _Optional[int] = ..., unordered_expiry_blocks_max: _Optional[int] = ..., registration_price: _Optional[int] = ...) -> None: ...

class ChainRecord(_message.Message):
    __slots__ = ("chain_id", "initial_height", "genesis_hash", "block_bytes_max", "block_gas_max", "app_version")
    CHAIN_ID_FIELD_NUMBER: _ClassVar[int]
    INITIAL_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    GENESIS_HASH_FIELD_NUMBER: _ClassVar[int]
    BLOCK_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    BLOCK_GAS_MAX_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    chain_id: str
    initial_height: int
    genesis_hash: bytes
    block_bytes_max: int
    block_gas_max: int
    app_version: int
    def __init__(self, chain_id: _Optional[str] = ..., initial_height: _Optional[int] = ..., genesis_hash: _Optional[bytes] = ..., block_bytes_max: _Optional[int] = ..., block_gas_max: _Optional[int] = ..., app_version: _Optional[int] = ...) -> None: ...

class ReplayMarks(_message.Message):
    __slots__ = ("count", "running_hash")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    RUNNING_HASH_FIELD_NUMBER: _ClassVar[int]
    count: int
    running_hash: bytes
    def __init__(self, count: _Optional[int] = ..., running_hash: _Optional[bytes] = ...) -> None: ...

class FailedItem(_message.Message):
    __slots__ = ("height", "code", "value")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    height: int
    code: int
    value: bytes
    def __init__(self, height: _Optional[int] = ..., code: _Optional[int] = ..., value: _Optional[bytes] = ...) -> None: ...

class UpgradePlan(_message.Message):
    __slots__ = ("name", "height", "info", "binary_sha256", "ready_share_permyriad", "postpone_blocks", "postponed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INFO_FIELD_NUMBER: _ClassVar[int]
    BINARY_SHA256_FIELD_NUMBER: _ClassVar[int]
    READY_SHARE_PERMYRIAD_FIELD_NUMBER: _ClassVar[int]
    POSTPONE_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    POSTPONED_FIELD_NUMBER: _ClassVar[int]
    name: str
    height: int
    info: str
    binary_sha256: _containers.RepeatedScalarFieldContainer[bytes]
    ready_share_permyriad: int
    postpone_blocks: int
    postponed: int
    def __init__(self, name: _Optional[str] = ..., height: _Optional[int] = ..., info: _Optional[str] = ..., binary_sha256: _Optional[_Iterable[bytes]] = ..., ready_share_permyriad: _Optional[int] = ..., postpone_blocks: _Optional[int] = ..., postponed: _Optional[int] = ...) -> None: ...

class DoneUpgrade(_message.Message):
    __slots__ = ("name", "height", "app_version", "migrated")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    APP_VERSION_FIELD_NUMBER: _ClassVar[int]
    MIGRATED_FIELD_NUMBER: _ClassVar[int]
    name: str
    height: int
    app_version: int
    migrated: _containers.RepeatedCompositeFieldContainer[ModuleVersion]
    def __init__(self, name: _Optional[str] = ..., height: _Optional[int] = ..., app_version: _Optional[int] = ..., migrated: _Optional[_Iterable[_Union[ModuleVersion, _Mapping]]] = ...) -> None: ...

class ModuleVersion(_message.Message):
    __slots__ = ("module", "version")
    MODULE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    module: str
    version: int
    def __init__(self, module: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class ModuleVersions(_message.Message):
    __slots__ = ("versions",)
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[ModuleVersion]
    def __init__(self, versions: _Optional[_Iterable[_Union[ModuleVersion, _Mapping]]] = ...) -> None: ...

class Readiness(_message.Message):
    __slots__ = ("consensus_key", "names", "software", "height")
    CONSENSUS_KEY_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    SOFTWARE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    consensus_key: bytes
    names: _containers.RepeatedScalarFieldContainer[str]
    software: str
    height: int
    def __init__(self, consensus_key: _Optional[bytes] = ..., names: _Optional[_Iterable[str]] = ..., software: _Optional[str] = ..., height: _Optional[int] = ...) -> None: ...

class UpgradeParams(_message.Message):
    __slots__ = ("authority",)
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    authority: bytes
    def __init__(self, authority: _Optional[bytes] = ...) -> None: ...

class StakingValidator(_message.Message):
    __slots__ = ("operator", "consensus_key", "moniker", "jailed", "status", "tokens", "shares", "unbonding_height", "unbonding_time_ns", "commission_rate", "commission_max_rate", "commission_max_change_rate", "commission_time_ns", "min_self_delegation", "slashes_waiting")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    CONSENSUS_KEY_FIELD_NUMBER: _ClassVar[int]
    MONIKER_FIELD_NUMBER: _ClassVar[int]
    JAILED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    UNBONDING_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UNBONDING_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_MAX_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_MAX_CHANGE_RATE_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    MIN_SELF_DELEGATION_FIELD_NUMBER: _ClassVar[int]
    SLASHES_WAITING_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    consensus_key: bytes
    moniker: str
    jailed: bool
    status: BondStatus
    tokens: int
    shares: bytes
    unbonding_height: int
    unbonding_time_ns: int
    commission_rate: int
    commission_max_rate: int
    commission_max_change_rate: int
    commission_time_ns: int
    min_self_delegation: int
    slashes_waiting: int
    def __init__(self, operator: _Optional[bytes] = ..., consensus_key: _Optional[bytes] = ..., moniker: _Optional[str] = ..., jailed: _Optional[bool] = ..., status: _Optional[_Union[BondStatus, str]] = ..., tokens: _Optional[int] = ..., shares: _Optional[bytes] = ..., unbonding_height: _Optional[int] = ..., unbonding_time_ns: _Optional[int] = ..., commission_rate: _Optional[int] = ..., commission_max_rate: _Optional[int] = ..., commission_max_change_rate: _Optional[int] = ..., commission_time_ns: _Optional[int] = ..., min_self_delegation: _Optional[int] = ..., slashes_waiting: _Optional[int] = ...) -> None: ...

class KeyRotations(_message.Message):
    __slots__ = ("rotations",)
    ROTATIONS_FIELD_NUMBER: _ClassVar[int]
    rotations: _containers.RepeatedCompositeFieldContainer[KeyRotation]
    def __init__(self, rotations: _Optional[_Iterable[_Union[KeyRotation, _Mapping]]] = ...) -> None: ...

class KeyRotation(_message.Message):
    __slots__ = ("address", "height", "time_ns")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    height: int
    time_ns: int
    def __init__(self, address: _Optional[bytes] = ..., height: _Optional[int] = ..., time_ns: _Optional[int] = ...) -> None: ...

class Delegation(_message.Message):
    __slots__ = ("shares", "previous_period", "stake", "start_height", "start_slash")
    SHARES_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_PERIOD_FIELD_NUMBER: _ClassVar[int]
    STAKE_FIELD_NUMBER: _ClassVar[int]
    START_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    START_SLASH_FIELD_NUMBER: _ClassVar[int]
    shares: bytes
    previous_period: int
    stake: bytes
    start_height: int
    start_slash: int
    def __init__(self, shares: _Optional[bytes] = ..., previous_period: _Optional[int] = ..., stake: _Optional[bytes] = ..., start_height: _Optional[int] = ..., start_slash: _Optional[int] = ...) -> None: ...

class UnbondingEntry(_message.Message):
    __slots__ = ("creation_height", "completion_time_ns", "initial_balance", "balance")
    CREATION_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BALANCE_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    creation_height: int
    completion_time_ns: int
    initial_balance: int
    balance: int
    def __init__(self, creation_height: _Optional[int] = ..., completion_time_ns: _Optional[int] = ..., initial_balance: _Optional[int] = ..., balance: _Optional[int] = ...) -> None: ...

class Unbonding(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[UnbondingEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[UnbondingEntry, _Mapping]]] = ...) -> None: ...

class RedelegationEntry(_message.Message):
    __slots__ = ("creation_height", "completion_time_ns", "initial_balance", "shares_dst")
    CREATION_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    INITIAL_BALANCE_FIELD_NUMBER: _ClassVar[int]
    SHARES_DST_FIELD_NUMBER: _ClassVar[int]
    creation_height: int
    completion_time_ns: int
    initial_balance: int
    shares_dst: bytes
    def __init__(self, creation_height: _Optional[int] = ..., completion_time_ns: _Optional[int] = ..., initial_balance: _Optional[int] = ..., shares_dst: _Optional[bytes] = ...) -> None: ...

class Redelegation(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[RedelegationEntry]
    def __init__(self, entries: _Optional[_Iterable[_Union[RedelegationEntry, _Mapping]]] = ...) -> None: ...

class ActiveSet(_message.Message):
    __slots__ = ("members",)
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[ActiveMember]
    def __init__(self, members: _Optional[_Iterable[_Union[ActiveMember, _Mapping]]] = ...) -> None: ...

class ActiveMember(_message.Message):
    __slots__ = ("operator", "power")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    power: int
    def __init__(self, operator: _Optional[bytes] = ..., power: _Optional[int] = ...) -> None: ...

class HistoricalRewards(_message.Message):
    __slots__ = ("ratio", "references")
    RATIO_FIELD_NUMBER: _ClassVar[int]
    REFERENCES_FIELD_NUMBER: _ClassVar[int]
    ratio: bytes
    references: int
    def __init__(self, ratio: _Optional[bytes] = ..., references: _Optional[int] = ...) -> None: ...

class ValidatorRewards(_message.Message):
    __slots__ = ("rewards", "period", "commission", "outstanding", "slash_count")
    REWARDS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    SLASH_COUNT_FIELD_NUMBER: _ClassVar[int]
    rewards: bytes
    period: int
    commission: bytes
    outstanding: bytes
    slash_count: int
    def __init__(self, rewards: _Optional[bytes] = ..., period: _Optional[int] = ..., commission: _Optional[bytes] = ..., outstanding: _Optional[bytes] = ..., slash_count: _Optional[int] = ...) -> None: ...

class SlashEvent(_message.Message):
    __slots__ = ("period", "fraction", "height", "burned", "reason")
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    period: int
    fraction: bytes
    height: int
    burned: int
    reason: SlashReason
    def __init__(self, period: _Optional[int] = ..., fraction: _Optional[bytes] = ..., height: _Optional[int] = ..., burned: _Optional[int] = ..., reason: _Optional[_Union[SlashReason, str]] = ...) -> None: ...

class BegunSlash(_message.Message):
    __slots__ = ("operator", "infraction_height", "power", "fraction", "reason", "height", "time_ns", "left", "cursor")
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    INFRACTION_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    FRACTION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    operator: bytes
    infraction_height: int
    power: int
    fraction: bytes
    reason: SlashReason
    height: int
    time_ns: int
    left: int
    cursor: bytes
    def __init__(self, operator: _Optional[bytes] = ..., infraction_height: _Optional[int] = ..., power: _Optional[int] = ..., fraction: _Optional[bytes] = ..., reason: _Optional[_Union[SlashReason, str]] = ..., height: _Optional[int] = ..., time_ns: _Optional[int] = ..., left: _Optional[int] = ..., cursor: _Optional[bytes] = ...) -> None: ...

class SlashLine(_message.Message):
    __slots__ = ("first", "following")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    FOLLOWING_FIELD_NUMBER: _ClassVar[int]
    first: int
    following: int
    def __init__(self, first: _Optional[int] = ..., following: _Optional[int] = ...) -> None: ...

class Accruals(_message.Message):
    __slots__ = ("pairs", "pulse")
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    PULSE_FIELD_NUMBER: _ClassVar[int]
    pairs: bytes
    pulse: Pulse
    def __init__(self, pairs: _Optional[bytes] = ..., pulse: _Optional[_Union[Pulse, _Mapping]] = ...) -> None: ...

class Pulse(_message.Message):
    __slots__ = ("balance", "pool", "minted", "burned", "inflation", "last_time_ns", "proposer")
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    MINTED_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    INFLATION_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    PROPOSER_FIELD_NUMBER: _ClassVar[int]
    balance: int
    pool: bytes
    minted: bytes
    burned: bytes
    inflation: int
    last_time_ns: int
    proposer: bytes
    def __init__(self, balance: _Optional[int] = ..., pool: _Optional[bytes] = ..., minted: _Optional[bytes] = ..., burned: _Optional[bytes] = ..., inflation: _Optional[int] = ..., last_time_ns: _Optional[int] = ..., proposer: _Optional[bytes] = ...) -> None: ...

class CommitSlots(_message.Message):
    __slots__ = ("addresses",)
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    addresses: bytes
    def __init__(self, addresses: _Optional[bytes] = ...) -> None: ...

class CommunityPool(_message.Message):
    __slots__ = ("amount",)
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    amount: bytes
    def __init__(self, amount: _Optional[bytes] = ...) -> None: ...

class Minter(_message.Message):
    __slots__ = ("inflation", "genesis_time_ns", "genesis_supply", "minted", "burned")
    INFLATION_FIELD_NUMBER: _ClassVar[int]
    GENESIS_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    GENESIS_SUPPLY_FIELD_NUMBER: _ClassVar[int]
    MINTED_FIELD_NUMBER: _ClassVar[int]
    BURNED_FIELD_NUMBER: _ClassVar[int]
    inflation: int
    genesis_time_ns: int
    genesis_supply: int
    minted: bytes
    burned: bytes
    def __init__(self, inflation: _Optional[int] = ..., genesis_time_ns: _Optional[int] = ..., genesis_supply: _Optional[int] = ..., minted: _Optional[bytes] = ..., burned: _Optional[bytes] = ...) -> None: ...

class SigningInfo(_message.Message):
    __slots__ = ("start_height", "offset", "counted_since", "run_start", "last_miss", "misses", "missed_total", "jailed_until_ns", "tombstoned", "offences", "offences_floor", "watched")
    START_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    COUNTED_SINCE_FIELD_NUMBER: _ClassVar[int]
    RUN_START_FIELD_NUMBER: _ClassVar[int]
    LAST_MISS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    MISSED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    JAILED_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONED_FIELD_NUMBER: _ClassVar[int]
    OFFENCES_FIELD_NUMBER: _ClassVar[int]
    OFFENCES_FLOOR_FIELD_NUMBER: _ClassVar[int]
    WATCHED_FIELD_NUMBER: _ClassVar[int]
    start_height: int
    offset: int
    counted_since: int
    run_start: int
    last_miss: int
    misses: bytes
    missed_total: int
    jailed_until_ns: int
    tombstoned: bool
    offences: _containers.RepeatedScalarFieldContainer[int]
    offences_floor: int
    watched: int
    def __init__(self, start_height: _Optional[int] = ..., offset: _Optional[int] = ..., counted_since: _Optional[int] = ..., run_start: _Optional[int] = ..., last_miss: _Optional[int] = ..., misses: _Optional[bytes] = ..., missed_total: _Optional[int] = ..., jailed_until_ns: _Optional[int] = ..., tombstoned: _Optional[bool] = ..., offences: _Optional[_Iterable[int]] = ..., offences_floor: _Optional[int] = ..., watched: _Optional[int] = ...) -> None: ...

class Liveness(_message.Message):
    __slots__ = ("absent", "watches", "recheck")
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    WATCHES_FIELD_NUMBER: _ClassVar[int]
    RECHECK_FIELD_NUMBER: _ClassVar[int]
    absent: _containers.RepeatedScalarFieldContainer[bytes]
    watches: _containers.RepeatedCompositeFieldContainer[LivenessWatch]
    recheck: bool
    def __init__(self, absent: _Optional[_Iterable[bytes]] = ..., watches: _Optional[_Iterable[_Union[LivenessWatch, _Mapping]]] = ..., recheck: _Optional[bool] = ...) -> None: ...

class LivenessWatch(_message.Message):
    __slots__ = ("height", "address")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    height: int
    address: bytes
    def __init__(self, height: _Optional[int] = ..., address: _Optional[bytes] = ...) -> None: ...

class StakingParams(_message.Message):
    __slots__ = ("unbonding_s", "validators_max", "entries_max", "min_commission", "min_stake", "min_self_delegation", "key_rotation_fee", "key_rotations_max")
    UNBONDING_S_FIELD_NUMBER: _ClassVar[int]
    VALIDATORS_MAX_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_MAX_FIELD_NUMBER: _ClassVar[int]
    MIN_COMMISSION_FIELD_NUMBER: _ClassVar[int]
    MIN_STAKE_FIELD_NUMBER: _ClassVar[int]
    MIN_SELF_DELEGATION_FIELD_NUMBER: _ClassVar[int]
    KEY_ROTATION_FEE_FIELD_NUMBER: _ClassVar[int]
    KEY_ROTATIONS_MAX_FIELD_NUMBER: _ClassVar[int]
    unbonding_s: int
    validators_max: int
    entries_max: int
    min_commission: int
    min_stake: int
    min_self_delegation: int
    key_rotation_fee: int
    key_rotations_max: int
    def __init__(self, unbonding_s: _Optional[int] = ..., validators_max: _Optional[int] = ..., entries_max: _Optional[int] = ..., min_commission: _Optional[int] = ..., min_stake: _Optional[int] = ..., min_self_delegation: _Optional[int] = ..., key_rotation_fee: _Optional[int] = ..., key_rotations_max: _Optional[int] = ...) -> None: ...

class SlashingParams(_message.Message):
    __slots__ = ("missed_blocks_window", "min_signed_per_window", "downtime_jail_s", "double_sign_jail_s", "tombstone", "slash_double_sign", "slash_downtime", "evidence_age_s_max", "evidence_age_blocks_max")
    MISSED_BLOCKS_WINDOW_FIELD_NUMBER: _ClassVar[int]
    MIN_SIGNED_PER_WINDOW_FIELD_NUMBER: _ClassVar[int]
    DOWNTIME_JAIL_S_FIELD_NUMBER: _ClassVar[int]
    DOUBLE_SIGN_JAIL_S_FIELD_NUMBER: _ClassVar[int]
    TOMBSTONE_FIELD_NUMBER: _ClassVar[int]
    SLASH_DOUBLE_SIGN_FIELD_NUMBER: _ClassVar[int]
    SLASH_DOWNTIME_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_AGE_S_MAX_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_AGE_BLOCKS_MAX_FIELD_NUMBER: _ClassVar[int]
    missed_blocks_window: int
    min_signed_per_window: int
    downtime_jail_s: int
    double_sign_jail_s: int
    tombstone: int
    slash_double_sign: int
    slash_downtime: int
    evidence_age_s_max: int
    evidence_age_blocks_max: int
    def __init__(self, missed_blocks_window: _Optional[int] = ..., min_signed_per_window: _Optional[int] = ..., downtime_jail_s: _Optional[int] = ..., double_sign_jail_s: _Optional[int] = ..., tombstone: _Optional[int] = ..., slash_double_sign: _Optional[int] = ..., slash_downtime: _Optional[int] = ..., evidence_age_s_max: _Optional[int] = ..., evidence_age_blocks_max: _Optional[int] = ...) -> None: ...

class DistributionParams(_message.Message):
    __slots__ = ("community_tax", "base_proposer_reward", "bonus_proposer_reward", "fee_burn")
    COMMUNITY_TAX_FIELD_NUMBER: _ClassVar[int]
    BASE_PROPOSER_REWARD_FIELD_NUMBER: _ClassVar[int]
    BONUS_PROPOSER_REWARD_FIELD_NUMBER: _ClassVar[int]
    FEE_BURN_FIELD_NUMBER: _ClassVar[int]
    community_tax: int
    base_proposer_reward: int
    bonus_proposer_reward: int
    fee_burn: int
    def __init__(self, community_tax: _Optional[int] = ..., base_proposer_reward: _Optional[int] = ..., bonus_proposer_reward: _Optional[int] = ..., fee_burn: _Optional[int] = ...) -> None: ...

class MintParams(_message.Message):
    __slots__ = ("inflation_change", "inflation_max", "inflation_min", "goal_bonded", "blocks_per_year")
    INFLATION_CHANGE_FIELD_NUMBER: _ClassVar[int]
    INFLATION_MAX_FIELD_NUMBER: _ClassVar[int]
    INFLATION_MIN_FIELD_NUMBER: _ClassVar[int]
    GOAL_BONDED_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_PER_YEAR_FIELD_NUMBER: _ClassVar[int]
    inflation_change: int
    inflation_max: int
    inflation_min: int
    goal_bonded: int
    blocks_per_year: int
    def __init__(self, inflation_change: _Optional[int] = ..., inflation_max: _Optional[int] = ..., inflation_min: _Optional[int] = ..., goal_bonded: _Optional[int] = ..., blocks_per_year: _Optional[int] = ...) -> None: ...

class Denomination(_message.Message):
    __slots__ = ("owner", "supply", "supply_max", "freezable")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_MAX_FIELD_NUMBER: _ClassVar[int]
    FREEZABLE_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    supply: int
    supply_max: int
    freezable: bool
    def __init__(self, owner: _Optional[bytes] = ..., supply: _Optional[int] = ..., supply_max: _Optional[int] = ..., freezable: _Optional[bool] = ...) -> None: ...

class Holding(_message.Message):
    __slots__ = ("amount", "frozen")
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    amount: int
    frozen: bool
    def __init__(self, amount: _Optional[int] = ..., frozen: _Optional[bool] = ...) -> None: ...

class PaymentRequest(_message.Message):
    __slots__ = ("payer", "denom_creator", "denom_sub", "amount", "memo", "expiry_ns")
    PAYER_FIELD_NUMBER: _ClassVar[int]
    DENOM_CREATOR_FIELD_NUMBER: _ClassVar[int]
    DENOM_SUB_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_NS_FIELD_NUMBER: _ClassVar[int]
    payer: bytes
    denom_creator: bytes
    denom_sub: str
    amount: int
    memo: str
    expiry_ns: int
    def __init__(self, payer: _Optional[bytes] = ..., denom_creator: _Optional[bytes] = ..., denom_sub: _Optional[str] = ..., amount: _Optional[int] = ..., memo: _Optional[str] = ..., expiry_ns: _Optional[int] = ...) -> None: ...

class StandingOrder(_message.Message):
    __slots__ = ("recipient", "denom_creator", "denom_sub", "amount", "every_blocks", "due_height", "times", "until_height", "paid", "misses", "epoch", "max_fee")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    DENOM_CREATOR_FIELD_NUMBER: _ClassVar[int]
    DENOM_SUB_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    EVERY_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    DUE_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIMES_FIELD_NUMBER: _ClassVar[int]
    UNTIL_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    MAX_FEE_FIELD_NUMBER: _ClassVar[int]
    recipient: bytes
    denom_creator: bytes
    denom_sub: str
    amount: int
    every_blocks: int
    due_height: int
    times: int
    until_height: int
    paid: int
    misses: int
    epoch: int
    max_fee: int
    def __init__(self, recipient: _Optional[bytes] = ..., denom_creator: _Optional[bytes] = ..., denom_sub: _Optional[str] = ..., amount: _Optional[int] = ..., every_blocks: _Optional[int] = ..., due_height: _Optional[int] = ..., times: _Optional[int] = ..., until_height: _Optional[int] = ..., paid: _Optional[int] = ..., misses: _Optional[int] = ..., epoch: _Optional[int] = ..., max_fee: _Optional[int] = ...) -> None: ...
