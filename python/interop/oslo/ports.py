"""The error with a class, written as the exceptions of Nova are: a message, or what to make one
of.
"""

from typing import Any


class PortNotFound(Exception):  # noqa: N818
    """There is no such port."""

    def __init__(self, message: str | None = None, **kwargs: Any) -> None:
        super().__init__(message or f"no port {kwargs['port']}")
        self.kwargs = kwargs
