"""The context of methods of typed services: the usual parts of gRPC's context, and the request
context.
"""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from oslorpc.context import RequestContext


class AbortedError(Exception):
    """Raised by abort() to end a method with the status that it chose."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


class TypedContext:
    """The context of a method of a typed service.

    ``request_context`` is the request context with information about the message, as methods of
    endpoints get it.
    """

    def __init__(self, ctxt: RequestContext) -> None:
        self.request_context = ctxt
        self._message: Any = ctxt._message

    def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the method with a status. Coroutines may await it."""
        raise AbortedError(grpc.StatusCode.UNKNOWN if code is grpc.StatusCode.OK else code, details)

    def invocation_metadata(self) -> Any:
        """Return the headers of the message."""
        return self._message.headers

    def peer(self) -> str:
        """Return the address of the caller."""
        address: str = self._message.peer.addr
        return address

    def time_remaining(self) -> float | None:
        """Return how many seconds the caller still waits, or None if no caller waits, as for a
        cast.
        """
        return self.request_context.remaining

    def is_active(self) -> bool:
        """Whether the caller still waits. If not, the method should end."""
        return not self.request_context.canceled
