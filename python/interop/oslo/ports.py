"""The exception class, which takes arguments as Nova's exceptions do: a message, or fields to make
one of.
"""

from typing import Any


class PortNotFound(Exception):  # noqa: N818
    """A port does not exist."""

    def __init__(self, message: str | None = None, **kwargs: Any) -> None:
        super().__init__(message or f"no port {kwargs['port']}")
        self.kwargs = kwargs
