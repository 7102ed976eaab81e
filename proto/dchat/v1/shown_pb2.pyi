from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor
SHOWN_FIELD_NUMBER: _ClassVar[int]
shown: _descriptor.FieldDescriptor
NAMES_FIELD_NUMBER: _ClassVar[int]
names: _descriptor.FieldDescriptor
LEG_FIELD_NUMBER: _ClassVar[int]
leg: _descriptor.FieldDescriptor

class Shown(_message.Message):
    __slots__ = ()
    class As(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PLAIN: _ClassVar[Shown.As]
        HEX: _ClassVar[Shown.As]
        ACCOUNT: _ClassVar[Shown.As]
        ACCOUNTS: _ClassVar[Shown.As]
        CONSENSUS: _ClassVar[Shown.As]
        TEXT: _ClassVar[Shown.As]
        COUNT: _ClassVar[Shown.As]
        DEC: _ClassVar[Shown.As]
        TIME: _ClassVar[Shown.As]
        REFERENCE: _ClassVar[Shown.As]
        DENOM: _ClassVar[Shown.As]
        INDEX_AFTER: _ClassVar[Shown.As]
        NTH: _ClassVar[Shown.As]
        SUBJECT: _ClassVar[Shown.As]
        NUMBER: _ClassVar[Shown.As]
        COUNTS: _ClassVar[Shown.As]
        SUM: _ClassVar[Shown.As]
    PLAIN: Shown.As
    HEX: Shown.As
    ACCOUNT: Shown.As
    ACCOUNTS: Shown.As
    CONSENSUS: Shown.As
    TEXT: Shown.As
    COUNT: Shown.As
    DEC: Shown.As
    TIME: Shown.As
    REFERENCE: Shown.As
    DENOM: Shown.As
    INDEX_AFTER: Shown.As
    NTH: Shown.As
    SUBJECT: Shown.As
    NUMBER: Shown.As
    COUNTS: Shown.As
    SUM: Shown.As
    def __init__(self) -> None: ...

class Leg(_message.Message):
    __slots__ = ("subject", "index")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    subject: Shown.As
    index: Shown.As
    def __init__(self, subject: _Optional[_Union[Shown.As, str]] = ..., index: _Optional[_Union[Shown.As, str]] = ...) -> None: ...
