from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Target(_message.Message):
    __slots__ = ("exchange", "topic", "namespace", "version", "server", "fanout")
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    FANOUT_FIELD_NUMBER: _ClassVar[int]
    exchange: str
    topic: str
    namespace: str
    version: str
    server: str
    fanout: bool
    def __init__(self, exchange: _Optional[str] = ..., topic: _Optional[str] = ..., namespace: _Optional[str] = ..., version: _Optional[str] = ..., server: _Optional[str] = ..., fanout: bool = ...) -> None: ...

class Implementation(_message.Message):
    __slots__ = ("namespace", "version")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    version: str
    def __init__(self, namespace: _Optional[str] = ..., version: _Optional[str] = ...) -> None: ...
