"""The messages of gRPC itself that the package needs: google.rpc.Status, and those that the health
service uses.

They are defined here in a separate pool, so that the package needs no other packages for them, and
does not conflict with these packages in a program.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_TEXT, _BYTES, _NUMBER = _FIELD.TYPE_STRING, _FIELD.TYPE_BYTES, _FIELD.TYPE_INT32
_PACKAGE = "oslorpc.wire"


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="oslorpc/wire.proto", package=_PACKAGE, syntax="proto3")

    def message(name: str, *fields: tuple[str, int, Any]) -> None:
        m = file.message_type.add(name=name)
        for field, number, kind in fields:
            added = m.field.add(name=field, number=number, label=_FIELD.LABEL_OPTIONAL)
            if isinstance(kind, str):
                added.type, added.type_name, added.label = _FIELD.TYPE_MESSAGE, kind, _FIELD.LABEL_REPEATED
            else:
                added.type = kind

    message("Any", ("type_url", 1, _TEXT), ("value", 2, _BYTES))
    message("Status", ("code", 1, _NUMBER), ("message", 2, _TEXT), ("details", 3, f".{_PACKAGE}.Any"))
    message("HealthCheckRequest", ("service", 1, _TEXT))
    message("HealthCheckResponse", ("status", 1, _NUMBER))
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())


def _class(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Status = _class("Status")
HealthCheckRequest = _class("HealthCheckRequest")
HealthCheckResponse = _class("HealthCheckResponse")
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
