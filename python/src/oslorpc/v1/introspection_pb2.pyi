import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_ACTIVE: _ClassVar[State]
    STATE_HELD: _ClassVar[State]
    STATE_DRAINING: _ClassVar[State]
    STATE_STOPPING: _ClassVar[State]
STATE_UNSPECIFIED: State
STATE_ACTIVE: State
STATE_HELD: State
STATE_DRAINING: State
STATE_STOPPING: State

class PingRequest(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class PingResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetInfoRequest(_message.Message):
    __slots__ = ("topic", "requests", "instance_id")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    topic: str
    requests: bool
    instance_id: str
    def __init__(self, topic: _Optional[str] = ..., requests: bool = ..., instance_id: _Optional[str] = ...) -> None: ...

class GetInfoResponse(_message.Message):
    __slots__ = ("boot_id", "process_id", "build", "uptime", "servers", "policy", "limits", "sessions", "gateway", "zone")
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_ID_FIELD_NUMBER: _ClassVar[int]
    BUILD_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    ZONE_FIELD_NUMBER: _ClassVar[int]
    boot_id: str
    process_id: int
    build: str
    uptime: _duration_pb2.Duration
    servers: _containers.RepeatedCompositeFieldContainer[ServerInfo]
    policy: PolicyInfo
    limits: _containers.RepeatedCompositeFieldContainer[LimitInfo]
    sessions: SessionsInfo
    gateway: GatewayInfo
    zone: str
    def __init__(self, boot_id: _Optional[str] = ..., process_id: _Optional[int] = ..., build: _Optional[str] = ..., uptime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., servers: _Optional[_Iterable[_Union[ServerInfo, _Mapping]]] = ..., policy: _Optional[_Union[PolicyInfo, _Mapping]] = ..., limits: _Optional[_Iterable[_Union[LimitInfo, _Mapping]]] = ..., sessions: _Optional[_Union[SessionsInfo, _Mapping]] = ..., gateway: _Optional[_Union[GatewayInfo, _Mapping]] = ..., zone: _Optional[str] = ...) -> None: ...

class GatewayInfo(_message.Message):
    __slots__ = ("forwarding", "forwarded", "failed", "watches", "attached")
    FORWARDING_FIELD_NUMBER: _ClassVar[int]
    FORWARDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    WATCHES_FIELD_NUMBER: _ClassVar[int]
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    forwarding: int
    forwarded: int
    failed: int
    watches: int
    attached: int
    def __init__(self, forwarding: _Optional[int] = ..., forwarded: _Optional[int] = ..., failed: _Optional[int] = ..., watches: _Optional[int] = ..., attached: _Optional[int] = ...) -> None: ...

class SessionsInfo(_message.Message):
    __slots__ = ("open", "lost", "running", "kept", "credit")
    OPEN_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    open: int
    lost: int
    running: int
    kept: int
    credit: int
    def __init__(self, open: _Optional[int] = ..., lost: _Optional[int] = ..., running: _Optional[int] = ..., kept: _Optional[int] = ..., credit: _Optional[int] = ...) -> None: ...

class PolicyInfo(_message.Message):
    __slots__ = ("dry_run", "since", "rules", "denied", "would_deny", "problem")
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    DENIED_FIELD_NUMBER: _ClassVar[int]
    WOULD_DENY_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    since: _timestamp_pb2.Timestamp
    rules: _containers.RepeatedCompositeFieldContainer[RuleInfo]
    denied: int
    would_deny: int
    problem: str
    def __init__(self, dry_run: bool = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rules: _Optional[_Iterable[_Union[RuleInfo, _Mapping]]] = ..., denied: _Optional[int] = ..., would_deny: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class RuleInfo(_message.Message):
    __slots__ = ("name", "allowed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    name: str
    allowed: int
    def __init__(self, name: _Optional[str] = ..., allowed: _Optional[int] = ...) -> None: ...

class LimitInfo(_message.Message):
    __slots__ = ("reason", "refused")
    REASON_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    reason: str
    refused: int
    def __init__(self, reason: _Optional[str] = ..., refused: _Optional[int] = ...) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("instance_id", "exchange", "topic", "server", "state", "endpoints", "running", "queued", "refused", "requests", "uncounted")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    UNCOUNTED_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    exchange: str
    topic: str
    server: str
    state: State
    endpoints: _containers.RepeatedCompositeFieldContainer[EndpointInfo]
    running: int
    queued: int
    refused: int
    requests: _containers.RepeatedCompositeFieldContainer[RequestCount]
    uncounted: int
    def __init__(self, instance_id: _Optional[str] = ..., exchange: _Optional[str] = ..., topic: _Optional[str] = ..., server: _Optional[str] = ..., state: _Optional[_Union[State, str]] = ..., endpoints: _Optional[_Iterable[_Union[EndpointInfo, _Mapping]]] = ..., running: _Optional[int] = ..., queued: _Optional[int] = ..., refused: _Optional[int] = ..., requests: _Optional[_Iterable[_Union[RequestCount, _Mapping]]] = ..., uncounted: _Optional[int] = ...) -> None: ...

class RequestCount(_message.Message):
    __slots__ = ("namespace", "method", "version", "caller", "accepted", "refused", "first_seen", "last_seen", "identity")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    method: str
    version: str
    caller: str
    accepted: int
    refused: int
    first_seen: _timestamp_pb2.Timestamp
    last_seen: _timestamp_pb2.Timestamp
    identity: str
    def __init__(self, namespace: _Optional[str] = ..., method: _Optional[str] = ..., version: _Optional[str] = ..., caller: _Optional[str] = ..., accepted: _Optional[int] = ..., refused: _Optional[int] = ..., first_seen: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., identity: _Optional[str] = ...) -> None: ...

class EndpointInfo(_message.Message):
    __slots__ = ("namespaces", "version", "methods", "fallback", "since", "deprecated_since", "service")
    NAMESPACES_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    METHODS_FIELD_NUMBER: _ClassVar[int]
    FALLBACK_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_SINCE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    namespaces: _containers.RepeatedScalarFieldContainer[str]
    version: str
    methods: _containers.RepeatedCompositeFieldContainer[MethodInfo]
    fallback: MethodInfo
    since: str
    deprecated_since: str
    service: str
    def __init__(self, namespaces: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., methods: _Optional[_Iterable[_Union[MethodInfo, _Mapping]]] = ..., fallback: _Optional[_Union[MethodInfo, _Mapping]] = ..., since: _Optional[str] = ..., deprecated_since: _Optional[str] = ..., service: _Optional[str] = ...) -> None: ...

class MethodInfo(_message.Message):
    __slots__ = ("name", "streaming", "arguments", "extra_arguments", "result", "started", "failed", "since", "deprecated_since")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STREAMING_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    EXTRA_ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_SINCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    streaming: bool
    arguments: _containers.RepeatedCompositeFieldContainer[ArgumentInfo]
    extra_arguments: bool
    result: str
    started: int
    failed: int
    since: str
    deprecated_since: str
    def __init__(self, name: _Optional[str] = ..., streaming: bool = ..., arguments: _Optional[_Iterable[_Union[ArgumentInfo, _Mapping]]] = ..., extra_arguments: bool = ..., result: _Optional[str] = ..., started: _Optional[int] = ..., failed: _Optional[int] = ..., since: _Optional[str] = ..., deprecated_since: _Optional[str] = ...) -> None: ...

class ArgumentInfo(_message.Message):
    __slots__ = ("name", "type", "optional")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    OPTIONAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    optional: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., optional: bool = ...) -> None: ...
