from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Reaction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REACTION_NONE: _ClassVar[Reaction]
    REACTION_LIKE: _ClassVar[Reaction]
    REACTION_DISLIKE: _ClassVar[Reaction]
    REACTION_LOVE: _ClassVar[Reaction]
    REACTION_LAUGH: _ClassVar[Reaction]
    REACTION_WOW: _ClassVar[Reaction]
    REACTION_SAD: _ClassVar[Reaction]
    REACTION_ANGRY: _ClassVar[Reaction]
    REACTION_THANKS: _ClassVar[Reaction]
    REACTION_YES: _ClassVar[Reaction]
    REACTION_NO: _ClassVar[Reaction]
    REACTION_DONE: _ClassVar[Reaction]
    REACTION_QUESTION: _ClassVar[Reaction]
    REACTION_CELEBRATE: _ClassVar[Reaction]
    REACTION_EYES: _ClassVar[Reaction]
    REACTION_FIRE: _ClassVar[Reaction]
    REACTION_SUPPORT: _ClassVar[Reaction]

class Forgotten(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORGOTTEN_NOT: _ClassVar[Forgotten]
    FORGOTTEN_EXPIRED: _ClassVar[Forgotten]
    FORGOTTEN_RETRACTED: _ClassVar[Forgotten]
    FORGOTTEN_REMOVED: _ClassVar[Forgotten]
    FORGOTTEN_EDITED: _ClassVar[Forgotten]
REACTION_NONE: Reaction
REACTION_LIKE: Reaction
REACTION_DISLIKE: Reaction
REACTION_LOVE: Reaction
REACTION_LAUGH: Reaction
REACTION_WOW: Reaction
REACTION_SAD: Reaction
REACTION_ANGRY: Reaction
REACTION_THANKS: Reaction
REACTION_YES: Reaction
REACTION_NO: Reaction
REACTION_DONE: Reaction
REACTION_QUESTION: Reaction
REACTION_CELEBRATE: Reaction
REACTION_EYES: Reaction
REACTION_FIRE: Reaction
REACTION_SUPPORT: Reaction
FORGOTTEN_NOT: Forgotten
FORGOTTEN_EXPIRED: Forgotten
FORGOTTEN_RETRACTED: Forgotten
FORGOTTEN_REMOVED: Forgotten
FORGOTTEN_EDITED: Forgotten

class Attachment(_message.Message):
    __slots__ = ("sha256", "size", "media_type")
    SHA256_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    sha256: bytes
    size: int
    media_type: str
    def __init__(self, sha256: _Optional[bytes] = ..., size: _Optional[int] = ..., media_type: _Optional[str] = ...) -> None: ...

class EditMessage(_message.Message):
    __slots__ = ("author", "channel_id", "index", "content", "epoch")
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    author: bytes
    channel_id: bytes
    index: int
    content: bytes
    epoch: int
    def __init__(self, author: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., content: _Optional[bytes] = ..., epoch: _Optional[int] = ...) -> None: ...

class RetractMessage(_message.Message):
    __slots__ = ("actor", "channel_id", "index")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    index: int
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ...) -> None: ...

class React(_message.Message):
    __slots__ = ("member", "channel_id", "index", "reaction")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REACTION_FIELD_NUMBER: _ClassVar[int]
    member: bytes
    channel_id: bytes
    index: int
    reaction: int
    def __init__(self, member: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., reaction: _Optional[int] = ...) -> None: ...

class MarkRead(_message.Message):
    __slots__ = ("member", "channel_id", "count")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    member: bytes
    channel_id: bytes
    count: int
    def __init__(self, member: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., count: _Optional[int] = ...) -> None: ...

class MessageState(_message.Message):
    __slots__ = ("edits", "reactions", "forgotten", "by", "height")
    EDITS_FIELD_NUMBER: _ClassVar[int]
    REACTIONS_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    edits: _containers.RepeatedScalarFieldContainer[int]
    reactions: _containers.RepeatedScalarFieldContainer[int]
    forgotten: int
    by: bytes
    height: int
    def __init__(self, edits: _Optional[_Iterable[int]] = ..., reactions: _Optional[_Iterable[int]] = ..., forgotten: _Optional[int] = ..., by: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...
