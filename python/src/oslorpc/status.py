"""Converts errors to gRPC statuses and back, and knows what a status proves about whether the
method ran.

This is the only module that maps kinds to status codes.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from google.protobuf.message import DecodeError

from oslorpc import errors, wire
from oslorpc.errors import REASONS, Error, Kind, RemoteError
from oslorpc.plain import plain
from oslorpc.v1 import errors_pb2 as pb
from oslorpc.v1 import target_pb2

DETAILS = "grpc-status-details-bin"
_TYPE = "oslorpc.v1.ErrorDetail"
_MAX_STATUS, _MAX_TEXT, _ENVELOPE = 4 << 10, 1 << 10, 64

CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, PERMISSION_DENIED = 1, 2, 3, 4, 7
RESOURCE_EXHAUSTED, FAILED_PRECONDITION, ABORTED, UNIMPLEMENTED = 8, 9, 10, 12
INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 13, 14, 16

_KINDS: dict[Kind, tuple[int, int]] = {
    Kind.INVALID_TARGET: (pb.ERROR_KIND_INVALID_TARGET, INVALID_ARGUMENT),
    Kind.UNSUPPORTED_VERSION: (pb.ERROR_KIND_UNSUPPORTED_VERSION, FAILED_PRECONDITION),
    Kind.NO_SUCH_METHOD: (pb.ERROR_KIND_NO_SUCH_METHOD, UNIMPLEMENTED),
    Kind.BAD_ARGUMENTS: (pb.ERROR_KIND_BAD_ARGUMENTS, INVALID_ARGUMENT),
    Kind.BAD_RESULT: (pb.ERROR_KIND_BAD_RESULT, INTERNAL),
    Kind.TOO_LARGE: (pb.ERROR_KIND_TOO_LARGE, RESOURCE_EXHAUSTED),
    Kind.ACCESS_DENIED: (pb.ERROR_KIND_ACCESS_DENIED, PERMISSION_DENIED),
    Kind.REMOTE: (pb.ERROR_KIND_REMOTE, UNKNOWN),
    Kind.TIMEOUT: (pb.ERROR_KIND_TIMEOUT, DEADLINE_EXCEEDED),
    Kind.OUTCOME_UNKNOWN: (pb.ERROR_KIND_OUTCOME_UNKNOWN, ABORTED),
    Kind.CANCELED: (pb.ERROR_KIND_CANCELED, CANCELLED),
}
_REFUSALS = {
    errors.FULL: (pb.ERROR_KIND_FULL, RESOURCE_EXHAUSTED),
    errors.STOPPING: (pb.ERROR_KIND_STOPPING, UNAVAILABLE),
    errors.MISDIRECTED: (pb.ERROR_KIND_MISDIRECTED, UNAVAILABLE),
    errors.DECLINED: (pb.ERROR_KIND_REFUSED, UNAVAILABLE),
}
_BY_WIRE = {wire_kind: kind for kind, (wire_kind, _) in _KINDS.items()}
_REASON_BY_WIRE = {wire_kind: reason for reason, (wire_kind, _) in _REFUSALS.items()}
# Kinds for which the method has run or may have run. A detail with not_started and one of these
# contradicts itself.
_RAN = (Kind.REMOTE, Kind.BAD_RESULT, Kind.OUTCOME_UNKNOWN)


def encode(
    e: Error,
    implemented: list[target_pb2.Implementation] | None = None,
    own: tuple[int, str] | None = None,
) -> tuple[int, str, bytes]:
    """Return an error as a code, a text and the bytes of its google.rpc.Status.

    The method's own code and text, if any, replace the error's, and the details stay.
    """
    form = _REFUSALS.get(e.reason) if e.kind is Kind.REFUSED else _KINDS.get(e.kind)
    if form is None:
        form = _KINDS[Kind.OUTCOME_UNKNOWN]
    wire_kind, code = form
    detail = pb.ErrorDetail(
        kind=wire_kind,  # type: ignore[arg-type]
        not_started=e.safe_to_retry,
        message=_valid(e.message),
        method=_valid(e.method),
        path=_valid(e.path),
        server=e.server,
        instance_id=e.instance_id,
        implemented=implemented or [],
    )
    if isinstance(e, RemoteError):
        detail.remote.type, detail.remote.message = _valid(e.type), _valid(e.remote_message)
        detail.remote.stack.extend(map(_valid, e.stack))
        detail.remote.hops.extend(map(_valid, e.hops))
        detail.remote.data = e.data
    text = f"{e.kind.words}: {detail.message}" if detail.message else e.kind.words
    if own is not None:
        code, text = own
    text = trim_text(text)
    _trim(detail, _MAX_STATUS - _ENVELOPE - len(text.encode()))
    status = wire.Status(code=code, message=text)
    status.details.add(type_url="type.googleapis.com/" + _TYPE, value=detail.SerializeToString(deterministic=True))
    return code, text, status.SerializeToString()


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def _trim(d: pb.ErrorDetail, budget: int) -> None:
    """Trim a detail to its maximum size: stack lines first, then duplicate text, then the data,
    then the longest texts.
    """
    remote = d.remote if d.HasField("remote") else None
    if remote is not None:
        excess = d.ByteSize() - budget
        while remote.stack and excess > 0:
            excess -= len(remote.stack.pop().encode())
        if d.ByteSize() > budget:
            d.message = ""  # the remote error repeats it
        if d.ByteSize() > budget:
            remote.data = ""  # a part of the data would not be JSON
    limit = budget
    while d.ByteSize() > budget:
        _shorten(d, limit)
        limit -= limit // 16 + 1


def _shorten(d: pb.ErrorDetail, limit: int) -> None:
    del d.implemented[limit // 64 :]
    d.message, d.method, d.path = _cut(d.message, limit), _cut(d.method, limit), _cut(d.path, limit)
    d.server, d.instance_id = _cut(d.server, limit), _cut(d.instance_id, limit)
    for i in d.implemented:
        i.version = _cut(i.version, limit)
        if i.HasField("namespace"):
            i.namespace = _cut(i.namespace, limit)
    if d.HasField("remote"):
        r = d.remote
        del r.hops[limit // 64 :]
        r.type, r.message, r.data = _cut(r.type, limit), _cut(r.message, limit), _cut(r.data, limit)
        for texts in (r.stack, r.hops):
            for n, text in enumerate(texts):
                texts[n] = _cut(text, limit)


def _cut(text: str, limit: int) -> str:
    """Shorten a text to a number of bytes, without breaking a character."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    if limit < 3:
        return ""
    return encoded[: limit - 3].decode("utf-8", "ignore") + "…"


def trim_text(text: str) -> str:
    """Shorten a text so that its percent-encoded form in HTTP/2 has at most 1 KiB."""
    text = _valid(text)
    size = end = 0
    for n, c in enumerate(text):
        if size <= _MAX_TEXT - 9:
            end = n
        size += 1 if " " <= c <= "~" and c != "%" else 3 * len(c.encode())
        if size > _MAX_TEXT:
            return text[:end] + "…"
    return text


def details_of(encoded: bytes | None) -> tuple[pb.ErrorDetail | None, bool]:
    """Return the detail in a google.rpc.Status, and whether the status or its detail is garbled."""
    if not encoded:
        return None, False
    try:
        status = wire.Status.FromString(encoded)
        found = [d for d in status.details if d.type_url.rpartition("/")[2] == _TYPE]
        if len(found) > 1:
            return None, True
        return (pb.ErrorDetail.FromString(found[0].value), False) if found else (None, False)
    except DecodeError:
        return None, True


@dataclasses.dataclass(slots=True)
class Evidence:
    """What is known about an RPC besides its status.

    ``sent`` is True if the RPC was begun, so that a stream may have been opened. ``headers`` and
    ``replied`` are True if headers, or a reply, came from the server.
    """

    sent: bool = True
    headers: bool = False
    replied: bool = False

    def decode(self, code: int, text: str, encoded: bytes | None) -> Error:
        """Return the error for a status.

        Only our own detail proves that a message did not run.
        """
        text = text[:_MAX_TEXT]
        detail, garbled = details_of(encoded)
        if detail is not None:
            return self._of_detail(detail, text)
        if garbled:
            message = f"the RPC ended with several details, or one that cannot be read: {text}"
            return Error(Kind.OUTCOME_UNKNOWN, message, safe_to_retry=not self.sent)
        return self._bare(code, text)

    def _bare(self, code: int, text: str) -> Error:
        safe = not self.sent
        far = "it was not sent" if safe else "no answer came; the method may have run"
        if code == DEADLINE_EXCEEDED:
            return Error(Kind.TIMEOUT, far, safe_to_retry=safe)
        if code == CANCELLED:
            return Error(Kind.CANCELED, far, safe_to_retry=safe)
        if code in (PERMISSION_DENIED, UNAUTHENTICATED):
            return Error(Kind.ACCESS_DENIED, text, safe_to_retry=safe)
        if safe:
            return Error(Kind.INVALID if code == INTERNAL else Kind.UNREACHABLE, plain(text), safe_to_retry=True)
        if code == UNIMPLEMENTED and not self.headers:
            if "grpc-encoding" in text:
                return Error(Kind.INVALID, "the server does not know the compressor: " + text, safe_to_retry=True)
            return errors.refused(errors.FOREIGN, f"{REASONS[errors.FOREIGN]}, which does not speak oslorpc: {text}")
        return Error(*_unproven(code, text))

    def _of_detail(self, d: pb.ErrorDetail, text: str) -> Error:
        if d.ByteSize() > _MAX_STATUS:
            _trim(d, _MAX_STATUS - _ENVELOPE)
        about: dict[str, Any] = {"method": d.method, "path": d.path, "server": d.server, "instance_id": d.instance_id}
        reason = _REASON_BY_WIRE.get(d.kind, "")
        known = bool(reason) or d.kind in _BY_WIRE
        kind = Kind.REFUSED if reason else _BY_WIRE.get(d.kind, Kind.OUTCOME_UNKNOWN)
        message = d.message or REASONS.get(reason, "")
        if not known:
            message = f"kind {d.kind}, which is not known here: {text}"
        safe = d.not_started and (not known or kind not in _RAN)
        if self.replied and (d.not_started or kind is Kind.REFUSED):
            safe, kind, reason = False, Kind.OUTCOME_UNKNOWN, ""
            message = "the server answered, and then said that it did not start the method: " + message
        elif kind is Kind.REFUSED and not safe:
            kind, reason = Kind.OUTCOME_UNKNOWN, ""
            message = "the server refused the message, and does not say that it did not start the method: " + message
        elif not known and safe:
            kind = Kind.REFUSED
        if kind is Kind.REMOTE:
            r = d.remote
            return RemoteError(
                r.type or "error", r.message or d.message, tuple(r.stack), tuple(r.hops), r.data, **about
            )
        return Error(kind, message, safe_to_retry=safe, reason=reason, **about)


_CHECK = "it may have run: check that before you send it again"


def _unproven(code: int, text: str) -> tuple[Kind, str]:
    if code == RESOURCE_EXHAUSTED and re.search("larger than max", text):
        return Kind.TOO_LARGE, f"gRPC refused the size of the request or the result; the method may have run: {text}"
    if code == UNIMPLEMENTED:
        return Kind.NO_SUCH_METHOD, "the peer does not speak oslorpc: " + text
    if code == UNAVAILABLE:
        why = f" ({plain(text)})" if text else ""
        return Kind.OUTCOME_UNKNOWN, f"the connection was lost after the message was sent{why}; {_CHECK}"
    message = f"the RPC ended with status {code}, which does not say whether the method ran: {plain(text)}"
    return Kind.OUTCOME_UNKNOWN, message
