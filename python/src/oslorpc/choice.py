"""Chooses the instances that a message may go to: by version and state, and nearby ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oslorpc.connection import BUSY
from oslorpc.fleet import Entry, Topic

if TYPE_CHECKING:
    from oslorpc.delivery import Message

# The candidates for a message. A rank counts only if all earlier ranks are empty. A group of a rank
# counts only if no earlier group has an instance that is likely to accept the message.
Ranks = list[list[list[Entry]]]


def candidates(topic: Topic, seen: int, entries: tuple[Entry, ...], m: Message, now: float) -> Ranks:
    """Return the instances that a message may go to, preferred ones first."""
    key = m.plan.target.server, m.plan.namespace, m.plan.version
    ranks: Ranks | None = topic.recall(seen, key)
    if ranks is None:
        ranks = [[group for group in groups if group] for groups in _ranks(topic, entries, m, now)]
        if not topic.remember(seen, key, ranks):
            return ranks
    m.plan.memory = seen, ranks
    return ranks


def _ranks(topic: Topic, entries: tuple[Entry, ...], m: Message, now: float) -> Ranks:
    if m.plan.target.server is not None:
        named = [e for e in entries if e.instance.server == m.plan.target.server and e.usable(now)]
        able = [e for e in named if e.serves(m.plan.namespace, m.plan.version)]
        return [[[e for e in able if not e.draining]], [[e for e in able if e.draining]]]
    open_to_all = [
        e for e in entries if not e.draining and e.usable(now) and e.serves(m.plan.namespace, m.plan.version)
    ]
    near = [e for e in open_to_all if topic.near(e)]
    far = [e for e in open_to_all if not topic.near(e)]
    active = [group for zone in (near, far) for group in _few_first(topic, [e for e in zone if not e.held])]
    return [active, [[e for e in zone if e.held] for zone in (near, far)]]


def _few_first(topic: Topic, active: list[Entry]) -> list[list[Entry]]:
    """Return two groups: the instances that this client prefers, and the others."""
    few = topic.preferred(active)
    return [active] if few is active else [few, [e for e in active if e not in few]]


def best_of(groups: list[list[Entry]], turn: int, tried: set[Entry]) -> Entry | None:
    """Return the healthiest instance that was not tried, or the next in turn among equals."""
    best: Entry | None = None
    for group in groups:
        for n in range(len(group)):
            e = group[(turn + n) % len(group)]
            if e in tried:
                continue
            if e.link.health == 0:
                return e
            if best is None or e.link.health < best.link.health:
                best = e
        if best is not None and best.link.health <= BUSY:  # load alone is no reason to leave the zone
            break
    return best
