from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListTrailsRequest(_message.Message):
    __slots__ = ("from_height", "limit")
    FROM_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    from_height: int
    limit: int
    def __init__(self, from_height: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListTrailsResponse(_message.Message):
    __slots__ = ("lowest", "highest", "trails")
    LOWEST_FIELD_NUMBER: _ClassVar[int]
    HIGHEST_FIELD_NUMBER: _ClassVar[int]
    TRAILS_FIELD_NUMBER: _ClassVar[int]
    lowest: int
    highest: int
    trails: _containers.RepeatedCompositeFieldContainer[TrailHead]
    def __init__(self, lowest: _Optional[int] = ..., highest: _Optional[int] = ..., trails: _Optional[_Iterable[_Union[TrailHead, _Mapping]]] = ...) -> None: ...

class TrailHead(_message.Message):
    __slots__ = ("height", "block_hash", "app_hash", "roots")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BLOCK_HASH_FIELD_NUMBER: _ClassVar[int]
    APP_HASH_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    height: int
    block_hash: bytes
    app_hash: bytes
    roots: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, height: _Optional[int] = ..., block_hash: _Optional[bytes] = ..., app_hash: _Optional[bytes] = ..., roots: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ListTrailStepsRequest(_message.Message):
    __slots__ = ("height", "from_step", "limit")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FROM_STEP_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    height: int
    from_step: int
    limit: int
    def __init__(self, height: _Optional[int] = ..., from_step: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class ListTrailStepsResponse(_message.Message):
    __slots__ = ("trail", "count", "again", "steps")
    TRAIL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    trail: TrailHead
    count: int
    again: bool
    steps: _containers.RepeatedCompositeFieldContainer[TrailStep]
    def __init__(self, trail: _Optional[_Union[TrailHead, _Mapping]] = ..., count: _Optional[int] = ..., again: _Optional[bool] = ..., steps: _Optional[_Iterable[_Union[TrailStep, _Mapping]]] = ...) -> None: ...

class TrailStep(_message.Message):
    __slots__ = ("tx", "code", "gas_used", "result", "stores", "writes")
    TX_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    GAS_USED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    WRITES_FIELD_NUMBER: _ClassVar[int]
    tx: bytes
    code: int
    gas_used: int
    result: bytes
    stores: _containers.RepeatedScalarFieldContainer[bytes]
    writes: _containers.RepeatedCompositeFieldContainer[TrailWrite]
    def __init__(self, tx: _Optional[bytes] = ..., code: _Optional[int] = ..., gas_used: _Optional[int] = ..., result: _Optional[bytes] = ..., stores: _Optional[_Iterable[bytes]] = ..., writes: _Optional[_Iterable[_Union[TrailWrite, _Mapping]]] = ...) -> None: ...

class ListTrailWritesRequest(_message.Message):
    __slots__ = ("height", "step", "after")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    height: int
    step: int
    after: bytes
    def __init__(self, height: _Optional[int] = ..., step: _Optional[int] = ..., after: _Optional[bytes] = ...) -> None: ...

class ListTrailWritesResponse(_message.Message):
    __slots__ = ("writes", "has_more")
    WRITES_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    writes: _containers.RepeatedCompositeFieldContainer[TrailWrite]
    has_more: bool
    def __init__(self, writes: _Optional[_Iterable[_Union[TrailWrite, _Mapping]]] = ..., has_more: _Optional[bool] = ...) -> None: ...

class TrailWrite(_message.Message):
    __slots__ = ("key", "value", "deleted")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    key: bytes
    value: bytes
    deleted: bool
    def __init__(self, key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., deleted: _Optional[bool] = ...) -> None: ...

class TrailFile(_message.Message):
    __slots__ = ("trail", "steps")
    TRAIL_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    trail: TrailHead
    steps: _containers.RepeatedCompositeFieldContainer[TrailStep]
    def __init__(self, trail: _Optional[_Union[TrailHead, _Mapping]] = ..., steps: _Optional[_Iterable[_Union[TrailStep, _Mapping]]] = ...) -> None: ...
