/**
 * The server of `make interop`: node server.js URL TOPIC NAME. It stops at SIGTERM, or when its
 * input ends.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { method, open, type RequestContext } from "@oslorpc/oslorpc";
import { errors, PortNotFound } from "./ports.js";
import { event } from "./wire.js";

const [url, topic = "", name = ""] = process.argv.slice(2);

/** Waits up to `seconds`, and returns whether the method was canceled. */
async function canceled(context: RequestContext, seconds: number): Promise<boolean> {
  await sleep(Number(seconds) * 1000, undefined, { signal: context.signal }).catch(() => {});
  return context.signal.aborted;
}

const methods = {
  whoami: method({ arguments: {}, result: "string" }, () => name),

  echo: method({ extraArguments: true }, (_, args) => args),

  context: method({ arguments: {} }, (context) => context.values),

  add: method({ arguments: { a: "integer", b: "integer" } }, (_, { a, b }) => Number(a) + Number(b)),

  blob: method({ arguments: { size: "integer" } }, (_, { size }) => "x".repeat(Number(size))),

  fail: method({ arguments: { message: "string" } }, (_, { message }) => {
    throw new Error(message);
  }),

  missing: method({ arguments: { port: "integer" } }, (_, { port }) => {
    throw new PortNotFound(Number(port));
  }),

  /** Reports the call, and returns the name of the server after `seconds`. */
  note: method({ arguments: { note: "string", seconds: "number" } }, async (context, { note, seconds }) => {
    event("ran", note);
    await canceled(context, Number(seconds));
    return name;
  }),

  /**
   * Sleeps, and reports if it is canceled. After a cancellation, it waits half a second, so that
   * its answer does not arrive before the caller gives up.
   */
  sleep: method({ arguments: { note: "string", seconds: "number" } }, async (context, { note, seconds }) => {
    event("began", note);
    if (await canceled(context, Number(seconds))) {
      event("canceled", note);
      await sleep(500);
      throw context.signal.reason;
    }
    return "slept";
  }),

  count: method({ arguments: { n: "integer" } }, function* (_, { n }) {
    for (let i = 1; i <= Number(n); i++) {
      yield i;
    }
  }),

  /** Yields numbers until the caller cancels. */
  ticks: method({ arguments: { note: "string" } }, async function* (context, { note }) {
    event("began", note);
    try {
      for (let n = 0; !context.signal.aborted; n++) {
        yield n;
        await canceled(context, 0.02);
      }
    } finally {
      event("canceled", note);
    }
  }),
};

const transport = open(url, { errors, caller: "interop-typescript" });
const server = transport.server({ topic, server: name }, [{ version: "1.2", methods }]);
process.stdin.once("end", () => process.kill(process.pid, "SIGTERM")).resume();
process.stdin.unref?.();
await server.run(() => event("ready"));
await transport.close();
event("stopped");
