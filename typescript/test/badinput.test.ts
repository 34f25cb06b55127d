/**
 * Messages of proto/testdata that cannot be delivered. Their errors have the same kinds as Go's,
 * and texts that help as much.
 */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Client,
  type ClientOptions,
  open,
  RPCError,
  type Target,
  type Transport,
} from "../src/index.js";
import { type Case, goldenEndpoints, load } from "./golden.js";

const cycle: unknown[] = [];
cycle.push(cycle);
const special: Readonly<Record<string, unknown>> = {
  nan: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  "not unicode": "a\ud800",
  function: () => {},
  cycle,
  bytes: Buffer.from("x"),
  undefined: undefined,
  "17 MiB": "x".repeat(17 << 20),
};

let serving: Transport;
let client: Client;

beforeAll(async () => {
  serving = open("static://other=127.0.0.1:1", {
    listen: "127.0.0.1:0",
    log: { debug() {}, info() {}, warn() {}, error() {} },
  });
  const { addr } = await serving.server({ topic: "golden", server: "node1" }, goldenEndpoints).start();
  const transport = open(`static://golden=${addr},golden/node1=${addr}`);
  client = transport.client({ topic: "golden" }, { timeoutMs: 20_000 });
  return () => transport.close();
});

afterAll(() => serving.close());

function replaced(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(replaced);
  }
  if (typeof value === "object" && value !== null) {
    const name = (value as Case)["$special"];
    return name === undefined
      ? Object.fromEntries(Object.entries(value).map(([key, v]) => [key, replaced(v)]))
      : special[name];
  }
  return value;
}

function changes(c: Case): Target & ClientOptions {
  const target = Object.fromEntries(Object.entries(c["target"]).map(([name, v]) => [name, v ?? undefined]));
  const { order_key, version_cap, fail_fast } = c["options"];
  return { ...target, orderKey: order_key, versionCap: version_cap, failFast: fail_fast };
}

async function send(c: Case): Promise<void> {
  const sender = client.prepare(changes(c));
  const args = replaced(c["args"]) as Record<string, unknown>;
  const rpc = c["rpc"] as "call" | "cast" | "fanout" | "multicall";
  if (rpc === "multicall") {
    for await (const _ of sender.multicall(c["method"], args)) {
      // The loop ends with the expected error.
    }
  } else {
    await sender[rpc](c["method"], args);
  }
}

const cases = load("badinput.json", "calls").filter(([, c]) =>
  (c["only"] ?? ["typescript"]).includes("typescript"),
);

describe("badinput.json", () => {
  test.each(cases)("%s", async (_, c) => {
    const e = await send(c).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(e).toBeInstanceOf(RPCError);
    const { kind, safeToRetry, path, message } = e as RPCError;
    expect({ kind, safeToRetry }, message).toEqual({ kind: c["kind"], safeToRetry: c["safe"] });
    expect(["*", path]).toContain(c["path"]);
    for (const text of c["says"]) {
      expect(message).toContain(text);
    }
    expect(message.length).toBeLessThan(2000);
  });

  test("there are enough cases", () => {
    expect(cases.length).toBeGreaterThanOrEqual(40);
  });
});
