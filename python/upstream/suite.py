"""Run tests of oslo.messaging over the driver: python suite.py '{"CASE": "why it is skipped"}'
NAME...

The tests are unmodified, but what they run on is changed: a transport with a `fake:` URL uses the
driver, and tests that skip themselves unless the URL begins with `rabbit://` see a URL that seems
to.
"""

import itertools
import json
import os
import sys
import unittest

import oslo_messaging.tests  # noqa: F401  importing it patches eventlet in
from oslo_messaging import transport
from oslo_messaging.tests.functional import utils

URL = os.environ["RPC_TRANSPORT_URL"]
GATED = ("test_mandatory_call", "test_monitor_long_call")


class Claims(str):
    """The URL, which claims to begin with rabbit://."""

    def startswith(self, prefix, *bounds):
        return prefix == "rabbit://" or super().startswith(prefix, *bounds)


def redirect():
    """Use the driver where the tests ask for a driver that sends nothing."""
    parse = transport.TransportURL.parse.__func__

    def redirected(cls, conf, url=None, *more):
        return parse(cls, conf, URL if isinstance(url, str) and url.startswith("fake:") else url, *more)

    transport.TransportURL.parse = classmethod(redirected)


def open_gates():
    """Run the tests that skip themselves without RabbitMQ, although they need no broker."""
    setup = utils.SkipIfNoTransportURL.setUp

    def opened(self, *arguments, **named):
        setup(self, *arguments, **named)
        if self._testMethodName in GATED:
            self.rpc_url = Claims(self.rpc_url)

    utils.SkipIfNoTransportURL.setUp = opened


class Result(unittest.TestResult):
    """Prints a line for each test."""

    def tell(self, outcome, test, why=""):
        print("OUTCOME " + json.dumps([outcome, test.id(), why]), flush=True)

    def addSuccess(self, test):  # noqa: N802
        self.tell("passed", test)

    def addSkip(self, test, reason):  # noqa: N802
        self.tell("skipped", test, reason)

    def addFailure(self, test, err):  # noqa: N802
        self.tell("failed", test, self._exc_info_to_string(err, test))

    addError = addFailure  # noqa: N815


def cases(suite):
    """Iterate over the tests of a suite."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from cases(test)
        else:
            yield test


def main():
    redirect()
    open_gates()
    skipped = json.loads(sys.argv[1])
    result = Result()
    loaded = [unittest.defaultTestLoader.loadTestsFromName(name) for name in sys.argv[2:]]
    for test in scenarios(itertools.chain.from_iterable(cases(suite) for suite in loaded)):
        why = skipped.get(test.id())
        if why:
            result.addSkip(test, why)
        else:
            test.run(result)


def scenarios(tests):
    """Expand the tests that oslo.messaging runs with several values."""
    from testscenarios import generate_scenarios

    return generate_scenarios(tests)


if __name__ == "__main__":
    main()
