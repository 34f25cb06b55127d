"""The driver that oslo.messaging loads for a transport_url of oslorpc."""

from __future__ import annotations

import logging
import os
import sys
import threading
import urllib.parse
from typing import Any, NoReturn

import oslo_messaging
from oslo_config import cfg
from oslo_messaging._drivers import base
from oslo_serialization import jsonutils

from oslorpc.oslo import failure as failures
from oslorpc.oslo.frames import Header
from oslorpc.oslo.link import FailedError, HelperGoneError, HelperLateError, Link, hub
from oslorpc.oslo.listener import Both, Listener

_log = logging.getLogger("oslorpc.oslo")
_GROUP = "oslo_messaging_oslorpc"
OPTIONS = [
    cfg.StrOpt(
        "listen",
        default="",
        help="Where servers listen: host:port, port 0 for any. Empty is a free port of the loopback interface, "
        "or a socket with oslorpc+local.",
    ),
    cfg.StrOpt(
        "advertise",
        default="",
        help="The host, or host:port, where other hosts connect to. Empty is the address of listen.",
    ),
    cfg.FloatOpt(
        "cast_timeout",
        default=30.0,
        min=0.1,
        help="How many seconds a cast waits for a server to accept it.",
    ),
    cfg.StrOpt(
        "undelivered_cast",
        default="fail",
        choices=[
            ("fail", "raise MessageDeliveryFailure"),
            ("log", "log a warning, and return"),
        ],
        help="What becomes of a cast that no server has accepted in time. There is no broker that could keep it.",
    ),
    cfg.FloatOpt(
        "stop_grace",
        default=0.5,
        min=0,
        help="How many seconds a stopping server still accepts messages, until others know that it stops.",
    ),
]
MIGRATION = [
    cfg.StrOpt(
        "second_transport_url",
        default="",
        secret=True,
        help="Another transport, on which servers listen as well, such as rabbit://user:password@host:5672/. It is "
        "for the time in which some services use it and others oslorpc.",
    ),
    cfg.StrOpt(
        "send_by",
        default="oslorpc",
        choices=[
            ("oslorpc", "transport_url"),
            ("second", "second_transport_url"),
        ],
        help="The transport by which messages are sent.",
    ),
]
_NOTIFICATIONS = (
    "oslorpc carries no notifications, which need a broker: set transport_url in the section "
    "[oslo_messaging_notifications], such as rabbit://user:password@host:5672/, or its driver to noop"
)


class Driver(base.BaseDriver):  # type: ignore[misc]
    """Sends and receives the RPCs of a service over oslorpc."""

    def __init__(
        self, conf: Any, url: Any, default_exchange: str | None = None, allowed_remote_exmods: list[str] | None = None
    ) -> None:
        conf.register_opts([*OPTIONS, *MIGRATION], group=_GROUP)
        super().__init__(conf, url, default_exchange, allowed_remote_exmods)
        self._options = conf[_GROUP]
        self._address = address(url)
        self.listeners: set[Listener] = set()
        self._opening = threading.Lock()
        self._opened: Link | None = None
        self._number = hub.number()
        self._second = _second(conf, self._options, self._allowed_remote_exmods)
        self._sends_by_second = self._options.send_by == "second"

    def send(
        self,
        target: Any,
        ctxt: Any,
        message: dict[str, Any],
        wait_for_reply: bool | None = None,
        timeout: float | None = None,
        call_monitor_timeout: float | None = None,
        retry: int | None = None,
        transport_options: Any = None,
    ) -> Any:
        """Send a message. For a call, wait for the result."""
        if self._sends_by_second:
            return self._second._send(
                target, ctxt, message, wait_for_reply, timeout, call_monitor_timeout, retry, transport_options
            )
        call = bool(wait_for_reply)
        if call and timeout is not None and timeout <= 0:
            raise oslo_messaging.MessagingTimeout("the timeout is 0")
        seconds = timeout if call and timeout is not None else self._options.cast_timeout
        at_least_once = bool(getattr(transport_options, "at_least_once", False)) and not target.fanout
        monitor = float(call_monitor_timeout) if call and call_monitor_timeout else None
        method = message["method"]
        header = {
            "op": "send",
            "call": call,
            "method": method,
            "target": [
                self.exchange(target),
                target.topic,
                message.get("namespace") or None,
                message.get("version"),
                None if target.fanout else target.server or None,
                bool(target.fanout),
            ],
            "how": [seconds, -1 if retry is None else retry, at_least_once, monitor],
        }
        try:
            texts = self.ask(self.link(), header, _written(message.get("args")), _written(ctxt), timeout=seconds)
        except FailedError as e:
            waits = call and (retry is None or retry < 0)
            return self._failed(e.told, target, method, call, waits, at_least_once)
        except HelperGoneError:
            raise oslo_messaging.MessageDeliveryFailure(
                f"the oslorpc helper process ended before {method} was answered; it may have run"
            ) from None
        except HelperLateError:
            raise oslo_messaging.MessagingTimeout(f"{method} was not answered in {seconds:g} s") from None
        return jsonutils.loads(texts[0]) if call else None

    def _failed(self, told: Header, target: Any, method: str, call: bool, waits: bool, at_least_once: bool) -> None:
        lost = told["kind"] in ("NoInstance", "Refused", "Unreachable", "Timeout")
        if lost and not call and not at_least_once and self._options.undelivered_cast == "log":
            _log.warning("cast lost: %s", told["message"])
            return
        failures.raise_for(told, target, method, waits, self._allowed_remote_exmods, at_least_once)

    def exchange(self, target: Any) -> str:
        """Return the exchange of a target."""
        return target.exchange or self._default_exchange or "openstack"

    def number(self) -> int:
        """Return a number for a new listener. No other listener of this process has it."""
        return hub.number()

    def link(self) -> Link:
        """Return the link to the helper process, in which the transport is open."""
        link = hub.link(self)
        if self._opened is not link:
            self._open(link)
        return link

    def ask(self, link: Link, header: Header, *texts: str, timeout: float | None = None) -> list[str]:
        """Send a request about the transport to the helper process."""
        header["transport"] = self._number
        return link.ask(header, *texts, timeout=timeout)

    def _open(self, link: Link) -> None:
        with self._opening:
            if self._opened is link:
                return
            o = self._options
            program = os.path.basename(sys.argv[0] if sys.argv else "") or "python"
            options = {
                "caller": program,
                "listen": o.listen,
                "advertise": o.advertise,
                "stop_grace": o.stop_grace,
            }
            try:
                self.ask(link, {"op": "open", "url": self._address, "options": options})
            except FailedError as e:
                raise oslo_messaging.InvalidTransportURL(str(self._url), str(e)) from None
            self._opened = link

    def restored(self, link: Link) -> None:
        """Register the servers again in a new helper process."""
        self._open(link)
        for listener in list(self.listeners):
            listener.register(link)

    def listen(self, target: Any, batch_size: int, batch_timeout: float | None) -> Listener | Both:
        """Return a listener for the messages of a server."""
        first = Listener(self, target)
        return first if self._second is None else Both(first, self._second._listen(target, batch_size, batch_timeout))

    def send_notification(self, target: Any, ctxt: Any, message: Any, version: Any, retry: Any = None) -> NoReturn:
        """Raise NotImplementedError, since the driver has no notifications."""
        raise NotImplementedError(_NOTIFICATIONS)

    def listen_for_notifications(
        self, targets_and_priorities: Any, pool: Any, batch_size: Any, batch_timeout: Any
    ) -> NoReturn:
        """Raise NotImplementedError, since the driver has no notifications."""
        raise NotImplementedError(_NOTIFICATIONS)

    def cleanup(self) -> None:
        """Close the transport. End the helper process if no other driver uses it."""
        link, self._opened = self._opened, None
        if link is not None and not link.dead and link.pid == os.getpid():
            try:
                self.ask(link, {"op": "close"})
            except (HelperGoneError, FailedError) as e:
                _log.warning("the transport was not closed in an orderly way: %s", e)
        hub.leave(self)
        if self._second is not None:
            self._second.cleanup()


def list_opts() -> list[tuple[str, list[Any]]]:
    """Return the options, for oslo-config-generator."""
    return [(_GROUP, [*OPTIONS, *MIGRATION])]


def _second(conf: Any, options: Any, allowed: list[str]) -> Any:
    """Return the second transport, or None."""
    url = options.second_transport_url
    if not url:
        if options.send_by == "second":
            raise cfg.ConfigFileValueError(f"[{_GROUP}] send_by = second needs second_transport_url")
        return None
    if url.startswith("oslorpc"):
        raise cfg.ConfigFileValueError(f"[{_GROUP}] second_transport_url must name another driver")
    return oslo_messaging.get_rpc_transport(conf, url, allowed_remote_exmods=allowed)


def _written(value: Any) -> str:
    """Return a value as JSON text.

    Raises a ValueError if it cannot be sent, as oslo.messaging's own drivers do.
    """
    text: str = jsonutils.dumps(value or {}, ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


def address(url: Any) -> str:
    """Return the oslorpc URL for a transport_url."""
    scheme = url.transport.partition("+")[2] or "gateway"
    text = str(url)
    if scheme not in ("consul", "local", "gateway"):
        known = "write oslorpc+consul://host:8500, oslorpc+local:///directory, or oslorpc://host:port for a gateway"
        raise oslo_messaging.InvalidTransportURL(text, f"the scheme {url.transport} is not known: {known}")
    if scheme == "gateway" and url.virtual_host:
        raise oslo_messaging.InvalidTransportURL(text, "a gateway has no virtual hosts: leave the path out")
    if any(host.username or host.password for host in url.hosts):
        raise oslo_messaging.InvalidTransportURL(
            text, "oslorpc has no user names and passwords: give certificates by ca, cert and key"
        )
    hosts = ",".join(_host(host) for host in url.hosts)
    path = "/" + urllib.parse.quote(url.virtual_host) if url.virtual_host else ""
    query = urllib.parse.urlencode(url.query or {})
    return f"{scheme}://{hosts}{path}" + (f"?{query}" if query else "")


def _host(host: Any) -> str:
    name = f"[{host.hostname}]" if ":" in host.hostname else host.hostname
    return f"{name}:{host.port}" if host.port else name
