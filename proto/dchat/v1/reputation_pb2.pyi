from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReportReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_REASON_UNSPECIFIED: _ClassVar[ReportReason]
    REPORT_REASON_SPAM: _ClassVar[ReportReason]
    REPORT_REASON_ABUSE: _ClassVar[ReportReason]
    REPORT_REASON_ILLEGAL: _ClassVar[ReportReason]
    REPORT_REASON_IMPERSONATION: _ClassVar[ReportReason]
    REPORT_REASON_PRIVATE: _ClassVar[ReportReason]
    REPORT_REASON_OTHER: _ClassVar[ReportReason]

class ReportVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REPORT_VERDICT_OPEN: _ClassVar[ReportVerdict]
    REPORT_VERDICT_UPHELD: _ClassVar[ReportVerdict]
    REPORT_VERDICT_DISMISSED: _ClassVar[ReportVerdict]
REPORT_REASON_UNSPECIFIED: ReportReason
REPORT_REASON_SPAM: ReportReason
REPORT_REASON_ABUSE: ReportReason
REPORT_REASON_ILLEGAL: ReportReason
REPORT_REASON_IMPERSONATION: ReportReason
REPORT_REASON_PRIVATE: ReportReason
REPORT_REASON_OTHER: ReportReason
REPORT_VERDICT_OPEN: ReportVerdict
REPORT_VERDICT_UPHELD: ReportVerdict
REPORT_VERDICT_DISMISSED: ReportVerdict

class EndorseAuthor(_message.Message):
    __slots__ = ("giver", "channel_id", "index")
    GIVER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    giver: bytes
    channel_id: bytes
    index: int
    def __init__(self, giver: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ...) -> None: ...

class HonourAuthor(_message.Message):
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

class ReportMessage(_message.Message):
    __slots__ = ("reporter", "channel_id", "index", "reason")
    REPORTER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reporter: bytes
    channel_id: bytes
    index: int
    reason: int
    def __init__(self, reporter: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., reason: _Optional[int] = ...) -> None: ...

class ReportMember(_message.Message):
    __slots__ = ("reporter", "channel_id", "member", "reason")
    REPORTER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reporter: bytes
    channel_id: bytes
    member: bytes
    reason: int
    def __init__(self, reporter: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., member: _Optional[bytes] = ..., reason: _Optional[int] = ...) -> None: ...

class ResolveReport(_message.Message):
    __slots__ = ("moderator", "channel_id", "index", "member", "verdict")
    MODERATOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    moderator: bytes
    channel_id: bytes
    index: int
    member: bytes
    verdict: int
    def __init__(self, moderator: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., member: _Optional[bytes] = ..., verdict: _Optional[int] = ...) -> None: ...

class Reputation(_message.Message):
    __slots__ = ("score", "period", "share", "acted")
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    ACTED_FIELD_NUMBER: _ClassVar[int]
    score: int
    period: int
    share: int
    acted: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, score: _Optional[int] = ..., period: _Optional[int] = ..., share: _Optional[int] = ..., acted: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("about", "score", "end_ns", "by", "verdict", "resolved_by")
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_BY_FIELD_NUMBER: _ClassVar[int]
    about: bytes
    score: int
    end_ns: int
    by: _containers.RepeatedCompositeFieldContainer[ReportedBy]
    verdict: int
    resolved_by: bytes
    def __init__(self, about: _Optional[bytes] = ..., score: _Optional[int] = ..., end_ns: _Optional[int] = ..., by: _Optional[_Iterable[_Union[ReportedBy, _Mapping]]] = ..., verdict: _Optional[int] = ..., resolved_by: _Optional[bytes] = ...) -> None: ...

class ReportedBy(_message.Message):
    __slots__ = ("reporter", "score", "reason")
    REPORTER_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    reporter: bytes
    score: int
    reason: int
    def __init__(self, reporter: _Optional[bytes] = ..., score: _Optional[int] = ..., reason: _Optional[int] = ...) -> None: ...
