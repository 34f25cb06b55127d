/** Stubs of typed services: messages need the same versions as in Go, and Go's servers answer. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createRegistry, type DescMethod, fromBinary, fromJson, toJson } from "@bufbuild/protobuf";
import { file_google_protobuf_any } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { RPCError } from "../src/index.js";
import { fit as fitTo } from "../src/typed/fit.js";
import { Needs } from "../src/typed/need.js";
import { readMethod, readService, type TypedMethod } from "../src/typed/service.js";
import { formatVersion, parseVersion } from "../src/versions.js";
import { CreateVolumeRequestSchema, file_typedtest_v1_inventory } from "./gen/typedtest/v1/inventory_pb.js";
import { Effect, RemoteService } from "./gen/upgrade/v1/upgrade_pb.js";
import { load } from "./golden.js";
import { consulURL, localURL, newTopic, opened, start } from "./programs.js";

// The registry that a stub would make: the contract's file and its imports.
const registry = createRegistry(file_typedtest_v1_inventory, file_google_protobuf_any);

/**
 * Returns a method of the test contract by its path, with the computation of the versions that its
 * messages need.
 */
function methodAt(path: string): { method: DescMethod; needs: Needs; typed: TypedMethod } {
  const [, service = "", name] = path.split("/");
  const method = registry.getService(service)?.methods.find((m) => m.name === name);
  if (method === undefined) {
    throw new Error(`${path} is not in the test contract`);
  }
  const typed = readMethod(method, readService(method.parent));
  return { method, needs: new Needs(typed.since, registry), typed };
}

describe("what a message needs", () => {
  test.each(load("typed.json", "messages"))("%s", (_, c) => {
    const { method, needs } = methodAt(c["method"]);
    const schema = method.input;
    const read = (text: string) => fromBinary(schema, Buffer.from(text, "base64"));
    const message = read(c["message"]);
    const steps: { version: string; message: string }[] = c["steps"];
    expect(needs.steps(schema, message).map(formatVersion)).toEqual(steps.map((s) => s.version));
    for (const step of steps) {
      const fitted = fitTo(needs, schema, message, parseVersion(step.version));
      expect(fitted).toEqual(read(step.message));
      expect(formatVersion(needs.of(schema, fitted).version)).toBe(step.version); // a server at this version knows all of it
    }
    expect(message).toEqual(read(c["message"])); // the message itself is never changed
  });

  test("older servers get what they know", () => {
    const schema = CreateVolumeRequestSchema;
    const needs = new Needs(parseVersion("1.0"), registry);
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

test.each(load("typed.json", "methods"))("options say who serves a service, and how: %s", (_, c) => {
  const { typed } = methodAt(c["path"]);
  const { topic, namespace, version } = typed.service;
  expect({
    path: c["path"],
    topic,
    namespace,
    version: formatVersion(version),
    since: formatVersion(typed.since),
    delivery: typed.delivery,
  }).toEqual(c);
});

/** Starts a server of examples/upgrade, at an old or a new version. */
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
