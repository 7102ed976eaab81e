from proto.dchat.v1 import channels_pb2 as _channels_pb2
from proto.dchat.v1 import shown_pb2 as _shown_pb2
from proto.dchat.v1 import state_pb2 as _state_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListMembersRequest(_message.Message):
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

class ListMembersResponse(_message.Message):
    __slots__ = ("height", "members", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    members: _containers.RepeatedCompositeFieldContainer[ChannelMember]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., members: _Optional[_Iterable[_Union[ChannelMember, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class ChannelMember(_message.Message):
    __slots__ = ("address", "is_owner", "is_over", "membership")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IS_OWNER_FIELD_NUMBER: _ClassVar[int]
    IS_OVER_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    is_owner: bool
    is_over: bool
    membership: _state_pb2.Membership
    def __init__(self, address: _Optional[bytes] = ..., is_owner: _Optional[bool] = ..., is_over: _Optional[bool] = ..., membership: _Optional[_Union[_state_pb2.Membership, _Mapping]] = ...) -> None: ...

class ListMembershipsRequest(_message.Message):
    __slots__ = ("member", "after", "limit", "height")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    member: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, member: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListMembershipsResponse(_message.Message):
    __slots__ = ("height", "memberships", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIPS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    memberships: _containers.RepeatedCompositeFieldContainer[MemberOf]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., memberships: _Optional[_Iterable[_Union[MemberOf, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class MemberOf(_message.Message):
    __slots__ = ("channel_id", "name", "peer", "is_owner", "is_over", "message_count", "membership")
    CHANNEL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PEER_FIELD_NUMBER: _ClassVar[int]
    IS_OWNER_FIELD_NUMBER: _ClassVar[int]
    IS_OVER_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    channel_id: bytes
    name: str
    peer: bytes
    is_owner: bool
    is_over: bool
    message_count: int
    membership: _state_pb2.Membership
    def __init__(self, channel_id: _Optional[bytes] = ..., name: _Optional[str] = ..., peer: _Optional[bytes] = ..., is_owner: _Optional[bool] = ..., is_over: _Optional[bool] = ..., message_count: _Optional[int] = ..., membership: _Optional[_Union[_state_pb2.Membership, _Mapping]] = ...) -> None: ...

class ListBansRequest(_message.Message):
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

class ListBansResponse(_message.Message):
    __slots__ = ("height", "bans", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    BANS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    bans: _containers.RepeatedCompositeFieldContainer[ChannelBan]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., bans: _Optional[_Iterable[_Union[ChannelBan, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class ChannelBan(_message.Message):
    __slots__ = ("address", "ban")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BAN_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    ban: _channels_pb2.Ban
    def __init__(self, address: _Optional[bytes] = ..., ban: _Optional[_Union[_channels_pb2.Ban, _Mapping]] = ...) -> None: ...

class ListInvitationsRequest(_message.Message):
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

class ListInvitationsResponse(_message.Message):
    __slots__ = ("height", "invitations", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    INVITATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    invitations: _containers.RepeatedCompositeFieldContainer[ChannelInvitation]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., invitations: _Optional[_Iterable[_Union[ChannelInvitation, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class ChannelInvitation(_message.Message):
    __slots__ = ("address", "is_void", "invitation")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IS_VOID_FIELD_NUMBER: _ClassVar[int]
    INVITATION_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    is_void: bool
    invitation: _channels_pb2.Invitation
    def __init__(self, address: _Optional[bytes] = ..., is_void: _Optional[bool] = ..., invitation: _Optional[_Union[_channels_pb2.Invitation, _Mapping]] = ...) -> None: ...
