/** Discovery through a real Consul agent, with programs in Go and of this package. */

import { expect, test } from "vitest";
import { RPCError } from "../src/index.js";
import { consulURL, newTopic, opened, runGo, serveGo, startTypeScript, until } from "./programs.js";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

async function agentRequest(url: string, method: string, path: string): Promise<unknown> {
  const answer = await fetch(url.replace("consul://", "http://") + path, { method });
  const text = await answer.text();
  expect(answer.ok, text).toBe(true);
  return text ? JSON.parse(text) : undefined;
}

test("servers of both languages are found by clients of both", async () => {
  const url = await consulURL();
  const topic = newTopic();
  await serveGo(url, topic, "go1");
  const ours = await startTypeScript("test/serverprogram.ts", url, topic, "ts1");
  await ours.line("ready");
  const client = opened(url).client({ topic });
  const servers = new Set<string>();
  for (let n = 0; n < 6; n++) {
    servers.add((await client.call<{ server: string }>("whoami")).server);
  }
  expect([...servers].sort()).toEqual(["go1", "ts1"]);
  expect((await client.fanout("whoami")).accepted).toHaveLength(2);
  const listed = (await opened(url).instances()).filter((i) => i.topic === topic);
  expect(listed.map((i) => i.server).sort()).toEqual(["go1", "ts1"]);
  expect((await runGo(url, "ls", topic)).out).toMatch(/ts1.*1\.0.*active/s);
  expect((await runGo(url, "call", topic, "add", "a:=1", "b:=2", "--server", "ts1")).out).toBe("3");
  expect(await ours.end()).toBe(0);
  expect((await runGo(url, "ls", topic)).out).not.toContain("ts1");
});

test("an instance that is held or drains says so, and maintenance counts as draining", async () => {
  const url = await consulURL();
  const topic = newTopic();
  const server = opened(url, { log: quiet, stopGraceMs: 10 }).server(
    { topic, server: "s" },
    [{ methods: { ok: () => true } }],
    { hold: true },
  );
  await server.start();
  const state = async () => (await opened(url).instances()).find((i) => i.topic === topic)?.state;
  expect(await state()).toBe("held");
  await server.release();
  expect(await state()).toBe("active");
  await server.drain();
  expect(await state()).toBe("draining");
  await server.resume();
  const client = opened(url).client({ topic }, { failFast: true });
  expect(await client.call("ok")).toBe(true);
  const found = (await agentRequest(url, "GET", "/v1/agent/services")) as Record<
    string,
    { Meta?: Record<string, string> }
  >;
  const [id] = Object.entries(found).find(([, s]) => s.Meta?.["rpc-topic"] === topic) ?? [];
  await agentRequest(url, "PUT", `/v1/agent/service/maintenance/${id}?enable=true`);
  await until("the client knows", async () => (await client.fanout("ok")).skipped.length === 1);
  await agentRequest(url, "PUT", `/v1/agent/service/maintenance/${id}?enable=false`);
  await until("the client knows", async () => (await client.fanout("ok")).accepted.length === 1);
});

test("a registration that the agent lost is made again, and the program is told", async () => {
  const url = await consulURL();
  const topic = newTopic();
  const reasons: string[] = [];
  const server = opened(`${url}?ttl=3s`, { log: quiet, stopGraceMs: 10 }).server(
    { topic, server: "s" },
    [{ methods: { ok: () => true } }],
    { missed: (reason) => reasons.push(reason) },
  );
  await server.start();
  const ids = async () => {
    const found = (await agentRequest(url, "GET", "/v1/agent/services")) as Record<
      string,
      { Meta?: Record<string, string> }
    >;
    return Object.entries(found).filter(([, s]) => s.Meta?.["rpc-boot"] === server.instance?.bootId);
  };
  const before = await ids();
  expect(before).toHaveLength(2);
  for (const [id] of before) {
    await agentRequest(url, "PUT", `/v1/agent/service/deregister/${id}`);
  }
  await until("it is registered again", async () => (await ids()).length === 2);
  await until("the program is told", () => reasons.length > 0);
  expect(reasons[0]).toContain("lost the registration");
});

test("an agent that cannot be reached is an error that says so", async () => {
  const client = opened("consul://127.0.0.1:1").client({ topic: "t" }, { failFast: true });
  const e = await client.call("m").catch((e: unknown) => e);
  expect(e).toBeInstanceOf(RPCError);
  expect(e).toMatchObject({ kind: "Unreachable", safeToRetry: true });
  expect((e as RPCError).message).toContain("Consul at 127.0.0.1:1");
});
