"""Which version a typed message needs, and what remains of it for older servers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import message_factory
from google.protobuf.message import DecodeError

from oslorpc.typed.rules import ALWAYS, ANY, Field, Rule, Rules
from oslorpc.versions import Version

_UNLIMITED = Version(1 << 32, 0)  # later than every version that exists
_MAX_ANYS = 32  # the maximum nesting of google.protobuf.Any that is examined


class Needs:
    """Computes which versions messages of a method need.

    Rules whose version is not later than the method's have no effect. May be used from any thread.
    """

    def __init__(self, base: Version) -> None:
        self.base = base
        self.rules = Rules()

    def steps(self, message: Any) -> list[Version]:
        """Return the versions at which a message can be sent, the latest first.

        The first is for the whole message. Each dropped part may lead to a lower one.
        """
        version, floor = self.of(message)
        steps = [version]
        while steps[-1] > floor:
            steps.append(max(self.below(message, steps[-1], 0)[0], self.base))
        return steps

    def of(self, message: Any) -> tuple[Version, Version]:
        """Return the version that a message needs, and the version that remains if all droppable
        parts are dropped.
        """
        version, floor = self.below(message, _UNLIMITED, 0)
        return max(version, self.base), max(floor, self.base)

    def fit(self, message: Any, version: Version) -> Any:
        """Return the message for a server at a version.

        This is the message itself if nothing must be dropped, or if dropping does not help, and a
        copy otherwise.
        """
        need, floor = self.of(message)
        if need <= version or floor > version:
            return message
        fitted = type(message)()
        fitted.CopyFrom(message)
        _Fit(self, version).message(fitted, 0)
        return fitted

    def drops(self, rule: Rule) -> bool:
        """Whether an element may be dropped."""
        return rule.drop and rule.since > self.base

    def below(self, m: Any, limit: Version, anys: int) -> tuple[Version, Version]:
        """Return two versions that a message needs: one if all droppable parts of version ``limit``
        or later are dropped, and one if all droppable parts are.

        ``anys`` is the current nesting of google.protobuf.Any.
        """
        if m.DESCRIPTOR.full_name == ANY:
            inner = unpack(m) if anys < _MAX_ANYS else None
            return (ALWAYS, ALWAYS) if inner is None else self.below(inner, limit, anys + 1)
        version = floor = ALWAYS
        for f, _, value in self.present(m):
            needed, solid = self._field(f, value, limit, anys)
            version, floor = max(version, needed), max(floor, solid)
        return version, floor

    def present(self, m: Any) -> list[tuple[Field, str, Any]]:
        """Return the set fields of a message that must be examined, with their names and values."""
        fields = self.rules.fields(m.DESCRIPTOR)
        if not fields:
            return []
        return [(fields[d.name], d.name, v) for d, v in m.ListFields() if not d.is_extension and d.name in fields]

    def _field(self, f: Field, value: Any, limit: Version, anys: int) -> tuple[Version, Version]:
        version = floor = ALWAYS
        some = solid = False  # whether any value is below the limit, and whether any may not be dropped
        for one in _values(f, value):
            needed = needed_floor = ALWAYS
            if f.message is not None:
                needed, needed_floor = self.below(one, limit, anys)
            elif f.enum is not None:
                rule = self.rules.of(f, one)
                if self.drops(rule) and not f.pinned:
                    # Without its last value the field would not be set, so the value is dropped if
                    # either is too new.
                    since = max(rule.since, f.rule.since)
                    if since < limit:
                        some, version = True, max(version, since)
                    continue
                needed = needed_floor = rule.since
            some = solid = True
            version, floor = max(version, needed), max(floor, needed_floor)
        if some:
            version = max(version, f.rule.since)
        if solid:
            floor = max(floor, f.rule.since)
        if not self.drops(f.rule):
            return version, floor
        # The field is dropped, either because it is too new itself, or because it has a part that
        # is too new and cannot be dropped alone.
        return (version if floor < limit else ALWAYS), ALWAYS


def _values(f: Field, value: Any) -> Iterable[Any]:
    if f.map:
        values: Iterable[Any] = value.values()
        return values
    return value if f.repeated else (value,)


def unpack(m: Any) -> Any:
    """Return the message in a google.protobuf.Any, or None if its type is unknown, or it cannot be
    decoded.
    """
    name = m.type_url.rpartition("/")[2]
    try:
        inner = message_factory.GetMessageClass(m.DESCRIPTOR.file.pool.FindMessageTypeByName(name))()
        inner.ParseFromString(m.value)
    except (KeyError, DecodeError):
        return None
    return inner


class _Fit:
    """Drops parts that are later than a version, and returns which version the rest needs."""

    def __init__(self, needs: Needs, version: Version) -> None:
        self._needs, self._version = needs, version

    def message(self, m: Any, anys: int) -> Version:
        if m.DESCRIPTOR.full_name == ANY:
            return self._any(m, anys)
        return max((self._field(m, *field, anys) for field in self._needs.present(m)), default=ALWAYS)

    def _any(self, m: Any, anys: int) -> Version:
        inner = unpack(m) if anys < _MAX_ANYS else None
        if inner is None:
            return ALWAYS
        before, _ = self._needs.below(inner, _UNLIMITED, anys + 1)
        if before <= self._version:
            return before  # nothing to drop, so keep the bytes as they are
        need = self.message(inner, anys + 1)
        m.value = inner.SerializePartialToString(deterministic=True)
        return need

    def _field(self, m: Any, f: Field, name: str, value: Any, anys: int) -> Version:
        drops = self._needs.drops(f.rule)
        if drops and f.rule.since > self._version:
            m.ClearField(name)
            return ALWAYS
        left, need = self._values(f, value, anys)
        if not left or (drops and need > self._version):
            m.ClearField(name)
            return ALWAYS
        return max(need, f.rule.since)

    def _values(self, f: Field, value: Any, anys: int) -> tuple[bool, Version]:
        """Return whether any value is left, and which version the remaining values need."""
        if f.message is not None:
            values = list(_values(f, value))
            return bool(values), max((self.message(one, anys) for one in values), default=ALWAYS)
        if f.enum is None:
            return True, ALWAYS
        if f.map:
            for key in [key for key, number in value.items() if self._goes(f, number)]:
                del value[key]
            left = list(value.values())
        else:
            left = [number for number in _values(f, value) if not self._goes(f, number)]
            if f.repeated:
                value[:] = left
        return bool(left), max((self._needs.rules.of(f, number).since for number in left), default=ALWAYS)

    def _goes(self, f: Field, number: int) -> bool:
        rule = self._needs.rules.of(f, number)
        return self._needs.drops(rule) and not f.pinned and max(rule.since, f.rule.since) > self._version
