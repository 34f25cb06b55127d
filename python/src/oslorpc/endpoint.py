"""Endpoints: objects with methods for messages, in a namespace and at a version."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslorpc import payload
from oslorpc.errors import Error, Kind, invalid
from oslorpc.similar import did_you_mean
from oslorpc.target import Target
from oslorpc.versions import DEFAULT_VERSION, Implementation, Version, describe_namespace, offer

PING = "oslo_rpc_server_ping"
_WORDS: dict[Any, str] = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    dict: "object",
    list: "array",
    type(None): "null",
}


@dataclasses.dataclass(slots=True)
class Argument:
    """A keyword argument of a method."""

    name: str
    type: str
    optional: bool
    accepts: Callable[[Any], bool] | None


@dataclasses.dataclass(slots=True)
class Method:
    """A method for messages.

    Its first parameter is the request context, and the others are keyword arguments.
    """

    name: str
    run: Callable[..., Any]
    arguments: list[Argument]
    extra: bool
    result: str
    streaming: bool
    is_async: bool
    expected: tuple[type[BaseException], ...] = ()
    read: Callable[[Any], tuple[dict[str, Any], dict[str, Any]]] | None = None  # decodes messages, if not JSON
    typed: Any = None  # what is known of a method of a typed service
    started: int = 0
    failed: int = 0
    known: dict[str, Argument] = dataclasses.field(init=False)
    required: tuple[str, ...] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.known = {a.name: a for a in self.arguments}
        self.required = tuple(a.name for a in self.arguments if not a.optional)

    def check(self, kwargs: Mapping[str, Any]) -> None:
        """Raise an Error of kind BadArguments unless the arguments fit the method."""
        known = self.known
        for name, value in kwargs.items():
            argument = known.get(name)
            if argument is None:
                if not self.extra:
                    takes = did_you_mean(name, known, f"the method takes {self.signature()}")
                    why = f'there is no argument "{name:.64}"{takes}'
                    raise payload.failure(Kind.BAD_ARGUMENTS, "/" + payload.escape(name), why)
            elif argument.accepts is not None and not argument.accepts(value):
                why = f"wanted {argument.type}, got {word_of(value)}"
                raise payload.failure(Kind.BAD_ARGUMENTS, "/" + payload.escape(name), why)
        for name in self.required:
            if name not in kwargs:
                raise self._incomplete(kwargs)

    def _incomplete(self, kwargs: Mapping[str, Any]) -> Error:
        missing = [f'"{name}"' for name in self.required if name not in kwargs]
        word = "argument" if len(missing) == 1 else "arguments"
        why = f"missing {word} {', '.join(missing)}; the method takes {self.signature()}"
        return payload.failure(Kind.BAD_ARGUMENTS, "", why)

    def signature(self) -> str:
        """Return the arguments as text, for errors and descriptions."""
        words = [f"{a.name} ({a.type}{', optional' if a.optional else ''})" for a in self.arguments]
        if self.extra:
            words.append("any others")
        return ", ".join(words) or "no arguments"


@dataclasses.dataclass(slots=True)
class Endpoint:
    """An interface that a server offers."""

    namespaces: tuple[str, ...]
    version: Version
    methods: dict[str, Method]
    service: str = ""  # the full name, if it is a typed service

    def serves(self, namespace: str, version: Version) -> bool:
        """Whether it has the namespace, at a version that can serve the requested one."""
        return namespace in self.namespaces and self.version.serves(version)


def word_of(value: Any) -> str:
    """Return the JSON type of a value in words."""
    return _WORDS.get(type(value), "any")


def expose(name: str | None = None, *, expected: Sequence[type[BaseException]] = ()) -> Callable[..., Any]:
    """Decorate a method: set its name in messages, or declare which exceptions it is expected to
    raise.
    """

    def mark(function: Any) -> Any:
        function.__oslorpc__ = (name, tuple(expected))
        return function

    return mark


def read_endpoint(endpoint: object) -> Endpoint:
    """Return the endpoint of an object: its public methods, in the namespace and at the version of
    its attribute ``target``.

    The target may have ``legacy_namespaces`` in an attribute of that name.
    """
    target = getattr(endpoint, "target", None) or Target()
    namespace = getattr(target, "namespace", None)
    version_text = getattr(target, "version", None)
    legacy = getattr(endpoint, "legacy_namespaces", None) or getattr(target, "accepted_namespaces", None) or ()
    try:
        version = Version.parse(version_text) if version_text else DEFAULT_VERSION
    except ValueError as e:
        raise invalid(f"endpoint {type(endpoint).__qualname__}: {e}") from None
    namespaces = tuple(dict.fromkeys([namespace or "", *(name or "" for name in legacy)]))
    methods = {}
    for attribute in dir(endpoint):
        if attribute.startswith("_") or attribute in ("target", "legacy_namespaces"):
            continue
        function = inspect.getattr_static(endpoint, attribute, None)
        if (
            isinstance(function, property)
            or not callable(bound := getattr(endpoint, attribute))
            or inspect.isclass(bound)
        ):
            continue
        method = _read_method(attribute, bound)
        methods[method.name] = method
    return Endpoint(namespaces, version, methods)


def _read_method(attribute: str, bound: Callable[..., Any]) -> Method:
    name, expected = getattr(bound, "__oslorpc__", (None, ()))
    try:
        signature = inspect.signature(bound)
        hints = typing.get_type_hints(bound)
    except (ValueError, TypeError, NameError):
        signature, hints = inspect.Signature(), {}
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.KEYWORD_ONLY):
        parameters = parameters[1:]
    elif not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise invalid(f"method {attribute}: its first parameter must take the request context, as in (self, ctxt, …)")
    arguments = []
    for p in parameters:
        if p.kind is p.VAR_POSITIONAL or p.kind is p.VAR_KEYWORD:
            continue
        if p.kind is p.POSITIONAL_ONLY:
            raise invalid(f"method {attribute}: {p.name} cannot be given by name")
        word, accepts = _describe(hints.get(p.name))
        arguments.append(Argument(p.name, word, p.default is not p.empty, accepts))
    streaming = inspect.isgeneratorfunction(bound) or inspect.isasyncgenfunction(bound)
    is_async = inspect.iscoroutinefunction(bound) or inspect.isasyncgenfunction(bound)
    result, _ = _describe(_item(hints.get("return")) if streaming else hints.get("return"))
    extra = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return Method(name or attribute, bound, arguments, extra, result, streaming, is_async, expected)


def _item(hint: Any) -> Any:
    arguments = typing.get_args(hint)
    return arguments[0] if arguments else None


def _describe(hint: Any) -> tuple[str, Callable[[Any], bool] | None]:
    """Return a type in words, and a function that checks whether a JSON value has the type, or None
    if every value has.
    """
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [_describe(part) for part in typing.get_args(hint)]
        words = [word for word, _ in parts if word != "null"]
        tests = [test for _, test in parts if test is not None]
        word = words[0] if len(words) == 1 else "any"
        return word, (lambda v: any(test(v) for test in tests)) if len(tests) == len(parts) else None
    base = origin or hint
    if base is list and (inner := typing.get_args(hint)):
        return "array of " + _describe(inner[0])[0], lambda v: isinstance(v, list)
    if base is int:
        return "integer", lambda v: isinstance(v, int) and not isinstance(v, bool)
    if base is float:
        return "number", lambda v: isinstance(v, (int, float)) and not isinstance(v, bool)
    if base in (str, bool, list, dict, type(None)):
        return _WORDS[base], lambda v: isinstance(v, base)
    return "any", None


class Table:
    """Selects the method for a message. It is immutable after the start of its server.

    If it is discreet, errors do not reveal which methods and namespaces exist.
    """

    def __init__(self, endpoints: Sequence[Endpoint], ping: bool, discreet: bool = False) -> None:
        self.endpoints = list(endpoints)
        self.discreet = discreet
        self._ping: Method | None = None
        if ping:
            self._ping = Method(PING, lambda ctxt, **kwargs: "pong", [], True, "string", False, False)
        self.implemented: tuple[Implementation, ...] = ()
        for e in endpoints:
            self._implement(e)

    def _implement(self, e: Endpoint) -> None:
        for namespace in e.namespaces:
            if (one := Implementation(namespace, e.version)) not in self.implemented:
                self.implemented += (one,)

    def add(self, e: Endpoint) -> None:
        """Offer a typed service."""
        if self.offer(e.service) is not None:
            raise invalid(f"the service {e.service} appears twice: a server offers it once")
        self.endpoints.append(e)
        self._implement(e)

    def offer(self, service: str) -> Endpoint | None:
        """Return a typed service by its full name, or None if it is not offered."""
        return next((e for e in self.endpoints if service and e.service == service), None)

    def select_typed(self, service: str, version: Version, name: str) -> Method:
        """Return the typed method that a message asks for."""
        e = self.offer(service)
        if e is not None and not e.version.serves(version):
            raise self._unsupported(e.namespaces[0], version)
        if e is None or name not in e.methods:
            message = f"the service {service} is not offered here, or has no method {name} that takes one message"
            raise Error(Kind.NO_SUCH_METHOD, message, safe_to_retry=True)
        return e.methods[name]

    def _unsupported(self, namespace: str, version: Version) -> Error:
        there = offer(self.offers(namespace))
        message = f"version {version} of the {describe_namespace(namespace)} is not served; {there}"
        return Error(Kind.UNSUPPORTED_VERSION, message, safe_to_retry=True)

    def offers(self, namespace: str) -> list[Implementation]:
        """Return the interfaces that errors name to a sender who asked for a namespace."""
        return [i for i in self.implemented if not self.discreet or i.namespace == namespace]

    def select(self, namespace: str, version: Version, name: str) -> Method:
        """Return the method from the first endpoint that has it and can serve the message."""
        compatible = [e for e in self.endpoints if e.serves(namespace, version)]
        untyped = [e for e in compatible if not e.service]
        for e in untyped:
            if name in e.methods:
                return e.methods[name]
        if self._ping is not None and name == PING and not namespace:
            return self._ping
        if not compatible:
            raise self._unsupported(namespace, version)
        if self.discreet:
            raise Error(Kind.NO_SUCH_METHOD, f'no endpoint has a method "{name}"', safe_to_retry=True)
        known = sorted({m for e in untyped for m in e.methods})
        few = ", ".join(known[:20] + ["…"] * (len(known) > 20)) or "none at all"
        there = did_you_mean(name, known, f"there is {few}")
        raise Error(Kind.NO_SUCH_METHOD, f'no endpoint has a method "{name}"{there}', safe_to_retry=True)
