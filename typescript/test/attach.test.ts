/** Servers that do not listen: a real gateway passes connections to them. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type Client,
  method,
  open,
  type RequestContext,
  RPCError,
  type Server,
  type ServerOptions,
  type TransportOptions,
} from "../src/index.js";
import {
  freePorts,
  type Gateway,
  localURL,
  newTopic,
  opened,
  runGo,
  startGateway,
  startTypeScript,
  through,
  until,
} from "./programs.js";

const PROGRAM = "test/serverprogram.ts";
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

async function failure(work: Promise<unknown>): Promise<RPCError> {
  const e = await work.catch((e: unknown) => e);
  if (!(e instanceof RPCError)) {
    throw new Error(`wanted an RPCError, got ${e}`);
  }
  return e;
}

/** The methods of a server, with counts of their calls. */
class Worker {
  readonly seen: string[] = [];
  readonly name: string;
  running = 0;
  canceled = 0;
  yielded = 0;
  open: () => void = () => {};
  readonly #opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });

  constructor(name: string) {
    this.name = name;
  }

  whoami(): string {
    return this.name;
  }

  echo(_: RequestContext, args: object): object {
    return args;
  }

  note = method({ arguments: { id: "string" } }, (_, { id }) => {
    this.seen.push(id);
  });

  async wait(): Promise<string> {
    this.running++;
    await this.#opened;
    return "done";
  }

  async sleep(context: RequestContext): Promise<void> {
    this.running++;
    try {
      await sleep(30_000, undefined, { signal: context.signal });
    } catch (e) {
      this.canceled++;
      throw e;
    }
  }

  async *count(context: RequestContext, { n, size }: { n: number; size: number }): AsyncGenerator<string> {
    try {
      for (let i = 0; i < n && !context.signal.aborted; i++) {
        this.yielded++;
        yield "x".repeat(size);
      }
    } finally {
      this.canceled += context.signal.aborted ? 1 : 0;
    }
  }
}

interface Attached {
  worker: Worker;
  server: Server;
}

async function attach(
  url: string,
  topic: string,
  name: string,
  options: ServerOptions & TransportOptions = {},
): Promise<Attached> {
  const worker = new Worker(name);
  const transport = open(url, { log: quiet, ...options });
  onTestFinished(async () => {
    worker.open();
    await transport.close();
  });
  const server = transport.server({ topic, server: name }, [{ methods: worker }], options);
  await server.start();
  return { worker, server };
}

async function fleet(gateways = 1) {
  const url = localURL();
  const topic = newTopic();
  const all: Gateway[] = [];
  for (let n = 0; n < gateways; n++) {
    all.push(await startGateway(url));
  }
  return { url, topic, gateways: all, behind: through(...all) };
}

function caller(url: string, topic: string): Client {
  return opened(url).client({ topic }, { timeoutMs: 20_000 });
}

async function listed(url: string, topic: string): Promise<string[]> {
  const all = await opened(url).instances();
  return all.filter((i) => i.topic === topic).map((i) => `${i.server} ${i.state} ${i.addr}`);
}

describe("an attached server", () => {
  test("is a server as all others, with the address of its gateway", async () => {
    const { url, topic, gateways, behind } = await fleet();
    const a = await attach(behind, topic, "a", { zone: "edge" });
    const b = await attach(behind, topic, "b");
    expect(a.server.instance?.addr).toBe("attached");
    const addr = gateways[0]?.addr;
    expect((await listed(url, topic)).sort()).toEqual([`a active ${addr}`, `b active ${addr}`]);
    expect((await runGo(url, "ls", "--wide")).out).toMatch(/ a .*edge/);
    for (const client of [caller(url, topic), caller(behind, topic)]) {
      a.worker.seen.length = 0;
      b.worker.seen.length = 0;
      const reached = new Set<string>();
      await until("both answer", async () => reached.add(await client.call("whoami")).size === 2);
      expect(await client.prepare({ server: "b" }).call("whoami")).toBe("b");
      await client.prepare({ server: "a" }).cast("note", { id: "cast" });
      const report = await client.fanout("note", { id: "all" });
      expect(report.accepted.map((o) => o.instance.server).sort()).toEqual(["a", "b"]);
      await until("all ran", () => a.worker.seen.length === 2 && b.worker.seen.length === 1);
      const replies: string[] = [];
      for await (const reply of client.gather<string>("whoami")) {
        replies.push(reply.result ?? "");
      }
      expect(replies.sort()).toEqual(["a", "b"]);
      const monitored = client.prepare({ callMonitorTimeoutMs: 300, server: "a", timeoutMs: 1000 });
      expect(await failure(monitored.call("sleep"))).toMatchObject({ kind: "Timeout" });
    }
    const go = await runGo(url, "call", topic, "whoami", "--server", "a");
    expect(go).toMatchObject({ code: 0, out: '"a"' });
    expect((await runGo(url, "info", topic)).out).toContain("note(id string)");
  });

  test("drains, stops and starts", async () => {
    const { url, topic, behind } = await fleet();
    const { server } = await attach(behind, topic, "a");
    const client = caller(url, topic);
    await server.drain();
    expect((await listed(url, topic))[0]).toContain("a draining");
    expect(await client.prepare({ server: "a" }).call("whoami")).toBe("a");
    await server.resume();
    expect(await client.call("whoami")).toBe("a");
    await server.stop();
    expect(await listed(url, topic)).toEqual([]);
    await server.start();
    expect(await client.call("whoami")).toBe("a");
  });

  test("gets the largest messages, and many at once", async () => {
    const { url, topic, behind } = await fleet();
    await attach(behind, topic, "a");
    const client = caller(url, topic);
    const text = "x".repeat(15 << 20);
    expect(await client.call("echo", { text })).toEqual({ text });
    const some = "y".repeat(200_000);
    const all = Array.from({ length: 64 }, (_, n) => client.call("echo", { n, some }));
    expect(await Promise.all(all)).toEqual(all.map((_, n) => ({ n, some })));
    expect(await failure(client.call("echo", { text: text + text }))).toMatchObject({
      kind: "TooLarge",
      safeToRetry: true,
    });
  });

  test("is held back by a caller that does not read, and told when one leaves", async () => {
    const { url, topic, behind } = await fleet();
    const { worker } = await attach(behind, topic, "a");
    const client = caller(url, topic);
    const items = client.multicall("count", { n: 10_000, size: 100_000 });
    await items.next();
    let before = -1;
    await until("the method is held back", async () => {
      const same = before === worker.yielded;
      before = worker.yielded;
      await sleep(200);
      return same;
    });
    expect(worker.yielded).toBeLessThan(500); // at most 50 MB of 1 GB
    expect(await client.call("whoami")).toBe("a"); // other calls still work
    await items.return();
    await until("the method is canceled", () => worker.canceled === 1);
    const controller = new AbortController();
    const call = failure(client.call("sleep", {}, { signal: controller.signal }));
    await until("it runs", () => worker.running === 1);
    controller.abort();
    expect(await call).toMatchObject({ kind: "Canceled", safeToRetry: false });
    await until("the method is canceled", () => worker.canceled === 2);
  });

  test("has accepted what is said to be accepted", async () => {
    const { url, topic, behind } = await fleet();
    const { worker } = await attach(behind, topic, "a", { workers: 1, queue: 1 });
    const client = caller(url, topic).prepare({ retry: 0 });
    void client.call("wait").catch(() => {});
    await until("it runs", () => worker.running === 1);
    await client.cast("note", { id: "accepted" });
    const full = await failure(client.cast("note", { id: "refused" }));
    expect(full).toMatchObject({ kind: "Refused", reason: "full", safeToRetry: true, server: "a" });
    worker.open();
    await until("it ran", () => worker.seen.length === 1);
    expect(worker.seen).toEqual(["accepted"]);
  });

  test("has the error that others would have", async () => {
    const { url, topic, behind } = await fleet();
    await attach(behind, topic, "a");
    for (const client of [caller(url, topic), caller(behind, topic)]) {
      expect(await failure(client.call("note", { id: 1 }))).toMatchObject({
        kind: "BadArguments",
        path: "/id",
        safeToRetry: true,
        server: "a",
      });
      expect(await failure(client.call("nope"))).toMatchObject({ kind: "NoSuchMethod", safeToRetry: true });
    }
  });
});

describe("when the process", () => {
  test("is killed, callers know at once, and it is not listed", async () => {
    const { url, topic, behind } = await fleet();
    const program = await startTypeScript(PROGRAM, behind, topic, "a");
    await program.line("ready");
    const client = caller(url, topic);
    const call = failure(client.call("sleep", { seconds: 30 }));
    await sleep(500);
    const began = performance.now();
    await program.end("SIGKILL");
    expect(await call).toMatchObject({ kind: "OutcomeUnknown", safeToRetry: false, server: "a" });
    expect(performance.now() - began).toBeLessThan(5000);
    await until("it is not listed", async () => (await listed(url, topic)).length === 0);
    const after = await failure(client.prepare({ failFast: true }).call("whoami"));
    expect(after).toMatchObject({ notDelivered: true, safeToRetry: true });
  });

  test("ends in order, no call fails, and nothing runs twice", async () => {
    const { url, topic, behind } = await fleet();
    const programs = await Promise.all(
      ["a", "b"].map((name) => startTypeScript(PROGRAM, behind, topic, name)),
    );
    await Promise.all(programs.map((program) => program.line("ready")));
    const clients = [caller(url, topic), caller(behind, topic), caller(url, topic)];
    const done: string[] = [];
    let over = false;
    const load = clients.map(async (client, c) => {
      for (let n = 0; !over; n++) {
        done.push(await client.call<string>("note", { id: `${c}-${n}` }));
      }
    });
    await until("calls return", () => done.length > 20);
    expect(await programs[0]?.end()).toBe(0);
    const before = done.length;
    await until("calls go on", () => done.length > before + 30);
    over = true;
    await Promise.all(load);
    expect(await programs[1]?.end()).toBe(0);
    const ran = programs.flatMap((p) => p.lines.filter((line) => line.startsWith("ran ")));
    expect(ran.map((line) => line.slice(4)).sort()).toEqual(done.sort());
  });
});

describe("when a gateway", () => {
  test.each(["SIGTERM", "SIGKILL"] as const)("ends by %s, the servers move to the other", async (signal) => {
    const { url, topic, gateways } = await fleet(2);
    const [first, second] = gateways as [Gateway, Gateway];
    const missed: string[] = [];
    // This server knows only the first gateway, so it is certain which one it is attached to.
    const { worker } = await attach(through(first), topic, "only");
    const both = await attach(through(first, second), topic, "a", { missed: (why) => missed.push(why) });
    await until("both are listed", async () => (await listed(url, topic)).length === 2);
    if (!(await listed(url, topic)).includes(`a active ${first.addr}`)) {
      await second.program.end("SIGKILL"); // server a moves to the first gateway
      await until("it has moved", async () => (await listed(url, topic)).includes(`a active ${first.addr}`));
      await startGateway(url, Number(second.addr.split(":")[1]));
    }
    missed.length = 0;
    const client = caller(url, topic);
    const running = client.prepare({ server: "a" }).call("wait");
    const ended = running.then(
      (result) => result,
      (e: RPCError) => e.kind,
    );
    await until("it runs", () => both.worker.running === 1);
    const exit = first.program.end(signal);
    await until("it has moved", async () => (await listed(url, topic)).join() === `a active ${second.addr}`);
    both.worker.open();
    expect(await ended).toBe(signal === "SIGTERM" ? "done" : "OutcomeUnknown");
    await exit;
    expect(await client.call("whoami")).toBe("a");
    const lapses = missed.filter((why) => why.includes("attached to no gateway for a while"));
    expect(lapses).toHaveLength(signal === "SIGTERM" ? 0 : 1);
    expect(worker.running).toBe(0);
    await startGateway(url, Number(first.addr.split(":")[1]));
    await until("the other is back", async () => (await listed(url, topic)).length === 2);
  });

  test("takes no servers, or is none, the start says so", async () => {
    const url = localURL();
    const topic = newTopic();
    const program = await startTypeScript(PROGRAM, "static://other=127.0.0.1:1?exchange=x", topic, "a");
    const addr = (await program.line("ready")).split(" ")[1] ?? "";
    expect(await failure(attach(`gateway://${addr}`, topic, "b"))).toMatchObject({
      kind: "Refused",
      safeToRetry: true,
      detail: expect.stringContaining(
        `the gateway at ${addr}: it accepts no attached servers, or is no gateway`,
      ),
    });
    const [port] = await freePorts(1);
    const gone = await failure(attach(`gateway://127.0.0.1:${port}`, topic, "c"));
    expect(gone).toMatchObject({ kind: "Unreachable", safeToRetry: true });
    expect(gone.message).toContain(`the gateway at 127.0.0.1:${port} cannot be connected to`);
    const gateway = await startGateway(url);
    expect(await failure(attach(through(gateway), topic, "d", { listen: "127.0.0.1:0" }))).toMatchObject({
      kind: "Invalid",
      detail: expect.stringContaining("does not listen"),
    });
    const { server } = await attach(through(gateway), topic, "e");
    await server.stop();
    expect(await listed(url, topic)).toEqual([]);
  });

  test("denies a server, the start says why, and the process can serve others", async () => {
    const url = localURL();
    const topic = newTopic();
    const gateway = await startGateway(url, undefined, "--policy", policy(topic, "a"));
    await attach(through(gateway), topic, "a");
    const e = await failure(attach(through(gateway), topic, "b"));
    expect(e).toMatchObject({ kind: "AccessDenied", safeToRetry: true });
    expect(e.message).toContain(`the gateway at ${gateway.addr}`);
    expect((await listed(url, topic)).map((line) => line.split(" ")[0])).toEqual(["a"]);
  });
});

/** Writes a policy that lets one server attach, and allows all messages. Returns its path. */
function policy(topic: string, server: string): string {
  const directory = mkdtempSync(join(tmpdir(), "policy"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, "policy.json");
  const rules = [
    { name: "attached", from: "anyone", delivery: "attach", topic, server },
    { name: "others", from: "anyone" },
  ];
  writeFileSync(path, JSON.stringify({ mode: "enforce", rules }));
  return path;
}
