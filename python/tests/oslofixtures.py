"""The fixtures of the tests of the driver of oslo.messaging."""

import shutil

import oslo_messaging as om
import oslosupport
import pytest
from oslo_config import cfg
from oslosupport import rpc_client


@pytest.fixture(scope="session")
def declared():
    place = oslosupport.declare()
    oslosupport.installed(place)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def transport(declared, local):
    made = []
    conf = cfg.CONF  # oslo.messaging registers some options only with the global object
    conf([], project="test", prog="test")

    def make(allowed=(), url=local, **options):
        whole = url if url.startswith("oslorpc") else "oslorpc+" + url
        t = om.get_rpc_transport(conf, whole, allowed_remote_exmods=list(allowed))
        for name, value in options.items():
            conf.set_override(name, value, group="oslo_messaging_oslorpc")
        made.append(t)
        return t

    yield make
    for t in made:
        t.cleanup()
    conf.reset()
    conf.clear()


@pytest.fixture
def client(transport, topic):
    def make(allowed=(), **how):
        how.setdefault("timeout", 10)
        target = om.Target(topic=topic, version=how.pop("version", "1.0"))
        return rpc_client(transport(allowed), target, **how)

    return make
