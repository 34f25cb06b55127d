"""The exception class that the programs of every language in `make interop` register as
ports.PortNotFound.
"""


class PortNotFound(Exception):  # noqa: N818
    """A port does not exist."""

    def __init__(self, port: int) -> None:
        super().__init__(f"no port {port}")
        self.port = port


EXCEPTIONS = {"ports.PortNotFound": PortNotFound}
