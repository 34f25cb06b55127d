"""In which version fields and enum values appeared, and what older peers get."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2

from oslorpc.errors import invalid
from oslorpc.v1 import options_pb2 as options
from oslorpc.versions import Version

ALWAYS = Version(0, 0)  # earlier than every version
ANY = "google.protobuf.Any"


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """In which version an element appeared, and whether older peers get the message without it."""

    since: Version = ALWAYS
    drop: bool = False


_NONE = Rule()


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field that must be examined.

    ``pinned`` is True if the field must not be cleared because of its value, since it is in a
    oneof, or required. ``message`` and ``enum`` are the type of its value, or of its elements if it
    is a list or a map.
    """

    rule: Rule
    pinned: bool
    repeated: bool
    map: bool
    message: Any
    enum: Any


class Rules:
    """Reads rules and caches them. May be used from any thread."""

    def __init__(self) -> None:
        self._fields: dict[str, dict[str, Field]] = {}
        self._values: dict[str, dict[int, Rule]] = {}

    def fields(self, message: Any) -> dict[str, Field]:
        """Return the fields of a message type that have rules, or whose values may have rules."""
        known = self._fields.get(message.full_name)
        if known is None:
            read = {d.name: self._field(d, proto) for d, proto in _declared(message)}
            known = self._fields[message.full_name] = {n: f for n, f in read.items() if self._worthy(f)}
        return known

    def values(self, enum: Any) -> dict[int, Rule]:
        """Return the rules of an enum's values.

        If a number has several names, the rule of the oldest applies.
        """
        known = self._values.get(enum.full_name)
        if known is None:
            read: dict[int, Rule] = {}
            for value in enum.values:
                rule = _read(f"value {enum.full_name}.{value.name}", value.GetOptions(), options.enum_value)
                other = read.get(value.number)
                if other is None or rule.since < other.since:
                    read[value.number] = rule
            known = self._values[enum.full_name] = {n: rule for n, rule in read.items() if rule != _NONE}
        return known

    def of(self, field: Field, number: int) -> Rule:
        """Return the rule of an enum value of a field."""
        return self.values(field.enum).get(number, _NONE)

    def _field(self, d: Any, proto: Any) -> Field:
        required = proto.label == descriptor_pb2.FieldDescriptorProto.LABEL_REQUIRED
        repeated = proto.label == descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED
        pinned = required or (d.containing_oneof is not None and not proto.proto3_optional)
        rule = _read(f"field {d.full_name}", d.GetOptions(), options.field)
        if rule.drop and pinned:
            why = "older_peers must not be OLDER_PEERS_DROP: the field is in a oneof, or required"
            raise invalid(f"field {d.full_name}: {why}")
        message, enum, entry = d.message_type, d.enum_type, False
        if repeated and message is not None and message.GetOptions().map_entry:
            value = message.fields_by_name["value"]
            message, enum, entry = value.message_type, value.enum_type, True
        return Field(rule, pinned, repeated, entry, message, enum)

    def _worthy(self, field: Field) -> bool:
        """Whether a field has a rule, or may contain an element with a rule."""
        seen: set[str] = set()
        left = [field]
        while left:
            f = left.pop()
            if f.rule != _NONE or (f.enum is not None and self.values(f.enum)):
                return True
            if f.message is not None and f.message.full_name not in seen:
                if f.message.full_name == ANY:
                    return True
                seen.add(f.message.full_name)
                left += [self._field(d, proto) for d, proto in _declared(f.message)]
        return False


def _declared(message: Any) -> Iterable[tuple[Any, Any]]:
    """Return pairs of the descriptor and the declaration of each field of a message type."""
    proto = descriptor_pb2.DescriptorProto()
    message.CopyToProto(proto)
    return zip(message.fields, proto.field, strict=True)


def _read(what: str, from_options: Any, extension: Any) -> Rule:
    if not from_options.HasExtension(extension):
        return _NONE
    rules = from_options.Extensions[extension]
    drop = rules.older_peers == options.OLDER_PEERS_DROP
    if not rules.since:
        if drop:
            raise invalid(f"{what}: older_peers needs since: say in which version it appeared")
        return _NONE
    try:
        return Rule(Version.parse(rules.since), drop)
    except ValueError as e:
        raise invalid(f"{what}: since: {e}") from None
