"""Make calls on request: python caller.py threading|eventlet URL TOPIC CALLERS.

Each line of the standard input is a number of calls. The answer is the time that they took, in
seconds.
"""

import sys

if sys.argv[1] == "eventlet":
    import eventlet

    eventlet.monkey_patch()

import concurrent.futures
import time

import oslo_messaging as om
from oslo_config import cfg


def main():
    _, kind, url, topic, callers = sys.argv
    if kind == "eventlet":
        from futurist import GreenThreadPoolExecutor as Pool
    else:
        Pool = concurrent.futures.ThreadPoolExecutor  # noqa: N806
    conf = cfg.CONF
    conf([], project="bench", prog="bench")
    client = om.get_rpc_client(om.get_rpc_transport(conf, url), om.Target(topic=topic, version="1.0"), timeout=30)
    context = {"user": "u" * 32, "project": "p" * 32, "roles": ["member", "reader"], "request_id": "req-" + "0" * 36}

    def call(n):
        for _ in range(n):
            client.call(context, "echo", value="x" * 1000)

    call(20)
    print("ready", flush=True)
    with Pool(max_workers=int(callers)) as pool:
        for line in sys.stdin:
            began = time.perf_counter()
            for done in [pool.submit(call, int(line) // int(callers)) for _ in range(int(callers))]:
                done.result()
            print("took", time.perf_counter() - began, flush=True)


main()
