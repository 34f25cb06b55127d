"""The policy of a process's servers, with counters and audit log."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from oslorpc import policy
from oslorpc.discovery.base import Loop
from oslorpc.errors import Error, Kind
from oslorpc.identity import NOBODY, Identity, names_of
from oslorpc.policy import Policy, Query

_log = logging.getLogger("oslorpc.audit")
_EVERY = 0.5
_BURST, _RATE, _CALLERS = 50.0, 5.0, 1024


class Gate:
    """Evaluates the policy for messages.

    Everything but the reading of the file runs on the event loop.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.policy: Policy = policy.load(path)
        self.since = time.time()
        self.problem = ""
        self.allowed: dict[str, int] = {}  # counts by the name of the rule
        self.denied = self.would_deny = 0
        self._quotas: dict[str, list[float]] = {}  # by caller: lines left, last refill, lines omitted
        self._stamp = _stamp(path)
        self._watch = Loop("oslorpc-policy", self._look)

    def _look(self) -> float:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return _EVERY
        self._stamp = stamp
        try:
            self.policy = policy.load(self._path)
        except Error as e:
            self.problem = e.message
            _log.error("the policy file cannot be used, so the policy stays as it was: %s", e.message)
            return _EVERY
        self.problem, self.since = "", time.time()
        _log.info("policy read: file=%s rules=%d", self._path, len(self.policy.rules))
        return _EVERY

    def close(self) -> None:
        """Stop watching the file."""
        self._watch.end()

    def permits(self, q: Query) -> bool:
        """Whether the policy would allow a query, which is not counted."""
        return self.policy.dry_run or self.policy.decide(q) is not None

    def check(self, q: Query, identity: Identity, address: str, claimed: str) -> None:
        """Raise an Error of kind AccessDenied if the policy denies a query."""
        current = self.policy
        verdict = current.decide(q)
        if verdict is not None:
            name = current.rules[verdict].name
            self.allowed[name] = self.allowed.get(name, 0) + 1
            return
        if current.dry_run:
            self.would_deny += 1
        else:
            self.denied += 1
        self._note("would deny" if current.dry_run else "denied", q, identity, address, claimed)
        if not current.dry_run:
            raise Error(Kind.ACCESS_DENIED, "the policy of the server does not allow it", safe_to_retry=True)

    def _note(self, verdict: str, q: Query, identity: Identity, address: str, claimed: str) -> None:
        who = identity.names[0] if identity.names else ""
        key, now = who or address.rpartition(":")[0], time.monotonic()
        if len(self._quotas) >= _CALLERS:
            self._quotas.clear()
        quota = self._quotas.setdefault(key, [_BURST, now, 0.0])
        quota[0], quota[1] = min(_BURST, quota[0] + (now - quota[1]) * _RATE), now
        if quota[0] < 1:
            quota[2] += 1
            return
        unlogged, quota[2] = int(quota[2]), 0.0
        quota[0] -= 1
        _log.warning(
            "verdict=%s identity=%s proof=%s address=%s claimed=%r exchange=%r topic=%r namespace=%r server=%r "
            "method=%r delivery=%s service=%r unlogged=%d",
            verdict, who, identity.proof, address, claimed, q.exchange[:255], q.topic[:255], q.namespace[:255],
            q.server[:255], q.method[:255], q.delivery, q.service, unlogged,
        )  # fmt: skip


def identify(context: Any) -> Identity:
    """Return the identity that the connection of an RPC proves.

    Only our own user can open our Unix sockets, so such a connection proves the user.
    """
    auth = context.auth_context()
    if auth.get("transport_security_type") == [b"ssl"]:
        uris, dns, ips = ([v.decode("utf-8", "replace") for v in auth.get(key, ())] for key in _PROPERTIES)
        names = names_of(uris, dns, ips)
        return Identity("tls", names) if names else NOBODY
    if context.peer().startswith("unix:"):
        return Identity("user", (f"user:{os.geteuid()}",))
    return NOBODY


_PROPERTIES = ("peer_uri", "peer_dns", "peer_ip")


def _stamp(path: str) -> tuple[int, ...]:
    try:
        s = os.stat(path)
    except OSError:
        return ()
    return s.st_mtime_ns, s.st_size, s.st_ino
