from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Delivery(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_UNSPECIFIED: _ClassVar[Delivery]
    DELIVERY_CALL: _ClassVar[Delivery]
    DELIVERY_CAST: _ClassVar[Delivery]
    DELIVERY_FANOUT: _ClassVar[Delivery]

class OlderPeers(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OLDER_PEERS_UNSPECIFIED: _ClassVar[OlderPeers]
    OLDER_PEERS_FAIL: _ClassVar[OlderPeers]
    OLDER_PEERS_DROP: _ClassVar[OlderPeers]
DELIVERY_UNSPECIFIED: Delivery
DELIVERY_CALL: Delivery
DELIVERY_CAST: Delivery
DELIVERY_FANOUT: Delivery
OLDER_PEERS_UNSPECIFIED: OlderPeers
OLDER_PEERS_FAIL: OlderPeers
OLDER_PEERS_DROP: OlderPeers
SERVICE_FIELD_NUMBER: _ClassVar[int]
service: _descriptor.FieldDescriptor
METHOD_FIELD_NUMBER: _ClassVar[int]
method: _descriptor.FieldDescriptor
FIELD_FIELD_NUMBER: _ClassVar[int]
field: _descriptor.FieldDescriptor
ENUM_VALUE_FIELD_NUMBER: _ClassVar[int]
enum_value: _descriptor.FieldDescriptor

class ServiceRules(_message.Message):
    __slots__ = ("topic", "namespace", "version")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    topic: str
    namespace: str
    version: str
    def __init__(self, topic: _Optional[str] = ..., namespace: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...

class MethodRules(_message.Message):
    __slots__ = ("since", "deprecated_since", "delivery")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_SINCE_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_FIELD_NUMBER: _ClassVar[int]
    since: str
    deprecated_since: str
    delivery: Delivery
    def __init__(self, since: _Optional[str] = ..., deprecated_since: _Optional[str] = ..., delivery: _Optional[_Union[Delivery, str]] = ...) -> None: ...

class ElementRules(_message.Message):
    __slots__ = ("since", "older_peers")
    SINCE_FIELD_NUMBER: _ClassVar[int]
    OLDER_PEERS_FIELD_NUMBER: _ClassVar[int]
    since: str
    older_peers: OlderPeers
    def __init__(self, since: _Optional[str] = ..., older_peers: _Optional[_Union[OlderPeers, str]] = ...) -> None: ...
