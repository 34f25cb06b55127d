"""The servers of the service: what discovery says about them, and how they receive messages."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import threading
from typing import TYPE_CHECKING, Any

from oslo_messaging._drivers import base
from oslo_serialization import jsonutils

from oslorpc.oslo import failure as failures
from oslorpc.oslo.frames import Header
from oslorpc.oslo.link import FailedError, HelperGoneError, Link
from oslorpc.versions import Version

if TYPE_CHECKING:
    from oslorpc.oslo.driver import Driver

_log = logging.getLogger("oslorpc.oslo")
_WORKERS = 64


class Incoming(base.RpcIncomingMessage):  # type: ignore[misc]
    """A message for a server of the service."""

    def __init__(self, link: Link, header: Header, kwargs: str, context: str) -> None:
        message = {"method": header["method"], "args": jsonutils.loads(kwargs) if kwargs else {}}
        for name in ("namespace", "version"):
            if header[name] is not None:
                message[name] = header[name]
        super().__init__(jsonutils.loads(context) if context else {}, message)
        self.msg_id = header["id"]
        self._link: Link | None = link
        self._answer = {"op": "reply", "listener": header["listener"], "number": header["number"]}

    def acknowledge(self) -> None:
        """Do nothing: an accepted message is never sent again."""

    def requeue(self) -> None:
        """Do nothing: only notifications can be requeued."""

    def heartbeat(self) -> None:
        """Raise NotImplementedError, which ends oslo.messaging's thread for heartbeats: the helper
        process sends them.
        """
        raise NotImplementedError("the helper process sends the heartbeats")

    def reply(self, reply: Any = None, failure: Any = None) -> None:
        """Send the result or the failure. Raises nothing."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            link.post(*self._replied(reply, failure))
        except HelperGoneError:
            _log.warning("the reply of %s cannot be sent: the helper process ended", self.message["method"])
        except Exception:
            _log.exception("the reply of %s cannot be sent", self.message["method"])

    def _replied(self, reply: Any, failure: Any) -> Any:
        if failure is not None:
            return ({**self._answer, "remote": failures.describe(failure)},)
        try:
            text = jsonutils.dumps(reply, ensure_ascii=False, allow_nan=False)
            text.encode()
        except Exception as e:
            message = f"the result of {self.message['method']} cannot be written as JSON: {e}"
            _log.error("%s", message)
            return ({**self._answer, "error": "BadResult", "message": message},)
        return self._answer, text


class Listener(base.Listener):  # type: ignore[misc]
    """Receives the messages of one server."""

    def __init__(self, driver: Driver, target: Any) -> None:
        super().__init__(1, None)
        self._driver, self._target = driver, target
        self._number = driver.number()
        self._description: dict[str, Any] = {}
        self._changing = threading.Lock()
        self._link: Link | None = None
        self._stopped = True

    def start(self, on_incoming_callback: Any) -> None:
        """Register the server, and return when other processes can find it."""
        super().start(on_incoming_callback)
        server = getattr(on_incoming_callback, "__self__", None)
        self._description = {
            "exchange": self._driver.exchange(self._target),
            "topic": self._target.topic,
            "server": self._target.server,
            "workers": _workers(server),
            "endpoints": describe(server),
        }
        self._stopped = False
        self._driver.listeners.add(self)
        try:
            self.register(self._driver.link())
        except BaseException:
            self._stopped = True
            self._driver.listeners.discard(self)
            raise

    def register(self, link: Link) -> None:
        """Register the server with a helper process."""
        with self._changing:
            if self._stopped or self._link is link:
                return
            link.receivers[self._number] = lambda header, texts: self._receive(link, header, texts)
            header = {"op": "listen", "listener": self._number, "server": self._description}
            try:
                self._driver.ask(link, header)
            except BaseException:
                del link.receivers[self._number]
                raise
            self._link = link

    def _receive(self, link: Link, header: Header, texts: list[str]) -> None:
        """Pass a message to the service.

        Raises nothing, since the thread also handles other messages.
        """
        try:
            callback = self.on_incoming_callback
            if callback is None:
                raise RuntimeError("the server was stopped")
            callback([Incoming(link, header, *texts)])
        except Exception as e:
            _log.exception("a message for the method %s was not accepted", header["method"])
            told = {"error": "OutcomeUnknown", "message": f"the service did not accept the message: {e!r}"}
            with contextlib.suppress(HelperGoneError):
                link.post({"op": "reply", "listener": header["listener"], "number": header["number"], **told})

    def stop(self) -> None:
        """Withdraw the server, and return when all accepted messages were passed to the service."""
        self._stopped = True
        self._tell("stop")
        super().stop()

    def cleanup(self) -> None:
        """Return when all accepted messages have been answered."""
        self._tell("finish")
        self._driver.listeners.discard(self)
        if self._link is not None:
            self._link.receivers.pop(self._number, None)

    def _tell(self, what: str) -> None:
        with self._changing:
            link = self._link
        if link is None:
            return
        try:
            link.ask({"op": what, "listener": self._number})
        except HelperGoneError:
            pass  # the server ended with the helper
        except FailedError as e:
            _log.warning("the server %s could not %s: %s", self._target.server, what, e)


class Both(base.Listener):  # type: ignore[misc]
    """Receives the messages of one server on two transports."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__(1, None)
        self._listeners = first, second

    def start(self, on_incoming_callback: Any) -> None:
        """Start both listeners."""
        super().start(on_incoming_callback)
        for listener in self._listeners:
            listener.start(on_incoming_callback)

    def stop(self) -> None:
        """Stop both listeners."""
        for listener in self._listeners:
            listener.stop()
        super().stop()

    def cleanup(self) -> None:
        """Clean up both listeners."""
        for listener in self._listeners:
            listener.cleanup()


def _workers(server: Any) -> int:
    """Return how many messages a server runs at the same time."""
    most = getattr(getattr(server, "_work_executor", None), "_max_workers", None)
    if not isinstance(most, int):
        most = getattr(getattr(server, "conf", None), "executor_thread_pool_size", None)
    return most if isinstance(most, int) and most > 0 else _WORKERS


def describe(server: Any) -> list[dict[str, Any]]:
    """Return the endpoints of a server: namespaces, version and methods of each."""
    dispatcher = server.dispatcher
    policy = dispatcher.access_policy
    described = []
    for endpoint in dispatcher.endpoints:
        target = getattr(endpoint, "target", None)
        version = (target.version if target else None) or "1.0"
        Version.parse(version)
        namespaces = target.accepted_namespaces if target else [None]
        described.append(
            {
                "namespaces": list(dict.fromkeys(name or "" for name in namespaces)),
                "version": version,
                "methods": _methods(endpoint, policy),
                "open": hasattr(type(endpoint), "__getattr__"),
            }
        )
    return described


def _methods(endpoint: object, policy: Any) -> list[Any]:
    methods = []
    for name in dir(endpoint):
        if name == "target" or name.startswith("__"):
            continue
        function = _attribute(endpoint, name)
        if callable(function) and policy.is_allowed(endpoint, name):
            methods.append([name, *_signature(function)])
    return methods


def _attribute(endpoint: object, name: str) -> Any:
    """Return an attribute, or None for a property, which would have to be computed."""
    if isinstance(inspect.getattr_static(endpoint, name, None), (property, functools.cached_property)):
        return None
    try:
        return getattr(endpoint, name, None)
    except Exception as e:
        _log.debug("the attribute %s of an endpoint cannot be read: %r", name, e)
        return None


def _signature(function: Any) -> tuple[list[tuple[str, bool]], bool]:
    """Return the names of a method's arguments, each with whether it is optional, and whether the
    method accepts others.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return [], True
    if parameters and parameters[0].kind in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        parameters = parameters[1:]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = [(p.name, p.default is not p.empty) for p in parameters if p.kind in named]
    return arguments, any(p.kind is p.VAR_KEYWORD for p in parameters)
