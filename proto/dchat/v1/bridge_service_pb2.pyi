from proto.dchat.v1 import allowance_pb2 as _allowance_pb2
from proto.dchat.v1 import shown_pb2 as _shown_pb2
from proto.dchat.v1 import state_pb2 as _state_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListEscrowsRequest(_message.Message):
    __slots__ = ("party", "after", "limit", "height")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    party: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, party: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListEscrowsResponse(_message.Message):
    __slots__ = ("height", "escrows")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ESCROWS_FIELD_NUMBER: _ClassVar[int]
    height: int
    escrows: _containers.RepeatedCompositeFieldContainer[OpenedEscrow]
    def __init__(self, height: _Optional[int] = ..., escrows: _Optional[_Iterable[_Union[OpenedEscrow, _Mapping]]] = ...) -> None: ...

class OpenedEscrow(_message.Message):
    __slots__ = ("id", "escrow")
    ID_FIELD_NUMBER: _ClassVar[int]
    ESCROW_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    escrow: _state_pb2.Escrow
    def __init__(self, id: _Optional[bytes] = ..., escrow: _Optional[_Union[_state_pb2.Escrow, _Mapping]] = ...) -> None: ...

class ListReceiptsRequest(_message.Message):
    __slots__ = ("party", "from_height", "to_height", "after", "limit", "height")
    PARTY_FIELD_NUMBER: _ClassVar[int]
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    TO_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    party: bytes
    from_height: int
    to_height: int
    after: bytes
    limit: int
    height: int
    def __init__(self, party: _Optional[bytes] = ..., from_height: _Optional[int] = ..., to_height: _Optional[int] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListReceiptsResponse(_message.Message):
    __slots__ = ("height", "receipts", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    receipts: _containers.RepeatedCompositeFieldContainer[_state_pb2.Receipt]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., receipts: _Optional[_Iterable[_Union[_state_pb2.Receipt, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class GetBridgeStatusRequest(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class GetBridgeStatusResponse(_message.Message):
    __slots__ = ("height", "stores", "app_hash", "agreed_app_hash", "in_step", "held", "held_for_chat", "held_in_escrows", "books_agree", "bundles_executed", "bundles_failed", "escrows_opened", "escrows_open", "udchat_tipped", "udchat_joins", "udchat_released", "udchat_given_back", "udchat_refunded", "udchat_supply", "udchat_collected_fees")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    APP_HASH_FIELD_NUMBER: _ClassVar[int]
    AGREED_APP_HASH_FIELD_NUMBER: _ClassVar[int]
    IN_STEP_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    HELD_FOR_CHAT_FIELD_NUMBER: _ClassVar[int]
    HELD_IN_ESCROWS_FIELD_NUMBER: _ClassVar[int]
    BOOKS_AGREE_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_EXECUTED_FIELD_NUMBER: _ClassVar[int]
    BUNDLES_FAILED_FIELD_NUMBER: _ClassVar[int]
    ESCROWS_OPENED_FIELD_NUMBER: _ClassVar[int]
    ESCROWS_OPEN_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_TIPPED_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_JOINS_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_RELEASED_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_GIVEN_BACK_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_REFUNDED_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_SUPPLY_FIELD_NUMBER: _ClassVar[int]
    UDCHAT_COLLECTED_FEES_FIELD_NUMBER: _ClassVar[int]
    height: int
    stores: _containers.RepeatedCompositeFieldContainer[StoreState]
    app_hash: bytes
    agreed_app_hash: bytes
    in_step: bool
    held: int
    held_for_chat: int
    held_in_escrows: int
    books_agree: bool
    bundles_executed: int
    bundles_failed: int
    escrows_opened: int
    escrows_open: int
    udchat_tipped: str
    udchat_joins: str
    udchat_released: str
    udchat_given_back: str
    udchat_refunded: str
    udchat_supply: int
    udchat_collected_fees: int
    def __init__(self, height: _Optional[int] = ..., stores: _Optional[_Iterable[_Union[StoreState, _Mapping]]] = ..., app_hash: _Optional[bytes] = ..., agreed_app_hash: _Optional[bytes] = ..., in_step: _Optional[bool] = ..., held: _Optional[int] = ..., held_for_chat: _Optional[int] = ..., held_in_escrows: _Optional[int] = ..., books_agree: _Optional[bool] = ..., bundles_executed: _Optional[int] = ..., bundles_failed: _Optional[int] = ..., escrows_opened: _Optional[int] = ..., escrows_open: _Optional[int] = ..., udchat_tipped: _Optional[str] = ..., udchat_joins: _Optional[str] = ..., udchat_released: _Optional[str] = ..., udchat_given_back: _Optional[str] = ..., udchat_refunded: _Optional[str] = ..., udchat_supply: _Optional[int] = ..., udchat_collected_fees: _Optional[int] = ...) -> None: ...

class StoreState(_message.Message):
    __slots__ = ("name", "changed_height", "root", "recorded_root")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CHANGED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_ROOT_FIELD_NUMBER: _ClassVar[int]
    name: str
    changed_height: int
    root: bytes
    recorded_root: bytes
    def __init__(self, name: _Optional[str] = ..., changed_height: _Optional[int] = ..., root: _Optional[bytes] = ..., recorded_root: _Optional[bytes] = ...) -> None: ...

class GetAllowanceRequest(_message.Message):
    __slots__ = ("address", "channel_id", "height")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    channel_id: bytes
    height: int
    def __init__(self, address: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...

class GetAllowanceResponse(_message.Message):
    __slots__ = ("height", "registered", "bought_messages", "bought_bytes", "refill_messages", "refill_bytes", "left_messages", "left_bytes", "period_end_ns", "locked", "unlocking", "channel_messages", "channel_bytes", "channel_pays_not")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_FIELD_NUMBER: _ClassVar[int]
    BOUGHT_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BOUGHT_BYTES_FIELD_NUMBER: _ClassVar[int]
    REFILL_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    REFILL_BYTES_FIELD_NUMBER: _ClassVar[int]
    LEFT_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    LEFT_BYTES_FIELD_NUMBER: _ClassVar[int]
    PERIOD_END_NS_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    UNLOCKING_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_MESSAGES_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_BYTES_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_PAYS_NOT_FIELD_NUMBER: _ClassVar[int]
    height: int
    registered: bool
    bought_messages: int
    bought_bytes: int
    refill_messages: int
    refill_bytes: int
    left_messages: int
    left_bytes: int
    period_end_ns: int
    locked: int
    unlocking: _containers.RepeatedCompositeFieldContainer[_allowance_pb2.UnlockedUdchat]
    channel_messages: int
    channel_bytes: int
    channel_pays_not: str
    def __init__(self, height: _Optional[int] = ..., registered: _Optional[bool] = ..., bought_messages: _Optional[int] = ..., bought_bytes: _Optional[int] = ..., refill_messages: _Optional[int] = ..., refill_bytes: _Optional[int] = ..., left_messages: _Optional[int] = ..., left_bytes: _Optional[int] = ..., period_end_ns: _Optional[int] = ..., locked: _Optional[int] = ..., unlocking: _Optional[_Iterable[_Union[_allowance_pb2.UnlockedUdchat, _Mapping]]] = ..., channel_messages: _Optional[int] = ..., channel_bytes: _Optional[int] = ..., channel_pays_not: _Optional[str] = ...) -> None: ...
