"""Compare a call over oslorpc with a call over RabbitMQ, each by oslo.messaging: python
upstream/bench.py [SHORT].

Both sides run the same programs, with another transport_url. Rounds alternate. A line has the
median time of the rounds in microseconds per call, and the median and the quartiles of their ratio.
"""

import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

from oslosupport import declare, environment  # noqa: E402
from rabbitmq import broker  # noqa: E402

ROUNDS, CALLS = 15, 200


def lines(process, word):
    """Wait for a line that begins with a word, and return the rest of it."""
    for line in process.stdout:
        if line.startswith(word):
            return line.removeprefix(word).strip()
    raise AssertionError(f"the program ended before it said {word}")


def compare(kind, callers, urls, environ):
    """Measure both transports in alternating rounds, and print the result."""
    processes = []
    try:
        clients = {}
        for name, url in urls.items():
            for program in (
                [HERE.parent / "tests" / "osloservice.py", "serve", kind, url, f"bench-{kind}-{callers}", "s1"],
                [HERE / "caller.py", kind, url, f"bench-{kind}-{callers}", str(callers)],
            ):
                p = subprocess.Popen(
                    [sys.executable, "-W", "ignore", *program],
                    env=environ,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
                processes.append(p)
                lines(p, "ready")
            clients[name] = processes[-1]
        times = {name: [] for name in urls}
        for _ in range(ROUNDS):
            for name, p in clients.items():
                p.stdin.write(f"{CALLS}\n")
                p.stdin.flush()
                times[name].append(float(lines(p, "took")) / CALLS * 1e6)
        ratios = sorted(o / r for o, r in zip(times["oslorpc"], times["rabbitmq"], strict=True))
        median, (low, _, high) = statistics.median(ratios), statistics.quantiles(ratios)
        for name, values in times.items():
            print(f"{kind}, {callers:2} callers, {name:8}  {statistics.median(values):7.0f} us a call")
        print(f"{kind}, {callers:2} callers, ratio       {median:.2f} ({low:.2f} to {high:.2f})", flush=True)
        return median
    finally:
        for p in processes:
            p.kill()
            p.wait()


def main():
    declared, directory = declare(), tempfile.mkdtemp(prefix="or")
    try:
        with broker() as rabbit:
            urls = {"oslorpc": f"oslorpc+local://{directory}/r", "rabbitmq": rabbit}
            ratios = [compare(k, n, urls, environment(declared)) for k in ("threading", "eventlet") for n in (1, 16)]
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        shutil.rmtree(declared, ignore_errors=True)
    print(f"a call over oslorpc takes {min(ratios):.2f} to {max(ratios):.2f} times as long as one over RabbitMQ")
    sys.exit(0 if max(ratios) < 1 else 1)


if __name__ == "__main__":
    main()
