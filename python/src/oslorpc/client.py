"""The blocking client."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc

from oslorpc import delivery, errors, frame
from oslorpc.around import Sending, unsent
from oslorpc.clientcore import (
    ASK_TIMEOUT,
    CALL_TIMEOUT,
    CAST_TIMEOUT,
    ClientCore,
    Operation,
    Sendable,
    TransportCore,
    result_of,
)
from oslorpc.connection import closed, failure
from oslorpc.delivery import Connect, Send, Wait
from oslorpc.errors import Error, Kind
from oslorpc.fanout import Audience, Delivered, Reply, Report, audience
from oslorpc.fleet import Entry, Topic
from oslorpc.link import BlockingLink
from oslorpc.plain import reason
from oslorpc.watchdog import Watchdog

AT_ONCE = 64


class Client(ClientCore[TransportCore]):
    """Sends messages, and waits for the results. May be used from any thread."""

    def call(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> Any:
        """Call a method on one server, and return its result."""
        op = self._operation(method, ctxt, kwargs, CALL_TIMEOUT)
        self._check_one()
        return self._deliver(op, self._send_monitored if op.plan.monitor else self._send_call)

    def cast(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> None:
        """Send a message that one server accepts now and runs later.

        If the target says fanout, send it to every server.
        """
        if self.target.fanout:
            self.fanout(ctxt, method, **kwargs)
            return
        op = self._operation(method, ctxt, kwargs, CAST_TIMEOUT)
        op.delivery = "cast"
        self._deliver(op, self._send_cast)

    def multicall(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> Items:
        """Call a method on one server, and iterate over its results as they arrive.

        To stop early, close the iterator.
        """
        op = self._operation(method, ctxt, kwargs, CALL_TIMEOUT)
        self._check_one()
        op.delivery = "multicall"
        failure: Exception = unsent()
        with contextlib.ExitStack() as stack:
            send = self._within(op, self._send_multicall, stack)
            try:
                items: Items = self._offer(op, send)
            except Exception as e:
                failure = e
                raise
            items.around = stack.pop_all()
            return items
        raise failure

    def fanout(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> Report:
        """Send a message to every server, and return a report of which accepted it."""
        op = self._everyone()._operation(method, ctxt, kwargs, CAST_TIMEOUT)
        op.delivery = "fanout"
        send: Any = None
        with contextlib.ExitStack() as stack:
            send = self._within(op, self._send_cast, stack, copies=True)
            to = self._audience(op)
            with concurrent.futures.ThreadPoolExecutor(min(len(to.reached), AT_ONCE) or 1) as pool:
                ends = list(pool.map(lambda e: self._one(op, to, e, send), to.reached))
            return to.report(ends)
        if send is None:
            raise unsent()
        return Report(())

    def gather(self, ctxt: Mapping[str, Any] | None, method: str, /, **kwargs: Any) -> Iterator[Reply]:
        """Call a method on every server, and iterate over the replies as they arrive, one per
        server.
        """
        op = self._everyone()._operation(method, ctxt, kwargs, CALL_TIMEOUT)
        op.delivery = "gather"
        send: Any = None
        with contextlib.ExitStack() as stack:
            send = self._within(op, self._send_monitored if op.plan.monitor else self._send_call, stack, copies=True)
            to = self._audience(op)
            pool = concurrent.futures.ThreadPoolExecutor(min(len(to.reached), AT_ONCE) or 1)
            futures = [pool.submit(self._one, op, to, e, send) for e in to.reached]
            pool.shutdown(wait=False)
            return self._replies(to, futures, stack.pop_all())
        if send is None:
            raise unsent()
        return iter(())

    def _within(self, op: Sendable, send: Any, stack: contextlib.ExitStack, copies: bool = False) -> Any:
        """Enter the interceptors around a message, and wrap ``send`` in those around attempts."""
        t, send = self._transport, op.plan.topic.missed.telling(send)
        if not t.points.client:
            return send
        sending = Sending(t.points, op, t.caller, t.exchange)
        sending.enter(stack)
        return sending.blocking(send, copies)

    def _replies(
        self, to: Audience, futures: list[concurrent.futures.Future[Delivered]], around: contextlib.ExitStack
    ) -> Iterator[Reply]:
        with around:
            yield from self._come(to, futures)

    def _come(self, to: Audience, futures: list[concurrent.futures.Future[Delivered]]) -> Iterator[Reply]:
        try:
            yield from to.others(self._transport.exceptions)
            for future in concurrent.futures.as_completed(futures):
                yield to.reply(future.result(), self._transport.exceptions)
        finally:
            for future in futures:
                future.cancel()

    def channel(self, ctxt: Mapping[str, Any] | None = None) -> grpc.Channel:
        """Return a channel for generated stubs of typed services.

        Each message asks for the version that its method and its set fields need. Older servers get
        the message without the fields that may be dropped. The topic and the namespace are the
        service's, unless the target sets others. Methods see ctxt as the request context.
        """
        from oslorpc.typed.channel import TypedChannel

        return TypedChannel(self, ctxt)

    def can_send_version(self, version: str | None = None) -> bool:
        """Whether the version cap allows messages of a version, by default the client's version.

        With the cap "auto", this depends on the servers of the fleet.
        """
        wanted = self._wanted(version)
        if not self._cap.auto:
            return self._cap.allows(wanted)
        topic = self._watched()
        deadline = time.monotonic() + (self.options.timeout or ASK_TIMEOUT)
        return self._allows(version, known(topic, deadline, self.options.fail_fast))

    def _audience(self, op: Sendable) -> Audience:
        try:
            return audience(op, known(op.plan.topic, op.deadline, op.plan.fail_fast))
        except Error as e:
            raise delivery.about(e, op) from None

    def _deliver(self, op: Sendable, send: Any) -> Any:
        """Send a message to one server, through the interceptors."""
        if not self._transport.points.client:
            return self._offer(op, op.plan.topic.missed.telling(send))
        sending: Any = None
        with contextlib.ExitStack() as stack:
            sending = self._within(op, send, stack)
            return self._offer(op, sending)
        if sending is None:
            raise unsent()
        return None

    def _offer(self, op: Sendable, send: Any) -> Any:
        """Send to the usual instance. If that fails, follow the rules of delivery."""
        first: tuple[Entry, Error] | None = None
        entry = delivery.usual(op)
        if entry is not None:
            try:
                return send(op, entry)
            except Error as failed:
                first = entry, failed
        steps = delivery.deliver(op, first)
        try:
            step = next(steps)
            while True:
                step = self._step(op, send, steps, step)
        except StopIteration as end:
            return end.value
        except Error as e:
            error = errors.raised(e, self._transport.exceptions)
        raise error

    def _step(self, op: Sendable, send: Any, steps: delivery.Delivery, step: delivery.Step) -> delivery.Step:
        if isinstance(step, Send):
            try:
                result = send(op, step.entry)
            except Error as e:
                return steps.throw(e)
            return steps.send(result)
        if isinstance(step, Connect):
            return steps.send(link_of(step.entry).connect(step.seconds))
        assert isinstance(step, Wait)
        op.plan.topic.wait(step.seen, step.seconds)
        return next(steps)

    def _one(self, op: Sendable, to: Audience, e: Entry, send: Any) -> Delivered:
        """Send one server its copy of a message. If the server is full, retry for a second."""
        patience = to.patience()
        while True:
            try:
                if e.link.hopeless or not (e.link.ready or link_of(e).connect(min(1.0, op.remaining))):
                    raise e.link.unreachable(e.describe())
                return Delivered(e, send(op, e))
            except Error as error:
                pause = patience.after(error)
                if pause is None:
                    return to.failed(e, error)
                time.sleep(pause)

    def _send_call(self, op: Operation, e: Entry) -> Any:
        link = link_of(e)
        link.began()
        try:
            response = link.call(op.to(e), op.remaining, link.headers())
        except Exception as error:
            raise failed(link, error) from None
        finally:
            link.ended()
        return self._result(frame.parse(response))

    def _send_cast(self, op: Operation, e: Entry) -> None:
        link = link_of(e)
        link.began()
        try:
            link.cast(op.to(e), op.remaining, link.headers())
        except Exception as error:
            raise failed(link, error) from None
        finally:
            link.ended()

    def _send_monitored(self, op: Operation, e: Entry) -> Any:
        silence = op.plan.monitor or 0.0
        request = op.monitored(e, silence)
        with _Sending(e) as link:
            stream = link.monitored(request, op.remaining, link.headers())
            with Watchdog(stream.cancel) as dog:
                dog.expect(silence)
                try:
                    for response in stream:
                        if response.HasField("response"):
                            return self._result(response.response.result)
                        dog.expect(silence)
                except grpc.RpcError:
                    if dog.barked:
                        message = f"neither a heartbeat nor the reply came for {silence:g} s; the method may have run"
                        raise Error(Kind.MONITOR_TIMEOUT, message) from None
                    raise
        raise Error(Kind.OUTCOME_UNKNOWN, "the server ended the call without a reply")

    def _send_multicall(self, op: Operation, e: Entry) -> Items:
        link = link_of(e)
        link.began()
        try:
            stream = link.multicall(op.to(e), None, link.headers())
        except BaseException:
            link.ended()
            raise
        items = Items(self, op, e, stream, lambda response: result_of(frame.parse(response)))
        items.fetch(op.remaining)  # the first item shows that the server accepted the message
        return items


def known(topic: Topic, deadline: float, fail_fast: bool) -> tuple[Entry, ...]:
    """Wait until the entries of a topic are known, and return them.

    Raises an Unreachable at the deadline, or with ``fail_fast``, if discovery cannot be read.
    """
    while True:
        seen, entries = topic.snapshot()
        if entries is not None:
            return entries
        if time.monotonic() >= deadline or (fail_fast and topic.error):
            why = reason(topic.error) if topic.error else f"{topic.registry} did not answer"
            why = "not sent: " + why
            raise Error(Kind.UNREACHABLE, why, safe_to_retry=True)
        topic.wait(seen, deadline - time.monotonic())


def link_of(e: Entry) -> BlockingLink:
    return e.link  # type: ignore[return-value]  # the pool of a blocking transport has only these


def failed(link: BlockingLink, error: Exception) -> Exception:
    """Convert the error of an RPC to an Error."""
    if isinstance(error, grpc.RpcError):
        ours = failure(error)
        if ours.kind in (Kind.OUTCOME_UNKNOWN, Kind.UNREACHABLE) and error.code() is grpc.StatusCode.UNAVAILABLE:
            link.lost()
        return ours
    return closed() if isinstance(error, ValueError) and "closed channel" in str(error) else error


class _Sending:
    """Counts a message on its link, and converts the error of its RPC to an Error."""

    def __init__(self, e: Entry) -> None:
        self._link = link_of(e)

    def __enter__(self) -> BlockingLink:
        self._link.began()
        return self._link

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._link.ended()
        if isinstance(error, Exception) and (ours := failed(self._link, error)) is not error:
            raise ours from None


class Items:
    """The results of a multicall. Each item may take as long as the client's timeout."""

    def __init__(self, client: Client, op: Sendable, e: Entry, stream: Any, read: Callable[[bytes], Any]) -> None:
        self._client, self._op, self._entry, self._stream = client, op, e, stream
        self._read = read
        self._timeout = client.options.timeout or CALL_TIMEOUT
        self._next: list[Any] = []
        self.around = contextlib.ExitStack()  # the interceptors of the client
        self._replied = False
        self._ended = False
        self._end: Error | None = None
        self._lock = threading.Lock()

    def __iter__(self) -> Items:
        return self

    def __enter__(self) -> Items:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Any:
        if not self._next and not self._ended:
            try:
                self.fetch(self._timeout)
            except Error as e:
                self._end = self._about(e)
        if self._next:
            return self._next.pop()
        around, self.around = self.around, contextlib.ExitStack()
        with around:
            if self._end is not None:
                raise errors.raised(self._end, self._client._transport.exceptions)
        self._end = None
        raise StopIteration

    def fetch(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for an item or the end: an Error if the call failed."""
        with Watchdog(self._stream.cancel) as dog:
            dog.expect(timeout)
            try:
                response = next(self._stream)
                self._replied = True
                self._next.append(self._read(response))
            except StopIteration:
                self._finish()
            except grpc.RpcError as e:
                self._finish()
                if dog.barked:
                    raise Error(Kind.TIMEOUT, "the next item did not come in time; the method may have run") from None
                raise failure(e, self._replied) from None

    def _about(self, e: Error) -> Error:
        i = self._entry.instance
        e.server, e.addr, e.instance_id = e.server or i.server, i.addr, e.instance_id or i.id
        return delivery.about(e, self._op)

    def _finish(self) -> None:
        with self._lock:
            if not self._ended:
                self._ended = True
                self._entry.link.ended()

    def close(self) -> None:
        """Stop early. This cancels the method."""
        self._stream.cancel()
        self._finish()
        self.around.close()

    def __del__(self) -> None:
        if not getattr(self, "_ended", True):
            self.close()
