"""The part that oslo.messaging's client and server of `make interop` share. Only their
transport_url names oslorpc.
"""

import atexit
import os
import pathlib
import shutil
import sys

PYTHON = pathlib.Path(__file__).parents[2]
sys.path += [str(PYTHON / "interop"), str(PYTHON / "tests")]

import oslosupport  # noqa: E402

declared = oslosupport.declare()
sys.path.append(declared)
atexit.register(shutil.rmtree, declared, ignore_errors=True)
os.environ["PYTHONPATH"] = str(PYTHON / "src")  # for the driver's helper process

import oslo_messaging as om  # noqa: E402
from oslo_config import cfg  # noqa: E402


def open_transport(url: str) -> om.Transport:
    """Return a transport, made as a service makes it from its configuration."""
    cfg.CONF([], project="interop", prog="interop")
    return om.get_rpc_transport(cfg.CONF, f"oslorpc+{url}/", allowed_remote_exmods=["ports"])
