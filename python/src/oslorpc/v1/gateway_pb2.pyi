from oslorpc.v1 import introspection_pb2 as _introspection_pb2
from oslorpc.v1 import rpc_pb2 as _rpc_pb2
from oslorpc.v1 import target_pb2 as _target_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Instance(_message.Message):
    __slots__ = ("id", "boot_id", "exchange", "topic", "server", "state", "implemented", "sessions", "zone")
    ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IMPLEMENTED_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    id: str
    boot_id: str
    exchange: str
    topic: str
    server: str
    state: _introspection_pb2.State
    implemented: _containers.RepeatedCompositeFieldContainer[_target_pb2.Implementation]
    sessions: bool
    zone: str
    def __init__(self, id: _Optional[str] = ..., boot_id: _Optional[str] = ..., exchange: _Optional[str] = ..., topic: _Optional[str] = ..., server: _Optional[str] = ..., state: _Optional[_Union[_introspection_pb2.State, str]] = ..., implemented: _Optional[_Iterable[_Union[_target_pb2.Implementation, _Mapping]]] = ..., sessions: bool = ..., zone: _Optional[str] = ...) -> None: ...

class FanoutRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _rpc_pb2.Message
    def __init__(self, message: _Optional[_Union[_rpc_pb2.Message, _Mapping]] = ...) -> None: ...

class FanoutResponse(_message.Message):
    __slots__ = ("server", "instance_id", "accepted", "status")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    server: str
    instance_id: str
    accepted: _rpc_pb2.CastResponse
    status: bytes
    def __init__(self, server: _Optional[str] = ..., instance_id: _Optional[str] = ..., accepted: _Optional[_Union[_rpc_pb2.CastResponse, _Mapping]] = ..., status: _Optional[bytes] = ...) -> None: ...

class GatherRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: _rpc_pb2.Message
    def __init__(self, message: _Optional[_Union[_rpc_pb2.Message, _Mapping]] = ...) -> None: ...

class GatherResponse(_message.Message):
    __slots__ = ("server", "instance_id", "response", "status")
    SERVER_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    server: str
    instance_id: str
    response: _rpc_pb2.CallResponse
    status: bytes
    def __init__(self, server: _Optional[str] = ..., instance_id: _Optional[str] = ..., response: _Optional[_Union[_rpc_pb2.CallResponse, _Mapping]] = ..., status: _Optional[bytes] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("instances", "boot_id")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    boot_id: str
    def __init__(self, instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ..., boot_id: _Optional[str] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("exchange", "topic")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    topic: str
    def __init__(self, exchange: _Optional[str] = ..., topic: _Optional[str] = ...) -> None: ...

class WatchResponse(_message.Message):
    __slots__ = ("instances", "reset", "error", "boot_id")
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    reset: bool
    error: str
    boot_id: str
    def __init__(self, instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ..., reset: bool = ..., error: _Optional[str] = ..., boot_id: _Optional[str] = ...) -> None: ...

class AttachRequest(_message.Message):
    __slots__ = ("publish", "data")
    PUBLISH_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    publish: AttachPublish
    data: bytes
    def __init__(self, publish: _Optional[_Union[AttachPublish, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class AttachPublish(_message.Message):
    __slots__ = ("instances",)
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    def __init__(self, instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("published", "data", "closing")
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    published: AttachPublished
    data: bytes
    closing: AttachClosing
    def __init__(self, published: _Optional[_Union[AttachPublished, _Mapping]] = ..., data: _Optional[bytes] = ..., closing: _Optional[_Union[AttachClosing, _Mapping]] = ...) -> None: ...

class AttachPublished(_message.Message):
    __slots__ = ("status", "boot_id")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    status: bytes
    boot_id: str
    def __init__(self, status: _Optional[bytes] = ..., boot_id: _Optional[str] = ...) -> None: ...

class AttachClosing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
