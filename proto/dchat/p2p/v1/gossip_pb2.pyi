from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Message(_message.Message):
    __slots__ = ("has_parts", "has_votes", "have_tx", "want_tx", "neighbours")
    HAS_PARTS_FIELD_NUMBER: _ClassVar[int]
    HAS_VOTES_FIELD_NUMBER: _ClassVar[int]
    HAVE_TX_FIELD_NUMBER: _ClassVar[int]
    WANT_TX_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURS_FIELD_NUMBER: _ClassVar[int]
    has_parts: _containers.RepeatedCompositeFieldContainer[HasPart]
    has_votes: _containers.RepeatedCompositeFieldContainer[HasVotes]
    have_tx: HaveTx
    want_tx: WantTx
    neighbours: Neighbours
    def __init__(self, has_parts: _Optional[_Iterable[_Union[HasPart, _Mapping]]] = ..., has_votes: _Optional[_Iterable[_Union[HasVotes, _Mapping]]] = ..., have_tx: _Optional[_Union[HaveTx, _Mapping]] = ..., want_tx: _Optional[_Union[WantTx, _Mapping]] = ..., neighbours: _Optional[_Union[Neighbours, _Mapping]] = ...) -> None: ...

class HasPart(_message.Message):
    __slots__ = ("height", "round", "total", "hash", "bits", "exact")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    height: int
    round: int
    total: int
    hash: bytes
    bits: bytes
    exact: bool
    def __init__(self, height: _Optional[int] = ..., round: _Optional[int] = ..., total: _Optional[int] = ..., hash: _Optional[bytes] = ..., bits: _Optional[bytes] = ..., exact: _Optional[bool] = ...) -> None: ...

class HasVotes(_message.Message):
    __slots__ = ("height", "round", "kind", "bits", "exact")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BITS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    height: int
    round: int
    kind: int
    bits: bytes
    exact: bool
    def __init__(self, height: _Optional[int] = ..., round: _Optional[int] = ..., kind: _Optional[int] = ..., bits: _Optional[bytes] = ..., exact: _Optional[bool] = ...) -> None: ...

class HaveTx(_message.Message):
    __slots__ = ("hashes",)
    HASHES_FIELD_NUMBER: _ClassVar[int]
    hashes: bytes
    def __init__(self, hashes: _Optional[bytes] = ...) -> None: ...

class WantTx(_message.Message):
    __slots__ = ("hashes",)
    HASHES_FIELD_NUMBER: _ClassVar[int]
    hashes: bytes
    def __init__(self, hashes: _Optional[bytes] = ...) -> None: ...

class Neighbours(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: bytes
    def __init__(self, ids: _Optional[bytes] = ...) -> None: ...
