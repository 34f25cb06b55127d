"""How RPCs end with an error: the error becomes a status with details."""

from __future__ import annotations

from typing import Any

import grpc
import grpc.aio

from oslorpc import intake, status
from oslorpc.errors import Error, Kind
from oslorpc.v1 import target_pb2

Context = grpc.aio.ServicerContext[Any, Any]


async def abort(
    context: Context,
    e: Error,
    served: intake.Served | None = None,
    namespace: str = "",
    own: tuple[grpc.StatusCode, str] | None = None,
) -> None:
    """End an RPC with an error. An error about versions lists the versions that the server has in
    the namespace.

    If the method set its own status, that status is sent in place of the error's, with the error's
    details.
    """
    implemented = None
    if e.kind is Kind.UNSUPPORTED_VERSION and served is not None:
        implemented = [
            target_pb2.Implementation(namespace=i.namespace or None, version=str(i.version))
            for i in served.dispatcher.table.offers(namespace)
        ]
    code, text, encoded = status.encode(e, implemented, None if own is None else (own[0].value[0], own[1]))
    context.set_trailing_metadata(((status.DETAILS, encoded),))
    await context.abort(_CODES[code], text)


_CODES = {code.value[0]: code for code in grpc.StatusCode}
