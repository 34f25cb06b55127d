"""How the helper process sends the service's messages."""

from __future__ import annotations

import logging
from typing import Any

from oslorpc import payload
from oslorpc.aio.client import Client
from oslorpc.aio.transport import Transport
from oslorpc.clientcore import Options
from oslorpc.errors import Error, Kind
from oslorpc.fanout import Report
from oslorpc.oslo import frames
from oslorpc.target import Target

_log = logging.getLogger("oslorpc.oslo")
_CLIENTS = 1024
# Reasons for which a server does not run a cast. With oslo.messaging, servers log these, and
# senders do not learn of them.
_LOGGED = (Kind.NO_SUCH_METHOD, Kind.UNSUPPORTED_VERSION)


class _Client(Client):
    """Sends and returns JSON text without parsing it: the context, and the argument `json`, which
    contains all arguments.
    """

    def _operation(self, method: str, ctxt: Any, kwargs: Any, default_timeout: float) -> Any:
        return super()._operation(method, ctxt, kwargs["json"], default_timeout)

    def _result(self, p: Any) -> Any:
        if p.WhichOneof("encoding") == "json":
            return p.json
        return payload.dumps(payload.read(p, Kind.BAD_RESULT, None), Kind.BAD_RESULT)


class Senders:
    """The clients of a transport.

    They are cached, because messages for one target share much work.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._clients: dict[tuple[Any, ...], _Client] = {}

    async def send(self, header: frames.Header, texts: list[str]) -> tuple[str, ...]:
        """Send a message, and return the result of a call."""
        client = self._client(*header["target"], *header["how"])
        method, json, context = header["method"], payload.Raw(texts[0]), payload.Raw(texts[1])
        if header["call"]:
            return (await client.call(context, method, json=json),)  # type: ignore[arg-type]
        if client.target.fanout:
            _tell(await client.fanout(context, method, json=json), method)  # type: ignore[arg-type]
            return ()
        try:
            await client.cast(context, method, json=json)  # type: ignore[arg-type]
        except Error as e:
            if e.kind not in _LOGGED:
                raise
            _log.warning("cast failed: %s", e)
        return ()

    def _client(
        self,
        exchange: str,
        topic: str,
        namespace: str | None,
        version: str | None,
        server: str | None,
        fanout: bool,
        timeout: float,
        retry: int,
        fail_fast: bool,
        monitor: float | None,
    ) -> _Client:
        key = exchange, topic, namespace, version, server, fanout, timeout, retry, fail_fast, monitor
        client = self._clients.get(key)
        if client is None:
            if len(self._clients) >= _CLIENTS:
                self._clients.clear()
            target = Target(topic, exchange, namespace, version, server, fanout)
            options = Options(timeout, retry, fail_fast=fail_fast, call_monitor_timeout=monitor)
            client = self._clients[key] = _Client(self._transport, self._transport._fleet, target, options)
        return client


def _tell(report: Report, method: str) -> None:
    """Log which servers did not accept a fanout, since its sender does not learn that."""
    for outcome in report.failed:
        _log.warning("fanout not accepted: %s", outcome.error)
    if report.uncertain is not None:
        _log.warning("fanout of %s may have missed servers: %s", method, report.uncertain)
