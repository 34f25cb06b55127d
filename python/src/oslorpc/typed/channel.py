"""The channel for generated stubs: their RPCs are typed messages of a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import grpc

from oslorpc.errors import invalid
from oslorpc.typed.sender import Sender
from oslorpc.typed.service import Method, find

if TYPE_CHECKING:
    from oslorpc.client import Client


class TypedChannel(grpc.Channel):
    """A channel for stubs of typed services.

    Closing it has no effect, since the transport owns the connections.
    """

    def __init__(self, client: Client, ctxt: Mapping[str, Any] | None) -> None:
        self._sender = Sender(client, ctxt)

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for a unary method."""
        return _Unary(self._sender.unary, method, *args, **kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable for a method that streams its answers."""
        return _Unary(self._sender.stream, method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable that raises an Error: client streams are not supported."""
        return _Streams(method)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Return a callable that raises an Error: client streams are not supported."""
        return _Streams(method)

    def subscribe(self, callback: Any, try_to_connect: bool | None = False) -> None:
        """Raise an Error: there is no single connection to watch."""
        raise invalid("a typed channel has no single connection to watch: each message goes to a server of the topic")

    def unsubscribe(self, callback: Any) -> None:
        """Do nothing: there are no subscriptions."""

    def close(self) -> None:
        """Do nothing, since the transport closes the connections."""

    def __enter__(self) -> TypedChannel:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Unary:
    """Calls a method with one message.

    Unlike gRPC's callables, it has no future() and no with_call().
    """

    def __init__(
        self,
        send: Callable[..., Any],
        path: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool | None = None,
    ) -> None:
        self._send, self._method = send, find(path)
        self._read = response_deserializer or bytes

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: Any = None,
        wait_for_ready: bool | None = None,
        compression: Any = None,
    ) -> Any:
        options = {"metadata": metadata, "credentials": credentials, "compression": compression}
        options["wait_for_ready"] = wait_for_ready
        return self._send(self._method, request, self._read, timeout, given(self._method, options))


def given(method: Method, options: Mapping[str, Any]) -> bool | None:
    """Return whether the call options ask for fail_fast, or None if they do not say.

    Raises an Error for an unsupported option.
    """
    unknown = [name for name, value in options.items() if value and name != "wait_for_ready"]
    if unknown:
        raise invalid(f"{method.path}: {unknown[0]} cannot be given with a message: give it to the client")
    waits = options.get("wait_for_ready")
    return None if waits is None else not waits


class _Streams:
    """Stands for a method with a client stream, which is not supported."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise invalid(f"{self._path}: the Python package does not send streams")
