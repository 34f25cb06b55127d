/**
 * Servers of this package that offer typed services: to stubs of this package, of Go, and of plain
 * gRPC.
 */

import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import {
  type Client,
  RemoteError,
  type RequestContext,
  RPCError,
  type Server,
  type ServerOptions,
  type ServiceOptions,
  service,
  type TypedFunctions,
} from "../src/index.js";
import { InventoryService } from "./gen/typedtest/v1/inventory_pb.js";
import { RemoteService } from "./gen/upgrade/v1/upgrade_pb.js";
import { localURL, newTopic, opened, runGo, start, startGateway, through, until } from "./programs.js";

class VolumeInUse extends Error {
  readonly volume: string;

  constructor(volume: string) {
    super(`volume ${volume} is in use`);
    this.volume = volume;
  }
}
const errors = { "volumes.InUse": VolumeInUse };

/** An implementation of the service that records its calls. */
class Inventory implements TypedFunctions<typeof InventoryService> {
  readonly asked: string[] = [];
  readonly name: string;
  context: RequestContext | undefined;
  canceled = 0;

  constructor(name: string) {
    this.name = name;
  }

  getVolume(
    { name, withLabels, revision }: { name: string; withLabels: boolean; revision: bigint },
    context: RequestContext,
  ) {
    this.context = context;
    this.asked.push(`get ${name} ${withLabels} ${revision}`);
    switch (name) {
      case "absent":
        throw new ConnectError("there is no such volume", Code.NotFound);
      case "busy":
        throw new VolumeInUse(name);
      case "broken":
        throw new TypeError("broken");
      default:
        return { name: `${name} at ${this.name}`, size: 2n ** 60n + 1n };
    }
  }

  findVolume() {
    return {};
  }

  createVolume() {
    return {};
  }

  resizeVolume() {
    return {};
  }

  snapshotVolume() {
    return {};
  }

  reportUsage({ name, inodes }: { name: string; inodes: bigint }) {
    this.asked.push(`usage ${name} ${inodes}`);
    return {};
  }

  invalidateCache({ name }: { name: string }) {
    this.asked.push(`invalidate ${name}`);
    return {};
  }

  async importVolumes(requests: AsyncIterable<{ name: string }>) {
    let imported = 0n;
    for await (const { name } of requests) {
      this.asked.push(`import ${name}`);
      imported++;
    }
    return { imported };
  }

  async *watchVolumes({ prefix }: { prefix: string }, context: RequestContext) {
    try {
      for (let n = 0; !context.signal.aborted && (prefix === "endless" || n < 3); n++) {
        yield { name: `${prefix}${n}` };
        await sleep(5);
      }
    } finally {
      this.canceled += context.signal.aborted ? 1 : 0;
    }
  }

  async *syncVolumes(requests: AsyncIterable<{ name: string }>) {
    for await (const { name } of requests) {
      yield { name: name.toUpperCase() };
    }
  }
}

interface Served {
  inventory: Inventory;
  server: Server;
  addr: string;
}

async function serve(
  url: string,
  topic: string,
  name: string,
  options: ServerOptions & ServiceOptions = {},
): Promise<Served> {
  const inventory = new Inventory(name);
  const transport = opened(url, { errors, log: { debug() {}, info() {}, warn() {}, error() {} } });
  const endpoints = [service(InventoryService, inventory, options), { methods: { whoami: () => name } }];
  const server = transport.server({ topic, server: name }, endpoints, options);
  return { inventory, server, addr: (await server.start()).addr };
}

function caller(url: string, topic: string): Client {
  return opened(url, { errors }).client({ topic }, { timeoutMs: 20_000 });
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (e: unknown) => e,
  );
}

describe.each(["directly", "through a gateway", "attached"])("our stub, %s,", (how) => {
  async function fleet() {
    const url = localURL();
    const topic = newTopic();
    const behind = how === "directly" ? url : through(await startGateway(url));
    const served = await serve(how === "attached" ? behind : url, topic, "a");
    return { url, topic, behind, client: caller(behind, topic), ...served };
  }

  test("calls, casts, fans out and reads streams", async () => {
    const { client, inventory } = await fleet();
    const stub = client.stub(InventoryService, { context: { user: "u" } });
    expect(await stub.getVolume({ name: "v" })).toMatchObject({ name: "v at a", size: 2n ** 60n + 1n });
    expect(inventory.context?.values).toEqual({ user: "u" });
    expect(inventory.context).toMatchObject({ method: "GetVolume", server: "a", version: "1.0" });
    await stub.reportUsage({ name: "v", inodes: 1n });
    await stub.invalidateCache({ name: "v" });
    await until("both ran", () => inventory.asked.length === 3);
    expect(inventory.asked).toEqual(["get v false 0", "usage v 1", "invalidate v"]);
    const names: string[] = [];
    for await (const { name } of stub.watchVolumes({ prefix: "v" })) {
      names.push(name);
    }
    expect(names).toEqual(["v0", "v1", "v2"]);
    for await (const { name } of stub.watchVolumes({ prefix: "endless" })) {
      if (name === "endless2") {
        break;
      }
    }
    await until("the method is told", () => inventory.canceled === 1);
    expect(await client.call("whoami")).toBe("a");
  });

  test("has the errors of methods, with their classes", async () => {
    const { client } = await fleet();
    const stub = client.stub(InventoryService);
    const absent = await failure(stub.getVolume({ name: "absent" }));
    expect(absent).toBeInstanceOf(RemoteError);
    expect(absent).toMatchObject({ kind: "Remote", server: "a", hops: ["a"], safeToRetry: false });
    expect((absent as RemoteError).remoteMessage).toContain("there is no such volume");
    const busy = await failure(stub.getVolume({ name: "busy" }));
    expect(busy).toBeInstanceOf(VolumeInUse);
    expect(busy).toMatchObject({ volume: "busy" });
    expect(await failure(stub.getVolume({ name: "broken" }))).toMatchObject({
      kind: "Remote",
      type: "TypeError",
      remoteMessage: "broken",
    });
  });
});

describe("a server of an earlier version", () => {
  test("is sent what it knows, and refuses the rest", async () => {
    const url = localURL();
    const topic = newTopic();
    const { inventory } = await serve(url, topic, "a", { version: "1.0" });
    const stub = caller(url, topic).stub(InventoryService);
    await stub.getVolume({ name: "v", withLabels: true });
    expect(inventory.asked).toEqual(["get v false 0"]);
    for (const work of [
      () => stub.getVolume({ name: "v", revision: 1n }),
      () => stub.resizeVolume({ name: "v" }),
    ]) {
      expect(await failure(work())).toMatchObject({ kind: "UnsupportedVersion", safeToRetry: true });
    }
    await serve(url, topic, "b", { version: "1.2" });
    const { name } = await stub.getVolume({ name: "v", revision: 1n });
    expect(name).toBe("v at b");
    expect((await runGo(url, "ls")).out).toMatch(/ a .*volumes=1\.0/);
    const info = (await runGo(url, "info", topic)).out;
    expect(info).toContain("GetVolume");
    expect(info).toContain("SnapshotVolume"); // server b has this method
  });
});

describe("a plain stub", () => {
  async function plain(header: Record<string, string> = {}) {
    const topic = newTopic();
    const { inventory, addr } = await serve("static://other=127.0.0.1:1", topic, "a", { version: "1.1" });
    const add: Interceptor = (next) => (request) => {
      for (const [name, value] of Object.entries(header)) {
        request.header.set(name, value);
      }
      return next(request);
    };
    const transport = createGrpcTransport({ baseUrl: `http://${addr}`, interceptors: [add] });
    return { topic, inventory, stub: createClient(InventoryService, transport) };
  }

  test("needs no headers, and may send streams", async () => {
    const { stub, inventory } = await plain();
    expect((await stub.getVolume({ name: "v" })).name).toBe("v at a");
    async function* volumes() {
      for (const name of ["x", "y"]) {
        yield { name };
        await sleep(10);
      }
    }
    expect(await stub.importVolumes(volumes())).toMatchObject({ imported: 2n });
    const synced: string[] = [];
    for await (const { name } of stub.syncVolumes(volumes())) {
      synced.push(name);
    }
    expect(synced).toEqual(["X", "Y"]);
    expect(inventory.asked).toEqual(["get v false 0", "import x", "import y"]);
  });

  test("may ask for a version, and has the status of the method", async () => {
    const { stub, inventory } = await plain({ "oslorpc-version": "1.1" });
    async function* volumes() {
      yield { name: "x" };
      yield { name: "y" };
    }
    expect(await stub.importVolumes(volumes())).toMatchObject({ imported: 2n });
    expect(inventory.asked).toEqual(["import x", "import y"]);
    const absent = await failure(stub.getVolume({ name: "absent" }));
    expect(absent).toMatchObject({ code: Code.NotFound, rawMessage: "there is no such volume" });
    expect(await failure(stub.snapshotVolume({}))).toMatchObject({ code: Code.Unimplemented });
  });

  test.each<[string, Record<string, string>, Code, string]>([
    ["a later version", { "oslorpc-version": "1.2" }, Code.FailedPrecondition, "version 1.2"],
    ["another major version", { "oslorpc-version": "2.0" }, Code.FailedPrecondition, "version 2.0"],
    ["no version", { "oslorpc-version": "one" }, Code.InvalidArgument, "oslorpc-version"],
    ["an empty header", { "oslorpc-topic": "" }, Code.InvalidArgument, "is empty"],
    ["a malformed header", { "oslorpc-server": "%zz" }, Code.InvalidArgument, "malformed"],
    ["a header twice", { "oslorpc-id": "a, b" }, Code.InvalidArgument, "more than once"],
    ["no duration", { "oslorpc-missed": "long" }, Code.InvalidArgument, "not a duration"],
    ["another topic", { "oslorpc-topic": "elsewhere" }, Code.Unavailable, "typedtest.v1.InventoryService"],
    ["another server", { "oslorpc-server": "z" }, Code.Unavailable, "typedtest.v1.InventoryService"],
    ["no context", { "oslorpc-context-bin": "W10=" }, Code.InvalidArgument, "must be a JSON object"],
  ])("is refused with %s", async (_, header, code, says) => {
    const { stub, inventory } = await plain(header);
    const e = await failure(stub.getVolume({ name: "v" }));
    expect(e).toMatchObject({ code });
    expect(String(e)).toContain(says);
    expect(inventory.asked).toEqual([]);
  });
});

test("typed messages wait, are refused and are drained as others", async () => {
  const url = localURL();
  const topic = newTopic();
  const { server, inventory } = await serve(url, topic, "a", { workers: 1, queue: 0 });
  const stub = caller(url, topic).prepare({ retry: 0, timeoutMs: 5000 }).stub(InventoryService);
  const items = stub.watchVolumes({ prefix: "endless" })[Symbol.asyncIterator]();
  await items.next();
  expect(await failure(stub.getVolume({ name: "v" }))).toMatchObject({ reason: "full", safeToRetry: true });
  await items.return?.();
  await until("the method ended", () => inventory.canceled === 1);
  await stub.getVolume({ name: "v" });
  await server.drain();
  await until("messages for any server are not delivered", async () => {
    const e = await failure(stub.getVolume({ name: "v" }));
    return e instanceof RPCError && e.notDelivered && e.safeToRetry;
  });
  const large = { name: "x".repeat(17 << 20) };
  expect(await failure(stub.getVolume(large))).toMatchObject({ kind: "TooLarge", safeToRetry: true });
});

test("a dynamic message does not reach a typed method", async () => {
  const url = localURL();
  const topic = newTopic();
  await serve(url, topic, "a");
  const client = caller(url, topic).prepare({ namespace: "volumes" });
  expect(await failure(client.call("GetVolume", { name: "v" }))).toMatchObject({
    kind: expect.stringMatching(/UnsupportedVersion|NoSuchMethod/),
    safeToRetry: true,
  });
});

test("mistakes show when the server is made", () => {
  const inventory = new Inventory("a");
  expect(() => service(InventoryService, inventory, { version: "1.3" })).toThrow("cannot be offered at 1.3");
  expect(() => service(InventoryService, inventory, { version: "2" })).toThrow(
    "typedtest.v1.InventoryService",
  );
  expect(() => service(InventoryService, {} as Inventory)).toThrow("has no function getVolume");
  const offer = service(InventoryService, inventory);
  expect(() => opened(localURL()).server({ topic: "t", server: "s" }, [offer, offer])).toThrow(
    "appears twice",
  );
  expect(() => service(InventoryService, inventory, { version: "1.3" })).toThrow(RPCError);
});

test("a Go client has its typed calls answered, as of each version", async () => {
  const path =
    process.env["UPGRADE_CLIENT"] ?? fileURLToPath(new URL("../../.bin/upgrade-client", import.meta.url));
  expect(existsSync(path), "make test-typescript builds it").toBe(true);
  const url = localURL();
  const transport = opened(url);
  const answer = (_: unknown, { server, version }: RequestContext) => ({
    answer: { server, version, release: "1.2" },
  });
  const functions = { myRemoteMethod: answer, myRemoteMethod2: answer };
  await transport
    .server({ topic: "upgrade", server: "node-ts" }, [service(RemoteService, functions)])
    .start();
  const client = start(path, ["--transport", url, "--version", "1.2", "--typed"]);
  expect(await client.end("SIGCONT"), client.lines.join("\n")).toBe(0);
  expect(client.lines.join("\n")).toContain("node-ts");
});
