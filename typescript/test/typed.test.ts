/** Stubs of typed services: the versions that messages need are Go's, and Go's servers answer. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createRegistry, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { RPCError } from "../src/index.js";
import { fit as fitTo } from "../src/typed/fit.js";
import { Needs } from "../src/typed/need.js";
import { readMethod, readService } from "../src/typed/service.js";
import { formatVersion, parseVersion } from "../src/versions.js";
import {
  CreateVolumeRequestSchema,
  file_typedtest_v1_inventory,
  InventoryService,
  PlainService,
} from "./gen/typedtest/v1/inventory_pb.js";
import { Effect, RemoteService } from "./gen/upgrade/v1/upgrade_pb.js";
import { consulURL, localURL, newTopic, opened, start } from "./programs.js";

const registry = createRegistry(file_typedtest_v1_inventory);
const schema = CreateVolumeRequestSchema;
const needs = new Needs(parseVersion("1.0"), registry);
const any = (type: string, value: JsonObject) => ({
  "@type": `type.googleapis.com/typedtest.v1.${type}`,
  ...value,
});

// internal/typed/need_test.go has the same.
const cases: [string, JsonObject, string][] = [
  ["nothing", {}, "1.0"],
  ["no rules", { name: "a", size: "1", owner: { name: "b" } }, "1.0"],
  ["scalar", { description: "a" }, "1.1 1.0"],
  ["optional at zero", { priority: 0 }, "1.1"],
  ["droppable optional at zero", { weight: 0 }, "1.2 1.0"],
  ["nested, failing", { placement: { rack: "a" } }, "1.2"],
  ["nested, droppable", { placement: { hint: "a" } }, "1.1 1.0"],
  ["nested, both", { placement: { hint: "a", rack: "b" } }, "1.2"],
  ["two steps", { description: "a", weight: 1 }, "1.2 1.1 1.0"],
  ["a step and a floor", { description: "a", weight: 1, priority: 1 }, "1.2 1.1"],
  ["element", { disks: [{}, { serial: "a" }] }, "1.2 1.0"],
  ["value in element", { disks: [{}, { mode: "MODE_FAST" }] }, "1.1"],
  ["map of scalars", { labels: { a: "b" } }, "1.1 1.0"],
  ["map of messages", { roles: { a: { serial: "b" } } }, "1.2 1.0"],
  ["failing list", { tags: ["a"] }, "1.2"],
  ["empty list and map", { tags: [], labels: {} }, "1.0"],
  ["old value", { mode: "MODE_SLOW" }, "1.0"],
  ["unknown value", { mode: 77 }, "1.0"],
  ["failing value", { mode: "MODE_FAST" }, "1.1"],
  ["droppable value", { mode: "MODE_BURST" }, "1.2 1.0"],
  ["droppable elements", { fallbackModes: ["MODE_SLOW", "MODE_BURST"] }, "1.2 1.0"],
  ["only droppable elements", { fallbackModes: ["MODE_BURST", "MODE_BURST"] }, "1.2 1.0"],
  ["mixed elements", { fallbackModes: ["MODE_BURST", "MODE_FAST"] }, "1.2 1.1"],
  ["map of values", { hourlyModes: { "1": "MODE_BURST" } }, "1.2 1.0"],
  ["failing entry", { hourlyModes: { "1": "MODE_BURST", "2": "MODE_FAST" } }, "1.2 1.1"],
  ["failing field, old value", { idleMode: "MODE_SLOW" }, "1.1"],
  ["failing field, droppable value", { idleMode: "MODE_BURST" }, "1.2 1.0"],
  ["oneof without rule", { snapshot: "" }, "1.0"],
  ["oneof at zero", { image: "" }, "1.1"],
  ["droppable value in a oneof", { like: "MODE_BURST" }, "1.2"],
  ["message in a oneof", { near: { hint: "a" } }, "1.1 1.0"],
  ["Any without rules", { driver: any("Label", { name: "a" }) }, "1.0"],
  ["Any, droppable", { driver: any("Disk", { serial: "a" }) }, "1.2 1.0"],
  ["Any, failing", { driver: any("Placement", { rack: "a" }) }, "1.2"],
  ["recursive", { group: { children: [{ note: "a", children: [{ owner: "b" }] }] } }, "1.2"],
  ["droppable field", { encryption: {} }, "1.1 1.0"],
  ["failing within droppable", { encryption: { keyId: "a" } }, "1.2 1.0"],
  ["failing within droppable, with a floor", { encryption: { keyId: "a" }, priority: 1 }, "1.2 1.1"],
];

describe("what a message needs", () => {
  test.each(cases)("%s", (_, json, steps) => {
    const message = fromJson(schema, json, { registry });
    const before = toJson(schema, message, { registry });
    const found = needs.steps(schema, message);
    expect(found.map(formatVersion).join(" ")).toBe(steps);
    for (const step of found) {
      const fitted = fitTo(needs, schema, message, step);
      expect(formatVersion(needs.of(schema, fitted).version)).toBe(formatVersion(step)); // what is sent is known there
    }
    expect(toJson(schema, message, { registry })).toEqual(before); // the message itself is never changed
  });

  test("older servers get what they know", () => {
    const message = fromJson(schema, {
      name: "a",
      weight: 1,
      disks: [{ serial: "s" }],
      fallbackModes: ["MODE_BURST", "MODE_SLOW"],
    });
    const old = fitTo(needs, schema, message, parseVersion("1.0"));
    expect(toJson(schema, old)).toEqual({ name: "a", disks: [{}], fallbackModes: ["MODE_SLOW"] });
    expect(fitTo(needs, schema, message, parseVersion("1.2"))).toBe(message);
  });
});

test("options say who serves a service, and how its methods travel", () => {
  const service = readService(InventoryService);
  expect(service).toMatchObject({ topic: "inventory", namespace: "volumes" });
  const of = (name: keyof typeof InventoryService.method) => {
    const { since, delivery } = readMethod(InventoryService.method[name], service);
    return [formatVersion(since), delivery];
  };
  expect(of("getVolume")).toEqual(["1.0", "call"]);
  expect(of("resizeVolume")).toEqual(["1.1", "call"]);
  expect(of("reportUsage")).toEqual(["1.0", "cast"]);
  expect(of("invalidateCache")).toEqual(["1.0", "fanout"]);
  expect(readService(PlainService)).toMatchObject({ topic: "", namespace: "typedtest.v1.PlainService" });
});

/** A server of examples/upgrade, of an old release or a new one. */
async function upgradeServer(url: string, version: string): Promise<void> {
  const path =
    process.env["UPGRADE_SERVER"] ?? fileURLToPath(new URL("../../.bin/upgrade-server", import.meta.url));
  expect(existsSync(path), "make test-typescript builds it").toBe(true);
  const program = start(path, ["--transport", url, "--version", version, "--name", `node-${version}`]);
  await program.line("ready");
}

describe("a Go server", () => {
  test.each(["local", "consul"])(
    "answers messages that it knows, and gets no others: %s",
    async (registryKind) => {
      const url = registryKind === "local" ? localURL() : await consulURL();
      await upgradeServer(url, "1.1");
      await upgradeServer(url, "1.2");
      const client = opened(url).client({}, { timeoutMs: 20_000 });
      const stub = client.stub(RemoteService);
      const servers = new Set<string>();
      for (let n = 0; n < 4; n++) {
        const { answer } = await stub.myRemoteMethod({ arg1: "a", arg2: "b" });
        servers.add(answer?.server ?? "");
        expect(answer?.version).toBe("1.0");
      }
      expect([...servers].sort()).toEqual(["node-1.1", "node-1.2"]);
      const dry = await stub.myRemoteMethod2({ arg1: "a", effect: Effect.DRY_RUN });
      expect(dry.answer).toMatchObject({ server: "node-1.2", version: "1.2" });
      const old = client.prepare({ server: "node-1.1" }).stub(RemoteService);
      const dropped = await old.myRemoteMethod2({ arg1: "a", arg2: "gone" });
      expect(dropped.answer).toMatchObject({ server: "node-1.1", version: "1.1" });
      const refused = await old
        .myRemoteMethod2({ arg1: "a", effect: Effect.DRY_RUN })
        .catch((e: unknown) => e);
      expect(refused).toBeInstanceOf(RPCError);
      expect(refused).toMatchObject({ kind: "UnsupportedVersion", safeToRetry: true });
      const capped = client.prepare({ versionCap: "1.1" }).stub(RemoteService);
      expect((await capped.myRemoteMethod2({ arg1: "a", arg2: "gone" })).answer?.version).toBe("1.1");
      const above = await capped
        .myRemoteMethod2({ arg1: "a", effect: Effect.DRY_RUN })
        .catch((e: unknown) => e);
      expect(above).toMatchObject({ kind: "VersionCapExceeded", safeToRetry: true });
    },
  );

  test("is not there", async () => {
    const stub = opened(localURL()).client({ topic: newTopic() }, { failFast: true }).stub(RemoteService);
    await expect(stub.myRemoteMethod({})).rejects.toMatchObject({
      kind: "NoInstance",
      method: "MyRemoteMethod",
    });
  });
});
