from oslorpc.v1 import target_pb2 as _target_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_KIND_UNSPECIFIED: _ClassVar[ErrorKind]
    ERROR_KIND_INVALID_TARGET: _ClassVar[ErrorKind]
    ERROR_KIND_UNSUPPORTED_VERSION: _ClassVar[ErrorKind]
    ERROR_KIND_NO_SUCH_METHOD: _ClassVar[ErrorKind]
    ERROR_KIND_MISDIRECTED: _ClassVar[ErrorKind]
    ERROR_KIND_FULL: _ClassVar[ErrorKind]
    ERROR_KIND_STOPPING: _ClassVar[ErrorKind]
    ERROR_KIND_BAD_ARGUMENTS: _ClassVar[ErrorKind]
    ERROR_KIND_BAD_RESULT: _ClassVar[ErrorKind]
    ERROR_KIND_TOO_LARGE: _ClassVar[ErrorKind]
    ERROR_KIND_ACCESS_DENIED: _ClassVar[ErrorKind]
    ERROR_KIND_REMOTE: _ClassVar[ErrorKind]
    ERROR_KIND_TIMEOUT: _ClassVar[ErrorKind]
    ERROR_KIND_OUTCOME_UNKNOWN: _ClassVar[ErrorKind]
    ERROR_KIND_CANCELED: _ClassVar[ErrorKind]
    ERROR_KIND_REFUSED: _ClassVar[ErrorKind]
ERROR_KIND_UNSPECIFIED: ErrorKind
ERROR_KIND_INVALID_TARGET: ErrorKind
ERROR_KIND_UNSUPPORTED_VERSION: ErrorKind
ERROR_KIND_NO_SUCH_METHOD: ErrorKind
ERROR_KIND_MISDIRECTED: ErrorKind
ERROR_KIND_FULL: ErrorKind
ERROR_KIND_STOPPING: ErrorKind
ERROR_KIND_BAD_ARGUMENTS: ErrorKind
ERROR_KIND_BAD_RESULT: ErrorKind
ERROR_KIND_TOO_LARGE: ErrorKind
ERROR_KIND_ACCESS_DENIED: ErrorKind
ERROR_KIND_REMOTE: ErrorKind
ERROR_KIND_TIMEOUT: ErrorKind
ERROR_KIND_OUTCOME_UNKNOWN: ErrorKind
ERROR_KIND_CANCELED: ErrorKind
ERROR_KIND_REFUSED: ErrorKind

class ErrorDetail(_message.Message):
    __slots__ = ("kind", "not_started", "message", "method", "path", "implemented", "remote", "server", "instance_id")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NOT_STARTED_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    IMPLEMENTED_FIELD_NUMBER: _ClassVar[int]
    REMOTE_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    kind: ErrorKind
    not_started: bool
    message: str
    method: str
    path: str
    implemented: _containers.RepeatedCompositeFieldContainer[_target_pb2.Implementation]
    remote: RemoteError
    server: str
    instance_id: str
    def __init__(self, kind: _Optional[_Union[ErrorKind, str]] = ..., not_started: bool = ..., message: _Optional[str] = ..., method: _Optional[str] = ..., path: _Optional[str] = ..., implemented: _Optional[_Iterable[_Union[_target_pb2.Implementation, _Mapping]]] = ..., remote: _Optional[_Union[RemoteError, _Mapping]] = ..., server: _Optional[str] = ..., instance_id: _Optional[str] = ...) -> None: ...

class RemoteError(_message.Message):
    __slots__ = ("type", "message", "stack", "hops", "data")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STACK_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    stack: _containers.RepeatedScalarFieldContainer[str]
    hops: _containers.RepeatedScalarFieldContainer[str]
    data: str
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., stack: _Optional[_Iterable[str]] = ..., hops: _Optional[_Iterable[str]] = ..., data: _Optional[str] = ...) -> None: ...
