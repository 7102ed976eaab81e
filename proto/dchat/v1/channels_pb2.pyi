from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChannelAccess(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_ACCESS_OPEN: _ClassVar[ChannelAccess]
    CHANNEL_ACCESS_INVITED: _ClassVar[ChannelAccess]

class MemberRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEMBER_ROLE_MEMBER: _ClassVar[MemberRole]
    MEMBER_ROLE_GUEST: _ClassVar[MemberRole]
    MEMBER_ROLE_MODERATOR: _ClassVar[MemberRole]
CHANNEL_ACCESS_OPEN: ChannelAccess
CHANNEL_ACCESS_INVITED: ChannelAccess
MEMBER_ROLE_MEMBER: MemberRole
MEMBER_ROLE_GUEST: MemberRole
MEMBER_ROLE_MODERATOR: MemberRole

class EditChannel(_message.Message):
    __slots__ = ("actor", "channel_id", "topic", "join_price", "period_s", "slow_mode_s", "access", "join_role", "archived")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    JOIN_PRICE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    SLOW_MODE_S_FIELD_NUMBER: _ClassVar[int]
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    JOIN_ROLE_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    topic: str
    join_price: int
    period_s: int
    slow_mode_s: int
    access: int
    join_role: int
    archived: bool
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., topic: _Optional[str] = ..., join_price: _Optional[int] = ..., period_s: _Optional[int] = ..., slow_mode_s: _Optional[int] = ..., access: _Optional[int] = ..., join_role: _Optional[int] = ..., archived: _Optional[bool] = ...) -> None: ...

class InviteMember(_message.Message):
    __slots__ = ("actor", "channel_id", "member", "valid_s", "reads_back")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    VALID_S_FIELD_NUMBER: _ClassVar[int]
    READS_BACK_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    member: bytes
    valid_s: int
    reads_back: bool
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., member: _Optional[bytes] = ..., valid_s: _Optional[int] = ..., reads_back: _Optional[bool] = ...) -> None: ...

class LeaveChannel(_message.Message):
    __slots__ = ("member", "channel_id")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    member: bytes
    channel_id: bytes
    def __init__(self, member: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ...) -> None: ...

class SetMemberRole(_message.Message):
    __slots__ = ("actor", "channel_id", "member", "role")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    member: bytes
    role: int
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., member: _Optional[bytes] = ..., role: _Optional[int] = ...) -> None: ...

class BanMember(_message.Message):
    __slots__ = ("actor", "channel_id", "member", "duration_s")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    member: bytes
    duration_s: int
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., member: _Optional[bytes] = ..., duration_s: _Optional[int] = ...) -> None: ...

class UnbanMember(_message.Message):
    __slots__ = ("actor", "channel_id", "member")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    member: bytes
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., member: _Optional[bytes] = ...) -> None: ...

class PinMessage(_message.Message):
    __slots__ = ("actor", "channel_id", "index", "unpin")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    UNPIN_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    index: int
    unpin: bool
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., index: _Optional[int] = ..., unpin: _Optional[bool] = ...) -> None: ...

class OfferChannel(_message.Message):
    __slots__ = ("owner", "channel_id", "heir")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    HEIR_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    channel_id: bytes
    heir: bytes
    def __init__(self, owner: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., heir: _Optional[bytes] = ...) -> None: ...

class AcceptChannel(_message.Message):
    __slots__ = ("heir", "channel_id")
    HEIR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    heir: bytes
    channel_id: bytes
    def __init__(self, heir: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ...) -> None: ...

class PublishEpochKeys(_message.Message):
    __slots__ = ("actor", "channel_id", "epoch", "commitment", "keys")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    epoch: int
    commitment: bytes
    keys: _containers.RepeatedCompositeFieldContainer[SealedCopy]
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ..., epoch: _Optional[int] = ..., commitment: _Optional[bytes] = ..., keys: _Optional[_Iterable[_Union[SealedCopy, _Mapping]]] = ...) -> None: ...

class SealedCopy(_message.Message):
    __slots__ = ("member", "device", "sealed")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    member: bytes
    device: bytes
    sealed: bytes
    def __init__(self, member: _Optional[bytes] = ..., device: _Optional[bytes] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class BeginEpoch(_message.Message):
    __slots__ = ("actor", "channel_id")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    actor: bytes
    channel_id: bytes
    def __init__(self, actor: _Optional[bytes] = ..., channel_id: _Optional[bytes] = ...) -> None: ...

class OpenDirect(_message.Message):
    __slots__ = ("sender", "peer", "encrypted")
    SENDER_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    sender: bytes
    peer: bytes
    encrypted: bool
    def __init__(self, sender: _Optional[bytes] = ..., peer: _Optional[bytes] = ..., encrypted: _Optional[bool] = ...) -> None: ...

class ChannelSettings(_message.Message):
    __slots__ = ("access", "period_s", "slow_mode_s", "join_role", "archived", "heir", "pinned", "epoch", "pair", "heir_epoch")
    ACCESS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    SLOW_MODE_S_FIELD_NUMBER: _ClassVar[int]
    JOIN_ROLE_FIELD_NUMBER: _ClassVar[int]
    ARCHIVED_FIELD_NUMBER: _ClassVar[int]
    HEIR_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    HEIR_EPOCH_FIELD_NUMBER: _ClassVar[int]
    access: int
    period_s: int
    slow_mode_s: int
    join_role: int
    archived: bool
    heir: bytes
    pinned: _containers.RepeatedScalarFieldContainer[int]
    epoch: int
    pair: bytes
    heir_epoch: int
    def __init__(self, access: _Optional[int] = ..., period_s: _Optional[int] = ..., slow_mode_s: _Optional[int] = ..., join_role: _Optional[int] = ..., archived: _Optional[bool] = ..., heir: _Optional[bytes] = ..., pinned: _Optional[_Iterable[int]] = ..., epoch: _Optional[int] = ..., pair: _Optional[bytes] = ..., heir_epoch: _Optional[int] = ...) -> None: ...

class Ban(_message.Message):
    __slots__ = ("by", "until_ns", "height")
    BY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    by: bytes
    until_ns: int
    height: int
    def __init__(self, by: _Optional[bytes] = ..., until_ns: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Invitation(_message.Message):
    __slots__ = ("by", "until_ns", "reads_back", "created_height")
    BY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    READS_BACK_FIELD_NUMBER: _ClassVar[int]
    CREATED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    by: bytes
    until_ns: int
    reads_back: bool
    created_height: int
    def __init__(self, by: _Optional[bytes] = ..., until_ns: _Optional[int] = ..., reads_back: _Optional[bool] = ..., created_height: _Optional[int] = ...) -> None: ...

class Epoch(_message.Message):
    __slots__ = ("commitment", "publisher", "height")
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    PUBLISHER_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    commitment: bytes
    publisher: bytes
    height: int
    def __init__(self, commitment: _Optional[bytes] = ..., publisher: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...

class SealedKey(_message.Message):
    __slots__ = ("sealed", "by", "height")
    SEALED_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    sealed: bytes
    by: bytes
    height: int
    def __init__(self, sealed: _Optional[bytes] = ..., by: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...
