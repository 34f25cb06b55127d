/** Servers of this package, with clients in Go and of this package. */

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  type Client,
  method,
  type open,
  RemoteError,
  type RequestContext,
  RPCError,
  type ServerOptions,
} from "../src/index.js";
import { localURL, newTopic, opened, type Program, runGo, startTypeScript, until } from "./programs.js";

const SERVER = "test/serverprogram.ts";
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

async function served(url: string, topic: string, name = "node1", version = "1.0"): Promise<Program> {
  const program = await startTypeScript(SERVER, url, topic, name, version);
  await program.line("ready");
  return program;
}

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

describe("Go's command line", () => {
  test("works on a server, with every command", async () => {
    const url = localURL();
    const topic = newTopic();
    await served(url, topic);
    const go = (...args: string[]) => runGo(url, ...args);
    expect(await go("call", topic, "add", "a:=9007199254740993", "b:=1")).toMatchObject({
      code: 0,
      out: "9007199254740994",
    });
    expect((await go("call", topic, "echo", "t=größe 🙂", "big:=1180591620717411303424")).out).toBe(
      '{"t":"größe 🙂","big":1180591620717411303424}',
    );
    expect((await go("multicall", topic, "count", "n:=3")).out).toBe("1\n2\n3");
    expect((await go("cast", topic, "note", "id=c1")).code).toBe(0);
    expect((await go("fanout", topic, "note", "id=f1")).out).toContain("accepted");
    expect((await go("ls")).out).toContain("node1");
    expect((await go("ping", topic)).out).toContain("node1");
    expect((await go("info", topic)).out).toContain("add(a integer, b integer)");
    expect((await go("versions", topic)).out).toContain("other=2.x");
    expect((await go("upgrade", topic, "1.0")).code).not.toBe(2);
    expect((await go("deprecations", topic)).code).toBe(0);
  });

  test("gets the error that Go's servers would give", async () => {
    const url = localURL();
    const topic = newTopic();
    await served(url, topic);
    const err = async (...args: string[]) => (await runGo(url, "call", topic, ...args)).err;
    expect(await err("fail", "message=broken")).toContain("remote error: fail");
    expect(await err("fail", "message=broken")).toContain("TypeError: broken");
    expect(await err("missing", "port:=7")).toContain("ports.NotFound: no port 7");
    expect(await err("zzz")).toContain('no endpoint has a method "zzz"; there is add, context');
    expect(await err("add", "a:=1.5", "b:=1")).toContain("at /a: wanted integer, got number");
    expect(await err("add", "a:=1")).toContain('missing argument "b"');
    expect(await err("unsendable")).toContain("at /a/1: NaN is not a JSON number");
    expect(await err("large", `size:=${17 << 20}`)).toContain("too large");
    expect((await runGo(url, "call", topic, "large", `size:=${15 << 20}`)).out.length).toBeGreaterThan(
      15 << 20,
    );
    expect(await err("add", "--rpc-version", "3.0")).toContain("unsupported version");
    expect(
      (await runGo(url, "call", topic, "hello", "--namespace", "other", "--rpc-version", "2.0")).out,
    ).toBe('"hello"');
  });
});

describe("a server program", () => {
  test("cancels a method when its caller leaves, or waits no longer", async () => {
    const url = localURL();
    const topic = newTopic();
    const program = await served(url, topic);
    const client = opened(url).client({ topic });
    const count = (word: string) => program.lines.filter((line) => line === word).length;
    const controller = new AbortController();
    const call = failure(client.call("sleep", { seconds: 60 }, { signal: controller.signal }));
    await until("the method runs", async () => (await runGo(url, "info", topic)).out.includes("1 running"));
    controller.abort();
    expect(await call).toMatchObject({ kind: "Canceled" });
    await until("the method is canceled", () => count("canceled") === 1);
    expect(await failure(client.prepare({ timeoutMs: 200 }).call("sleep", { seconds: 60 }))).toMatchObject({
      kind: "Timeout",
    });
    await until("the method is canceled", () => count("canceled") === 2);
    for await (const _ of client.multicall("count", { n: 1_000_000, interval: 0.01 })) {
      break;
    }
    await until("the stream is canceled", () => count("counted") === 1);
  });

  test("that is stopped under load fails no message and runs none twice", async () => {
    const url = localURL();
    const topic = newTopic();
    const programs = [await served(url, topic, "node1"), await served(url, topic, "node2")];
    const client = opened(url).client({ topic });
    const errors: unknown[] = [];
    let sent = 0;
    let ended = false;
    const callers = Array.from({ length: 16 }, async (_, caller) => {
      while (!ended && errors.length === 0) {
        const id = `${caller}-${sent++}`;
        await (sent % 2 ? client.call("note", { id }) : client.cast("note", { id })).catch((e: unknown) =>
          errors.push(e),
        );
      }
    });
    const goCalls = runGo(url, "call", topic, "note", "id=go", "-n", "500");
    await until("there is load", () => sent > 200);
    expect(await programs[0]?.end()).toBe(0);
    expect(programs[0]?.lines.at(-1)).toBe("ended");
    programs.push(await served(url, topic, "node1"));
    expect(await programs[1]?.end()).toBe(0);
    const then = sent;
    await until("the load goes on", () => sent > then + 200);
    ended = true;
    await Promise.all(callers);
    expect((await goCalls).code).toBe(0);
    expect(errors).toEqual([]);
    await programs[2]?.end();
    const ran = programs.flatMap((p) =>
      p.lines.filter((line) => line.startsWith("ran ") && line !== "ran go"),
    );
    expect(ran).toHaveLength(sent);
    expect(new Set(ran).size).toBe(sent);
  });

  test("that is killed tells its callers at once", async () => {
    const url = localURL();
    const topic = newTopic();
    const program = await served(url, topic);
    const client = opened(url).client({ topic });
    const ours = failure(client.call("sleep", { seconds: 60 }));
    const gos = runGo(url, "call", topic, "sleep", "seconds:=60", "--timeout", "50s");
    await until("both run", async () => (await runGo(url, "info", topic)).out.includes("2 running"));
    await program.end("SIGKILL");
    expect(await ours).toMatchObject({ kind: "OutcomeUnknown", safeToRetry: false });
    expect((await gos).err).toContain("outcome unknown");
  });
});

/** Starts a server in this process, and returns it with a client. */
async function within(
  methods: object,
  options: ServerOptions = {},
): Promise<{ client: Client; server: ReturnType<ReturnType<typeof open>["server"]> }> {
  const topic = newTopic();
  const transport = opened(localURL(), { log: quiet, stopGraceMs: 10 });
  const server = transport.server({ topic, server: "node1" }, [{ methods }], options);
  await server.start();
  return { client: transport.client({ topic, server: "node1" }, { timeoutMs: 20_000 }), server };
}

function gate(): { open: () => void; opened: Promise<void> } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

describe("a server", () => {
  test("that is held runs nothing until it is released", async () => {
    const ran: number[] = [];
    const { client, server } = await within(
      { note: (_: unknown, { n }: { n: number }) => ran.push(n) },
      { hold: true },
    );
    const calls = [client.call("note", { n: 1 }), client.cast("note", { n: 2 })];
    await calls[1];
    expect(ran).toEqual([]);
    await server.release();
    await Promise.all(calls);
    await until("both ran", () => ran.length === 2);
  });

  test("that drains takes only messages that name it", async () => {
    const { client, server } = await within({ ok: () => true });
    const any = client.prepare({ server: undefined, failFast: true });
    expect(await any.call("ok")).toBe(true);
    await server.drain();
    await until("the client knows", async () => (await any.fanout("ok")).skipped.length === 1);
    expect(await failure(any.call("ok"))).toMatchObject({ kind: "NoInstance", safeToRetry: true });
    expect(await client.call("ok")).toBe(true);
    await server.resume();
    await until("the client knows", async () => (await any.fanout("ok")).accepted.length === 1);
  });

  test("refuses what its queue has no room for", async () => {
    const { open, opened: go } = gate();
    const { client } = await within({ wait: () => go }, { workers: 1, queue: 1 });
    const impatient = client.prepare({ retry: 0 });
    const running = [impatient.call("wait"), impatient.call("wait")];
    const full = await failure(
      until("it is full", async () => {
        await impatient.prepare({ timeoutMs: 500 }).cast("wait");
        return false;
      }),
    );
    expect(full).toMatchObject({ kind: "Refused", reason: "full", safeToRetry: true });
    open();
    await Promise.all(running);
  });

  test("runs messages with the same order key one after the other", async () => {
    const running: number[] = [];
    let most = 0;
    const ordered: number[] = [];
    const { client } = await within({
      async step(_: unknown, { n }: { n: number }) {
        running.push(n);
        most = Math.max(most, running.length);
        await sleep(1);
        running.pop();
        ordered.push(n);
      },
    });
    const keyed = client.prepare({ orderKey: "port-7" });
    for (let n = 0; n < 20; n++) {
      await keyed.cast("step", { n });
    }
    await until("all ran", () => ordered.length === 20);
    expect(most).toBe(1);
    expect(ordered).toEqual([...ordered].sort((a, b) => a - b));
  });

  test("that is stopped by force cancels what runs, and says so", async () => {
    const { client, server } = await within({
      wait: (context: { signal: AbortSignal }) => sleep(60_000, undefined, { signal: context.signal }),
    });
    const call = failure(client.call("wait"));
    await until("it runs", async () => {
      const [info] = await Promise.allSettled([client.prepare({ timeoutMs: 10 }).call("nope")]);
      return info.status === "rejected";
    });
    expect(await failure(server.stop(50))).toMatchObject({ kind: "Timeout" });
    expect((await call).safeToRetry).toBe(false);
    await server.wait();
    await server.start();
    expect(server.instance?.id).toMatch(/\.2$/);
  });

  test("does not start where a policy is asked for", async () => {
    process.env["OSLORPC_POLICY"] = "/etc/policy.yaml";
    try {
      const server = opened(localURL()).server({ topic: newTopic(), server: "a" }, []);
      await expect(server.start()).rejects.toMatchObject({ kind: "Invalid" });
    } finally {
      delete process.env["OSLORPC_POLICY"];
    }
  });

  test("ends though a caller does not read what its method yields", async () => {
    const url = localURL();
    const topic = newTopic();
    const serving = opened(url, { log: quiet });
    const methods = {
      async *flood(context: RequestContext) {
        while (!context.signal.aborted) {
          yield "x".repeat(100_000);
        }
      },
    };
    const server = serving.server({ topic, server: "a" }, [{ methods }]);
    await server.start();
    const items = opened(url).client({ topic }).multicall("flood");
    await items.next();
    await expect(server.stop(100)).rejects.toMatchObject({ kind: "Timeout" });
    await serving.close();
    await expect(items.return()).resolves.toMatchObject({ done: true });
  });

  test("passes on how another server failed, and adds itself to the hops", async () => {
    const url = localURL();
    const transport = opened(url, { log: quiet });
    const far = transport.server({ topic: "far", server: "far1" }, [
      {
        methods: {
          fail: () => {
            throw new RangeError("too far");
          },
        },
      },
    ]);
    const near = transport.server({ topic: "near", server: "near1" }, [
      {
        methods: {
          ask: () => transport.client({ topic: "far" }).call("fail"),
          none: () => transport.client({ topic: "none" }, { failFast: true }).call("x"),
        },
      },
    ]);
    await Promise.all([far.start(), near.start()]);
    const client = opened(url).client({ topic: "near" });
    const e = await failure(client.call("ask"));
    expect(e).toMatchObject({ type: "RangeError", remoteMessage: "too far", hops: ["far1", "near1"] });
    expect((e as RemoteError).remoteStack.length).toBeGreaterThan(0);
    expect(await failure(client.call("none"))).toMatchObject({
      type: "oslorpc.NoInstance",
      safeToRetry: false,
    });
  });

  test("throws registered errors, which arrive as themselves with their fields", async () => {
    class Conflict extends Error {
      constructor(
        readonly id: bigint,
        readonly reason: string,
      ) {
        super(`conflict of ${id}`);
      }
    }
    const url = localURL();
    const errors = { "test.Conflict": Conflict };
    const server = opened(url, { log: quiet, errors }).server({ topic: "t", server: "s" }, [
      {
        methods: {
          clash: () => {
            throw new Conflict(2n ** 60n, "twice");
          },
        },
      },
    ]);
    await server.start();
    const e = await opened(url, { errors })
      .client({ topic: "t" })
      .call("clash")
      .catch((e: unknown) => e);
    expect(e).toBeInstanceOf(Conflict);
    expect(e).toMatchObject({ id: 2n ** 60n, reason: "twice", message: `conflict of ${2n ** 60n}` });
    expect((e as Error).cause).toBeInstanceOf(RemoteError);
    expect(await failure(opened(url).client({ topic: "t" }).call("clash"))).toMatchObject({
      type: "test.Conflict",
    });
  });

  test("tells a method what came with its message", async () => {
    const { client } = await within({
      tell: (c: {
        values: object;
        caller: string;
        metadata: object;
        server: string;
        remainingMs: number | undefined;
      }) => ({
        values: c.values,
        metadata: c.metadata,
        server: c.server,
        waits: c.remainingMs !== undefined && c.remainingMs > 0,
      }),
    });
    const traced = client.prepare({ metadata: { Traceparent: "00-1" } });
    expect(await traced.call("tell", {}, { context: { user: "u1", big: 2n ** 70n } })).toEqual({
      values: { user: "u1", big: 2n ** 70n },
      metadata: { traceparent: "00-1" },
      server: "node1",
      waits: true,
    });
  });

  test("checks arguments as they are described", async () => {
    const args = {
      name: "string",
      n: "integer",
      x: "number",
      on: "boolean",
      o: "object",
      a: "array of integer",
      "any?": "any",
    } as const;
    const { client } = await within({ take: method({ arguments: args }, () => "ok") });
    const good = { name: "n", n: 1, x: 1.5, on: true, o: {}, a: [1, 2n ** 60n] };
    expect(await client.call("take", good)).toBe("ok");
    expect(await client.call("take", { ...good, any: null })).toBe("ok");
    const bad: [object, string][] = [
      [{ name: 1 }, "/name"],
      [{ n: 1.5 }, "/n"],
      [{ x: "1" }, "/x"],
      [{ on: 0 }, "/on"],
      [{ o: [] }, "/o"],
      [{ a: [1, "2"] }, "/a/1"],
      [{ n: null }, "/n"],
      [{ other: 1 }, "/other"],
    ];
    for (const [change, path] of bad) {
      expect(await failure(client.call("take", { ...good, ...change }))).toMatchObject({
        kind: "BadArguments",
        path,
        safeToRetry: true,
      });
    }
  });

  test("needs a name and a topic, and at least one worker", () => {
    const transport = opened(localURL());
    expect(() => transport.server({ topic: "t" }, [])).toThrow("must have topic and server names");
    expect(() => transport.server({ topic: "t", server: "s" }, [], { workers: 0 })).toThrow(
      "at least one worker",
    );
    expect(() => transport.server({ topic: "t", server: "s" }, [{ version: "1", methods: {} }])).toThrow(
      "malformed",
    );
  });
});
