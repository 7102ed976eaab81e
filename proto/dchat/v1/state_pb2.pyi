from proto.dchat.v1 import tx_pb2 as _tx_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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

class Identity(_message.Message):
    __slots__ = ("address", "name", "display", "policy", "sequences", "allowance", "created_height")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    CREATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    name: str
    display: str
    policy: _tx_pb2.KeyPolicy
    sequences: _containers.RepeatedCompositeFieldContainer[KeySequence]
    allowance: Allowance
    created_height: int
    def __init__(self, address: _Optional[bytes] = ..., name: _Optional[str] = ..., display: _Optional[str] = ..., policy: _Optional[_Union[_tx_pb2.KeyPolicy, _Mapping]] = ..., sequences: _Optional[_Iterable[_Union[KeySequence, _Mapping]]] = ..., allowance: _Optional[_Union[Allowance, _Mapping]] = ..., created_height: _Optional[int] = ...) -> None: ...

class Allowance(_message.Message):
    __slots__ = ("messages_per_period", "bytes_per_period", "period_start_height", "messages_used", "bytes_used", "bought_messages", "bought_bytes")
    MESSAGES_PER_PERIOD_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_PERIOD_FIELD_NUMBER: _ClassVar[int]
    PERIOD_START_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_USED_FIELD_NUMBER: _ClassVar[int]
    BYTES_USED_FIELD_NUMBER: _ClassVar[int]
    BOUGHT_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BOUGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    messages_per_period: int
    bytes_per_period: int
    period_start_height: int
    messages_used: int
    bytes_used: int
    bought_messages: int
    bought_bytes: int
    def __init__(self, messages_per_period: _Optional[int] = ..., bytes_per_period: _Optional[int] = ..., period_start_height: _Optional[int] = ..., messages_used: _Optional[int] = ..., bytes_used: _Optional[int] = ..., bought_messages: _Optional[int] = ..., bought_bytes: _Optional[int] = ...) -> None: ...

class Channel(_message.Message):
    __slots__ = ("id", "name", "topic", "owner", "join_price", "member_count", "message_count", "peaks", "created_height")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    JOIN_PRICE_FIELD_NUMBER: _ClassVar[int]
    MEMBER_COUNT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    PEAKS_FIELD_NUMBER: _ClassVar[int]
    CREATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    name: str
    topic: str
    owner: bytes
    join_price: int
    member_count: int
    message_count: int
    peaks: _containers.RepeatedScalarFieldContainer[bytes]
    created_height: int
    def __init__(self, id: _Optional[bytes] = ..., name: _Optional[str] = ..., topic: _Optional[str] = ..., owner: _Optional[bytes] = ..., join_price: _Optional[int] = ..., member_count: _Optional[int] = ..., message_count: _Optional[int] = ..., peaks: _Optional[_Iterable[bytes]] = ..., created_height: _Optional[int] = ...) -> None: ...

class Membership(_message.Message):
    __slots__ = ("joined_height",)
    JOINED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    joined_height: int
    def __init__(self, joined_height: _Optional[int] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("channel_id", "index", "author", "content", "reply_to", "height", "time_ns")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    REPLY_TO_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    index: int
    author: bytes
    content: bytes
    reply_to: int
    height: int
    time_ns: int
    def __init__(self, channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., author: _Optional[bytes] = ..., content: _Optional[bytes] = ..., reply_to: _Optional[int] = ..., height: _Optional[int] = ..., time_ns: _Optional[int] = ...) -> None: ...

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
    udchat_tipped: int
    udchat_joins: int
    def __init__(self, bundles_executed: _Optional[int] = ..., bundles_failed: _Optional[int] = ..., udchat_to_chat: _Optional[int] = ..., udchat_tipped: _Optional[int] = ..., udchat_joins: _Optional[int] = ...) -> None: ...

class CurrencyParams(_message.Message):
    __slots__ = ("gas_price", "unordered_expiry_blocks_max")
    GAS_PRICE_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_EXPIRY_BLOCKS_MAX_FIELD_NUMBER: _ClassVar[int]
    gas_price: int
    unordered_expiry_blocks_max: int
    def __init__(self, gas_price: _Optional[int] = ..., unordered_expiry_blocks_max: _Optional[int] = ...) -> None: ...

class ChatParams(_message.Message):
    __slots__ = ("allowance_period_blocks", "message_bytes_max", "unordered_expiry_blocks_max")
    ALLOWANCE_PERIOD_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_EXPIRY_BLOCKS_MAX_FIELD_NUMBER: _ClassVar[int]
    allowance_period_blocks: int
    message_bytes_max: int
    unordered_expiry_blocks_max: int
    def __init__(self, allowance_period_blocks: _Optional[int] = ..., message_bytes_max: _Optional[int] = ..., unordered_expiry_blocks_max: _Optional[int] = ...) -> None: ...

class BridgeParams(_message.Message):
    __slots__ = ("starter_messages_per_period", "starter_bytes_per_period", "messages_per_dchat", "bytes_per_dchat", "receipt_blocks", "unordered_expiry_blocks_max")
    STARTER_MESSAGES_PER_PERIOD_FIELD_NUMBER: _ClassVar[int]
    STARTER_BYTES_PER_PERIOD_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_PER_DCHAT_FIELD_NUMBER: _ClassVar[int]
    BYTES_PER_DCHAT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_BLOCKS_FIELD_NUMBER: _ClassVar[int]
    UNORDERED_EXPIRY_BLOCKS_MAX_FIELD_NUMBER: _ClassVar[int]
    starter_messages_per_period: int
    starter_bytes_per_period: int
    messages_per_dchat: int
    bytes_per_dchat: int
    receipt_blocks: int
    unordered_expiry_blocks_max: int
    def __init__(self, starter_messages_per_period: _Optional[int] = ..., starter_bytes_per_period: _Optional[int] = ..., messages_per_dchat: _Optional[int] = ..., bytes_per_dchat: _Optional[int] = ..., receipt_blocks: _Optional[int] = ..., unordered_expiry_blocks_max: _Optional[int] = ...) -> None: ...

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
