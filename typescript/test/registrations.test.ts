/**
 * This package reads and writes registrations as the Go library does:
 * proto/testdata/registrations.json.
 */

import { describe, expect, test } from "vitest";
import {
  instanceService,
  processName,
  processService,
  readEntries,
  serviceName,
} from "../src/discovery/consulnames.js";
import { formatImplementation, type Instance, parseImplementation } from "../src/discovery/instance.js";
import {
  decodeFile,
  encodeFile,
  isProcessFile,
  isSocketName,
  isTemporary,
} from "../src/discovery/localfile.js";
import { type Case, load } from "./golden.js";

function instance(record: Case): Instance {
  const { boot_id, implemented, zone = "", ...rest } = record;
  return { ...rest, bootId: boot_id, implemented: implemented.map(parseImplementation), zone } as Instance;
}

function record(i: Instance): Case {
  const { bootId, implemented, zone, ...rest } = i;
  const zoned = zone ? { zone } : {};
  return { ...rest, boot_id: bootId, implemented: implemented.map(formatImplementation), ...zoned };
}

describe("registrations.json", () => {
  test.each(load("registrations.json", "consul_names"))("names of services: %s", (_, c) => {
    expect(serviceName(c["exchange"], c["topic"])).toBe(c["name"]);
    expect(processName(c["exchange"], c["topic"])).toBe(c["process"]);
  });

  test.each(load("registrations.json", "consul_services"))("services: %s", (_, c) => {
    const i = instance(c["instance"]);
    const ttl = `${c["ttl_seconds"]}s`;
    const wanted = c["services"].map(({ Checks, ...service }: Case) => service);
    wanted[0].Check.TTL = ttl;
    expect(processService(i, { service: "PROCESS", check: "PROCESS-CHECK" }, ttl)).toEqual(wanted[0]);
    expect(instanceService(i, { service: "INSTANCE", check: "INSTANCE-CHECK" }, "PROCESS")).toEqual(
      wanted[1],
    );
  });

  test.each(load("registrations.json", "consul_entries"))("entries: %s", (_, c) => {
    const { instances, broken } = readEntries(c["entries"], serviceName(c["exchange"], c["topic"]));
    expect(instances.map(record)).toEqual(c["instances"]);
    expect([...broken.keys()].sort()).toEqual(c["skipped"]);
  });

  test.each(load("registrations.json", "local_files"))("files of local://: %s", (_, c) => {
    const text = JSON.stringify(c["file"]);
    if (!c["reads"]) {
      expect(() => decodeFile(text)).toThrow();
      return;
    }
    const wanted = { format: 1, instances: c["writes"].instances ?? [] };
    expect(JSON.parse(encodeFile(decodeFile(text)))).toEqual(wanted);
  });

  test.each(load("registrations.json", "local_names"))("names of files: %s", (_, c) => {
    const found = [isProcessFile(c["name"]), isTemporary(c["name"]), isSocketName(c["name"])];
    expect(found).toEqual([c["process"], c["temporary"], c["socket"]]);
  });
});
