"""Typed services of a server, as generated code registers them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from oslorpc.endpoint import Endpoint, Method
from oslorpc.errors import invalid
from oslorpc.typed import service as rules
from oslorpc.typed.context import AbortedError, TypedContext
from oslorpc.versions import Version


class TypedMethod:
    """A method of a typed service: its options, and how its messages are decoded and encoded."""

    __slots__ = ("declared", "read", "streaming", "write")

    def __init__(self, declared: rules.Method, handler: Any) -> None:
        self.declared, self.streaming = declared, bool(handler.response_streaming)
        self.read: Callable[[bytes], Any] = handler.request_deserializer
        self.write: Callable[[Any], bytes] = handler.response_serializer


def endpoint(service: str, handlers: Mapping[str, Any], at: str | None) -> Endpoint:
    """Return a service as an endpoint. Methods with client streams are left out.

    ``at`` is an earlier version to offer than the options say, or None. Raises an Error if the
    options are wrong.
    """
    known = {name: rules.find(f"/{service}/{name}") for name in handlers}
    if not known:
        raise invalid(f"the service {service} has no methods")
    of = next(iter(known.values())).service
    version = _version(service, of.version, at)
    methods = {
        name: _method(declared, handlers[name])
        for name, declared in known.items()
        if not handlers[name].request_streaming and version.serves(declared.since)
    }
    return Endpoint((of.namespace,), version, methods, service)


def _version(service: str, declared: Version, at: str | None) -> Version:
    """Return the version at which a service is offered."""
    if at is None:
        return declared
    try:
        version = Version.parse(at)
    except ValueError as e:
        raise invalid(f"the service {service} cannot be offered at {at!r}: {e}") from None
    if not declared.serves(version):
        raise invalid(f"the service {service} cannot be offered at {version}: its options say {declared}")
    return version


def _method(declared: rules.Method, handler: Any) -> Method:
    behavior = handler.unary_stream if handler.response_streaming else handler.unary_unary
    is_async = inspect.iscoroutinefunction(behavior) or inspect.isasyncgenfunction(behavior)
    if handler.response_streaming and inspect.iscoroutinefunction(behavior):
        raise invalid(f"method {declared.path}: it must yield its items: context.write() is not available")

    def run(ctxt: Any, request: Any) -> Any:
        return behavior(request, TypedContext(ctxt))

    method = Method(declared.name, run, [], True, "", handler.response_streaming, is_async, (AbortedError,))
    method.typed = TypedMethod(declared, handler)
    return method
