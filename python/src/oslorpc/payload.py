"""JSON as the protocol requires: exact integers, floats that stay floats, and errors that name the
place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from google.protobuf.struct_pb2 import Value

from oslorpc.errors import Error, Kind
from oslorpc.jsontext import locate
from oslorpc.v1 import payload_pb2 as pb

MAX_SAFE = 2**53 - 1
_MAX_DEPTH = 30  # each level needs three nested messages, and the protobuf library allows 100
_LEAVES = frozenset((str, int, float, bool, type(None)))
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Raw(str):
    """JSON text that is passed on unchanged."""


def dumps(value: Any, kind: Kind) -> str:
    """Return a value as JSON text.

    An Error of the given kind names the place of a value that cannot be sent.
    """
    return encode(value, kind).decode()


def encode(value: Any, kind: Kind) -> bytes:
    """Return a value as JSON text in UTF-8.

    An Error of the given kind names the place of a value that cannot be sent.
    """
    if type(value) is Raw:
        return value.encode()
    try:
        text = _encode(value).encode()
        if _plain_keys(value):
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    try:
        path, why = _unsendable(value, "", 0)
    except RecursionError:
        path, why = "", "it nests too deep, or contains itself"
    raise failure(kind, path, why or "it cannot be written as JSON")


def _plain_keys(value: Any) -> bool:
    """Whether all names are text. json.dumps would silently convert other names."""
    if type(value) in _LEAVES:
        return True
    pending = [value]
    while pending:
        v = pending.pop()
        if isinstance(v, dict):
            for key, inner in v.items():
                if type(key) is not str and not isinstance(key, str):
                    return False
                if type(inner) not in _LEAVES and isinstance(inner, (dict, list, tuple)):
                    pending.append(inner)
        elif isinstance(v, (list, tuple)):
            pending.extend(inner for inner in v if isinstance(inner, (dict, list, tuple)))
    return True


def _unsendable(value: Any, path: str, depth: int) -> tuple[str, str]:
    """Return the place of a value that cannot be sent, and why.

    The reason is empty if everything can be sent.
    """
    if depth > 900:
        return path[:200], "it nests too deep, or contains itself"
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                return path, f"the key {key!r:.64} is of type {type(key).__name__}: names are text"
            if why := _unsendable_leaf(key):
                return path, "a key " + why
            found = _unsendable(inner, f"{path}/{escape(key)}", depth + 1)
            if found[1]:
                return found
        return path, ""
    if isinstance(value, (list, tuple)):
        for n, inner in enumerate(value):
            found = _unsendable(inner, f"{path}/{n}", depth + 1)
            if found[1]:
                return found
        return path, ""
    return path, _unsendable_leaf(value)


def _unsendable_leaf(value: Any) -> str:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "has a lone surrogate, which UTF-8 cannot hold"
        return ""
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"{value} is not a JSON number"
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, int):
        try:
            str(value)
        except ValueError:
            return "an integer may have at most 4300 digits"
        return ""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{type(value).__name__} cannot be sent: decode them, or write them in base64"
    return f"a value of type {type(value).__module__}.{type(value).__qualname__} cannot be sent: convert it"


def escape(token: str) -> str:
    """Escape a name for a JSON pointer."""
    return token.replace("~", "~0").replace("/", "~1")


def loads(text: str, kind: Kind) -> Any:
    """Parse JSON text. An Error of the given kind names the place of a mistake."""
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        path, why = locate(text)
        raise failure(kind, path, why or "it cannot be read as JSON") from None
    if "\\u" in text and _SURROGATE.search(text):
        path, why = _unsendable(value, "", 0)
        if why:
            raise failure(kind, path, why)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name appears twice")
    return members


def _refuse(constant: object) -> Any:
    raise ValueError(constant)


def _finite(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise ValueError(literal)
    return number


def _encoder() -> Callable[[Any], str]:
    """Return a function that writes JSON.

    json.dumps() would make a new encoder for each value.
    """
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
    text: Any = json.encoder.encode_basestring
    chunks = make(None, _refuse, text, None, ":", ",", False, False, False)
    return lambda value: "".join(chunks(value, 0))


_encode = _encoder()
_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_float=_finite)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once  # type: ignore[attr-defined]


def _decode(text: str) -> Any:
    try:
        value, end = _scan(text, 0)  # works for most texts: they have no blanks around the value
        if end == len(text):
            return value
    except StopIteration:
        pass
    return _decoder.decode(text)


def failure(kind: Kind, path: str, why: str) -> Error:
    """Return the error for a value in a payload, at the JSON pointer ``path``."""
    where = f"at {path}: " if path else ""
    return Error(kind, where + why, path=path, safe_to_retry=kind is Kind.BAD_ARGUMENTS)


def to_value(value: Any, kind: Kind) -> Value:
    """Convert a JSON value to a protobuf value."""
    result = Value()
    _fill(result, value, "", kind, 0)
    return result


def _fill(to: Value, value: Any, path: str, kind: Kind, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise failure(kind, path, f"a protobuf value may nest {_MAX_DEPTH} deep: send it as `json`")
    if value is None:
        to.null_value = 0  # type: ignore[assignment]
    elif isinstance(value, bool):
        to.bool_value = value
    elif isinstance(value, str):
        to.string_value = value
    elif isinstance(value, (int, float)):
        if isinstance(value, int) and abs(value) > MAX_SAFE:
            raise failure(kind, path, _unsafe(value))
        to.number_value = value
    elif isinstance(value, dict):
        to.struct_value.SetInParent()
        for key, inner in value.items():
            _fill(to.struct_value.fields[key], inner, f"{path}/{escape(key)}", kind, depth + 1)
    else:
        to.list_value.SetInParent()
        for n, inner in enumerate(value):
            _fill(to.list_value.values.add(), inner, f"{path}/{n}", kind, depth + 1)


def from_value(value: Value, kind: Kind, path: str = "") -> Any:
    """Convert a protobuf value to a Python one. A number without a fraction becomes an int."""
    which = value.WhichOneof("kind")
    if which == "number_value":
        return _number(value.number_value, kind, path)
    if which == "struct_value":
        fields = value.struct_value.fields
        return {key: from_value(fields[key], kind, f"{path}/{escape(key)}") for key in fields}
    if which == "list_value":
        return [from_value(v, kind, f"{path}/{n}") for n, v in enumerate(value.list_value.values)]
    return None if which in (None, "null_value") else getattr(value, which)


def _number(number: float, kind: Kind, path: str) -> float | int:
    if not math.isfinite(number):
        raise failure(kind, path, f"{number} is not a JSON number")
    if number != int(number):
        return number
    if abs(number) > MAX_SAFE:
        raise failure(kind, path, _unsafe(int(number)))
    return int(number)


def _unsafe(number: int) -> str:
    text = str(number) if abs(number) < 10**64 else f"a number of {number.bit_length()} bits"
    return (
        f"{text} is beyond 2^53 - 1, where the numbers of a protobuf value stop being exact: "
        "use `json`, in which a server then answers too, or a string"
    )


def read(payload: pb.Payload | None, kind: Kind, absent: Any) -> Any:
    """Return the value in a payload."""
    which = payload.WhichOneof("encoding") if payload is not None else None
    if which == "json":
        return loads(payload.json, kind)  # type: ignore[union-attr]
    if which == "value":
        return from_value(payload.value, kind)  # type: ignore[union-attr]
    return absent


def as_value(text: str) -> pb.Payload:
    """Return a payload with a protobuf value, given a result as JSON text."""
    return pb.Payload(value=to_value(loads(text, Kind.BAD_RESULT), Kind.BAD_RESULT))
