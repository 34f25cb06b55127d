/**
 * A server for the tests: serverprogram.ts URL TOPIC NAME [VERSION]. It ends at SIGTERM,
 * gracefully.
 */

import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { method, open, type RequestContext } from "../src/index.js";

/** A registered error. */
export class PortNotFound extends Error {
  readonly port: number;

  constructor(port: number) {
    super(`no port ${port}`);
    this.port = port;
  }
}

/** The methods of the test servers in Go's command line, and others. */
class Methods {
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  readonly add = method(
    { arguments: { a: "integer", b: "integer" }, result: "integer" },
    (_, { a, b }) => BigInt(a) + BigInt(b),
  );

  readonly sleep = method({ arguments: { seconds: "number" } }, async (context, { seconds }) => {
    try {
      await sleep(Number(seconds) * 1000, undefined, { signal: context.signal });
      say("slept");
    } catch (e) {
      say("canceled");
      throw e;
    }
  });

  readonly fail = method({ arguments: { "message?": "string" } }, (_, { message }) => {
    throw new TypeError(message ?? "failed");
  });

  readonly missing = method({ arguments: { port: "integer" } }, (_, { port }) => {
    throw new PortNotFound(Number(port));
  });

  readonly count = method(
    { arguments: { n: "integer", "interval?": "number" } },
    async function* (context, args) {
      try {
        for (let i = 1; i <= args.n; i++) {
          await sleep(Number(args.interval ?? 0) * 1000, undefined, { signal: context.signal });
          yield i;
        }
      } finally {
        say("counted");
      }
    },
  );

  readonly note = method({ arguments: { id: "string" }, result: "string" }, (_, { id }) => {
    say(`ran ${id}`);
    return id;
  });

  readonly large = method({ arguments: { size: "integer" } }, (_, { size }) => "x".repeat(Number(size)));

  readonly whoami = method({ arguments: {}, result: "object" }, () => ({
    server: this.#name,
    pid: process.pid,
  }));

  echo(_: RequestContext, args: object): object {
    return args;
  }

  context(context: RequestContext): object {
    return context.values;
  }

  unsendable(): object {
    return { a: [1, Number.NaN] };
  }
}

/** Writes a line synchronously, because the process may be killed right after it. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const [url, topic = "", server = "", version = "1.0"] = process.argv.slice(2);
const transport = open(url, { errors: { "ports.NotFound": PortNotFound } });
const endpoints = [
  { version, methods: new Methods(server) },
  { namespace: "other", version: "2.1", methods: { hello: () => "hello" } },
];
await transport.server({ topic, server }, endpoints).run((i) => say(`ready ${i.addr}`));
await transport.close();
say("ended");
