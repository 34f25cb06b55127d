"""Run oslo.messaging's own tests of RPCs over the driver: python upstream/run.py PYTHON...

It runs the unmodified tests of the oslo.messaging version that each interpreter has. It prints
which tests were skipped and why, and ends with `N passed, N skipped, N failed`.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from oslosupport import declare, environment  # noqa: E402

FUNCTIONAL = "oslo_messaging.tests.functional.test_functional"
SERVER = "oslo_messaging.tests.rpc.test_server"
SUITES = {
    "calls": [FUNCTIONAL + ".CallTestCase"],
    "casts": [FUNCTIONAL + ".CastTestCase"],
    "server": [SERVER + ".TestRPCServer", SERVER + ".TestServerLocking", SERVER + ".TestRPCExposeDecorator"],
    "servers": [SERVER + ".TestMultipleServers"],
    "exceptions": [
        "oslo_messaging.tests.test_exception_serialization",
        "oslo_messaging.tests.test_expected_exceptions",
    ],
}
_FAKE = "wants the text of the exception alone, as the fake driver raises it; drivers that send it add the traceback"
SKIPPED = {
    SERVER + ".TestRPCServer.test_failure": _FAKE,
    SERVER + ".TestRPCServer.test_expected_failure": _FAKE,
}


def start(python, suite, directory, declared):
    """Start the tests of a suite in a process, which prints a line for each."""
    environ = {**environment(declared), "RPC_TRANSPORT_URL": f"oslorpc+local://{directory}/{suite}"}
    environ["PYTHONPATH"] += os.pathsep + str(HERE)
    command = [python, "-W", "ignore", str(HERE / "suite.py"), json.dumps(SKIPPED), *SUITES[suite]]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def report(name, process):
    """Print the tests of a suite that did not pass, and return the counts."""
    counts = {"passed": 0, "skipped": 0, "failed": 0}
    text, _ = process.communicate(timeout=300)
    for line in text.splitlines():
        if not line.startswith("OUTCOME "):
            continue
        outcome, case, why = json.loads(line.removeprefix("OUTCOME "))
        counts[outcome] += 1
        if outcome != "passed":
            print(f"{name}: {outcome}: {case.removeprefix('oslo_messaging.tests.')}: {why}")
    if process.returncode or not sum(counts.values()):
        print(f"{text}\n{name} ended with status {process.returncode}")
        counts["failed"] = max(counts["failed"], 1)
    return counts


def version(python):
    """Return which oslo.messaging an interpreter has."""
    program = "import importlib.metadata as m; print(m.version('oslo.messaging'))"
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def main():
    declared, directory = declare(), tempfile.mkdtemp(prefix="or")
    total = {"passed": 0, "skipped": 0, "failed": 0}
    running = {}
    for n, python in enumerate(sys.argv[1:] or [sys.executable]):
        os.mkdir(f"{directory}/{n}", 0o700)
        for suite in SUITES:
            name = f"oslo.messaging {version(python)}, {suite}"
            running[name] = start(python, suite, f"{directory}/{n}", declared)
    for name, process in running.items():
        counts = report(name, process)
        print(f"{name}: {counts['passed']} passed", flush=True)
        for outcome, n in counts.items():
            total[outcome] += n
    shutil.rmtree(directory, ignore_errors=True)
    shutil.rmtree(declared, ignore_errors=True)
    print(", ".join(f"{n} {outcome}" for outcome, n in total.items()))
    sys.exit(1 if total["failed"] else 0)


if __name__ == "__main__":
    main()
