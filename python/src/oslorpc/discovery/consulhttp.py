"""Requests to Consul agents, with the standard library."""

from __future__ import annotations

import dataclasses
import http.client
import json
import logging
import os
import re
import ssl
import threading
import urllib.parse
from collections.abc import Mapping
from typing import Any

from oslorpc.discovery.base import join_addr, split_addr
from oslorpc.errors import Error, Kind, invalid
from oslorpc.plain import reason

_log = logging.getLogger("oslorpc.consul")
ANSWER_WITHIN = 5.0
_MAX_ANSWER = 64 << 20
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+)ms)?")


def parse_duration(text: str) -> float:
    """Parse a duration in Go's format, such as 1m30s. Raise a ValueError if it is malformed."""
    match = _DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError(f'"{text}" is not a duration such as 15s')
    hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000


@dataclasses.dataclass(frozen=True)
class Access:
    """The agents and the connection settings, from a URL and the environment."""

    agents: tuple[tuple[str, int], ...]
    dc: str
    token_file: str
    token: str
    tls: bool
    files: Mapping[str, str]
    insecure: bool
    ttl: float

    @classmethod
    def read(cls, hosts: str, parameters: Mapping[str, str]) -> Access:
        """Parse the part of a URL after consul://, and its parameters."""
        env = {
            name: os.environ.get(name, "").strip()
            for name in (
                "CONSUL_HTTP_TOKEN_FILE",
                "CONSUL_HTTP_TOKEN",
                "CONSUL_HTTP_SSL",
                "CONSUL_CACERT",
                "CONSUL_CLIENT_CERT",
                "CONSUL_CLIENT_KEY",
                "CONSUL_TLS_SERVER_NAME",
            )
        }
        files = {
            "ca": parameters.get("consul-ca") or env["CONSUL_CACERT"],
            "cert": parameters.get("consul-cert") or env["CONSUL_CLIENT_CERT"],
            "key": parameters.get("consul-key") or env["CONSUL_CLIENT_KEY"],
            "server-name": parameters.get("consul-server-name") or env["CONSUL_TLS_SERVER_NAME"],
        }
        implied = any(parameters.get("consul-" + name) for name in ("ca", "cert", "key", "server-name", "insecure"))
        said = parameters.get("consul-tls") or ("true" if implied else env["CONSUL_HTTP_SSL"].lower())
        try:
            ttl = parse_duration(parameters.get("ttl", "15s"))
        except ValueError as e:
            raise invalid(f'transport URL: parameter "ttl": {e}') from None
        if not 1 <= ttl <= 300:
            raise invalid('transport URL: parameter "ttl" is not between 1s and 5m')
        token = env["CONSUL_HTTP_TOKEN"]
        if not token.isprintable() or not token.isascii():
            raise invalid("CONSUL_HTTP_TOKEN cannot be sent in a header")
        return cls(
            tuple(_agent(host) for host in (hosts.strip("/") or "127.0.0.1:8500").split(",")),
            parameters.get("dc", ""),
            parameters.get("consul-token-file") or env["CONSUL_HTTP_TOKEN_FILE"],
            token,
            said in ("true", "1"),
            files,
            parameters.get("consul-insecure") == "true",
            ttl,
        )

    def context(self) -> ssl.SSLContext:
        """Return the TLS context. Files are read for each connection."""
        context = ssl.create_default_context(cafile=self.files["ca"] or None)
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.files["cert"]:
            context.load_cert_chain(self.files["cert"], self.files["key"] or None)
        return context

    @property
    def name(self) -> str:
        """The name of the agents in errors."""
        return "Consul at " + ",".join(join_addr(*agent) for agent in self.agents)

    def current_token(self) -> str:
        """Return the ACL token. A token file is read each time, so that it can be replaced."""
        if not self.token_file:
            return self.token
        with open(self.token_file, encoding="utf-8") as f:
            return f.read().strip()


def _agent(host: str) -> tuple[str, int]:
    if not host:
        raise invalid("transport URL: a host of Consul is empty: write HOST:PORT,HOST:PORT")
    text = host if re.search(r":\d+$", host) and not host.endswith("]") else host + ":8500"
    try:
        return split_addr(text)
    except ValueError as e:
        raise invalid(f'transport URL: host "{host}": {e}') from None


class _Secure(http.client.HTTPConnection):
    """A TLS connection to an agent whose certificate may have another name than the host."""

    def __init__(self, agent: tuple[str, int], timeout: float, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(*agent, timeout=timeout)
        self._context, self._server_name = context, server_name or agent[0]

    def connect(self) -> None:
        """Connect, and verify the agent."""
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=self._server_name)


class StatusError(Exception):
    """An answer of an agent with a status other than 200."""

    def __init__(self, status: int, text: str) -> None:
        page = text.lstrip().startswith("<")  # HTML is not from an agent, but from a proxy, for example
        words = f"it answers {status} {http.client.responses.get(status, '')}".rstrip()
        if text and not page:
            words += ": " + " ".join(text.split())[:300]
        super().__init__(words + _advice(status, text, page))
        self.status = status


def _advice(status: int, text: str, page: bool) -> str:
    """Return what to do about an answer."""
    if status == http.client.NOT_FOUND or page:
        return _OTHER
    if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
        return (
            ": give a token with the policy that docs/discovery.md has for such a program, "
            "in the URL's consul-token-file or in CONSUL_HTTP_TOKEN"
        )
    if "No cluster leader" in text:
        return ": the Consul servers have lost their leader: look at their logs"
    return ": look at the log of the agent" if status >= http.client.INTERNAL_SERVER_ERROR else ""


_CHECK = ": check that a Consul agent answers there"
_OTHER = ": another program may have the address" + _CHECK


class Agents:
    """Sends requests to the first agent that it can connect to, until that one becomes
    unreachable.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self.name = access.name
        self._lock = threading.Lock()
        self._current = 0
        self.pinned = False  # keep to one agent: it has the registrations
        self._idle: dict[tuple[str, int], list[http.client.HTTPConnection]] = {}

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        timeout: float = ANSWER_WITHIN,
        doing: str = "asking",
    ) -> tuple[Any, Mapping[str, str]]:
        """Send a request, and return the answer and its headers.

        Raises a StatusError for an answer with another status than 200, and an Error if no agent
        answered.
        """
        last: Exception | None = None
        with self._lock:
            first = self._current
        count = 1 if self.pinned else len(self._access.agents)
        for n in range(count):
            at = (first + n) % len(self._access.agents)
            try:
                answer = self._try(self._access.agents[at], method, path, query, body, timeout)
                with self._lock:
                    self._current = at if not self.pinned else self._current
                return answer
            except (OSError, http.client.HTTPException, ValueError) as e:
                last = e
        why = reason(last) if last else "no agent"
        raise Error(Kind.UNREACHABLE, f"{self.name}: {doing}: {why}{_CHECK}", safe_to_retry=True)

    def _try(
        self, agent: tuple[str, int], method: str, path: str, query: Mapping[str, str] | None, body: Any, timeout: float
    ) -> tuple[Any, Mapping[str, str]]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token := self._access.current_token():
            headers["X-Consul-Token"] = token
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        payload = json.dumps(body).encode() if body is not None else None
        for fresh in (False, True):
            connection = self._take(agent, timeout, fresh)
            try:
                connection.request(method, target, payload, headers)
                response = connection.getresponse()
                text = response.read(_MAX_ANSWER + 1)
            except (OSError, http.client.HTTPException):
                connection.close()
                if fresh or not getattr(connection, "reused", False):
                    raise
                continue  # the agent had closed the idle connection
            break
        if len(text) > _MAX_ANSWER:
            connection.close()
            raise ValueError("the answer is larger than 64 MiB")
        self._keep(agent, connection)
        if response.status != http.client.OK:
            raise StatusError(response.status, text.decode("utf-8", "replace").strip())
        return (json.loads(text) if text.strip() else None), {k.lower(): v for k, v in response.getheaders()}

    def _take(self, agent: tuple[str, int], timeout: float, fresh: bool) -> http.client.HTTPConnection:
        with self._lock:
            idle = self._idle.setdefault(agent, [])
            if idle and not fresh:
                kept = idle.pop()
                kept.reused = True  # type: ignore[attr-defined]
                if kept.sock is not None:
                    kept.sock.settimeout(timeout)
                return kept
        if not self._access.tls:
            return http.client.HTTPConnection(*agent, timeout=timeout)
        return _Secure(agent, timeout, self._access.context(), self._access.files["server-name"])

    def _keep(self, agent: tuple[str, int], connection: http.client.HTTPConnection) -> None:
        with self._lock:
            idle = self._idle.setdefault(agent, [])
            if len(idle) < 2 and connection.sock is not None:
                idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for idle in self._idle.values():
                for connection in idle:
                    connection.close()
            self._idle.clear()
