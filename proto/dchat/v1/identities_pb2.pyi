from proto.dchat.v1 import shown_pb2 as _shown_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeviceRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEVICE_ROLE_UNSPECIFIED: _ClassVar[DeviceRole]
    DEVICE_ROLE_POST: _ClassVar[DeviceRole]
    DEVICE_ROLE_MODERATE: _ClassVar[DeviceRole]
    DEVICE_ROLE_ADMIN: _ClassVar[DeviceRole]
DEVICE_ROLE_UNSPECIFIED: DeviceRole
DEVICE_ROLE_POST: DeviceRole
DEVICE_ROLE_MODERATE: DeviceRole
DEVICE_ROLE_ADMIN: DeviceRole

class SetProfile(_message.Message):
    __slots__ = ("address", "bio", "link", "picture_sha256")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BIO_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    PICTURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    bio: str
    link: str
    picture_sha256: bytes
    def __init__(self, address: _Optional[bytes] = ..., bio: _Optional[str] = ..., link: _Optional[str] = ..., picture_sha256: _Optional[bytes] = ...) -> None: ...

class BlockIdentity(_message.Message):
    __slots__ = ("address", "blocked")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    blocked: bytes
    def __init__(self, address: _Optional[bytes] = ..., blocked: _Optional[bytes] = ...) -> None: ...

class UnblockIdentity(_message.Message):
    __slots__ = ("address", "blocked")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    blocked: bytes
    def __init__(self, address: _Optional[bytes] = ..., blocked: _Optional[bytes] = ...) -> None: ...

class PublishPrekeys(_message.Message):
    __slots__ = ("address", "signed", "last_resort", "one_time", "discard")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    LAST_RESORT_FIELD_NUMBER: _ClassVar[int]
    ONE_TIME_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    signed: SignedPrekey
    last_resort: SignedPrekey
    one_time: _containers.RepeatedScalarFieldContainer[bytes]
    discard: bool
    def __init__(self, address: _Optional[bytes] = ..., signed: _Optional[_Union[SignedPrekey, _Mapping]] = ..., last_resort: _Optional[_Union[SignedPrekey, _Mapping]] = ..., one_time: _Optional[_Iterable[bytes]] = ..., discard: _Optional[bool] = ...) -> None: ...

class SignedPrekey(_message.Message):
    __slots__ = ("public_key", "signer", "signature")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNER_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    public_key: bytes
    signer: bytes
    signature: bytes
    def __init__(self, public_key: _Optional[bytes] = ..., signer: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class ClaimPrekey(_message.Message):
    __slots__ = ("claimer", "address")
    CLAIMER_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    claimer: bytes
    address: bytes
    def __init__(self, claimer: _Optional[bytes] = ..., address: _Optional[bytes] = ...) -> None: ...

class AddDevice(_message.Message):
    __slots__ = ("address", "public_key", "role", "lifetime_s")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_S_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    public_key: bytes
    role: int
    lifetime_s: int
    def __init__(self, address: _Optional[bytes] = ..., public_key: _Optional[bytes] = ..., role: _Optional[int] = ..., lifetime_s: _Optional[int] = ...) -> None: ...

class RevokeDevice(_message.Message):
    __slots__ = ("address", "public_key")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    public_key: bytes
    def __init__(self, address: _Optional[bytes] = ..., public_key: _Optional[bytes] = ...) -> None: ...

class Profile(_message.Message):
    __slots__ = ("bio", "link", "picture_sha256", "height")
    BIO_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    PICTURE_SHA256_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    bio: str
    link: str
    picture_sha256: bytes
    height: int
    def __init__(self, bio: _Optional[str] = ..., link: _Optional[str] = ..., picture_sha256: _Optional[bytes] = ..., height: _Optional[int] = ...) -> None: ...

class IdentityBlock(_message.Message):
    __slots__ = ("height",)
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    height: int
    def __init__(self, height: _Optional[int] = ...) -> None: ...

class Prekeys(_message.Message):
    __slots__ = ("signed", "signed_height", "last_resort", "last_resort_height", "next_number", "one_time")
    SIGNED_FIELD_NUMBER: _ClassVar[int]
    SIGNED_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LAST_RESORT_FIELD_NUMBER: _ClassVar[int]
    LAST_RESORT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    NEXT_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ONE_TIME_FIELD_NUMBER: _ClassVar[int]
    signed: SignedPrekey
    signed_height: int
    last_resort: SignedPrekey
    last_resort_height: int
    next_number: int
    one_time: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, signed: _Optional[_Union[SignedPrekey, _Mapping]] = ..., signed_height: _Optional[int] = ..., last_resort: _Optional[_Union[SignedPrekey, _Mapping]] = ..., last_resort_height: _Optional[int] = ..., next_number: _Optional[int] = ..., one_time: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PrekeyClaims(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class DeviceKeys(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedCompositeFieldContainer[DeviceKey]
    def __init__(self, keys: _Optional[_Iterable[_Union[DeviceKey, _Mapping]]] = ...) -> None: ...

class DeviceKey(_message.Message):
    __slots__ = ("public_key", "role", "expiry_time_ns", "height")
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    EXPIRY_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    public_key: bytes
    role: int
    expiry_time_ns: int
    height: int
    def __init__(self, public_key: _Optional[bytes] = ..., role: _Optional[int] = ..., expiry_time_ns: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...
