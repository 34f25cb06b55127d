"""The registry in HashiCorp Consul.

docs/protocol.md describes the registrations, and docs/discovery.md how the registry behaves in
failures.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oslorpc.discovery import consulnames as names
from oslorpc.discovery.base import Instance, Loop, Notify, Update
from oslorpc.discovery.consulhttp import ANSWER_WITHIN, Access, Agents, StatusError
from oslorpc.errors import Error, Kind

_log = logging.getLogger("oslorpc.consul")
_MAX_WAIT = 300
_LOOK_EVERY = 10.0  # seconds between two checks that everything is still registered
_OWN_QUERIES = 32  # topics with a query of their own; an agent allows a host 200 connections
_POLL = 2.0


class ConsulRegistry:
    """The registry in Consul, through an agent, or through one of several agents."""

    def __init__(self, hosts: str, parameters: Mapping[str, str]) -> None:
        self._access = Access.read(hosts, parameters)
        self.name = self._access.name
        self._own = Agents(self._access)
        self._reads = Agents(self._access)
        self._lock = threading.RLock()
        self._publisher = _Publisher(self._own, self._access.ttl)
        self._watches: dict[str, _Watch] = {}
        self._broken: dict[str, str] = {}

    def publish(self, instances: Sequence[Instance], timeout: float = 10) -> None:
        """Register the instances, and keep them registered."""
        self._publisher.publish(list(instances))

    def watch(self, exchange: str, topic: str, notify: Notify) -> Callable[[], None]:
        """Watch a topic with a query that waits for changes."""
        name = names.service_name(exchange, topic)
        with self._lock:
            watch = self._watches.get(name)
            if watch is None:
                waits = len(self._watches) < _OWN_QUERIES
                watch = self._watches[name] = _Watch(self._access, name, waits, self.read)
            watch.join(notify)

        def stop() -> None:
            with self._lock:
                if watch.leave(notify) and self._watches.get(name) is watch:
                    del self._watches[name]
                    watch.end()

        return stop

    def list(self) -> list[Instance]:
        """Return all instances. Consul is asked for each topic."""
        services, headers = _ask(self._reads, "/v1/catalog/services", self._dc())
        found = [n for n in services if n.startswith(names.PREFIX) and not n.endswith(names.PROCESS)]
        if not found:
            _must_read(self._reads, names.PREFIX, headers)
        return [i for name in sorted(found) for i in self.read(self._reads, name, {})[0]]

    def read(
        self, agents: Agents, name: str, query: Mapping[str, str], timeout: float = ANSWER_WITHIN
    ) -> tuple[tuple[Instance, ...], int]:
        """Return the instances of a service name, and Consul's index for the answer."""
        path = "/v1/health/service/" + urllib.parse.quote(name)
        entries, headers = _ask(agents, path, {**self._dc(), **query}, timeout)
        if not isinstance(entries, list):
            raise Error(Kind.UNREACHABLE, f"{agents.name}: the answer for {name} is not a list", safe_to_retry=True)
        if not entries:
            _must_read(agents, name, headers)
        found, broken = names.read_entries(entries, name)
        for service_id, why in broken.items():
            if self._broken.get(service_id) != why:
                _log.error("a service of Consul cannot be used: service=%s id=%s error=%s", name, service_id, why)
        self._broken.update(broken)
        return tuple(found), int(headers.get("x-consul-index", 0))

    def _dc(self) -> dict[str, str]:
        return {"dc": self._access.dc} if self._access.dc else {}

    def await_listed(self, instances: Sequence[Instance], timeout: float) -> bool:
        """Wait until the catalog lists the instances."""
        if self._access.dc:
            return True
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                found = {
                    i.id
                    for name in {names.service_name(i.exchange, i.topic) for i in instances}
                    for i in self.read(self._reads, name, {})[0]
                }
                if found.issuperset(i.id for i in instances):
                    return True
            except Error as e:
                if "ACL" in e.message:  # a server may lack the permission to read its own topic
                    return True
            time.sleep(0.05)
        return False

    def socket(self) -> str | None:
        """Return None, since Consul's services have a host and a port."""
        return None

    def lapses(self, notify: Callable[[str], None]) -> None:
        """Set the function that is called after a lapse: Consul had lost the registration, or got
        no heartbeat for longer than the TTL.
        """
        self._publisher.lapsed = notify

    def close(self) -> None:
        """End all watches, and withdraw the published instances."""
        with self._lock:
            watches, self._watches = list(self._watches.values()), {}
        for w in watches:
            w.end()
        try:
            self._publisher.close()
        finally:
            self._own.close()
            self._reads.close()


def _ask(
    agents: Agents, path: str, query: Mapping[str, str], timeout: float = ANSWER_WITHIN
) -> tuple[Any, Mapping[str, str]]:
    try:
        return agents.request("GET", path, query, timeout=timeout, doing="reading " + path)
    except StatusError as e:
        raise Error(Kind.UNREACHABLE, f"{agents.name}: reading {path}: {e}", safe_to_retry=True) from None


def _must_read(agents: Agents, name: str, headers: Mapping[str, str]) -> None:
    """Raise an Error if a missing permission may be the cause of an empty list.

    Otherwise the topic would look empty.
    """
    hidden = headers.get("x-consul-results-filtered-by-acls") == "true"
    if not hidden and headers.get("x-consul-default-acl-policy") == "deny":
        question = [{"Resource": "service", "Access": "read", "Segment": name}]
        try:
            answer, _ = agents.request(
                "POST", "/v1/internal/acl/authorize", body=question, doing="asking for permissions"
            )
        except StatusError:
            return
        hidden = isinstance(answer, list) and len(answer) == 1 and not answer[0].get("Allow")
    if hidden:
        message = (
            f"{agents.name}: the ACL token, or its absence, hides services or the nodes that they are on: "
            "give a token that may read both, in the URL's consul-token-file or in CONSUL_HTTP_TOKEN"
        )
        raise Error(Kind.UNREACHABLE, message, safe_to_retry=True)


class _Watch:
    """Watches one service name, for all watches of its topics."""

    def __init__(
        self, access: Access, name: str, waits: bool, read: Callable[..., tuple[tuple[Instance, ...], int]]
    ) -> None:
        self._name, self._waits, self._read = name, waits, read
        self._agents = Agents(access)
        self._lock = threading.Lock()
        self._notifies: list[Notify] = []
        self._last: Update | None = None
        self._index = 0
        self._failures = 0
        self._loop: Loop | None = None

    def join(self, notify: Notify) -> None:
        with self._lock:
            self._notifies.append(notify)
            if self._last is not None:
                notify(self._last)
            if self._loop is None:
                self._loop = Loop(f"oslorpc-{self._name}"[:40], self._step)

    def leave(self, notify: Notify) -> bool:
        with self._lock:
            if notify in self._notifies:
                self._notifies.remove(notify)
            return not self._notifies

    def end(self) -> None:
        if self._loop is not None:
            self._loop.end()
        self._agents.close()

    def _step(self) -> float:
        query = {"stale": ""}
        timeout = ANSWER_WITHIN
        if self._index and self._waits:
            query |= {"index": str(self._index), "wait": f"{_MAX_WAIT}s"}
            timeout += _MAX_WAIT * 17 / 16
        try:
            found, index = self._read(self._agents, self._name, query, timeout)
        except Error as e:
            self._index = 0
            self._failures += 1
            self._tell(Update(error=e))
            pause: float = min(0.2 * 2 ** min(self._failures, 5), 5.0)
            return pause * random.uniform(0.5, 1.5)
        reset = 0 < index < self._index or (bool(self._failures) and not found)
        self._failures = 0
        self._index = max(index, 1) if index >= self._index else 0
        self._tell(Update(found, reset=reset))
        return 0.02 if self._waits else _POLL

    def _tell(self, update: Update) -> None:
        with self._lock:
            last = self._last
            same = (
                last is not None
                and last.instances == update.instances
                and (last.error is None) == (update.error is None)
            )
            if same and not update.reset:
                return
            self._last = update
            for notify in list(self._notifies):
                notify(update)


class _Publisher:
    """Keeps the published instances in Consul."""

    def __init__(self, agents: Agents, ttl: float) -> None:
        self._agents, self._ttl = agents, ttl
        self._lock = threading.RLock()
        self._wanted: dict[str, dict[str, Any]] = {}  # by the id of the process or instance; the process first
        self._ids: dict[str, names.IDs] = {}
        self._placed: dict[str, dict[str, Any]] = {}  # by service id
        self._loop: Loop | None = None
        self._look_at = 0.0
        self._last_beat = 0.0
        self._failing = False
        self.lapsed: Callable[[str], None] = lambda reason: None

    def publish(self, instances: list[Instance]) -> None:
        with self._lock:
            before = dict(self._wanted)
            try:
                self._wanted = self._services(instances)
                self._place()
            except BaseException:
                self._wanted = before
                raise
            if self._wanted and self._loop is None:
                self._last_beat = time.monotonic()
                self._look_at = time.monotonic() + _LOOK_EVERY
                self._loop = Loop("oslorpc-consul", self._beat)
            elif not self._wanted:
                self._agents.pinned = False
                self._ids.clear()

    def _services(self, instances: list[Instance]) -> dict[str, dict[str, Any]]:
        if not instances:
            return {}
        first = instances[0]
        process = self._ids.setdefault(first.boot_id, names.new_ids(first.boot_id))
        known = self._wanted.get(first.boot_id)
        services = {first.boot_id: known or names.process_service(first, process, f"{self._ttl:g}s")}
        for i in instances:
            ids = self._ids.setdefault(i.id, names.new_ids(i.id))
            services[i.id] = names.instance_service(i, ids, process.service)
        return services

    def _place(self) -> None:
        wanted = {s["ID"]: s for s in self._wanted.values()}
        for service_id, service in wanted.items():
            if self._placed.get(service_id) != service:
                self._register(service)
        for service_id in [id for id in self._placed if id not in wanted][::-1]:
            self._request("PUT", "/v1/agent/service/deregister/" + urllib.parse.quote(service_id), missing_ok=True)
            del self._placed[service_id]

    def _register(self, service: dict[str, Any]) -> None:
        self._request("PUT", "/v1/agent/service/register", body=service, doing=f"registering service {service['Name']}")
        self._agents.pinned = True
        self._placed[service["ID"]] = service

    def _request(self, method: str, path: str, *, body: Any = None, missing_ok: bool = False, doing: str = "") -> Any:
        end = time.monotonic() + ANSWER_WITHIN
        while True:
            try:
                return self._agents.request(method, path, body=body, doing=doing or path)[0]
            except StatusError as e:
                if e.status == 404 and missing_ok:
                    return None
                if e.status == 429 and time.monotonic() < end:  # the agent limits connections of a host
                    time.sleep(0.2)
                    continue
                kind = Kind.ACCESS_DENIED if e.status == 403 else Kind.UNREACHABLE
                raise Error(kind, f"{self._agents.name}: {doing or path}: {e}", safe_to_retry=True) from None

    def _beat(self) -> float:
        """Send a heartbeat, and check regularly that everything is registered."""
        with self._lock:
            if not self._wanted:
                return self._ttl / 3
            process = next(iter(self._wanted.values()))
            check = process["Check"]["CheckID"]
            note = f"{os.path.basename(sys.argv[0] or 'python')}, process {os.getpid()}, is alive"
            try:
                lost = not self._update(check, note)
                if lost or time.monotonic() >= self._look_at:
                    self._repair(lost)
            except Error as e:
                if not self._failing:
                    _log.warning("cannot renew the registration in Consul; trying again: %s", e)
                self._failing = True
                return min(self._ttl / 3, 1.0) * random.uniform(0.5, 1.0)
            if self._failing:
                _log.info("Consul reachable again; registration renewed")
            self._failing = False
        return min(self._ttl / 3, _LOOK_EVERY) * random.uniform(0.8, 1.0)

    def _update(self, check: str, note: str) -> bool:
        """Set the process's TTL check to passing, and return whether the check exists."""
        sent = time.monotonic()
        body = {"Status": "passing", "Output": note}
        try:
            self._agents.request(
                "PUT", "/v1/agent/check/update/" + urllib.parse.quote(check), body=body, doing="beating"
            )
        except StatusError as e:
            if e.status == 404:
                return False
            raise Error(
                Kind.UNREACHABLE, f"{self._agents.name}: sending a sign of life: {e}", safe_to_retry=True
            ) from None
        if sent - self._last_beat > self._ttl:
            self.lapsed(f"Consul had no sign of life for {sent - self._last_beat:.0f} s")
        self._last_beat = sent
        return True

    def _repair(self, lost: bool) -> None:
        """Register again what the agent lacks.

        This does not end maintenance, which is a separate check.
        """
        boot_id = next(iter(self._wanted))
        filter_ = f'Meta["rpc-boot"] == {json.dumps(boot_id)}'
        try:
            found, _ = self._agents.request(
                "GET", "/v1/agent/services", {"filter": filter_}, doing="looking at our services"
            )
        except StatusError as e:
            raise Error(
                Kind.UNREACHABLE, f"{self._agents.name}: looking at our services: {e}", safe_to_retry=True
            ) from None
        repaired = False
        for number, service in enumerate(self._wanted.values()):
            there = (found or {}).get(service["ID"])
            same = there is not None and all(
                there.get(mine if mine != "Name" else "Service") == service[mine]
                for mine in ("Name", "Address", "Port", "Meta")
            )
            if not same or (lost and number == 0):
                self._register(service)
                repaired = True
        self._look_at = time.monotonic() + _LOOK_EVERY
        self._last_beat = time.monotonic()
        if repaired:
            _log.warning("Consul had lost what this process published; it is registered again")
            self.lapsed("Consul had lost the registration")

    def close(self) -> None:
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.end(wait=1)
        with self._lock:
            self._wanted = {}
            try:
                self._place()
            except Error as e:
                _log.warning("what this process published was not withdrawn, and expires: %s", e)
