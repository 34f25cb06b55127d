"""The errors of servers that hide failures. They contain only what the program wrote for its
callers.
"""

from __future__ import annotations

import logging
import secrets

from oslorpc.errors import Error, Kind

_log = logging.getLogger("oslorpc.server")
_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_TOLD = (
    Kind.ACCESS_DENIED, Kind.INVALID_TARGET, Kind.BAD_ARGUMENTS, Kind.TOO_LARGE, Kind.REFUSED, Kind.TIMEOUT,
)  # fmt: skip


def new_id() -> str:
    """Return a new id for a failure. It is in the sender's error and in the server's log, so that
    the two can be matched.
    """
    return "".join(secrets.choice(_LETTERS) for _ in range(12))


def hidden(what: str, id: str) -> str:
    """Return the text of an error whose reason is hidden."""
    return f"{what}; the log of the server has the reason, as failure {id}"


def refusal(refused: Error, cause: BaseException, method: str) -> Error:
    """Return the sender's error for an interceptor's refusal.

    It keeps the text of an Error of a kind for refusals.
    """
    if isinstance(cause, Error) and cause.kind in _TOLD and cause.message:
        return refused
    id = new_id()
    _log.warning(
        "an interceptor refused a message: method=%s error=%s failure=%s", method[:255], refused.message[:4096], id
    )
    return Error(
        refused.kind, hidden("an interceptor of the server refused this", id), reason=refused.reason, safe_to_retry=True
    )


def result(e: Error, server: str, method: str) -> Error:
    """Return the sender's error for a result that cannot be sent.

    Its text is hidden, because it may name types of the program.
    """
    if e.kind is not Kind.BAD_RESULT:
        return e
    what, id = "the method ran, and its result cannot be encoded", new_id()
    _log.error("%s: server=%s method=%s error=%s failure=%s", what, server, method[:255], e.message[:4096], id)
    return Error(e.kind, hidden(what, id))
