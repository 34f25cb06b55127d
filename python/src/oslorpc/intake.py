"""The checks of a request before a server runs it. Their order is in docs/protocol.md."""

from __future__ import annotations

import contextlib
import os
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Any

from oslorpc import errors, frame, payload
from oslorpc.discovery.base import Instance
from oslorpc.dispatcher import STOPPING, Dispatcher
from oslorpc.errors import Error, Kind, refused
from oslorpc.missed import Reports
from oslorpc.target import check_name
from oslorpc.v1 import rpc_pb2 as pb
from oslorpc.versions import DEFAULT_VERSION, Version

_FIELDS = ("exchange", "topic", "namespace", "version", "server")
# Headers that repeat a field of the message. The request decides; a header that differs is an
# error.
_HEADERS = {
    "oslorpc-exchange": lambda m: m.target.exchange,
    "oslorpc-topic": lambda m: m.target.topic,
    "oslorpc-server": lambda m: m.target.server,
    "oslorpc-version": lambda m: m.target.version,
    "oslorpc-instance": lambda m: m.instance_id,
    "oslorpc-id": lambda m: m.id,
    "oslorpc-order-key": lambda m: m.order_key,
}
_TRANSPORT = ("user-agent", "te", "content-type", "accept-encoding")  # headers that gRPC itself sets
_MALFORMED = re.compile("%(?![0-9A-Fa-f]{2})")


class Served:
    """A server of the process, with what finding the server of a message needs."""

    def __init__(self, instance: Instance, dispatcher: Dispatcher, missed: Reports | None = None) -> None:
        self.instance, self.dispatcher, self.missed = instance, dispatcher, missed
        self.shared = False  # other servers of the process accept the same messages


def check(m: pb.Message, has_message: bool) -> Version:
    """Check the receiver of a message, and return the version that it asks for."""
    if not has_message:
        raise _invalid("`message` is required: it names the receiver and the method")
    for name in _FIELDS:
        if m.target.HasField(name) and not getattr(m.target, name):
            raise _invalid(f"`target.{name}` is present and empty: leave it out")
    if m.target.fanout:
        raise _invalid("a request reaches one server: to fan out, send one to each and leave `target.fanout` out")
    if not m.method:
        raise _invalid("`method` is required: name the method to run")
    check_times(m)
    check_name("method name", m.method)
    if not m.target.topic:
        raise _invalid("a topic is required to send: give the target one")
    for name in ("exchange", "topic", "namespace", "server"):
        check_name(name, getattr(m.target, name))
    if not m.target.HasField("version"):
        return DEFAULT_VERSION
    try:
        return Version.parse(m.target.version)
    except ValueError as e:
        raise _invalid(str(e)) from None


def check_times(m: pb.Message) -> None:
    """Check the fields that can differ between messages with the same route."""
    for name in ("missed", "remaining"):
        if m.HasField(name) and seconds(getattr(m, name)) < 0:
            raise _invalid(f"`{name}` is negative: leave it out, or give a duration")
    if m.order_key:
        check_name("order key", m.order_key)


def check_headers(m: pb.Message, headers: Iterable[tuple[str, Any]]) -> None:
    """Refuse a message whose headers contradict it, or are malformed."""
    seen: set[str] = set()
    for key, value in headers:
        said = _HEADERS.get(key)
        if said is None:
            continue
        if key in seen:
            raise _invalid(f"the header {key} was sent more than once: send it once")
        seen.add(key)
        claimed, meant = unescape(key, value), said(m)
        if claimed != meant:
            says = f"says {meant!r:.64}" if meant else "does not set it"
            raise _invalid(f"the header {key} says {claimed!r:.64}, but the request {says}: leave the header out")


def unescape(key: str, value: str | None) -> str:
    """Return the value of a percent-encoded header, or an empty string if it is absent."""
    if value is None:
        return ""
    if not value:
        raise _invalid(f"the header {key} is empty: leave it out to say nothing")
    if "%" not in value:
        return value
    if not _MALFORMED.search(value):
        with contextlib.suppress(UnicodeDecodeError):
            return urllib.parse.unquote(value, errors="strict")
    raise _invalid(f"the header {key}: {value!r:.64} is malformed: percent-encode the name's UTF-8 bytes")


def seconds(duration: Any) -> float:
    """Return a duration in seconds."""
    return float(duration.seconds + duration.nanos / 1e9)


def _invalid(message: str) -> Error:
    return Error(Kind.INVALID_TARGET, message, safe_to_retry=True)


def find(servers: Sequence[Served], m: pb.Message, exchange: str, boot_id: str) -> Served:
    """Return the server for a message.

    A server that is stopping, held or draining is used only if there is no other.
    """
    want = (m.target.exchange or exchange, m.target.topic)
    meant = [
        s
        for s in servers
        if (s.instance.exchange, s.instance.topic) == want
        and m.target.server in ("", s.instance.server)
        and m.instance_id in ("", s.instance.id)
    ]
    if meant:
        active = [s for s in meant if s.dispatcher.phase == "active"]
        choice = active or meant
        chosen = choice[int.from_bytes(os.urandom(2)) % len(choice)] if len(choice) > 1 else choice[0]
        chosen.shared = len(meant) > 1
        return chosen
    raise absent(servers, m.instance_id, boot_id)


def absent(servers: Sequence[Served], instance_id: str, boot_id: str) -> Error:
    """Return the error for a message that is for no server of this process."""
    if instance_id.startswith(boot_id + ".") and all(s.instance.id != instance_id for s in servers):
        return refused(errors.STOPPING, "the instance has stopped")
    message = (
        "no server of this process matches the target; "
        "if the address is right, the topic, exchange or server name is not"
    )
    return refused(errors.MISDIRECTED, message)


def ping(servers: Sequence[Served], instance_id: str, boot_id: str) -> None:
    """Raise an Error unless the process has an instance with this id that is not stopping."""
    if not instance_id:
        return
    for s in servers:
        if s.instance.id == instance_id:
            if s.dispatcher.phase == STOPPING:
                raise refused(errors.STOPPING)
            return
    raise absent(servers, instance_id, boot_id)


def check_size(m: pb.Message, most: int) -> None:
    """Refuse a message that is too large."""
    size = m.kwargs.ByteSize() + m.context.ByteSize()
    if size > most + frame.ENVELOPE:
        message = f"the request has {size} bytes, and this server accepts at most {most}: send less at a time"
        raise Error(Kind.TOO_LARGE, message, safe_to_retry=True)


def metadata(m: pb.Message) -> dict[str, str]:
    """Return the metadata of a message without reserved names."""
    own = ((k.lower(), v) for k, v in m.metadata.items())
    return {k: v for k, v in own if not k.startswith(("oslorpc-", "grpc-"))}


def of_headers(headers: Iterable[tuple[str, Any]] | None) -> dict[str, str]:
    """Return the metadata in the headers of an RPC.

    Binary values, and the headers of gRPC and of the protocol, are left out, as in Go.
    """
    return {
        k: v
        for k, v in headers or ()
        if isinstance(v, str) and k not in _TRANSPORT and not k.startswith(("oslorpc-", "grpc-"))
    }


def content(part: str, p: Any) -> dict[str, Any]:
    """Decode the request context or the keyword arguments."""
    try:
        text = p.json
        value = payload.loads(text, Kind.BAD_ARGUMENTS) if text else payload.read(p, Kind.BAD_ARGUMENTS, {})
    except Error as e:
        e.message = f"{part}: {e.message}"
        raise
    if type(value) is not dict:
        what = "the request context" if part == "context" else "the arguments"
        raise Error(Kind.BAD_ARGUMENTS, f"{what} must be a JSON object, not {type(value).__name__}", safe_to_retry=True)
    return value
