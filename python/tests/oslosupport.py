"""Functions that the tests of oslo.messaging's driver share with the services that they start."""

import os
import pathlib
import sys
import tempfile
import tomllib

PYTHON = pathlib.Path(__file__).parents[1]


def rpc_client(transport, target, **options):
    """Return a client. oslo.messaging 14.0 lacks get_rpc_client()."""
    import oslo_messaging

    return getattr(oslo_messaging, "get_rpc_client", oslo_messaging.RPCClient)(transport, target, **options)


def declare():
    """Write metadata that declares the driver as an installed package does, and return its
    directory.
    """
    project = tomllib.loads((PYTHON / "pyproject.toml").read_text())["project"]
    place = pathlib.Path(tempfile.mkdtemp(prefix="ordist"), "oslorpc-0.dist-info")
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: oslorpc\nVersion: 0\n")
    points = project["entry-points"]["oslo.messaging.drivers"]
    lines = ["[oslo.messaging.drivers]", *(f"{name} = {where}" for name, where in points.items())]
    (place / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return str(place.parent)


def environment(declared):
    """Return environment variables with which programs find the driver."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([declared, str(PYTHON / "src"), str(PYTHON / "tests")])}


def installed(declared):
    """Let this process find the driver."""
    if declared not in sys.path:
        sys.path.append(declared)
