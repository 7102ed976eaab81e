from proto.dchat.v1 import reputation_pb2 as _reputation_pb2
from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetScoreRequest(_message.Message):
    __slots__ = ("address", "height")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    height: int
    def __init__(self, address: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...

class GetScoreResponse(_message.Message):
    __slots__ = ("height", "score", "share", "acts_left", "period")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    ACTS_LEFT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    height: int
    score: int
    share: int
    acts_left: int
    period: int
    def __init__(self, height: _Optional[int] = ..., score: _Optional[int] = ..., share: _Optional[int] = ..., acts_left: _Optional[int] = ..., period: _Optional[int] = ...) -> None: ...

class ListReportsRequest(_message.Message):
    __slots__ = ("channel_id", "after", "limit", "height")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, channel_id: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListReportsResponse(_message.Message):
    __slots__ = ("height", "reports", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    reports: _containers.RepeatedCompositeFieldContainer[OpenReport]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., reports: _Optional[_Iterable[_Union[OpenReport, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class OpenReport(_message.Message):
    __slots__ = ("index", "member", "report")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    index: int
    member: bytes
    report: _reputation_pb2.Report
    def __init__(self, index: _Optional[int] = ..., member: _Optional[bytes] = ..., report: _Optional[_Union[_reputation_pb2.Report, _Mapping]] = ...) -> None: ...
