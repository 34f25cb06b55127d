"""The options of typed services: their topic and namespace, the versions of their methods, and how
messages are delivered.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from google.protobuf import descriptor_pool

from oslorpc.errors import invalid
from oslorpc.typed.need import Needs
from oslorpc.v1 import options_pb2 as options
from oslorpc.versions import DEFAULT_VERSION, Version

CALL, CAST, FANOUT = "call", "cast", "fanout"
_EMPTY = "google.protobuf.Empty"


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """A typed service as its options describe it.

    Without options, it has version 1.0, and its full name as its namespace.
    """

    topic: str
    namespace: str
    version: Version


@dataclasses.dataclass(frozen=True, slots=True)
class Method:
    """A method of a typed service. ``since`` is the version in which it appeared."""

    path: str
    name: str
    service: Service
    since: Version
    delivery: str
    input: str
    output: str
    deprecated_since: str
    needs: Needs


def find(path: str) -> Method:
    """Return the method with a gRPC path. Raises an Error if its options are wrong."""
    full_name, _, name = path.removeprefix("/").partition("/")
    try:
        declared = descriptor_pool.Default().FindServiceByName(full_name)
        method = declared.methods_by_name[name]
    except KeyError:
        raise invalid(f"{path}: the program has no such method: import the generated module of the service") from None
    service = _service(declared)
    since, delivery = _method(method, service)
    messages = method.input_type.full_name, method.output_type.full_name
    marked: Any = method.GetOptions()
    deprecated = marked.Extensions[options.method].deprecated_since
    return Method(path, name, service, since, delivery, *messages, deprecated, Needs(since))


def _service(of: Any) -> Service:
    given = of.GetOptions()
    if not given.HasExtension(options.service):
        return Service("", of.full_name, DEFAULT_VERSION)
    rules = given.Extensions[options.service]
    if not rules.version:
        why = "version is missing: the options of a service say which version its file describes"
        raise invalid(f"service {of.full_name}: {why}")
    return Service(rules.topic, rules.namespace, _version(of, "version", rules.version))


def _method(of: Any, service: Service) -> tuple[Version, str]:
    rules = of.GetOptions().Extensions[options.method]
    since = Version(service.version.major, 0)
    if rules.since:
        since = max(since, _version(of, "since", rules.since))
        if since > service.version:
            why = f'since "{rules.since}" is later than the version of the service, {service.version}'
            raise invalid(f"method {of.full_name}: {why}")
    delivery = {options.DELIVERY_CAST: CAST, options.DELIVERY_FANOUT: FANOUT}.get(rules.delivery, CALL)
    streams = of.client_streaming or of.server_streaming
    if delivery != CALL and (streams or of.output_type.full_name != _EMPTY):
        why = f"a cast or a fanout has no result: it must return {_EMPTY}, and may not stream"
        raise invalid(f"method {of.full_name}: {why}")
    return since, delivery


def _version(of: Any, option: str, text: str) -> Version:
    try:
        return Version.parse(text)
    except ValueError as e:
        raise invalid(f"{of.full_name}: {option}: {e}") from None
