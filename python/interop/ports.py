"""The error with a class, which every language of `make interop` registers as
ports.PortNotFound.
"""


class PortNotFound(Exception):  # noqa: N818
    """There is no such port."""

    def __init__(self, port: int) -> None:
        super().__init__(f"no port {port}")
        self.port = port


EXCEPTIONS = {"ports.PortNotFound": PortNotFound}
