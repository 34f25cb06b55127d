import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from oslorpc.v1 import payload_pb2 as _payload_pb2
from oslorpc.v1 import target_pb2 as _target_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Message(_message.Message):
    __slots__ = ("target", "method", "context", "kwargs", "id", "instance_id", "missed", "order_key", "metadata", "remaining")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TARGET_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    KWARGS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    ORDER_KEY_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    target: _target_pb2.Target
    method: str
    context: _payload_pb2.Payload
    kwargs: _payload_pb2.Payload
    id: str
    instance_id: str
    missed: _duration_pb2.Duration
    order_key: str
    metadata: _containers.ScalarMap[str, str]
    remaining: _duration_pb2.Duration
    def __init__(self, target: _Optional[_Union[_target_pb2.Target, _Mapping]] = ..., method: _Optional[str] = ..., context: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., kwargs: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., id: _Optional[str] = ..., instance_id: _Optional[str] = ..., missed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., order_key: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CallRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: Message
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class CallResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _payload_pb2.Payload
    def __init__(self, result: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class CastRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: Message
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class CastResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MulticallRequest(_message.Message):
    __slots__ = ("message",)
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    message: Message
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ...) -> None: ...

class MulticallResponse(_message.Message):
    __slots__ = ("item",)
    ITEM_FIELD_NUMBER: _ClassVar[int]
    item: _payload_pb2.Payload
    def __init__(self, item: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ...) -> None: ...

class MonitoredCallRequest(_message.Message):
    __slots__ = ("message", "heartbeat_interval")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    message: Message
    heartbeat_interval: _duration_pb2.Duration
    def __init__(self, message: _Optional[_Union[Message, _Mapping]] = ..., heartbeat_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class MonitoredCallResponse(_message.Message):
    __slots__ = ("heartbeat", "response")
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    heartbeat: Heartbeat
    response: CallResponse
    def __init__(self, heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., response: _Optional[_Union[CallResponse, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
