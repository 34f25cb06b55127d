"""Which callers may send which messages: the rules of a policy file. docs/policy.md has the
format.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from oslorpc.errors import invalid

ANYONE = "anyone"
_MAX_FILE = 1 << 20
_ATTACH = "attach"  # a method that a rule must name to allow
_DELIVERIES = ("call", "cast", "multicall", "stream", "inspect", _ATTACH)
_RECEIVER = ("exchange", "topic", "namespace", "server", "method")
_FIELDS = ("name", "from", *_RECEIVER, "delivery", "services")


class Query(NamedTuple):
    """A query: may a caller with these names send this message? For a plain gRPC service, there is
    no receiver.
    """

    names: tuple[str, ...] = ()
    exchange: str = ""
    topic: str = ""
    namespace: str = ""
    server: str = ""
    method: str = ""
    delivery: str = ""
    service: str = ""


def matches(pattern: str, separator: str, text: str) -> bool:
    """Whether a text matches a pattern. A single star stops at the separator, if there is one; two
    stars do not.

    After a mismatch, only the last star is tried again, with one more character. So names that
    callers choose cannot make the match slow.
    """
    at = i = 0
    single: tuple[int, int] | None = None  # the index after the last star, and the end of the text that it matches
    double: tuple[int, int] | None = None
    while at < len(text) or i < len(pattern):
        if i < len(pattern) and pattern[i] == "*":
            stars = len(pattern) - i - len(pattern[i:].lstrip("*"))
            i += stars
            if stars > 1 or not separator:
                double, single = (i, at), None
            else:
                single = (i, at)
        elif i < len(pattern) and at < len(text) and pattern[i] == text[at]:
            at, i = at + 1, i + 1
        elif single is not None and single[1] < len(text) and text[single[1]] != separator:
            single = (single[0], single[1] + 1)
            i, at = single
        elif double is not None and double[1] < len(text):
            double, single = (double[0], double[1] + 1), None
            i, at = double
        else:
            return False
    return True


def folded(name: str) -> str:
    """Return a name of a caller in the form for comparison: DNS names in lower case."""
    return name.lower() if name.startswith("dns:") else name


@dataclasses.dataclass(slots=True)
class Rule:
    """Allows messages that match each of its fields, or plain gRPC services."""

    name: str
    callers: Sequence[str]
    fields: dict[str, Sequence[str]]
    deliveries: Sequence[str] | None
    services: Sequence[str] | None

    def allows(self, q: Query, names: Sequence[str]) -> bool:
        """Whether the rule allows a query."""
        if self.services is not None or q.service:
            return self.services is not None and self._serves(q.service) and self.knows(names)
        if q.delivery == _ATTACH if self.deliveries is None else q.delivery not in self.deliveries:
            return False
        for field, patterns in self.fields.items():
            text = getattr(q, field)
            if not any(matches(p, "", text) for p in patterns):
                return False
        return self.knows(names)

    def _serves(self, method: str) -> bool:
        service = method.partition("/")[0]
        return method != "" and any(matches(p, "/", method if "/" in p else service) for p in self.services or ())

    def knows(self, names: Sequence[str]) -> bool:
        """Whether the rule is for a caller with one of the names, which must be folded."""
        return ANYONE in self.callers or any(
            matches(folded(p), "." if p.startswith("dns:") else "/", n) for n in names for p in self.callers
        )


class Policy:
    """A set of rules. It is immutable, except for a cache of verdicts."""

    def __init__(self, rules: Sequence[Rule], dry_run: bool) -> None:
        self.rules, self.dry_run = list(rules), dry_run
        self._verdicts: dict[Query, int | None] = {}

    def decide(self, q: Query) -> int | None:
        """Return the index of the first rule that allows a query, or None."""
        try:
            return self._verdicts[q]
        except KeyError:
            pass
        names = [folded(name) for name in q.names]
        verdict = next((n for n, rule in enumerate(self.rules) if rule.allows(q, names)), None)
        if len(self._verdicts) >= 1024:
            self._verdicts.clear()  # callers choose their queries, so the cache needs a limit
        if sum(map(len, (*q[1:], *q.names))) <= 1024:
            self._verdicts[q] = verdict
        return verdict


def load(path: str) -> Policy:
    """Load a policy file. An Error says what is wrong with it."""
    try:
        with open(path, "rb") as f:
            text = f.read(_MAX_FILE + 1)
    except OSError as e:
        raise invalid(f"the policy file cannot be read: {e}") from None
    if len(text) > _MAX_FILE:
        raise invalid(f"the policy file {path} is larger than {_MAX_FILE} bytes")
    return parse(path, text)


def parse(name: str, text: bytes) -> Policy:
    """Compile the text of a policy file. An Error lists all mistakes."""
    try:
        document = _document(text)
        mistakes: list[str] = []
        rules = _Reader(mistakes).policy(document)
        if not mistakes:
            return Policy(rules, document.get("mode") == "dry-run")
    except (ValueError, RecursionError) as e:
        mistakes = [str(e).replace("\n", " ")]
    raise invalid("\n".join(f"{name}: {mistake}" for mistake in mistakes))


def _document(text: bytes) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError:
        pass
    try:
        import yaml
    except ImportError:
        raise invalid("policy files in YAML need PyYAML: install oslorpc[policy], or write the file as JSON") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            _check_keys(node, set())
        return yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ValueError(str(e)) from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'the key "{name}" appears twice')
    return dict(pairs)


def _check_keys(node: Any, seen: set[int]) -> None:
    """Raise a ValueError for a duplicate key. YAML would use the last one."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if node.id == "mapping":
        keys = [key.value for key, _ in node.value]
        for key, value in node.value:
            if keys.count(key.value) > 1:
                raise ValueError(f'{key.start_mark.line + 1}: the key "{key.value}" appears twice')
            _check_keys(value, seen)
    elif node.id == "sequence":
        for value in node.value:
            _check_keys(value, seen)


class _Reader:
    """Parses the rules of a policy, and collects mistakes."""

    def __init__(self, mistakes: list[str]) -> None:
        self._mistakes = mistakes
        self._names: dict[str, int] = {}

    def policy(self, document: Any) -> list[Rule]:
        if not isinstance(document, dict):
            empty = "the file is empty: write `rules: []` to deny everything"
            self._mistakes.append(empty if document is None else "a policy must be a mapping")
            return []
        for key in document:
            if key not in ("mode", "rules"):
                self._mistakes.append(f'a policy has no key "{key}": the keys are mode, rules')
        if document.get("mode", "enforce") not in ("enforce", "dry-run"):
            self._mistakes.append("`mode` must be enforce or dry-run")
        rules = document.get("rules")
        if not isinstance(rules, list):
            missing = "`rules` is missing: write `rules: []` to deny everything"
            self._mistakes.append("`rules` must be a list" if "rules" in document else missing)
            return []
        return [rule for n, source in enumerate(rules) if (rule := self._rule(n, source)) is not None]

    def _rule(self, n: int, source: Any) -> Rule | None:
        if not isinstance(source, dict):
            self._mistakes.append(f"rule {n + 1} must be a mapping")
            return None
        name = source.get("name", f"rule {n + 1}")

        def wrong(field: str, why: str) -> None:
            self._mistakes.append(f'rule "{name}": {field}: {why}')

        for key in source:
            if key not in _FIELDS:
                wrong(str(key), f"a rule has no such key: the keys are {', '.join(sorted(_FIELDS))}")
        lists: dict[str, list[str]] = {}
        for field in _FIELDS:
            if field in source:
                value = source[field]
                texts = value if isinstance(value, list) else [value]
                if not all(isinstance(text, str) for text in texts):
                    wrong(field, "it must be a text or a list of texts: put numbers, true, false and null in quotes")
                    texts = []
                elif not texts and field != "from":
                    wrong(field, "the list is empty: leave it out to allow any")
                lists[field] = texts
        if "name" in lists and len(lists["name"]) != 1:
            wrong("name", "it must be one text")
        if self._names.setdefault(str(name), n) != n:
            wrong("name", f"rule {self._names[str(name)] + 1} has this name, too: names must be unique")
        check_callers(lists.get("from", []), wrong)
        for delivery in lists.get("delivery", ()):
            if delivery not in _DELIVERIES:
                hint = {"fanout": "each copy is a cast: write it", "gather": "each copy is a call: write it"}
                wrong("delivery", f'"{delivery}": {hint.get(delivery, "take one of " + ", ".join(_DELIVERIES))}')
        if "services" in lists:
            for service in lists["services"]:
                if not service or service.startswith("/"):
                    wrong("services", f'"{service}" is no service: write it as in "grpc.health.v1.Health/Check"')
            for field in (*_RECEIVER, "delivery"):
                if field in lists:
                    wrong(field, "a rule for services allows no messages: write another rule for them")
        receiver: dict[str, Sequence[str]] = {field: lists[field] for field in _RECEIVER if field in lists}
        return Rule(str(name), lists.get("from", []), receiver, lists.get("delivery"), lists.get("services"))


def check_callers(callers: Sequence[str], wrong: Callable[[str, str], object]) -> None:
    """Note mistakes in the names of callers."""
    if not callers:
        wrong("from", f'say which callers the rule is for, or "{ANYONE}" for all')
    for name in callers:
        kind, colon, rest = name.partition(":")
        if name == "*":
            wrong("from", f'write "{ANYONE}" for all callers, or "**" for all that proved a name')
        elif name != ANYONE and not name.startswith("**") and not (colon and kind and rest):
            wrong("from", f'"{name}" is no name of a caller: they begin with their kind, as "dns:host7.example"')
