import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from oslorpc.v1 import payload_pb2 as _payload_pb2
from oslorpc.v1 import target_pb2 as _target_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SessionMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_MODE_UNSPECIFIED: _ClassVar[SessionMode]
    SESSION_MODE_CAST: _ClassVar[SessionMode]
    SESSION_MODE_MONITORED_CALL: _ClassVar[SessionMode]
SESSION_MODE_UNSPECIFIED: SessionMode
SESSION_MODE_CAST: SessionMode
SESSION_MODE_MONITORED_CALL: SessionMode

class Message(_message.Message):
    __slots__ = ("target", "method", "context", "kwargs", "id", "instance_id", "missed", "order_key", "metadata", "remaining", "caller")
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
    CALLER_FIELD_NUMBER: _ClassVar[int]
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
    caller: Caller
    def __init__(self, target: _Optional[_Union[_target_pb2.Target, _Mapping]] = ..., method: _Optional[str] = ..., context: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., kwargs: _Optional[_Union[_payload_pb2.Payload, _Mapping]] = ..., id: _Optional[str] = ..., instance_id: _Optional[str] = ..., missed: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., order_key: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., caller: _Optional[_Union[Caller, _Mapping]] = ...) -> None: ...

class Caller(_message.Message):
    __slots__ = ("names", "address", "agent", "gateways")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    AGENT_FIELD_NUMBER: _ClassVar[int]
    GATEWAYS_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    address: str
    agent: str
    gateways: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., address: _Optional[str] = ..., agent: _Optional[str] = ..., gateways: _Optional[_Iterable[str]] = ...) -> None: ...

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

class SessionRequest(_message.Message):
    __slots__ = ("open", "message", "cancel", "taken", "heartbeat", "more")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    open: SessionOpen
    message: SessionMessage
    cancel: SessionCancel
    taken: SessionTaken
    heartbeat: Heartbeat
    more: _containers.RepeatedCompositeFieldContainer[SessionRequest]
    def __init__(self, open: _Optional[_Union[SessionOpen, _Mapping]] = ..., message: _Optional[_Union[SessionMessage, _Mapping]] = ..., cancel: _Optional[_Union[SessionCancel, _Mapping]] = ..., taken: _Optional[_Union[SessionTaken, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., more: _Optional[_Iterable[_Union[SessionRequest, _Mapping]]] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("opened", "result", "part", "received", "credit", "heartbeat", "closing", "more")
    OPENED_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    opened: SessionOpened
    result: SessionResult
    part: SessionPart
    received: SessionReceived
    credit: SessionCredit
    heartbeat: Heartbeat
    closing: SessionClosing
    more: _containers.RepeatedCompositeFieldContainer[SessionResponse]
    def __init__(self, opened: _Optional[_Union[SessionOpened, _Mapping]] = ..., result: _Optional[_Union[SessionResult, _Mapping]] = ..., part: _Optional[_Union[SessionPart, _Mapping]] = ..., received: _Optional[_Union[SessionReceived, _Mapping]] = ..., credit: _Optional[_Union[SessionCredit, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., closing: _Optional[_Union[SessionClosing, _Mapping]] = ..., more: _Optional[_Iterable[_Union[SessionResponse, _Mapping]]] = ...) -> None: ...

class SessionOpen(_message.Message):
    __slots__ = ("id", "boot_id", "resume", "outstanding")
    ID_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    OUTSTANDING_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    boot_id: str
    resume: bool
    outstanding: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, id: _Optional[bytes] = ..., boot_id: _Optional[str] = ..., resume: bool = ..., outstanding: _Optional[_Iterable[int]] = ...) -> None: ...

class SessionOpened(_message.Message):
    __slots__ = ("boot_id", "resumed", "credit", "received", "forgotten")
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    boot_id: str
    resumed: bool
    credit: SessionCredit
    received: int
    forgotten: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, boot_id: _Optional[str] = ..., resumed: bool = ..., credit: _Optional[_Union[SessionCredit, _Mapping]] = ..., received: _Optional[int] = ..., forgotten: _Optional[_Iterable[int]] = ...) -> None: ...

class SessionCredit(_message.Message):
    __slots__ = ("messages", "bytes")
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    messages: int
    bytes: int
    def __init__(self, messages: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class SessionMessage(_message.Message):
    __slots__ = ("seq", "taken", "timeout_nanos", "mode", "message", "path", "request", "heartbeat_nanos", "headers")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_NANOS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_NANOS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    taken: int
    timeout_nanos: int
    mode: SessionMode
    message: Message
    path: str
    request: bytes
    heartbeat_nanos: int
    headers: _containers.RepeatedCompositeFieldContainer[SessionHeader]
    def __init__(self, seq: _Optional[int] = ..., taken: _Optional[int] = ..., timeout_nanos: _Optional[int] = ..., mode: _Optional[_Union[SessionMode, str]] = ..., message: _Optional[_Union[Message, _Mapping]] = ..., path: _Optional[str] = ..., request: _Optional[bytes] = ..., heartbeat_nanos: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[SessionHeader, _Mapping]]] = ...) -> None: ...

class SessionHeader(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: bytes
    def __init__(self, name: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...

class SessionCancel(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class SessionTaken(_message.Message):
    __slots__ = ("count",)
    COUNT_FIELD_NUMBER: _ClassVar[int]
    count: int
    def __init__(self, count: _Optional[int] = ...) -> None: ...

class SessionResult(_message.Message):
    __slots__ = ("seq", "response", "accepted", "reply", "status")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REPLY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    response: CallResponse
    accepted: CastResponse
    reply: bytes
    status: bytes
    def __init__(self, seq: _Optional[int] = ..., response: _Optional[_Union[CallResponse, _Mapping]] = ..., accepted: _Optional[_Union[CastResponse, _Mapping]] = ..., reply: _Optional[bytes] = ..., status: _Optional[bytes] = ...) -> None: ...

class SessionPart(_message.Message):
    __slots__ = ("seq", "size", "content")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    seq: int
    size: int
    content: bytes
    def __init__(self, seq: _Optional[int] = ..., size: _Optional[int] = ..., content: _Optional[bytes] = ...) -> None: ...

class SessionReceived(_message.Message):
    __slots__ = ("seq",)
    SEQ_FIELD_NUMBER: _ClassVar[int]
    seq: int
    def __init__(self, seq: _Optional[int] = ...) -> None: ...

class SessionClosing(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
