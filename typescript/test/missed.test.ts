/** Reports of missed messages: a sender attaches one to its next message for the server. */

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Reports } from "../src/server/reports.js";
import { localURL, newTopic, opened, startGateway, through, until } from "./programs.js";

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

async function busy(url: string, topic: string) {
  const missed: string[] = [];
  let open = () => {};
  let running = 0;
  const opening = new Promise<void>((resolve) => {
    open = resolve;
  });
  const methods = {
    wait: () => {
      running++;
      return opening;
    },
    note: () => "noted",
  };
  const options = { workers: 1, queue: 0, missed: (reason: string) => missed.push(reason) };
  const server = opened(url, { log: quiet }).server({ topic, server: "a" }, [{ methods }], options);
  await server.start();
  return { missed, open: () => open(), running: () => running };
}

describe.each(["directly", "through a gateway"])("%s", (how) => {
  test("a copy of a fanout, or a message by name, that a full server refused", async () => {
    const url = localURL();
    const topic = newTopic();
    const { missed, open, running } = await busy(url, topic);
    const path = how === "directly" ? url : through(await startGateway(url));
    const client = opened(path).client({ topic }, { timeoutMs: 20_000 });
    const waiting = client.call("wait");
    await until("it runs", () => running() === 1);
    const report = await client.fanout("note");
    expect(report.failed.map((o) => o.error?.reason)).toEqual(["full"]);
    const named = client.prepare({ server: "a", retry: 0 });
    await expect(named.cast("note")).rejects.toMatchObject({ reason: "full" });
    // The refused cast carried the report: a message that is refused for lack of a place was
    // received.
    open();
    await waiting;
    expect(await client.call("note")).toBe("noted");
    await until("it hears of it", () => missed.length > 0);
    expect(missed[0]).toMatch(/^a sender could not deliver a message \d+\.\d{3} s ago$/);
    expect(missed).toHaveLength(1); // later reports are passed on together, after ten seconds
  });
});

test("a server that started later missed nothing", async () => {
  const url = localURL();
  const topic = newTopic();
  const client = opened(url).client({ topic, server: "a" }, { failFast: true, timeoutMs: 5000 });
  await expect(client.cast("note")).rejects.toMatchObject({ kind: "NoInstance" });
  // The age of a report does not include the time in which its message travels, so the server must
  // start much later than that.
  await sleep(1000);
  const { missed } = await busy(url, topic);
  expect(await client.prepare({ failFast: false }).call("note")).toBe("noted");
  expect(missed).toEqual([]);
});

describe("a program", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test("is told at once, and then not more often than every ten seconds", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const told: string[] = [];
    const reports = new Reports((reason) => told.push(reason), quiet);
    reports.tell(1);
    expect(told).toEqual([]); // the message failed before the server started
    vi.advanceTimersByTime(100);
    for (let n = 0; n < 5; n++) {
      reports.tell(50);
    }
    expect(told).toEqual(["a sender could not deliver a message 0.050 s ago"]);
    vi.advanceTimersByTime(10_000);
    expect(told).toHaveLength(2);
    vi.advanceTimersByTime(20_000);
    expect(told).toHaveLength(2);
    reports.tell(50);
    expect(told).toHaveLength(3);
    reports.tell(50);
    reports.end();
    vi.advanceTimersByTime(20_000);
    expect(told).toHaveLength(3);
  });

  test("that fails is logged", () => {
    const logged: string[] = [];
    const log = { ...quiet, error: (line: string) => logged.push(line) };
    const fail = () => {
      throw new Error("broken");
    };
    const reports = new Reports(fail, log);
    reports.tell(-1);
    reports.end();
    expect(logged).toEqual(["the function for missed messages failed: broken"]);
  });
});
