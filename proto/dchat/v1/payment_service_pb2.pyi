from proto.dchat.v1 import shown_pb2 as _shown_pb2
from proto.dchat.v1 import state_pb2 as _state_pb2
from proto.dchat.v1 import tx_pb2 as _tx_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListDenominationsRequest(_message.Message):
    __slots__ = ("creator", "after", "limit", "height")
    CREATOR_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    creator: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, creator: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListDenominationsResponse(_message.Message):
    __slots__ = ("height", "denominations", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    DENOMINATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    denominations: _containers.RepeatedCompositeFieldContainer[NamedDenomination]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., denominations: _Optional[_Iterable[_Union[NamedDenomination, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class NamedDenomination(_message.Message):
    __slots__ = ("denom", "name", "denomination")
    DENOM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DENOMINATION_FIELD_NUMBER: _ClassVar[int]
    denom: _tx_pb2.Denom
    name: str
    denomination: _state_pb2.Denomination
    def __init__(self, denom: _Optional[_Union[_tx_pb2.Denom, _Mapping]] = ..., name: _Optional[str] = ..., denomination: _Optional[_Union[_state_pb2.Denomination, _Mapping]] = ...) -> None: ...

class ListHoldingsRequest(_message.Message):
    __slots__ = ("address", "after", "limit", "height")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, address: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListHoldingsResponse(_message.Message):
    __slots__ = ("height", "holdings", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HOLDINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    holdings: _containers.RepeatedCompositeFieldContainer[NamedHolding]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., holdings: _Optional[_Iterable[_Union[NamedHolding, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class NamedHolding(_message.Message):
    __slots__ = ("denom", "name", "holding")
    DENOM_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HOLDING_FIELD_NUMBER: _ClassVar[int]
    denom: _tx_pb2.Denom
    name: str
    holding: _state_pb2.Holding
    def __init__(self, denom: _Optional[_Union[_tx_pb2.Denom, _Mapping]] = ..., name: _Optional[str] = ..., holding: _Optional[_Union[_state_pb2.Holding, _Mapping]] = ...) -> None: ...

class ListPaymentRequestsRequest(_message.Message):
    __slots__ = ("payee", "payer", "after", "limit", "height")
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    PAYER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    payee: bytes
    payer: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, payee: _Optional[bytes] = ..., payer: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListPaymentRequestsResponse(_message.Message):
    __slots__ = ("height", "requests", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    requests: _containers.RepeatedCompositeFieldContainer[OpenRequest]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., requests: _Optional[_Iterable[_Union[OpenRequest, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class OpenRequest(_message.Message):
    __slots__ = ("payee", "reference", "request")
    PAYEE_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    payee: bytes
    reference: str
    request: _state_pb2.PaymentRequest
    def __init__(self, payee: _Optional[bytes] = ..., reference: _Optional[str] = ..., request: _Optional[_Union[_state_pb2.PaymentRequest, _Mapping]] = ...) -> None: ...

class ListStandingOrdersRequest(_message.Message):
    __slots__ = ("owner", "recipient", "after", "limit", "height")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    recipient: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, owner: _Optional[bytes] = ..., recipient: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListStandingOrdersResponse(_message.Message):
    __slots__ = ("height", "orders", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    ORDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    orders: _containers.RepeatedCompositeFieldContainer[OpenOrder]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., orders: _Optional[_Iterable[_Union[OpenOrder, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class OpenOrder(_message.Message):
    __slots__ = ("owner", "reference", "order", "void")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    owner: bytes
    reference: str
    order: _state_pb2.StandingOrder
    void: bool
    def __init__(self, owner: _Optional[bytes] = ..., reference: _Optional[str] = ..., order: _Optional[_Union[_state_pb2.StandingOrder, _Mapping]] = ..., void: _Optional[bool] = ...) -> None: ...

class ListFeeGrantsRequest(_message.Message):
    __slots__ = ("granter", "grantee", "after", "limit", "height")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListFeeGrantsResponse(_message.Message):
    __slots__ = ("height", "grants", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    grants: _containers.RepeatedCompositeFieldContainer[NamedFeeGrant]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., grants: _Optional[_Iterable[_Union[NamedFeeGrant, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class NamedFeeGrant(_message.Message):
    __slots__ = ("granter", "grantee", "grant", "void")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    GRANT_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    grant: _state_pb2.FeeGrant
    void: bool
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ..., grant: _Optional[_Union[_state_pb2.FeeGrant, _Mapping]] = ..., void: _Optional[bool] = ...) -> None: ...

class ListAuthorisationsRequest(_message.Message):
    __slots__ = ("granter", "grantee", "after", "limit", "height")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListAuthorisationsResponse(_message.Message):
    __slots__ = ("height", "authorisations", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    AUTHORISATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    authorisations: _containers.RepeatedCompositeFieldContainer[NamedAuthorisation]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., authorisations: _Optional[_Iterable[_Union[NamedAuthorisation, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class NamedAuthorisation(_message.Message):
    __slots__ = ("granter", "grantee", "kind", "authorisation", "void")
    GRANTER_FIELD_NUMBER: _ClassVar[int]
    GRANTEE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AUTHORISATION_FIELD_NUMBER: _ClassVar[int]
    VOID_FIELD_NUMBER: _ClassVar[int]
    granter: bytes
    grantee: bytes
    kind: str
    authorisation: _state_pb2.Authorisation
    void: bool
    def __init__(self, granter: _Optional[bytes] = ..., grantee: _Optional[bytes] = ..., kind: _Optional[str] = ..., authorisation: _Optional[_Union[_state_pb2.Authorisation, _Mapping]] = ..., void: _Optional[bool] = ...) -> None: ...

class ListVestingsRequest(_message.Message):
    __slots__ = ("recipient", "funder", "after", "limit", "height")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    FUNDER_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    recipient: bytes
    funder: bytes
    after: bytes
    limit: int
    height: int
    def __init__(self, recipient: _Optional[bytes] = ..., funder: _Optional[bytes] = ..., after: _Optional[bytes] = ..., limit: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class ListVestingsResponse(_message.Message):
    __slots__ = ("height", "vestings", "next")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VESTINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    height: int
    vestings: _containers.RepeatedCompositeFieldContainer[NamedVesting]
    next: bytes
    def __init__(self, height: _Optional[int] = ..., vestings: _Optional[_Iterable[_Union[NamedVesting, _Mapping]]] = ..., next: _Optional[bytes] = ...) -> None: ...

class NamedVesting(_message.Message):
    __slots__ = ("recipient", "funder", "number", "vesting")
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    FUNDER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    VESTING_FIELD_NUMBER: _ClassVar[int]
    recipient: bytes
    funder: bytes
    number: int
    vesting: _state_pb2.Vesting
    def __init__(self, recipient: _Optional[bytes] = ..., funder: _Optional[bytes] = ..., number: _Optional[int] = ..., vesting: _Optional[_Union[_state_pb2.Vesting, _Mapping]] = ...) -> None: ...
