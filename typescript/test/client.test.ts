/** Clients of this package with servers in Go. */

import { createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { kindOf, RemoteError, RPCError } from "../src/index.js";
import { freePorts, localURL, newTopic, opened, serveGo, until } from "./programs.js";

async function failure(work: Promise<unknown>): Promise<RPCError> {
  const e = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(e instanceof RPCError)) {
    throw new Error(`wanted an RPCError, got ${e}`);
  }
  return e;
}

async function pair(version = "1.0") {
  const url = localURL();
  const topic = newTopic();
  const servers = [
    await serveGo(url, topic, "node1"),
    await serveGo(url, topic, "node2", "--rpc-version", version),
  ];
  const client = opened(url).client({ topic, version: "1.0" }, { timeoutMs: 20_000 });
  return { url, topic, servers, client };
}

describe("a Go server", () => {
  test("answers calls, in turn, with exact integers", async () => {
    const { client } = await pair();
    expect(await client.call("add", { a: 2n ** 60n, b: 1 })).toBe(2n ** 60n + 1n);
    const seen = new Set<unknown>();
    for (let n = 0; n < 6; n++) {
      seen.add((await client.call<{ server: string }>("whoami")).server);
    }
    expect([...seen].sort()).toEqual(["node1", "node2"]);
    const one = client.prepare({ server: "node2" });
    expect((await one.call<{ server: string }>("whoami")).server).toBe("node2");
  });

  test("accepts casts and fanouts, and reports on each", async () => {
    const { client } = await pair();
    await client.cast("add", { a: 1, b: 2 });
    const report = await client.fanout("add", { a: 1, b: 2 });
    expect(report.accepted.map((o) => o.instance.server).sort()).toEqual(["node1", "node2"]);
    expect(report.failed).toEqual([]);
    expect(report.uncertain).toBeUndefined();
    const servers: string[] = [];
    for await (const reply of client.gather<{ server: string }>("whoami")) {
      expect(reply.total).toBe(2);
      servers.push(reply.result?.server ?? "");
    }
    expect(servers.sort()).toEqual(["node1", "node2"]);
  });

  test("streams the items of a multicall, and is told when nothing reads them", async () => {
    const { client } = await pair();
    const items: unknown[] = [];
    for await (const item of client.multicall("count", { n: 4 })) {
      items.push(item);
    }
    expect(items).toEqual([1, 2, 3, 4]);
    for await (const item of client.multicall("count", { n: 1000 })) {
      if (item === 3) {
        break;
      }
    }
    expect(await client.call("add", { a: 1, b: 1 })).toBe(2);
    await expect(client.multicall("nope").next()).rejects.toMatchObject({
      kind: "NoSuchMethod",
      method: "nope",
    });
  });

  test("sends heartbeats while a call takes long", async () => {
    const { client } = await pair();
    const monitored = client.prepare({ callMonitorTimeoutMs: 300 });
    expect(await monitored.call("sleep", { seconds: 1 })).toBeNull();
  });

  test("says how a method failed, and that it ran", async () => {
    const { client } = await pair();
    const e = await failure(client.call("fail", { message: "broken" }));
    expect(e).toBeInstanceOf(RemoteError);
    expect(e).toMatchObject({
      kind: "Remote",
      safeToRetry: false,
      remoteMessage: "broken",
      hops: [e.server],
    });
  });

  test("refuses what it cannot serve, and says that nothing ran", async () => {
    const { client } = await pair("1.4");
    const wrong = await failure(client.call("add", { a: 1.5 }));
    expect(wrong).toMatchObject({ kind: "BadArguments", path: "/a", safeToRetry: true });
    const newer = client.prepare({ version: "1.4" });
    expect((await newer.call<{ server: string }>("whoami")).server).toBe("node2");
    const e = await failure(client.prepare({ version: "1.9" }).call("add"));
    expect(e).toMatchObject({ kind: "UnsupportedVersion", safeToRetry: true });
    const report = await newer.fanout("add", { a: 1, b: 2 });
    expect(report.accepted.map((o) => o.instance.server)).toEqual(["node2"]);
    expect(report.skipped.map((o) => [o.instance.server, o.error?.kind])).toEqual([
      ["node1", "UnsupportedVersion"],
    ]);
  });

  test("is asked for no version above the cap", async () => {
    const { client } = await pair("1.4");
    const capped = client.prepare({ versionCap: "old", versionAliases: { old: "1.2" } });
    expect(await capped.canSendVersion("1.2")).toBe(true);
    expect(await capped.canSendVersion("1.3")).toBe(false);
    const e = await failure(capped.prepare({ version: "1.3" }).call("add"));
    expect(e).toMatchObject({ kind: "VersionCapExceeded", safeToRetry: true });
    const auto = client.prepare({ versionCap: "auto" });
    expect(await auto.canSendVersion("1.0")).toBe(true);
    expect(await auto.canSendVersion("1.1")).toBe(false); // node1 has 1.0
  });

  test("loses a call when the client gives it up", async () => {
    const client = (await pair()).client.prepare({ server: "node1" });
    await client.call("add", { a: 1, b: 1 }); // now it is connected
    const controller = new AbortController();
    const call = failure(client.call("sleep", { seconds: 60 }, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 200);
    expect(await call).toMatchObject({ kind: "Canceled", safeToRetry: false });
    const late = await failure(client.prepare({ timeoutMs: 200 }).call("sleep", { seconds: 60 }));
    expect(late).toMatchObject({ kind: "Timeout", safeToRetry: false });
    const early = AbortSignal.abort();
    expect(await failure(client.call("add", {}, { signal: early }))).toMatchObject({
      kind: "Canceled",
      safeToRetry: true,
    });
  });

  test("that is killed costs its outstanding calls only, and they fail at once", async () => {
    const { client, servers } = await pair();
    const call = failure(client.prepare({ server: "node1" }).call("sleep", { seconds: 60 }));
    const one = client.prepare({ server: "node1" });
    await until("the call runs", async () => (await one.call("add", { a: 1, b: 1 })) === 2);
    await servers[0]?.end("SIGKILL");
    expect(await call).toMatchObject({ kind: "OutcomeUnknown", safeToRetry: false, server: "node1" });
    for (let n = 0; n < 10; n++) {
      expect((await client.call<{ server: string }>("whoami")).server).toBe("node2");
    }
    const gone = await failure(client.prepare({ server: "node1", failFast: true }).call("whoami"));
    expect(gone).toMatchObject({ safeToRetry: true, notDelivered: true });
  });

  test("that stops gracefully fails no call", async () => {
    const { client, servers } = await pair();
    const errors: unknown[] = [];
    let ended = false;
    let count = 0;
    const load = Array.from({ length: 8 }, async () => {
      while (!ended && errors.length === 0) {
        await client.call("add", { a: 1, b: 1 }).catch((e) => errors.push(e));
        count++;
      }
    });
    await until("there is load", () => count > 50);
    expect(await servers[0]?.end("SIGTERM")).toBe(0);
    const then = count;
    await until("the load goes on", () => count > then + 50);
    ended = true;
    await Promise.all(load);
    expect(errors).toEqual([]);
  });
});

describe("without a server", () => {
  test("a call waits for one, unless it is told not to", async () => {
    const url = localURL();
    const topic = newTopic();
    const client = opened(url).client({ topic });
    const e = await failure(client.prepare({ failFast: true }).call("add"));
    expect(e).toMatchObject({ kind: "NoInstance", safeToRetry: true });
    const call = client.call("add", { a: 1, b: 2 });
    await serveGo(url, topic, "node1");
    expect(await call).toBe(3);
  });

  test("an address where nothing listens is unreachable, and where something else does, not ours", async () => {
    const [port] = await freePorts(1);
    const unreachable = opened(`static://t=127.0.0.1:${port}`).client({ topic: "t" }, { failFast: true });
    expect(await failure(unreachable.call("m"))).toMatchObject({ kind: "Unreachable", safeToRetry: true });
    const deaf = createServer((socket) =>
      socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void deaf.close());
    const address = deaf.address() as { port: number };
    const foreign = opened(`static://t=127.0.0.1:${address.port}`).client({ topic: "t" }, { failFast: true });
    expect(await failure(foreign.call("m"))).toMatchObject({ kind: "Unreachable", safeToRetry: true });
  });
});

describe("what cannot be sent fails before it is sent, with the place", () => {
  const client = () => opened(localURL()).client({ topic: "t" }, { failFast: true });

  test.each([
    ["undefined", { a: { b: undefined } }, "/a/b"],
    ["NaN", { a: [1, Number.NaN] }, "/a/1"],
    ["an infinity", { a: Number.POSITIVE_INFINITY }, "/a"],
    ["bytes", { a: new Uint8Array(2) }, "/a"],
    ["a lone surrogate", { a: ["\ud800"] }, "/a/0"],
    ["a name with a lone surrogate", { a: { "\udc00": 1 } }, "/a"],
    ["a Date", { "a/b": new Date() }, "/a~1b"],
    ["a Map", { a: new Map() }, "/a"],
    ["a function", { a: () => 1 }, "/a"],
    ["a symbol", { a: Symbol("x") }, "/a"],
    ["a hole", { a: new Array(1) }, "/a/0"],
    ["too many digits", { a: 10n ** 4300n }, "/a"],
  ])("%s", async (_, args, path) => {
    const e = await failure(client().call("m", args));
    expect(e).toMatchObject({ kind: "BadArguments", path, safeToRetry: true, method: "m" });
  });

  test("what contains itself", async () => {
    const args: Record<string, unknown> = {};
    args["a"] = args;
    expect(await failure(client().call("m", args))).toMatchObject({ kind: "BadArguments" });
  });

  test.each([
    ["no topic", {}, "InvalidTarget"],
    ["an empty name", { topic: "t", server: "" }, "InvalidTarget"],
    ["a malformed version", { topic: "t", version: "1" }, "InvalidTarget"],
    ["a control character", { topic: "t\n" }, "InvalidTarget"],
  ] as const)("%s", async (_, target, kind) => {
    const c = opened(localURL()).client(target);
    expect(kindOf(await failure(c.call("m")))).toBe(kind);
  });

  test("17 MiB", async () => {
    const e = await failure(client().call("m", { a: "x".repeat(17 << 20) }));
    expect(e).toMatchObject({ kind: "TooLarge", safeToRetry: true });
  });
});
