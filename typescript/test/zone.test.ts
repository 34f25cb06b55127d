/** Zones: a message for any server stays in its caller's zone while a server there can take it. */

import { describe, expect, onTestFinished, test } from "vitest";
import { instanceService } from "../src/discovery/consulnames.js";
import { decodeFile, encodeFile } from "../src/discovery/localfile.js";
import { type Client, open, RPCError, type Server, type ServerOptions } from "../src/index.js";
import {
  consulURL,
  freePorts,
  localURL,
  newTopic,
  opened,
  runGo,
  serveGo,
  startGateway,
  through,
  until,
} from "./programs.js";

/** Blocks the calls that pass through it, until it is opened. */
class Gate {
  entered = 0;
  #open: () => void = () => {};
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });

  async pass(): Promise<void> {
    this.entered++;
    await this.#opened;
  }

  open(): void {
    this.#open();
  }
}

async function serve(
  url: string,
  topic: string,
  zone: string,
  options: ServerOptions = {},
  version = "1.0",
): Promise<{ server: Server; gate: Gate }> {
  const gate = new Gate();
  const methods = { where: () => zone, wait: () => gate.pass() };
  const transport = opened(url, { zone, stopGraceMs: 50 });
  const server = transport.server({ topic, server: `in-${zone}` }, [{ version, methods }], options);
  await server.start();
  onTestFinished(() => gate.open());
  return { server, gate };
}

/** Returns the zones in which `calls` calls ran. */
async function places(client: Client, calls = 6): Promise<string[]> {
  const seen = new Set<string>();
  for (let n = 0; n < calls; n++) {
    seen.add(await client.call<string>("where"));
  }
  return [...seen].sort();
}

function caller(url: string, topic: string, zone: string): Client {
  return opened(url, { zone }).client({ topic }, { timeoutMs: 20_000 });
}

async function two(options: ServerOptions = {}, version = "1.0") {
  const url = localURL();
  const topic = newTopic();
  const near = await serve(url, topic, "az1", options, version);
  const far = await serve(url, topic, "az2", {}, "1.4");
  return { url, topic, near, far, client: caller(url, topic, "az1") };
}

describe("a message for any server", () => {
  test("stays in its caller's zone, and leaves it while no server is there", async () => {
    const { url, topic, near, client } = await two();
    expect(await places(client)).toEqual(["az1"]);
    expect(await places(caller(url, topic, "az2"))).toEqual(["az2"]);
    expect(await places(caller(url, topic, ""), 12)).toEqual(["az1", "az2"]);
    expect(await places(caller(url, topic, "AZ1"), 12)).toEqual(["az1", "az2"]); // zones are case-sensitive
    await near.server.stop();
    expect(await places(client)).toEqual(["az2"]);
    await near.server.start();
    await until("messages return", async () => (await places(client)).includes("az1"));
    expect(await places(client)).toEqual(["az1"]);
  });

  test("leaves it while the queues there are full", async () => {
    const { near, client } = await two({ workers: 1, queue: 0 });
    const waiting = client.prepare({ server: "in-az1" }).call("wait");
    await until("it runs", () => near.gate.entered === 1);
    expect(await places(client)).toEqual(["az2"]);
    near.gate.open();
    await waiting;
    expect(await places(client)).toEqual(["az1"]);
  });

  test("leaves it for a version that no server there has, while all there drain, or are held", async () => {
    const { near, client } = await two({ hold: true });
    expect(await places(client)).toEqual(["az2"]);
    await near.server.release();
    await until("messages return", async () => (await places(client, 1))[0] === "az1");
    expect(await places(client.prepare({ version: "1.2" }))).toEqual(["az2"]);
    await near.server.drain();
    await until("messages leave", async () => (await places(client, 1))[0] === "az2");
    expect(await places(client)).toEqual(["az2"]);
    await near.server.resume();
    await until("messages return", async () => (await places(client, 1))[0] === "az1");
  });

  test("leaves it while the server there cannot be reached", async () => {
    const [port] = await freePorts(1);
    const topic = newTopic();
    const far = opened(`static://other=127.0.0.1:1`, { listen: "127.0.0.1:0" });
    const methods = { where: () => "az2" };
    const { addr } = await far.server({ topic, server: "s" }, [{ methods }]).start();
    const url = `static://${topic}=127.0.0.1:${port};zone=az1,${topic}=${addr};zone=az%32`;
    expect(await places(caller(url, topic, "az1"))).toEqual(["az2"]);
    expect((await opened(url).instances()).map((i) => i.zone)).toEqual(["az1", "az2"]);
  });
});

describe("a zone does not change", () => {
  test("where named messages, fanouts and gathers go", async () => {
    const { client } = await two();
    expect(await client.prepare({ server: "in-az2" }).call("where")).toBe("az2");
    const report = await client.fanout("where");
    expect(report.accepted.map((o) => o.instance.zone).sort()).toEqual(["az1", "az2"]);
    const replies: string[] = [];
    for await (const reply of client.gather<string>("where")) {
      replies.push(reply.result ?? "");
    }
    expect(replies.sort()).toEqual(["az1", "az2"]);
  });

  test("what a cap that follows the fleet lets through", async () => {
    const { client } = await two({}, "1.9");
    const auto = client.prepare({ versionCap: "auto" });
    expect(await auto.canSendVersion("1.4")).toBe(true);
    expect(await auto.canSendVersion("1.5")).toBe(false); // az2 has 1.4
  });
});

describe("others see the zone", () => {
  test.each([
    ["local://", async () => localURL()],
    ["consul://", consulURL],
  ])("of a server, by %s", async (_, registry) => {
    const url = await registry();
    const topic = newTopic();
    await serve(url, topic, "zone 1, größe");
    expect((await runGo(url, "ls", "--wide")).out).toMatch(new RegExp(`${topic}.*zone 1, größe`));
    expect((await runGo(url, "info", topic)).out).toContain("zone 1, größe");
    await serveGo(`${url}?zone=az2`, topic, "go2");
    expect(await places(caller(url, topic, "zone 1, größe"))).toEqual(["zone 1, größe"]);
    const listed = await opened(url).instances();
    expect(listed.find((i) => i.server === "go2")?.zone).toBe("az2");
  });

  test("through a gateway", async () => {
    const { url, topic } = await two();
    const gateway = await startGateway(url);
    expect(await places(caller(through(gateway), topic, "az1"))).toEqual(["az1"]);
    expect(await places(caller(through(gateway), topic, "az2"))).toEqual(["az2"]);
  });
});

describe("a program's zone", () => {
  async function zoneOf(url: string, given?: string): Promise<string> {
    const transport = opened(url, { ...(given === undefined ? {} : { zone: given }) });
    const server = transport.server({ topic: newTopic(), server: "s" }, [{ methods: {} }]);
    return (await server.start()).zone;
  }

  test("is in the URL, in the program or in the environment", async () => {
    const url = localURL();
    expect(await zoneOf(url)).toBe("");
    process.env["OSLORPC_ZONE"] = "of the environment";
    try {
      expect(await zoneOf(url)).toBe("of the environment");
      expect(await zoneOf(url, "of the program")).toBe("of the program");
      expect(await zoneOf(`${url}?zone=of+the+URL`, "of the program")).toBe("of the URL");
    } finally {
      delete process.env["OSLORPC_ZONE"];
    }
  });

  test.each([
    ["local://?zone=a%00b", "has control characters"],
    [`local://?zone=${"z".repeat(256)}`, "longer than 255 bytes"],
    ["static://t=127.0.0.1:1;zone=", "write topic=host:port;zone=NAME"],
    ["static://t=127.0.0.1:1;zone=%ff", "write topic=host:port;zone=NAME"],
    ["static://t=127.0.0.1:1;zone=a%0Ab", "write topic=host:port;zone=NAME"],
  ])("must be a name: %s", (url, says) => {
    expect(() => open(url)).toThrow(says);
    expect(() => open(url)).toThrow(RPCError);
  });
});

const instance = {
  id: "b.1",
  bootId: "b",
  exchange: "openstack",
  topic: "t",
  server: "s",
  addr: "127.0.0.1:1",
  state: "active",
  implemented: [],
};

test("a registration without a zone says nothing of it", () => {
  const ids = { service: "S", check: "C" };
  expect(instanceService({ ...instance, zone: "" }, ids, "P").Meta).not.toHaveProperty("rpc-zone");
  expect(instanceService({ ...instance, zone: "az1" }, ids, "P").Meta["rpc-zone"]).toBe("az1");
  expect(encodeFile([{ ...instance, zone: "" }])).not.toContain("zone");
  const zoned = [{ ...instance, zone: "az1" }];
  expect(decodeFile(encodeFile(zoned))).toEqual(zoned);
});

test("what a server implements has room beside what else is said of it", () => {
  const implemented = (bytes: number) => {
    const version = { major: 1, minor: 0, revision: 0 };
    return Array.from({ length: bytes / 128 }, (_, n) => ({
      namespace: String(n).padStart(123, "n"),
      version,
    }));
  };
  const ids = { service: "S", check: "C" };
  const most = instanceService({ ...instance, zone: "az1", implemented: implemented(56 * 512) }, ids, "P");
  expect(Object.keys(most.Meta).length).toBeLessThanOrEqual(64);
  expect(most.Meta).toHaveProperty("rpc-versions-55");
  expect(() =>
    instanceService({ ...instance, zone: "", implemented: implemented(57 * 512) }, ids, "P"),
  ).toThrow("do not fit");
});
