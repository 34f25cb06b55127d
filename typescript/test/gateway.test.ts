/** Clients that reach the fleet only through real gateways, and servers in Go. */

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type Client, RemoteError, RPCError } from "../src/index.js";
import {
  freePorts,
  type Gateway,
  localURL,
  newTopic,
  opened,
  type Program,
  serveGo,
  startGateway,
  startTypeScript,
  through,
  until,
} from "./programs.js";

async function failure(work: Promise<unknown>): Promise<RPCError> {
  const e = await work.catch((e: unknown) => e);
  if (!(e instanceof RPCError)) {
    throw new Error(`wanted an RPCError, got ${e}`);
  }
  return e;
}

type Who = { server: string };

async function fleet(gateways = 1) {
  const url = localURL();
  const topic = newTopic();
  const servers: Program[] = [];
  for (const name of ["a", "b"]) {
    servers.push(await serveGo(url, topic, name));
  }
  const all: Gateway[] = [];
  for (let n = 0; n < gateways; n++) {
    all.push(await startGateway(url));
  }
  const transport = opened(through(...all));
  const client = transport.client({ topic }, { timeoutMs: 20_000 });
  return { url, topic, servers, gateways: all, transport, client };
}

async function whoami(client: Client): Promise<string> {
  return (await client.call<Who>("whoami")).server;
}

/** Makes calls until all named servers have answered. */
async function reached(client: Client, ...names: string[]): Promise<void> {
  const seen = new Set<string>();
  await until(`${names} answer`, async () => {
    seen.add(await whoami(client));
    return names.every((name) => seen.has(name));
  });
}

describe("through a gateway", () => {
  test("every kind of message gets there", async () => {
    const { client, transport, topic, gateways } = await fleet();
    expect(await client.call("add", { a: 2n ** 70n, b: 1 })).toBe(2n ** 70n + 1n);
    await reached(client, "a", "b");
    expect(await whoami(client.prepare({ server: "b" }))).toBe("b");
    await client.cast("add", { a: 1, b: 2 });
    const report = await client.fanout("add", { a: 1, b: 2 });
    expect(report.accepted.map((o) => o.instance.server).sort()).toEqual(["a", "b"]);
    expect(report.uncertain).toBeUndefined();
    const replies: string[] = [];
    for await (const reply of client.gather<Who>("whoami")) {
      replies.push(reply.result?.server ?? String(reply.error));
    }
    expect(replies.sort()).toEqual(["a", "b"]);
    const items: unknown[] = [];
    for await (const item of client.multicall("count", { n: 5 })) {
      items.push(item);
    }
    expect(items).toEqual([1, 2, 3, 4, 5]);
    expect(await client.prepare({ callMonitorTimeoutMs: 400 }).call("sleep", { seconds: 1 })).toBeNull();
    const text = "x".repeat(3 << 20);
    expect(await client.call("echo", { text })).toEqual({ text });
    const listed = (await transport.instances()).filter((i) => i.topic === topic);
    expect(listed.map((i) => i.server).sort()).toEqual(["a", "b"]);
    expect(new Set(listed.map((i) => i.addr))).toEqual(new Set([gateways[0]?.addr]));
    expect(await client.prepare({ versionCap: "auto" }).canSendVersion("1.0")).toBe(true);
  });

  test("errors name the server that made them, and say what ran", async () => {
    const { client } = await fleet();
    const failed = await failure(client.prepare({ server: "b" }).call("fail", { message: "oh" }));
    expect(failed).toBeInstanceOf(RemoteError);
    expect(failed).toMatchObject({ kind: "Remote", server: "b", hops: ["b"], remoteMessage: "oh" });
    for (const [method, args, kind] of [
      ["add", { a: 1 }, "BadArguments"],
      ["nope", {}, "NoSuchMethod"],
    ] as const) {
      expect(await failure(client.call(method, args))).toMatchObject({ kind, safeToRetry: true, method });
    }
    expect(await failure(client.prepare({ version: "9.0" }).call("add"))).toMatchObject({
      kind: "UnsupportedVersion",
      safeToRetry: true,
    });
    expect(await failure(client.prepare({ server: "z", timeoutMs: 5000 }).call("add"))).toMatchObject({
      kind: "NoInstance",
      safeToRetry: true,
    });
    const late = client.prepare({ server: "a", timeoutMs: 500 });
    expect(await failure(late.call("sleep", { seconds: 20 }))).toMatchObject({
      kind: "Timeout",
      server: "a",
    });
    const controller = new AbortController();
    const canceled = failure(client.call("sleep", { seconds: 20 }, { signal: controller.signal }));
    await sleep(200);
    controller.abort();
    expect(await canceled).toMatchObject({ kind: "Canceled", safeToRetry: false });
  });

  test("a server that is killed leaves its caller without an outcome, and others go on", async () => {
    const { client, servers } = await fleet();
    await reached(client, "a", "b");
    const call = failure(client.prepare({ server: "a" }).call("sleep", { seconds: 30 }));
    await sleep(300);
    servers[0]?.send("SIGKILL");
    expect(await call).toMatchObject({ kind: "OutcomeUnknown", safeToRetry: false, server: "a" });
    for (let n = 0; n < 10; n++) {
      expect(await whoami(client)).toBe("b");
    }
  });
});

/** Callers that make one call after the other. It records the results and the errors. */
class Load {
  readonly done: string[] = [];
  readonly failures: RPCError[] = [];
  readonly #callers: Promise<void>[];
  #over = false;

  constructor(clients: readonly Client[]) {
    this.#callers = clients.map((client, n) => this.#call(client, n));
  }

  async #call(client: Client, n: number): Promise<void> {
    for (let count = 0; !this.#over; count++) {
      try {
        this.done.push(await client.call<string>("note", { id: `${n}-${count}` }));
      } catch (e) {
        this.failures.push(e as RPCError);
      }
    }
  }

  async more(calls: number): Promise<void> {
    const wanted = this.done.length + calls;
    await until(`${calls} more calls return`, () => this.done.length >= wanted, 30_000);
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all(this.#callers);
  }
}

describe("of two gateways", () => {
  test.each(["SIGTERM", "SIGKILL"] as const)("one ends by %s, and the other one is used", async (signal) => {
    const url = localURL();
    const topic = newTopic();
    const servers = await Promise.all(
      ["a", "b"].map((name) => startTypeScript("test/serverprogram.ts", url, topic, name)),
    );
    await Promise.all(servers.map((server) => server.line("ready")));
    const gateways = [await startGateway(url), await startGateway(url)] as const;
    const clients = [1, 2, 3, 4].map(() => {
      return opened(through(...gateways)).client({ topic }, { timeoutMs: 30_000 });
    });
    const load = new Load(clients);
    await load.more(20);
    await gateways[0].program.end(signal);
    await load.more(40);
    for (const client of clients) {
      const report = await client.fanout("note", { id: `all-${clients.indexOf(client)}` });
      expect(report.accepted.map((o) => o.instance.server).sort()).toEqual(["a", "b"]);
      expect(report.failed).toEqual([]);
    }
    await load.end();
    if (signal === "SIGTERM") {
      expect(load.failures).toEqual([]);
    }
    expect(load.failures.filter((e) => e.kind !== "OutcomeUnknown" || e.safeToRetry)).toEqual([]);
    for (const server of servers) {
      expect(await server.end()).toBe(0);
    }
    const ran = servers.flatMap((server) => server.lines.filter((line) => line.startsWith("ran ")));
    const calls = ran.filter((line) => !line.includes("all-"));
    expect(new Set(calls).size).toBe(calls.length); // nothing ran twice
    expect(load.done.length).toBeLessThanOrEqual(calls.length);
    expect(calls.length).toBeLessThanOrEqual(load.done.length + load.failures.length);
    expect(ran.length - calls.length).toBe(2 * clients.length);
  });

  test("a fanout during the change reaches each server once", async () => {
    const url = localURL();
    const topic = newTopic();
    const server = await startTypeScript("test/serverprogram.ts", url, topic, "a");
    await server.line("ready");
    const gateways = [await startGateway(url), await startGateway(url)] as const;
    const client = opened(through(...gateways)).client({ topic }, { timeoutMs: 30_000 });
    const ids: string[] = [];
    let over = false;
    const fanouts = (async () => {
      for (let n = 0; !over; n++) {
        const report = await client.fanout("note", { id: `f${n}.` });
        ids.push(`ran f${n}.`);
        expect(report.failed).toEqual([]);
        expect(report.accepted.map((o) => o.instance.server)).toEqual(["a"]);
      }
    })();
    await until("fanouts run", () => ids.length > 10);
    await gateways[0].program.end("SIGTERM");
    await until("fanouts go on", () => ids.length > 30);
    const again = await startGateway(url, Number(gateways[0].addr.split(":")[1]));
    await gateways[1].program.end("SIGTERM");
    const before = ids.length;
    await until("fanouts go on", () => ids.length > before + 10);
    over = true;
    await fanouts;
    await until("all ran", () => server.lines.filter((line) => line.startsWith("ran")).length >= ids.length);
    expect(server.lines.filter((line) => line.startsWith("ran"))).toEqual(ids);
    expect(again.program.running).toBe(true);
  });
});

describe("one gateway", () => {
  test("starts again at its address, and messages wait for it", async () => {
    const { url, gateways, client, transport, topic } = await fleet();
    const [gateway] = gateways as [Gateway];
    await reached(client, "a", "b");
    await gateway.program.end("SIGKILL");
    const impatient = client.prepare({ failFast: true });
    await until("discovery cannot be read", async () => {
      const e = await failure(impatient.call("whoami"));
      if (e.kind === "OutcomeUnknown") {
        return false; // it was written before this process learned that the gateway had ended
      }
      expect(e).toMatchObject({ kind: "Unreachable", safeToRetry: true });
      return e.message.includes(gateway.addr);
    });
    const waiting = client.call<Who>("whoami");
    expect(await failure(transport.instances())).toMatchObject({ kind: "Unreachable", safeToRetry: true });
    await startGateway(url, Number(gateway.addr.split(":")[1]));
    expect(["a", "b"]).toContain((await waiting).server);
    expect((await transport.instances()).filter((i) => i.topic === topic)).toHaveLength(2);
  });

  test("that is not there is named, in time", async () => {
    const [port] = await freePorts(1);
    const transport = opened(`gateway://127.0.0.1:${port}`);
    const client = transport.client({ topic: "t" }, { timeoutMs: 1000 });
    for (const e of [await failure(client.call("m")), await failure(transport.instances())]) {
      expect(e).toMatchObject({ kind: "Unreachable", safeToRetry: true });
      expect(e.message).toContain(`the gateway at 127.0.0.1:${port}`);
    }
  });

  test("must be one", async () => {
    const topic = newTopic();
    const server = await serveGo(localURL(), topic, "a", "--listen", "127.0.0.1:0");
    const addr = (await server.line("ready")).match(/127\.0\.0\.1:\d+/)?.[0] ?? "";
    const transport = opened(`gateway://${addr}`);
    const client = transport.client({ topic }, { timeoutMs: 1000 });
    for (const e of [await failure(client.call("m")), await failure(transport.instances())]) {
      expect(e).toMatchObject({ kind: "Unreachable", safeToRetry: true });
      expect(e.message).toContain(`the gateway at ${addr}: it is no gateway`);
    }
  });

  test("lists no more what has left, and messages by name are told so", async () => {
    const { client, servers } = await fleet();
    await reached(client, "a", "b");
    await servers[0]?.end("SIGTERM");
    for (let n = 0; n < 6; n++) {
      expect(await whoami(client)).toBe("b");
    }
    const report = await client.fanout("add", { a: 1, b: 2 });
    expect(report.outcomes.map((o) => o.instance.server)).toEqual(["b"]);
  });

  test("does not keep a program from ending", async () => {
    const { client, transport } = await fleet();
    await reached(client, "a", "b");
    await transport.close();
    await expect(client.call("add", { a: 1, b: 1 })).rejects.toMatchObject({ kind: "Invalid" });
  });
});
